/*
 * A rate in records a second as credit that grows with monotonic time, up to a tenth of a second's
 * worth.
 */
#ifndef WEIR_EXPORTER_PACE_H
#define WEIR_EXPORTER_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "tstamp.h"

struct pace {
	uint64_t rate; /* 0: no limit */
	int64_t at_ns;
	int64_t credit_ns; /* time that is saved up; a record costs 1 s / rate */
};

static inline void pace_refill(struct pace *p, int64_t now_ns)
{
	const int64_t most = NS_PER_S / 10;
	p->credit_ns += p->at_ns != 0 ? now_ns - p->at_ns : most;
	p->at_ns = now_ns;
	if (p->credit_ns > most)
		p->credit_ns = most;
}

/* May one more go? Then it is paid for. */
static inline bool pace_take(struct pace *p)
{
	if (p->rate == 0)
		return true;
	if (p->credit_ns <= 0)
		return false;
	p->credit_ns -= NS_PER_S / (int64_t)p->rate;
	return true;
}

#endif
