/*
 * The way of a packet: a loop over a table of layers, from the link type to the transport header.
 * Each layer checks its header once and names the next; METERING.md §1 to §4 is what they obey.
 *
 * Ends differ: captured bytes, bytes an IP header claims, padding behind them. The cursor starts
 * with the first and each IP header clips it to the second, so nobody further in can mistake the
 * third. Fallbacks are settled in one place, at the end: a wrapper whose inside made no sense gives
 * its outer view back, a guessed pseudowire becomes "no IP". So the loop needs no recursion.
 *
 * Most packets are plain: Ethernet with two tags at most, an IP header without options or
 * extensions, TCP or UDP. They take a short cut without the table. It only recognises this shape;
 * what does not fit falls back to the loop, and fuzzing checks that both give the same. No state
 * between packets; any thread.
 */
#include "decode.h"

#include "conf.h"
#include "decode_internal.h"

static layer_fn *const layers[LAYER_COUNT] = {
#define L(id, fn) [LAYER_##id] = fn,
	LAYERS(L)
#undef L
};

uint64_t decode_wire_left(const struct decode *d)
{
	/* What was captured was on the wire, whatever a broken file states. */
	const struct raw_packet *raw = d->raw;
	const uint64_t wire = raw->wirelen > raw->caplen ? raw->wirelen : raw->caplen;
	return wire - (uint64_t)(d->rd.p - raw->data);
}

/* What an end that is not METERED means where something was looked through on trial. */
static void settle(struct decode *d)
{
	if (d->fate.counter == COUNTER_METERED)
		return;
	if (d->wrappers > 0) {
		*d->pkt = *d->outer;
		d->fate = (struct fate){COUNTER_METERED, COUNTER_DECAP_FAILED};
	} else if (d->pseudowire) {
		d->fate.counter = COUNTER_NON_IP_MPLS;
	}
}

struct fate decode_layers(uint32_t decap_flags, const struct raw_packet *raw,
			  struct packet *ret_packet, struct packet *ret_train)
{
	struct packet outer; /* not cleared: most packets never need it */
	struct decode d = {
		.rd = rd_init(raw->data, raw->caplen),
		.raw = raw,
		.pkt = ret_packet,
		.outer = &outer,
		.train = ret_train,
		.decap_flags = decap_flags,
		.fate = {COUNTER_MALFORMED_DEPTH, COUNTER_COUNT}, /* unless a layer ends the loop */
	};
	*ret_packet = (struct packet){.vlan = FLOW_VLAN_NONE, .cvlan = FLOW_VLAN_NONE};

	enum layer next = link_layer(&d, raw->linktype);
	for (unsigned n = 0; next != LAYER_END && n < LAYERS_MAX; n++)
		next = layers[next](&d);
	settle(&d);
	return d.fate;
}

/* ---- the short cut ----------------------------------------------------------------------- */

static inline bool is_plain_tag(uint16_t ethertype)
{
	return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ;
}

/* TCP or UDP whose ports and flags are there, in `size` bytes at `header`. */
static inline bool plain_l4(struct packet *pkt, const uint8_t *header, size_t size)
{
	if (pkt->ip_proto == IP_PROTO_TCP && size >= TCP_FLAGS_SIZE) {
		l4_fill_tcp_flags(pkt, header);
		l4_fill_ports(pkt, header);
		return true;
	}
	if (pkt->ip_proto == IP_PROTO_UDP && size >= L4_PORTS_SIZE) {
		l4_fill_ports(pkt, header);
		return true;
	}
	return false;
}

static inline size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline bool plain_ip4(struct packet *pkt, const struct rd *rd)
{
	enum { VERSION_4_NO_OPTIONS = 0x45 };
	const uint8_t *ip = rd_peek(rd, IP4_SIZE);
	if (ip == NULL || ip[0] != VERSION_4_NO_OPTIONS || ip4_is_fragment(ip))
		return false;
	const size_t total = be16(ip + IP4_TOTAL);
	if (total < IP4_SIZE)
		return false;
	ip4_fill(pkt, ip, total);
	return plain_l4(pkt, ip + IP4_SIZE, least(total, rd_left(rd)) - IP4_SIZE);
}

static inline bool plain_ip6(struct packet *pkt, const struct rd *rd)
{
	const uint8_t *ip = rd_peek(rd, IP6_SIZE);
	if (ip == NULL || ip_version(ip) != 6)
		return false;
	const size_t payload = be16(ip + IP6_PAYLOAD);
	if (payload == 0)
		return false;
	ip6_fill(pkt, ip, IP6_SIZE + payload);
	return plain_l4(pkt, ip + IP6_SIZE, least(payload, rd_left(rd) - IP6_SIZE));
}

/* False when the packet is not plain; ret_packet is then undefined. */
static inline bool decode_plain(const struct raw_packet *raw, struct packet *ret_packet)
{
	struct rd rd = rd_init(raw->data, raw->caplen);
	const uint8_t *frame = rd_take(&rd, ETHERNET_SIZE);
	if (raw->linktype != LINKTYPE_ETHERNET || frame == NULL)
		return false;
	uint16_t ethertype = be16(frame + ETHERNET_TYPE);
	uint16_t ids[2] = {FLOW_VLAN_NONE, FLOW_VLAN_NONE};
	for (unsigned i = 0; i < 2 && __builtin_expect(is_plain_tag(ethertype), 0); i++) {
		const uint8_t *tag = rd_take(&rd, VLAN_SIZE);
		if (tag == NULL)
			return false;
		ids[i] = be16(tag) & VLAN_ID_MASK;
		ethertype = be16(tag + VLAN_TYPE);
	}
	*ret_packet = (struct packet){
		.macs = frame, .vlan = ids[0], .cvlan = ids[1], .flags = PACKET_MACS};
	if (ethertype == ETHERTYPE_IP4)
		return plain_ip4(ret_packet, &rd);
	return ethertype == ETHERTYPE_IP6 && plain_ip6(ret_packet, &rd);
}

struct fate decode_packet(uint32_t decap_flags, const struct raw_packet *raw,
			  struct packet *ret_packet, struct packet *ret_train)
{
	/* UDP may be a wrapper, TCP never is. */
	if (__builtin_expect(decode_plain(raw, ret_packet), 1) &&
	    (decap_flags == 0 || ret_packet->ip_proto == IP_PROTO_TCP))
		return (struct fate){COUNTER_METERED, COUNTER_COUNT};
	return decode_layers(decap_flags, raw, ret_packet, ret_train);
}
