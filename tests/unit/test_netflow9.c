/* NetFlow v9 messages, against bytes laid out by hand from RFC 3954 §5 and §6. */
#include "export.h"

static struct sink *s;
static struct encoder *enc;

static void open_v9(const char *url, enum sampling_mode mode, uint32_t n)
{
	const struct exporter_conf run = {.replay = true, .sampling = mode, .sampling_n = n};
	enc = sink_open(&s, url, &run);
}

static void begin(int64_t clock)
{
	enc->ops->begin(enc, (struct pkt_time){clock});
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

#define SMALL "netflow9://h?domain=5&fields=sourceIPv4Address,sourceIPv6Address,octetDeltaCount"

Test(netflow9, opening_message_has_templates_then_options)
{
	open_v9(SMALL, SAMPLING_SYSTEMATIC, 10);
	s->books = (struct export_books){.observed = 1000, .selected = 100};
	begin(T0);
	cr_assert_eq(s->count, 1);
	/* count: 2 + 7 templates, 7 options records; uptime: one day */
	expect_message(s, 0,
		       "0009 0010 05265c00 6553f100 00000000 00000005"
		       "0000 0024"
		       "0100 0003 0008 0004 0001 0008 0030 0001"
		       "0101 0003 001b 0010 0001 0008 0030 0001"
		       "0001 0018 0200 0004 0008 0001 0004 0022 0004 0023 0001 0000"
		       "0001 001c 0201 0004 000c 0001 0004 0030 0001 0031 0001 0032 0004 0000"
		       "0001 0018 0203 0004 0008 0001 0004 0030 0001 0022 0004 0000"
		       "0001 001c 0204 0004 000c 0001 0004 012d 0008 013e 0008 013f 0008 0000"
		       "0001 001c 0205 0004 000c 0001 0004 0029 0008 002a 0008 0028 0008 0000"
		       "0001 0018 0206 0004 0008 0001 0004 00a4 0008 0087 0008 0000"
		       "0001 0014 0207 0004 0004 0001 0004 00a6 0008 0000"
		       "0200 0010 00000005 0000000a 01 000000"
		       "0201 0010 00000005 01 01 0000000a 0000"
		       "0203 0010 00000005 01 0000000a 000000"
		       "0204 0020 00000005 0000000000000001 00000000000003e8 0000000000000064"
		       "0205 0020 00000005 0000000000000000 0000000000000000 0000000000000000"
		       "0206 0018 00000005 0000000000000000 0000000000000000"
		       "0207 0010 00000005 0000000000000000");
	sink_close(s, enc);
}

Test(netflow9, sequence_counts_messages_and_the_count_counts_records)
{
	open_v9(SMALL, SAMPLING_NONE, 1);
	begin(T0);
	struct flow_record a = record_udp4(), b = record_tcp6();
	give(&a, T0);
	give(&a, T0);
	give(&b, T0);
	finish(T0);
	cr_assert_eq(s->count, 3);
	expect_message(s, 1,
		       "0009 0003 05265c00 6553f100 00000001 00000005"
		       "0100 0020 c0000201 00000000000000b4 01 c0000201 00000000000000b4 01 0000"
		       "0101 0020 20010db8000000000000000000000001 0000000000000500 01 000000");
	cr_expect_eq(word(2, 12), 2);
	sink_close(s, enc);
}

Test(netflow9, default_template_and_record_for_ipv4)
{
	open_v9("netflow9://h", SAMPLING_NONE, 1);
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	expect_bytes(
		p + 24, 76,
		"0100 0012 0016 0004 0015 0004 0008 0004 000c 0004 0004 0001 0007 0002 000b 0002"
		"0005 0001 0002 0008 0001 0008 0006 0001 0034 0001 0035 0001 000a 0004 0088 0001"
		"0094 0008 00ef 0001 0030 0001");
	struct flow_record r = record_udp4();
	give(&r, T0);
	finish(T0);
	expect_message(s, 1,
		       "0009 0001 05265c00 6553f100 00000001 00000001 0100 003c"
		       "05265431 05265818 c0000201 c6336402 11 0401 0035 b8"
		       "0000000000000003 00000000000000b4 00 3f 40 00000007 01"
		       "0102030405060708 01 01");
	sink_close(s, enc);
}

Test(netflow9, icmp6_is_told_by_field_32_and_before_the_port)
{
	open_v9("netflow9://h?fields=icmpTypeCodeIPv6,destinationTransportPort", SAMPLING_NONE, 1);
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	/* IPv4, IPv6, IPv6 with ICMPv6 */
	expect_bytes(p + 20, 4 + 12 + 12 + 16,
		     "0000 002c 0100 0002 000b 0002 0030 0001 0101 0002 000b 0002 0030 0001"
		     "0102 0003 0020 0002 000b 0002 0030 0001");
	sink_close(s, enc);
}

/* What a collector computes: 1000 * seconds - uptime + offset. */
static int64_t absolute_ms(unsigned message, size_t at)
{
	return (int64_t)word(message, 8) * 1000 - word(message, 4) + word(message, at);
}

#define TIMES "netflow9://h?fields=flowStartSysUpTime,flowEndSysUpTime"

Test(netflow9, times_come_back_to_the_millisecond_whatever_the_clock)
{
	static const int64_t clocks[] = {T0, T0 + 1, T0 + 500000000, T0 + 999999999};
	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		open_v9(TIMES, SAMPLING_NONE, 1);
		begin(clocks[i]);
		struct flow_record r = record_udp4();
		give(&r, clocks[i]);
		finish(clocks[i]);
		cr_expect_eq(word(1, 8), 1700000000 + (i > 0), "rounded up");
		cr_expect_eq(word(1, 4) % 1000, 0);
		cr_expect_eq(absolute_ms(1, 24), 1699999998001);
		cr_expect_eq(absolute_ms(1, 28), 1699999999000);
		sink_close(s, enc);
	}
}

