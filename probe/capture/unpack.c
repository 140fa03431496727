/*
 * Unpackers are rows: a magic number and three functions over a common input buffer. The row that
 * matches everything passes bytes on as they are and is the last one.
 *
 * gzip goes through inflate() and not gzread(): that one wants a seekable file to itself, hides
 * where damage begins and takes what is no gzip for plain text. Members and frames that follow one
 * another are one stream, as gzip(1) and zstd(1) have it.
 */
#include "unpack.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "err.h"

/* How soon a read that waits for a pipe sees that it is to stop. */
#define STOP_POLL_MS 50

#define INPUT_SIZE ((size_t)256 << 10)

/* As much as any magic needs. */
#define MAGIC_SIZE 4

struct unpack_kind {
	const char *name;
	uint32_t magic; /* first four bytes, big endian, under the mask */
	uint32_t mask;
	int (*init)(struct unpack *u);
	int (*read)(struct unpack *u, uint8_t *out, size_t size, size_t *ret_n);
	void (*fini)(struct unpack *u);
};

struct unpack {
	const struct unpack_kind *kind;
	int fd;
	const atomic_bool *stop; /* the caller's, or NULL */
	struct rd input;       /* what of `buf` is not consumed yet */
	uint64_t read_total;   /* bytes read from fd */
	const char *complaint;
	z_stream gzip;
	ZSTD_DCtx *zstd;
	bool between;          /* a member or frame has ended, none has begun since */
	uint8_t buf[INPUT_SIZE];
};

/* ---- input --------------------------------------------------------------------------------- */

/* Waits until there is something to read (a file always has); false when told to stop. */
static bool wait_readable(const struct unpack *u)
{
	struct pollfd fd = {.fd = u->fd, .events = POLLIN};
	while (u->stop != NULL && poll(&fd, 1, STOP_POLL_MS) == 0)
		if (atomic_load_explicit(u->stop, memory_order_relaxed))
			return false;
	return true;
}

/* One read(2). Returns the number of bytes, 0 at the end, -errno, ERR_STOPPED. */
static ssize_t read_some(struct unpack *u, uint8_t *out, size_t size)
{
	ssize_t n;
	if (!wait_readable(u))
		return ERR_STOPPED;
	do
		n = read(u->fd, out, size);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		u->complaint = "cannot be read";
		return -errno;
	}
	u->read_total += (uint64_t)n;
	return n;
}

/* Adds to the input behind what is left of it. Returns 0, ERR_EOF or -errno. */
static int input_more(struct unpack *u)
{
	size_t left = rd_left(&u->input);
	if (left > 0)
		memmove(u->buf, u->input.p, left);
	ssize_t n = read_some(u, u->buf + left, sizeof(u->buf) - left);
	u->input = rd_init(u->buf, left + (n > 0 ? (size_t)n : 0));
	if (n == 0)
		return ERR_EOF;
	return n < 0 ? (int)n : 0;
}

/* At least `n` bytes of input, unless it ends. Returns 0, ERR_EOF or -errno. */
static int input_need(struct unpack *u, size_t n)
{
	int rc = 0;
	while (rc == 0 && rd_left(&u->input) < n)
		rc = input_more(u);
	return rc;
}

/* Packed data goes on, so there has to be more. Returns 0, ERR_TRUNCATED or -errno. */
static int input_must_go_on(struct unpack *u, const char *complaint)
{
	int rc = input_more(u);
	if (rc != ERR_EOF)
		return rc;
	u->complaint = complaint;
	return ERR_TRUNCATED;
}

/* ---- as they are --------------------------------------------------------------------------- */

static int plain_read(struct unpack *u, uint8_t *out, size_t size, size_t *ret_n)
{
	size_t left = rd_left(&u->input);
	if (left > 0) {
		*ret_n = left < size ? left : size;
		memcpy(out, rd_take(&u->input, *ret_n), *ret_n);
		return 0;
	}
	ssize_t n = read_some(u, out, size);
	*ret_n = n > 0 ? (size_t)n : 0;
	if (n == 0)
		return ERR_EOF;
	return n < 0 ? (int)n : 0;
}

