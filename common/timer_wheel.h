/*
 * A timing wheel over small integers (ids): file an id under a tick, take the ids whose tick has
 * come. What an id means and whether it is really due is the caller's to check, so nothing is ever
 * taken out early: a stale id comes up once and is dropped by the caller.
 *
 * Slots hold lists of cache-line chunks of ids rather than links through the objects: the sweep
 * knows 14 ids ahead and can prefetch them, where a linked list costs one serialised miss each.
 * A tick further ahead than the wheel reaches is filed at its rim and comes up early.
 *
 * Owned by one thread. No allocation after init.
 */
#ifndef WEIR_TIMER_WHEEL_H
#define WEIR_TIMER_WHEEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TIMER_WHEEL_CHUNK 14

struct timer_wheel_chunk;

struct timer_wheel {
	struct timer_wheel_chunk *chunk; /* the pool */
	uint32_t *slot;                  /* first chunk of each slot, or none */
	uint64_t now;                    /* ticks up to here have come */
	uint64_t swept;                  /* slots up to this tick have been emptied */
	uint32_t mask;                   /* slots - 1 */
	uint32_t free;                   /* list of free chunks below high */
	uint32_t high;                   /* chunks ever used */
	uint32_t capacity;               /* chunks */
	uint32_t pending;                /* rest of the slot being taken */
	uint64_t filed;                  /* ids in the wheel */
};

/* A wheel of `slots` (a power of two) for at most `ids_max` filed ids, its time at `now`. Memory is
 * mapped and touched only as used. ERR_NOMEM. */
int timer_wheel_init(struct timer_wheel *wheel, uint32_t slots, uint64_t ids_max, uint64_t now);
void timer_wheel_fini(struct timer_wheel *wheel);

/* pages_populate for the ids; any thread. */
void timer_wheel_populate(struct timer_wheel *wheel, const atomic_bool *stop);

/* Forgets all ids and sets the time. */
void timer_wheel_reset(struct timer_wheel *wheel, uint64_t now);

/* Files an id to come up when the time is `tick`; one that has come already is filed for the next. */
void timer_wheel_file(struct timer_wheel *wheel, uint32_t id, uint64_t tick);

/* Up to TIMER_WHEEL_CHUNK ids that have come up at time `now` (which never decreases); 0 when there
 * are no more. Ids may be filed between calls. Costs what is held, at most one turn of the wheel,
 * however far the time has jumped. */
unsigned timer_wheel_take(struct timer_wheel *wheel, uint64_t now, uint32_t *ret_ids);

/* Bytes of memory reserved. */
uint64_t timer_wheel_bytes(const struct timer_wheel *wheel);

/* Is every chunk on exactly one list, and the count right? For tests; walks everything. */
bool timer_wheel_is_consistent(const struct timer_wheel *wheel);

#endif
