/* How long a collector is waited for, in made-up times. */
#include <criterion/criterion.h>

#include "../exporter/patience.h"
#include "tstamp.h"

#define S NS_PER_S

Test(patience, it_ends_when_nothing_moved_for_the_time)
{
	struct patience p = {.wait_ns = 5 * S};
	patience_renew(&p, 0);
	patience_begin(&p, 0);
	cr_expect_not(patience_ends(&p, 0, 100 * S), "the first look begins");
	cr_expect_not(patience_ends(&p, 0, 104 * S));
	cr_expect_not(patience_ends(&p, 1, 104 * S), "a byte");
	cr_expect_not(patience_ends(&p, 1, 108 * S));
	patience_confirm(&p, 1);
	cr_expect_not(patience_ends(&p, 1, 112 * S), "a record");
	cr_expect_not(patience_ends(&p, 1, 116 * S));
	cr_expect(patience_ends(&p, 1, 117 * S));
}

/* It reads a byte a second, and would for days. */
Test(patience, it_ends_at_the_limit_however_little_moves)
{
	struct patience p = {.wait_ns = 5 * S, .until_ns = 130 * S};
	patience_renew(&p, 100 * S);
	for (int64_t s = 100; s < 130; s++)
		cr_expect_not(patience_ends(&p, (uint64_t)s, s * S), "%d s", (int)s);
	cr_expect(patience_ends(&p, 131, 130 * S));
}

/* Each session takes the same 50 bytes and is reset. */
Test(patience, sessions_in_vain_move_nothing)
{
	struct patience p = {.wait_ns = 5 * S};
	uint64_t bytes = 0;
	int64_t now = 100 * S;
	patience_renew(&p, now);
	for (; now < 200 * S; now += S) {
		patience_begin(&p, bytes);
		bytes += 50;
		cr_expect_not(patience_ends(&p, bytes, now), "while it takes something");
		patience_fall(&p, bytes);
		if (patience_ends(&p, bytes, now + S / 2))
			break;
	}
	cr_expect_leq(now, 108 * S);
}

/* ... but not those that get further, or in which something is confirmed. */
Test(patience, sessions_that_get_further_are_waited_for)
{
	struct patience p = {.wait_ns = 5 * S};
	uint64_t bytes = 0;
	patience_renew(&p, 100 * S);
	for (int64_t s = 100; s < 200; s++) {
		patience_begin(&p, bytes);
		bytes += s < 150 ? (uint64_t)s : 50;
		if (s >= 150)
			patience_confirm(&p, 1);
		cr_expect_not(patience_ends(&p, bytes, s * S), "%d s", (int)s);
		patience_fall(&p, bytes);
		cr_expect_not(patience_ends(&p, bytes, s * S + S / 2), "%d s", (int)s);
	}
}
