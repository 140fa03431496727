/* Super-packets taken apart; RFC 9293 and the kernel's own segmentation say how headers change. */
#include "super.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "wire.h"

#define TAGS_MAX	   8
#define LINKTYPE_ETHERNET 1

enum {
	MACS_SIZE = 12,
	IP4_SIZE = 20,
	IP4_LENGTH_AT = 2,
	IP4_ID_AT = 4,
	IP4_PROTO_AT = 9,
	IP6_SIZE = 40,
	IP6_LENGTH_AT = 4,
	IP6_NEXT_AT = 6,
	JUMBO_SIZE = 8, /* a hop-by-hop header with nothing but the jumbo option */
	JUMBO_OPTION = 0xc2,
	TCP_SIZE = 20,
	TCP_SEQUENCE_AT = 4,
	TCP_OFFSET_AT = 12,
	TCP_FLAGS_AT = 13,
	UDP_SIZE = 8,
	UDP_LENGTH_AT = 4,
	UDP_SUM_AT = 6
};

enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_CWR = 0x80 };

/* ---- where things are ----------------------------------------------------------------------- */

/* Steps over tags; returns the ethertype behind them, 0 when there is none. */
static unsigned take_ethernet(struct rd *r)
{
	rd_skip(r, MACS_SIZE);
	for (unsigned i = 0; i <= TAGS_MAX; i++) {
		unsigned type = rd_u16(r);
		if (type != ETH_P_8021Q && type != ETH_P_8021AD && type != ETH_P_QINQ1)
			return type;
		rd_skip(r, 2);
	}
	return 0;
}

/* Steps over the link header, where there is one; false when no IP header is behind it. */
static bool find_ip(struct rd *r, unsigned linktype)
{
	unsigned type = linktype == LINKTYPE_ETHERNET ? take_ethernet(r) : ETH_P_IP;
	return (type == ETH_P_IP || type == ETH_P_IPV6) && rd_left(r) > 0;
}

/* Steps over the header; returns the protocol, or -1 for a fragment and what is no header. */
static int take_ip4(struct rd *r)
{
	const uint8_t *h = rd_take(r, IP4_SIZE);
	if (h == NULL || h[0] >> 4 != 4 || (h[0] & 15) < 5 || (be16(h + 6) & 0x3fff) != 0)
		return -1;
	rd_skip(r, (size_t)(h[0] & 15) * 4 - IP4_SIZE);
	return h[IP4_PROTO_AT];
}

static bool is_extension(unsigned next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS;
}

static int take_ip6(struct rd *r)
{
	const uint8_t *h = rd_take(r, IP6_SIZE);
	if (h == NULL || h[0] >> 4 != 6)
		return -1;
	unsigned next = h[IP6_NEXT_AT];
	while (!r->bad && is_extension(next)) {
		next = rd_u8(r);
		rd_skip(r, (size_t)rd_u8(r) * 8 + 6);
	}
	return (int)next;
}

static bool take_transport(struct rd *r, unsigned type)
{
	if (type == SUPER_UDP)
		return rd_take(r, UDP_SIZE) != NULL;
	const uint8_t *h = rd_take(r, TCP_SIZE);
	if (h == NULL || h[TCP_OFFSET_AT] >> 4 < 5)
		return false;
	rd_skip(r, (size_t)(h[TCP_OFFSET_AT] >> 4) * 4 - TCP_SIZE);
	return !r->bad;
}

/* Longer than 64 KiB, an IPv6 packet gets a header from the kernel that is not on the wire. */
static void drop_jumbo(struct super *s, uint8_t *data)
{
	const uint8_t *ip = data + s->ip;
	const uint8_t *jumbo = ip + IP6_SIZE;
	if (s->whole.caplen < s->ip + IP6_SIZE + JUMBO_SIZE || ip[0] >> 4 != 6 ||
	    ip[IP6_NEXT_AT] != IPPROTO_HOPOPTS || jumbo[1] != 0 || jumbo[2] != JUMBO_OPTION)
		return;
	data[s->ip + IP6_NEXT_AT] = jumbo[0];
	memmove(data + JUMBO_SIZE, data, s->ip + IP6_SIZE);
	s->whole.data += JUMBO_SIZE;
	s->whole.caplen -= JUMBO_SIZE;
	s->whole.wirelen -= JUMBO_SIZE;
}

