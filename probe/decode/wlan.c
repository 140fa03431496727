/*
 * 802.11 data frames, bare or behind the pseudo-headers of capturing systems.
 *
 * Only what carries LLC in the clear is looked into: no management, control, empty, protected
 * frames, no later fragments of a frame. Of an aggregate (A-MSDU) the first subframe is metered.
 */
#include "decode_internal.h"

enum {
	WLAN_MAC = 6,

	/* frame control, first byte */
	FC_VERSION_MASK = 0x03,
	FC_TYPE_MASK = 0x0c,
	FC_TYPE_DATA = 0x08,
	FC_NO_DATA = 0x40,
	FC_QOS = 0x80,
	/* second byte */
	FC_TO_DS = 0x01,
	FC_FROM_DS = 0x02,
	FC_PROTECTED = 0x40,
	FC_ORDER = 0x80, /* in QoS frames: an HT control field follows */

	SEQUENCE_FRAGMENT_MASK = 0x0f, /* of its first byte */
	QOS_AMSDU = 0x80,	       /* of its first byte */

	RADIOTAP_TSFT = 1U << 0,
	RADIOTAP_FLAGS = 1U << 1,
	RADIOTAP_HEADER = 8,
	RADIOTAP_FLAG_PADDED = 0x20,

	PRISM_SIZE = 144,
	AVS_MAGIC = 0x80211000,
	AVS_HEADER_MIN = 8
};
#define RADIOTAP_MORE_PRESENT 0x80000000U

static enum layer cut(struct decode *d)
{
	return decode_end(d, COUNTER_MALFORMED_LINK);
}

static void set_macs(struct decode *d, const uint8_t *destination, const uint8_t *source)
{
	if (d->macs_seen)
		return;
	memcpy(d->pkt->mac_store, destination, WLAN_MAC);
	memcpy(d->pkt->mac_store + WLAN_MAC, source, WLAN_MAC);
	link_set_macs(d, d->pkt->mac_store);
}

/* First subframe of an A-MSDU: destination, source, length */
static enum layer amsdu(struct decode *d)
{
	const uint8_t *destination = rd_take(&d->rd, WLAN_MAC);
	const uint8_t *source = rd_take(&d->rd, WLAN_MAC);
	rd_skip(&d->rd, 2);
	if (d->rd.bad)
		return cut(d);
	set_macs(d, destination, source);
	return LAYER_LLC;
}

enum layer wlan_frame(struct decode *d)
{
	struct rd *rd = &d->rd;
	const uint8_t *start = rd->p;
	const uint8_t fc = rd_u8(rd);
	const uint8_t fc_flags = rd_u8(rd);
	if (rd->bad)
		return cut(d);
	if ((fc & (FC_VERSION_MASK | FC_TYPE_MASK)) != FC_TYPE_DATA || fc & FC_NO_DATA ||
	    fc_flags & FC_PROTECTED)
		return decode_end(d, COUNTER_NON_IP_WLAN);

	rd_skip(rd, 2); /* duration */
	const uint8_t *address1 = rd_take(rd, WLAN_MAC);
	const uint8_t *address2 = rd_take(rd, WLAN_MAC);
	const uint8_t *address3 = rd_take(rd, WLAN_MAC);
	const uint8_t sequence = rd_u8(rd);
	rd_skip(rd, 1);
	const bool to_ds = fc_flags & FC_TO_DS;
	const bool from_ds = fc_flags & FC_FROM_DS;
	const uint8_t *address4 = to_ds && from_ds ? rd_take(rd, WLAN_MAC) : NULL;
	bool aggregate = false;
	if (fc & FC_QOS) {
		aggregate = rd_u8(rd) & QOS_AMSDU;
		rd_skip(rd, 1);
		if (fc_flags & FC_ORDER)
			rd_skip(rd, 4);
	}
	if (d->wlan_padded)
		rd_skip(rd, -(size_t)(rd->p - start) & 3);
	if (rd->bad)
		return cut(d);
	if (sequence & SEQUENCE_FRAGMENT_MASK)
		return decode_end(d, COUNTER_NON_IP_WLAN);
	if (aggregate)
		return amsdu(d);
	set_macs(d, to_ds ? address3 : address1, !from_ds ? address2 : to_ds ? address4 : address3);
	return LAYER_LLC;
}

/* radiotap.org: version, pad, length, present words, then fields in the order of their bits */
enum layer wlan_radiotap(struct decode *d)
{
	struct rd header = d->rd;
	rd_skip(&header, 2);
	const uint16_t length = __builtin_bswap16(rd_u16(&header));
	const uint32_t present = __builtin_bswap32(rd_u32(&header));
	if (header.bad || length < RADIOTAP_HEADER)
		return cut(d);
	header = rd_sub(&d->rd, length);
	if (header.bad)
		return cut(d);
	const uint8_t *start = header.p;

	rd_skip(&header, RADIOTAP_HEADER);
	for (uint32_t more = present; more & RADIOTAP_MORE_PRESENT && !header.bad;)
		more = __builtin_bswap32(rd_u32(&header));
	if (present & RADIOTAP_TSFT)
		rd_skip(&header, (-(size_t)(header.p - start) & 7) + 8);
	if (present & RADIOTAP_FLAGS)
		d->wlan_padded = rd_u8(&header) & RADIOTAP_FLAG_PADDED;
	return header.bad ? cut(d) : LAYER_WLAN;
}

/* AVS: magic with a version, length with these two; big endian */
enum layer wlan_avs(struct decode *d)
{
	rd_skip(&d->rd, 4);
	const uint32_t length = rd_u32(&d->rd);
	if (d->rd.bad || length < AVS_HEADER_MIN)
		return cut(d);
	rd_skip(&d->rd, length - (size_t)AVS_HEADER_MIN);
	return d->rd.bad ? cut(d) : LAYER_WLAN;
}

/* A fixed header, or AVS's under the same link type */
enum layer wlan_prism(struct decode *d)
{
	const uint8_t *magic = rd_peek(&d->rd, 4);
	if (magic != NULL && (be32(magic) & 0xfffff000) == AVS_MAGIC)
		return LAYER_AVS;
	rd_skip(&d->rd, PRISM_SIZE);
	return d->rd.bad ? cut(d) : LAYER_WLAN;
}
