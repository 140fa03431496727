/*
 * Decode at its limits: chains longer than are believed, nesting, lengths that lie. Packets too
 * long to write down are built here byte by byte.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "../../probe/decode/decode.h"
#include "../../probe/decode/decode_internal.h"
#include "conf.h"

static struct packet train; /* wrappers that are first fragments go here */

struct frame {
	uint8_t bytes[8192];
	struct wr wr;
	struct packet pkt; /* decoded */
	struct fate fate;
};

static void start(struct frame *f)
{
	f->wr = wr_init(f->bytes, sizeof(f->bytes));
}

static void start_ethernet(struct frame *f, uint16_t ethertype)
{
	start(f);
	wr_zero(&f->wr, 12);
	wr_u16(&f->wr, ethertype);
}

static void put_ip4(struct frame *f, uint16_t total, uint8_t protocol)
{
	wr_u16(&f->wr, 0x4500);
	wr_u16(&f->wr, total);
	wr_u32(&f->wr, 0);
	wr_u8(&f->wr, 64);
	wr_u8(&f->wr, protocol);
	wr_u16(&f->wr, 0);
	wr_zero(&f->wr, 8);
}

static void put_ip6(struct frame *f, uint16_t payload, uint8_t next)
{
	wr_u32(&f->wr, 0x60000000);
	wr_u16(&f->wr, payload);
	wr_u8(&f->wr, next);
	wr_u8(&f->wr, 64);
	wr_zero(&f->wr, 32);
}

static void put_udp(struct frame *f)
{
	wr_u16(&f->wr, 1000);
	wr_u16(&f->wr, 2000);
	wr_u32(&f->wr, 0);
}

static void decode(struct frame *f, uint32_t decap_flags, uint16_t linktype, uint32_t wirelen)
{
	cr_assert(!f->wr.bad);
	const struct raw_packet raw = {
		.data = f->bytes,
		.caplen = (uint32_t)wr_len(&f->wr),
		.wirelen = wirelen != 0 ? wirelen : (uint32_t)wr_len(&f->wr),
		.linktype = linktype,
	};
	f->fate = decode_packet(decap_flags, &raw, &f->pkt, &train);
}

/* ---- chains ------------------------------------------------------------------------------ */

static void decode_labels(struct frame *f, unsigned count)
{
	start_ethernet(f, ETHERTYPE_MPLS);
	for (unsigned i = 0; i < count; i++)
		wr_u32(&f->wr, i + 1 < count ? 0x00010040 : 0x00010140);
	put_ip4(f, 28, IP_PROTO_UDP);
	put_udp(f);
	decode(f, 0, 1, 0);
}

Test(decode_limits, mpls_labels)
{
	struct frame f;
	decode_labels(&f, MPLS_LABELS_MAX);
	cr_expect_eq(f.fate.counter, COUNTER_METERED);
	decode_labels(&f, MPLS_LABELS_MAX + 1);
	cr_expect_eq(f.fate.counter, COUNTER_MALFORMED_DEPTH);
}

/* `count` destination options headers, then UDP */
static void decode_extensions(struct frame *f, unsigned count)
{
	start_ethernet(f, ETHERTYPE_IP6);
	put_ip6(f, (uint16_t)(count * 8 + 8), 60);
	for (unsigned i = 0; i < count; i++) {
		wr_u8(&f->wr, i + 1 < count ? 60 : IP_PROTO_UDP);
		wr_u8(&f->wr, 0);
		wr_zero(&f->wr, 6);
	}
	put_udp(f);
	decode(f, 0, 1, 0);
}

Test(decode_limits, ipv6_extension_headers)
{
	struct frame f;
	decode_extensions(&f, IP6_EXT_MAX);
	cr_expect_eq(f.fate.counter, COUNTER_METERED);
	cr_expect_eq(f.fate.note, COUNTER_COUNT);
	cr_expect_eq(f.pkt.ip_proto, IP_PROTO_UDP);
	cr_expect_eq(f.pkt.dport, 2000);

	decode_extensions(&f, IP6_EXT_MAX + 1);
	cr_expect_eq(f.fate.counter, COUNTER_METERED);
	cr_expect_eq(f.fate.note, COUNTER_EXT_DEPTH);
	cr_expect_eq(f.pkt.ip_proto, 60);
	cr_expect_eq(f.pkt.dport, 0);
	cr_expect_eq(f.pkt.octets, 40 + (IP6_EXT_MAX + 1) * 8 + 8);
}

/* `count` IPv4 headers, each in the one before, then UDP */
static void decode_nested(struct frame *f, unsigned count)
{
	start_ethernet(f, ETHERTYPE_IP4);
	for (unsigned left = count; left > 0; left--)
		put_ip4(f, (uint16_t)(left * 20 + 8), left > 1 ? IP_PROTO_IP4 : IP_PROTO_UDP);
	put_udp(f);
	decode(f, DECAP_IPIP, 1, 0);
}

Test(decode_limits, wrappers)
{
	struct frame f;
	decode_nested(&f, WRAPPERS_MAX + 1);
	cr_expect_eq(f.fate.counter, COUNTER_METERED);
	cr_expect_eq(f.fate.note, COUNTER_COUNT);
	cr_expect_eq(f.pkt.octets, 28);

	decode_nested(&f, WRAPPERS_MAX + 2); /* the last wrapper is metered, not the outermost */
	cr_expect_eq(f.fate.counter, COUNTER_METERED);
	cr_expect_eq(f.fate.note, COUNTER_DECAP_FAILED);
	cr_expect_eq(f.pkt.octets, 48);
	cr_expect_eq(f.pkt.ip_proto, IP_PROTO_IP4);
}

