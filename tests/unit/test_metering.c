/* METERING.md §5 and §6, rule by rule: which flow a packet joins, and when and why a record ends. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "flows.h"

static struct bench b;

static void setup(void)
{
	bench_init(&b);
}

static void teardown(void)
{
	bench_fini(&b);
}

TestSuite(metering, .init = setup, .fini = teardown);

/* Ends everything at the clock and checks the number of records. */
static void flush_expecting(unsigned records)
{
	flow_table_flush(b.table, b.clock);
	cr_assert_eq(b.records, records, "%u records, not %u", b.records, records);
}

static void expect_record(unsigned i, unsigned reason, uint64_t forward, uint64_t reverse)
{
	const struct flow_record *r = bench_record(&b, i);
	cr_expect_eq(r->end_reason, reason, "record %u: reason %u", i, r->end_reason);
	cr_expect_eq(r->dir[0].packets, forward, "record %u: %lu forward", i, r->dir[0].packets);
	cr_expect_eq(r->dir[1].packets, reverse, "record %u: %lu reverse", i, r->dir[1].packets);
}

static const struct shot udp_out = {.from = 1, .to = 2, .sport = 1000, .dport = 53};
static const struct shot udp_back = {.from = 2, .to = 1, .sport = 53, .dport = 1000};

static struct shot tcp(unsigned flags)
{
	return (struct shot){
		.from = 1, .to = 2, .sport = 1000, .dport = 80, .proto = TCP, .tcp_flags = flags};
}

static struct shot tcp_back(unsigned flags)
{
	return (struct shot){
		.from = 2, .to = 1, .sport = 80, .dport = 1000, .proto = TCP, .tcp_flags = flags};
}

/* ---- directions --------------------------------------------------------------------------- */

Test(metering, both_directions_are_one_flow)
{
	bench_packet(&b, MS(1000), udp_out);
	bench_packet(&b, MS(1010), udp_back);
	flush_expecting(1);
	expect_record(0, FLOW_END_FORCED, 1, 1);
	const struct flow_record *r = bench_record(&b, 0);
	cr_expect_eq(r->src[3], 1);
	cr_expect_eq(r->dport, 53);
	cr_expect_eq(r->dir[0].first_ns, MS(1000));
	cr_expect_eq(r->dir[1].last_ns, MS(1010));
}

Test(metering, syn_ack_first_turns_the_flow)
{
	bench_packet(&b, MS(1), tcp_back(SYN | ACK));
	flush_expecting(1);
	expect_record(0, FLOW_END_FORCED, 0, 1);
	cr_expect_eq(bench_record(&b, 0)->src[3], 1, "the initiator is the destination");
}

Test(metering, icmp_reply_first_turns_the_flow)
{
	bench_packet(&b, MS(1), (struct shot){.from = 2, .to = 1, .proto = ICMP, .dport = 0});
	bench_packet(&b, MS(2), (struct shot){.from = 1, .to = 2, .proto = ICMP, .dport = 0x0800});
	flush_expecting(1);
	expect_record(0, FLOW_END_FORCED, 1, 1);
	cr_expect_eq(bench_record(&b, 0)->src[3], 1);
	cr_expect_eq(bench_record(&b, 0)->dport, 0x0800);
	cr_expect_eq(bench_record(&b, 0)->icmp[1], 0);
}

Test(metering, echo_requests_of_both_sides_are_two_flows)
{
	bench_packet(&b, MS(1), (struct shot){.from = 1, .to = 2, .proto = ICMP, .dport = 0x0800});
	bench_packet(&b, MS(2), (struct shot){.from = 2, .to = 1, .proto = ICMP, .dport = 0x0800});
	bench_packet(&b, MS(3), (struct shot){.from = 1, .to = 2, .proto = ICMP, .dport = 0});
	flush_expecting(2);
	expect_record(0, FLOW_END_FORCED, 1, 0);
	expect_record(1, FLOW_END_FORCED, 1, 1);
}

Test(metering, icmp_without_a_pair_has_no_reverse)
{
	bench_packet(&b, MS(1), (struct shot){.from = 1, .to = 2, .proto = ICMP, .dport = 0x0301});
	bench_packet(&b, MS(2), (struct shot){.from = 2, .to = 1, .proto = ICMP, .dport = 0x0301});
	flush_expecting(2);
}

Test(metering, icmp_of_unknown_type_is_no_echo_reply)
{
	struct shot reply = {.from = 1, .to = 2, .proto = ICMP};
	bench_packet(&b, MS(1), reply);
	reply.no_ports = true;
	bench_packet(&b, MS(2), reply);
	flush_expecting(2);
	expect_record(0, FLOW_END_FORCED, 0, 1);
	expect_record(1, FLOW_END_FORCED, 1, 0);
	cr_expect_not(bench_record(&b, 1)->icmp_known);
}

