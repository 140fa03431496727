/*
 * A source: the bytes of a capture file as one window that only moves forward.
 *
 * A plain file is mapped and the window is all of it. What cannot be mapped (a pipe) or has to be
 * unpacked (gzip, zstd) comes through chunks. A reader uses both alike: it looks at `at`, calls
 * source_need when more has to lie there in one piece, and moves `at.p` on. What it has passed
 * stays readable until source_release, so packets may point to it. One thread at a time.
 */
#ifndef WEIR_CAPTURE_SOURCE_H
#define WEIR_CAPTURE_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "capture.h"
#include "chunks.h"
#include "unpack.h"
#include "wire.h"

/* source_need gives at most this much in one piece. */
#define SOURCE_PIECE (CHUNK_SIZE / 2)

struct source {
	struct rd at;        /* from the reading position to the end of what is in memory */
	uint64_t end_offset; /* offset of at.end in the (unpacked) data */
	char *name;          /* for messages: the path, or "standard input"; ours */
	int end;             /* why no more comes: ERR_EOF, ERR_TRUNCATED ...; 0: more may */

	int fd;
	uint64_t file_size;      /* 0: unknown */
	const atomic_bool *stop; /* the caller's, or NULL: gives up waiting for a pipe */

	uint8_t *map;          /* NULL for a stream */
	size_t map_size;
	size_t due;            /* position at which there is something to do */
	size_t asked;          /* pages before this were asked for ... */
	size_t dropped;        /* ... and those before this given back */

	struct unpack *unpack; /* NULL for a mapped file */
	struct chunks chunks;
	struct chunk *chunk;   /* the one `at` lies in */
};

/* Opens conf->spec ("-": standard input) and looks at its first bytes, for which it waits when it is a
 * pipe. Fails with -errno and a line in errbuf. */
int source_open(struct source *src, const struct capture_conf *conf, char *errbuf,
		unsigned errsize);

/* Closes; fine on a source of all zeros. */
void source_close(struct source *src);

/* Is it a file in memory as a whole? Then nothing that was ever in the window goes before the end. */
static inline bool source_is_mapped(const struct source *src)
{
	return src->map != NULL;
}

/* Slow part of source_need. */
bool source_fill(struct source *src, size_t n);

/* Makes `n` <= SOURCE_PIECE bytes from the reading position on lie in one piece; false when the
 * data ends before (source_error says whether it should have). */
static inline bool source_need(struct source *src, size_t n)
{
	return n <= rd_left(&src->at) || source_fill(src, n);
}

/* Moves on by `n` bytes, any number; false when the data ends before. */
bool source_skip(struct source *src, uint64_t n);

/* Offset of the reading position in the (unpacked) data. */
static inline uint64_t source_offset(const struct source *src)
{
	return src->end_offset - rd_left(&src->at);
}

/* Nobody looks any more at what lies before the reading position. */
void source_release(struct source *src);

/* Why there is no more: 0 for a sound end, else ERR_TRUNCATED, ERR_CORRUPT, -errno. */
int source_error(const struct source *src);

/* For messages: " of the unpacked data" where offsets are not those of the file, and what the
 * unpacker had to complain about (or ""). */
const char *source_offset_unit(const struct source *src);
const char *source_complaint(const struct source *src);

/* Bytes of the file consumed, and its size (0: unknown). */
uint64_t source_bytes_read(const struct source *src);
uint64_t source_bytes_total(const struct source *src);

#endif
