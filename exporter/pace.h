/*
 * A rate in records a second as credit that grows with monotonic time, up to a tenth of a second's
 * worth, or less where the receiver has little room.
 */
#ifndef WEIR_EXPORTER_PACE_H
#define WEIR_EXPORTER_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "tstamp.h"

struct pace {
	uint64_t rate;	 /* 0: no limit */
	int64_t most_ns; /* of time that may be saved up; 0: a tenth of a second */
	int64_t at_ns;
	int64_t credit_ns; /* time that is saved up; a record costs 1 s / rate */
};

static inline void pace_refill(struct pace *p, int64_t now_ns)
{
	const int64_t most = p->most_ns != 0 ? p->most_ns : NS_PER_S / 10;
	p->credit_ns += p->at_ns != 0 ? now_ns - p->at_ns : most;
	p->at_ns = now_ns;
	if (p->credit_ns > most)
		p->credit_ns = most;
}

/* May one more go? */
static inline bool pace_ready(const struct pace *p)
{
	return p->rate == 0 || p->credit_ns > 0;
}

/* One went, whether or not there was credit: it is missing later. */
static inline void pace_spend(struct pace *p)
{
	if (p->rate != 0)
		p->credit_ns -= NS_PER_S / (int64_t)p->rate;
}

#endif
