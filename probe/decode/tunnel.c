/*
 * Wrappers: tunnels and remote mirrors that `decapsulate` lists (METERING.md §2). Each is a row:
 * the flag, where it is found, the function that passes its header and names the inner layer.
 *
 * The outer view is kept before a wrapper is opened; decode.c gives it back if what is inside does
 * not end as metered. So a function here ends a packet as broken without further thought, and as
 * done where nothing is wrapped (signalling).
 */
#include "conf.h"
#include "decode_internal.h"

static enum layer broken(struct decode *d)
{
	return decode_end(d, COUNTER_MALFORMED_LINK);
}

/* ---- GRE and the mirrors in it ----------------------------------------------------------- */

enum gre_flag {
	GRE_CHECKSUM = 0x8000,
	GRE_ROUTING = 0x4000,
	GRE_KEY = 0x2000,
	GRE_SEQUENCE = 0x1000,
	GRE_ACK = 0x0080, /* version 1 */
	GRE_VERSION_MASK = 0x0007
};

enum gre_protocol { GRE_PPP = 0x880b, GRE_ERSPAN = 0x88be, GRE_ERSPAN_III = 0x22eb };

enum erspan {
	ERSPAN_II_SIZE = 8,
	ERSPAN_III_SIZE = 12,
	ERSPAN_III_FLAGS = 10,
	ERSPAN_III_SUBHEADER = 0x0001, /* 8 more bytes */
	ERSPAN_III_SUBHEADER_SIZE = 8,
	ERSPAN_III_TYPE_SHIFT = 10,
	ERSPAN_III_TYPE_MASK = 0x1f,
	ERSPAN_TYPE_ETHERNET = 0,
	ERSPAN_TYPE_IP = 2
};

/* Types I (nothing) and II share a number; only II has GRE's sequence number. */
static enum layer erspan(struct decode *d, bool has_header)
{
	if (has_header)
		rd_skip(&d->rd, ERSPAN_II_SIZE);
	return LAYER_ETHERNET;
}

static enum layer erspan_iii(struct decode *d)
{
	const uint8_t *header = rd_take(&d->rd, ERSPAN_III_SIZE);
	if (header == NULL)
		return broken(d);
	const uint16_t flags = be16(header + ERSPAN_III_FLAGS);
	if (flags & ERSPAN_III_SUBHEADER)
		rd_skip(&d->rd, ERSPAN_III_SUBHEADER_SIZE);
	switch (flags >> ERSPAN_III_TYPE_SHIFT & ERSPAN_III_TYPE_MASK) {
	case ERSPAN_TYPE_ETHERNET:
		return LAYER_ETHERNET;
	case ERSPAN_TYPE_IP:
		return LAYER_RAW;
	default:
		return broken(d);
	}
}

/* RFC 1701 source routes: {family, offset, length, that many bytes}, up to one of all zeros */
static void skip_gre_routes(struct rd *rd)
{
	while (!rd->bad) {
		const uint16_t family = rd_u16(rd);
		rd_skip(rd, 1);
		const uint8_t length = rd_u8(rd);
		if (family == 0 && length == 0)
			return;
		rd_skip(rd, length);
	}
}

/* RFC 2784 and 2890, RFC 1701's routing; version 1 is RFC 2637's (PPTP) */
static enum layer gre(struct decode *d)
{
	const uint16_t flags = rd_u16(&d->rd);
	const uint16_t protocol = rd_u16(&d->rd);
	const unsigned version = flags & GRE_VERSION_MASK;
	const bool mirror = protocol == GRE_ERSPAN || protocol == GRE_ERSPAN_III;
	if (!(d->decap_flags & (mirror ? DECAP_ERSPAN : DECAP_GRE)))
		return decode_done(d);
	if (version > 1 || (version == 1 && protocol != GRE_PPP))
		return broken(d);
	if (version == 1 && !(flags & GRE_SEQUENCE))
		return decode_done(d); /* an acknowledgment alone */

	if (version == 0 && flags & (GRE_CHECKSUM | GRE_ROUTING))
		rd_skip(&d->rd, 4);
	if (flags & GRE_KEY)
		rd_skip(&d->rd, 4);
	if (flags & GRE_SEQUENCE)
		rd_skip(&d->rd, 4);
	if (version == 0 && flags & GRE_ROUTING)
		skip_gre_routes(&d->rd);
	if (version == 1 && flags & GRE_ACK)
		rd_skip(&d->rd, 4);

