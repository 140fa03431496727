/*
 * pcapng files: sections of either byte order, each with interfaces of its own; enhanced, simple
 * and obsolete packet blocks.
 *
 * Blocks are framed by their length, so a reader can pass over what it does not know and survive a
 * damaged block: only a framing that cannot be believed ends the file. The common block, a whole
 * enhanced packet of an interface with plain time, is taken in a tight loop; all else goes through
 * one function a block, chosen by a table.
 *
 * Rejected: libpcap's reader, which gives up on files whose interfaces differ in link type.
 * Invariant: a block's body is parsed through a cursor over that body.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "file.h"
#include "linktype.h"
#include "log.h"

/* Block types. */
enum {
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 2, /* obsolete */
	BLOCK_SIMPLE = 3,
	BLOCK_ENHANCED = 6,
	BLOCK_SECTION = 0x0a0d0d0a, /* the same in both byte orders */
};

enum { OPT_END = 0, OPT_IF_TSRESOL = 9, OPT_IF_TSOFFSET = 14 };

#define BYTE_ORDER_MAGIC 0x1a2b3c4d

/* Type and two lengths; the type and the first length; the fields of an enhanced packet. */
enum { FRAME_SIZE = 12, FRAME_HEAD = 8, FRAME_TAIL = 4, ENHANCED_SIZE = 20 };

/* Of a longer block only so much is looked at: a packet and its fields, or many options. */
#define BLOCK_KEEP (SOURCE_PIECE)

/* More interfaces in a section are not believed. */
#define MAX_IFACES 65536

struct ng_iface {
	uint64_t plain_units; /* time stamps below are units * mult, without an offset; else 0 */
	uint64_t mult;        /* ns = units * mult / div >> shift + offset */
	uint64_t div;
	int64_t offset_s;
	uint32_t snaplen;
	uint16_t linktype;
	uint8_t shift;
};

/* Faults that are said once a file and survived. */
enum ng_fault {
	FAULT_TRAILER,
	FAULT_IFACE,
	FAULT_IFACES,
	FAULT_PACKET,
	FAULT_INTERFACE,
	FAULT_COUNT
};

struct pcapng {
	struct ng_iface *ifaces; /* of the section */
	uint32_t n_ifaces;
	uint32_t room;
	bool big;                /* the section's byte order */
	bool said[FAULT_COUNT];
};

struct ng_block {
	uint32_t type;
	uint32_t room;   /* length of the body in the file */
	uint64_t offset; /* of the block */
	struct rd body;  /* as much of it as is looked at */
};

static inline uint16_t load16(const uint8_t *p, bool big)
{
	return big ? be16(p) : le16(p);
}

static inline uint32_t load32(const uint8_t *p, bool big)
{
	return big ? be32(p) : le32(p);
}

static uint16_t get16(struct rd *r, bool big)
{
	const uint8_t *p = rd_take(r, 2);
	return p != NULL ? load16(p, big) : 0;
}

static uint32_t get32(struct rd *r, bool big)
{
	const uint8_t *p = rd_take(r, 4);
	return p != NULL ? load32(p, big) : 0;
}

static void say_once(struct capture_file *file, enum ng_fault fault, uint64_t offset,
		     const char *what)
{
	struct pcapng *ng = file->state;
	if (ng->said[fault])
		return;
	ng->said[fault] = true;
	log_warnx("capture", "%s (said once): file=%s offset=%" PRIu64 "%s", what, file->src.name,
		  offset, source_offset_unit(&file->src));
}

/* ---- time ---------------------------------------------------------------------------------- */

static uint64_t power_of_10(unsigned exponent)
{
	uint64_t power = 1;
	while (exponent-- > 0)
		power *= 10;
	return power;
}

