/*
 * What the decoder's files share: the list of layers, the state of one packet's way through them,
 * and the few fillers that the loop and its short cut (decode.c) have in common.
 */
#ifndef WEIR_DECODE_INTERNAL_H
#define WEIR_DECODE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow.h"
#include "packet.h"
#include "wire.h"

/* How deep chains are believed. A hostile packet costs no more than these allow. */
enum decode_limit {
	VLAN_TAGS_MAX = 8,    /* METERING.md §2; more is malformed */
	MPLS_LABELS_MAX = 32, /* more is malformed */
	IP6_EXT_MAX = 64,     /* beyond, the protocol is the extension header's own number */
	WRAPPERS_MAX = 8,     /* beyond, the wrapper itself is metered */
	LAYERS_MAX = 128      /* all layers of a packet; more is malformed */
};

/* THE list of layers: L(id, function). The cursor stands at the layer's first byte. */
#define LAYERS(L)                                                                                  \
	L(ETHERNET, link_ethernet)                                                                 \
	L(VLAN, link_vlan)                                                                         \
	L(LLC, link_llc)                                                                           \
	L(SNAP, link_snap)                                                                         \
	L(MPLS, link_mpls)                                                                         \
	L(PPPOE, link_pppoe)                                                                       \
	L(PPP, link_ppp)                                                                           \
	L(PPP_WITH_DIR, link_ppp_with_dir)                                                         \
	L(CHDLC, link_chdlc)                                                                       \
	L(FRAME_RELAY, link_frame_relay)                                                           \
	L(NULL, link_null)                                                                         \
	L(LOOP, link_loop)                                                                         \
	L(RAW, link_raw)                                                                           \
	L(SLL, link_sll)                                                                           \
	L(SLL2, link_sll2)                                                                         \
	L(NFLOG, link_nflog)                                                                       \
	L(PPI, link_ppi)                                                                           \
	L(PKTAP, link_pktap)                                                                       \
	L(IPOIB, link_ipoib)                                                                       \
	L(JUNIPER, link_juniper)                                                                   \
	L(WLAN, wlan_frame)                                                                        \
	L(RADIOTAP, wlan_radiotap)                                                                 \
	L(PRISM, wlan_prism)                                                                       \
	L(AVS, wlan_avs)                                                                           \
	L(IP4, ip4_decode)                                                                         \
	L(IP6, ip6_decode)                                                                         \
	L(L4, l4_decode)                                                                           \
	L(WRAPPER, tunnel_open)

enum layer {
	LAYER_END, /* `fate` says how */
#define L(id, fn) LAYER_##id,
	LAYERS(L)
#undef L
		LAYER_COUNT
};

/* One packet on its way through the layers. */
struct decode {
	struct rd rd; /* what is left: captured, and claimed by the IP headers passed */
	const struct raw_packet *raw;
	struct packet *pkt;
	struct packet *outer; /* the last wrapper's view, if any was opened */
	struct packet *train; /* the caller's, for a wrapper that is a first fragment */
	uint32_t decap_flags; /* enum decap_flag */
	struct fate fate;     /* final once LAYER_END is reached */
	bool pseudowire;      /* an MPLS payload was guessed to be Ethernet */
	bool wlan_padded;     /* radiotap: the body of the 802.11 frame is aligned to 4 bytes */
	bool macs_seen;	      /* of this frame; a wrapper starts a new one */
	uint8_t tags;	      /* VLAN tags of this frame */
	uint8_t wrappers;     /* looked through so far */
};

/* Consumes its header and returns the next layer, or LAYER_END by way of the functions below. */
typedef enum layer layer_fn(struct decode *d);

#define L(id, fn) layer_fn fn;
LAYERS(L)
#undef L

/* The packet stops here, as `counter` says. */
static inline enum layer decode_end(struct decode *d, enum counter_id counter)
{
	d->fate.counter = (uint8_t)counter;
	return LAYER_END;
}

/* The packet is metered as `pkt` has it. */
static inline enum layer decode_done(struct decode *d)
{
	return decode_end(d, COUNTER_METERED);
}

/* A row of a table that says which layer a number in a header announces. */
struct layer_row {
	uint32_t key;
	enum layer layer;
};

/* The layer of `key`, or LAYER_END when no row has it. */
static inline enum layer layer_lookup(const struct layer_row *rows, size_t n, uint32_t key)
{
	for (size_t i = 0; i < n; i++) {
		if (rows[i].key == key)
			return rows[i].layer;
	}
	return LAYER_END;
}

/* The same in a decoder: ends the packet as `absent` when no row has the key. */
#define LAYER_NEXT(d, rows, key, absent)                                                           \
	layer_next(d, layer_lookup(rows, sizeof(rows) / sizeof((rows)[0]), key), absent)

static inline enum layer layer_next(struct decode *d, enum layer next, enum counter_id absent)
{
	return next != LAYER_END ? next : decode_end(d, absent);
}

/* The layer that a LINKTYPE_ value, or an ethertype, announces; ends the packet if none. */
enum layer link_layer(struct decode *d, uint32_t linktype);
enum layer link_ethertype(struct decode *d, uint16_t ethertype);

/* 12 bytes, destination first, of an Ethernet or 802.11 header. Only a frame's outermost count. */
void link_set_macs(struct decode *d, const uint8_t *macs);

/* Bytes on the wire from the cursor on (METERING.md §3, segmentation offload). */
uint64_t decode_wire_left(const struct decode *d);