Test(metering, flow_with_itself_has_one_direction)
{
	struct shot self = {.from = 1, .to = 1, .sport = 9, .dport = 9};
	bench_packet(&b, MS(1), self);
	bench_packet(&b, MS(2), self);
	flush_expecting(1);
	expect_record(0, FLOW_END_FORCED, 2, 0);
}

/* ---- ToS ---------------------------------------------------------------------------------- */

static void tos_packet(int64_t at, bool back, uint8_t tos)
{
	struct shot s = back ? udp_back : udp_out;
	s.tos = tos;
	bench_packet(&b, at, s);
}

Test(metering, ecn_bits_do_not_tear_a_flow)
{
	tos_packet(MS(1), false, 0);
	tos_packet(MS(2), false, 3);
	flush_expecting(1);
	cr_expect_eq(bench_record(&b, 0)->dir[0].tos, 0);
}

Test(metering, another_tos_is_another_flow)
{
	tos_packet(MS(1), false, 0);
	tos_packet(MS(2), false, 8);
	flush_expecting(2);
}

Test(metering, each_direction_has_its_own_tos)
{
	tos_packet(MS(1), false, 0);
	tos_packet(MS(2), true, 40);
	tos_packet(MS(3), true, 40);
	flush_expecting(1);
	expect_record(0, FLOW_END_FORCED, 1, 2);
	cr_expect_eq(bench_record(&b, 0)->dir[1].tos, 40);
}

Test(metering, packet_prefers_the_flow_that_has_its_tos)
{
	tos_packet(MS(1), false, 0);  /* flow 1 */
	tos_packet(MS(2), false, 8);  /* flow 2 */
	tos_packet(MS(3), true, 40);  /* unset in both: the oldest, flow 1 */
	tos_packet(MS(4), true, 80);  /* set otherwise in 1: flow 2 */
	tos_packet(MS(5), true, 40);  /* flow 1 again, though flow 2 is no longer unset */
	flush_expecting(2);
	expect_record(0, FLOW_END_FORCED, 1, 2);
	expect_record(1, FLOW_END_FORCED, 1, 1);
}

Test(metering, ninth_flow_ends_the_one_longest_idle)
{
	for (unsigned i = 0; i < 8; i++)
		tos_packet(MS(100 + i), false, (uint8_t)(i * 4));
	tos_packet(MS(200), false, 0); /* the first is not the longest idle any more */
	tos_packet(MS(300), false, 32);
	cr_assert_eq(b.records, 1);
	expect_record(0, FLOW_END_RESOURCES, 1, 0);
	cr_expect_eq(bench_record(&b, 0)->dir[0].tos, 4);
	flush_expecting(9);
}

Test(metering, what_is_due_among_the_eight_comes_before_the_ninth)
{
	tos_packet(MS(0), false, 0);
	for (unsigned i = 1; i < 8; i++)
		tos_packet(MS(10000), false, (uint8_t)(i * 4));
	tos_packet(MS(15001), false, 32);
	cr_assert_eq(b.records, 1);
	expect_record(0, FLOW_END_IDLE, 1, 0);
}

/* ---- idle --------------------------------------------------------------------------------- */

Test(metering, idle_is_due_only_past_the_timeout)
{
	bench_packet(&b, MS(1000), udp_out);
	bench_packet(&b, MS(16000), udp_out);
	flush_expecting(1);
	expect_record(0, FLOW_END_FORCED, 2, 0);
}

Test(metering, idle_ends_a_flow)
{
	bench_packet(&b, MS(1000), udp_out);
	bench_packet(&b, MS(16000) + 1, udp_back);
	flush_expecting(2);
	expect_record(0, FLOW_END_IDLE, 1, 0);
	expect_record(1, FLOW_END_FORCED, 1, 0);
}

Test(metering, late_packet_arrives_at_the_clock)
{
	bench_packet(&b, MS(1000), udp_out);
	bench_packet(&b, MS(14000), (struct shot){.from = 8, .to = 9});
	bench_packet(&b, MS(900), udp_out); /* late: arrives at 14000 */
	bench_packet(&b, MS(29000), udp_out);
	flush_expecting(2);
	const struct flow_record *r = bench_record(&b, 0)->src[3] == 1 ? bench_record(&b, 0)
								       : bench_record(&b, 1);
	cr_expect_eq(r->dir[0].packets, 3);
	cr_expect_eq(r->dir[0].first_ns, MS(900));
	cr_expect_eq(r->dir[0].last_ns, MS(29000));
}

/* ---- active ------------------------------------------------------------------------------- */

