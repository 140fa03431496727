/*
 * Link layers and shims below the first IP header (METERING.md §2), 802.11 apart (wlan.c).
 *
 * Numbers that announce a next layer are rows of tables: link types, ethertypes, PPP protocols,
 * NLPIDs, address families. Headers are read through the cursor in order; its sticky error is asked
 * once, when a layer has read all it needs, and means "cut before the payload is named".
 */
#include "decode_internal.h"

/* LINKTYPE_ values, https://www.tcpdump.org/linktypes.html */
static const struct layer_row linktypes[] = {
	{LINKTYPE_ETHERNET, LAYER_ETHERNET},
	{113, LAYER_SLL},
	{276, LAYER_SLL2},
	{101, LAYER_RAW},
	{12, LAYER_RAW}, /* DLT_RAW as some systems wrote it */
	{14, LAYER_RAW}, /* OpenBSD's */
	{228, LAYER_IP4},
	{229, LAYER_IP6},
	{0, LAYER_NULL},
	{108, LAYER_LOOP},
	{9, LAYER_PPP},
	{50, LAYER_PPP}, /* PPP_HDLC: the same, or Cisco HDLC */
	{51, LAYER_PPPOE},
	{204, LAYER_PPP_WITH_DIR},
	{104, LAYER_CHDLC},
	{107, LAYER_FRAME_RELAY},
	{105, LAYER_WLAN},
	{127, LAYER_RADIOTAP},
	{119, LAYER_PRISM},
	{163, LAYER_AVS},
	{192, LAYER_PPI},
	{239, LAYER_NFLOG},
	{178, LAYER_JUNIPER},
	{242, LAYER_IPOIB},
	{258, LAYER_PKTAP},
};

static const struct layer_row ethertypes[] = {
	{ETHERTYPE_IP4, LAYER_IP4},
	{ETHERTYPE_IP6, LAYER_IP6},
	{ETHERTYPE_VLAN, LAYER_VLAN},
	{ETHERTYPE_QINQ, LAYER_VLAN},
	{ETHERTYPE_QINQ_OLD, LAYER_VLAN},
	{ETHERTYPE_MPLS, LAYER_MPLS},
	{ETHERTYPE_MPLS_UPSTREAM, LAYER_MPLS},
	{ETHERTYPE_PPPOE_SESSION, LAYER_PPPOE},
	{ETHERTYPE_TEB, LAYER_ETHERNET},
};

static const struct layer_row ppp_protocols[] = {
	{0x0021, LAYER_IP4},
	{0x0057, LAYER_IP6},
	{0x0281, LAYER_MPLS},
	{0x0283, LAYER_MPLS},
};

/* RFC 2427, RFC 1973 */
static const struct layer_row nlpids[] = {
	{0xcc, LAYER_IP4},
	{0x8e, LAYER_IP6},
	{0x80, LAYER_SNAP},
	{0xcf, LAYER_PPP},
};

/* AF_INET is 2 everywhere; AF_INET6 is what each system made of it. */
/* clang-format off */
static const struct layer_row families[] = {
	{2, LAYER_IP4},
	{10, LAYER_IP6}, /* Linux */
	{23, LAYER_IP6}, /* Windows */
	{24, LAYER_IP6}, /* NetBSD, OpenBSD */
	{28, LAYER_IP6}, /* FreeBSD */
	{30, LAYER_IP6}, /* Darwin */
};
/* clang-format on */

/* ARPHRD_ values of cooked captures whose payload the protocol field does not name. */
static const struct layer_row cooked_types[] = {
	{770, LAYER_FRAME_RELAY},
	{801, LAYER_WLAN},
	{802, LAYER_PRISM},
	{803, LAYER_RADIOTAP},
};

enum {
	COOKED_NETLINK = 824,
	COOKED_PROTOCOL_LLC = 0x0004,
	SNAP_OUI_ETHERTYPE = 0x000000,
	SNAP_OUI_BRIDGE_TUNNEL = 0x0000f8,
	SNAP_OUI_BRIDGED = 0x0080c2,
	SNAP_BRIDGED_ETHERNET_FCS = 0x0001,
	SNAP_BRIDGED_ETHERNET = 0x0007,
	LLC_UI = 0x03,
	LLC_SNAP = 0xaaaa, /* DSAP and SSAP */
	LLC_IP4 = 0x0606,
	PPP_ADDRESS_CONTROL = 0xff03,
	CHDLC_UNICAST = 0x0f,
	CHDLC_MULTICAST = 0x8f,
	MPLS_BOTTOM = 0x100,
	MPLS_CONTROL_WORD_SIZE = 4,
	NFLOG_PAYLOAD = 9,
	NFLOG_TLV_HEADER = 4,
	PKTAP_HEADER_MIN = 12,
	PKTAP_RECORD_PACKET = 1,
	PPI_HEADER = 8,
	IPOIB_PSEUDO_HEADER = 40,
	JUNIPER_MAGIC = 0x4d4743,
	JUNIPER_NO_L2 = 0x02,
	JUNIPER_EXTENSIONS = 0x80
};

