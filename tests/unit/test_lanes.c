/*
 * Template protocols over a transport that sends messages of one length in a row for the price of
 * few: what leaves, and in which order. RFC 7011 §3.1 and RFC 3954 §5.1: the sequence is that of
 * messages as they leave, and nothing is lost or told twice.
 */
#include "export.h"

enum { ROW = 4, MTU = 228, MAX = MTU - 28 };

static struct sink *s;
static struct encoder *enc;

static void enter(void)
{
	sink_row = ROW;
}

TestSuite(lanes, .init = enter);

static void open_lanes(const char *url)
{
	enc = sink_open(&s, url, NULL);
	enc->ops->begin(enc, (struct pkt_time){T0});
}

static void open_live(const char *url)
{
	const struct exporter_conf run = {.sampling_n = 1};
	enc = sink_open(&s, url, &run);
	enc->ops->begin(enc, (struct pkt_time){T0});
}

static void give(const struct flow_record *r, unsigned n, int64_t clock)
{
	for (unsigned i = 0; i < n; i++)
		enc->ops->record(enc, r, (struct pkt_time){clock});
}

static uint32_t number(unsigned message, size_t at, unsigned width)
{
	size_t len;
	const uint8_t *p = sink_message(s, message, &len);
	uint32_t v = 0;
	cr_assert_leq(at + width, len);
	for (unsigned i = 0; i < width; i++)
		v = v << 8 | p[at + i];
	return v;
}

#define IPFIX "ipfix://h?mtu=228&fields=sourceIPv4Address,sourceIPv6Address"

/* With the selector: 8 and 20 bytes a record. */
enum { IPFIX_BODY = 16 + 4, FOUR = (MAX - IPFIX_BODY) / 8, SIX = (MAX - IPFIX_BODY) / 20 };

/* How many flow records of the set that begins at `at`. */
static unsigned records_of(unsigned message, size_t at, unsigned size)
{
	return (number(message, at + 2, 2) - 4) / size;
}

Test(lanes, records_of_two_templates_leave_in_rows_of_messages_of_one_length)
{
	open_lanes(IPFIX);
	const struct flow_record a = record_udp4(), b = record_tcp6();
	const unsigned first = s->count;
	for (unsigned i = 0; i < ROW * SIX; i++) {
		give(&a, 1, T0);
		give(&b, 1, T0);
	}
	cr_assert_eq(s->count, first, "a row is full with the record behind it");
	give(&b, 1, T0);
	cr_assert_eq(s->count, first + ROW);
	uint32_t sequence = number(first, 8, 4);
	for (unsigned i = first; i < s->count; i++, sequence += SIX) {
		cr_expect_eq(s->message[i].len, s->message[first].len);
		cr_expect_eq(number(i, 2, 2), s->message[i].len);
		cr_expect_eq(number(i, 16, 2), 257);
		cr_expect_eq(records_of(i, 16, 20), SIX);
		cr_expect_eq(number(i, 8, 4), sequence, "in the order in which they leave");
	}
	sink_close(s, enc);
}

Test(lanes, all_that_waits_leaves_after_a_second_of_the_clock)
{
	open_lanes(IPFIX);
	const struct flow_record a = record_udp4(), b = record_tcp6();
	const unsigned first = s->count;
	const uint32_t sequence = number(first - 1, 8, 4);
	give(&a, FOUR + 1, T0);
	give(&b, 1, T0 + NS_PER_S / 2);
	cr_expect_eq(enc->due_ns, T0 + NS_PER_S + 1);
	enc->ops->advance(enc, (struct pkt_time){T0 + NS_PER_S});
	cr_assert_eq(s->count, first);
	enc->ops->advance(enc, (struct pkt_time){T0 + 20 * NS_PER_S});
	cr_assert_eq(s->count, first + 3);
	cr_expect_eq(records_of(first, 16, 8), FOUR);
	cr_expect_eq(records_of(first + 1, 16, 8), 1);
	cr_expect_eq(records_of(first + 2, 16, 20), 1);
	for (unsigned i = first; i < first + 3; i++)
		cr_expect_eq(number(i, 4, 4), 0x6553f101, "told when it was due");
	const uint32_t options = number(first, 8, 4) - sequence;
	enc->ops->end(enc, (struct pkt_time){T0 + 20 * NS_PER_S}, true);
	cr_assert_eq(s->count, first + 4, "and the totals");
	cr_expect_eq(number(first + 3, 8, 4), sequence + options + FOUR + 2);
	sink_close(s, enc);
}

Test(lanes, the_end_sends_what_waits_before_the_totals)
{
	open_lanes(IPFIX);
	const struct flow_record a = record_udp4(), b = record_tcp6();
	const unsigned first = s->count;
	give(&b, 1, T0);
	give(&a, 2, T0);
	enc->ops->end(enc, (struct pkt_time){T0}, true);
	cr_assert_eq(s->count, first + 3);
	cr_expect_eq(s->message[first].records, 2);
	cr_expect_eq(s->message[first + 1].records, 1);
	cr_expect_eq(s->message[first + 2].records, 0);
	sink_close(s, enc);
}