Test(netflow9, a_flow_older_than_the_boot_moves_it)
{
	open_v9(TIMES, SAMPLING_NONE, 1);
	begin(T0);
	struct flow_record r = record_udp4();
	give(&r, T0);
	r.dir[0].first_ns -= 20 * 86400 * NS_PER_S;
	give(&r, T0);
	finish(T0);
	cr_expect_eq(s->message[1].records, 1, "a message has one boot");
	cr_expect_eq(absolute_ms(2, 24), r.dir[0].first_ns / NS_PER_MS);
	cr_expect_eq(absolute_ms(2, 28), r.dir[0].last_ns / NS_PER_MS);
	sink_close(s, enc);
}

Test(netflow9, the_boot_is_renewed_long_before_2_to_the_31_ms)
{
	open_v9(TIMES, SAMPLING_NONE, 1);
	begin(T0);
	for (unsigned day = 0; day < 100; day++) {
		const int64_t later = day * 86400 * NS_PER_S;
		struct flow_record r = record_udp4();
		r.dir[0].first_ns += later;
		r.dir[0].last_ns += later;
		enc->ops->advance(enc, (struct pkt_time){T0 + later});
		give(&r, T0 + later);
		enc->ops->advance(enc, (struct pkt_time){T0 + later + 2 * NS_PER_S});
		unsigned last = s->count - 1;
		while (s->message[last].records == 0)
			last--;
		cr_assert_lt(word(last, 4), 1u << 31);
		cr_assert_eq(absolute_ms(last, 24), r.dir[0].first_ns / NS_PER_MS);
	}
	sink_close(s, enc);
}

Test(netflow9, a_flow_longer_than_32_bits_of_ms_stops_at_the_end_of_the_field)
{
	open_v9(TIMES, SAMPLING_NONE, 1);
	begin(T0);
	struct flow_record r = record_udp4();
	r.dir[0].first_ns = T0 - 60 * 86400 * NS_PER_S;
	give(&r, T0);
	finish(T0);
	cr_expect_eq(absolute_ms(1, 24), r.dir[0].first_ns / NS_PER_MS);
	cr_expect_eq(word(1, 28), UINT32_MAX);
	sink_close(s, enc);
}

Test(netflow9, sampled_flow_is_not_told_as_a_packet_sampler)
{
	open_v9(SMALL, SAMPLING_FLOW, 10);
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	for (size_t i = 20; i + 4 <= len; i += 2)
		cr_expect_not(p[i] == 0x02 && p[i + 1] == 0x01 && p[i + 2] == 0 && p[i + 3] == 0x10,
			      "options record of 48, 49, 50");
	sink_close(s, enc);
}
