/* Two lists of equal chunks: in use by the batch, and free. */
#include "chunks.h"

#include <stdlib.h>
#include <string.h>

struct chunk *chunks_take(struct chunks *chunks)
{
	struct chunk *chunk = chunks->idle;
	if (chunk != NULL)
		chunks->idle = chunk->next;
	else
		chunk = malloc(sizeof(*chunk));
	if (chunk == NULL)
		return NULL;
	chunk->used = 0;
	chunk->next = chunks->busy;
	chunks->busy = chunk;
	return chunk;
}

const uint8_t *chunks_copy(struct chunks *chunks, const void *src, size_t n)
{
	struct chunk *chunk = chunks->busy;
	if (chunk == NULL || n > CHUNK_SIZE - chunk->used)
		chunk = chunks_take(chunks);
	if (chunk == NULL)
		return NULL;
	uint8_t *at = chunk->bytes + chunk->used;
	memcpy(at, src, n);
	chunk->used += n;
	return at;
}

void chunks_recycle(struct chunks *chunks, struct chunk *keep)
{
	struct chunk *next;
	for (struct chunk *chunk = chunks->busy; chunk != NULL; chunk = next) {
		next = chunk->next;
		if (chunk == keep)
			continue;
		chunk->next = chunks->idle;
		chunks->idle = chunk;
	}
	chunks->busy = keep;
	if (keep != NULL)
		keep->next = NULL;
}

static void free_list(struct chunk *chunk)
{
	while (chunk != NULL) {
		struct chunk *next = chunk->next;
		free(chunk);
		chunk = next;
	}
}

void chunks_fini(struct chunks *chunks)
{
	free_list(chunks->busy);
	free_list(chunks->idle);
	*chunks = (struct chunks){0};
}
