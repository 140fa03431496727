/*
 * Which messages of a session have arrived: reports come in any order, the output is told from the
 * front. Export thread only.
 */
#ifndef WEIR_EXPORTER_DELIVERY_H
#define WEIR_EXPORTER_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

enum delivery_state {
	DELIVERY_OPEN, /* nothing is known */
	DELIVERY_ARRIVED,
	DELIVERY_REFUSED,
};

/* Messages are numbered and no number comes twice, so that reports of an earlier session are known
 * as such. */
struct delivery {
	uint8_t *state; /* by number % size */
	unsigned size;	/* a power of two */
	uint64_t first; /* oldest message that is open or not taken */
	uint64_t next;
};

/* ERR_NOMEM. */
int delivery_init(struct delivery *d, unsigned size);
void delivery_fini(struct delivery *d);

static inline unsigned delivery_held(const struct delivery *d)
{
	return (unsigned)(d->next - d->first);
}

static inline bool delivery_full(const struct delivery *d)
{
	return delivery_held(d) == d->size;
}

/* The number of a new message; not when full. */
uint64_t delivery_add(struct delivery *d);

/* What became of one; of an earlier session: nothing happens. */
void delivery_report(struct delivery *d, uint64_t number, enum delivery_state state);

/* Takes messages of one fate off the front: how many, 0 when the first is open or none is there. */
unsigned delivery_take(struct delivery *d, enum delivery_state *ret_state);

/* The session is over: all that are held are forgotten. */
void delivery_reset(struct delivery *d);

#endif
