/*
 * Decode, packet by packet: the rows of decode_packets.def give what they should, at full length
 * and cut anywhere, and the short cut gives what the loop gives. Packets are decoded from a copy of
 * exactly their size, so that a sanitizer sees every read too many.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <ctype.h>
#include <stdlib.h>

#include "../../probe/decode/decode.h"
#include "../../probe/decode/decode_internal.h"
#include "conf.h"

static struct packet train; /* wrappers that are first fragments go here */

struct row {
	const char *name;
	uint16_t linktype;
	uint32_t decap_flags;
	const char *hex;
	uint8_t counter;

	/* expected */
	uint8_t note;
	bool outer; /* addresses, ToS and TTL of OUT4 */
	uint8_t version;
	uint8_t proto;
	uint16_t sport, dport;
	uint16_t tcp_flags;
	uint8_t flags;
	uint32_t frag_id;
	uint64_t octets;
	uint16_t vlan, cvlan; /* 0: none */
	const char *macs;

	/* given */
	bool swapped;
	uint32_t uncaptured; /* bytes on the wire beyond */
};

/* Stands for "no note" where a row does not name one: OBSERVED is never one. */
#define NOTE_NONE    COUNTER_OBSERVED
#define PORTS_CUT    COUNTER_PORTS_CUT
#define DECAP_FAILED COUNTER_DECAP_FAILED

