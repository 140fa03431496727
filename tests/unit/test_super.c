/*
 * Super-packets taken apart. What the segments must be is worked out by hand from RFC 791, 8200,
 * 9293 and 768: the headers of each, as a sender without offload would have sent them.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "capture/super.h"
#include "counters.h"
#include "decode/decode.h"
#include "wire.h"

#define MSS 1000

static uint8_t frame[512];
static uint8_t rooms[80][SUPER_ROOM];

/* Ethernet with `tags` tags; returns where IP begins. */
static size_t put_link(struct wr *w, unsigned tags, unsigned type)
{
	wr_bytes(w, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
	for (unsigned i = 0; i < tags; i++) {
		wr_u16(w, 0x8100);
		wr_u16(w, 5 + i);
	}
	wr_u16(w, type);
	return wr_len(w);
}

static void put_ip4(struct wr *w, unsigned length, unsigned proto, unsigned frag)
{
	wr_u16(w, 0x4500);
	wr_u16(w, length);
	wr_u16(w, 0xfffe);
	wr_u16(w, frag);
	wr_u16(w, 64 << 8 | proto);
	wr_u16(w, 0);
	wr_u32(w, 0x0a000001);
	wr_u32(w, 0x0a000002);
}

/* 32 bytes, timestamps as options. */
static void put_tcp(struct wr *w, unsigned flags)
{
	wr_u16(w, 1000);
	wr_u16(w, 80);
	wr_u32(w, 0xfffffff0);
	wr_u32(w, 1);
	wr_u16(w, 8 << 12 | flags);
	wr_zero(w, 18);
}

static struct raw_packet packet(const struct wr *w, uint32_t wirelen)
{
	return (struct raw_packet){.data = frame, .caplen = (uint32_t)wr_len(w), .wirelen = wirelen,
				   .linktype = 1, .time = {77}, .ingress = 3};
}

static unsigned take_all(struct super *s, struct raw_packet *ret)
{
	unsigned n = 0;
	while (super_has_more(s)) {
		cr_assert_lt(n, 80);
		ret[n] = super_next(s, rooms[n]);
		n++;
	}
	return n;
}

static struct packet decoded(const struct raw_packet *raw)
{
	struct packet p, train;
	cr_assert_eq(decode_packet(0, raw, &p, &train).counter, COUNTER_METERED);
	return p;
}

Test(super, tcp_over_ip4_becomes_the_segments_of_the_wire)
{
	struct wr w = wr_init(frame, sizeof(frame));
	size_t ip = put_link(&w, 2, 0x0800);
	put_ip4(&w, 20 + 32 + 2500, 6, 0);
	put_tcp(&w, 0x80 | 0x10 | 0x08 | 0x01); /* CWR ACK PSH FIN */
	wr_zero(&w, 40);
	struct raw_packet whole = packet(&w, (uint32_t)ip + 20 + 32 + 2500), got[80];
	struct super s;
	cr_assert(super_begin(&s, &whole, frame, SUPER_TCP4, MSS));
	cr_assert_eq(take_all(&s, got), 3);
	static const struct {
		unsigned octets, id, flags;
		uint32_t sequence;
	} want[] = {
		{1052, 0xfffe, 0x90, 0xfffffff0},
		{1052, 0xffff, 0x10, 0xfffffff0 + 1000u},
		{552, 0x0000, 0x19, 0xfffffff0 + 2000u},
	};
	for (unsigned i = 0; i < 3; i++) {
		struct packet p = decoded(&got[i]);
		const uint8_t *h = got[i].data + ip;
		cr_assert_eq(got[i].wirelen, ip + want[i].octets);
		cr_assert_leq(got[i].caplen, got[i].wirelen);
		cr_assert_eq(p.octets, want[i].octets);
		cr_assert_eq(be16(h + 2), want[i].octets);
		cr_assert_eq(be16(h + 4), want[i].id);
		cr_assert_eq(p.tcp_flags, want[i].flags, "segment %u: %#x", i, p.tcp_flags);
		cr_assert_eq(be32(h + 24), want[i].sequence);
		cr_assert_eq(p.sport, 1000);
		cr_assert_eq(p.vlan, 5);
		cr_assert_eq(p.cvlan, 6);
		cr_assert_eq(got[i].time.ns, 77);
		cr_assert_eq(got[i].ingress, 3);
	}
}

Test(super, a_payload_that_divides_evenly_has_no_empty_last_segment)
{
	struct wr w = wr_init(frame, sizeof(frame));
	size_t ip = put_link(&w, 0, 0x0800);
	put_ip4(&w, 52 + 4 * MSS, 6, 0);
	put_tcp(&w, 0x10);
	struct raw_packet whole = packet(&w, (uint32_t)ip + 52 + 4 * MSS), got[80];
	struct super s;
	cr_assert(super_begin(&s, &whole, frame, SUPER_TCP4, MSS));
	cr_assert_eq(take_all(&s, got), 4);
	cr_assert_eq(decoded(&got[3]).octets, 52 + MSS);
}

static void put_ip6(struct wr *w, unsigned length, unsigned next)
{
	wr_u32(w, 0x60000000);
	wr_u16(w, length);
	wr_u16(w, next << 8 | 64);
	wr_zero(w, 15);
	wr_u8(w, 1);
	wr_zero(w, 15);
	wr_u8(w, 2);
}

Test(super, tcp_over_ip6_keeps_its_extension_headers)
{
	struct wr w = wr_init(frame, sizeof(frame));
	size_t ip = put_link(&w, 0, 0x86dd);
	put_ip6(&w, 8 + 32 + 1500, 60); /* destination options with padding */
	wr_bytes(&w, "\x06\x00\x01\x04\x00\x00\x00\x00", 8);
	put_tcp(&w, 0x18);
	struct raw_packet whole = packet(&w, (uint32_t)ip + 40 + 8 + 32 + 1500), got[80];
	struct super s;
	cr_assert(super_begin(&s, &whole, frame, SUPER_TCP6, MSS));
	cr_assert_eq(take_all(&s, got), 2);
	cr_assert_eq(decoded(&got[0]).octets, 40 + 8 + 32 + 1000);
	cr_assert_eq(decoded(&got[1]).octets, 40 + 8 + 32 + 500);
	cr_assert_eq(decoded(&got[1]).tcp_flags, 0x18);
}

/* DLT_RAW: what a tun device or WireGuard hands over begins with the IP header. The addresses are such
 * that a look for an ethertype behind two MAC addresses would find one. */
Test(super, without_a_link_header_the_ip_header_is_the_first)
{
	struct wr w = wr_init(frame, sizeof(frame));
	put_ip4(&w, 52 + 2500, 6, 0);
	put_tcp(&w, 0x18);
	memcpy(frame + 12, "\x08\x00\x45\x00", 4);
	struct raw_packet whole = packet(&w, 52 + 2500), got[80];
	whole.linktype = 101;
	struct super s;
	cr_assert(super_begin(&s, &whole, frame, SUPER_TCP4, MSS));
	cr_assert_eq(take_all(&s, got), 3);
	cr_assert_eq(decoded(&got[0]).octets, 52 + 1000);
	cr_assert_eq(decoded(&got[2]).octets, 52 + 500);
	cr_assert_eq(decoded(&got[2]).tcp_flags, 0x18);
	cr_assert_eq(got[1].wirelen, 52 + 1000);

	w = wr_init(frame, sizeof(frame));
	put_ip6(&w, 32 + 1500, 6);
	put_tcp(&w, 0x18);
	whole = packet(&w, 40 + 32 + 1500);
	whole.linktype = 101;
	cr_assert(super_begin(&s, &whole, frame, SUPER_TCP6, MSS));
	cr_assert_eq(take_all(&s, got), 2);
	cr_assert_eq(decoded(&got[1]).octets, 40 + 32 + 500);
}

/* Linux puts a jumbo option into an IPv6 packet past 64 KiB, for itself alone; IPv4 has length 0. */
Test(super, past_64_kib_there_is_no_length_and_the_kernels_own_header_goes)
{
	struct wr w = wr_init(frame, sizeof(frame));
	size_t ip = put_link(&w, 1, 0x86dd);
	put_ip6(&w, 0, 0);
	wr_bytes(&w, "\x06\x00\xc2\x04\x00\x01\x11\x98", 8);
	put_tcp(&w, 0x10);
	struct raw_packet whole = packet(&w, (uint32_t)ip + 48 + 32 + 70000), got[80];
	struct super s;
	cr_assert(super_begin(&s, &whole, frame, SUPER_TCP6, MSS));
	cr_assert_eq(take_all(&s, got), 70);
	for (unsigned i = 0; i < 70; i++) {
		struct packet p = decoded(&got[i]);
		cr_assert_eq(p.octets, 40 + 32 + 1000);
		cr_assert_eq(p.sport, 1000);
		cr_assert_eq(p.vlan, 5);
	}

	w = wr_init(frame, sizeof(frame));
	ip = put_link(&w, 0, 0x0800);
	put_ip4(&w, 0, 6, 0);
	put_tcp(&w, 0x10);
	whole = packet(&w, (uint32_t)ip + 52 + 70000);
	cr_assert(super_begin(&s, &whole, frame, SUPER_TCP4, MSS));
	cr_assert_eq(take_all(&s, got), 70);
	cr_assert_eq(decoded(&got[69]).octets, 1052);
}

Test(super, udp_segments_are_datagrams_that_differ)
{
	struct wr w = wr_init(frame, sizeof(frame));
	size_t ip = put_link(&w, 0, 0x86dd);
	put_ip6(&w, 8 + 2100, 17);
	wr_u16(&w, 1000);
	wr_u16(&w, 53);
	wr_u16(&w, 8 + 2100);
	wr_u16(&w, 0x1111);
	wr_zero(&w, 100);
	struct raw_packet whole = packet(&w, (uint32_t)ip + 48 + 2100), got[80];
	struct super s;
	cr_assert(super_begin(&s, &whole, frame, SUPER_UDP, MSS));
	cr_assert_eq(take_all(&s, got), 3);
	cr_assert_eq(decoded(&got[1]).octets, 48 + 1000);
	cr_assert_eq(decoded(&got[2]).octets, 48 + 100);
	cr_assert_eq(be16(got[2].data + ip + 44), 108);
	cr_assert_neq(memcmp(got[0].data, got[1].data, ip + 48), 0);
}

Test(super, what_is_not_as_promised_is_taken_as_one)
{
	struct super s;
	struct raw_packet whole;
	static const struct {
		unsigned type, proto, frag, size, cut;
	} rows[] = {
		{SUPER_TCP4, 17, 0, MSS, 0},     /* UDP: a tunnel */
		{SUPER_TCP4, 47, 0, MSS, 0},     /* GRE */
		{SUPER_TCP6, 6, 0, MSS, 0},      /* the other version */
		{SUPER_TCP4, 6, 0x2000, MSS, 0}, /* a fragment */
		{SUPER_TCP4, 6, 0, 0, 0},        /* no size */
		{SUPER_TCP4, 6, 0, MSS, 1},      /* headers not captured */
		{SUPER_TCP4, 6, 0, MSS, 20},
		{SUPER_TCP4, 6, 0, MSS, 50},
		{3, 17, 0, MSS, 0},              /* fragmentation offload of UDP */
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wr w = wr_init(frame, sizeof(frame));
		put_link(&w, 0, 0x0800);
		put_ip4(&w, 52 + 2000, rows[i].proto, rows[i].frag);
		put_tcp(&w, 0x10);
		whole = packet(&w, 14 + 52 + 2000);
		whole.caplen -= rows[i].cut;
		cr_assert_not(super_begin(&s, &whole, frame, rows[i].type, rows[i].size), "row %zu", i);
		cr_assert_eq(s.whole.wirelen, whole.wirelen);
	}
}

/* Whatever the bytes: no read past what was captured (the sanitizers look), segments end. */
Test(super, any_cut_and_any_byte_is_survived)
{
	struct super s;
	struct wr w = wr_init(frame, sizeof(frame));
	put_link(&w, 1, 0x86dd);
	put_ip6(&w, 0, 0);
	wr_bytes(&w, "\x06\x00\xc2\x04\x00\x01\x11\x98", 8);
	put_tcp(&w, 0x10);
	for (uint32_t cut = 0; cut <= wr_len(&w); cut++)
		for (unsigned value = 0; value < 256; value += 5) {
			uint8_t *copy = malloc(cut + 1);
			memcpy(copy, frame, cut);
			if (cut > 0)
				copy[(value * 7) % cut] = (uint8_t)value;
			struct raw_packet whole = {.data = copy, .caplen = cut, .wirelen = cut + 3000,
						   .linktype = value % 2 ? 1 : 101};
			if (super_begin(&s, &whole, copy, SUPER_TCP6, MSS))
				while (super_has_more(&s))
					(void)super_next(&s, rooms[0]);
			free(copy);
		}
}
