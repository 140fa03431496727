/*
 * IPFIX messages, against bytes laid out by hand from RFC 7011 §3 and the IANA registry.
 */
#include "export.h"

static struct sink *s;
static struct encoder *enc;

static void open_ipfix(const char *url, enum sampling_mode mode, uint32_t n)
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

#define SMALL "ipfix://h?domain=5&fields=sourceIPv4Address,sourceIPv6Address,octetDeltaCount"

/* Templates of the options records; each in a set of its own. */
#define OPTIONS_TEMPLATES                                                                          \
	"0003 0018 0200 0003 0001 0095 0004 0022 0004 0023 0001 0000"                              \
	"0003 001c 0201 0004 0001 012e 0008 0130 0002 0131 0004 0132 0004 0000"                    \
	"0003 0014 0203 0002 0001 012e 0008 0022 0004 0000"                                        \
	"0003 0018 0204 0003 0001 012d 0008 013e 0008 013f 0008 0000"                              \
	"0003 0020 0205 0005 0002 0095 0004 008f 0004 0029 0008 002a 0008 0028 0008 0000"          \
	"0003 001c 0206 0004 0002 0095 0004 008f 0004 00a4 0008 0087 0008 0000"                    \
	"0003 0014 0207 0002 0001 0090 0004 00a6 0008 0000"

Test(ipfix, opening_message_has_templates_then_options_for_one_in_one)
{
	open_ipfix(SMALL, SAMPLING_NONE, 1);
	s->books = (struct export_books){
		.observed = 0x101, .selected = 0x101, .malformed = 3, .dropped = 4};
	begin(T0);
	cr_assert_eq(s->count, 1);
	expect_message(
		s, 0,
		"000a 0188 6553f100 00000000 00000005"
		"0002 0024"
		"0100 0003 0008 0004 0001 0008 012e 0004"
		"0101 0003 001b 0010 0001 0008 012e 0004" OPTIONS_TEMPLATES
		"0200 0010 00000005 00000001 01 000000"
		"0201 0018 0000000000000001 0001 00000001 00000000 0000"
		"0203 0010 0000000000000001 00000001"
		"0204 001c 0000000000000001 0000000000000101 0000000000000101"
		"0205 0024 00000005 00000001 0000000000000000 0000000000000000 0000000000000000"
		"0206 001c 00000005 00000001 0000000000000003 0000000000000004"
		"0207 0010 00000001 0000000000000000");
	cr_expect_eq(s->message[0].records, 0);
	sink_close(s, enc);
}

Test(ipfix, data_follows_in_a_message_of_its_own_and_the_sequence_counts_data_records)
{
	open_ipfix(SMALL, SAMPLING_NONE, 1);
	begin(T0);
	struct flow_record a = record_udp4(), b = record_tcp6();
	give(&a, T0);
	give(&a, T0);
	give(&b, T0 + 999999999);
	finish(T0 + 999999999);
	cr_assert_eq(s->count, 3);
	/* 7 options records went before. A set for each family, record of 16 and of 28 bytes. */
	expect_message(
		s, 1,
		"000a 0054 6553f100 00000007 00000005"
		"0100 0024 c0000201 00000000000000b4 00000001 c0000201 00000000000000b4 00000001"
		"0101 0020 20010db8000000000000000000000001 0000000000000500 00000001");
	/* The totals once more: 2 messages, 3 flow records, 392 + 84 octets before this one. */
	expect_message(
		s, 2,
		"000a 007c 6553f100 0000000a 00000005"
		"0204 001c 0000000000000001 0000000000000000 0000000000000000"
		"0205 0024 00000005 00000001 0000000000000002 0000000000000003 00000000000001dc"
		"0206 001c 00000005 00000001 0000000000000000 0000000000000000"
		"0207 0010 00000001 0000000000000000");
	sink_close(s, enc);
}

Test(ipfix, systematic_sampling_is_told_as_space_n_minus_1)
{
	open_ipfix(SMALL, SAMPLING_SYSTEMATIC, 100);
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	expect_bytes(p + 16 + 36 + 176, 56,
		     "0200 0010 00000005 00000064 01 000000"
		     "0201 0018 0000000000000001 0001 00000001 00000063 0000"
		     "0203 0010 0000000000000001 00000064");
	sink_close(s, enc);
}

