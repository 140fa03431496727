/*
 * Cursors: the only way bytes of a packet, file or message are read or written.
 *
 * One contract: sizes are compared, never sums of pointers; the first failure sets `bad`, after
 * which reads yield 0 and writes do nothing, so a unit is checked once, at its end. The field's
 * overlays of structs on packets were rejected: they trust alignment and length.
 */
#ifndef WEIR_WIRE_H
#define WEIR_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- loads and stores: unaligned, big endian unless named -------------------------------- */

static inline uint16_t be16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return __builtin_bswap16(v);
}

static inline uint32_t be32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline uint64_t be64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static inline uint16_t le16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t le32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t le64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "wire.h assumes a little-endian host");

/* ---- reader ------------------------------------------------------------------------------ */

struct rd {
	const uint8_t *p;   /* next byte */
	const uint8_t *end; /* one past the last */
	bool bad;           /* sticky: something was read past the end */
};

static inline struct rd rd_init(const void *p, size_t n)
{
	const uint8_t *b = p;
	return (struct rd){.p = b, .end = b + n, .bad = false};
}

static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}

/* `n` contiguous bytes, or NULL (and bad) when fewer are left. One check a header. */
static inline const uint8_t *rd_take(struct rd *r, size_t n)
{
	if (__builtin_expect(n > rd_left(r), 0)) {
		r->bad = true;
		r->p = r->end;
		return NULL;
	}
	const uint8_t *at = r->p;
	r->p += n;
	return at;
}

/* The same without moving and without spoiling the cursor. */
static inline const uint8_t *rd_peek(const struct rd *r, size_t n)
{
	return n > rd_left(r) ? NULL : r->p;
}

static inline void rd_skip(struct rd *r, size_t n)
{
	(void)rd_take(r, n);
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_take(r, 1);
	return p ? p[0] : 0;
}

static inline uint16_t rd_u16(struct rd *r)
{
	const uint8_t *p = rd_take(r, 2);
	return p ? be16(p) : 0;
}

static inline uint32_t rd_u32(struct rd *r)
{
	const uint8_t *p = rd_take(r, 4);
	return p ? be32(p) : 0;
}

static inline uint64_t rd_u64(struct rd *r)
{
	const uint8_t *p = rd_take(r, 8);
	return p ? be64(p) : 0;
}

/* An inner cursor over the next `n` bytes, which the outer one skips; bad both when too few. */
static inline struct rd rd_sub(struct rd *r, size_t n)
{
	const uint8_t *p = rd_take(r, n);
	if (p == NULL)
		return (struct rd){.p = r->end, .end = r->end, .bad = true};
	return rd_init(p, n);
}

/* Cuts what is left to at most `n` bytes (padding and trailers go). */
static inline void rd_clip(struct rd *r, size_t n)
{
	if (n < rd_left(r))
		r->end = r->p + n;
}

/* ---- writer ------------------------------------------------------------------------------ */

struct wr {
	uint8_t *start;
	uint8_t *p;
	uint8_t *end;
	bool bad; /* sticky: no room, or a value too wide for its field */
};

static inline struct wr wr_init(void *p, size_t n)
{
	uint8_t *b = p;
	return (struct wr){.start = b, .p = b, .end = b + n, .bad = false};
}

static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}

static inline size_t wr_left(const struct wr *w)
{
	return (size_t)(w->end - w->p);
}

/* Room for `n` bytes, or NULL (and bad). */
static inline uint8_t *wr_take(struct wr *w, size_t n)
{
	if (__builtin_expect(w->bad || n > wr_left(w), 0)) {
		w->bad = true;
		return NULL;
	}
	uint8_t *at = w->p;
	w->p += n;
	return at;
}

/* Big-endian unsigned of 1 to 8 bytes; a value too wide is refused. */
static inline void wr_uint(struct wr *w, uint64_t v, unsigned bytes)
{
	if (bytes < 8 && v >> (8 * bytes) != 0) {
		w->bad = true;
		return;
	}
	uint8_t *p = wr_take(w, bytes);
	if (p == NULL)
		return;
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

static inline void wr_u8(struct wr *w, uint64_t v)
{
	wr_uint(w, v, 1);
}

static inline void wr_u16(struct wr *w, uint64_t v)
{
	wr_uint(w, v, 2);
}

static inline void wr_u32(struct wr *w, uint64_t v)
{
	wr_uint(w, v, 4);
}

static inline void wr_u64(struct wr *w, uint64_t v)
{
	wr_uint(w, v, 8);
}

static inline void wr_bytes(struct wr *w, const void *src, size_t n)
{
	uint8_t *p = wr_take(w, n);
	if (p != NULL && n > 0)
		memcpy(p, src, n);
}

static inline void wr_zero(struct wr *w, size_t n)
{
	uint8_t *p = wr_take(w, n);
	if (p != NULL && n > 0)
		memset(p, 0, n);
}

/* A place to come back to: for lengths known later, or to drop a record that did not fit. */
static inline size_t wr_mark(const struct wr *w)
{
	return wr_len(w);
}

/* Overwrites two bytes at an earlier mark; refused when they were not written yet or too wide. */
static inline void wr_patch_u16(struct wr *w, size_t mark, uint64_t v)
{
	if (w->bad || v > UINT16_MAX || wr_len(w) < 2 || mark > wr_len(w) - 2) {
		w->bad = true;
		return;
	}
	w->start[mark] = (uint8_t)(v >> 8);
	w->start[mark + 1] = (uint8_t)v;
}

static inline void wr_patch_u32(struct wr *w, size_t mark, uint64_t v)
{
	if (w->bad || v > UINT32_MAX || wr_len(w) < 4 || mark > wr_len(w) - 4) {
		w->bad = true;
		return;
	}
	for (unsigned i = 0; i < 4; i++)
		w->start[mark + i] = (uint8_t)(v >> (8 * (3 - i)));
}

/* Back to an earlier mark; clears `bad`, since what failed is gone. */
static inline void wr_rewind(struct wr *w, size_t mark)
{
	if (mark <= wr_len(w))
		w->p = w->start + mark;
	w->bad = false;
}

#endif
