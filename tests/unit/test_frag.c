/* The fragment cache: METERING.md §4, fragments. */
#include <criterion/criterion.h>
#include <string.h>

#include "flow/frag.h"

static struct frag_cache *cache;
static struct counters counters;
static struct flow_secret secret;
static const uint8_t src[16] = {1}, dst[16] = {2};

static void setup(void)
{
	memset(&counters, 0, sizeof(counters));
	flow_secret_from_seed(&secret, 1);
	cr_assert_eq(frag_cache_new(&secret, &counters, &cache), 0);
}

static void teardown(void)
{
	frag_cache_free(cache);
}

TestSuite(frag, .init = setup, .fini = teardown);

static struct packet fragment(unsigned version, unsigned proto, uint32_t id, unsigned flag)
{
	struct packet p = {
		.src = src,
		.dst = dst,
		.frag_id = id,
		.ip_version = (uint8_t)version,
		.ip_proto = (uint8_t)proto,
		.flags = (uint8_t)flag,
	};
	if (flag == PACKET_FRAG_FIRST) {
		p.flags |= PACKET_PORTS;
		p.sport = 1000;
		p.dport = 2000;
	}
	return p;
}

static struct packet apply(struct packet p, int64_t clock)
{
	frag_cache_apply(cache, &p, 0, clock);
	return p;
}

Test(frag, first_lends_its_ports)
{
	apply(fragment(4, 17, 5, PACKET_FRAG_FIRST), 0);
	struct packet p = apply(fragment(4, 17, 5, PACKET_FRAG_LATER), FRAG_LIFE_NS);
	cr_expect_eq(p.sport, 1000);
	cr_expect_eq(p.dport, 2000);
	cr_expect(p.flags & PACKET_PORTS);
	cr_expect_eq(counters.v[COUNTER_FRAGMENTS_ORPHAN], 0);
}

Test(frag, thirty_seconds_and_no_longer)
{
	apply(fragment(4, 17, 5, PACKET_FRAG_FIRST), 0);
	struct packet p = apply(fragment(4, 17, 5, PACKET_FRAG_LATER), FRAG_LIFE_NS + 1);
	cr_expect_eq(p.sport, 0);
	cr_expect_eq(counters.v[COUNTER_FRAGMENTS_ORPHAN], 1);
}

Test(frag, ip4_trains_differ_by_protocol_and_identification)
{
	apply(fragment(4, 17, 5, PACKET_FRAG_FIRST), 0);
	cr_expect_eq(apply(fragment(4, 6, 5, PACKET_FRAG_LATER), 1).sport, 0);
	cr_expect_eq(apply(fragment(4, 17, 6, PACKET_FRAG_LATER), 1).sport, 0);
}

Test(frag, ip6_first_lends_its_protocol_too)
{
	apply(fragment(6, 17, 5, PACKET_FRAG_FIRST), 0);
	struct packet p = apply(fragment(6, 60, 5, PACKET_FRAG_LATER), 1);
	cr_expect_eq(p.ip_proto, 17);
	cr_expect_eq(p.dport, 2000);
}

Test(frag, newest_first_fragment_counts)
{
	apply(fragment(4, 17, 5, PACKET_FRAG_FIRST), 0);
	struct packet again = fragment(4, 17, 5, PACKET_FRAG_FIRST);
	again.sport = 7;
	apply(again, 1);
	cr_expect_eq(apply(fragment(4, 17, 5, PACKET_FRAG_LATER), 2).sport, 7);
}

Test(frag, oldest_train_is_overwritten_and_counted)
{
	for (uint32_t id = 0; id <= FRAG_TRAINS; id++)
		apply(fragment(4, 17, id, PACKET_FRAG_FIRST), 0);
	cr_expect_eq(counters.v[COUNTER_FRAG_OVERWRITTEN], 1);
	cr_expect_eq(apply(fragment(4, 17, 0, PACKET_FRAG_LATER), 0).sport, 0);
	cr_expect_eq(apply(fragment(4, 17, 1, PACKET_FRAG_LATER), 0).sport, 1000);
	cr_expect_eq(apply(fragment(4, 17, FRAG_TRAINS, PACKET_FRAG_LATER), 0).sport, 1000);
}

Test(frag, clear_forgets)
{
	apply(fragment(4, 17, 5, PACKET_FRAG_FIRST), 0);
	frag_cache_clear(cache);
	cr_expect_eq(apply(fragment(4, 17, 5, PACKET_FRAG_LATER), 0).sport, 0);
}
