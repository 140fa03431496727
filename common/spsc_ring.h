/*
 * A lock-free ring of fixed-size slots between one producer and one consumer thread. Slots are
 * filled and read in place. Neither side ever blocks here; whoever wants to sleep builds that on
 * spsc_ring_used, spsc_ring_publish and spsc_ring_pending.
 */
#ifndef WEIR_SPSC_RING_H
#define WEIR_SPSC_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPSC_RING_LINE 64 /* bytes of a cache line */

/* Open for the sake of what is inline below; nobody else looks inside. */
struct spsc_ring {
	/* written by the producer */
	_Alignas(SPSC_RING_LINE) _Atomic uint32_t tail; /* slots committed */
	uint32_t head_seen;				/* producer's copy of head */
	/* written by the consumer */
	_Alignas(SPSC_RING_LINE) _Atomic uint32_t head; /* slots released */
	uint32_t tail_seen;				/* consumer's copy of tail */
	/* constant */
	_Alignas(SPSC_RING_LINE) uint32_t slots;
	size_t stride;
	unsigned char *mem;
};

/* A ring of `slots` (a power of two) slots of `slot_size` bytes, each on a cache line of its own.
 * 0, ERR_INVAL or ERR_NOMEM. */
int spsc_ring_new(unsigned slots, size_t slot_size, struct spsc_ring **ret_ring);
void spsc_ring_free(struct spsc_ring *ring);

/* ---- producer ---- */

static inline void *spsc_ring_slot(const struct spsc_ring *ring, uint32_t index)
{
	return ring->mem + (size_t)(index & (ring->slots - 1)) * ring->stride;
}

/* The next slot to fill, or NULL when the ring is full. The same one until committed. */
static inline void *spsc_ring_reserve(struct spsc_ring *ring)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	if (tail - ring->head_seen == ring->slots) {
		ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
		if (tail - ring->head_seen == ring->slots)
			return NULL;
	}
	return spsc_ring_slot(ring, tail);
}

/* Hands the reserved slot over; the number of slots filled so far, which wraps. */
static inline uint32_t spsc_ring_commit(struct spsc_ring *ring)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed) + 1;
	atomic_store_explicit(&ring->tail, tail, memory_order_release);
	return tail;
}

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
