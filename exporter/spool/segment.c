/*
 * Framing. Heads have a fixed layout, so that they are found again behind damage by their constant
 * bytes and believed for their checksum; but they are CBOR all the same, and a segment can be
 * looked at with any CBOR tool:
 *
 *   header   84 6a "weir spool" 19 schema 1b first 1b first_ns           + 1b checksum as a fifth
 *   frame    84 1b first 1a count 1b checksum d8 3f 5a length, records
 *            an array of first, count, checksum and an encoded CBOR sequence (tag 63)
 *   ack      83 68 "weir ack" 1b number 1b checksum
 *
 * A length is not believed before the checksum of what it spans is right: a damaged one must not
 * cost the frames behind it.
 */
#include "segment.h"

#include <cbor.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "wire.h"

enum {
	CBOR_UINT16 = 0x19,
	CBOR_UINT32 = 0x1a,
	CBOR_UINT64 = 0x1b,
	CBOR_BYTES32 = 0x5a,
	CBOR_ARRAY = 0x80,
	CBOR_TEXT = 0x60,
	CBOR_TAG = 0xd8,
	TAG_SEQUENCE = 63, /* RFC 9277 */
};

static const char header_name[] = "weir spool";
static const char ack_name[] = "weir ack";

/* ---- header and ack ---- */

static void put_u64(struct wr *w, uint64_t v)
{
	uint8_t item[9];
	wr_bytes(w, item, cbor_encode_uint64(v, item, sizeof(item)));
}

static void put_name(struct wr *w, unsigned items, const char *name)
{
	wr_u8(w, CBOR_ARRAY | items);
	wr_u8(w, CBOR_TEXT | strlen(name));
	wr_bytes(w, name, strlen(name));
}

/* Over everything before it. */
static void put_checksum(struct wr *w)
{
	const uint64_t sum = XXH3_64bits(w->start, wr_len(w));
	put_u64(w, sum);
}

void segment_header_write(const struct segment_header *header, uint8_t *p)
{
	struct wr w = wr_init(p, SEGMENT_HEADER);
	put_name(&w, 5, header_name);
	wr_u8(&w, CBOR_UINT16);
	wr_u16(&w, header->schema);
	put_u64(&w, header->first);
	put_u64(&w, (uint64_t)header->first_ns);
	put_checksum(&w);
}

static uint64_t take_u64(struct rd *rd)
{
	if (rd_u8(rd) != CBOR_UINT64)
		rd->bad = true;
	return rd_u64(rd);
}

static void take_name(struct rd *rd, unsigned items, const char *name)
{
	const size_t len = strlen(name);
	const bool right = rd_u8(rd) == (CBOR_ARRAY | items) && rd_u8(rd) == (CBOR_TEXT | len);
	const uint8_t *text = rd_take(rd, len);
	if (!right || text == NULL || memcmp(text, name, len) != 0)
		rd->bad = true;
}

static bool checksum_is_right(struct rd *rd, const uint8_t *start)
{
	const size_t len = (size_t)(rd->p - start);
	const uint64_t sum = take_u64(rd);
	return !rd->bad && sum == XXH3_64bits(start, len);
}

bool segment_header_read(const uint8_t *p, struct segment_header *ret_header)
{
	struct rd rd = rd_init(p, SEGMENT_HEADER);
	take_name(&rd, 5, header_name);
	if (rd_u8(&rd) != CBOR_UINT16)
		return false;
	struct segment_header h;
	h.schema = rd_u16(&rd);
	h.first = take_u64(&rd);
	h.first_ns = (int64_t)take_u64(&rd);
	if (!checksum_is_right(&rd, p))
		return false;
	*ret_header = h;
	return true;
}

void segment_ack_write(uint64_t number, uint8_t *p)
{
	struct wr w = wr_init(p, SEGMENT_ACK);
	put_name(&w, 3, ack_name);
	put_u64(&w, number);
	put_checksum(&w);
}

bool segment_ack_read(const uint8_t *p, size_t len, uint64_t *ret_number)
{
	struct rd rd = rd_init(p, len);
	take_name(&rd, 3, ack_name);
	const uint64_t number = take_u64(&rd);
	if (!checksum_is_right(&rd, p))
		return false;
	*ret_number = number;
	return true;
}

/* ---- frames ---- */

static uint64_t frame_checksum(uint64_t first, uint32_t count, const uint8_t *records, size_t len)
{
	uint8_t told[16];
	struct wr w = wr_init(told, sizeof(told));
	wr_u64(&w, first);
	wr_u32(&w, count);
	wr_u32(&w, len);
	XXH3_state_t state;
	XXH3_64bits_reset(&state);
	XXH3_64bits_update(&state, told, sizeof(told));
	XXH3_64bits_update(&state, records, len);
	return XXH3_64bits_digest(&state);
}