	switch (protocol) {
	case GRE_ERSPAN:
		return erspan(d, flags & GRE_SEQUENCE);
	case GRE_ERSPAN_III:
		return erspan_iii(d);
	case GRE_PPP:
		return LAYER_PPP;
	default:
		return link_ethertype(d, protocol);
	}
}

/* ---- IP in IP ---------------------------------------------------------------------------- */

static enum layer ip4_inside(struct decode *d)
{
	(void)d;
	return LAYER_IP4;
}

static enum layer ip6_inside(struct decode *d)
{
	(void)d;
	return LAYER_IP6;
}

/* ---- over UDP ---------------------------------------------------------------------------- */

/* RFC 7348: flags, reserved, network identifier, reserved */
static enum layer vxlan(struct decode *d)
{
	enum { VXLAN_VALID_ID = 0x08 };
	const uint8_t flags = rd_u8(&d->rd);
	rd_skip(&d->rd, 7);
	return flags & VXLAN_VALID_ID ? LAYER_ETHERNET : broken(d);
}

/* RFC 8926: version and options' length in 4-byte units, flags, ethertype, network identifier */
static enum layer geneve(struct decode *d)
{
	enum { GENEVE_VERSION_MASK = 0xc0, GENEVE_OPTIONS_MASK = 0x3f };
	const uint8_t first = rd_u8(&d->rd);
	rd_skip(&d->rd, 1);
	const uint16_t protocol = rd_u16(&d->rd);
	rd_skip(&d->rd, 4U + (first & GENEVE_OPTIONS_MASK) * 4U);
	return first & GENEVE_VERSION_MASK ? broken(d) : link_ethertype(d, protocol);
}

/* 3GPP TS 29.281 §5: flags, message type, length, endpoint; options if any of three flags */
static enum layer gtpu(struct decode *d)
{
	enum {
		GTPU_VERSION_MASK = 0xf0,
		GTPU_VERSION_1 = 0x30, /* and not GTP' */
		GTPU_OPTIONS = 0x07,
		GTPU_EXTENSIONS = 0x04,
		GTPU_T_PDU = 255
	};
	const uint8_t flags = rd_u8(&d->rd);
	const uint8_t type = rd_u8(&d->rd);
	rd_skip(&d->rd, 6);
	if (d->rd.bad || (flags & GTPU_VERSION_MASK) != GTPU_VERSION_1)
		return broken(d);
	if (type != GTPU_T_PDU)
		return decode_done(d);
	if (flags & GTPU_OPTIONS) {
		rd_skip(&d->rd, 3);
		uint8_t next = rd_u8(&d->rd);
		while ((flags & GTPU_EXTENSIONS) && next != 0) {
			/* its own size in 4-byte units; the last byte names the next */
			const uint8_t units = rd_u8(&d->rd);
			if (units == 0)
				return broken(d);
			rd_skip(&d->rd, units * 4U - 2);
			next = rd_u8(&d->rd);
		}
	}
	return LAYER_RAW;
}

/* TaZmen Sniffer: version, type, encapsulated protocol, tags up to the end tag */
static enum layer tzsp(struct decode *d)
{
	enum {
		TZSP_TYPE_TRANSMIT = 1, /* 0: received */
		TZSP_TAG_PADDING = 0,
		TZSP_TAG_END = 1
	};
	static const struct layer_row encapsulated[] = {
		{1, LAYER_ETHERNET},
		{18, LAYER_WLAN},
		{119, LAYER_PRISM},
		{127, LAYER_AVS},
	};
	rd_skip(&d->rd, 1);
	const uint8_t type = rd_u8(&d->rd);
	const uint16_t protocol = rd_u16(&d->rd);
	if (d->rd.bad)
		return broken(d);
	if (type > TZSP_TYPE_TRANSMIT)
		return decode_done(d);
	for (;;) {
		const uint8_t tag = rd_u8(&d->rd);
		if (d->rd.bad)
			return broken(d);
		if (tag == TZSP_TAG_END)
			return LAYER_NEXT(d, encapsulated, protocol, COUNTER_NON_IP_OTHER);
		if (tag != TZSP_TAG_PADDING)
			rd_skip(&d->rd, rd_u8(&d->rd));
	}
}

