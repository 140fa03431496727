/*
 * Fuzzing decode. The first six bytes choose link type, wrappers listed and byte order, the rest is
 * the packet. Beyond reading nothing it should not: a packet has one of the fates of the books;
 * decoding it again, and without the short cut, gives the same; what the view points to lies in the
 * packet.
 */
#include <stdlib.h>

#include "../../probe/decode/decode.h"
#include "../../probe/decode/decode_internal.h"

static struct packet train; /* wrappers that are first fragments go here */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A fuzzer, or the replay of its corpus, takes this for a crash. */
static void must(bool truth)
{
	if (!truth)
		abort();
}

static bool inside(const struct raw_packet *raw, const uint8_t *p, size_t size)
{
	return p >= raw->data && p <= raw->data + raw->caplen &&
	       size <= (size_t)(raw->data + raw->caplen - p);
}

static void check_books(struct fate fate)
{
	must(fate.counter < COUNTER_COUNT && fate.note <= COUNTER_COUNT);
	const int parent = counter_info(fate.counter)->parent;
	must(fate.counter == COUNTER_METERED || parent == COUNTER_NON_IP ||
	     parent == COUNTER_MALFORMED);
}

static void check_view(const struct raw_packet *raw, const struct packet *pkt)
{
	must(pkt->ip_version == 4 || pkt->ip_version == 6);
	const size_t size = pkt->ip_version == 4 ? 4 : 16;
	must(inside(raw, pkt->src, size) && inside(raw, pkt->dst, size));
	must((pkt->macs != NULL) == ((pkt->flags & PACKET_MACS) != 0));
	must(pkt->macs == NULL || pkt->macs == pkt->mac_store || inside(raw, pkt->macs, 12));
	must(pkt->octets >= (pkt->ip_version == 4 ? IP4_SIZE : IP6_SIZE));
	must(pkt->flags & PACKET_PORTS || (pkt->sport == 0 && pkt->dport == 0));
	must(pkt->flags & PACKET_TCP_FLAGS || pkt->tcp_flags == 0);
	must(!(pkt->flags & PACKET_FRAG_LATER) || !(pkt->flags & PACKET_FRAG_FIRST));
}

#define SAME(member) must(a->member == b->member)
static void check_same(const struct packet *a, const struct packet *b)
{
	SAME(src);
	SAME(dst);
	SAME(octets);
	SAME(frag_id);
	SAME(sport);
	SAME(dport);
	SAME(tcp_flags);
	SAME(vlan);
	SAME(cvlan);
	SAME(ip_version);
	SAME(ip_proto);
	SAME(tos);
	SAME(ttl);
	SAME(flags);
	must(a->macs == b->macs || memcmp(a->macs, b->macs, 12) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd rd = rd_init(data, size);
	const uint16_t linktype = rd_u16(&rd);
	const uint16_t decap_flags = rd_u16(&rd);
	const uint8_t swapped = rd_u8(&rd);
	const uint8_t uncaptured = rd_u8(&rd);
	if (rd.bad || rd_left(&rd) > UINT16_MAX)
		return 0;

	const uint32_t caplen = (uint32_t)rd_left(&rd);
	const struct raw_packet raw = {
		.data = rd.p,
		.caplen = caplen,
		.wirelen = caplen + uncaptured,
		.linktype = linktype,
		.swapped = swapped & 1,
	};
	struct packet first, again, loop;
	memset(&first, 0xff, sizeof(first)); /* nothing may be left as it was */
	memset(&again, 0, sizeof(again));
	const struct fate fate = decode_packet(decap_flags, &raw, &first, &train);
	const struct fate fate_again = decode_packet(decap_flags, &raw, &again, &train);
	const struct fate fate_loop = decode_layers(decap_flags, &raw, &loop, &train);

	check_books(fate);
	must(fate.counter == fate_again.counter && fate.note == fate_again.note);
	must(fate.counter == fate_loop.counter);
	if (fate.counter == COUNTER_METERED) {
		must(fate.note == fate_loop.note);
		check_view(&raw, &first);
		check_same(&first, &again);
		check_same(&first, &loop);
	}
	return 0;
}
