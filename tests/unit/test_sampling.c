/* The samplers: METERING.md §8. */
#include <criterion/criterion.h>
#include <string.h>

#include "flow/key.h"
#include "flow/sampling.h"
#include "packet.h"
#include "tstamp.h"

static struct sampler s;

Test(sampling, systematic_takes_the_first_and_every_nth)
{
	sampler_init(&s, SAMPLING_SYSTEMATIC, 4, 0, 0);
	for (unsigned i = 0; i < 20; i++)
		cr_expect_eq(sampler_decide(&s, 0), i % 4 == 0 ? SAMPLE_TAKE : SAMPLE_UNSAMPLED);
}

Test(sampling, random_takes_about_one_in_n_and_repeats_with_its_seed)
{
	static uint8_t verdict[100000];
	unsigned taken = 0;
	sampler_init(&s, SAMPLING_RANDOM, 10, 0, 42);
	for (unsigned i = 0; i < 100000; i++)
		taken += (verdict[i] = sampler_decide(&s, 0)) == SAMPLE_TAKE;
	/* 10000 expected, standard deviation 95 */
	cr_expect(taken > 9500 && taken < 10500, "%u taken", taken);
	sampler_init(&s, SAMPLING_RANDOM, 10, 0, 42);
	for (unsigned i = 0; i < 100000; i++)
		cr_assert_eq(sampler_decide(&s, 0), verdict[i]);
}

Test(sampling, cap_is_never_passed_and_is_spread_over_the_second)
{
	unsigned in_second[3] = {0}, in_first_tenth = 0;
	sampler_init(&s, SAMPLING_NONE, 1, 100, 0);
	for (int64_t t = 0; t < 3 * NS_PER_S; t += NS_PER_MS / 3)
		if (sampler_decide(&s, t) == SAMPLE_TAKE) {
			in_second[t / NS_PER_S]++;
			in_first_tenth += t < NS_PER_S / 10;
		}
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(in_second[i], 100);
	cr_expect_eq(in_first_tenth, 10);
}

Test(sampling, cap_above_the_rate_takes_all)
{
	sampler_init(&s, SAMPLING_NONE, 1, 1000, 0);
	for (int64_t t = 0; t < NS_PER_S; t += 2 * NS_PER_MS)
		cr_assert_eq(sampler_decide(&s, t), SAMPLE_TAKE);
}

Test(sampling, flow_hash_is_the_same_for_both_directions)
{
	static const uint8_t a[4] = {10, 0, 0, 1}, c[4] = {10, 0, 0, 2};
	struct flow_secret secret;
	struct flow_key k1, k2;
	flow_secret_from_seed(&secret, 3);
	struct packet p = {.src = a, .dst = c, .sport = 1, .dport = 2, .ip_version = 4, .ip_proto = 6};
	struct packet q = {.src = c, .dst = a, .sport = 2, .dport = 1, .ip_version = 4, .ip_proto = 6};
	flow_key_make(&k1, &p, 0, 7);
	flow_key_make(&k2, &q, 3, 7);
	cr_expect_eq(flow_key_sample(&k1, &secret), flow_key_sample(&k2, &secret));
	cr_expect_eq(flow_share(&p, &secret), flow_share(&q, &secret));
}

/* Which worker's: also of pairs that all have the same sum and the same difference, bit by bit. */
Test(sampling, shares_of_address_pairs_are_spread)
{
	struct flow_secret secret;
	for (unsigned version = 4; version <= 6; version += 2) {
		unsigned upper = 0;
		flow_secret_from_seed(&secret, 3);
		for (unsigned i = 0; i < 2000; i++) {
			uint8_t a[16] = {10}, c[16] = {192};
			const uint8_t low[2] = {(uint8_t)(i >> 8), (uint8_t)i};
			const unsigned at = version == 4 ? 2 : 14;
			for (unsigned k = 0; k < 2; k++) {
				a[at + k] = low[k];
				c[at + k] = (uint8_t)~low[k];
			}
			const struct packet p = {.src = a, .dst = c, .ip_version = (uint8_t)version};
			upper += flow_share(&p, &secret) >> 63;
		}
		/* 1000 expected, standard deviation 22 */
		cr_expect(upper > 880 && upper < 1120, "version %u: %u of 2000", version, upper);
	}
}

Test(sampling, icmp_is_hashed_by_its_request)
{
	static const uint8_t a[4] = {10, 0, 0, 1}, c[4] = {10, 0, 0, 2};
	struct flow_secret secret;
	struct flow_key k1, k2;
	flow_secret_from_seed(&secret, 3);
	struct packet p = {.src = a, .dst = c, .dport = 0x0800, .ip_version = 4, .ip_proto = 1,
			   .flags = PACKET_PORTS};
	struct packet q = {.src = c, .dst = a, .dport = 0, .ip_version = 4, .ip_proto = 1,
			   .flags = PACKET_PORTS};
	flow_key_make(&k1, &p, 0, 7);
	flow_key_make(&k2, &q, 0, 7);
	cr_expect_eq(flow_key_sample(&k1, &secret), flow_key_sample(&k2, &secret));
}
