/* Plans: one value each, against bytes computed by hand. */

#include "../../exporter/plan.h"
#include "../../exporter/policy/split.h"
#include "../../exporter/template.h"
#include "../../exporter/uptime.h"
#include "splitmix.h"
#include "export.h"

static struct flow_record record(void)
{
	struct flow_record r = record_udp4_answered();
	r.dir[FLOW_FORWARD].tcp_flags = 0x1ff;
	r.dir[FLOW_FORWARD].ingress = 0x00010002;
	r.icmp[FLOW_FORWARD] = 0x0301;
	r.vlan = 0x0fff;
	memcpy(r.src_mac, "\x02\x00\x5e\x10\x00\x01", 6);
	return r;
}

static void expect_value(const char *name, unsigned width, const struct flow_record *r,
			 const char *hex)
{
	struct plan plan = {.count = 0};
	struct field_ref ref;
	uint8_t buf[32];
	cr_assert(field_find(name, strlen(name), &ref), "%s", name);
	plan_add(&plan, ref, width);
	cr_assert_eq(plan.len, width, "%s", name);
	memset(buf, 0xee, sizeof(buf));
	uint8_t *end = plan_run(&plan, r, 1699999990000, buf);
	cr_expect_eq(end, buf + width, "%s", name);
	cr_expect_eq(buf[width], 0xee, "%s: wrote too much", name);
	expect_bytes(buf, width, hex);
}

Test(plan, every_kind_of_value)
{
	static const struct {
		const char *name;
		unsigned width;
		const char *hex;
	} rows[] = {
		{"protocolIdentifier", 1, "11"},
		{"sourceTransportPort", 2, "0401"},
		{"ingressInterface", 4, "00010002"},
		{"ingressInterface", 2, "0000"},
		{"packetDeltaCount", 8, "0000000000000003"},
		{"octetDeltaCount", 4, "000000b4"},
		{"reverseOctetDeltaCount", 8, "0000000000000064"},
		{"reverseIngressInterface", 4, "00000008"},
		{"sourceIPv4Address", 4, "c0000201"},
		{"sourceIPv6Address", 16, "c0000201000000000000000000000000"},
		{"sourceMacAddress", 6, "02005e100001"},
		{"tcpControlBits", 2, "01ff"},
		{"tcpControlBits", 1, "ff"},
		{"icmpTypeCodeIPv4", 2, "0301"},
		{"icmpTypeIPv4", 1, "03"},
		{"icmpCodeIPv4", 1, "01"},
		{"vlanId", 2, "0fff"},
		{"flowId", 8, "0102030405060708"},
		{"selectorId", 8, "0000000000000001"},
		{"selectorId", 4, "00000001"},
		{"selectorId", 1, "01"},
		{"flowStartSeconds", 4, "6553f0fe"},
		{"flowStartMilliseconds", 8, "0000018bcfe56031"},
		{"flowEndMilliseconds", 8, "0000018bcfe56418"},
		{"flowStartSysUpTime", 4, "00001f41"},
		{"flowEndSysUpTime", 4, "00002328"},
		{"flowDurationMilliseconds", 4, "000003e6"}, /* 998.765433 ms */
		{"flowDurationMicroseconds", 4, "000f3d6d"}, /* 998765 us */
	};
	struct flow_record r = record();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_value(rows[i].name, rows[i].width, &r, rows[i].hex);
}

static uint64_t ntp(const char *name, int64_t ns)
{
	struct plan plan = {.count = 0};
	struct field_ref ref;
	struct flow_record r = record();
	uint8_t buf[8];
	uint64_t v = 0;
	cr_assert(field_find(name, strlen(name), &ref));
	plan_add(&plan, ref, 8);
	r.dir[FLOW_FORWARD].first_ns = ns;
	plan_run(&plan, &r, 0, buf);
	for (unsigned i = 0; i < 8; i++)
		v = v << 8 | buf[i];
	return v;
}

Test(plan, ntp_seconds_count_from_1900)
{
	cr_expect_eq(ntp("flowStartNanoseconds", 0), UINT64_C(2208988800) << 32);
	cr_expect_eq(ntp("flowStartMicroseconds", 0), UINT64_C(2208988800) << 32);
}