static int plain_init(struct unpack *u)
{
	(void)u;
	return 0;
}

static void plain_fini(struct unpack *u)
{
	(void)u;
}

/* ---- gzip ---------------------------------------------------------------------------------- */

#define GZIP_MAGIC      0x1f8b0000
#define GZIP_MAGIC_MASK 0xffff0000
/* zlib: the greatest window, and a gzip header is expected. */
#define GZIP_WINDOW_BITS (15 + 16)

static int gzip_init(struct unpack *u)
{
	return inflateInit2(&u->gzip, GZIP_WINDOW_BITS) == Z_OK ? 0 : ERR_NOMEM;
}

static void gzip_fini(struct unpack *u)
{
	inflateEnd(&u->gzip);
}

/* Zeros that fill a block of a tape or disk may follow the last member. */
static bool only_padding(struct rd input)
{
	const uint8_t *p;
	while ((p = rd_take(&input, 1)) != NULL)
		if (*p != 0)
			return false;
	return true;
}

/* After a member: another one, the end, or something that does not belong here. */
static int gzip_next_member(struct unpack *u)
{
	int rc = input_need(u, 2);
	if (rc < 0 && rc != ERR_EOF)
		return rc;
	const uint8_t *p = rd_peek(&u->input, 2);
	if (p != NULL && be16(p) == GZIP_MAGIC >> 16) {
		inflateReset(&u->gzip);
		u->between = false;
		return 0;
	}
	if (!only_padding(u->input)) {
		u->complaint = "something that is no gzip data follows";
		return ERR_CORRUPT;
	}
	u->input = rd_init(u->buf, 0);
	return rc == ERR_EOF ? ERR_EOF : 0;
}

/* One call of inflate(). Returns 0 when it got on or needs input, ERR_CORRUPT. */
static int gzip_inflate(struct unpack *u, uint8_t *out, size_t size, size_t *ret_n)
{
	u->gzip.next_in = (Bytef *)(uintptr_t)u->input.p;
	u->gzip.avail_in = (uInt)rd_left(&u->input);
	u->gzip.next_out = out;
	u->gzip.avail_out = (uInt)size;
	int status = inflate(&u->gzip, Z_NO_FLUSH);
	u->input.p = u->gzip.next_in;
	*ret_n = size - u->gzip.avail_out;
	u->between = status == Z_STREAM_END;
	if (status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR)
		return 0;
	if (status == Z_MEM_ERROR)
		return ERR_NOMEM;
	u->complaint = u->gzip.msg != NULL ? u->gzip.msg : "bad gzip data";
	return ERR_CORRUPT;
}

static int gzip_read(struct unpack *u, uint8_t *out, size_t size, size_t *ret_n)
{
	int rc = 0;
	*ret_n = 0;
	while (rc == 0 && *ret_n == 0) {
		if (u->between)
			rc = gzip_next_member(u);
		else if (rd_left(&u->input) == 0)
			rc = input_must_go_on(u, "the gzip data ends early");
		if (rc == 0 && !u->between)
			rc = gzip_inflate(u, out, size, ret_n);
	}
	return rc;
}

/* ---- zstd ---------------------------------------------------------------------------------- */

#define ZSTD_MAGIC_BE       0x28b52ffd
/* Frames to be skipped begin with 5x 2a 4d 18; pzstd puts one first. */
#define ZSTD_SKIP_MAGIC_BE  0x502a4d18
#define ZSTD_SKIP_MAGIC_MASK 0xf0ffffff

static int zstd_init(struct unpack *u)
{
	u->zstd = ZSTD_createDCtx();
	u->between = true;
	return u->zstd != NULL ? 0 : ERR_NOMEM;
}

