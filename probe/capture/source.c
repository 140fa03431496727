/*
 * The window over a capture file.
 *
 * Mapping beats read(2) by a copy and lets packets point into the page cache. Its price is told in
 * README.md: a file that another program cuts short while it is replayed ends weir with SIGBUS.
 * Pages are asked for some megabytes ahead and given back well behind, so a replay of any size stays
 * small in memory.
 *
 * A stream is read into chunks. When the reader wants more in one piece than the rest of a chunk
 * can hold, the few bytes that are left over go to the start of the next one; the old one stays
 * where it is until the batch is done, because packets point into it.
 */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"

/* A map is looked after whenever the reading position has come so far. Pages are asked for so far
 * ahead, a piece at a time, since other workers may wait meanwhile ... */
#define MAP_STEP  ((size_t)1 << 20)
#define MAP_AHEAD (4 * MAP_STEP)

/* ... and given back so far behind, where as a rule nobody looks any more, be it the slowest of the workers
 * that packets are dealt to (deal.c): earlier they would be mapped again, and stay, later what the
 * kernel knows of them has left the cache. */
#define MAP_BEHIND (24 * MAP_STEP)
#define MAP_DROP   (2 * MAP_STEP)

/* Unpacking in bites that stay in the second-level cache until they are read. */
#define BITE_SIZE ((size_t)128 << 10)

static const char stdin_name[] = "standard input";

/* ---- map ----------------------------------------------------------------------------------- */

/* Maps the rest of a plain file; false when it has to be streamed. */
static bool source_map(struct source *src, const struct stat *st)
{
	if (!S_ISREG(st->st_mode) || st->st_size <= 0)
		return false;
	off_t start = lseek(src->fd, 0, SEEK_CUR);
	if (start < 0 || start > st->st_size)
		return false;
	const size_t size = (size_t)st->st_size;
	uint8_t *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, src->fd, 0);
	if (map == MAP_FAILED)
		return false;
	struct rd at = rd_init(map, size);
	rd_skip(&at, (size_t)start);
	if (unpack_is_packed(at)) {
		munmap(map, size);
		return false;
	}
	(void)madvise(map, size, MADV_SEQUENTIAL);
	src->map = map;
	src->map_size = size;
	src->due = src->asked = src->dropped = (size_t)start - (size_t)start % MAP_STEP;
	src->at = at;
	src->end_offset = size;
	src->end = ERR_EOF;
	return true;
}

static void source_advise(struct source *src, size_t position)
{
	uint8_t *map = src->map;
	const size_t at = position - position % MAP_STEP, from = src->asked > at ? src->asked : at;
	const size_t to = src->map_size - at < MAP_AHEAD ? src->map_size : at + MAP_AHEAD;
	/* Faults them in at once, at a fraction of a fault each; Linux before 5.14 only reads. */
	if (from < to && madvise(map + from, to - from, MADV_POPULATE_READ) != 0)
		(void)madvise(map + from, to - from, MADV_WILLNEED);
	src->asked = to;
	src->due = at + MAP_STEP;
	if (at > MAP_BEHIND && at - MAP_BEHIND >= src->dropped + MAP_DROP) {
		(void)madvise(map + src->dropped, at - MAP_BEHIND - src->dropped, MADV_DONTNEED);
		src->dropped = at - MAP_BEHIND;
	}
}

/* ---- stream -------------------------------------------------------------------------------- */

static int source_stream(struct source *src)
{
	int rc = unpack_new(src->fd, src->stop, &src->unpack);
	if (rc < 0)
		return rc;
	src->chunk = chunks_take(&src->chunks);
	if (src->chunk == NULL)
		return ERR_NOMEM;
	src->at = rd_init(src->chunk->bytes, 0);
	return 0;
}

/* Room behind the window in its chunk. */
static size_t source_room(const struct source *src)
{
	return (size_t)(src->chunk->bytes + CHUNK_SIZE - src->at.end);
}

/* Goes on in a fresh chunk, with what is left of the window at its start. */
static bool source_change_chunk(struct source *src)
{
	struct chunk *chunk = chunks_take(&src->chunks);
	if (chunk == NULL) {
		src->end = ERR_NOMEM;
		return false;
	}
	size_t left = rd_left(&src->at);
	memcpy(chunk->bytes, src->at.p, left);
	src->chunk = chunk;
	src->at = rd_init(chunk->bytes, left);
	return true;
}

