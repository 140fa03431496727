/*
 * Copies of packets (METERING.md §1): a mirror of several ports shows a packet each time it passes
 * one of them. What is metered of identical packets within the window is the first. A memory
 * belongs to one worker's thread; time comes in as the packet clock.
 */
#ifndef WEIR_FLOW_DEDUP_H
#define WEIR_FLOW_DEDUP_H

#include <stdbool.h>
#include <stdint.h>

#include "counters.h"
#include "flow/key.h"
#include "packet.h"

struct dedup;

struct dedup_conf {
	int64_t window_ns;		  /* a copy comes at most so much after the first */
	uint32_t ignore;		  /* enum dedup_ignore of conf.h */
	const struct flow_secret *secret; /* the caller's; outlives the memory */
	struct counters *counters; /* the caller's; COUNTER_DEDUP_CROWDED is written; or NULL */
};

/* A memory of fixed size, by the window. ERR_NOMEM. */
int dedup_new(const struct dedup_conf *conf, struct dedup **ret_dedup);

/* Has the same IP packet been here within the window before `clock_ns`? If not, it is remembered.
 * `packet` was decoded from `raw` and is metered. Clocks do not fall between two calls unless
 * dedup_clear is called. */
bool dedup_is_copy(struct dedup *dedup, const struct raw_packet *raw, const struct packet *packet,
		   int64_t clock_ns);

/* Forgets everything: time was set back. */
void dedup_clear(struct dedup *dedup);

/* NULL is fine. */
void dedup_free(struct dedup *dedup);

#endif