static void zstd_fini(struct unpack *u)
{
	ZSTD_freeDCtx(u->zstd);
}

/* One call of ZSTD_decompressStream(). Returns 0 or ERR_CORRUPT. */
static int zstd_decompress(struct unpack *u, uint8_t *out, size_t size, size_t *ret_n)
{
	ZSTD_inBuffer in = {.src = u->input.p, .size = rd_left(&u->input)};
	ZSTD_outBuffer to = {.dst = out, .size = size};
	size_t hint = ZSTD_decompressStream(u->zstd, &to, &in);
	rd_skip(&u->input, in.pos);
	*ret_n = to.pos;
	if (ZSTD_isError(hint)) {
		u->complaint = ZSTD_getErrorName(hint);
		return ERR_CORRUPT;
	}
	u->between = hint == 0;
	return 0;
}

static int zstd_read(struct unpack *u, uint8_t *out, size_t size, size_t *ret_n)
{
	int rc = 0;
	*ret_n = 0;
	while (rc == 0 && *ret_n == 0) {
		if (u->between && rd_left(&u->input) == 0)
			rc = input_more(u);
		if (rc == 0)
			rc = zstd_decompress(u, out, size, ret_n);
		/* Only now: output may have waited inside while there was no input. */
		if (rc == 0 && *ret_n == 0 && !u->between && rd_left(&u->input) == 0)
			rc = input_must_go_on(u, "the zstd data ends early");
	}
	return rc;
}

/* ---- rows ---------------------------------------------------------------------------------- */

static const struct unpack_kind kinds[] = {
	{"gzip", GZIP_MAGIC, GZIP_MAGIC_MASK, gzip_init, gzip_read, gzip_fini},
	{"zstd", ZSTD_MAGIC_BE, 0xffffffff, zstd_init, zstd_read, zstd_fini},
	{"zstd", ZSTD_SKIP_MAGIC_BE, ZSTD_SKIP_MAGIC_MASK, zstd_init, zstd_read, zstd_fini},
	{NULL, 0, 0, plain_init, plain_read, plain_fini},
};

static const struct unpack_kind *find_kind(struct rd head)
{
	uint8_t bytes[MAGIC_SIZE] = {0};
	size_t n = rd_left(&head) < MAGIC_SIZE ? rd_left(&head) : MAGIC_SIZE;
	if (n > 0)
		memcpy(bytes, rd_take(&head, n), n);
	const struct unpack_kind *kind = kinds;
	while ((be32(bytes) & kind->mask) != kind->magic)
		kind++;
	return kind;
}

bool unpack_is_packed(struct rd head)
{
	return find_kind(head)->name != NULL;
}

int unpack_new(int fd, const atomic_bool *stop, struct unpack **ret_unpack)
{
	struct unpack *u = malloc(sizeof(*u));
	if (u == NULL)
		return ERR_NOMEM;
	memset(u, 0, offsetof(struct unpack, buf));
	u->fd = fd;
	u->stop = stop;
	u->complaint = "";
	u->input = rd_init(u->buf, 0);
	int rc = input_need(u, MAGIC_SIZE);
	if (rc == 0 || rc == ERR_EOF) {
		u->kind = find_kind(u->input);
		rc = u->kind->init(u);
	}
	if (rc < 0) {
		free(u);
		return rc;
	}
	*ret_unpack = u;
	return 0;
}

void unpack_free(struct unpack *u)
{
	if (u == NULL)
		return;
	u->kind->fini(u);
	free(u);
}

int unpack_read(struct unpack *u, uint8_t *out, size_t size, size_t *ret_n)
{
	return u->kind->read(u, out, size, ret_n);
}

const char *unpack_name(const struct unpack *u)
{
	return u->kind->name;
}

const char *unpack_complaint(const struct unpack *u)
{
	return u->complaint;
}

uint64_t unpack_bytes_read(const struct unpack *u)
{
	return u->read_total - rd_left(&u->input);
}