Test(plan, ntp_nanoseconds_come_back_when_truncated_and_when_rounded)
{
	static const int64_t parts[] = {0,    1,	 2,	    3,	       999,
					1000, 123456789, 499999999, 500000001, 999999999};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t fraction = ntp("flowStartNanoseconds", T0 + parts[i]) & UINT32_MAX;
		cr_expect_eq(fraction * 1000000000 >> 32, parts[i]);
		cr_expect_eq((fraction * 1000000000 + (UINT64_C(1) << 31)) >> 32, parts[i]);
	}
}

Test(plan, ntp_microseconds_leave_the_low_11_bits_0)
{
	static const int64_t us[] = {0, 1, 2, 77, 123456, 499999, 500000, 999998, 999999};
	for (size_t i = 0; i < sizeof(us) / sizeof(us[0]); i++) {
		uint64_t v = ntp("flowStartMicroseconds", T0 + us[i] * 1000 + 999);
		cr_expect_eq(v >> 32, 0xe8fe6f80, "seconds stay");
		cr_expect_eq(v & 0x7ff, 0);
		cr_expect_eq((v & UINT32_MAX) * 1000000 >> 32, us[i]);
	}
}

Test(plan, uptime_never_wraps)
{
	struct flow_record r = record();
	r.dir[FLOW_FORWARD].first_ns = 1699999989999 * NS_PER_MS;
	expect_value("flowStartSysUpTime", 4, &r, "00000000");
	r.dir[FLOW_FORWARD].first_ns = (1699999990000 + INT64_C(0xffffffff)) * NS_PER_MS;
	expect_value("flowStartSysUpTime", 4, &r, "ffffffff");
	r.dir[FLOW_FORWARD].first_ns += NS_PER_S;
	expect_value("flowStartSysUpTime", 4, &r, "ffffffff");
}

Test(plan, durations_stop_at_the_end_of_the_field)
{
	struct flow_record r = record();
	r.dir[FLOW_FORWARD].last_ns = r.dir[FLOW_FORWARD].first_ns + INT64_C(5000) * NS_PER_S;
	expect_value("flowDurationMicroseconds", 4, &r, "ffffffff");
	expect_value("flowDurationMilliseconds", 4, &r, "004c4b40");
}

Test(plan, steps_follow_each_other)
{
	struct plan plan = {.count = 0};
	struct flow_record r = record();
	uint8_t buf[16];
	plan_add(&plan, (struct field_ref){.id = FIELD_SRC_PORT}, 2);
	plan_add_zeros(&plan, 3);
	plan_add(&plan, (struct field_ref){.id = FIELD_IP_PROTO}, 1);
	cr_assert_eq(plan.len, 6);
	plan_run(&plan, &r, 0, buf);
	expect_bytes(buf, 6, "0401 000000 11");
}

/* ---- functions for the default lists ---- */

/* Any bytes, times that a clock can have, and what makes the shape left to the caller. */
static struct flow_record random_record(uint64_t *seed)
{
	struct flow_record r;
	uint64_t v = 0;
	for (size_t i = 0; i < sizeof(r); i++) {
		v = i % 8 == 0 ? splitmix64(seed) : v >> 8;
		((uint8_t *)&r)[i] = (uint8_t)v;
	}
	for (unsigned d = 0; d < FLOW_DIRS; d++) {
		r.dir[d].first_ns = T0 + (int64_t)(splitmix64(seed) >> 20);
		r.dir[d].last_ns = r.dir[d].first_ns + (int64_t)(splitmix64(seed) >> 30);
	}
	r.ip_version = 4;
	r.icmp_known = *seed & 1;
	return r;
}

/* The function and the steps of a plan agree. */
static void expect_same(const struct plan *plan, const struct flow_record *r, const char *what)
{
	struct plan steps = *plan;
	uint8_t fast[512], slow[512];
	steps.whole = NULL;
	memset(fast, 0xee, sizeof(fast));
	memset(slow, 0xee, sizeof(slow));
	cr_assert_leq(plan->len, 256);
	cr_assert_eq(plan_run(plan, r, T0 / NS_PER_MS - 1000, fast), fast + plan->len, "%s", what);
	plan_run(&steps, r, T0 / NS_PER_MS - 1000, slow);
	cr_assert_arr_eq(fast, slow, sizeof(fast), "%s", what);
}

