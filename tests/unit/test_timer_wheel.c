/* The timing wheel: ids come up when their tick has come, all of them, once. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "timer_wheel.h"

#define IDS 1000

static struct timer_wheel wheel;

static void setup(void)
{
	cr_assert_eq(timer_wheel_init(&wheel, 64, IDS, 100), 0);
}

static void teardown(void)
{
	timer_wheel_fini(&wheel);
}

TestSuite(timer_wheel, .init = setup, .fini = teardown);

static unsigned take_all(uint64_t now, uint32_t *ids, unsigned max)
{
	unsigned sum = 0, n;
	uint32_t chunk[TIMER_WHEEL_CHUNK];
	while ((n = timer_wheel_take(&wheel, now, chunk)) > 0)
		for (unsigned i = 0; i < n && sum < max; i++)
			ids[sum++] = chunk[i];
	return sum;
}

Test(timer_wheel, id_comes_up_at_its_tick_and_not_before)
{
	uint32_t ids[4];
	timer_wheel_file(&wheel, 7, 110);
	cr_expect_eq(take_all(109, ids, 4), 0);
	cr_expect_eq(take_all(110, ids, 4), 1);
	cr_expect_eq(ids[0], 7);
	cr_expect_eq(take_all(200, ids, 4), 0);
}

Test(timer_wheel, past_tick_is_filed_for_the_next)
{
	uint32_t ids[4];
	timer_wheel_file(&wheel, 1, 50);
	cr_expect_eq(take_all(100, ids, 4), 0);
	cr_expect_eq(take_all(101, ids, 4), 1);
}

Test(timer_wheel, far_tick_comes_up_at_the_rim)
{
	uint32_t ids[4];
	timer_wheel_file(&wheel, 1, 100000);
	cr_expect_eq(take_all(162, ids, 4), 0);
	cr_expect_eq(take_all(163, ids, 4), 1);
}

Test(timer_wheel, jump_of_centuries_costs_one_turn)
{
	uint32_t ids[IDS];
	for (uint32_t i = 0; i < IDS; i++)
		timer_wheel_file(&wheel, i, 101 + i % 60);
	cr_expect_eq(take_all(UINT64_C(1) << 60, ids, IDS), IDS);
	cr_expect(timer_wheel_is_consistent(&wheel));
}

Test(timer_wheel, ids_filed_while_taking_are_not_lost)
{
	uint32_t chunk[TIMER_WHEEL_CHUNK];
	for (uint32_t i = 0; i < 500; i++)
		timer_wheel_file(&wheel, i, 101 + i % 30);
	unsigned n, seen = 0;
	while ((n = timer_wheel_take(&wheel, 131, chunk)) > 0) {
		for (unsigned i = 0; i < n; i++, seen++)
			timer_wheel_file(&wheel, chunk[i], 140);
		cr_assert(timer_wheel_is_consistent(&wheel));
	}
	cr_expect_eq(seen, 500);
	uint32_t ids[IDS];
	cr_expect_eq(take_all(140, ids, IDS), 500);
}

Test(timer_wheel, random_operations_keep_it_consistent)
{
	uint64_t due[IDS] = {0}, now = 100;
	srand(1);
	for (unsigned op = 0; op < 200000; op++) {
		uint32_t id = (uint32_t)rand() % IDS;
		if (due[id] == 0) {
			due[id] = now + 1 + (uint64_t)rand() % 63;
			timer_wheel_file(&wheel, id, due[id]);
		}
		if (rand() % 20 == 0) {
			now += (uint64_t)rand() % 5;
			uint32_t ids[IDS];
			unsigned n = take_all(now, ids, IDS);
			for (unsigned i = 0; i < n; i++) {
				cr_assert_leq(due[ids[i]], now);
				cr_assert_neq(due[ids[i]], 0, "id came up twice");
				due[ids[i]] = 0;
			}
			for (uint32_t i = 0; i < IDS; i++)
				cr_assert(due[i] == 0 || due[i] > now, "id %u was left behind", i);
			cr_assert(timer_wheel_is_consistent(&wheel));
		}
	}
}
