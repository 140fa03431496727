/* What an output gets to see: flows sampled, directions, filter, and the counts of what is not. */
#include "../../exporter/policy/policy.h"

#include "err.h"
#include "export.h"

static struct policy policy;
static struct output_counters counters;
static struct direction_view view;

static void open_policy(const char *url, uint64_t seed)
{
	const struct exporter_conf run = {.sampling_n = 1, .seed = seed};
	char why[512] = "";
	struct errtext e = {.buf = why, .size = sizeof(why)};
	struct url_spec spec;
	memset(&counters, 0, sizeof(counters));
	cr_assert_eq(url_parse(url, &e, &spec), 0, "%s", why);
	cr_assert_eq(policy_open(&spec, &run, &e, &policy), 0, "%s", why);
	url_spec_fini(&spec);
}

static unsigned seen(const struct flow_record *r)
{
	policy_apply(&policy, r, &counters, &view);
	return view.count;
}

/* Flow `n` of many: addresses and ports of its own, answered. */
static struct flow_record flow(uint32_t n)
{
	struct flow_record r = record_udp4_answered();
	memcpy(r.src, &n, sizeof(n));
	r.sport = (uint16_t)(1024 + n * 7);
	return r;
}

static struct flow_record turned(const struct flow_record *r)
{
	struct flow_record t = *r;
	memcpy(t.src, r->dst, 16);
	memcpy(t.dst, r->src, 16);
	t.sport = r->dport;
	t.dport = r->sport;
	return t;
}

Test(policy, filter_judges_the_records_of_the_output)
{
	const struct flow_record r = record_udp4_answered();
	open_policy("json:-?filter=sourceTransportPort == 53", 0);
	cr_expect_eq(seen(&r), 0, "the biflow's source has port 1025");
	cr_expect_eq(counters.records_in, 1);
	cr_expect_eq(counters.filtered, 1);
	policy_close(&policy);
	open_policy("json:-?biflow=no&filter=sourceTransportPort == 53", 0);
	cr_assert_eq(seen(&r), 1, "the answer's has 53");
	cr_expect_eq(view.record[0]->dir[0].octets, 100);
	cr_expect_eq(counters.records_in, 2);
	cr_expect_eq(counters.filtered, 1);
	cr_expect_eq(counters.unsampled, 0);
	policy_close(&policy);
}

Test(policy, elements_of_the_filter_are_wanted)
{
	open_policy("json:-?filter=sourceMacAddress == 00:00:5e:00:53:01", 0);
	cr_expect(policy_wants(&policy, (struct field_ref){.id = FIELD_SRC_MAC}));
	cr_expect_not(policy_wants(&policy, (struct field_ref){.id = FIELD_DST_MAC}));
	policy_close(&policy);
	open_policy("json:-", 0);
	cr_expect_not(policy_wants(&policy, (struct field_ref){.id = FIELD_SRC_MAC}));
	policy_close(&policy);
}

Test(policy, one_flow_in_n_is_taken_as_a_whole)
{
	enum { FLOWS = 100000 };
	static bool first[FLOWS];
	unsigned taken = 0;
	open_policy("ipfix://h?sample=10", 1);
	for (uint32_t n = 0; n < FLOWS; n++) {
		const struct flow_record r = flow(n);
		first[n] = seen(&r) == 2;
		taken += first[n];
		cr_assert(first[n] || view.count == 0);
	}
	/* binomial, 10,000 expected, 95 of standard deviation */
	cr_expect(taken > 9500 && taken < 10500, "%u", taken);
	cr_expect_eq(counters.records_in, 2 * FLOWS);
	cr_expect_eq(counters.unsampled, 2 * (FLOWS - taken));
	cr_expect_eq(counters.unsampled_packets, 4 * (FLOWS - taken));
	for (uint32_t n = 0; n < FLOWS; n++) {
		const struct flow_record r = flow(n);
		struct flow_record other = turned(&r);
		other.end_reason = FLOW_END_ACTIVE;
		other.vlan = 7;
		other.flow_id = n;
		other.dir[0].packets = 1000;
		cr_assert_eq(seen(&other) == 2, first[n], "flow %u from its other end", n);
	}
	policy_close(&policy);
}

Test(policy, a_finer_sample_is_part_of_a_coarser_one)
{
	unsigned both = 0, coarse = 0;
	for (uint32_t n = 0; n < 20000; n++) {
		const struct flow_record r = flow(n);
		open_policy("json:-?sample=10", 1);
		const bool in_ten = seen(&r) != 0;
		policy_close(&policy);
		open_policy("json:-?sample=30", 1);
		const bool in_thirty = seen(&r) != 0;
		policy_close(&policy);
		both += in_ten && in_thirty;
		coarse += in_thirty;
	}
	cr_expect_eq(both, coarse);
	cr_expect_gt(coarse, 400);
}

Test(policy, the_seed_decides_which_flows)
{
	unsigned same = 0, taken = 0;
	for (uint32_t n = 0; n < 20000; n++) {
		const struct flow_record r = flow(n);
		open_policy("json:-?sample=10", 1);
		const bool one = seen(&r) != 0;
		policy_close(&policy);
		open_policy("json:-?sample=10", 2);
		same += one && seen(&r) != 0;
		taken += one;
		policy_close(&policy);
	}
	/* 1 in 100 by chance: 200 expected, 14 of standard deviation */
	cr_expect(same > 100 && same < 300, "%u", same);
	cr_expect_gt(taken, 1800);
}

Test(policy, request_and_reply_of_icmp_are_one_flow)
{
	unsigned taken = 0;
	open_policy("json:-?biflow=no&sample=2", 3);
	for (unsigned n = 0; n < 256; n++) {
		struct flow_record request = record_ping();
		request.src[3] = (uint8_t)n;
		request.dir[FLOW_REVERSE] = (struct flow_dir){0};
		struct flow_record reply = turned(&request);
		reply.sport = reply.dport = 0;
		reply.icmp[FLOW_FORWARD] = 0;
		const bool one = seen(&request) != 0;
		cr_assert_eq(seen(&reply) != 0, one, "host %u", n);
		taken += one;
	}
	cr_expect(taken > 80 && taken < 176, "%u", taken);
	policy_close(&policy);
}
