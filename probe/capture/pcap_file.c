/*
 * pcap files, format version 2.4: four magic numbers, a header, records.
 *
 * The loop over records is the hottest code of an input, so it exists once for each of the four
 * combinations of byte order and time unit, made by the compiler from one inline function, and
 * looks at whole records in the window only. Anything else (the window ends, an oversized or
 * impossible record) stops it and goes to record_settle, which either makes the loop able to go on
 * or ends the file. What the loop relies on: a record header is 16 bytes without padding.
 *
 * Variants with longer record headers have magic numbers of their own and are libpcap's business,
 * as are versions other than 2.4.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "file.h"
#include "linktype.h"

enum { HEADER_SIZE = 24, RECORD_SIZE = 16 };

/* Places in a record's header. */
enum { RECORD_SECONDS = 0, RECORD_FRACTION = 4, RECORD_CAPLEN = 8, RECORD_WIRELEN = 12 };

typedef unsigned (*take_fn)(struct capture_file *file, struct raw_packet *pkts, unsigned max);

struct pcap_format {
	uint32_t magic; /* the first four bytes as a big-endian number */
	bool big;       /* byte order of all other fields */
	uint32_t ns_per_tick;
	take_fn take;   /* whole records, up to the first that is not */
};

struct pcap_file {
	const struct pcap_format *format;
	struct raw_packet blank; /* what all packets have in common */
};

static inline uint32_t load32(const uint8_t *p, bool big)
{
	return big ? be32(p) : le32(p);
}

static inline uint16_t load16(const uint8_t *p, bool big)
{
	return big ? be16(p) : le16(p);
}

/* ---- records ------------------------------------------------------------------------------- */

/* A fraction that is a second or more is added as it stands. The time cannot pass PKT_TIME_MAX:
 * seconds end in 2106. */
static inline struct pkt_time record_time(const uint8_t *record, bool big, uint32_t ns_per_tick)
{
	const int64_t seconds = load32(record + RECORD_SECONDS, big);
	const int64_t ticks = load32(record + RECORD_FRACTION, big);
	return (struct pkt_time){seconds * NS_PER_S + ticks * ns_per_tick};
}

/* The packet of a record of any length. */
static void fill_packet(struct raw_packet *pkt, const uint8_t *record, bool big,
			       uint32_t ns_per_tick)
{
	pkt->time = record_time(record, big, ns_per_tick);
	pkt->data = record + RECORD_SIZE;
	file_set_lengths(pkt, load32(record + RECORD_CAPLEN, big),
			 load32(record + RECORD_WIRELEN, big));
}

/* From here on all packets of a file have the same. */
#define COMMON_AT offsetof(struct raw_packet, ingress)

/* Records that are whole. `whole`: there is room for any that FILE_KEEP allows behind the last place
 * where one may begin, so that it need not be looked at. */
static inline __attribute__((always_inline)) unsigned
take_until(struct capture_file *file, struct raw_packet *pkts, unsigned max, bool big,
	   uint32_t ns_per_tick, bool whole)
{
	const struct raw_packet blank = ((const struct pcap_file *)file->state)->blank;
	const uint8_t *at = file->src.at.p, *const end = file->src.at.end;
	const uint8_t *const last = end - RECORD_SIZE - (whole ? FILE_KEEP : 0);
	struct raw_packet *pkt = pkts, *const full = pkts + max;
	while (pkt < full && at <= last) {
		const uint32_t caplen = load32(at + RECORD_CAPLEN, big);
		if (caplen > FILE_KEEP || (!whole && caplen > (size_t)(last - at)))
			break;
		const uint32_t wirelen = load32(at + RECORD_WIRELEN, big);
		pkt->data = at + RECORD_SIZE;
		pkt->time = record_time(at, big, ns_per_tick);
		pkt->caplen = caplen;
		pkt->wirelen = wirelen > caplen ? wirelen : caplen;
		/* the rest at once: member by member it is a sixth of this loop */
		memcpy((char *)pkt + COMMON_AT, (const char *)&blank + COMMON_AT,
		       sizeof(*pkt) - COMMON_AT);
		pkt++;
		at += RECORD_SIZE + caplen;
	}
	file->src.at.p = at;
	return (unsigned)(pkt - pkts);
}

/* Far from the window's end two comparisons a record are saved. */
static inline __attribute__((always_inline)) unsigned
take_records(struct capture_file *file, struct raw_packet *pkts, unsigned max, bool big,
	     uint32_t ns_per_tick)
{
	unsigned n = 0;
	if (rd_left(&file->src.at) > RECORD_SIZE + FILE_KEEP)
		n = take_until(file, pkts, max, big, ns_per_tick, true);
	if (n < max && rd_left(&file->src.at) >= RECORD_SIZE)
		n += take_until(file, pkts + n, max - n, big, ns_per_tick, false);
	return n;
}

static unsigned take_le_us(struct capture_file *file, struct raw_packet *pkts, unsigned max)
{
	return take_records(file, pkts, max, false, NS_PER_US);
}

