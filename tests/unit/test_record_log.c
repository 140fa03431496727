/* The log of records, against a plain array that does the same, and the pauses between tries. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../../exporter/pace.h"
#include "../../exporter/record_log.h"
#include "../../exporter/transport/backoff.h"

enum { MODEL = 1 << 16 };

/* Ids in order; the first `sent` of them are sent, the first `flown` were at least once. */
struct model {
	uint64_t id[MODEL];
	unsigned count, sent, flown;
};

static struct model m;
static struct record_log *flow_log;
static uint64_t next_id;

static struct flow_record record(uint64_t id)
{
	return (struct flow_record){.kind = EXPORT_RECORD, .flow_id = id};
}

static void model_remove(unsigned at, unsigned n)
{
	memmove(&m.id[at], &m.id[at + n], (m.count - at - n) * sizeof(m.id[0]));
	m.count -= n;
}

static void add(void)
{
	struct flow_record r = record(next_id);
	if (m.count == MODEL)
		return;
	cr_assert_eq(record_log_add(flow_log, &r), 0);
	m.id[m.count++] = next_id++;
}

static void next(void)
{
	const struct flow_record *r = record_log_next(flow_log);
	if (m.sent == m.count) {
		cr_assert_null(r);
		return;
	}
	cr_assert_not_null(r);
	cr_assert_eq(r->flow_id, m.id[m.sent]);
	m.sent++;
	if (m.flown < m.sent)
		m.flown = m.sent;
}

static void confirm(unsigned n)
{
	n %= m.sent + 1;
	record_log_confirm(flow_log, n);
	model_remove(0, n);
	m.sent -= n;
	m.flown -= n;
}

static void take_away(unsigned most)
{
	struct flow_record got[80];
	/* what waits to be sent again can be taken only when none of it is sent */
	unsigned from = m.sent == 0 && m.flown != 0 ? 0 : m.flown;
	unsigned to = from == 0 && m.flown != 0 ? m.flown : m.count;
	unsigned want = to - from < most ? to - from : most;
	unsigned n = record_log_copy(flow_log, got, most);
	cr_assert_eq(n, want);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(got[i].flow_id, m.id[from + i]);
	record_log_drop(flow_log, n);
	model_remove(from, n);
	if (from == 0 && m.flown != 0)
		m.flown -= n;
}

static void same_as_model(void)
{
	const struct flow_record *oldest = record_log_oldest(flow_log);
	cr_assert_eq(record_log_sent(flow_log), m.sent);
	cr_assert_eq(record_log_unsent(flow_log), m.count - m.sent);
	cr_assert_eq(oldest == NULL, m.sent == m.count);
	if (oldest != NULL)
		cr_assert_eq(oldest->flow_id, m.id[m.sent]);
}

Test(record_log, does_what_an_array_does_whatever_the_order)
{
	srandom(7);
	cr_assert_eq(record_log_new(&flow_log), 0);
	for (unsigned step = 0; step < 200000; step++) {
		unsigned what = (unsigned)random() % 100, n = (unsigned)random() % 80 + 1;
		if (what < 45)
			add();
		else if (what < 80)
			next();
		else if (what < 92)
			confirm(n);
		else if (what < 98)
			take_away(n);
		else {
			record_log_rewind(flow_log);
			m.sent = 0;
		}
		same_as_model();
	}
	cr_assert_gt(next_id, 10000);
	record_log_free(flow_log);
}

Test(backoff, doubles_with_jitter_up_to_half_a_minute)
{
	struct backoff b = {0};
	int64_t top = NS_PER_S / 2;
	for (unsigned i = 0; i < 12; i++) {
		int64_t pause = backoff_next_ns(&b);
		cr_expect_geq(pause, top / 2);
		cr_expect_lt(pause, top);
		top = top * 2 > 30 * NS_PER_S ? 30 * NS_PER_S : top * 2;
	}
	backoff_reset(&b);
	cr_expect_lt(backoff_next_ns(&b), NS_PER_S / 2);
}

Test(backoff, two_do_not_knock_together)
{
	struct backoff a = {0}, b = {0};
	unsigned same = 0;
	for (unsigned i = 0; i < 8; i++)
		same += backoff_next_ns(&a) == backoff_next_ns(&b);
	cr_expect_lt(same, 2);
}

Test(pace, lets_through_what_the_rate_says)
{
	struct pace p = {.rate = 1000};
	unsigned taken = 0;
	for (int64_t now = NS_PER_S; now <= 3 * NS_PER_S; now += NS_PER_MS) {
		pace_refill(&p, now);
		for (; pace_ready(&p); taken++)
			pace_spend(&p);
	}
	/* two seconds, and the tenth that is saved up */
	cr_expect_geq(taken, 2000);
	cr_expect_leq(taken, 2102);
}