/* Cut, or not what it says it is, before the payload is named. */
static enum layer cut(struct decode *d)
{
	return decode_end(d, COUNTER_MALFORMED_LINK);
}

enum layer link_layer(struct decode *d, uint32_t linktype)
{
	return LAYER_NEXT(d, linktypes, linktype, COUNTER_NON_IP_LINKTYPE);
}

enum layer link_ethertype(struct decode *d, uint16_t ethertype)
{
	return LAYER_NEXT(d, ethertypes, ethertype, COUNTER_NON_IP_ETHERTYPE);
}

/* ---- Ethernet and what is stacked on it -------------------------------------------------- */

void link_set_macs(struct decode *d, const uint8_t *macs)
{
	if (d->macs_seen)
		return;
	d->macs_seen = true;
	d->pkt->macs = macs;
	d->pkt->flags |= PACKET_MACS;
	if (d->tags == 0)
		d->pkt->vlan = d->pkt->cvlan = FLOW_VLAN_NONE;
}

/* Type field of Ethernet II, or length field of 802.3. */
static enum layer type_or_length(struct decode *d, uint16_t field)
{
	return field < ETHERTYPE_LEAST ? LAYER_LLC : link_ethertype(d, field);
}

enum layer link_ethernet(struct decode *d)
{
	const uint8_t *frame = rd_take(&d->rd, ETHERNET_SIZE);
	if (frame == NULL)
		return cut(d);
	link_set_macs(d, frame);
	return type_or_length(d, be16(frame + ETHERNET_TYPE));
}

enum layer link_vlan(struct decode *d)
{
	const uint8_t *tag = rd_take(&d->rd, VLAN_SIZE);
	if (tag == NULL)
		return cut(d);
	const uint16_t id = be16(tag) & VLAN_ID_MASK;
	switch (d->tags++) {
	case 0:
		d->pkt->vlan = id;
		d->pkt->cvlan = FLOW_VLAN_NONE;
		break;
	case 1:
		d->pkt->cvlan = id;
		break;
	case VLAN_TAGS_MAX:
		return decode_end(d, COUNTER_MALFORMED_DEPTH);
	}
	return type_or_length(d, be16(tag + VLAN_TYPE));
}

enum layer link_llc(struct decode *d)
{
	const uint16_t saps = rd_u16(&d->rd);
	const uint8_t control = rd_u8(&d->rd);
	if (d->rd.bad)
		return cut(d);
	if (saps == LLC_SNAP && control == LLC_UI)
		return LAYER_SNAP;
	if (saps == LLC_IP4 && control == LLC_UI)
		return LAYER_IP4;
	return decode_end(d, COUNTER_NON_IP_LLC);
}

enum layer link_snap(struct decode *d)
{
	const uint32_t oui = (uint32_t)rd_u16(&d->rd) << 8 | rd_u8(&d->rd);
	const uint16_t pid = rd_u16(&d->rd);
	if (d->rd.bad)
		return cut(d);
	if (oui == SNAP_OUI_ETHERTYPE || oui == SNAP_OUI_BRIDGE_TUNNEL)
		return link_ethertype(d, pid);
	if (oui == SNAP_OUI_BRIDGED &&
	    (pid == SNAP_BRIDGED_ETHERNET || pid == SNAP_BRIDGED_ETHERNET_FCS))
		return LAYER_ETHERNET;
	return decode_end(d, COUNTER_NON_IP_LLC);
}

/* Nothing in MPLS says what it carries; the first nibble does (RFC 4928 §3). */
static enum layer mpls_payload(struct decode *d)
{
	const uint8_t *first = rd_peek(&d->rd, 1);
	if (first == NULL)
		return cut(d);
	switch (ip_version(first)) {
	case 4:
		return LAYER_IP4;
	case 6:
		return LAYER_IP6;
	case 0:
		d->pseudowire = true;
		rd_skip(&d->rd, MPLS_CONTROL_WORD_SIZE);
		return LAYER_ETHERNET;
	default:
		return decode_end(d, COUNTER_NON_IP_MPLS);
	}
}

