/*
 * IPv6: the fixed header, its length in all its disguises (METERING.md §3), and the walk over the
 * extension headers to the upper-layer protocol (§4).
 *
 * Extension headers are a table of how each counts its length: AH counts 4-byte units less 2, the
 * fragment header has a fixed size. A walk that is cut ends at the header it could not pass, whose
 * number is then the protocol.
 */
#include "decode_internal.h"

enum ext_kind {
	EXT_NONE,    /* an upper-layer protocol */
	EXT_OPTIONS, /* 8-byte units, the first not counted */
	EXT_AH,	     /* 4-byte units less 2 */
	EXT_FRAGMENT
};

/* clang-format off */
static const uint8_t ext_kind[256] = {
	[0] = EXT_OPTIONS,  /* hop-by-hop */
	[43] = EXT_OPTIONS, /* routing */
	[44] = EXT_FRAGMENT,
	[51] = EXT_AH,
	[60] = EXT_OPTIONS, /* destination options */
};
/* clang-format on */

enum {
	IP_PROTO_HOPOPT = 0,
	EXT_MIN = 8, /* least size of any of them */
	FRAGMENT_OFFSET = 2,
	FRAGMENT_OFFSET_MASK = 0xfff8,
	FRAGMENT_MORE = 0x0001,
	FRAGMENT_ID = 4,
	OPTION_PAD1 = 0,
	OPTION_JUMBO = 0xc2, /* RFC 2675 §2 */
	OPTION_JUMBO_SIZE = 4,
	/* A frame padded to the Ethernet minimum holds 46 bytes: more cannot be padding. */
	PADDED_MAX = 46
};

static size_t ext_size(enum ext_kind kind, uint8_t length)
{
	switch (kind) {
	case EXT_OPTIONS:
		return (length + 1U) * 8;
	case EXT_AH:
		return (length + 2U) * 4;
	default:
		return EXT_MIN;
	}
}

/* The jumbo payload length of the hop-by-hop header at the cursor; false if there is none. */
static bool jumbo_length(struct rd rd, uint32_t *ret_length)
{
	rd_skip(&rd, 1);
	rd_clip(&rd, ext_size(EXT_OPTIONS, rd_u8(&rd)) - 2);
	while (rd_left(&rd) > 0) {
		const uint8_t type = rd_u8(&rd);
		if (type == OPTION_PAD1)
			continue;
		const uint8_t size = rd_u8(&rd);
		const uint8_t *value = rd_take(&rd, size);
		if (value != NULL && type == OPTION_JUMBO && size == OPTION_JUMBO_SIZE) {
			*ret_length = be32(value);
			return true;
		}
	}
	return false;
}

/* Octets of a packet whose payload length is 0; the cursor stands at its IP header. */
static uint64_t octets_without_length(const struct decode *d, uint8_t next_header)
{
	struct rd rd = d->rd;
	uint32_t jumbo;
	rd_skip(&rd, IP6_SIZE);
	if (next_header == IP_PROTO_HOPOPT && jumbo_length(rd, &jumbo))
		return (uint64_t)IP6_SIZE + jumbo;
	const uint64_t wire = decode_wire_left(d);
	return next_header != IP_PROTO_NONE && wire > PADDED_MAX ? wire : IP6_SIZE;
}

/* Notes what a fragment header says; true when it is not the first, so no header follows. */
static bool fragment_is_later(struct packet *pkt, const uint8_t *header)
{
	const uint16_t field = be16(header + FRAGMENT_OFFSET);
	const bool later = (field & FRAGMENT_OFFSET_MASK) != 0;
	if (!later && !(field & FRAGMENT_MORE))
		return false; /* atomic (RFC 6946): whole, in spite of its header */
	pkt->flags &= (uint8_t)~PACKET_FRAG_FIRST;
	pkt->flags |= later ? PACKET_FRAG_LATER : PACKET_FRAG_FIRST;
	pkt->frag_id = be32(header + FRAGMENT_ID);
	return later;
}

/* From the first header behind the fixed one to the upper-layer protocol. */
static enum layer walk_extensions(struct decode *d)
{
	struct packet *pkt = d->pkt;
	for (unsigned n = 0; ext_kind[pkt->ip_proto] != EXT_NONE; n++) {
		if (n == IP6_EXT_MAX) {
			d->fate.note = COUNTER_EXT_DEPTH;
			return decode_done(d);
		}
		const enum ext_kind kind = ext_kind[pkt->ip_proto];
		const uint8_t *header = rd_peek(&d->rd, EXT_MIN);
		if (header == NULL)
			return decode_done(d);
		/* its first bytes name the next header, even where a snapshot ends inside it */
		rd_skip(&d->rd, ext_size(kind, header[1]));
		pkt->ip_proto = header[0];
		if (kind == EXT_FRAGMENT && fragment_is_later(pkt, header))
			return decode_done(d);
	}
	return LAYER_L4;
}

enum layer ip6_decode(struct decode *d)
{
	const uint8_t *first = rd_peek(&d->rd, 1);
	if (first != NULL && ip_version(first) != 6)
		return decode_end(d, COUNTER_MALFORMED_IP_VERSION);
	const uint8_t *ip = rd_peek(&d->rd, IP6_SIZE);
	if (ip == NULL)
		return decode_end(d, COUNTER_MALFORMED_IP6_CUT);
	const uint16_t payload = be16(ip + IP6_PAYLOAD);

	ip6_fill(d->pkt, ip,
		 payload != 0 ? (uint64_t)IP6_SIZE + payload
			      : octets_without_length(d, ip[IP6_NEXT]));
	rd_clip(&d->rd, d->pkt->octets);
	rd_skip(&d->rd, IP6_SIZE);
	return walk_extensions(d);
}