/* RFC 2661 §3.1: flags and version, then as flagged; tunnel and session always */
static enum layer l2tp(struct decode *d)
{
	enum {
		L2TP_CONTROL = 0x8000,
		L2TP_LENGTH = 0x4000,
		L2TP_SEQUENCE = 0x0800,
		L2TP_OFFSET = 0x0200,
		L2TP_VERSION_MASK = 0x000f,
		L2TP_VERSION = 2
	};
	const uint16_t flags = rd_u16(&d->rd);
	if ((flags & L2TP_VERSION_MASK) != L2TP_VERSION)
		return broken(d);
	if (flags & L2TP_CONTROL)
		return decode_done(d);
	if (flags & L2TP_LENGTH)
		rd_skip(&d->rd, 2);
	rd_skip(&d->rd, 4);
	if (flags & L2TP_SEQUENCE)
		rd_skip(&d->rd, 4);
	if (flags & L2TP_OFFSET)
		rd_skip(&d->rd, rd_u16(&d->rd));
	return LAYER_PPP;
}

/* RFC 4380 §5.1.1: authentication, then origin indication, each optional; neither starts with the
 * version nibble of the IPv6 that follows */
static enum layer teredo(struct decode *d)
{
	enum {
		TEREDO_ORIGIN = 0x0000,
		TEREDO_AUTHENTICATION = 0x0001,
		TEREDO_ORIGIN_SIZE = 8,
		TEREDO_NONCE_SIZE = 9 /* and the confirmation byte */
	};
	const uint8_t *indication = rd_peek(&d->rd, 2);
	if (indication != NULL && be16(indication) == TEREDO_AUTHENTICATION) {
		rd_skip(&d->rd, 2);
		const uint8_t id_size = rd_u8(&d->rd);
		const uint8_t value_size = rd_u8(&d->rd);
		rd_skip(&d->rd, (size_t)id_size + value_size + TEREDO_NONCE_SIZE);
		indication = rd_peek(&d->rd, 2);
	}
	if (indication != NULL && be16(indication) == TEREDO_ORIGIN)
		rd_skip(&d->rd, TEREDO_ORIGIN_SIZE);
	return LAYER_IP6;
}

/* ---- the table --------------------------------------------------------------------------- */

struct wrapper {
	uint32_t flags; /* of enum decap_flag; any of them */
	uint8_t ip_proto;
	uint16_t port; /* UDP, either side; 0 without */
	layer_fn *open;
};

/* clang-format off */
static const struct wrapper wrappers[] = {
	{DECAP_ERSPAN | DECAP_GRE, IP_PROTO_GRE, 0, gre},
	{DECAP_IPIP, IP_PROTO_IP4, 0, ip4_inside},
	{DECAP_IPIP, IP_PROTO_IP6, 0, ip6_inside},
	{DECAP_VXLAN, IP_PROTO_UDP, 4789, vxlan},
	{DECAP_GENEVE, IP_PROTO_UDP, 6081, geneve},
	{DECAP_GTPU, IP_PROTO_UDP, 2152, gtpu},
	{DECAP_TZSP, IP_PROTO_UDP, 37008, tzsp},
	{DECAP_L2TP, IP_PROTO_UDP, 1701, l2tp},
	{DECAP_TEREDO, IP_PROTO_UDP, 3544, teredo},
};
/* clang-format on */

static bool is_wrapper(const struct wrapper *w, uint32_t decap_flags, const struct packet *pkt)
{
	return w->flags & decap_flags && w->ip_proto == pkt->ip_proto &&
	       (w->port == 0 || w->port == pkt->dport || w->port == pkt->sport);
}

/* Stands behind every transport header when any wrapper is listed. */
enum layer tunnel_open(struct decode *d)
{
	for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]); i++) {
		if (!is_wrapper(&wrappers[i], d->decap_flags, d->pkt))
			continue;
		if (d->wrappers == WRAPPERS_MAX) {
			d->fate.note = COUNTER_DECAP_FAILED;
			return decode_done(d);
		}
		*d->outer = *d->pkt;
		if (d->pkt->flags & PACKET_FRAG_FIRST)
			*d->train = *d->pkt;
		d->wrappers++;
		d->macs_seen = d->wlan_padded = false;
		d->tags = 0;
		if (wrappers[i].port != 0)
			rd_skip(&d->rd, UDP_SIZE);
		return wrappers[i].open(d);
	}
	return decode_done(d);
}