enum layer link_mpls(struct decode *d)
{
	for (unsigned n = 0; n < MPLS_LABELS_MAX; n++) {
		const uint32_t label = rd_u32(&d->rd);
		if (d->rd.bad)
			return cut(d);
		if (label & MPLS_BOTTOM)
			return mpls_payload(d);
	}
	return decode_end(d, COUNTER_MALFORMED_DEPTH);
}

/* ---- PPP and its carriers ---------------------------------------------------------------- */

/* RFC 2516: version and type, code, session, length */
enum layer link_pppoe(struct decode *d)
{
	rd_skip(&d->rd, 1);
	const uint8_t code = rd_u8(&d->rd);
	rd_skip(&d->rd, 4);
	if (d->rd.bad)
		return cut(d);
	return code == 0 ? LAYER_PPP : decode_end(d, COUNTER_NON_IP_OTHER);
}

/* RFC 1661, with or without HDLC-like framing (RFC 1662), or Cisco HDLC in its place. */
enum layer link_ppp(struct decode *d)
{
	const uint8_t *start = rd_peek(&d->rd, 2);
	if (start != NULL && be16(start) == PPP_ADDRESS_CONTROL)
		rd_skip(&d->rd, 2);
	else if (start != NULL && (*start == CHDLC_UNICAST || *start == CHDLC_MULTICAST))
		return LAYER_CHDLC;
	uint16_t protocol = rd_u8(&d->rd);
	if (!(protocol & 1)) /* not compressed to one byte (RFC 1661 §6.5) */
		protocol = (uint16_t)(protocol << 8 | rd_u8(&d->rd));
	if (d->rd.bad)
		return cut(d);
	return LAYER_NEXT(d, ppp_protocols, protocol, COUNTER_NON_IP_ETHERTYPE);
}

enum layer link_ppp_with_dir(struct decode *d)
{
	rd_skip(&d->rd, 1);
	return LAYER_PPP;
}

enum layer link_chdlc(struct decode *d)
{
	rd_skip(&d->rd, 2); /* address, control */
	const uint16_t protocol = rd_u16(&d->rd);
	return d->rd.bad ? cut(d) : link_ethertype(d, protocol);
}

/* Q.922 address of 2 to 4 bytes, the last of which has its lowest bit set; then RFC 2427, or
 * Cisco's way: an ethertype. */
enum layer link_frame_relay(struct decode *d)
{
	unsigned size = 0;
	bool last = false;
	while (!last && size < 4 && !d->rd.bad) {
		last = rd_u8(&d->rd) & 1;
		size++;
	}
	const uint8_t *control = rd_peek(&d->rd, 2);
	if (control == NULL)
		return cut(d);
	if (!last || size < 2)
		return cut(d);
	if (*control != LLC_UI) {
		rd_skip(&d->rd, 2);
		return link_ethertype(d, be16(control));
	}
	rd_skip(&d->rd, 1);
	uint8_t nlpid = rd_u8(&d->rd);
	if (nlpid == 0) /* a pad */
		nlpid = rd_u8(&d->rd);
	return d->rd.bad ? cut(d) : LAYER_NEXT(d, nlpids, nlpid, COUNTER_NON_IP_OTHER);
}

/* ---- Pseudo-headers of capturing systems ------------------------------------------------- */

/* An address family in the capturing host's byte order, to which not every file is true. What is
 * no family either way is padding and an ethertype, as some stacks write it. */
static enum layer family_layer(struct decode *d, bool big_endian)
{
	const uint32_t word = rd_u32(&d->rd);
	if (d->rd.bad)
		return cut(d);
	const uint32_t swapped = __builtin_bswap32(word);
	uint32_t family = big_endian ? word : swapped;
	if (family >> 16 != 0)
		family = big_endian ? swapped : word;
	if (family >> 16 != 0)
		return link_ethertype(d, (uint16_t)word);
	return LAYER_NEXT(d, families, family, COUNTER_NON_IP_OTHER);
}

enum layer link_null(struct decode *d)
{
	return family_layer(d, d->raw->swapped);
}

enum layer link_loop(struct decode *d)
{
	return family_layer(d, true);
}

enum layer link_raw(struct decode *d)
{
	const uint8_t *first = rd_peek(&d->rd, 1);
	if (first == NULL)
		return cut(d);
	switch (ip_version(first)) {
	case 4:
		return LAYER_IP4;
	case 6:
		return LAYER_IP6;
	default:
		return decode_end(d, COUNTER_MALFORMED_IP_VERSION);
	}
}

