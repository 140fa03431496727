/*
 * Filters: expressions against records made by hand, what is refused and with a caret where, and
 * random expressions against their value worked out from the truth of their parts.
 */
#include "../../exporter/policy/filter.h"

#include "err.h"
#include "export.h"

enum { UDP4, ANSWERED, TCP6, PING, VLAN, RECORDS };

/*
 * UDP4      192.0.2.1:1025 > 198.51.100.2:53, 3 packets, 180 octets, ToS b8, TTL 63-64,
 *           2023-11-14T22:13:18.001234567Z to :19Z, interface 7
 * ANSWERED  the same, and back 1 packet, 100 octets, TTL 50, half a second after the first
 * TCP6      2001:db8::1:40000 > 2001:db8::2:443, flags NS ACK SYN, 1280 octets
 * PING      echo request and reply, 192.0.2.1 > 198.51.100.2
 * VLAN      UDP4 with VLAN 100, MACs 00:00:5e:00:53:01 > 02, 5 GB
 */
static struct flow_record record(unsigned which)
{
	struct flow_record r = record_udp4();
	switch (which) {
	case ANSWERED:
		return record_udp4_answered();
	case TCP6:
		return record_tcp6();
	case PING:
		return record_ping();
	case VLAN:
		r.vlan = 100;
		memcpy(r.src_mac, (uint8_t[]){0, 0, 0x5e, 0, 0x53, 1}, 6);
		memcpy(r.dst_mac, (uint8_t[]){0, 0, 0x5e, 0, 0x53, 2}, 6);
		r.dir[0].octets = 5000000000;
		return r;
	default:
		return r;
	}
}

