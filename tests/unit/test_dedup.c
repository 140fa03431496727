/* Copies of packets, METERING.md §9: against a model that keeps the bytes and compares them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "decode/decode.h"
#include "flow/dedup.h"
#include "splitmix.h"
#include "wire.h"

enum { LINK_RAW = 101, BYTES = 100, KEPT = 4000 };

static struct flow_secret secret;
static struct counters counters;
static struct dedup *dedup;

static void open_dedup(int64_t window_ns, uint32_t ignore)
{
	const struct dedup_conf conf = {window_ns, ignore, &secret, &counters};
	flow_secret_from_seed(&secret, 5);
	cr_assert_eq(dedup_new(&conf, &dedup), 0);
}

static void close_dedup(void)
{
	dedup_free(dedup);
}

TestSuite(dedup, .fini = close_dedup);

/* UDP over IPv4 or IPv6 whose identification or port is `number`. */
static size_t make_packet(uint8_t *p, unsigned version, uint16_t number, uint16_t octets)
{
	static const uint8_t ip4[28] = {0x45, 0, 0, 0, 0,  0, 0, 0, 64, 17, 0, 0,
					10,   0, 0, 1, 10, 0, 0, 2, 1,	1,  2, 2};
	static const uint8_t ip6[48] = {0x60, [6] = 17, 64, 0x20, 1, [23] = 1, 0x20, 1, [39] = 2};
	size_t header = version == 6 ? sizeof(ip6) : sizeof(ip4);
	memset(p, 0, BYTES);
	memcpy(p, version == 6 ? ip6 : ip4, header);
	struct wr w = wr_init(p + (version == 6 ? 4 : 2), 2);
	wr_u16(&w, version == 6 ? octets - 40 : octets);
	w = wr_init(p + (version == 6 ? 40 : 4), 2);
	wr_u16(&w, number);
	return octets;
}

static bool is_copy(const uint8_t *data, size_t n, int64_t clock_ns)
{
	const struct raw_packet raw = {
		.data = data, .caplen = (uint32_t)n, .wirelen = (uint32_t)n, .linktype = LINK_RAW};
	struct packet p, train = {0};
	cr_assert_eq(decode_packet(0, &raw, &p, &train).counter, COUNTER_METERED);
	return dedup_is_copy(dedup, &raw, &p, clock_ns);
}

/* ---- the model --------------------------------------------------------------------------- */

static struct kept {
	uint8_t bytes[BYTES];
	size_t n;
	int64_t time_ns;
} kept[KEPT];
static unsigned kept_count;

/* The same by the rule alone: bytes, lengths, time. `data` has what is set aside cleared. */
static bool model_is_copy(const uint8_t *data, size_t n, int64_t clock_ns, int64_t window_ns)
{
	for (unsigned i = kept_count; i-- > 0;) {
		struct kept *k = &kept[i];
		if (k->n == n && memcmp(k->bytes, data, n) == 0) {
			if (clock_ns <= k->time_ns + window_ns)
				return true;
			k->time_ns = clock_ns;
			return false;
		}
	}
	cr_assert_lt(kept_count, KEPT);
	struct kept *k = &kept[kept_count++];
	memcpy(k->bytes, data, n);
	k->n = n;
	k->time_ns = clock_ns;
	return false;
}

static void check_against_model(uint32_t ignore)
{
	const int64_t window_ns = 1000000;
	uint64_t state = 9;
	int64_t clock_ns = 1;
	unsigned copies = 0;
	open_dedup(window_ns, ignore);
	for (unsigned i = 0; i < 60000; i++) {
		uint8_t p[BYTES], clean[BYTES];
		uint64_t r = splitmix64(&state);
		unsigned version = r & 1 ? 6 : 4;
		size_t n = make_packet(p, version, r >> 8 & 15, (uint16_t)(60 + (r >> 16 & 3)));
		p[version == 6 ? 7 : 8] = (uint8_t)(64 - (r >> 18 & 1));
		p[50] = (uint8_t)(r >> 20 & 3);
		if (version == 4)
			p[11] = (uint8_t)(r >> 22 & 1);
		memcpy(clean, p, n);
		if (ignore & DEDUP_IGNORE_TTL)
			clean[version == 6 ? 7 : 8] = 0;
		if (version == 4 && ignore != 0)
			clean[11] = 0;
		clock_ns += (int64_t)((r >> 32) % 4000);
		bool copy = model_is_copy(clean, n, clock_ns, window_ns);
		copies += copy;
		cr_assert_eq(is_copy(p, n, clock_ns), copy, "packet %u", i);
	}
	cr_expect(copies > 1000 && copies < 59000, "%u copies", copies);
	cr_expect_eq(counters.v[COUNTER_DEDUP_CROWDED], 0);
}

Test(dedup, copies_are_those_of_equal_bytes)
{
	check_against_model(0);
}

Test(dedup, ttl_and_the_checksum_with_it_are_set_aside)
{
	check_against_model(DEDUP_IGNORE_TTL);
}

Test(dedup, the_checksum_alone_is_set_aside)
{
	check_against_model(DEDUP_IGNORE_CHECKSUM);
}

/* ---- bounds ------------------------------------------------------------------------------ */

/* 4096 places are the least there are; 65536 packets of one instant leave the youngest. */
Test(dedup, a_full_memory_forgets_the_oldest_and_says_so)
{
	uint8_t p[BYTES];
	open_dedup(1000, 0);
	for (unsigned i = 0; i < 65536; i++)
		cr_assert_not(is_copy(p, make_packet(p, 4, (uint16_t)i, 60), 500), "packet %u", i);
	cr_expect(counters.v[COUNTER_DEDUP_CROWDED] >= 65536 - 4096);
	cr_expect(counters.v[COUNTER_DEDUP_CROWDED] < 65536);
	cr_expect(is_copy(p, make_packet(p, 4, 65535, 60), 500));
	dedup_clear(dedup);
	cr_expect_not(is_copy(p, make_packet(p, 4, 65535, 60), 500), "forgotten");
}

Test(dedup, places_whose_window_is_over_are_taken_without_a_word)
{
	uint8_t p[BYTES];
	open_dedup(1000, 0);
	for (unsigned i = 0; i < 65536; i++)
		cr_assert_not(is_copy(p, make_packet(p, 4, (uint16_t)i, 60), i * 1001LL));
	cr_expect_eq(counters.v[COUNTER_DEDUP_CROWDED], 0);
}

Test(dedup, bytes_behind_the_packet_do_not_matter)
{
	uint8_t p[BYTES];
	open_dedup(1000, 0);
	make_packet(p, 6, 1, 60);
	cr_expect_not(is_copy(p, 60, 1));
	memset(p + 60, 0xaa, BYTES - 60);
	cr_expect(is_copy(p, BYTES, 1));
}
