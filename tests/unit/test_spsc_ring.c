/* The ring, by an invariant checked after every random operation, and by its edges. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>

#include "err.h"
#include "spsc_ring.h"

enum { SLOTS = 8 };

static struct spsc_ring *ring_new(void)
{
	struct spsc_ring *ring = NULL;
	cr_assert_eq(spsc_ring_new(SLOTS, sizeof(uint64_t), &ring), 0);
	return ring;
}

static uint32_t committed; /* as the last commit told */

static bool put(struct spsc_ring *ring, uint64_t v)
{
	uint64_t *slot = spsc_ring_reserve(ring);
	if (slot == NULL)
		return false;
	*slot = v;
	committed = spsc_ring_commit(ring);
	return true;
}

Test(spsc_ring, sizes_that_are_no_power_of_two_are_refused)
{
	struct spsc_ring *ring;
	cr_expect_eq(spsc_ring_new(0, 8, &ring), ERR_INVAL);
	cr_expect_eq(spsc_ring_new(12, 8, &ring), ERR_INVAL);
	cr_expect_eq(spsc_ring_new(8, 0, &ring), ERR_INVAL);
	spsc_ring_free(NULL);
}

Test(spsc_ring, slots_are_cache_lines)
{
	struct spsc_ring *ring = NULL;
	cr_assert_eq(spsc_ring_new(2, 65, &ring), 0);
	cr_expect_eq(spsc_ring_stride(ring), 128);
	cr_expect_eq((uintptr_t)spsc_ring_reserve(ring) % 64, 0);
	spsc_ring_free(ring);
}

Test(spsc_ring, full_is_all_slots)
{
	struct spsc_ring *ring = ring_new();
	for (uint64_t i = 0; i < SLOTS; i++)
		cr_assert(put(ring, i));
	cr_expect_not(put(ring, 99));
	cr_expect_eq(spsc_ring_used(ring), SLOTS);
	spsc_ring_free(ring);
}

Test(spsc_ring, reserve_without_commit_hands_nothing_over)
{
	struct spsc_ring *ring = ring_new();
	void *a = spsc_ring_reserve(ring);
	cr_expect_eq(spsc_ring_reserve(ring), a);
	void *first;
	cr_expect_eq(spsc_ring_peek(ring, SLOTS, &first), 0);
	cr_expect_eq(spsc_ring_pending(ring), 0);
	spsc_ring_free(ring);
}

Test(spsc_ring, peek_stops_at_the_end_of_the_memory)
{
	struct spsc_ring *ring = ring_new();
	void *first;
	for (uint64_t i = 0; i < 6; i++)
		put(ring, i);
	cr_assert_eq(spsc_ring_peek(ring, SLOTS, &first), 6);
	spsc_ring_release(ring, 6);
	for (uint64_t i = 0; i < 5; i++)
		put(ring, 100 + i);
	cr_assert_eq(spsc_ring_peek(ring, SLOTS, &first), 2, "6 and 7, then it wraps");
	cr_expect_eq(*(uint64_t *)first, 100);
	spsc_ring_release(ring, 2);
	cr_assert_eq(spsc_ring_peek(ring, SLOTS, &first), 3);
	cr_expect_eq(*(uint64_t *)first, 102);
	cr_assert_eq(spsc_ring_peek(ring, 2, &first), 2, "no more than asked for");
	spsc_ring_free(ring);
}

/* What went in and has not come out is what both sides see. */
static void check(struct spsc_ring *ring, uint64_t in, uint64_t out)
{
	cr_assert_eq(spsc_ring_pending(ring), in - out);
	cr_assert_eq(spsc_ring_used(ring), in - out);
	cr_assert_eq(committed, (uint32_t)in);
	cr_assert_leq(in - out, SLOTS);
}

Test(spsc_ring, random_operations_keep_order_and_count)
{
	struct spsc_ring *ring = ring_new();
	uint64_t in = 0, out = 0;
	srandom(1);
	for (unsigned step = 0; step < 100000; step++) {
		if (random() % 2 == 0) {
			bool fits = in - out < SLOTS;
			cr_assert_eq(put(ring, in), fits);
			in += fits;
		} else {
			void *first;
			unsigned n = spsc_ring_peek(ring, 1 + (unsigned)random() % SLOTS, &first);
			cr_assert(n > 0 || in == out);
			for (unsigned i = 0; i < n; i++)
				cr_assert_eq(
					*(uint64_t *)((char *)first + i * spsc_ring_stride(ring)),
					out + i);
			unsigned give = n > 0 ? (unsigned)random() % (n + 1) : 0;
			spsc_ring_release(ring, give);
			out += give;
		}
		check(ring, in, out);
	}
	spsc_ring_free(ring);
}