void segment_frame_write(uint64_t first, uint32_t count, const uint8_t *records, size_t len,
			 uint8_t *p)
{
	const uint64_t checksum = frame_checksum(first, count, records, len);
	struct wr w = wr_init(p, FRAME_HEAD);
	wr_u8(&w, CBOR_ARRAY | 4);
	put_u64(&w, first);
	wr_u8(&w, CBOR_UINT32);
	wr_u32(&w, count);
	put_u64(&w, checksum);
	wr_u8(&w, CBOR_TAG);
	wr_u8(&w, TAG_SEQUENCE);
	wr_u8(&w, CBOR_BYTES32);
	wr_u32(&w, len);
}

/* FRAME_HEAD bytes. */
static bool read_head(const uint8_t *p, struct segment_frame *ret_frame, uint64_t *ret_checksum)
{
	struct rd rd = rd_init(p, FRAME_HEAD);
	if (rd_u8(&rd) != (CBOR_ARRAY | 4))
		return false;
	ret_frame->first = take_u64(&rd);
	if (rd_u8(&rd) != CBOR_UINT32)
		return false;
	ret_frame->count = rd_u32(&rd);
	*ret_checksum = take_u64(&rd);
	if (rd_u8(&rd) != CBOR_TAG || rd_u8(&rd) != TAG_SEQUENCE || rd_u8(&rd) != CBOR_BYTES32)
		return false;
	ret_frame->len = rd_u32(&rd);
	return !rd.bad;
}

/* Could it stand at `at`, by its numbers? */
static bool is_plausible(const struct segment_reader *r, const struct segment_frame *f, uint64_t at)
{
	return f->len <= FRAME_PAYLOAD_MAX && f->count > 0 && f->count <= f->len &&
	       r->size - at - FRAME_HEAD >= f->len && f->first >= r->from && f->first < r->to &&
	       r->to - f->first >= f->count;
}

/* All of `n` bytes at `at`: the file's size is known, so fewer are an error. */
static int read_at(int fd, uint8_t *p, size_t n, uint64_t at)
{
	while (n > 0) {
		const ssize_t got = pread(fd, p, n, (off_t)at);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			return -EIO;
		if (got > 0) {
			p += got;
			n -= (size_t)got;
			at += (uint64_t)got;
		}
	}
	return 0;
}

/* The frame whose head lies at `at`, into r->frame. 1 whole, 0 not, -errno. */
static int load(struct segment_reader *r, uint64_t at, struct segment_frame *ret_frame)
{
	struct segment_frame f = {.at = at};
	uint64_t checksum;
	if (r->size < FRAME_HEAD || at > r->size - FRAME_HEAD)
		return 0;
	int err = read_at(r->fd, r->frame, FRAME_HEAD, at);
	if (err != 0)
		return err;
	if (!read_head(r->frame, &f, &checksum) || !is_plausible(r, &f, at))
		return 0;
	err = read_at(r->fd, r->frame + FRAME_HEAD, f.len, at + FRAME_HEAD);
	if (err != 0)
		return err;
	if (checksum != frame_checksum(f.first, f.count, r->frame + FRAME_HEAD, f.len))
		return 0;
	r->at = at + FRAME_HEAD + f.len;
	r->from = f.first + f.count;
	*ret_frame = f;
	return 1;
}

/* The first whole frame whose head lies in the `n` bytes of r->scan, which were read at `at`. */
static int search(struct segment_reader *r, uint64_t at, size_t n, struct segment_frame *ret_frame)
{
	const uint8_t *end = r->scan + n - FRAME_HEAD + 1;
	for (const uint8_t *p = r->scan; p < end; p++) {
		struct segment_frame f;
		uint64_t checksum;
		p = memchr(p, CBOR_ARRAY | 4, (size_t)(end - p));
		if (p == NULL)
			return 0;
		const uint64_t place = at + (uint64_t)(p - r->scan);
		if (!read_head(p, &f, &checksum) || !is_plausible(r, &f, place))
			continue;
		const int found = load(r, place, ret_frame);
		if (found != 0)
			return found;
	}
	return 0;
}

int segment_next(struct segment_reader *r, struct segment_frame *ret_frame)
{
	int found = load(r, r->at, ret_frame);
	if (found != 0)
		return found;
	uint64_t at = r->at;
	while (r->size >= FRAME_HEAD && at <= r->size - FRAME_HEAD) {
		const uint64_t left = r->size - at;
		const size_t n = left < SEGMENT_SCAN ? (size_t)left : SEGMENT_SCAN;
		const int err = read_at(r->fd, r->scan, n, at);
		if (err != 0)
			return err;
		found = search(r, at, n, ret_frame);
		if (found != 0)
			return found;
		at += n - FRAME_HEAD + 1;
	}
	return 0;
}

bool segment_was_whole(struct segment_reader *r, struct segment_frame *ret_frame)
{
	struct segment_frame f = {.at = r->at};
	uint64_t checksum;
	if (r->size < FRAME_HEAD || r->at > r->size - FRAME_HEAD ||
	    read_at(r->fd, r->scan, FRAME_HEAD, r->at) != 0 || !read_head(r->scan, &f, &checksum) ||
	    !is_plausible(r, &f, r->at))
		return false;
	*ret_frame = f;
	return true;
}
