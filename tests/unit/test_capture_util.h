/*
 * For tests of inputs: capture files built byte by byte, read back through capture_open, and the
 * log lines that this writes.
 */
#ifndef WEIR_TEST_CAPTURE_UTIL_H
#define WEIR_TEST_CAPTURE_UTIL_H

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture.h"
#include "err.h"

/* Bytes that grow; `big` is the byte order of put16 and put32. */
struct bytes {
	uint8_t *at;
	size_t n;
	size_t room;
	bool big;
};

/* Room for `n` bytes more, which count as put. They are not set. */
static inline uint8_t *put_room(struct bytes *b, size_t n)
{
	if (b->room < b->n + n) {
		b->room = 2 * (b->n + n);
		b->at = realloc(b->at, b->room);
		cr_assert_not_null(b->at);
	}
	b->n += n;
	return b->at + b->n - n;
}

static inline void put(struct bytes *b, const void *src, size_t n)
{
	if (n > 0)
		memcpy(put_room(b, n), src, n);
}

static inline void put_uint(struct bytes *b, uint64_t v, unsigned size)
{
	uint8_t *at = put_room(b, size);
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(v >> 8 * (b->big ? size - 1 - i : i));
}

static inline void put8(struct bytes *b, uint8_t v)
{
	put(b, &v, 1);
}

static inline void put16(struct bytes *b, uint16_t v)
{
	put_uint(b, v, 2);
}

static inline void put32(struct bytes *b, uint32_t v)
{
	put_uint(b, v, 4);
}

/* `n` bytes that count up from `first`. */
static inline void put_count(struct bytes *b, size_t n, uint8_t first)
{
	uint8_t *at = put_room(b, n);
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(first + i);
}

static inline void bytes_free(struct bytes *b)
{
	free(b->at);
	*b = (struct bytes){0};
}

/* ---- files --------------------------------------------------------------------------------- */

/* A path under which the bytes can be opened; the file goes with the test's process. */
static inline const char *file_of(const struct bytes *b)
{
	static char path[64];
	int fd = memfd_create("capture", 0);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, b->at, b->n), (ssize_t)b->n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

/* The same as a pipe, which cannot be mapped. At most what a pipe's buffer holds. */
static inline const char *pipe_of(const struct bytes *b)
{
	static char path[64];
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	cr_assert_leq(b->n, 65536);
	cr_assert_eq(write(ends[1], b->at, b->n), (ssize_t)b->n);
	/* Opened by its path the pipe has a reader of its own; ours must not be the last. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	close(ends[1]);
	return path;
}

/* ---- reading ------------------------------------------------------------------------------- */

struct got {
	int rc; /* of the open, or how the input ended */
	char error[CAPTURE_ERRBUF_SIZE];
	char log[4096];
	unsigned n;
	struct raw_packet pkts[512]; /* their data is gone but for `first` */
	uint8_t first[512][8];       /* first bytes of each */
	struct capture_stats stats;
};

static inline void keep_packet(struct got *got, const struct raw_packet *pkt)
{
	cr_assert_lt(got->n, 512);
	memcpy(got->first[got->n], pkt->data, pkt->caplen < 8 ? pkt->caplen : 8);
	got->pkts[got->n++] = *pkt;
}

static inline void read_packets(struct capture *capture, unsigned batch, struct got *got)
{
	struct raw_packet pkts[64];
	int n;
	while ((n = capture_next(capture, pkts, batch)) > 0)
		for (int i = 0; i < n; i++)
			keep_packet(got, &pkts[i]);
	got->rc = n;
	capture_stats(capture, &got->stats);
}

/* Reads all of an input. The log goes to got->log. */
static inline struct got *read_all(const char *path, const char *filter, unsigned batch)
{
	static struct got got;
	memset(&got, 0, sizeof(got));
	int saved = dup(STDERR_FILENO);
	int log = memfd_create("log", 0);
	dup2(log, STDERR_FILENO);
	struct capture_conf conf = {.spec = path, .filter = filter};
	struct capture *capture = NULL;
	got.rc = capture_open(&conf, got.error, sizeof(got.error), &capture);
	if (got.rc == 0)
		read_packets(capture, batch, &got);
	capture_close(capture);
	dup2(saved, STDERR_FILENO);
	close(saved);
	ssize_t n = pread(log, got.log, sizeof(got.log) - 1, 0);
	got.log[n > 0 ? n : 0] = '\0';
	close(log);
	return &got;
}

#endif