/* How an interface counts time: if_tsresol's top bit tells powers of 2 from powers of 10. */
static void iface_set_time(struct ng_iface *iface, uint8_t tsresol, int64_t offset_s)
{
	enum { BASE_2 = 0x80, NS_EXPONENT = 9, MAX_EXPONENT = 19 };
	unsigned exponent = tsresol & ~BASE_2;
	iface->mult = 1;
	iface->div = 1;
	iface->shift = 0;
	iface->offset_s = offset_s;
	if (tsresol & BASE_2) {
		iface->mult = NS_PER_S;
		iface->shift = (uint8_t)exponent;
	} else if (exponent <= NS_EXPONENT) {
		iface->mult = power_of_10(NS_EXPONENT - exponent);
	} else if (exponent - NS_EXPONENT <= MAX_EXPONENT) {
		iface->div = power_of_10(exponent - NS_EXPONENT);
	} else {
		iface->mult = 0; /* 2^64 such units are less than a nanosecond */
	}
	bool plain = iface->div == 1 && iface->shift == 0 && offset_s == 0 && iface->mult != 0;
	iface->plain_units = plain ? (uint64_t)PKT_TIME_MAX / iface->mult : 0;
}

static struct pkt_time iface_time(const struct ng_iface *iface, uint64_t units)
{
	unsigned __int128 scaled = (unsigned __int128)units * iface->mult / iface->div;
	/* At most 2^64 * 10^9, which is far from the sign. */
	__int128 ns = (__int128)(scaled >> iface->shift) + (__int128)iface->offset_s * NS_PER_S;
	if (ns < 0)
		ns = 0;
	if (ns > PKT_TIME_MAX)
		ns = PKT_TIME_MAX;
	return (struct pkt_time){.ns = (int64_t)ns};
}

/* ---- blocks that describe ------------------------------------------------------------------ */

/* A new section: forgets the interfaces. Its byte order was learnt with the framing. */
static unsigned section_block(struct capture_file *file, struct ng_block *block,
			      struct raw_packet *pkt)
{
	struct pcapng *ng = file->state;
	(void)pkt;
	rd_skip(&block->body, 4);
	uint16_t major = get16(&block->body, ng->big);
	if (block->body.bad || major != 1)
		file_set_corrupt(file, block->offset, "a section's version is not 1");
	/* The section's length is not needed, and often unknown (-1). */
	ng->n_ifaces = 0;
	return 0;
}

/* The options that matter; what is missing keeps its default. */
static void read_iface_options(struct rd *body, bool big, uint8_t *tsresol, int64_t *offset_s)
{
	while (rd_left(body) >= 4) {
		uint16_t code = get16(body, big);
		uint16_t length = get16(body, big);
		struct rd value = rd_sub(body, length);
		rd_skip(body, -(unsigned)length % 4);
		if (code == OPT_END || value.bad)
			return;
		if (code == OPT_IF_TSRESOL && length == 1)
			*tsresol = rd_u8(&value);
		if (code == OPT_IF_TSOFFSET && length == 8) {
			uint64_t seconds = rd_u64(&value);
			*offset_s = (int64_t)(big ? seconds : __builtin_bswap64(seconds));
		}
	}
}

/* Room for one more interface; false when there are too many or memory is out. */
static bool ifaces_grow(struct pcapng *ng)
{
	if (ng->n_ifaces < ng->room)
		return true;
	if (ng->n_ifaces >= MAX_IFACES)
		return false;
	uint32_t room = ng->room > 0 ? 2 * ng->room : 8;
	struct ng_iface *ifaces = realloc(ng->ifaces, room * sizeof(*ifaces));
	if (ifaces == NULL)
		return false;
	ng->ifaces = ifaces;
	ng->room = room;
	return true;
}

static unsigned interface_block(struct capture_file *file, struct ng_block *block,
				struct raw_packet *pkt)
{
	enum { DEFAULT_TSRESOL = 6 };
	struct pcapng *ng = file->state;
	(void)pkt;
	if (!ifaces_grow(ng)) {
		say_once(file, FAULT_IFACES, block->offset,
			 "too many interfaces, the rest is left out");
		return 0;
	}
	/* A damaged one keeps its number, or the next would be mistaken for it. */
	struct ng_iface *iface = &ng->ifaces[ng->n_ifaces++];
	iface->linktype = linktype_from_file(get16(&block->body, ng->big));
	rd_skip(&block->body, 2);
	iface->snaplen = get32(&block->body, ng->big);
	if (block->body.bad)
		say_once(file, FAULT_INTERFACE, block->offset, "an interface block is too short");
	uint8_t tsresol = DEFAULT_TSRESOL;
	int64_t offset_s = 0;
	read_iface_options(&block->body, ng->big, &tsresol, &offset_s);
	iface_set_time(iface, tsresol, offset_s);
	return 0;
}

/* ---- blocks that hold a packet ------------------------------------------------------------- */

