/* The short cut of plain packets gives the keys, sides and hashes that any other packet gets. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "flow/key_plain.h"

static struct flow_secret secret;

static void setup(void)
{
	flow_secret_from_seed(&secret, 3);
	srand(4);
}

TestSuite(key_plain, .init = setup);

/* Few values a byte, so that equal and nearly equal ends are frequent. */
static void random_bytes(uint8_t *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(rand() % 8 == 0 ? rand() % 256 : 7);
}

/* A frame with addresses and ports of its own; returns its bytes. */
static uint32_t make_frame(uint8_t *frame, bool ip6, unsigned tags, bool tcp)
{
	uint8_t *at = frame + 12;
	memset(frame, 2, 12);
	for (unsigned i = 0; i < tags; i++, at += 4)
		memcpy(at, "\x81\x00\x00\x05", 4);
	memcpy(at, ip6 ? "\x86\xdd" : "\x08\x00", 2);
	uint8_t *ip = at + 2, *l4 = ip + (ip6 ? 40 : 20);
	memset(ip, 0, 60);
	ip[0] = ip6 ? 0x60 : 0x45;
	ip[ip6 ? 5 : 3] = ip6 ? 20 : 40;
	ip[ip6 ? 6 : 9] = tcp ? 6 : 17;
	ip[ip6 ? 7 : 8] = 64;
	random_bytes(ip + (ip6 ? 8 : 12), ip6 ? 32 : 8);
	if (rand() % 4 == 0)
		memcpy(ip + (ip6 ? 24 : 16), ip + (ip6 ? 8 : 12), ip6 ? 16 : 4);
	random_bytes(l4, 4);
	memset(l4 + 4, 0, 16);
	l4[13] = 0x12;
	return (uint32_t)(l4 + 20 - frame);
}

static void check(bool ip6, unsigned tags, bool tcp)
{
	uint8_t frame[160];
	struct raw_packet raw = {.data = frame, .linktype = 1};
	raw.caplen = raw.wirelen = make_frame(frame, ip6, tags, tcp);
	struct packet_sum sum;
	struct plain_ends ends;
	struct plain_link link = plain_link(&raw, &sum);
	cr_assert(plain_reach_ip(&link, &sum));
	cr_assert(plain_is_ip(&link, ip6));
	plain_ends(&link, ip6, &ends);
	plain_sum(&link, ip6, &sum);

	const uint8_t *ip = frame + 14 + 4 * tags, *l4 = ip + (ip6 ? 40 : 20);
	const struct packet p = {
		.src = ip + (ip6 ? 8 : 12),
		.dst = ip + (ip6 ? 24 : 16),
		.sport = be16(l4),
		.dport = be16(l4 + 2),
		.tcp_flags = tcp ? 0x12 : 0,
		.ip_version = ip6 ? 6 : 4,
		.ip_proto = tcp ? 6 : 17,
		.flags = PACKET_PORTS,
	};
	struct flow_key any, plain;
	memset(&plain, 0, sizeof(plain));
	const unsigned side = flow_key_make(&any, &p, 9, KEY_DEFAULT);
	cr_assert_eq(key_is_twin(&ends, ip6), (any.meta & KEY_META_TWIN) != 0);
	if (any.meta & KEY_META_TWIN)
		return; /* not for the short cut */
	uint8_t plain_side;
	const uint64_t rest = key_rest(0, 0, KEY_DEFAULT & KEY_INTERFACE ? 9 : 0);
	const uint64_t hash = ip6 ? key_plain6(&ends, rest, &secret, &plain, &plain_side)
				  : key_plain4(&ends, rest, &secret, &plain, &plain_side);
	cr_assert_eq(plain_side, side);
	cr_assert_arr_eq(&plain, &any, sizeof(any));
	cr_assert_eq(hash, flow_key_hash(&any, false, &secret));
	struct packet back = p;
	back.src = p.dst;
	back.dst = p.src;
	cr_assert_eq(flow_share(&p, &secret), flow_share(&back, &secret));
	cr_assert_eq(sum.tcp_flags, p.tcp_flags);
}

Test(key_plain, is_what_flow_key_make_gives)
{
	for (unsigned i = 0; i < 400000; i++)
		check(i & 1, i / 2 % 3, i & 8);
}

/* Both directions of a connection: one key, two sides; equal ends are told. */
Test(key_plain, directions_share_a_key)
{
	struct plain_ends there = {.src = {1}, .dst = {2}, .ports = 80u << 16 | 81, .ip_proto = 6};
	struct plain_ends back = {.src = {2}, .dst = {1}, .ports = 81u << 16 | 80, .ip_proto = 6};
	struct plain_ends twin = {.src = {1}, .dst = {1}, .ports = 80u << 16 | 80, .ip_proto = 6};
	struct flow_key a, b;
	uint8_t side_a, side_b;
	cr_expect_eq(key_plain4(&there, 0, &secret, &a, &side_a),
		     key_plain4(&back, 0, &secret, &b, &side_b));
	cr_expect_arr_eq(&a, &b, FLOW_KEY_IP4_BYTES);
	cr_expect_neq(side_a, side_b);
	cr_expect(key_is_twin(&twin, false));
	cr_expect(key_is_twin(&twin, true));
	cr_expect_not(key_is_twin(&there, false));
	twin.src[1] = 1;
	cr_expect_not(key_is_twin(&twin, true), "IPv6 addresses that differ above");
}
