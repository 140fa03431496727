/*
 * How long to wait before the next try: twice as long each time, up to a limit, and anywhere in
 * the upper half of that, so that a thousand probes do not knock at once when a collector is back.
 */
#ifndef WEIR_EXPORTER_BACKOFF_H
#define WEIR_EXPORTER_BACKOFF_H

#include <stdint.h>

#include "tstamp.h"

#define BACKOFF_FIRST_NS (NS_PER_S / 2)
#define BACKOFF_MAX_NS	 (30 * NS_PER_S)

/* All 0: nothing has failed yet. */
struct backoff {
	int64_t last_ns;
	uint64_t random; /* state of the jitter; 0: seeded at the first use */
};

/* The pause after one more failure. */
int64_t backoff_next_ns(struct backoff *b);

/* It went well: the next pause is a short one. */
void backoff_reset(struct backoff *b);

#endif