static const struct row rows[] = {
#define PACKET(name_, linktype_, decap_, hex_, counter_, ...)                                      \
	{.name = #name_,                                                                           \
	 .linktype = linktype_,                                                                    \
	 .decap_flags = decap_,                                                                    \
	 .hex = hex_,                                                                              \
	 .counter = COUNTER_##counter_,                                                            \
	 ##__VA_ARGS__},
#include "decode_packets.def"
#undef PACKET
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Bytes of a row, in a block of exactly that size (the caller's to free). */
static uint8_t *bytes_of(const char *hex, uint32_t *ret_size)
{
	uint8_t *bytes = malloc(strlen(hex) / 2 + 1);
	uint32_t digits = 0;
	for (; *hex != '\0'; hex++) {
		if (*hex == ' ')
			continue;
		cr_assert(isxdigit((unsigned char)*hex), "not hex: %s", hex);
		if (digits % 2 == 0)
			bytes[digits / 2] = 0;
		bytes[digits / 2] = (uint8_t)(bytes[digits / 2] << 4 | hex_digit(*hex));
		digits++;
	}
	cr_assert(digits % 2 == 0);
	*ret_size = digits / 2;
	return bytes;
}

static struct raw_packet raw_of(const struct row *row, const uint8_t *data, uint32_t caplen,
				uint32_t wirelen)
{
	return (struct raw_packet){
		.data = data,
		.caplen = caplen,
		.wirelen = wirelen,
		.linktype = row->linktype,
		.swapped = row->swapped,
	};
}

static void expect_bytes(const struct row *row, const char *what, const uint8_t *got,
			 const char *hex)
{
	uint32_t size;
	uint8_t *want = bytes_of(hex, &size);
	cr_expect(memcmp(got, want, size) == 0, "%s: %s", row->name, what);
	free(want);
}

#define EXPECT_MEMBER(member, want)                                                                \
	cr_expect_eq(pkt->member, (want), "%s: " #member " is %llu, not %llu", row->name,          \
		     (unsigned long long)pkt->member, (unsigned long long)(want))

static void expect_packet(const struct row *row, const struct packet *pkt)
{
	const bool v6 = row->version == 6;
	EXPECT_MEMBER(ip_version, row->version);
	EXPECT_MEMBER(ip_proto, row->proto);
	EXPECT_MEMBER(sport, row->sport);
	EXPECT_MEMBER(dport, row->dport);
	EXPECT_MEMBER(tcp_flags, row->tcp_flags);
	EXPECT_MEMBER(octets, row->octets);
	EXPECT_MEMBER(frag_id, row->frag_id);
	EXPECT_MEMBER(flags, row->flags | (row->macs != NULL ? PACKET_MACS : 0));
	EXPECT_MEMBER(vlan, row->vlan != 0 ? row->vlan : FLOW_VLAN_NONE);
	EXPECT_MEMBER(cvlan, row->cvlan != 0 ? row->cvlan : FLOW_VLAN_NONE);
	EXPECT_MEMBER(tos, row->outer ? 0 : v6 ? 0x2e : 0xb8);
	EXPECT_MEMBER(ttl, row->outer ? 0xff : v6 ? 0x3f : 0x40);
	expect_bytes(row, "src", pkt->src,
		     row->outer ? "0a000001"
		     : v6	? "20010db8000000000000000000000001"
				: "c0000201");
	expect_bytes(row, "dst", pkt->dst,
		     row->outer ? "0a000002"
		     : v6	? "20010db8000000000000000000000002"
				: "c6336402");
	if (row->macs != NULL)
		expect_bytes(row, "macs", pkt->macs, row->macs);
	else
		cr_expect_null(pkt->macs, "%s: macs", row->name);
}

ParameterizedTestParameters(decode, each_kind)
{
	static size_t index[ROWS];
	for (size_t i = 0; i < ROWS; i++)
		index[i] = i;
	return cr_make_param_array(size_t, index, ROWS);
}

ParameterizedTest(const size_t *index, decode, each_kind)
{
	const struct row *row = &rows[*index];
	uint32_t size;
	uint8_t *data = bytes_of(row->hex, &size);
	const struct raw_packet raw = raw_of(row, data, size, size + row->uncaptured);
	struct packet pkt;
	memset(&pkt, 0xa5, sizeof(pkt)); /* nothing may be left as it was */

	const struct fate fate = decode_packet(row->decap_flags, &raw, &pkt, &train);
	cr_assert_eq(fate.counter, row->counter, "%s: fate %s, not %s", row->name,
		     counter_info(fate.counter)->name, counter_info(row->counter)->name);
	if (row->counter == COUNTER_METERED) {
		cr_expect_eq(fate.note, row->note != NOTE_NONE ? row->note : COUNTER_COUNT,
			     "%s: note %u", row->name, fate.note);
		expect_packet(row, &pkt);
	}
	free(data);
}

/* ---- whatever the cut -------------------------------------------------------------------- */

static bool inside(const struct raw_packet *raw, const uint8_t *p, size_t size)
{
	return p >= raw->data && p <= raw->data + raw->caplen &&
	       size <= (size_t)(raw->data + raw->caplen - p);
}

static bool is_book(const struct fate *fate)
{
	if (fate->counter >= COUNTER_COUNT)
		return false;
	const int parent = counter_info(fate->counter)->parent;
	return fate->counter == COUNTER_METERED || parent == COUNTER_NON_IP ||
	       parent == COUNTER_MALFORMED;
}

static void expect_sane(const struct row *row, const struct raw_packet *raw, struct fate fate,
			const struct packet *pkt)
{
	cr_expect(is_book(&fate), "%s cut to %u: counter %u", row->name, raw->caplen, fate.counter);
	if (fate.counter != COUNTER_METERED)
		return;
	const size_t size = pkt->ip_version == 4 ? 4 : 16;
	cr_expect(inside(raw, pkt->src, size) && inside(raw, pkt->dst, size),
		  "%s cut to %u: addresses lie outside", row->name, raw->caplen);
	cr_expect(!(pkt->flags & PACKET_MACS) || pkt->macs == pkt->mac_store ||
			  inside(raw, pkt->macs, 12),
		  "%s cut to %u: MACs lie outside", row->name, raw->caplen);
}

#define SAME(member) (a->member == b->member)
static bool same_packet(const struct packet *a, const struct packet *b)
{
	return SAME(src) && SAME(dst) && SAME(octets) && SAME(frag_id) && SAME(sport) &&
	       SAME(dport) && SAME(tcp_flags) && SAME(vlan) && SAME(cvlan) && SAME(ip_version) &&
	       SAME(ip_proto) && SAME(tos) && SAME(ttl) && SAME(flags) &&
	       (a->macs == b->macs || memcmp(a->macs, b->macs, 12) == 0);
}

static void check_cut(const struct row *row, const uint8_t *bytes, uint32_t caplen, uint32_t size)
{
	uint8_t *data = malloc(caplen > 0 ? caplen : 1);
	memcpy(data, bytes, caplen);
	const struct raw_packet raw = raw_of(row, data, caplen, size + row->uncaptured);
	struct packet pkt, loop;
	const struct fate fate = decode_packet(row->decap_flags, &raw, &pkt, &train);
	const struct fate loop_fate = decode_layers(row->decap_flags, &raw, &loop, &train);

	expect_sane(row, &raw, fate, &pkt);
	cr_expect(fate.counter == loop_fate.counter, "%s cut to %u", row->name, caplen);
	if (fate.counter == COUNTER_METERED)
		cr_expect(fate.note == loop_fate.note && same_packet(&pkt, &loop),
			  "%s cut to %u: short cut and loop differ", row->name, caplen);
	free(data);
}

Test(decode, any_cut_of_any_packet_has_a_fate)
{
	for (size_t i = 0; i < ROWS; i++) {
		uint32_t size;
		uint8_t *bytes = bytes_of(rows[i].hex, &size);
		for (uint32_t caplen = 0; caplen <= size; caplen++)
			check_cut(&rows[i], bytes, caplen, size);
		free(bytes);
	}
}

/* The fixed IP header and what is below it decide whether a packet is metered; a cut behind it
 * never takes that away. */
Test(decode, a_cut_behind_the_ip_header_stays_metered)
{
	for (size_t i = 0; i < ROWS; i++) {
		uint32_t size;
		uint8_t *bytes = bytes_of(rows[i].hex, &size);
		bool metered = false;
		for (uint32_t caplen = 0; caplen <= size; caplen++) {
			const struct raw_packet raw = raw_of(&rows[i], bytes, caplen, size);
			struct packet pkt;
			const struct fate fate = decode_packet(0, &raw, &pkt, &train);
			cr_expect(!metered || fate.counter == COUNTER_METERED, "%s cut to %u",
				  rows[i].name, caplen);
			metered = fate.counter == COUNTER_METERED;
		}
		free(bytes);
	}
}

Test(decode, all_wrappers_at_once_do_no_harm)
{
	for (size_t i = 0; i < ROWS; i++) {
		struct row row = rows[i];
		uint32_t size;
		uint8_t *bytes = bytes_of(row.hex, &size);
		row.decap_flags = UINT32_MAX;
		for (uint32_t caplen = 0; caplen <= size; caplen++)
			check_cut(&row, bytes, caplen, size);
		free(bytes);
	}
}
