/*
 * Memory of a batch: chunks of one size that are taken while a batch is being filled and all come
 * back at once when the caller asks for the next one. Nothing in a chunk ever moves, so packets
 * can point into it, and nothing is allocated once a few batches have passed. One thread.
 */
#ifndef WEIR_CAPTURE_CHUNKS_H
#define WEIR_CAPTURE_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#define CHUNK_SIZE ((size_t)1 << 20)

struct chunk {
	struct chunk *next;
	size_t used; /* by chunks_copy */
	uint8_t bytes[CHUNK_SIZE];
};

/* Its initial state is all zeros. */
struct chunks {
	struct chunk *busy; /* the newest first */
	struct chunk *idle;
};

/* A chunk for this batch; NULL when memory is out. */
struct chunk *chunks_take(struct chunks *chunks);

/* A copy of `n` bytes (at most CHUNK_SIZE) that lives as long as the batch; NULL when memory is
 * out. A pool used for copies is not used with chunks_take by others. */
const uint8_t *chunks_copy(struct chunks *chunks, const void *src, size_t n);

/* The batch is over: all chunks but `keep` (may be NULL) can be taken again. */
void chunks_recycle(struct chunks *chunks, struct chunk *keep);

void chunks_fini(struct chunks *chunks);

#endif