/* Ethernet in Ethernet without end: each layer alone is sound. */
Test(decode_limits, all_layers_together)
{
	struct frame f;
	start(&f);
	for (unsigned i = 0; i < LAYERS_MAX; i++) {
		wr_zero(&f.wr, 12);
		wr_u16(&f.wr, ETHERTYPE_TEB);
	}
	decode(&f, 0, 1, 0);
	cr_expect_eq(f.fate.counter, COUNTER_MALFORMED_DEPTH);
}

/* A pseudowire was only guessed: nothing in it makes the packet malformed. */
Test(decode_limits, pseudowire_with_too_many_tags_is_no_ip)
{
	struct frame f;
	start_ethernet(&f, ETHERTYPE_MPLS);
	wr_u32(&f.wr, 0x00010140);
	wr_u32(&f.wr, 0);
	wr_zero(&f.wr, 12);
	for (unsigned i = 0; i <= VLAN_TAGS_MAX; i++)
		wr_u32(&f.wr, 0x81000001);
	decode(&f, 0, 1, 0);
	cr_expect_eq(f.fate.counter, COUNTER_NON_IP_MPLS);
}

/* What a wrapper inside a pseudowire cannot give is metered by the pseudowire's own packet. */
Test(decode_limits, broken_wrapper_in_pseudowire_is_metered_outside)
{
	struct frame f;
	start_ethernet(&f, ETHERTYPE_MPLS);
	wr_u32(&f.wr, 0x00010140);
	wr_u32(&f.wr, 0);
	wr_zero(&f.wr, 12);
	wr_u16(&f.wr, ETHERTYPE_IP4);
	put_ip4(&f, 24, IP_PROTO_IP4);
	wr_u32(&f.wr, 0xffffffff);
	decode(&f, DECAP_IPIP, 1, 0);
	cr_expect_eq(f.fate.counter, COUNTER_METERED);
	cr_expect_eq(f.fate.note, COUNTER_DECAP_FAILED);
	cr_expect_eq(f.pkt.octets, 24);
}

/* ---- members that a later layer must not leave behind ------------------------------------ */

Test(decode_limits, priority_tag_has_vlan_0)
{
	struct frame f;
	start_ethernet(&f, ETHERTYPE_VLAN);
	wr_u16(&f.wr, 0xe000);
	wr_u16(&f.wr, ETHERTYPE_IP4);
	put_ip4(&f, 28, IP_PROTO_UDP);
	put_udp(&f);
	decode(&f, 0, 1, 0);
	cr_expect_eq(f.pkt.vlan, 0);
	cr_expect_eq(f.pkt.cvlan, FLOW_VLAN_NONE);
}

Test(decode_limits, outer_fragment_and_ports_are_forgotten_inside)
{
	struct frame f;
	start_ethernet(&f, ETHERTYPE_IP4);
	put_ip4(&f, 20 + 8 + 8 + 20, IP_PROTO_UDP);
	f.bytes[14 + IP4_FRAG] = 0x20; /* more fragments */
	wr_u16(&f.wr, 2152);
	wr_u16(&f.wr, 2152);
	wr_u32(&f.wr, 0);
	wr_u64(&f.wr, UINT64_C(0x30ff001400000001));
	put_ip4(&f, 20, 47);
	decode(&f, DECAP_GTPU, 1, 0);
	cr_expect_eq(f.fate.counter, COUNTER_METERED);
	cr_expect_eq(f.pkt.ip_proto, 47);
	cr_expect_eq(f.pkt.flags, PACKET_MACS);
	cr_expect_eq(f.pkt.frag_id, 0);
	cr_expect_eq(f.pkt.sport, 0);
	cr_expect_eq(f.pkt.dport, 0);
}

/* ---- lengths ----------------------------------------------------------------------------- */

Test(decode_limits, a_wire_length_below_the_captured_one_is_not_believed)
{
	struct frame f;
	start_ethernet(&f, ETHERTYPE_IP4);
	put_ip4(&f, 0, IP_PROTO_UDP);
	put_udp(&f);
	decode(&f, 0, 1, 1);
	cr_expect_eq(f.fate.counter, COUNTER_METERED);
	cr_expect_eq(f.pkt.octets, 28);
}

Test(decode_limits, offload_length_starts_at_the_ip_header_whatever_is_below)
{
	struct frame f;
	start(&f);
	wr_u32(&f.wr, 0x1e000000); /* NULL, Darwin's IPv6 */
	put_ip6(&f, 0, IP_PROTO_UDP);
	put_udp(&f);
	decode(&f, 0, 0, 70000);
	cr_expect_eq(f.fate.counter, COUNTER_METERED);
	cr_expect_eq(f.pkt.octets, 70000 - 4);
}

Test(decode_limits, a_jumbo_length_uses_all_its_32_bits)
{
	struct frame f;
	start(&f);
	put_ip6(&f, 0, 0);
	wr_u32(&f.wr, 0x1100c204);
	wr_u32(&f.wr, UINT32_MAX);
	put_udp(&f);
	decode(&f, 0, 229, 0);
	cr_expect_eq(f.pkt.octets, UINT64_C(40) + UINT32_MAX);
	cr_expect_eq(f.pkt.dport, 2000);
}