Test(ipfix, random_sampling_is_told_as_a_probability)
{
	open_ipfix(SMALL, SAMPLING_RANDOM, 4);
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	expect_bytes(p + 16 + 36 + 24, 24, /* scope 302, then 304 and 311 */
		     "0003 0018 0202 0003 0001 012e 0008 0130 0002 0137 0008 0000");
	/* IEEE 754: 0.25 is 2^-2 */
	expect_bytes(p + 16 + 36 + 172, 16 + 24 + 16,
		     "0200 0010 00000005 00000004 02 000000"
		     "0202 0018 0000000000000001 0004 3fd0000000000000 0000"
		     "0203 0010 0000000000000001 00000004");
	sink_close(s, enc);
}

Test(ipfix, flow_sampling_is_told_by_34_and_35_and_totals_only)
{
	open_ipfix(SMALL, SAMPLING_FLOW, 4);
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	expect_bytes(p + 16 + 36, 48,
		     "0003 0018 0200 0003 0001 0095 0004 0022 0004 0023 0001 0000"
		     "0003 0018 0204 0003 0001 012d 0008 013e 0008 013f 0008 0000");
	sink_close(s, enc);
}

/* The same bytes as if the run sampled flows. */
Test(ipfix, flows_sampled_by_the_output_are_told_alike)
{
	open_ipfix(SMALL "&sample=4", SAMPLING_NONE, 1);
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	expect_bytes(p + 16 + 36, 48,
		     "0003 0018 0200 0003 0001 0095 0004 0022 0004 0023 0001 0000"
		     "0003 0018 0204 0003 0001 012d 0008 013e 0008 013f 0008 0000");
	sink_close(s, enc);
}

/* 34 and 35 tell the product, the packet sampler is as it was. */
Test(ipfix, flows_sampled_on_top_of_packets_scale_sums_only)
{
	open_ipfix(SMALL "&sample=5", SAMPLING_SYSTEMATIC, 100);
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	expect_bytes(p + 16 + 36 + 176, 56,
		     "0200 0010 00000005 000001f4 02 000000"
		     "0201 0018 0000000000000001 0001 00000001 00000063 0000"
		     "0203 0010 0000000000000001 00000064");
	sink_close(s, enc);
}

Test(ipfix, packets_of_flows_left_out_are_not_selected)
{
	open_ipfix(SMALL "&sample=4", SAMPLING_NONE, 1);
	s->books = (struct export_books){.observed = 1000, .selected = 1000};
	s->counters.unsampled_packets = 744;
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	uint8_t want[28];
	cr_assert_eq(unhex("0204 001c 0000000000000001 00000000000003e8 0000000000000100", want,
			   sizeof(want)),
		     28);
	cr_expect_not_null(memmem(p, len, want, sizeof(want)));
	sink_close(s, enc);
}

Test(ipfix, default_template_for_ipv4)
{
	open_ipfix("ipfix://h", SAMPLING_NONE, 1);
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	expect_bytes(
		p + 20, 76,
		"0100 0012 0098 0008 0099 0008 0008 0004 000c 0004 0004 0001 0007 0002 000b 0002"
		"0005 0001 0002 0008 0001 0008 0006 0001 0034 0001 0035 0001 000a 0004 0088 0001"
		"0094 0008 00ef 0001 012e 0004");
	sink_close(s, enc);
}

Test(ipfix, default_record_for_ipv4)
{
	open_ipfix("ipfix://h", SAMPLING_NONE, 1);
	begin(T0);
	struct flow_record r = record_udp4();
	give(&r, T0);
	finish(T0);
	expect_message(s, 1,
		       "000a 0058 6553f100 00000007 00000001 0100 0048"
		       "0000018bcfe56031 0000018bcfe56418 c0000201 c6336402 11 0401 0035 b8"
		       "0000000000000003 00000000000000b4 00 3f 40 00000007 01"
		       "0102030405060708 01 00000001 00");
	sink_close(s, enc);
}

