/* The window of deliveries, against a plain list of what was reported. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../../exporter/transport/delivery.h"

static struct delivery d;

static void expect_taken(unsigned n, enum delivery_state state)
{
	enum delivery_state got = DELIVERY_OPEN;
	cr_assert_eq(delivery_take(&d, &got), n);
	if (n != 0)
		cr_assert_eq(got, state);
}

Test(delivery, front_is_told_in_order_whatever_order_reports_come_in)
{
	cr_assert_eq(delivery_init(&d, 8), 0);
	const uint64_t a = delivery_add(&d), b = delivery_add(&d), c = delivery_add(&d);
	delivery_report(&d, c, DELIVERY_ARRIVED);
	expect_taken(0, DELIVERY_OPEN);
	delivery_report(&d, a, DELIVERY_ARRIVED);
	expect_taken(1, DELIVERY_ARRIVED);
	expect_taken(0, DELIVERY_OPEN);
	delivery_report(&d, b, DELIVERY_ARRIVED);
	expect_taken(2, DELIVERY_ARRIVED);
	cr_assert_eq(delivery_held(&d), 0);
	delivery_fini(&d);
}

Test(delivery, fates_are_told_apart)
{
	cr_assert_eq(delivery_init(&d, 8), 0);
	for (unsigned i = 0; i < 5; i++)
		delivery_report(&d, delivery_add(&d), i == 2 ? DELIVERY_REFUSED : DELIVERY_ARRIVED);
	expect_taken(2, DELIVERY_ARRIVED);
	expect_taken(1, DELIVERY_REFUSED);
	expect_taken(2, DELIVERY_ARRIVED);
	expect_taken(0, DELIVERY_OPEN);
	delivery_fini(&d);
}

Test(delivery, late_report_of_an_earlier_session_is_no_news)
{
	cr_assert_eq(delivery_init(&d, 2), 0);
	const uint64_t old = delivery_add(&d);
	cr_assert_not(delivery_full(&d));
	delivery_add(&d);
	cr_assert(delivery_full(&d));
	delivery_reset(&d);
	const uint64_t young = delivery_add(&d); /* where the old one was */
	cr_assert_eq((young - old) % 2, 0);
	delivery_report(&d, old, DELIVERY_ARRIVED);
	expect_taken(0, DELIVERY_OPEN);
	delivery_report(&d, young + 1, DELIVERY_ARRIVED); /* never sent */
	expect_taken(0, DELIVERY_OPEN);
	delivery_report(&d, young, DELIVERY_ARRIVED);
	expect_taken(1, DELIVERY_ARRIVED);
	delivery_fini(&d);
}

/* Random sends and reports: what is taken is each message once, in order, after its report. */
Test(delivery, every_message_is_taken_once)
{
	enum { SIZE = 64, MESSAGES = 100000 };
	static unsigned char reported[MESSAGES];
	uint64_t sent = 0, taken = 0;
	srandom(7);
	cr_assert_eq(delivery_init(&d, SIZE), 0);
	while (taken < MESSAGES) {
		if (sent < MESSAGES && !delivery_full(&d) && random() % 2)
			cr_assert_eq(delivery_add(&d), sent++);
		if (taken < sent) {
			uint64_t i = taken + (uint64_t)random() % (sent - taken);
			reported[i] = random() % 5 == 0 ? DELIVERY_REFUSED : DELIVERY_ARRIVED;
			delivery_report(&d, i, reported[i]);
		}
		enum delivery_state state;
		for (unsigned n = delivery_take(&d, &state); n-- != 0; taken++)
			cr_assert_eq(reported[taken], state);
		cr_assert_leq(sent - taken, SIZE);
		cr_assert_eq(delivery_held(&d), sent - taken);
	}
	delivery_fini(&d);
}
