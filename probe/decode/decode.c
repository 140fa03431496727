/*
 * The way of a packet: a loop over a table of layers, from the link type to the transport header.
 * Each layer checks its header once and names the next; METERING.md §1 to §4 is what they obey.
 *
 * Ends differ: captured bytes, bytes an IP header claims, padding behind them. The cursor starts
 * with the first and each IP header clips it to the second, so nobody further in can mistake the
 * third. Fallbacks are settled in one place, at the end: a wrapper whose inside made no sense gives
 * its outer view back, a guessed pseudowire becomes "no IP". So the loop needs no recursion.
 *
 * Most packets are plain and take a short cut without the table (plain.h). No state between packets;
 * any thread.
 */
#include "decode.h"

#include "conf.h"
#include "decode_internal.h"
#include "plain.h"

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

static void plain_fill(const struct raw_packet *raw, const uint8_t *ip, bool ip6,
		       const struct plain_ends *ends, const struct packet_sum *sum,
		       struct packet *ret_packet)
{
	*ret_packet = (struct packet){
		.src = ip + (ip6 ? IP6_SRC : IP4_SRC),
		.dst = ip + (ip6 ? IP6_DST : IP4_DST),
		.macs = raw->data,
		.octets = sum->octets,
		.sport = (uint16_t)(ends->ports >> 16),
		.dport = (uint16_t)ends->ports,
		.tcp_flags = sum->tcp_flags,
		.vlan = sum->vlan,
		.cvlan = sum->cvlan,
		.ip_version = ip6 ? 6 : 4,
		.ip_proto = ends->ip_proto,
		.tos = sum->tos,
		.ttl = sum->ttl,
		.flags = PACKET_MACS | PACKET_PORTS |
			 (ends->ip_proto == IP_PROTO_TCP ? PACKET_TCP_FLAGS : 0),
	};
}

static bool decode_plain(uint32_t decap_flags, const struct raw_packet *raw,
			 struct packet *ret_packet)
{
	struct packet_sum sum;
	struct plain_ends ends;
	struct plain_link link = plain_link(raw, &sum);
	if (!plain_reach_ip(&link, &sum))
		return false;
	const bool ip6 = link.ethertype == ETHERTYPE_IP6;
	if (!plain_is_ip(&link, ip6))
		return false;
	plain_ends(&link, ip6, &ends);
	plain_sum(&link, ip6, &sum);
	/* UDP may be a wrapper, TCP never is. */
	if (decap_flags != 0 && ends.ip_proto != IP_PROTO_TCP)
		return false;
	plain_fill(raw, link.ip, ip6, &ends, &sum, ret_packet);
	return true;
}

struct fate decode_packet(uint32_t decap_flags, const struct raw_packet *raw,
			  struct packet *ret_packet, struct packet *ret_train)
{
	if (decode_plain(decap_flags, raw, ret_packet))
		return (struct fate){COUNTER_METERED, COUNTER_COUNT};
	return decode_layers(decap_flags, raw, ret_packet, ret_train);
}