/* '1' where the record passes, in the order of the enum. */
static const struct {
	const char *text;
	const char *passes;
} truths[] = {
	/* addresses */
	{"sourceIPv4Address == 192.0.2.1", "11011"},
	{"sourceIPv4Address = 192.0.2.2", "00000"},
	{"sourceIPv4Address != 192.0.2.2", "11011"}, /* not of IPv6: it has no such element */
	{"not sourceIPv4Address == 192.0.2.2", "11111"},
	{"sourceIPv4Address in 192.0.2.0/24", "11011"},
	{"sourceIPv4Address not in 192.0.2.0/24", "00000"},
	{"not sourceIPv4Address in 192.0.2.0/24", "00100"},
	{"sourceIPv4Address in 192.0.2.0/32", "00000"},
	{"sourceIPv4Address in 0.0.0.0/0", "11011"},
	{"destinationIPv4Address in {10.0.0.0/8, 198.51.100.2}", "11011"},
	{"destinationIPv4Address in 198.51.100.0-198.51.100.2", "11011"},
	{"destinationIPv4Address in 198.51.100.3 - 198.51.100.200", "00000"},
	{"sourceIPv6Address in 2001:db8::/32", "00100"},
	{"sourceIPv6Address in ::/0", "00100"},
	{"sourceIPv6Address == 2001:db8::1", "00100"},
	{"sourceIPv6Address in {2001:db8::2, 2001:db8::/127}", "00100"},
	{"sourceIPv6Address in 2001:db8::2-2001:db8::ffff", "00000"},
	{"destinationIPv6Address != 2001:DB8:0::2", "00000"},
	/* numbers */
	{"packetDeltaCount > 1", "11011"},
	{"packetDeltaCount >= 3", "11011"},
	{"packetDeltaCount > 3", "00000"},
	{"packetDeltaCount < 3", "00100"},
	{"packetDeltaCount <= 3", "11111"},
	{"octetDeltaCount == 0xb4", "11010"},
	{"octetDeltaCount > 1k", "00101"},
	{"octetDeltaCount >= 1280", "00101"},
	{"octetDeltaCount > 4GiB", "00001"},
	{"octetDeltaCount > 5G", "00000"},
	{"octetDeltaCount >= 5G", "00001"},
	{"octetDeltaCount <= 18446744073709551615", "11111"},
	{"ipVersion == 6", "00100"},
	{"protocolIdentifier == udp", "11001"},
	{"protocolIdentifier in {TCP, icmp}", "00110"},
	{"protocolIdentifier in {6, 17}", "11101"},
	{"destinationTransportPort in 53, 443", "11101"},
	{"destinationTransportPort in {80, 443, 8000-8100}", "00100"},
	{"destinationTransportPort in {52-54}", "11001"},
	{"destinationTransportPort in 52 - 54, 2048", "11011"},
	{"destinationTransportPort not in {0-52, 54-65535}", "11001"},
	{"sourceTransportPort != 0", "11101"},
	{"ipClassOfService & 0xfc == 0xb8", "11111"},
	{"ingressInterface == 7", "11111"},
	{"minimumTTL < 64 and maximumTTL == 64", "11111"},
	{"flowEndReason in {1, 2}", "11111"},
	{"flowId == 72623859790382856", "11111"},
	{"biflowDirection == 1", "11111"},
	{"selectorId == 1", "11111"},
	/* flags */
	{"tcpControlBits & 0x02", "00100"},
	{"tcpControlBits & syn", "00100"},
	{"tcpControlBits & syn|ack == syn|ack", "00100"},
	{"tcpControlBits & syn | ack | fin == syn", "00000"},
	{"tcpControlBits & rst", "00000"},
	{"not tcpControlBits & rst", "11111"},
	{"tcpControlBits & 0x100 != 0", "00100"},
	{"tcpControlBits == 0x112", "00100"},
	{"tcpControlBits & 0x13 in {0x12, 0x10}", "00100"},
	{"tcpControlBits & 0x13 not in {0x12, 0x10}", "11011"},
	/* what a record need not have */
	{"vlanId >= 0", "00001"},
	{"not vlanId >= 0", "11110"},
	{"vlanId != 200", "00001"},
	{"dot1qCustomerVlanId >= 0", "00000"},
	{"sourceMacAddress == 00:00:5e:00:53:01", "00001"},
	{"sourceMacAddress in {00:00:5e:00:53:02, 00:00:5E:00:53:01}", "00001"},
	{"destinationMacAddress in 00:00:5e:00:00:00-00:00:5e:ff:ff:ff", "00001"},
	{"icmpTypeCodeIPv4 == 2048", "00010"},
	{"icmpTypeIPv4 == 8 and icmpCodeIPv4 == 0", "00010"},
	{"icmpTypeIPv6 >= 0", "00000"},
	/* the other direction */
	{"reversePacketDeltaCount == 0", "10101"},
	{"reversePacketDeltaCount > 0", "01010"},
	{"reverseOctetDeltaCount in 100", "01010"},
	{"reverseMinimumTTL <= 64", "01010"}, /* not of records that nothing came back for */
	{"reverseIcmpTypeIPv4 == 0", "00010"},
	/* times */
	{"flowStartNanoseconds == 2023-11-14T22:13:18.001234567Z", "11111"},
	{"flowStartMicroseconds == 2023-11-14T22:13:18.001234Z", "11111"},
	{"flowStartMilliseconds == 2023-11-14T22:13:18.001", "11111"},
	{"flowStartMilliseconds == 2023-11-14T22:13:18.001234Z", "00000"},
	{"flowStartSeconds == 2023-11-14T22:13:18Z", "11111"},
	{"flowStartSeconds == 1699999998", "11111"},
	{"flowStartMilliseconds == 1699999998001", "11111"},
	{"flowStartSeconds >= 2023-11-14T22:14", "00000"},
	{"flowStartSeconds > 2023-11-14 and flowEndSeconds < 2023-11-15", "11111"},
	{"flowStartSeconds in 2023-11-14-2023-11-15", "11111"},
	{"flowStartSeconds in {2024-02-29 - 2024-03-01, 2023-11-14T22:13:18Z}", "11111"},
	{"flowEndSeconds == 2023-11-14T22:13:19Z", "11111"},
	{"reverseFlowStartSeconds == 2023-11-14T22:13:18Z", "01010"},
	{"flowDurationMilliseconds == 998", "11111"},
	{"flowDurationMilliseconds == 998ms", "11111"},
	{"flowDurationMilliseconds in 900ms-1s", "11111"},
	{"flowDurationMicroseconds == 998765", "11111"},
	{"flowDurationMicroseconds >= 998765us", "11111"},
	{"flowDurationMicroseconds > 998765us", "00000"},
	{"flowDurationMilliseconds < 1min and flowDurationMilliseconds < 1h", "11111"},
	{"reverseFlowDurationMilliseconds == 0", "01010"},
	/* and, or, not */
	{"ipVersion == 6 or packetDeltaCount == 3", "11111"},
	{"ipVersion == 6 and packetDeltaCount == 3", "00000"},
	{"ipVersion == 4 and packetDeltaCount == 3 or vlanId == 100", "11011"},
	{"vlanId == 100 or ipVersion == 4 and reversePacketDeltaCount == 1", "01011"},
	{"(vlanId == 100 or ipVersion == 4) and reversePacketDeltaCount == 1", "01010"},
	{"not (vlanId == 100 or ipVersion == 6)", "11010"},
	{"not (ipVersion == 4 and not vlanId == 100)", "00101"},
	{"not not ipVersion == 4", "11011"},
	{"!(ipVersion==4&&vlanId==100)||octetDeltaCount>4GiB", "11111"},
	{"NOT ipVersion == 4 OR vlanId IN {100} AND ipVersion == 4", "00101"},
	{"((((ipVersion == 4))))", "11011"},
	{"\t ipVersion\n==\t4 ", "11011"},
};

