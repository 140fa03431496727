/*
 * Plain packets: Ethernet with two tags at most, an IP header without options, extensions or
 * fragments, TCP or UDP. Nearly all packets are, so they are recognised here without the table of
 * layers, inline: what the key is made of stays in registers, what is added up goes where the caller
 * wants it, nothing else is written.
 *
 * It only recognises the shape. What is not plain, however slightly, is the loop's (decode.c);
 * fuzzing checks that both give the same. A single tag and the difference between TCP and UDP cost
 * no branch, hence the arithmetic: a wrong guess costs as much as all the rest. Headers are read in
 * words for the same reason; every read lies behind a comparison with what was captured.
 */
#ifndef WEIR_DECODE_PLAIN_H
#define WEIR_DECODE_PLAIN_H

#include "decode/decode_internal.h"

/* What follows an Ethernet header. */
struct plain_link {
	const uint8_t *ip;
	size_t left;        /* bytes captured from there on */
	unsigned ethertype;
};

/* What tells a plain packet's flow. Addresses are le32 and le64 of their bytes. */
struct plain_ends {
	uint64_t src[2];    /* IPv4: in src[0], the rest 0 */
	uint64_t dst[2];
	uint32_t ports;     /* source << 16 | destination */
	uint8_t ip_proto;
};

static inline bool is_plain_tag(unsigned ethertype)
{
	return (ethertype == ETHERTYPE_VLAN) | (ethertype == ETHERTYPE_QINQ);
}

/* Behind two tags there is still an IPv4 header without options. */
#define PLAIN_MIN (ETHERNET_SIZE + 2 * VLAN_SIZE + IP4_SIZE)

/* All reads come before all writes of a step: a compiler cannot tell captured bytes from the places
 * that are written, and would read again what it has. */

/* One tag or none. Not Ethernet, or shorter than PLAIN_MIN, has ethertype 0. */
static inline struct plain_link plain_link(const struct raw_packet *raw, struct packet_sum *sum)
{
	const uint8_t *data = raw->data;
	if (raw->linktype != LINKTYPE_ETHERNET || raw->caplen < PLAIN_MIN)
		return (struct plain_link){.ethertype = 0};
	const uint32_t type_and_tag = be32(data + ETHERNET_TYPE);
	const uint32_t tagged = is_plain_tag(type_and_tag >> 16);
	const size_t size = ETHERNET_SIZE + VLAN_SIZE * tagged;
	const struct plain_link link = {
		.ip = data + size,
		.left = raw->caplen - size,
		.ethertype = be16(data + size - sizeof(uint16_t)),
	};
	/* without a tag both become FLOW_VLAN_NONE */
	sum->tags = (type_and_tag & VLAN_ID_MASK) | (tagged - 1) |
		    (uint32_t)FLOW_VLAN_NONE << 16;
	return link;
}
_Static_assert(FLOW_VLAN_NONE == UINT16_MAX, "what plain_link makes of no tag");

static inline bool plain_is_at_ip(const struct plain_link *link)
{
	return link->ethertype == ETHERTYPE_IP4 || link->ethertype == ETHERTYPE_IP6;
}

/* Steps over a second tag where plain_link found one. Is what follows one of the two IPs? */
static inline bool plain_reach_ip(struct plain_link *link, struct packet_sum *sum)
{
	if (__builtin_expect(plain_is_at_ip(link), 1))
		return true;
	if (!is_plain_tag(link->ethertype) || link->left < VLAN_SIZE)
		return false;
	sum->cvlan = be16(link->ip) & VLAN_ID_MASK;
	link->ip += VLAN_SIZE;
	link->left -= VLAN_SIZE;
	link->ethertype = be16(link->ip - sizeof(uint16_t));
	return plain_is_at_ip(link);
}

/* What differs between TCP and UDP, by protocol, so that it takes no branch. */
struct plain_l4 {
	uint32_t need;       /* bytes behind the IP header; of other protocols more than there can be */
	uint16_t flags_at;   /* where they are ... */
	uint16_t flags_mask; /* ... unless this is 0 */
};

#define PLAIN_L4_NOT {.need = UINT32_MAX}
static const struct plain_l4 plain_l4[UINT8_MAX + 1] = {
	[0 ... IP_PROTO_TCP - 1] = PLAIN_L4_NOT,
	[IP_PROTO_TCP] = {TCP_FLAGS_SIZE, TCP_FLAGS, TCP_FLAGS_MASK},
	[IP_PROTO_TCP + 1 ... IP_PROTO_UDP - 1] = PLAIN_L4_NOT,
	[IP_PROTO_UDP] = {L4_PORTS_SIZE, 0, 0},
	[IP_PROTO_UDP + 1 ... UINT8_MAX] = PLAIN_L4_NOT,
};
#undef PLAIN_L4_NOT

