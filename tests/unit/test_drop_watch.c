/* Losses said when they begin and end, and no oftener than promised. */
#include <criterion/criterion.h>

#include "drop_watch.h"

static struct drop_watch w;

static void setup(void)
{
	w = (struct drop_watch){.dropping = false};
}

TestSuite(drop_watch, .init = setup);

static enum drop_news at(int64_t ms, uint64_t total)
{
	return drop_watch_step(&w, (struct mono_time){ms * NS_PER_MS}, total);
}

Test(drop_watch, nothing_lost_is_no_news)
{
	for (int64_t ms = 0; ms < 100000; ms += 500)
		cr_assert_eq(at(ms, 0), DROP_NO_NEWS);
}

Test(drop_watch, a_loss_begins_at_once_and_ends_after_five_quiet_seconds)
{
	cr_assert_eq(at(1000, 0), DROP_NO_NEWS);
	cr_assert_eq(at(1500, 7), DROP_BEGINS);
	cr_assert_eq(at(2000, 10), DROP_NO_NEWS);
	cr_assert_eq(at(6900, 10), DROP_NO_NEWS);
	cr_assert_eq(at(7000, 10), DROP_ENDED);
	cr_assert_eq(w.total - w.before, 10);
	cr_assert_eq(w.last.ns - w.began.ns, 500 * NS_PER_MS);
	cr_assert_eq(at(7500, 10), DROP_NO_NEWS);
	cr_assert_eq(at(8000, 11), DROP_BEGINS);
	cr_assert_eq(at(13000, 11), DROP_ENDED);
	cr_assert_eq(w.total - w.before, 1);
}

Test(drop_watch, losses_now_and_then_are_one)
{
	unsigned news = 0;
	for (int64_t ms = 0; ms < 50000; ms += 500)
		news += at(ms, (uint64_t)(ms / 4500) + 1) != DROP_NO_NEWS;
	cr_assert_eq(news, 1, "%u", news);
}

Test(drop_watch, a_loss_that_goes_on_is_told_once_a_minute)
{
	unsigned news[4] = {0};
	for (int64_t ms = 0; ms < 300000; ms += 500)
		news[at(ms, (uint64_t)ms + 1)]++;
	cr_assert_eq(news[DROP_BEGINS], 1);
	cr_assert_eq(news[DROP_GOES_ON], 4);
	cr_assert_eq(news[DROP_ENDED], 0);
}