static struct flow_filter *compile(const char *text, bool biflow)
{
	char why[1024] = "";
	struct errtext e = {.buf = why, .size = sizeof(why)};
	struct flow_filter *f = NULL;
	cr_assert_eq(flow_filter_compile(text, biflow, &e, &f), 0, "%s: %s", text, why);
	return f;
}

Test(filter, expressions_are_true_of_the_right_records)
{
	for (size_t i = 0; i < sizeof(truths) / sizeof(truths[0]); i++) {
		struct flow_filter *f = compile(truths[i].text, true);
		for (unsigned k = 0; k < RECORDS; k++) {
			const struct flow_record r = record(k);
			cr_expect_eq(flow_filter_pass(f, &r), truths[i].passes[k] == '1',
				     "%s, record %u", truths[i].text, k);
		}
		flow_filter_free(f);
	}
}

/* ---- what is refused ---- */

static const struct {
	const char *text;
	unsigned column; /* of the caret */
	const char *says;
} refused[] = {
	{"", 0, "empty"},
	{"   ", 3, "empty"},
	{"sourceIP in 10.0.0.0/8", 0,
	 "unknown element 'sourceIP' (did you mean sourceIPv4Address?)"},
	{"ipVersion == 4 and packetDeltaCont > 1", 19, "did you mean packetDeltaCount?"},
	{"ipversion == 4", 0, "did you mean ipVersion?"},
	{"reverseoctetdeltacount == 4", 0, "did you mean reverseOctetDeltaCount?"},
	{"zork == 4", 0, "(see --list-fields)"},
	{"sourceIPv4Address", 17, "expected ==, !=, <, <=, >, >=, & or in"},
	{"sourceIPv4Address 10.0.0.1", 18, "expected ==, !="},
	{"sourceIPv4Address not 10.0.0.1", 18, "expected ==, !="},
	{"sourceIPv4Address ==", 20, "expected an IPv4 address"},
	{"sourceIPv4Address == 10", 21, "wants an IPv4 address"},
	{"sourceIPv4Address == 10.0.0.256", 21, "wants an IPv4 address"},
	{"sourceIPv4Address == 2001:db8::1", 21, "2001:db8::1 is IPv6, sourceIPv4Address is not"},
	{"sourceIPv6Address in 10.0.0.0", 21, "10.0.0.0 is IPv4, sourceIPv6Address is not"},
	{"sourceIPv4Address == 10.0.0.0/8", 21, "a prefix is a set of addresses: write in"},
	{"sourceIPv4Address in 10.0.0.0/33", 21, "0 to 32"},
	{"sourceIPv6Address in ::/129", 21, "0 to 128"},
	{"sourceIPv4Address in 10.0.0.0/", 21, "0 to 32"},
	{"sourceIPv4Address in 10.1.0.0/8", 21, "10.1.0.0 has bits behind its prefix length of 8"},
	{"sourceIPv4Address in 10.0.0.9-10.0.0.1", 30, "ends before it begins"},
	{"sourceIPv4Address in 10.0.0.0 - 10.0.0.0/8", 32, "not a prefix"},
	{"sourceIPv4Address < 10.0.0.0", 18, "have no order"},
	{"sourceIPv4Address & 1 == 1", 18, "& is for numbers"},
	{"sourceMacAddress == 00:00:5e:00:53", 20, "wants a MAC address"},
	{"sourceMacAddress == 00:00:5e:00:53:01:02", 20, "wants a MAC address"},
	{"packetDeltaCount > -1", 19, "expected a number"},
	{"packetDeltaCount > 1x", 19, "wants a number"},
	{"packetDeltaCount > 18446744073709551616", 19, "wants a number"},
	{"packetDeltaCount > 18014398509481984KiB", 19, "wants a number"},
	{"packetDeltaCount > 0x", 19, "wants a number"},
	{"packetDeltaCount < 0", 17, "never be true"},
	{"ipVersion > 255", 10, "never be true"},
	{"sourceTransportPort == 65536", 23,
	 "65536 is more than sourceTransportPort can be, 65535"},
	{"sourceTransportPort == 1k", 23, "wants a number"},
	{"sourceTransportPort in 1-65536", 25, "65536 is more"},
	{"sourceTransportPort in {1, 2", 28, "expected , or }"},
	{"sourceTransportPort in {}", 24, "expected a number"},
	{"sourceTransportPort in 1,", 25, "expected a number"},
	{"protocolIdentifier == tpc", 22, "wants a number"},
	{"tcpControlBits & 0 == 0", 0, "leaves nothing"},
	{"tcpControlBits & 2 == 4", 0, "the mask takes away"},
	{"flowStartSeconds > yesterday", 19, "wants a time in UTC"},
	{"flowStartSeconds > 2023-02-29", 19, "wants a time in UTC"},
	{"flowStartSeconds > 2023-11-14T24:00:00Z", 19, "wants a time in UTC"},
	{"flowStartSeconds > 2023-11-14T10:00:00.Z", 19, "wants a time in UTC"},
	{"flowStartSeconds > 2023-11-14T10:00:00+01:00", 38, "expected and, or, or the end"},
	{"flowStartSeconds > 1969-12-31", 19, "wants a time in UTC"},
	{"flowStartSeconds > 18446744073709551615", 19, "wants a time in UTC"},
	{"flowDurationMilliseconds > 1week", 27, "wants a time span"},
	{"flowStartSysUpTime > 1", 0, "take flowStartMilliseconds"},
	{"(ipVersion == 4", 15, "expected and, or or )"},
	{"ipVersion == 4)", 14, "expected and, or, or the end"},
	{"ipVersion == 4 ipVersion == 6", 15, "expected and, or, or the end"},
	{"ipVersion == 4 and", 18, "expected an element, not or ("},
	{"and ipVersion == 4", 0, "expected an element, not or ("},
	{"()", 1, "expected an element, not or ("},
	{"ipVersion == 4 \x01", 15, "expected and, or, or the end"},
	{"\xc3\xa4 == 4", 0, "expected an element, not or ("},
};