static unsigned take_le_ns(struct capture_file *file, struct raw_packet *pkts, unsigned max)
{
	return take_records(file, pkts, max, false, 1);
}

static unsigned take_be_us(struct capture_file *file, struct raw_packet *pkts, unsigned max)
{
	return take_records(file, pkts, max, true, NS_PER_US);
}

static unsigned take_be_ns(struct capture_file *file, struct raw_packet *pkts, unsigned max)
{
	return take_records(file, pkts, max, true, 1);
}

static const struct pcap_format formats[] = {
	{0xd4c3b2a1, false, NS_PER_US, take_le_us},
	{0x4d3cb2a1, false, 1, take_le_ns},
	{0xa1b2c3d4, true, NS_PER_US, take_be_us},
	{0xa1b23c4d, true, 1, take_be_ns},
};

/* ---- where the loop stops ------------------------------------------------------------------ */

/* Hands over the beginning of a record that is larger than FILE_KEEP; nothing when it is cut.
 * Returns the number of packets. */
static unsigned take_oversized(struct capture_file *file, struct raw_packet *pkt, uint32_t caplen)
{
	const struct pcap_file *pcap = file->state;
	const uint8_t *record = file->src.at.p; /* stays readable when the window moves on */
	uint64_t offset = source_offset(&file->src);
	if (!source_skip(&file->src, RECORD_SIZE + (uint64_t)caplen)) {
		file_set_end(file, offset, true);
		return 0;
	}
	*pkt = pcap->blank;
	fill_packet(pkt, record, pcap->format->big, pcap->format->ns_per_tick);
	return 1;
}

/* The record at hand is not whole in the window or larger than FILE_KEEP: gets more of it, or
 * ends the file. Returns the number of packets taken, 0 or 1. */
static unsigned record_settle(struct capture_file *file, struct raw_packet *pkt)
{
	const struct pcap_file *pcap = file->state;
	struct source *src = &file->src;
	uint64_t offset = source_offset(src);
	if (!source_need(src, RECORD_SIZE)) {
		file_set_end(file, offset, rd_left(&src->at) > 0);
		return 0;
	}
	uint32_t caplen = load32(src->at.p + RECORD_CAPLEN, pcap->format->big);
	if (caplen > FILE_BELIEVED) {
		file_set_corrupt(file, offset, "a record's length cannot be");
		return 0;
	}
	if (!source_need(src, RECORD_SIZE + (caplen < FILE_KEEP ? caplen : FILE_KEEP))) {
		file_set_end(file, offset, true);
		return 0;
	}
	return caplen > FILE_KEEP ? take_oversized(file, pkt, caplen) : 0;
}

static unsigned pcap_take(struct capture_file *file, struct raw_packet *pkts, unsigned max)
{
	const struct pcap_file *pcap = file->state;
	unsigned n = 0;
	while (n < max && file->end == 0) {
		n += pcap->format->take(file, pkts + n, max - n);
		if (n < max)
			n += record_settle(file, pkts + n);
	}
	return n;
}

/* ---- opening ------------------------------------------------------------------------------- */

static const struct pcap_format *find_format(struct rd head)
{
	uint32_t magic = rd_u32(&head);
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (formats[i].magic == magic)
			return &formats[i];
	return NULL;
}

static bool pcap_match(struct rd head)
{
	return find_format(head) != NULL;
}

static int pcap_init(struct capture_file *file, char *errbuf, unsigned errsize)
{
	const struct pcap_format *format = find_format(file->src.at);
	if (!source_need(&file->src, HEADER_SIZE)) {
		snprintf(errbuf, errsize, "%s: not a capture: ends inside the pcap file header",
			 file->src.name);
		return ERR_FORMAT;
	}
	struct rd header = rd_init(file->src.at.p, HEADER_SIZE);
	rd_skip(&header, 4);
	uint16_t major = load16(rd_take(&header, 2), format->big);
	uint16_t minor = load16(rd_take(&header, 2), format->big);
	if (major != 2 || minor != 4)
		return ERR_NOTSUP;
	/* Zone, accuracy and snapshot length, which files often get wrong, are not used. */
	rd_skip(&header, 12);
	uint16_t linktype = linktype_from_file(load32(rd_take(&header, 4), format->big));
	if (file->filter != NULL &&
	    filter_check(file->filter, linktype, format->big, errbuf, errsize) < 0)
		return ERR_USAGE;
	struct pcap_file *pcap = calloc(1, sizeof(*pcap));
	if (pcap == NULL) {
		snprintf(errbuf, errsize, "%s: %s", file->src.name, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	pcap->format = format;
	pcap->blank = (struct raw_packet){
		.ingress = 1,
		.linktype = linktype,
		.swapped = format->big,
		.iface = file->iface,
	};
	file->state = pcap;
	rd_skip(&file->src.at, HEADER_SIZE);
	return 0;
}

static void pcap_fini(struct capture_file *file)
{
	free(file->state);
	file->state = NULL;
}

const struct file_reader pcap_reader = {
	.name = "pcap",
	.match = pcap_match,
	.open = pcap_init,
	.take = pcap_take,
	.close = pcap_fini,
};