/* Is there a plain IPv4 packet behind the link? Version to fragment offset are read as one word. */
static inline bool plain_is_ip4(const struct plain_link *link)
{
	/* version and header length, "more fragments" and fragment offset */
	const uint64_t shape_mask = UINT64_C(0xff3f0000000000ff), shape = 0x45;
	const uint8_t *ip = link->ip; /* IP4_SIZE bytes: PLAIN_MIN */
	const size_t total = be16(ip + IP4_TOTAL);
	const size_t size = total < link->left ? total : link->left;
	return (le64(ip) & shape_mask) == shape &&
	       size >= IP4_SIZE + (size_t)plain_l4[ip[IP4_PROTO]].need;
}

/* Its ends; both addresses are read as one word. */
static inline void plain_ends4(const struct plain_link *link, struct plain_ends *ret_ends)
{
	const uint64_t addresses = le64(link->ip + IP4_SRC);
	ret_ends->src[0] = (uint32_t)addresses;
	ret_ends->src[1] = 0;
	ret_ends->dst[0] = addresses >> 32;
	ret_ends->dst[1] = 0;
	ret_ends->ports = be32(link->ip + IP4_SIZE);
	ret_ends->ip_proto = link->ip[IP4_PROTO];
}

/* And what it adds to its flow. */
static inline void plain_sum4(const struct plain_link *link, struct packet_sum *sum)
{
	const uint8_t *ip = link->ip;
	const struct plain_l4 *l4 = &plain_l4[ip[IP4_PROTO]];
	const uint16_t flags = be16(ip + IP4_SIZE + l4->flags_at) & l4->flags_mask;
	const uint16_t octets = be16(ip + IP4_TOTAL);
	const uint8_t tos = ip[IP4_TOS], ttl = ip[IP4_TTL];
	sum->octets = octets;
	sum->tcp_flags = flags;
	sum->tos = tos;
	sum->ttl = ttl;
}
_Static_assert(IP4_FRAG == 6 && IP4_DST == IP4_SRC + 4, "the words of plain IPv4");

/* The same for IPv6. */
static inline bool plain_is_ip6(const struct plain_link *link)
{
	const uint8_t *ip = link->ip;
	if (link->left < IP6_SIZE || ip_version(ip) != 6)
		return false;
	const size_t total = IP6_SIZE + be16(ip + IP6_PAYLOAD);
	const size_t size = total < link->left ? total : link->left;
	return size >= IP6_SIZE + (size_t)plain_l4[ip[IP6_NEXT]].need;
}

static inline void plain_ends6(const struct plain_link *link, struct plain_ends *ret_ends)
{
	const uint8_t *ip = link->ip;
	ret_ends->src[0] = le64(ip + IP6_SRC);
	ret_ends->src[1] = le64(ip + IP6_SRC + 8);
	ret_ends->dst[0] = le64(ip + IP6_DST);
	ret_ends->dst[1] = le64(ip + IP6_DST + 8);
	ret_ends->ports = be32(ip + IP6_SIZE);
	ret_ends->ip_proto = ip[IP6_NEXT];
}

static inline void plain_sum6(const struct plain_link *link, struct packet_sum *sum)
{
	const uint8_t *ip = link->ip;
	const struct plain_l4 *l4 = &plain_l4[ip[IP6_NEXT]];
	const uint16_t flags = be16(ip + IP6_SIZE + l4->flags_at) & l4->flags_mask;
	const uint16_t octets = be16(ip + IP6_PAYLOAD);
	const uint8_t tos = (uint8_t)(be16(ip) >> 4), ttl = ip[IP6_HOPS];
	sum->octets = IP6_SIZE + octets;
	sum->tcp_flags = flags;
	sum->tos = tos;
	sum->ttl = ttl;
}

static inline bool plain_is_ip(const struct plain_link *link, bool ip6)
{
	return ip6 ? plain_is_ip6(link) : plain_is_ip4(link);
}

static inline void plain_ends(const struct plain_link *link, bool ip6, struct plain_ends *ret_ends)
{
	if (ip6)
		plain_ends6(link, ret_ends);
	else
		plain_ends4(link, ret_ends);
}

static inline void plain_sum(const struct plain_link *link, bool ip6, struct packet_sum *sum)
{
	if (ip6)
		plain_sum6(link, sum);
	else
		plain_sum4(link, sum);
}

#endif
