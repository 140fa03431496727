/* Reasons of start-up failures, in a buffer of the caller. */
#include "fail.h"

#include <stdarg.h>
#include <stdio.h>

static void add(struct errtext *e, const char *fmt, va_list ap)
{
	if (e->len >= e->size)
		return;
	int n = vsnprintf(e->buf + e->len, e->size - e->len, fmt, ap);
	if (n > 0)
		e->len += (unsigned)n;
}

void errtext_begin(struct errtext *e, const char *fmt, ...)
{
	va_list ap;
	e->len = e->faults = 0;
	va_start(ap, fmt);
	add(e, fmt, ap);
	va_end(ap);
}

void errtext_add(struct errtext *e, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add(e, fmt, ap);
	va_end(ap);
}

int fail(struct errtext *e, int err, const char *fmt, ...)
{
	va_list ap;
	if (e->faults++ != 0)
		errtext_add(e, "; ");
	va_start(ap, fmt);
	add(e, fmt, ap);
	va_end(ap);
	return err;
}