static void check_default(enum field_default which, enum template_wire wire, bool biflow,
			  unsigned whole_wanted)
{
	struct field_list list;
	struct template_set set;
	struct direction_view view;
	uint64_t seed = 7;
	unsigned whole = 0;
	cr_assert_eq(field_list_choose(NULL, which, biflow, NULL, &list), 0);
	cr_assert_eq(template_set_make(&list, wire, &set), 0);
	for (unsigned i = 0; i < set.count; i++) {
		const struct template *t = &set.templates[i];
		whole += t->plan.whole != NULL;
		for (unsigned n = 0; n < 100; n++) {
			struct flow_record r = random_record(&seed);
			expect_same(&t->plan, &r, "as it is");
			if (biflow)
				continue;
			r.dir[0].packets = r.dir[1].packets = 1;
			direction_apply(DIRECTION_SPLIT, &r, &view);
			expect_same(&t->turned, &r, "turned");
			uint8_t here[512], copied[512];
			plan_run(&t->turned, &r, 0, here);
			plan_run(&t->plan, view.record[1], 0, copied);
			cr_assert_arr_eq(here, copied, t->plan.len, "turned and copied");
		}
	}
	cr_expect_eq(whole, whole_wanted, "%u shapes have a function", whole);
	template_set_free(&set);
}

Test(plan, records_of_default_lists_are_those_of_their_steps)
{
	check_default(IN_IPFIX, TEMPLATE_IPFIX, false, 4);
	check_default(IN_IPFIX, TEMPLATE_IPFIX, true, 8);
	check_default(IN_V9, TEMPLATE_V9, false, 4);
	check_default(IN_IPFIX, TEMPLATE_IPFIX_FULL, true, 0);
}

Test(plan, turned_steps_read_what_a_turned_record_holds)
{
	static const char *const names[] = {
		"sourceIPv6Address", "destinationIPv4Address", "sourceTransportPort",
		"destinationTransportPort", "sourceMacAddress", "icmpTypeCodeIPv4", "icmpTypeIPv4",
		"icmpCodeIPv6", "octetDeltaCount", "minimumTTL", "biflowDirection", "flowId",
		"flowStartNanoseconds", "flowDurationMicroseconds", "vlanId", "tcpControlBits",
	};
	uint64_t seed = 8;
	struct direction_view view;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) * 20; i++) {
		struct field_ref ref;
		struct plan plan = {.count = 0}, turned;
		uint8_t here[32], copied[32];
		const char *name = names[i / 20];
		struct flow_record r = random_record(&seed);
		r.dir[0].packets = r.dir[1].packets = 1;
		cr_assert(field_find(name, strlen(name), &ref));
		plan_add(&plan, ref, field_get(ref.id)->len);
		plan_turn(&plan, &turned);
		direction_apply(DIRECTION_SPLIT, &r, &view);
		plan_run(&turned, &r, 0, here);
		plan_run(&plan, view.record[1], 0, copied);
		cr_assert_arr_eq(here, copied, plan.len, "%s", name);
	}
}

/* ---- uptime ---- */

Test(uptime, header_holds_its_clock_back_rather_than_reach_2_to_the_31)
{
	const struct uptime u = {.boot_s = 1000};
	struct uptime_header h = uptime_header(&u, (struct pkt_time){T0}, true);
	cr_expect_eq(h.uptime_ms, 2147483000u);
	cr_expect_eq(h.seconds, 1000 + 2147483);
	h = uptime_header(&u, (struct pkt_time){0}, false);
	cr_expect_eq(h.uptime_ms, 0);
	cr_expect_eq(h.seconds, 1000);
}

Test(uptime, clocks_near_1970_have_a_boot_of_0)
{
	struct uptime u = {.boot_s = 77};
	uptime_begin(&u, (struct pkt_time){5 * NS_PER_S});
	cr_expect_eq(u.boot_s, 0);
	struct flow_record r = record();
	r.dir[FLOW_FORWARD].first_ns = 0;
	r.dir[FLOW_FORWARD].last_ns = 1;
	cr_expect(uptime_reaches(&u, &r.dir[0]));
}
