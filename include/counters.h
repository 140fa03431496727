/*
 * Counters of a worker: one array of 64-bit numbers, indexed by the rows of counters.def. Each
 * worker writes its own; readers sum. Plain relaxed loads and stores, no lock.
 */
#ifndef WEIR_COUNTERS_H
#define WEIR_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

enum counter_id {
#define C(id, name, unit, parent, help) COUNTER_##id,
#include "counters.def"
#undef C
	COUNTER_COUNT
};

struct counters {
	uint64_t v[COUNTER_COUNT];
};

struct counter_info {
	const char *name; /* as printed: `observed`, `malformed_ip4_header` */
	const char *unit; /* packets, records, flows ... */
	int parent;       /* counter this one is a finer reason of, or -1 */
	const char *help; /* one sentence */
};

/* The row of a counter. Any thread. */
const struct counter_info *counter_info(enum counter_id id);

/* into += from, each counter. */
void counters_add(struct counters *into, const struct counters *from);

/* Do METERING.md §1's books balance? `held` is the number of packets in records not yet ended,
 * `ended` those in ended records. */
bool counters_balance(const struct counters *c, uint64_t ended, uint64_t held);

#endif