Test(metering, active_is_due_at_its_instant)
{
	for (int t = 0; t <= 60; t += 10)
		bench_packet(&b, MS(1000 * t), udp_out);
	cr_assert_eq(b.records, 1);
	expect_record(0, FLOW_END_ACTIVE, 6, 0);
	flush_expecting(2);
	expect_record(1, FLOW_END_FORCED, 1, 0);
	cr_expect_eq(bench_record(&b, 0)->flow_id, bench_record(&b, 1)->flow_id);
}

Test(metering, initiator_stays_over_an_active_timeout)
{
	for (int t = 0; t < 60; t += 10)
		bench_packet(&b, MS(1000 * t), udp_out);
	bench_packet(&b, MS(61000), udp_back);
	flush_expecting(2);
	expect_record(1, FLOW_END_FORCED, 0, 1);
	cr_expect_eq(bench_record(&b, 1)->src[3], 1);
}

Test(metering, record_without_packets_is_never_sent)
{
	for (int t = 0; t < 60; t += 10)
		bench_packet(&b, MS(1000 * t), udp_out);
	b.clock = MS(300000);
	flow_table_advance(b.table, b.clock);
	/* active at 60 s came before idle at 65 s, which then found nothing */
	cr_assert_eq(b.records, 1);
	expect_record(0, FLOW_END_ACTIVE, 6, 0);
	cr_expect_eq(flow_table_held(b.table), 0);
}

Test(metering, idle_before_active_on_one_instant)
{
	for (int t = 0; t <= 45; t += 15)
		bench_packet(&b, MS(1000 * t), udp_out);
	b.clock = MS(61000);
	flow_table_flush(b.table, b.clock);
	cr_assert_eq(b.records, 1);
	expect_record(0, FLOW_END_IDLE, 4, 0);
}

/* ---- TCP ---------------------------------------------------------------------------------- */

Test(metering, fin_of_both_sides_closes_after_the_linger)
{
	bench_packet(&b, MS(0), tcp(SYN));
	bench_packet(&b, MS(1), tcp_back(SYN | ACK));
	bench_packet(&b, MS(2), tcp(FIN | ACK));
	bench_packet(&b, MS(3), tcp_back(FIN | ACK));
	bench_packet(&b, MS(2003), tcp(ACK)); /* within the linger, at its last instant */
	b.clock = MS(3000);
	flow_table_advance(b.table, b.clock);
	cr_assert_eq(b.records, 1);
	expect_record(0, FLOW_END_DETECTED, 3, 2);
}

Test(metering, packet_past_the_linger_begins_a_new_flow)
{
	bench_packet(&b, MS(0), tcp(RST));
	bench_packet(&b, MS(2000) + 1, tcp(ACK));
	flush_expecting(2);
	expect_record(0, FLOW_END_DETECTED, 1, 0);
}

Test(metering, one_sided_fin_closes_a_one_sided_flow)
{
	bench_packet(&b, MS(0), tcp(ACK));
	bench_packet(&b, MS(1), tcp(FIN | ACK));
	b.clock = MS(2500);
	flow_table_advance(b.table, b.clock);
	cr_assert_eq(b.records, 1);
	expect_record(0, FLOW_END_DETECTED, 2, 0);
}

Test(metering, other_side_without_fin_reopens)
{
	bench_packet(&b, MS(0), tcp(FIN | ACK));
	bench_packet(&b, MS(1000), tcp_back(ACK));
	bench_packet(&b, MS(4000), tcp_back(FIN | ACK)); /* closes again, here */
	bench_packet(&b, MS(6000), tcp(ACK));
	b.clock = MS(6600);
	flow_table_advance(b.table, b.clock);
	cr_assert_eq(b.records, 1);
	expect_record(0, FLOW_END_DETECTED, 2, 2);
}

Test(metering, later_fin_does_not_move_the_closing_packet)
{
	bench_packet(&b, MS(0), tcp(RST));
	bench_packet(&b, MS(1500), tcp(FIN | ACK));
	bench_packet(&b, MS(2500), tcp(ACK));
	flush_expecting(2);
	expect_record(0, FLOW_END_DETECTED, 2, 0);
}

Test(metering, syn_on_a_closed_flow_ends_it_at_once)
{
	bench_packet(&b, MS(0), tcp(RST));
	bench_packet(&b, MS(500), tcp(SYN));
	cr_assert_eq(b.records, 1);
	expect_record(0, FLOW_END_DETECTED, 1, 0);
	flush_expecting(2);
	expect_record(1, FLOW_END_FORCED, 1, 0);
}

Test(metering, syn_on_an_open_flow_joins_it)
{
	bench_packet(&b, MS(0), tcp(ACK));
	bench_packet(&b, MS(500), tcp(SYN));
	flush_expecting(1);
}

