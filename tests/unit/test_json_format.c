/* Flow records as JSON lines, against lines written by hand. */
#include <arpa/inet.h>
#include <time.h>

#include "../../exporter/format/text.h"
#include "export.h"

static struct sink *s;
static struct encoder *enc;

static void open_json(const char *url)
{
	enc = sink_open(&s, url, NULL);
}

static void expect_line(const struct flow_record *r, const char *line)
{
	s->len = 0;
	s->count = 0;
	enc->ops->record(enc, r, (struct pkt_time){T0});
	s->out[s->len] = '\0';
	cr_assert_eq(s->count, 1);
	cr_expect_str_eq((const char *)s->out, line);
}

Test(json_format, unanswered_flow_has_reverse_counters_of_0_and_no_other_reverse)
{
	open_json("json:-");
	struct flow_record r = record_udp4();
	expect_line(
		&r,
		"{\"flowStartNanoseconds\":\"2023-11-14T22:13:18.001234567Z\","
		"\"flowEndNanoseconds\":\"2023-11-14T22:13:19.000000000Z\","
		"\"sourceIPv4Address\":\"192.0.2.1\",\"destinationIPv4Address\":\"198.51.100.2\","
		"\"protocolIdentifier\":17,\"sourceTransportPort\":1025,"
		"\"destinationTransportPort\":53,\"ipClassOfService\":184,"
		"\"packetDeltaCount\":3,\"octetDeltaCount\":180,\"tcpControlBits\":0,"
		"\"minimumTTL\":63,\"maximumTTL\":64,\"ingressInterface\":7,"
		"\"flowEndReason\":1,\"flowId\":72623859790382856,\"biflowDirection\":1,"
		"\"reversePacketDeltaCount\":0,\"reverseOctetDeltaCount\":0}\n");
	sink_close(s, enc);
}

Test(json_format, answered_flow_has_all_reverse_elements)
{
	open_json("json:-?fields=reverseFlowStartNanoseconds,reverseFlowEndNanoseconds,"
		  "reverseIpClassOfService,reverseTcpControlBits,reverseMinimumTTL,"
		  "reverseMaximumTTL,reverseIngressInterface,reversePacketDeltaCount");
	struct flow_record r = record_udp4_answered();
	r.dir[FLOW_REVERSE].tcp_flags = 0x100;
	expect_line(&r, "{\"reverseFlowStartNanoseconds\":\"2023-11-14T22:13:18.501234567Z\","
			"\"reverseFlowEndNanoseconds\":\"2023-11-14T22:13:18.501234567Z\","
			"\"reverseIpClassOfService\":32,\"reverseTcpControlBits\":256,"
			"\"reverseMinimumTTL\":50,\"reverseMaximumTTL\":50,"
			"\"reverseIngressInterface\":8,\"reversePacketDeltaCount\":1}\n");
	sink_close(s, enc);
}

Test(json_format, vlan_only_when_tagged_and_icmp_only_for_icmp)
{
	open_json("json:-?fields=vlanId,dot1qCustomerVlanId,icmpTypeCodeIPv4,icmpTypeCodeIPv6,"
		  "destinationTransportPort,sourceMacAddress");
	struct flow_record r = record_udp4();
	expect_line(&r, "{\"destinationTransportPort\":53}\n");
	r = record_ping();
	r.vlan = 0;
	r.cvlan = 4095;
	memcpy(r.src_mac, "\xaa\xbb\xcc\x0d\xee\xff", 6);
	expect_line(&r, "{\"vlanId\":0,\"dot1qCustomerVlanId\":4095,\"icmpTypeCodeIPv4\":2048,"
			"\"destinationTransportPort\":2048,"
			"\"sourceMacAddress\":\"aa:bb:cc:0d:ee:ff\"}\n");
	r.icmp_known = false;
	r.vlan = r.cvlan = FLOW_VLAN_NONE;
	r.dport = 0;
	memset(r.src_mac, 0, 6);
	expect_line(&r, "{\"destinationTransportPort\":0}\n");
	sink_close(s, enc);
}

Test(json_format, nothing_known_is_an_empty_object)
{
	open_json("json:-?fields=vlanId");
	struct flow_record r = record_udp4();
	expect_line(&r, "{}\n");
	sink_close(s, enc);
}

Test(json_format, other_times_are_numbers)
{
	open_json("json:-?fields=flowStartSeconds,flowStartMilliseconds,flowStartMicroseconds,"
		  "flowDurationMilliseconds,flowDurationMicroseconds,ipVersion,selectorId");
	struct flow_record r = record_udp4();
	expect_line(&r, "{\"flowStartSeconds\":1699999998,\"flowStartMilliseconds\":1699999998001,"
			"\"flowStartMicroseconds\":1699999998001234,"
			"\"flowDurationMilliseconds\":998,\"flowDurationMicroseconds\":998765,"
			"\"ipVersion\":4,\"selectorId\":1}\n");
	sink_close(s, enc);
}

