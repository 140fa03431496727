/* The flow table as a data structure: its parts agree after every operation, nothing is lost. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "flows.h"

static struct bench b;

static void teardown(void)
{
	bench_fini(&b);
}

static void setup_small(void)
{
	bench_init(&b);
	bench_fini(&b);
	struct flow_table_conf conf = bench_conf(&b);
	conf.flows = 64;
	bench_open(&b, &conf);
}

TestSuite(table, .init = setup_small, .fini = teardown);

static uint16_t random_flags(void)
{
	static const uint16_t flags[] = {SYN, SYN | ACK, ACK, ACK, ACK, FIN | ACK, RST, 0};
	return flags[rand() % 8];
}

Test(table, a_million_random_operations_keep_it_consistent, .timeout = 120)
{
	uint64_t sent = 0;
	int64_t now = MS(1000);
	srand(2);
	for (unsigned op = 0; op < 1000000; op++) {
		unsigned what = (unsigned)rand() % 1000;
		if (what < 980) {
			struct shot s = {.from = (uint8_t)(rand() % 6),
					 .to = (uint8_t)(rand() % 6),
					 .sport = (uint16_t)(rand() % 4),
					 .dport = (uint16_t)(rand() % 4),
					 .proto = rand() % 3 ? TCP : UDP,
					 .tcp_flags = random_flags(),
					 .tos = (uint8_t)(rand() % 12 * 4)};
			if (s.proto == UDP)
				s.tcp_flags = 0;
			bench_packet(&b, now - MS(rand() % 50), s);
			sent++;
		} else if (what < 999) {
			now += MS(rand() % 4000);
			b.clock = now > b.clock ? now : b.clock;
			flow_table_advance(b.table, b.clock);
		} else {
			flow_table_flush(b.table, b.clock);
			cr_assert_eq(flow_table_held(b.table), 0);
			now = b.clock = MS(rand() % 100000);
		}
		cr_assert(flow_table_is_consistent(b.table), "after operation %u", op);
		if (op % 1000 == 0)
			cr_assert_eq(b.packets + flow_table_held_packets(b.table), sent);
	}
	flow_table_flush(b.table, b.clock);
	cr_expect_eq(b.packets, sent);
	cr_expect_eq(b.counters.v[COUNTER_RECORD_PACKETS], sent);
	cr_expect_eq(b.counters.v[COUNTER_RECORDS], b.records);
}

Test(table, full_table_ends_unanswered_single_packets_first)
{
	/* two packets each way of an established flow, then a flood */
	for (unsigned i = 0; i < 4; i++)
		bench_packet(&b, MS(1000),
			     (struct shot){.from = i & 1 ? 2 : 1,
					   .to = i & 1 ? 1 : 2,
					   .sport = 9,
					   .dport = 9});
	for (unsigned i = 0; i < 5000; i++)
		bench_packet(&b, MS(1000 + i),
			     (struct shot){.from = 3, .to = 4, .sport = (uint16_t)i, .dport = 1});
	cr_expect_eq(flow_table_held(b.table), 64);
	for (unsigned i = 0; i < b.records && i < 4096; i++) {
		const struct flow_record *r = bench_record(&b, i);
		cr_assert_eq(r->end_reason, FLOW_END_RESOURCES);
		cr_assert_eq(r->dir[0].packets + r->dir[1].packets, 1);
	}
	cr_expect_eq(b.packets + flow_table_held_packets(b.table), 5004);
}

Test(table, counters_pass_32_bits)
{
	struct shot s = {.from = 1, .to = 2, .octets = 4000000000u};
	for (unsigned i = 0; i < 10; i++)
		bench_packet(&b, MS(1000), s);
	flow_table_flush(b.table, b.clock);
	cr_assert_eq(b.records, 1);
	cr_expect_eq(bench_record(&b, 0)->dir[0].octets, 40000000000u);
	cr_expect_eq(bench_record(&b, 0)->dir[0].packets, 10);
}

