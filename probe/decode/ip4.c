/*
 * IPv4: the header that METERING.md §1 believes or not, and the clipping to what it claims, so that
 * Ethernet padding is never taken for a transport header.
 *
 * A capture that ends inside the options is sound: the fixed header has all that the key needs.
 */
#include "decode_internal.h"

enum layer ip4_decode(struct decode *d)
{
	const uint8_t *first = rd_peek(&d->rd, 1);
	if (first != NULL && ip_version(first) != 4)
		return decode_end(d, COUNTER_MALFORMED_IP_VERSION);
	const uint8_t *ip = rd_peek(&d->rd, IP4_SIZE);
	if (ip == NULL)
		return decode_end(d, COUNTER_MALFORMED_IP4_CUT);
	const unsigned header_size = (ip[0] & 0x0f) * 4U;
	const unsigned total = be16(ip + IP4_TOTAL);
	if (header_size < IP4_SIZE || (total != 0 && total < header_size))
		return decode_end(d, COUNTER_MALFORMED_IP4_HEADER);

	ip4_fill(d->pkt, ip, total != 0 ? total : decode_wire_left(d));
	rd_clip(&d->rd, d->pkt->octets);
	rd_skip(&d->rd, header_size);
	return d->pkt->flags & PACKET_FRAG_LATER ? decode_done(d) : LAYER_L4;
}
