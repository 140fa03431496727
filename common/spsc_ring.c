/*
 * Single producer, single consumer ring.
 *
 * Two free-running 32-bit indices, each written by one side only and on its own cache line. Each
 * side keeps a copy of the other's index and looks at the real one only when the copy says full
 * or empty, so that in steady flow the lines of the indices move once a lap, not once a slot.
 *
 * Invariant: 0 <= tail - head <= slots (modulo 2^32).
 */
#include "spsc_ring.h"

#include <stdlib.h>

#include "err.h"

int spsc_ring_new(unsigned slots, size_t slot_size, struct spsc_ring **ret_ring)
{
	if (slots == 0 || (slots & (slots - 1)) != 0 || slot_size == 0)
		return ERR_INVAL;
	struct spsc_ring *ring = aligned_alloc(SPSC_RING_LINE, sizeof(*ring));
	if (ring == NULL)
		return ERR_NOMEM;
	*ring = (struct spsc_ring){.slots = slots};
	ring->stride = (slot_size + SPSC_RING_LINE - 1) / SPSC_RING_LINE * SPSC_RING_LINE;
	ring->mem = aligned_alloc(SPSC_RING_LINE, ring->stride * slots);
	if (ring->mem == NULL) {
		free(ring);
		return ERR_NOMEM;
	}
	*ret_ring = ring;
	return 0;
}

void spsc_ring_free(struct spsc_ring *ring)
{
	if (ring == NULL)
		return;
	free(ring->mem);
	free(ring);
}

uint32_t spsc_ring_used(struct spsc_ring *ring)
{
	ring->head_seen = atomic_load_explicit(&ring->head, memory_order_seq_cst);
	return atomic_load_explicit(&ring->tail, memory_order_relaxed) - ring->head_seen;
}

void spsc_ring_publish(struct spsc_ring *ring)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	atomic_store_explicit(&ring->tail, tail, memory_order_seq_cst);
}

unsigned spsc_ring_peek(struct spsc_ring *ring, unsigned max, void **ret_first)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	if (ring->tail_seen - head < max)
		ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
	uint32_t n = ring->tail_seen - head;
	uint32_t to_end = ring->slots - (head & (ring->slots - 1));
	if (n > to_end)
		n = to_end;
	if (n > max)
		n = max;
	*ret_first = spsc_ring_slot(ring, head);
	return n;
}

size_t spsc_ring_stride(const struct spsc_ring *ring)
{
	return ring->stride;
}

void spsc_ring_release(struct spsc_ring *ring, unsigned n)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	/* Sequentially consistent, for a producer that says it waits and then looks once more. */
	atomic_store_explicit(&ring->head, head + n, memory_order_seq_cst);
}

uint32_t spsc_ring_pending(struct spsc_ring *ring)
{
	return atomic_load_explicit(&ring->tail, memory_order_seq_cst) -
	       atomic_load_explicit(&ring->head, memory_order_relaxed);
}