Test(table, counters_that_would_overflow_end_the_record)
{
	struct shot s = {.from = 1, .to = 2, .octets = UINT32_MAX};
	uint64_t octets = 0;
	for (unsigned i = 0; i < 70000; i++)
		bench_packet(&b, MS(1000), s);
	flow_table_flush(b.table, b.clock);
	cr_assert_eq(b.records, 2);
	cr_expect_eq(bench_record(&b, 0)->end_reason, FLOW_END_RESOURCES);
	for (unsigned i = 0; i < b.records; i++)
		octets += bench_record(&b, i)->dir[0].octets;
	cr_expect_eq(octets, UINT64_C(70000) * UINT32_MAX);
}

static union export_item *refuse(void *context)
{
	(void)context;
	return NULL;
}

Test(table, record_without_room_in_the_sink_is_counted)
{
	bench_fini(&b);
	struct flow_table_conf conf = bench_conf(&b);
	conf.sink.reserve = refuse;
	bench_open(&b, &conf);
	bench_packet(&b, MS(1), (struct shot){.from = 1, .to = 2});
	flow_table_flush(b.table, b.clock);
	cr_expect_eq(b.counters.v[COUNTER_RECORDS_LOST], 1);
	cr_expect_eq(b.counters.v[COUNTER_RECORDS], 0);
	cr_expect_eq(b.counters.v[COUNTER_RECORD_PACKETS], 1);
}

static bool refusing;

static union export_item *refuse_at_times(void *context)
{
	return refusing ? NULL : bench_reserve(context);
}

Test(table, sweep_waits_for_room_and_loses_nothing)
{
	bench_fini(&b);
	struct flow_table_conf conf = bench_conf(&b);
	conf.sink.reserve = refuse_at_times;
	bench_open(&b, &conf);
	for (unsigned i = 0; i < 100; i++)
		bench_packet(&b, MS(1000), (struct shot){.from = 1, .to = 2, .sport = (uint16_t)i});
	refusing = true;
	for (int64_t t = 17000; t < 20000; t += 300)
		flow_table_advance(b.table, MS(t));
	cr_expect_eq(flow_table_held(b.table), 100);
	cr_expect(flow_table_is_consistent(b.table));
	refusing = false;
	flow_table_advance(b.table, MS(20300));
	cr_expect_eq(flow_table_held(b.table), 0);
	cr_expect_eq(b.records, 100);
	cr_expect_eq(b.counters.v[COUNTER_RECORDS_LOST], 0);
}

/* --memory is divided by what a flow takes: about what the table takes, and what is kept beside the
 * rest to the byte. */
Test(table, a_flow_takes_the_memory_that_is_told)
{
	enum { FLOWS = 1 << 20 };
	static const uint64_t beside[] = {0, 12, 2 * 2, 12 + 2 * 2}; /* MAC addresses, egress */
	uint64_t least = 0;
	for (unsigned keep = 0; keep < 4; keep++) {
		struct flow_table_conf conf = bench_conf(&b);
		conf.flows = FLOWS;
		conf.keep_macs = keep & 1;
		conf.keep_egress = keep & 2;
		bench_fini(&b);
		bench_open(&b, &conf);
		const uint64_t told = flow_table_bytes_per_flow(keep & 1, keep & 2);
		const uint64_t taken = flow_table_bytes(b.table);
		least = keep == 0 ? taken : least;
		cr_assert_eq(told, flow_table_bytes_per_flow(false, false) + beside[keep], "kept %u", keep);
		cr_assert_eq((taken - least + FLOWS / 2) / FLOWS, beside[keep], "kept %u", keep);
		cr_assert_leq(taken, told * FLOWS / 20 * 21, "kept %u: %lu bytes", keep, taken);
		cr_assert_geq(taken, told * FLOWS / 20 * 19, "kept %u: %lu bytes", keep, taken);
	}
}
