/*
 * Segments: the files of a spool (docs/SPOOL.md). A segment is a CBOR sequence of a header and
 * frames; a frame is a batch of records with the number of its first, and a checksum over all of
 * it. Whatever is in a file, reading it ends, and gives frames that were written as they are.
 *
 * One thread at a time. Memory of a reader is taken once.
 */
#ifndef WEIR_EXPORTER_SPOOL_SEGMENT_H
#define WEIR_EXPORTER_SPOOL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SEGMENT_HEADER = 42,
	FRAME_HEAD = 31,
	FRAME_PAYLOAD_MAX = 1 << 16,
	FRAME_MAX = FRAME_HEAD + FRAME_PAYLOAD_MAX,
	SEGMENT_SCAN = 1 << 14, /* bytes looked through at a time, after damage */
};

struct segment_header {
	uint16_t schema;  /* of its records */
	uint64_t first;	  /* number of its first record */
	int64_t first_ns; /* clock of that */
};

/* SEGMENT_HEADER bytes at p. */
void segment_header_write(const struct segment_header *header, uint8_t *p);
/* False: damaged, or nothing of ours. */
bool segment_header_read(const uint8_t *p, struct segment_header *ret_header);

/* `len` bytes of records follow the head. Writes FRAME_HEAD bytes at p. */
void segment_frame_write(uint64_t first, uint32_t count, const uint8_t *records, size_t len,
			 uint8_t *p);

/* The number that everything up to it has been acknowledged, alone in a file. */
enum { SEGMENT_ACK = 28 };
void segment_ack_write(uint64_t number, uint8_t *p);
bool segment_ack_read(const uint8_t *p, size_t len, uint64_t *ret_number);

struct segment_frame {
	uint64_t first; /* numbers of its records: first, first + 1 ... */
	uint32_t count;
	uint32_t len; /* bytes of payload */
	uint64_t at;  /* its place in the file */
};

/* Goes through a file. Set fd, size, at, from and to; buffers of FRAME_MAX and SEGMENT_SCAN. */
struct segment_reader {
	int fd;
	uint64_t size; /* bytes that count */
	uint64_t at;   /* where the next frame is looked for */
	uint64_t from; /* frames with numbers below it, */
	uint64_t to;   /* or at or above this one, are damage */
	uint8_t *frame;
	uint8_t *scan;
};

/* The next frame that is whole, its payload in reader->frame + FRAME_HEAD; damage before it is
 * passed over. 1 found, 0 no more, -errno. */
int segment_next(struct segment_reader *reader, struct segment_frame *ret_frame);

/* Is there, where the reader stands, the head of a frame all of whose bytes are in the file? Then
 * it was written in full, and damaged since. */
bool segment_was_whole(struct segment_reader *reader, struct segment_frame *ret_frame);

#endif
