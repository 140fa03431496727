/* The timing wheel; its header tells the design. */
#include "timer_wheel.h"

#include <stdlib.h>

#include "err.h"
#include "pages.h"

#define NONE UINT32_MAX

struct timer_wheel_chunk {
	uint32_t next;
	uint32_t count;
	uint32_t id[TIMER_WHEEL_CHUNK];
};
_Static_assert(sizeof(struct timer_wheel_chunk) == 64, "a chunk is a cache line");

static size_t chunk_bytes(const struct timer_wheel *wheel)
{
	return (size_t)wheel->capacity * sizeof(struct timer_wheel_chunk);
}

static size_t slot_bytes(const struct timer_wheel *wheel)
{
	return ((size_t)wheel->mask + 1) * sizeof(uint32_t);
}

int timer_wheel_init(struct timer_wheel *wheel, uint32_t slots, uint64_t ids_max, uint64_t now)
{
	/* Each slot may hold one chunk that is not full; one more is being taken. */
	uint64_t chunks = ids_max / TIMER_WHEEL_CHUNK + slots + 2;
	if (slots == 0 || (slots & (slots - 1)) != 0 || chunks >= NONE)
		return ERR_INVAL;
	*wheel = (struct timer_wheel){.mask = slots - 1, .capacity = (uint32_t)chunks};
	wheel->chunk = pages_new(chunk_bytes(wheel));
	wheel->slot = malloc(slot_bytes(wheel));
	if (wheel->chunk == NULL || wheel->slot == NULL) {
		timer_wheel_fini(wheel);
		return ERR_NOMEM;
	}
	timer_wheel_reset(wheel, now);
	return 0;
}

void timer_wheel_fini(struct timer_wheel *wheel)
{
	pages_free(wheel->chunk, chunk_bytes(wheel));
	free(wheel->slot);
	*wheel = (struct timer_wheel){.mask = 0};
}

void timer_wheel_populate(struct timer_wheel *wheel, const atomic_bool *stop)
{
	/* half of it is for those filed a second time, which few are at once */
	pages_populate(wheel->chunk, chunk_bytes(wheel) / 2, stop);
}

void timer_wheel_reset(struct timer_wheel *wheel, uint64_t now)
{
	for (uint32_t s = 0; s <= wheel->mask; s++)
		wheel->slot[s] = NONE;
	wheel->free = NONE;
	wheel->high = 0;
	wheel->pending = NONE;
	wheel->filed = 0;
	wheel->now = wheel->swept = now;
}

/* The pool cannot run dry: `ids_max` bounds what is filed, full chunks are ids_max / CHUNK. A
 * chunk in the middle of a list is always full, since only a list's head is filled. */
static uint32_t chunk_get(struct timer_wheel *wheel)
{
	uint32_t c = wheel->free;
	if (c == NONE) {
		__builtin_prefetch(&wheel->chunk[wheel->high + 1], 1); /* beyond the last it does nothing */
		return wheel->high++;
	}
	wheel->free = wheel->chunk[c].next;
	return c;
}

static void chunk_put(struct timer_wheel *wheel, uint32_t c)
{
	wheel->chunk[c].next = wheel->free;
	wheel->free = c;
}

void timer_wheel_file(struct timer_wheel *wheel, uint32_t id, uint64_t tick)
{
	if (tick <= wheel->now)
		tick = wheel->now + 1;
	else if (tick > wheel->now + wheel->mask)
		tick = wheel->now + wheel->mask;
	uint32_t *head = &wheel->slot[tick & wheel->mask];
	if (*head == NONE || wheel->chunk[*head].count == TIMER_WHEEL_CHUNK) {
		uint32_t c = chunk_get(wheel);
		wheel->chunk[c].next = *head;
		wheel->chunk[c].count = 0;
		*head = c;
	}
	struct timer_wheel_chunk *chunk = &wheel->chunk[*head];
	chunk->id[chunk->count++] = id;
	wheel->filed++;
}

/* Detaches the next slot that has something; false when the time has been caught up with. */
static bool next_slot(struct timer_wheel *wheel)
{
	while (wheel->swept < wheel->now) {
		uint32_t *head = &wheel->slot[++wheel->swept & wheel->mask];
		if (*head != NONE) {
			wheel->pending = *head;
			*head = NONE;
			return true;
		}
	}
	return false;
}

unsigned timer_wheel_take(struct timer_wheel *wheel, uint64_t now, uint32_t *ret_ids)
{
	if (now > wheel->now) {
		wheel->now = now;
		if (now - wheel->swept > wheel->mask)
			wheel->swept = now - wheel->mask - 1;
	}
	if (wheel->pending == NONE && !next_slot(wheel))
		return 0;
	uint32_t c = wheel->pending;
	struct timer_wheel_chunk *chunk = &wheel->chunk[c];
	unsigned n = chunk->count;
	for (unsigned i = 0; i < n; i++)
		ret_ids[i] = chunk->id[i];
	wheel->pending = chunk->next;
	if (wheel->pending != NONE)
		__builtin_prefetch(&wheel->chunk[wheel->pending]);
	wheel->filed -= n;
	chunk_put(wheel, c);
	return n;
}

uint64_t timer_wheel_bytes(const struct timer_wheel *wheel)
{
	return chunk_bytes(wheel) + slot_bytes(wheel);
}

static uint64_t list_length(const struct timer_wheel *wheel, uint32_t c, uint64_t *ids)
{
	uint64_t n = 0;
	for (; c != NONE && n <= wheel->high; c = wheel->chunk[c].next, n++)
		*ids += wheel->chunk[c].count;
	return n;
}

bool timer_wheel_is_consistent(const struct timer_wheel *wheel)
{
	uint64_t ids = 0, none = 0;
	uint64_t chunks = list_length(wheel, wheel->pending, &ids);
	for (uint32_t s = 0; s <= wheel->mask; s++)
		chunks += list_length(wheel, wheel->slot[s], &ids);
	chunks += list_length(wheel, wheel->free, &none);
	return chunks == wheel->high && ids == wheel->filed && wheel->high <= wheel->capacity &&
	       wheel->swept <= wheel->now;
}
