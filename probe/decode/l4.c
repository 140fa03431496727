/*
 * Transport: ports, TCP flags, ICMP type and code (METERING.md §4), as far as they were captured
 * and are claimed by the IP header. A table says which protocol has what; all others have no ports.
 *
 * The cursor is only looked through, never moved: a wrapper may start here.
 */
#include "decode_internal.h"

enum l4_kind {
	L4_NONE,
	L4_PORTS,
	L4_TCP, /* ports, and flags further on */
	L4_ICMP
};

/* clang-format off */
static const uint8_t l4_kind[256] = {
	[IP_PROTO_ICMP] = L4_ICMP,
	[IP_PROTO_TCP] = L4_TCP,
	[IP_PROTO_UDP] = L4_PORTS,
	[IP_PROTO_DCCP] = L4_PORTS,
	[IP_PROTO_ICMP6] = L4_ICMP,
	[IP_PROTO_SCTP] = L4_PORTS,
	[IP_PROTO_UDPLITE] = L4_PORTS,
};
/* clang-format on */

enum { ICMP_TYPE_CODE_SIZE = 2 };

/* False when the bytes are not there. */
static bool fill_icmp(struct decode *d)
{
	if (!packet_is_icmp(d->pkt))
		return true;
	const uint8_t *header = rd_peek(&d->rd, ICMP_TYPE_CODE_SIZE);
	if (header == NULL)
		return false;
	d->pkt->dport = be16(header);
	d->pkt->flags |= PACKET_PORTS;
	return true;
}

static bool fill_ports(struct decode *d)
{
	const uint8_t *header = rd_peek(&d->rd, L4_PORTS_SIZE);
	if (header == NULL)
		return false;
	l4_fill_ports(d->pkt, header);
	return true;
}

static bool fill_tcp(struct decode *d)
{
	const uint8_t *header = rd_peek(&d->rd, TCP_FLAGS_SIZE);
	if (header != NULL)
		l4_fill_tcp_flags(d->pkt, header);
	return fill_ports(d);
}

static bool fill(struct decode *d)
{
	switch ((enum l4_kind)l4_kind[d->pkt->ip_proto]) {
	case L4_PORTS:
		return fill_ports(d);
	case L4_TCP:
		return fill_tcp(d);
	case L4_ICMP:
		return fill_icmp(d);
	default:
		return true;
	}
}

enum layer l4_decode(struct decode *d)
{
	if (!fill(d))
		d->fate.note = COUNTER_PORTS_CUT;
	return d->decap_flags != 0 ? LAYER_WRAPPER : decode_done(d);
}