Test(ipfix, what_is_not_known_has_no_field)
{
	open_ipfix("ipfix://h?fields=vlanId,icmpTypeCodeIPv4,protocolIdentifier", SAMPLING_NONE, 1);
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	/* IPv4: plain, ICMP, VLAN, both; IPv6: plain, VLAN */
	expect_bytes(p + 16, 4 + 12 + 16 + 16 + 20 + 12 + 16,
		     "0002 0060"
		     "0100 0002 0004 0001 012e 0004"
		     "0101 0003 0020 0002 0004 0001 012e 0004"
		     "0102 0003 003a 0002 0004 0001 012e 0004"
		     "0103 0004 003a 0002 0020 0002 0004 0001 012e 0004"
		     "0104 0002 0004 0001 012e 0004"
		     "0105 0003 003a 0002 0004 0001 012e 0004");
	struct flow_record r = record_ping();
	r.vlan = 0x123;
	give(&r, T0);
	r.vlan = FLOW_VLAN_NONE;
	give(&r, T0);
	finish(T0);
	p = sink_message(s, 1, &len);
	expect_bytes(p + 16, 16 + 12,
		     "0103 0010 0123 0800 01 00000001 000000"
		     "0101 000c 0800 01 00000001 00");
	sink_close(s, enc);
}

Test(ipfix, reverse_elements_come_first_under_pen_29305)
{
	open_ipfix("ipfix://h?biflow=yes&fields=default", SAMPLING_NONE, 1);
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	/* Without an answer: the two counters, which are 0. */
	expect_bytes(p + 20, 4 + 16 + 4,
		     "0100 0014 8002 0008 00007279 8001 0008 00007279 0098 0008");
	sink_close(s, enc);
}

Test(ipfix, biflow_record_has_both_directions)
{
	open_ipfix("ipfix://h?biflow=yes&fields=packetDeltaCount,reversePacketDeltaCount,"
		   "reverseIngressInterface",
		   SAMPLING_NONE, 1);
	begin(T0);
	struct flow_record r = record_udp4_answered();
	give(&r, T0);
	r.dir[FLOW_REVERSE] = (struct flow_dir){0};
	give(&r, T0);
	finish(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 1, &len);
	expect_bytes(p + 16, len - 16,
		     "0101 001c 0000000000000003 0000000000000001 00000008 00000001"
		     "0100 0018 0000000000000003 0000000000000000 00000001");
	sink_close(s, enc);
}

Test(ipfix, times_in_every_unit)
{
	open_ipfix("ipfix://h?fields=flowStartSeconds,flowStartMilliseconds,flowStartMicroseconds,"
		   "flowStartNanoseconds,flowDurationMilliseconds,flowDurationMicroseconds",
		   SAMPLING_NONE, 1);
	begin(T0);
	struct flow_record r = record_udp4();
	r.dir[0].first_ns = T0 + NS_PER_S / 2; /* half a second: fraction 0x80000000 */
	r.dir[0].last_ns = r.dir[0].first_ns + 1500000;
	give(&r, T0);
	finish(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 1, &len);
	/* 1700000000 + 2208988800 is 3908988800, 0xe8fe6f80 in NTP's era */
	expect_bytes(p + 20, 40,
		     "6553f100 0000018bcfe569f4 e8fe6f80 80000000 e8fe6f80 80000000"
		     "00000001 000005dc 00000001");
	sink_close(s, enc);
}

Test(ipfix, messages_stay_within_512_bytes)
{
	open_ipfix("ipfix://h?mtu=512&biflow=yes", SAMPLING_NONE, 1);
	begin(T0);
	cr_expect_gt(s->count, 1);
	struct flow_record a = record_udp4_answered(), b = record_tcp6();
	for (unsigned i = 0; i < 100; i++)
		give(i % 3 ? &a : &b, T0);
	finish(T0);
	uint32_t sequence = 0;
	unsigned records = 0;
	for (unsigned i = 0; i < s->count; i++) {
		cr_expect_leq(s->message[i].len, 484);
		cr_expect_eq(word(i, 0) & 0xffff, s->message[i].len);
		cr_expect_eq(s->message[i].len % 4, 0);
		cr_expect_geq(word(i, 8), sequence);
		sequence = word(i, 8);
		records += s->message[i].records;
	}
	cr_expect_eq(records, 100);
	cr_expect_eq(sequence, 107);
	sink_close(s, enc);
}

