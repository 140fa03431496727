/* NetFlow v5 messages, against bytes laid out by hand from Cisco's description of the format. */
#include "export.h"

#define CLOCK (T0 + 250500000) /* .2505 s */

static struct sink *s;
static struct encoder *enc;

static void open_v5(const char *url, enum sampling_mode mode, uint32_t n)
{
	const struct exporter_conf run = {.replay = true, .sampling = mode, .sampling_n = n};
	enc = sink_open(&s, url, &run);
}

static void give(const struct flow_record *r, int64_t clock)
{
	enc->ops->record(enc, r, (struct pkt_time){clock});
}

static void finish(int64_t clock)
{
	enc->ops->end(enc, (struct pkt_time){clock}, true);
}

static uint32_t word(unsigned message, size_t at)
{
	size_t len;
	const uint8_t *p = sink_message(s, message, &len) + at;
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

Test(netflow5, one_record)
{
	open_v5("netflow5://h", SAMPLING_NONE, 1);
	struct flow_record r = record_udp4();
	give(&r, CLOCK);
	cr_assert_eq(s->count, 0, "waits for more");
	finish(CLOCK);
	/* The boot lies a day before 1700000000: uptime 86400250 ms, residue 250000000 ns. */
	expect_message(s, 0,
		       "0005 0001 05265cfa 6553f100 0ee6b280 00000000 00 01 4001"
		       "c0000201 c6336402 00000000 0007 0000 00000003 000000b4"
		       "05265431 05265818 0401 0035 00 00 11 b8 0000 0000 00 00 0000");
	cr_expect_eq(s->message[0].records, 1);
	sink_close(s, enc);
}

Test(netflow5, thirty_records_fill_a_message_and_the_sequence_counts_records)
{
	open_v5("netflow5://h", SAMPLING_NONE, 1);
	struct flow_record r = record_udp4();
	for (unsigned i = 0; i < 31; i++)
		give(&r, CLOCK);
	cr_assert_eq(s->count, 1);
	cr_expect_eq(s->message[0].len, 24 + 30 * 48);
	cr_expect_eq(word(0, 0), 0x0005001e);
	finish(CLOCK);
	cr_expect_eq(word(1, 0), 0x00050001);
	cr_expect_eq(word(1, 16), 30);
	sink_close(s, enc);
}

Test(netflow5, smaller_mtu_holds_fewer_records)
{
	open_v5("netflow5://h?mtu=200", SAMPLING_NONE, 1);
	struct flow_record r = record_udp4();
	for (unsigned i = 0; i < 3; i++)
		give(&r, CLOCK);
	cr_expect_eq(s->count, 1);
	cr_expect_eq(s->message[0].len, 24 + 3 * 48);
	sink_close(s, enc);
}

Test(netflow5, sampling_is_mode_and_interval)
{
	static const struct {
		enum sampling_mode mode;
		uint32_t n, field;
	} rows[] = {
		{SAMPLING_NONE, 1, 0x4001},
		{SAMPLING_SYSTEMATIC, 100, 0x4064},
		{SAMPLING_RANDOM, 16383, 0xbfff},
		{SAMPLING_FLOW, 2, 0x8002},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		open_v5("netflow5://h?domain=9", rows[i].mode, rows[i].n);
		struct flow_record r = record_udp4();
		give(&r, CLOCK);
		finish(CLOCK);
		cr_expect_eq(word(0, 20), 9u << 16 | rows[i].field, "engine 9, row %zu", i);
		sink_close(s, enc);
	}
}

/* One packet in 100 of one flow in 50: random, 1/5000. */
Test(netflow5, sampling_of_the_output_is_told_as_a_product)
{
	open_v5("netflow5://h?domain=9&sample=50", SAMPLING_SYSTEMATIC, 100);
	struct flow_record r = record_udp4();
	give(&r, CLOCK);
	finish(CLOCK);
	cr_expect_eq(word(0, 20), 9u << 16 | 2u << 14 | 5000);
	sink_close(s, enc);
}

Test(netflow5, ipv6_is_counted_and_not_sent)
{
	open_v5("netflow5://h", SAMPLING_NONE, 1);
	struct flow_record r = record_tcp6();
	give(&r, CLOCK);
	give(&r, CLOCK);
	finish(CLOCK);
	cr_expect_eq(s->count, 0);
	cr_expect_eq(s->counters.dropped[DROP_IPV6], 2);
	sink_close(s, enc);
}

Test(netflow5, counters_above_32_bits_become_several_records_with_the_same_sum)
{
	open_v5("netflow5://h", SAMPLING_NONE, 1);
	struct flow_record r = record_udp4();
	r.dir[0].octets = UINT64_C(0x200000001); /* 8 GiB and one */
	r.dir[0].packets = 7000001;
	give(&r, CLOCK);
	finish(CLOCK);
	cr_assert_eq(s->message[0].records, 3);
	uint64_t packets = 0, octets = 0;
	for (unsigned i = 0; i < 3; i++) {
		packets += word(0, 24 + 48 * i + 16);
		octets += word(0, 24 + 48 * i + 20);
		cr_expect_eq(word(0, 24 + 48 * i + 24), 0x05265431, "each has the times");
	}
	cr_expect_eq(packets, 7000001);
	cr_expect_eq(octets, UINT64_C(0x200000001));
	sink_close(s, enc);
}

Test(netflow5, the_largest_32_bit_counter_is_one_record)
{
	open_v5("netflow5://h", SAMPLING_NONE, 1);
	struct flow_record r = record_udp4();
	r.dir[0].octets = UINT32_MAX;
	give(&r, CLOCK);
	finish(CLOCK);
	cr_expect_eq(s->message[0].records, 1);
	cr_expect_eq(word(0, 24 + 20), UINT32_MAX);
	sink_close(s, enc);
}

/* What a collector computes: seconds * 1000 + nanoseconds / 10^6 - uptime + offset. */
static int64_t absolute_ms(unsigned message, size_t at)
{
	return (int64_t)word(message, 8) * 1000 + word(message, 12) / 1000000 - word(message, 4) +
	       word(message, at);
}

Test(netflow5, a_flow_older_than_the_boot_moves_it_and_times_come_back_exactly)
{
	open_v5("netflow5://h", SAMPLING_NONE, 1);
	struct flow_record now = record_udp4(), old = record_udp4();
	old.dir[0].first_ns -= 10 * 86400 * NS_PER_S;
	old.dir[0].last_ns -= 9 * 86400 * NS_PER_S + 1000000;
	give(&now, CLOCK);
	give(&old, CLOCK);
	finish(CLOCK);
	cr_assert_eq(s->count, 2, "a message has one boot");
	cr_expect_eq(absolute_ms(0, 24 + 24), now.dir[0].first_ns / NS_PER_MS);
	cr_expect_eq(absolute_ms(0, 24 + 28), now.dir[0].last_ns / NS_PER_MS);
	cr_expect_eq(absolute_ms(1, 24 + 24), old.dir[0].first_ns / NS_PER_MS);
	cr_expect_eq(absolute_ms(1, 24 + 28), old.dir[0].last_ns / NS_PER_MS);
	sink_close(s, enc);
}

Test(netflow5, a_message_waits_no_longer_than_a_second_of_the_clock)
{
	open_v5("netflow5://h", SAMPLING_NONE, 1);
	struct flow_record r = record_udp4();
	give(&r, CLOCK);
	cr_expect_eq(enc->due_ns, CLOCK + NS_PER_S + 1);
	enc->ops->advance(enc, (struct pkt_time){enc->due_ns});
	cr_expect_eq(s->count, 1);
	cr_expect_eq(enc->due_ns, INT64_MAX);
	sink_close(s, enc);
}

Test(netflow5, interface_numbers_that_do_not_fit_are_unknown)
{
	open_v5("netflow5://h", SAMPLING_NONE, 1);
	struct flow_record r = record_udp4();
	r.dir[0].ingress = 65536;
	r.dir[0].egress = 65537;
	give(&r, CLOCK);
	r.dir[0].ingress = 65535;
	r.dir[0].egress = 12;
	give(&r, CLOCK);
	finish(CLOCK);
	cr_expect_eq(word(0, 24 + 12), 0);
	cr_expect_eq(word(0, 24 + 48 + 12), 0xffff000c);
	sink_close(s, enc);
}