/* What both versions of Linux cooked captures say. */
static enum layer cooked_layer(struct decode *d, uint16_t arphrd, uint16_t protocol)
{
	if (d->rd.bad)
		return cut(d);
	if (arphrd == COOKED_NETLINK)
		return decode_end(d, COUNTER_NON_IP_OTHER);
	const enum layer next =
		layer_lookup(cooked_types, sizeof(cooked_types) / sizeof(cooked_types[0]), arphrd);
	if (next != LAYER_END)
		return next;
	return protocol == COOKED_PROTOCOL_LLC ? LAYER_LLC : link_ethertype(d, protocol);
}

/* packet type, ARPHRD_ type, address length, address, protocol */
enum layer link_sll(struct decode *d)
{
	rd_skip(&d->rd, 2);
	const uint16_t arphrd = rd_u16(&d->rd);
	rd_skip(&d->rd, 10);
	return cooked_layer(d, arphrd, rd_u16(&d->rd));
}

/* protocol, reserved, interface, ARPHRD_ type, packet type, address length, address */
enum layer link_sll2(struct decode *d)
{
	const uint16_t protocol = rd_u16(&d->rd);
	rd_skip(&d->rd, 6);
	const uint16_t arphrd = rd_u16(&d->rd);
	rd_skip(&d->rd, 10);
	return cooked_layer(d, arphrd, protocol);
}

/* A 16-bit number in the capturing host's byte order. */
static uint16_t rd_host16(struct rd *rd, bool big_endian)
{
	const uint16_t v = rd_u16(rd);
	return big_endian ? v : __builtin_bswap16(v);
}

/* family, version, resource; then TLVs of {length with this header, type}, aligned to 4 */
enum layer link_nflog(struct decode *d)
{
	const uint8_t family = rd_u8(&d->rd);
	rd_skip(&d->rd, 3);
	while (rd_left(&d->rd) > 0) {
		const uint16_t length = rd_host16(&d->rd, d->raw->swapped);
		const uint16_t type = rd_host16(&d->rd, d->raw->swapped);
		if (d->rd.bad || length < NFLOG_TLV_HEADER)
			return cut(d);
		const size_t value = length - (size_t)NFLOG_TLV_HEADER;
		if (type == NFLOG_PAYLOAD) {
			rd_clip(&d->rd, value);
			return LAYER_NEXT(d, families, family, COUNTER_NON_IP_OTHER);
		}
		rd_skip(&d->rd, (value + 3) & ~(size_t)3);
	}
	return d->rd.bad ? cut(d) : decode_end(d, COUNTER_NON_IP_OTHER);
}

/* Per-packet information: version, flags, length with this header, link type; all little endian */
enum layer link_ppi(struct decode *d)
{
	rd_skip(&d->rd, 2);
	const uint16_t length = __builtin_bswap16(rd_u16(&d->rd));
	const uint32_t linktype = __builtin_bswap32(rd_u32(&d->rd));
	if (d->rd.bad || length < PPI_HEADER)
		return cut(d);
	rd_skip(&d->rd, length - (size_t)PPI_HEADER);
	return d->rd.bad ? cut(d) : link_layer(d, linktype);
}

/* Darwin: length of the header, record type, link type, and more; all little endian */
enum layer link_pktap(struct decode *d)
{
	const uint32_t length = __builtin_bswap32(rd_u32(&d->rd));
	const uint32_t record = __builtin_bswap32(rd_u32(&d->rd));
	const uint32_t linktype = __builtin_bswap32(rd_u32(&d->rd));
	if (d->rd.bad || length < PKTAP_HEADER_MIN)
		return cut(d);
	if (record != PKTAP_RECORD_PACKET)
		return decode_end(d, COUNTER_NON_IP_OTHER);
	rd_skip(&d->rd, length - (size_t)PKTAP_HEADER_MIN);
	return d->rd.bad ? cut(d) : link_layer(d, linktype);
}

/* Global routing header, then RFC 4391: type, reserved */
enum layer link_ipoib(struct decode *d)
{
	rd_skip(&d->rd, IPOIB_PSEUDO_HEADER);
	const uint16_t ethertype = rd_u16(&d->rd);
	rd_skip(&d->rd, 2);
	return d->rd.bad ? cut(d) : link_ethertype(d, ethertype);
}

/* magic, flags, extensions if flagged; then Ethernet, or a family and IP where there was none */
enum layer link_juniper(struct decode *d)
{
	const uint32_t word = rd_u32(&d->rd);
	if (d->rd.bad || word >> 8 != JUNIPER_MAGIC)
		return cut(d);
	if (word & JUNIPER_EXTENSIONS)
		rd_skip(&d->rd, rd_u16(&d->rd));
	if (word & JUNIPER_NO_L2) {
		rd_skip(&d->rd, 4);
		return LAYER_RAW;
	}
	return LAYER_ETHERNET;
}