/* The interface a packet names; NULL, and said, when the section has none of that number. */
static const struct ng_iface *find_iface(struct capture_file *file, const struct ng_block *block,
					 uint32_t number)
{
	const struct pcapng *ng = file->state;
	if (number < ng->n_ifaces)
		return &ng->ifaces[number];
	say_once(file, FAULT_IFACE, block->offset,
		 "packets of an interface that was not declared are left out");
	return NULL;
}

static void set_packet(struct raw_packet *pkt, const struct capture_file *file, uint32_t number,
		       uint16_t linktype, bool big)
{
	pkt->ingress = number + 1;
	pkt->linktype = linktype;
	pkt->swapped = big;
	pkt->iface = file->iface;
}

/* What enhanced and obsolete packets share: from the time stamp on. */
static unsigned timed_packet(struct capture_file *file, struct ng_block *block, uint32_t number,
			     struct raw_packet *pkt)
{
	const struct pcapng *ng = file->state;
	uint64_t units = (uint64_t)get32(&block->body, ng->big) << 32;
	units |= get32(&block->body, ng->big);
	uint32_t caplen = get32(&block->body, ng->big);
	uint32_t wirelen = get32(&block->body, ng->big);
	if (block->body.bad || caplen > block->room - ENHANCED_SIZE) {
		say_once(file, FAULT_PACKET, block->offset,
			 "packets that are longer than their block are left out");
		return 0;
	}
	const struct ng_iface *iface = find_iface(file, block, number);
	if (iface == NULL)
		return 0;
	pkt->data = block->body.p;
	pkt->time = iface_time(iface, units);
	file_set_lengths(pkt, caplen, wirelen);
	set_packet(pkt, file, number, iface->linktype, ng->big);
	return 1;
}

static unsigned enhanced_block(struct capture_file *file, struct ng_block *block,
			       struct raw_packet *pkt)
{
	const struct pcapng *ng = file->state;
	uint32_t number = get32(&block->body, ng->big);
	return timed_packet(file, block, number, pkt);
}

static unsigned packet_block(struct capture_file *file, struct ng_block *block,
			     struct raw_packet *pkt)
{
	const struct pcapng *ng = file->state;
	uint32_t number = get16(&block->body, ng->big);
	rd_skip(&block->body, 2); /* drops */
	return timed_packet(file, block, number, pkt);
}

/* A simple packet: of interface 0, without a time, as long as snapshot and block allow. */
static unsigned simple_block(struct capture_file *file, struct ng_block *block,
			     struct raw_packet *pkt)
{
	const struct pcapng *ng = file->state;
	uint32_t wirelen = get32(&block->body, ng->big);
	if (block->body.bad) {
		say_once(file, FAULT_PACKET, block->offset, "a packet block is too short");
		return 0;
	}
	const struct ng_iface *iface = find_iface(file, block, 0);
	if (iface == NULL)
		return 0;
	uint32_t caplen = block->room - 4;
	if (wirelen < caplen)
		caplen = wirelen;
	if (iface->snaplen != 0 && iface->snaplen < caplen)
		caplen = iface->snaplen;
	pkt->data = block->body.p;
	pkt->time.ns = PKT_TIME_NONE;
	file_set_lengths(pkt, caplen, wirelen);
	set_packet(pkt, file, 0, iface->linktype, ng->big);
	return 1;
}

/* Each parses a body and returns the number of packets in it; other types are passed over. */
static const struct block_type {
	uint32_t type;
	unsigned (*parse)(struct capture_file *file, struct ng_block *block,
			  struct raw_packet *pkt);
} block_types[] = {
	{BLOCK_SECTION, section_block},   {BLOCK_INTERFACE, interface_block},
	{BLOCK_ENHANCED, enhanced_block}, {BLOCK_SIMPLE, simple_block},
	{BLOCK_PACKET, packet_block},
};

/* ---- framing ------------------------------------------------------------------------------- */

/* Byte order of the section that begins at `p`, FRAME_SIZE bytes; false when it is none. */
static bool section_order(const uint8_t *p, bool *ret_big)
{
	uint32_t magic = be32(p + FRAME_HEAD);
	if (magic != BYTE_ORDER_MAGIC && magic != __builtin_bswap32(BYTE_ORDER_MAGIC))
		return false;
	*ret_big = magic == BYTE_ORDER_MAGIC;
	return true;
}