static unsigned caret_column(const char *why)
{
	const char *line = strrchr(why, '\n');
	return line != NULL ? (unsigned)strcspn(line + 1, "^") - 4 : 9999;
}

Test(filter, wrong_ones_are_refused_with_a_caret_under_the_place)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		char why[1024] = "";
		struct errtext e = {.buf = why, .size = sizeof(why)};
		struct flow_filter *f = NULL;
		cr_expect_eq(flow_filter_compile(refused[i].text, true, &e, &f), ERR_USAGE, "%s",
			     refused[i].text);
		cr_expect_null(f);
		cr_expect_eq(strncmp(why, "filter: ", 8), 0);
		cr_expect(strstr(why, refused[i].says) != NULL, "%s: %s", refused[i].text, why);
		cr_expect_eq(caret_column(why), refused[i].column, "%s: %s", refused[i].text, why);
	}
}

Test(filter, one_way_records_have_no_reverse_elements)
{
	char why[1024] = "";
	struct errtext e = {.buf = why, .size = sizeof(why)};
	struct flow_filter *f = NULL;
	cr_expect_eq(flow_filter_compile("reversePacketDeltaCount > 0", false, &e, &f), ERR_USAGE);
	cr_expect(strstr(why, "biflow=yes") != NULL, "%s", why);
}

/* The lines around the caret of a text that is long: the part around the place. */
Test(filter, a_long_expression_is_shown_in_part)
{
	char text[1000] = "";
	char why[2048] = "";
	struct errtext e = {.buf = why, .size = sizeof(why)};
	struct flow_filter *f = NULL;
	for (unsigned i = 0; i < 30; i++)
		strcat(text, "ipVersion == 4 or ");
	strcat(text, "zork == 4");
	for (unsigned i = 0; i < 10; i++)
		strcat(text, " or ipVersion == 6");
	cr_assert_eq(flow_filter_compile(text, true, &e, &f), ERR_USAGE);
	const char *shown = strchr(why, '\n') + 1;
	const char *caret = strrchr(why, '\n') + 1;
	cr_expect_lt(caret - shown, 90);
	cr_expect_eq(strncmp(shown, "    ...", 7), 0, "%s", why);
	cr_expect_eq(strncmp(shown + strlen(caret) - 1, "zork", 4), 0, "%s", why);
}

Test(filter, a_short_buffer_is_not_overrun)
{
	char why[64];
	memset(why, 'x', sizeof(why));
	struct errtext e = {.buf = why, .size = 40};
	struct flow_filter *f = NULL;
	cr_expect_eq(flow_filter_compile("ipVersion == 4 and zork", true, &e, &f), ERR_USAGE);
	cr_expect_eq(why[39], '\0');
	cr_expect_eq(why[40], 'x');
}

