/* What workers of a replay tell each other: just the batch that was asked for, or nothing. */
#include <string.h>

#include <criterion/criterion.h>

#include "whose_board.h"

static struct whose_board *board;

static void setup(void)
{
	cr_assert_eq(whose_board_new(&board), 0);
}

static void teardown(void)
{
	whose_board_free(board);
}

TestSuite(whose_board, .init = setup, .fini = teardown);

static void put(uint64_t number, unsigned n, uint8_t first)
{
	uint8_t whose[WHOSE_MAX];
	for (unsigned i = 0; i < WHOSE_MAX; i++)
		whose[i] = (uint8_t)(first + i);
	whose_board_put(board, number, n, whose);
}

/* Whose the first packet is, -1 when it is not told; those behind it follow as `put` has them. */
static int get(uint64_t number, unsigned n)
{
	uint8_t whose[WHOSE_MAX];
	if (!whose_board_get(board, number, n, whose))
		return -1;
	for (unsigned i = 1; i < n; i++)
		cr_expect_eq(whose[i], (uint8_t)(whose[0] + i), "packet %u", i);
	return whose[0];
}

Test(whose_board, batch_is_found_as_it_was_told)
{
	static const unsigned sizes[] = {1, 7, 8, 9, 64, 127, WHOSE_MAX};
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const uint64_t number = i * UINT64_C(1000);
		cr_expect_eq(get(number, sizes[i]), -1);
		put(number, sizes[i], (uint8_t)(i + 1));
		cr_expect_eq(get(number, sizes[i]), (int)i + 1);
	}
}

Test(whose_board, another_batch_is_not_found)
{
	put(6400, 64, 1);
	cr_expect_eq(get(6400, 63), -1, "another length");
	cr_expect_eq(get(6401, 64), -1, "another beginning in the same slot");
	cr_expect_eq(get(0, 64), -1, "a slot never written");
}

/* Who is behind overwrites nothing of who is ahead. */
Test(whose_board, later_batch_stays)
{
	const uint64_t turn = UINT64_C(8192) * 64;
	put(turn, 64, 2);
	put(0, 64, 1);
	cr_expect_eq(get(0, 64), -1);
	cr_expect_eq(get(turn, 64), 2);
	put(turn << 20, 64, 3);
	cr_expect_eq(get(turn, 64), -1);
	cr_expect_eq(get(turn << 20, 64), 3);
}