static bool length_can_be(uint32_t length)
{
	return length >= FRAME_SIZE && length % 4 == 0;
}

/* Whether another block, or the end, is at the reading position. */
static bool block_follows(struct capture_file *file)
{
	const struct pcapng *ng = file->state;
	struct source *src = &file->src;
	if (!source_need(src, FRAME_SIZE))
		return rd_left(&src->at) == 0;
	bool big = ng->big;
	if (be32(src->at.p) == BLOCK_SECTION && !section_order(src->at.p, &big))
		return false;
	uint32_t length = load32(src->at.p + 4, big);
	return length_can_be(length) && length <= FILE_BELIEVED;
}

/* Moves behind the block and compares its two lengths. Sets file->end when the block is cut or
 * when nothing that follows can be believed. */
static void pass_block(struct capture_file *file, const struct ng_block *block, uint32_t length)
{
	const struct pcapng *ng = file->state;
	struct source *src = &file->src;
	if (!source_skip(src, length - FRAME_TAIL) || !source_need(src, FRAME_TAIL)) {
		file_set_end(file, block->offset, true);
		return;
	}
	uint32_t again = load32(src->at.p, ng->big);
	rd_skip(&src->at, FRAME_TAIL);
	if (again == length)
		return;
	if (block_follows(file))
		say_once(file, FAULT_TRAILER, block->offset, "a block's two lengths differ");
	else
		file_set_corrupt(file, block->offset, "a block's length cannot be");
}

/* The block at the reading position, which moves behind it. Sets file->end when there is none. */
static void read_block(struct capture_file *file, struct ng_block *ret_block)
{
	struct pcapng *ng = file->state;
	struct source *src = &file->src;
	struct ng_block block = {.offset = source_offset(src)};
	if (!source_need(src, FRAME_SIZE)) {
		file_set_end(file, block.offset, rd_left(&src->at) > 0);
		return;
	}
	block.type = load32(src->at.p, ng->big);
	if (block.type == BLOCK_SECTION && !section_order(src->at.p, &ng->big)) {
		file_set_corrupt(file, block.offset, "a section's byte order cannot be");
		return;
	}
	uint32_t length = load32(src->at.p + 4, ng->big);
	if (!length_can_be(length)) {
		file_set_corrupt(file, block.offset, "a block's length cannot be");
		return;
	}
	size_t piece = length < BLOCK_KEEP ? length : BLOCK_KEEP;
	if (!source_need(src, piece)) {
		file_set_end(file, block.offset, true);
		return;
	}
	block.room = length - FRAME_SIZE;
	block.body = rd_init(src->at.p + FRAME_HEAD, piece - FRAME_HEAD);
	rd_clip(&block.body, block.room);
	pass_block(file, &block, length);
	*ret_block = block;
}

/* Reads one block of any kind. Returns the number of packets in it, 0 or 1. */
static unsigned take_block(struct capture_file *file, struct raw_packet *pkt)
{
	struct ng_block block;
	read_block(file, &block);
	if (file->end != 0)
		return 0;
	for (size_t i = 0; i < sizeof(block_types) / sizeof(block_types[0]); i++)
		if (block_types[i].type == block.type)
			return block_types[i].parse(file, &block, pkt);
	return 0;
}

/* ---- the common case ----------------------------------------------------------------------- */

/* Fields of an enhanced packet block, from its start. */
enum {
	EPB_LENGTH = 4,
	EPB_IFACE = 8,
	EPB_TIME_HIGH = 12,
	EPB_TIME_LOW = 16,
	EPB_CAPLEN = 20,
	EPB_WIRELEN = 24,
	EPB_DATA = 28,
	EPB_MIN = EPB_DATA + FRAME_TAIL,
};

/* Length of the block at `at` when it is a sound enhanced packet that lies whole in the window and
 * has a plain time; else 0, and take_block finds out what it is. */