Test(ipfix, templates_come_again_in_mid_stream)
{
	open_ipfix(SMALL "&template-refresh=10", SAMPLING_NONE, 1);
	begin(T0);
	struct flow_record r = record_udp4();
	give(&r, T0 + 9 * NS_PER_S);
	cr_assert_eq(s->count, 1);
	cr_expect_eq(enc->due_ns, T0 + 10 * NS_PER_S);
	enc->ops->advance(enc, (struct pkt_time){T0 + 10 * NS_PER_S});
	/* The record may wait for 1 s, but not behind new templates. */
	cr_assert_eq(s->count, 3);
	cr_expect_eq(s->message[1].records, 1);
	cr_expect_eq(word(2, 16), 0x00020024);
	cr_expect_eq(word(2, 8), 8, "7 options records and 1 flow record went before");
	give(&r, T0 + 10 * NS_PER_S);
	finish(T0 + 10 * NS_PER_S);
	cr_expect_eq(word(3, 8), 15);
	sink_close(s, enc);
}

/* RFC 7011 §8.4: by time or by packets. At one instant only packets count. */
Test(ipfix, templates_come_again_after_so_many_messages)
{
	open_ipfix("ipfix://h?mtu=512&template-refresh-packets=2", SAMPLING_NONE, 1);
	begin(T0);
	struct flow_record r = record_udp4();
	for (unsigned i = 0; i < 200; i++)
		give(&r, T0);
	finish(T0);
	unsigned in_a_row = 0, most = 0, announced = 0, records = 0;
	for (unsigned i = 0; i < s->count; i++) {
		const bool has_templates = word(i, 16) >> 16 == 2;
		announced += has_templates;
		in_a_row = s->message[i].records > 0 ? in_a_row + 1 : 0;
		most = in_a_row > most ? in_a_row : most;
		records += s->message[i].records;
	}
	cr_expect_eq(records, 200);
	cr_expect_eq(most, 2);
	cr_expect_geq(announced, 5);
	sink_close(s, enc);
}

Test(ipfix, clock_set_back_sends_what_waits_and_templates)
{
	open_ipfix(SMALL, SAMPLING_NONE, 1);
	begin(T0);
	struct flow_record r = record_udp4();
	give(&r, T0);
	enc->ops->advance(enc, (struct pkt_time){T0 - 3600 * NS_PER_S});
	cr_assert_eq(s->count, 3);
	cr_expect_eq(word(2, 4), 1700000000 - 3600);
	sink_close(s, enc);
}

Test(ipfix, file_keeps_the_full_widths)
{
	open_ipfix("ipfix-file:x?fields=tcpControlBits&biflow=no", SAMPLING_NONE, 1);
	begin(T0);
	struct flow_record r = record_tcp6();
	give(&r, T0);
	finish(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 1, &len);
	expect_bytes(p + 16, 16, "0101 0010 0112 0000000000000001 0000");
	sink_close(s, enc);
}

Test(ipfix, each_file_is_a_session_of_its_own)
{
	open_ipfix("ipfix-file:x", SAMPLING_NONE, 1);
	struct flow_record r = record_udp4();
	for (unsigned i = 0; i < 2; i++) {
		unsigned first = s->count;
		begin(T0);
		give(&r, T0);
		finish(T0);
		cr_assert_eq(s->count, first + 3);
		cr_expect_eq(word(first, 8), 0);
		cr_expect_eq(word(first + 1, 8), 7);
	}
	sink_close(s, enc);
}

Test(ipfix, interfaces_are_two_tables_of_names_and_one_of_losses)
{
	static atomic_ullong dropped = 0x700000001;
	static const struct exporter_iface ifaces[] = {{3, "eth3", "north", &dropped}};
	const struct exporter_conf run = {
		.replay = true, .sampling_n = 1, .ifaces = ifaces, .ifaces_count = 1};
	enc = sink_open(&s, SMALL, &run);
	begin(T0);
	size_t len;
	const uint8_t *p = sink_message(s, 0, &len);
	expect_bytes(p + len - 108, 108,
		     "0208 002c 00000005 00000003"
		     "6574683300000000000000000000000000000000000000000000000000000000"
		     "0209 002c 00000005 00000003"
		     "6e6f727468000000000000000000000000000000000000000000000000000000"
		     "020a 0014 00000005 00000003 0000000700000001");
	sink_close(s, enc);
}

Test(ipfix, mtu_too_small_for_a_record_is_refused)
{
	char text[256] = "";
	const struct exporter_conf run = {.replay = true, .sampling_n = 1};
	cr_expect_eq(exporter_check_output(&run, "ipfix://h?mtu=130", text, sizeof(text)), -1000);
	cr_expect(strstr(text, "mtu") != NULL, "%s", text);
}