Test(lanes, templates_come_again_within_a_row_after_so_many_messages)
{
	open_lanes(IPFIX "&template-refresh-packets=3");
	const struct flow_record a = record_udp4();
	const unsigned opening = s->count;
	give(&a, ROW * FOUR + 1, T0);
	give(&a, ROW * FOUR, T0);
	enc->ops->end(enc, (struct pkt_time){T0}, true);
	unsigned in_a_row = 0, most = 0, records = 0, announced = 0;
	const uint32_t sequence = number(opening - 1, 8, 4);
	for (unsigned i = opening; i < s->count; i++) {
		const bool flows = s->message[i].records != 0;
		in_a_row = flows ? in_a_row + 1 : 0;
		most = in_a_row > most ? in_a_row : most;
		announced += number(i, 16, 2) == 2;
		if (flows)
			cr_expect_geq(number(i, 8, 4), sequence + records);
		records += s->message[i].records;
	}
	cr_expect_eq(records, 2 * ROW * FOUR + 1);
	cr_expect_leq(most, 3);
	cr_expect_geq(announced, 2);
	sink_close(s, enc);
}

/* What a collector computes: 1000 * seconds - uptime + offset. */
static int64_t absolute_ms(unsigned message, size_t at)
{
	return (int64_t)number(message, 8, 4) * 1000 - number(message, 4, 4) +
	       number(message, at, 4);
}

Test(lanes, v9_each_message_has_one_boot_whatever_the_others_have)
{
	open_lanes("netflow9://h?mtu=228&fields=flowStartSysUpTime,sourceIPv4Address,"
		   "sourceIPv6Address");
	struct flow_record a = record_udp4(), b = record_tcp6(), old = record_udp4();
	old.dir[0].first_ns -= 20 * 86400 * NS_PER_S;
	const unsigned first = s->count;
	give(&a, 1, T0);
	give(&b, 1, T0);
	give(&old, 1, T0);
	give(&b, 1, T0);
	enc->ops->end(enc, (struct pkt_time){T0}, true);
	cr_assert_eq(s->count, first + 4);
	static const unsigned records[] = {1, 1, 2};
	const struct flow_record *const of[] = {&a, &old, &b};
	for (unsigned i = 0; i < 3; i++) {
		cr_expect_eq(s->message[first + i].records, records[i]);
		cr_expect_eq(number(first + i, 12, 4), first + i, "messages in a row");
		cr_expect_eq(absolute_ms(first + i, 24), of[i]->dir[0].first_ns / NS_PER_MS);
	}
	sink_close(s, enc);
}

Test(lanes, what_is_complete_and_waits_is_in_the_books)
{
	open_lanes(IPFIX);
	const struct flow_record a = record_udp4();
	give(&a, FOUR, T0);
	cr_expect_eq(stat_get(&s->counters.complete), 0);
	give(&a, 1, T0);
	cr_expect_eq(stat_get(&s->counters.complete), FOUR);
	enc->ops->end(enc, (struct pkt_time){T0}, true);
	cr_expect_eq(stat_get(&s->counters.complete), 0);
	sink_close(s, enc);
}

/* It need not wait for a row where the thread has nothing else to do. */
Test(lanes, live_what_is_complete_leaves_when_the_thread_sleeps)
{
	open_live(IPFIX);
	const struct flow_record a = record_udp4(), b = record_tcp6();
	const unsigned first = s->count;
	give(&a, 2 * FOUR + 1, T0);
	give(&b, 1, T0);
	enc->ops->push(enc, (struct pkt_time){T0});
	cr_assert_eq(s->count, first + 2);
	enc->ops->push(enc, (struct pkt_time){T0});
	give(&a, FOUR, T0);
	cr_assert_eq(s->count, first + 2, "the rest is in the making");
	enc->ops->end(enc, (struct pkt_time){T0}, true);
	static const unsigned records[] = {FOUR, FOUR, FOUR, 1, 1};
	cr_assert_eq(s->count, first + 6, "and the totals");
	uint32_t sequence = number(first, 8, 4);
	for (unsigned i = 0; i < 5; sequence += records[i++]) {
		cr_expect_eq(s->message[first + i].records, records[i]);
		cr_expect_eq(number(first + i, 8, 4), sequence);
		cr_expect_eq(records_of(first + i, 16, i < 4 ? 8 : 20), records[i]);
	}
	cr_expect_eq(number(first + 2, 20, 4), 0xc0000201, "what was moved is whole");
	cr_expect_eq(stat_get(&s->counters.complete), 0);
	sink_close(s, enc);
}

/* Its bytes must not depend on when threads sleep. */
Test(lanes, a_replay_waits_for_rows)
{
	open_lanes(IPFIX);
	const struct flow_record a = record_udp4();
	const unsigned first = s->count;
	give(&a, 2 * FOUR + 1, T0);
	enc->ops->push(enc, (struct pkt_time){T0});
	cr_expect_eq(s->count, first);
	sink_close(s, enc);
}