static inline uint32_t plain_enhanced(const struct pcapng *ng, const struct rd *at, bool big)
{
	const uint8_t *p = rd_peek(at, EPB_MIN);
	if (p == NULL || load32(p, big) != BLOCK_ENHANCED)
		return 0;
	uint32_t length = load32(p + EPB_LENGTH, big);
	if (length < EPB_MIN || length % 4 != 0 || length > rd_left(at) ||
	    load32(p + length - FRAME_TAIL, big) != length)
		return 0;
	if (load32(p + EPB_CAPLEN, big) > length - EPB_MIN)
		return 0;
	uint32_t number = load32(p + EPB_IFACE, big);
	if (number >= ng->n_ifaces)
		return 0;
	uint64_t units = (uint64_t)load32(p + EPB_TIME_HIGH, big) << 32;
	units |= load32(p + EPB_TIME_LOW, big);
	return units < ng->ifaces[number].plain_units ? length : 0;
}

/* Whole enhanced packets, up to the first block that is something else. */
static inline __attribute__((always_inline)) unsigned
take_enhanced(struct capture_file *file, struct raw_packet *pkts, unsigned max, bool big)
{
	const struct pcapng *ng = file->state;
	struct rd at = file->src.at;
	unsigned n = 0;
	while (n < max) {
		uint32_t length = plain_enhanced(ng, &at, big);
		if (length == 0)
			break;
		const uint8_t *p = rd_take(&at, length);
		uint32_t number = load32(p + EPB_IFACE, big);
		const struct ng_iface *iface = &ng->ifaces[number];
		uint64_t units = (uint64_t)load32(p + EPB_TIME_HIGH, big) << 32;
		units |= load32(p + EPB_TIME_LOW, big);
		struct raw_packet *pkt = &pkts[n++];
		pkt->data = p + EPB_DATA;
		pkt->time.ns = (int64_t)(units * iface->mult);
		file_set_lengths(pkt, load32(p + EPB_CAPLEN, big), load32(p + EPB_WIRELEN, big));
		set_packet(pkt, file, number, iface->linktype, big);
	}
	file->src.at = at;
	return n;
}

static unsigned ng_take(struct capture_file *file, struct raw_packet *pkts, unsigned max)
{
	const struct pcapng *ng = file->state;
	unsigned n = 0;
	while (n < max && file->end == 0) {
		if (ng->big)
			n += take_enhanced(file, pkts + n, max - n, true);
		else
			n += take_enhanced(file, pkts + n, max - n, false);
		if (n < max)
			n += take_block(file, pkts + n);
	}
	return n;
}

/* ---- opening ------------------------------------------------------------------------------- */

static bool ng_match(struct rd head)
{
	bool big;
	const uint8_t *p = rd_peek(&head, FRAME_SIZE);
	return p != NULL && be32(p) == BLOCK_SECTION && section_order(p, &big);
}

/* Reads up to the first interface, so that a filter can be refused before anything is metered. */
static int check_filter(struct capture_file *file, char *errbuf, unsigned errsize)
{
	enum { LINKTYPE_ETHERNET = 1 };
	const struct pcapng *ng = file->state;
	struct raw_packet none;
	while (ng->n_ifaces == 0 && file->end == 0)
		(void)take_block(file, &none);
	uint16_t linktype = ng->n_ifaces > 0 ? ng->ifaces[0].linktype : LINKTYPE_ETHERNET;
	return filter_check(file->filter, linktype, ng->big, errbuf, errsize);
}

/* Whether the first section is of a version we know; libpcap says what is wrong with others. */
static bool version_known(struct capture_file *file)
{
	enum { MAJOR = 12, MAJOR_END = 14 };
	bool big;
	if (!source_need(&file->src, MAJOR_END) || !section_order(file->src.at.p, &big))
		return false;
	return load16(file->src.at.p + MAJOR, big) == 1;
}

static int ng_init(struct capture_file *file, char *errbuf, unsigned errsize)
{
	if (!version_known(file))
		return ERR_NOTSUP;
	struct pcapng *ng = calloc(1, sizeof(*ng));
	if (ng == NULL) {
		snprintf(errbuf, errsize, "%s: %s", file->src.name, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	file->state = ng;
	return file->filter != NULL ? check_filter(file, errbuf, errsize) : 0;
}

static void ng_fini(struct capture_file *file)
{
	struct pcapng *ng = file->state;
	if (ng != NULL)
		free(ng->ifaces);
	free(ng);
	file->state = NULL;
}

const struct file_reader pcapng_reader = {
	.name = "pcapng",
	.match = ng_match,
	.open = ng_init,
	.take = ng_take,
	.close = ng_fini,
};