/* Adds a bite to the window. */
static void source_read(struct source *src)
{
	size_t room = source_room(src);
	size_t n;
	src->end = unpack_read(src->unpack, src->chunk->bytes + (CHUNK_SIZE - room),
			       room < BITE_SIZE ? room : BITE_SIZE, &n);
	src->at.end += n;
	src->end_offset += n;
}

bool source_fill(struct source *src, size_t n)
{
	if (source_is_mapped(src))
		return false;
	if (n - rd_left(&src->at) > source_room(src) && src->end == 0 && !source_change_chunk(src))
		return false;
	while (rd_left(&src->at) < n && src->end == 0)
		source_read(src);
	return n <= rd_left(&src->at);
}

bool source_skip(struct source *src, uint64_t n)
{
	if (n > rd_left(&src->at) && !source_is_mapped(src) && src->end == 0) {
		/* What is passed here is nobody's, so one more chunk takes it all. */
		n -= rd_left(&src->at);
		src->at.p = src->at.end;
		if (!source_change_chunk(src))
			return false;
		source_read(src);
		while (n > rd_left(&src->at) && src->end == 0) {
			n -= rd_left(&src->at);
			src->at = rd_init(src->chunk->bytes, 0);
			source_read(src);
		}
	}
	if (n > rd_left(&src->at)) {
		src->at.p = src->at.end;
		return false;
	}
	src->at.p += n;
	return true;
}

void source_release(struct source *src)
{
	if (source_is_mapped(src)) {
		const size_t position = (size_t)(src->at.p - src->map);
		if (position >= src->due)
			source_advise(src, position);
		return;
	}
	chunks_recycle(&src->chunks, src->chunk);
	/* Back to the start, where the cache is warm, once a bite and when that costs little. */
	size_t left = rd_left(&src->at);
	if (left < BITE_SIZE / 8 && (size_t)(src->at.p - src->chunk->bytes) > BITE_SIZE / 2) {
		memmove(src->chunk->bytes, src->at.p, left);
		src->at = rd_init(src->chunk->bytes, left);
	}
}

/* ---- open, close, questions ---------------------------------------------------------------- */

static int source_attach(struct source *src)
{
	struct stat st;
	if (fstat(src->fd, &st) != 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (S_ISREG(st.st_mode))
		src->file_size = (uint64_t)st.st_size;
	if (source_map(src, &st))
		return 0;
	return source_stream(src);
}

int source_open(struct source *src, const struct capture_conf *conf, char *errbuf,
		unsigned errsize)
{
	const char *path = conf->spec;
	bool is_stdin = strcmp(path, "-") == 0;
	*src = (struct source){.fd = -1, .stop = conf->stop};
	src->name = strdup(is_stdin ? stdin_name : path);
	if (src->name == NULL)
		return ERR_NOMEM;
	src->fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int rc = src->fd >= 0 ? source_attach(src) : -errno;
	if (rc < 0) {
		snprintf(errbuf, errsize, "%s: %s", src->name, err_str(rc));
		source_close(src);
	}
	return rc;
}

void source_close(struct source *src)
{
	if (src->map != NULL)
		munmap(src->map, src->map_size);
	unpack_free(src->unpack);
	chunks_fini(&src->chunks);
	if (src->name != NULL && src->fd >= 0)
		close(src->fd);
	free(src->name);
	*src = (struct source){.fd = -1};
}

int source_error(const struct source *src)
{
	return src->end == ERR_EOF ? 0 : src->end;
}

const char *source_offset_unit(const struct source *src)
{
	bool packed = src->unpack != NULL && unpack_name(src->unpack) != NULL;
	return packed ? " of the unpacked data" : "";
}

const char *source_complaint(const struct source *src)
{
	return src->unpack != NULL ? unpack_complaint(src->unpack) : "";
}

uint64_t source_bytes_read(const struct source *src)
{
	return source_is_mapped(src) ? source_offset(src) : unpack_bytes_read(src->unpack);
}

uint64_t source_bytes_total(const struct source *src)
{
	return src->file_size;
}