static bool find_headers(struct super *s)
{
	struct rd r = rd_init(s->whole.data + s->ip, s->whole.caplen - s->ip);
	int proto = s->whole.data[s->ip] >> 4 == 4 ? take_ip4(&r) : take_ip6(&r);
	bool ip6 = s->whole.data[s->ip] >> 4 == 6;
	if (proto != (s->type == SUPER_UDP ? IPPROTO_UDP : IPPROTO_TCP) ||
	    (s->type == SUPER_TCP4 && ip6) || (s->type == SUPER_TCP6 && !ip6))
		return false;
	s->transport = (uint32_t)(r.p - s->whole.data);
	if (!take_transport(&r, s->type))
		return false;
	s->headers = (uint32_t)(r.p - s->whole.data);
	return s->headers <= SUPER_ROOM && s->headers < s->whole.wirelen;
}

bool super_begin(struct super *s, const struct raw_packet *whole, uint8_t *data, unsigned type,
		 unsigned size)
{
	*s = (struct super){.whole = *whole, .size = size, .type = (uint8_t)type};
	struct rd r = rd_init(data, whole->caplen);
	if (size == 0 || !find_ip(&r, whole->linktype))
		return false;
	s->ip = (uint32_t)(r.p - data);
	s->whole.data = data;
	drop_jumbo(s, data);
	if (!find_headers(s))
		return false;
	s->payload = s->whole.wirelen - s->headers;
	return true;
}

/* ---- segments ------------------------------------------------------------------------------- */

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v);
}

/* `length`: of what is behind the link layer. */
static void mend_ip(const struct super *s, uint8_t *ip, uint32_t length)
{
	if (ip[0] >> 4 == 6) {
		put16(ip + IP6_LENGTH_AT, length - IP6_SIZE);
		return;
	}
	put16(ip + IP4_LENGTH_AT, length);
	put16(ip + IP4_ID_AT, be16(ip + IP4_ID_AT) + s->segments);
}

/* FIN and PSH are the last segment's, CWR the first's. */
static void mend_tcp(const struct super *s, uint8_t *tcp, bool is_last)
{
	put32(tcp + TCP_SEQUENCE_AT, be32(tcp + TCP_SEQUENCE_AT) + s->taken);
	if (!is_last)
		tcp[TCP_FLAGS_AT] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (s->segments > 0)
		tcp[TCP_FLAGS_AT] &= (uint8_t)~TCP_CWR;
}

/* The checksum is not worked out, but no two segments look alike to who compares packets. */
static void mend_udp(const struct super *s, uint8_t *udp, uint32_t length)
{
	put16(udp + UDP_LENGTH_AT, length);
	put16(udp + UDP_SUM_AT, be16(udp + UDP_SUM_AT) + s->segments);
}

struct raw_packet super_next(struct super *s, uint8_t *room)
{
	struct raw_packet segment = s->whole;
	uint32_t left = s->payload - s->taken;
	uint32_t size = left < s->size ? left : s->size;
	bool is_last = size == left;
	/* of the payload only the first segment's is where one would look for it */
	uint32_t shown = s->headers + (s->segments == 0 ? size : 0);
	if (shown > s->whole.caplen)
		shown = s->whole.caplen;
	if (shown > SUPER_ROOM)
		shown = SUPER_ROOM;
	memcpy(room, s->whole.data, shown);
	mend_ip(s, room + s->ip, s->headers + size - s->ip);
	if (s->type == SUPER_UDP)
		mend_udp(s, room + s->transport, s->headers + size - s->transport);
	else
		mend_tcp(s, room + s->transport, is_last);
	s->taken += size;
	s->segments++;
	segment.data = room;
	segment.caplen = shown;
	segment.wirelen = s->headers + size;
	return segment;
}
