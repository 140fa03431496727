/*
 * Decimal digits, two at a time. The writers return the end of what they wrote, and trust the
 * caller for room. Any thread.
 */
#ifndef WEIR_DIGITS_H
#define WEIR_DIGITS_H

#include <stdint.h>
#include <string.h>

/* "00", "01" ... "99". */
extern const char digit_pairs[200];

/* Exactly two, four, eight digits; v has no more. */
static inline char *put_digits2(char *p, uint32_t v)
{
	memcpy(p, digit_pairs + (size_t)2 * v, 2);
	return p + 2;
}

static inline char *put_digits4(char *p, uint32_t v)
{
	return put_digits2(put_digits2(p, v / 100), v % 100);
}

static inline char *put_digits8(char *p, uint32_t v)
{
	return put_digits4(put_digits4(p, v / 10000), v % 10000);
}

/* As many as it takes, v < 10000. */
static inline char *put_up_to_4(char *p, uint32_t v)
{
	if (v >= 1000)
		return put_digits4(p, v);
	if (v >= 100) {
		*p++ = (char)('0' + v / 100);
		v %= 100;
	} else if (v < 10) {
		*p++ = (char)('0' + v);
		return p;
	}
	return put_digits2(p, v);
}

#endif