/* The whole loop, without decode_packet's short cut; both give the same. */
struct fate decode_layers(uint32_t decap_flags, const struct raw_packet *raw,
			  struct packet *ret_packet, struct packet *ret_train);

/* ---- headers read both by the loop and by the short cut ---------------------------------- */

enum { LINKTYPE_ETHERNET = 1 };

enum ethertype {
	ETHERTYPE_LEAST = 1536, /* below, the field is an 802.3 length */
	ETHERTYPE_IP4 = 0x0800,
	ETHERTYPE_TEB = 0x6558, /* transparent Ethernet bridging */
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_IP6 = 0x86dd,
	ETHERTYPE_MPLS = 0x8847,
	ETHERTYPE_MPLS_UPSTREAM = 0x8848,
	ETHERTYPE_PPPOE_SESSION = 0x8864,
	ETHERTYPE_QINQ = 0x88a8,
	ETHERTYPE_QINQ_OLD = 0x9100
};

enum ip_proto {
	IP_PROTO_ICMP = 1,
	IP_PROTO_IP4 = 4,
	IP_PROTO_TCP = 6,
	IP_PROTO_UDP = 17,
	IP_PROTO_DCCP = 33,
	IP_PROTO_IP6 = 41,
	IP_PROTO_GRE = 47,
	IP_PROTO_ICMP6 = 58,
	IP_PROTO_NONE = 59,
	IP_PROTO_SCTP = 132,
	IP_PROTO_UDPLITE = 136
};

enum ethernet_header {
	ETHERNET_TYPE = 12, /* behind the two MACs */
	ETHERNET_SIZE = 14
};

enum vlan_tag {
	VLAN_TYPE = 2, /* behind the tag control information */
	VLAN_SIZE = 4,
	VLAN_ID_MASK = 0x0fff
};

enum ip4_header {
	IP4_TOS = 1,
	IP4_TOTAL = 2,
	IP4_ID = 4,
	IP4_FRAG = 6,
	IP4_TTL = 8,
	IP4_PROTO = 9,
	IP4_SRC = 12,
	IP4_DST = 16,
	IP4_SIZE = 20,
	IP4_FRAG_OFFSET = 0x1fff,
	IP4_FRAG_MORE = 0x2000
};

enum ip6_header {
	IP6_PAYLOAD = 4,
	IP6_NEXT = 6,
	IP6_HOPS = 7,
	IP6_SRC = 8,
	IP6_DST = 24,
	IP6_SIZE = 40
};

enum l4_header {
	L4_DPORT = 2,
	L4_PORTS_SIZE = 4,
	TCP_FLAGS = 12, /* behind the data offset, in the same two bytes */
	TCP_FLAGS_MASK = 0x1ff,
	TCP_FLAGS_SIZE = 14,
	UDP_SIZE = 8
};

/* Version nibble of an IP header. */
static inline unsigned ip_version(const uint8_t *ip)
{
	return ip[0] >> 4;
}

static inline bool ip4_is_fragment(const uint8_t *ip)
{
	return (be16(ip + IP4_FRAG) & (IP4_FRAG_OFFSET | IP4_FRAG_MORE)) != 0;
}

/* Sets what an IPv4 header says, forgetting an outer one; link-layer members stay. */
static inline void ip4_fill(struct packet *pkt, const uint8_t *ip, uint64_t octets)
{
	pkt->flags &= PACKET_MACS;
	pkt->frag_id = 0;
	if (__builtin_expect(ip4_is_fragment(ip), 0)) {
		const bool later = be16(ip + IP4_FRAG) & IP4_FRAG_OFFSET;
		pkt->flags |= later ? PACKET_FRAG_LATER : PACKET_FRAG_FIRST;
		pkt->frag_id = be16(ip + IP4_ID);
	}
	pkt->src = ip + IP4_SRC;
	pkt->dst = ip + IP4_DST;
	pkt->octets = octets;
	pkt->sport = pkt->dport = pkt->tcp_flags = 0;
	pkt->ip_version = 4;
	pkt->ip_proto = ip[IP4_PROTO];
	pkt->tos = ip[IP4_TOS];
	pkt->ttl = ip[IP4_TTL];
}

/* The same for the fixed IPv6 header. */
static inline void ip6_fill(struct packet *pkt, const uint8_t *ip, uint64_t octets)
{
	pkt->flags &= PACKET_MACS;
	pkt->frag_id = 0;
	pkt->src = ip + IP6_SRC;
	pkt->dst = ip + IP6_DST;
	pkt->octets = octets;
	pkt->sport = pkt->dport = pkt->tcp_flags = 0;
	pkt->ip_version = 6;
	pkt->ip_proto = ip[IP6_NEXT];
	pkt->tos = (uint8_t)(be16(ip) >> 4);
	pkt->ttl = ip[IP6_HOPS];
}

/* L4_PORTS_SIZE bytes of a transport header. */
static inline void l4_fill_ports(struct packet *pkt, const uint8_t *header)
{
	pkt->sport = be16(header);
	pkt->dport = be16(header + L4_DPORT);
	pkt->flags |= PACKET_PORTS;
}

/* TCP_FLAGS_SIZE bytes of a TCP header. */
static inline void l4_fill_tcp_flags(struct packet *pkt, const uint8_t *header)
{
	pkt->tcp_flags = be16(header + TCP_FLAGS) & TCP_FLAGS_MASK;
	pkt->flags |= PACKET_TCP_FLAGS;
}

#endif