Test(json_format, ecs_names)
{
	open_json("json:-?names=ecs");
	struct flow_record r = record_tcp6();
	expect_line(&r, "{\"@timestamp\":\"2023-11-14T22:13:20.000000000Z\","
			"\"event.start\":\"2023-11-14T22:13:18.001234567Z\","
			"\"event.end\":\"2023-11-14T22:13:19.000000000Z\","
			"\"source.ip\":\"2001:db8::1\",\"destination.ip\":\"2001:db8::2\","
			"\"network.transport\":\"tcp\",\"source.port\":40000,"
			"\"destination.port\":443,\"ipfix.ipClassOfService\":184,"
			"\"source.packets\":1,\"source.bytes\":1280,\"ipfix.tcpControlBits\":274,"
			"\"ipfix.minimumTTL\":63,\"ipfix.maximumTTL\":64,"
			"\"observer.ingress.interface.id\":\"7\",\"ipfix.flowEndReason\":1,"
			"\"ipfix.flowId\":72623859790382856,\"ipfix.biflowDirection\":1,"
			"\"destination.packets\":0,\"destination.bytes\":0}\n");
	sink_close(s, enc);
}

Test(json_format, ecs_values_that_differ_from_iana)
{
	open_json("json:-?names=ecs&fields=ipVersion,protocolIdentifier,sourceMacAddress,vlanId");
	struct flow_record r = record_udp4();
	r.ip_proto = 253; /* no name */
	r.vlan = 100;
	memcpy(r.src_mac, "\xaa\xbb\xcc\x0d\xee\xff", 6);
	expect_line(&r, "{\"@timestamp\":\"2023-11-14T22:13:20.000000000Z\","
			"\"network.type\":\"ipv4\",\"network.transport\":\"253\","
			"\"source.mac\":\"AA-BB-CC-0D-EE-FF\",\"network.vlan.id\":\"100\"}\n");
	sink_close(s, enc);
}

/* ---- the values ---- */

static void expect_uint(uint64_t v)
{
	char want[32], got[32];
	snprintf(want, sizeof(want), "%llu", (unsigned long long)v);
	*text_uint(got, v) = '\0';
	cr_assert_str_eq(got, want);
}

Test(text, numbers_at_each_power_of_ten)
{
	expect_uint(0);
	expect_uint(UINT64_MAX);
	for (uint64_t v = 1; v < UINT64_MAX / 10; v *= 10) {
		expect_uint(v);
		expect_uint(v - 1);
		expect_uint(v + 1);
		expect_uint(9 * v);
	}
}

static void expect_address(int family, const uint8_t *addr)
{
	char want[INET6_ADDRSTRLEN], got[64];
	inet_ntop(family, addr, want, sizeof(want));
	*(family == AF_INET ? text_ip4 : text_ip6)(got, addr) = '\0';
	cr_assert_str_eq(got, want);
}

Test(text, addresses_as_inet_ntop_writes_them)
{
	static const char *const texts[] = {
		"::",
		"::1",
		"1::",
		"2001:db8::1:0:0:1",
		"1:0:0:2:0:0:0:3",
		"1:2:3:4:5:6:7:8",
		"0:1:0:1:0:1:0:1",
		"::ffff:192.0.2.1",
		"::192.0.2.1",
		"1:2:3:4:5:6:7::",
		"::2:3:4:5:6:7:8",
		"fe80::1",
		"ff02::1:ff00:1",
		"::ffff:0:0",
		"64:ff9b::192.0.2.33",
		"1:2:0:4:5:6:7:8",
	};
	uint8_t addr[16];
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_assert_eq(inet_pton(AF_INET6, texts[i], addr), 1);
		expect_address(AF_INET6, addr);
	}
	srandom(3);
	for (unsigned i = 0; i < 200000; i++) {
		for (unsigned k = 0; k < 16; k++) /* many zeros */
			addr[k] = random() % 3 ? 0 : (uint8_t)random();
		expect_address(AF_INET6, addr);
		expect_address(AF_INET, addr);
	}
}

/* Seconds near each other, and some that are any number of minutes apart. */
Test(text, times_as_gmtime_tells_them)
{
	static const int64_t apart[] = {1, 63, 64, 65, 6400, 86400, 64 * 86400};
	srandom(5);
	int64_t at = 0;
	for (unsigned i = 0; i < 200000; i++) {
		char want[64], got[TSTAMP_RFC3339_SIZE];
		const time_t t = at;
		const unsigned ns = (unsigned)random() % 1000000000;
		struct tm tm;
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", gmtime_r(&t, &tm));
		snprintf(want + strlen(want), 16, ".%09uZ", ns);
		cr_assert_eq(tstamp_rfc3339((struct pkt_time){at * NS_PER_S + ns}, got),
			     strlen(want));
		cr_assert_str_eq(got, want);
		at += apart[random() % 7] * (random() % 3 - 1);
		if (at < 0 || at > PKT_TIME_MAX / NS_PER_S - 1)
			at = random();
	}
}