/* ---- limits ---- */

static char *repeat(const char *head, const char *part, unsigned n, const char *tail)
{
	char *text = malloc(strlen(head) + n * strlen(part) + strlen(tail) + 1);
	char *at = stpcpy(text, head);
	for (unsigned i = 0; i < n; i++)
		at = stpcpy(at, part);
	strcpy(at, tail);
	return text;
}

static int result_of(char *text)
{
	char why[1024] = "";
	struct errtext e = {.buf = why, .size = sizeof(why)};
	struct flow_filter *f = NULL;
	int err = flow_filter_compile(text, true, &e, &f);
	flow_filter_free(f);
	free(text);
	return err;
}

Test(filter, depth_and_number_of_comparisons_are_bounded)
{
	cr_expect_eq(
		result_of(repeat("", "(", 31, "ipVersion == 4)))))))))))))))))))))))))))))))")), 0);
	cr_expect_eq(
		result_of(repeat("", "(", 32, "ipVersion == 4))))))))))))))))))))))))))))))))")),
		ERR_USAGE);
	cr_expect_eq(result_of(repeat("", "(", 100000, "")), ERR_USAGE);
	cr_expect_eq(result_of(repeat("", "not ", 100000, "ipVersion == 4")), 0);
	cr_expect_eq(result_of(repeat("ipVersion == 4", " or ipVersion == 5", 1023, "")), 0);
	cr_expect_eq(result_of(repeat("ipVersion == 4", " or ipVersion == 5", 1024, "")),
		     ERR_USAGE);
	cr_expect_eq(result_of(repeat("flowId in {1", ", 7, 0x10-0x20", 20000, "}")), 0);
}

Test(filter, names_what_it_wants)
{
	struct flow_filter *f = compile("not sourceMacAddress == 00:00:5e:00:53:01", true);
	cr_expect(flow_filter_wants(f, (struct field_ref){.id = FIELD_SRC_MAC}));
	cr_expect_not(flow_filter_wants(f, (struct field_ref){.id = FIELD_DST_MAC}));
	flow_filter_free(f);
}

/* ---- random expressions ---- */

static uint64_t dice = 1;

static unsigned roll(unsigned sides)
{
	dice = dice * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(dice >> 33) % sides;
}

/* Writes an expression over five conditions whose truth is in `facts`; gives its value. */
static bool write_expression(char **p, unsigned facts, unsigned depth)
{
	static const char *const conditions[] = {
		"ipVersion == 4",
		"packetDeltaCount in {1, 3}",
		"vlanId >= 0",
		"sourceTransportPort != 1025",
		"protocolIdentifier & 16",
	};
	const unsigned kind = depth == 0 ? 0 : roll(4);
	bool value;
	if (kind == 0) {
		const unsigned which = roll(5);
		*p = stpcpy(*p, conditions[which]);
		return facts >> which & 1;
	}
	*p = stpcpy(*p, kind == 1 ? "not (" : "(");
	value = write_expression(p, facts, depth - 1);
	*p = stpcpy(*p, ")");
	if (kind == 1)
		return !value;
	const unsigned more = 1 + roll(3);
	for (unsigned i = 0; i < more; i++) {
		*p = stpcpy(*p, kind == 2 ? " and (" : " or (");
		const bool right = write_expression(p, facts, depth - 1);
		*p = stpcpy(*p, ")");
		value = kind == 2 ? value && right : value || right;
	}
	return value;
}

Test(filter, random_expressions_have_the_value_of_their_parts)
{
	static char text[1 << 20];
	unsigned seen[2] = {0, 0};
	for (unsigned round = 0; round < 3000; round++) {
		const unsigned facts = roll(32);
		struct flow_record r = record_udp4();
		r.ip_version = facts & 1 ? 4 : 6;
		r.dir[0].packets = facts & 2 ? 3 : 2;
		r.vlan = facts & 4 ? 7 : FLOW_VLAN_NONE;
		r.sport = facts & 8 ? 1026 : 1025;
		r.ip_proto = facts & 16 ? 17 : 6;
		char *p = text;
		*p = '\0';
		const bool value = write_expression(&p, facts, 4);
		struct flow_filter *f = compile(text, true);
		cr_assert_eq(flow_filter_pass(f, &r), value, "%s, facts %x", text, facts);
		flow_filter_free(f);
		seen[value]++;
	}
	cr_expect_gt(seen[0], 500);
	cr_expect_gt(seen[1], 500);
}