Test(metering, closed_before_idle_on_one_instant)
{
	bench_fini(&b);
	struct flow_table_conf conf = bench_conf(&b);
	conf.idle_ns = conf.linger_ns = MS(5000);
	bench_open(&b, &conf);
	bench_packet(&b, MS(0), tcp(RST));
	b.clock = MS(9000);
	flow_table_flush(b.table, b.clock);
	cr_assert_eq(b.records, 1);
	expect_record(0, FLOW_END_IDLE, 1, 0); /* idle comes first of the two */
}

/* ---- sweeps ------------------------------------------------------------------------------- */

/* However often the table is swept, what leaves is the same. */
static unsigned run_script(int64_t sweep_every, struct flow_record *ret, unsigned max)
{
	bench_fini(&b);
	bench_init(&b);
	uint32_t seed = 5;
	int64_t now = 0, swept = 0;
	for (unsigned i = 0; i < 3000; i++) {
		seed = seed * 1664525u + 1013904223u;
		now += MS(seed >> 20 & 1023);
		struct shot s = seed >> 8 & 1 ? tcp(seed >> 9 & 0x17) : tcp_back(seed >> 9 & 0x17);
		s.sport = (uint16_t)(seed >> 30);
		s.tos = (uint8_t)(seed >> 28 & 3) * 4;
		if (sweep_every > 0 && now - swept >= sweep_every) {
			flow_table_advance(b.table, now);
			swept = now;
		}
		bench_packet(&b, now, s);
	}
	flow_table_flush(b.table, b.clock);
	for (unsigned i = 0; i < b.records && i < max; i++)
		ret[i] = *bench_record(&b, i);
	return b.records;
}

static int by_id_and_time(const void *x, const void *y)
{
	const struct flow_record *p = x, *q = y;
	if (p->flow_id != q->flow_id)
		return p->flow_id < q->flow_id ? -1 : 1;
	int64_t a = p->dir[0].packets ? p->dir[0].first_ns : p->dir[1].first_ns;
	int64_t c = q->dir[0].packets ? q->dir[0].first_ns : q->dir[1].first_ns;
	return a < c ? -1 : a > c;
}

Test(metering, sweeps_decide_only_when_a_record_leaves)
{
	static struct flow_record never[4096], often[4096];
	unsigned n = run_script(0, never, 4096), m = run_script(MS(300), often, 4096);
	cr_assert_eq(n, m);
	cr_assert_gt(n, 100);
	qsort(never, n, sizeof(never[0]), by_id_and_time);
	qsort(often, n, sizeof(often[0]), by_id_and_time);
	for (unsigned i = 0; i < n; i++) {
		cr_assert_eq(never[i].flow_id, often[i].flow_id);
		cr_assert_eq(never[i].end_reason, often[i].end_reason, "record %u", i);
		cr_assert_arr_eq(never[i].dir, often[i].dir, sizeof(never[i].dir));
	}
}

Test(metering, silent_port_exports_within_a_second)
{
	bench_packet(&b, MS(1000), udp_out);
	for (int64_t t = MS(1000); t < MS(17000) && b.records == 0; t += MS(100)) {
		b.clock = t;
		flow_table_advance(b.table, t);
	}
	cr_assert_eq(b.records, 1);
	cr_expect_lt(b.clock, MS(17000));
	cr_expect_lt(b.counters.v[COUNTER_EXPORT_LAG_NS], MS(1000));
}

Test(metering, a_record_keeps_nothing_of_its_slot)
{
	bench_packet(&b, MS(1000), (struct shot){.from = 1, .to = 2, .sport = 3, .dport = 4});
	flow_table_flush(b.table, b.clock);
	cr_assert_eq(b.records, 1);
	const struct flow_record *r = bench_record(&b, 0);
	static const struct flow_dir none;
	cr_expect_arr_eq(&r->dir[FLOW_REVERSE], &none, sizeof(none));
	cr_expect_not(r->dir[FLOW_FORWARD].directed);
	cr_expect_eq(r->dir[FLOW_FORWARD].direction, 0);
	cr_expect_arr_eq(r->src_mac, "\0\0\0\0\0\0", 6);
	cr_expect_arr_eq(r->dst_mac, "\0\0\0\0\0\0", 6);
	for (unsigned i = 4; i < 16; i++)
		cr_expect_eq(r->src[i] | r->dst[i], 0);
	cr_expect_eq(r->icmp[0] | r->icmp[1] | r->icmp_known, 0);
}

/* A flow in the place of one that was heard both ways, after time was set back: it goes idle by its
 * own packets. */
Test(metering, a_flow_keeps_nothing_of_its_place)
{
	bench_packet(&b, MS(1000000), udp_out);
	bench_packet(&b, MS(1000000), udp_back);
	flush_expecting(1);
	b.clock = 0;
	bench_packet(&b, MS(1000), udp_out);
	flow_table_advance(b.table, MS(17000));
	cr_assert_eq(b.records, 2);
	expect_record(1, FLOW_END_IDLE, 1, 0);
}
