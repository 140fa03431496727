/*
 * A lock-free ring of fixed-size slots between one producer and one consumer thread. Slots are
 * filled and read in place. Neither side ever blocks here; whoever wants to sleep builds that on
 * spsc_ring_used, spsc_ring_publish and spsc_ring_pending.
 */
#ifndef WEIR_SPSC_RING_H
#define WEIR_SPSC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spsc_ring;

/* A ring of `slots` (a power of two) slots of `slot_size` bytes, each on a cache line of its own.
 * 0, ERR_INVAL or ERR_NOMEM. */
int spsc_ring_new(unsigned slots, size_t slot_size, struct spsc_ring **ret_ring);
void spsc_ring_free(struct spsc_ring *ring);

/* ---- producer ---- */

/* The next slot to fill, or NULL when the ring is full. The same one until committed. */
void *spsc_ring_reserve(struct spsc_ring *ring);
/* Hands the reserved slot over. */
void spsc_ring_commit(struct spsc_ring *ring);
/* Slots filled so far; wraps. */
uint32_t spsc_ring_committed(const struct spsc_ring *ring);
/* Slots the consumer has not released, sequentially consistent: for "say I wait, then look once
 * more". By the time it is read it can only have become less. */
uint32_t spsc_ring_used(struct spsc_ring *ring);
/* Makes what was committed visible before anything this thread reads next (sequentially
 * consistent): for "publish, then see whether the other side sleeps". */
void spsc_ring_publish(struct spsc_ring *ring);

/* ---- consumer ---- */

/* Slots that can be read, at most `max`, that lie one after the other, spsc_ring_stride apart;
 * *ret_first is the first. 0 when there is none. */
unsigned spsc_ring_peek(struct spsc_ring *ring, unsigned max, void **ret_first);
size_t spsc_ring_stride(const struct spsc_ring *ring);
/* Gives back the oldest `n` of the slots peeked. */
void spsc_ring_release(struct spsc_ring *ring, unsigned n);
/* Slots waiting, sequentially consistent: for "say I sleep, then look once more". */
uint32_t spsc_ring_pending(struct spsc_ring *ring);

#endif
