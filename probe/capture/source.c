/*
 * The window over a capture file.
 *
 * Mapping beats read(2) by a copy and lets packets point into the page cache. Its price is told in
 * README.md: a file that another program cuts short while it is replayed ends weir with SIGBUS.
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
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"

/* Unpacking in bites that stay in the second-level cache until they are read. */
#define BITE_SIZE ((size_t)128 << 10)

static const char stdin_name[] = "standard input";

/* ---- map ----------------------------------------------------------------------------------- */

/* Maps the rest of a plain file; false when it has to be streamed. */
static bool source_map(struct source *src, struct file_maps *maps, const struct stat *st)
{
	if (!S_ISREG(st->st_mode) || st->st_size <= 0)
		return false;
	off_t start = lseek(src->fd, 0, SEEK_CUR);
	if (start < 0 || start > st->st_size ||
	    file_view_open(&src->view, maps, src->fd, st) != 0)
		return false;
	struct rd at = rd_init(src->view.bytes, src->view.size);
	rd_skip(&at, (size_t)start);
	if (unpack_is_packed(at)) {
		file_view_close(&src->view);
		return false;
	}
	src->at = at;
	src->end_offset = src->view.size;
	src->end = ERR_EOF;
	return true;
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
		file_view_move(&src->view, (size_t)(src->at.p - src->view.bytes));
		return;
	}
	chunks_recycle(&src->chunks, src->chunk);
	/* Back to the start, where the cache is warm, once that costs little. */
	size_t left = rd_left(&src->at);
	if (left < CHUNK_SIZE / 16) {
		memmove(src->chunk->bytes, src->at.p, left);
		src->at = rd_init(src->chunk->bytes, left);
	}
}

/* ---- open, close, questions ---------------------------------------------------------------- */

static int source_attach(struct source *src, struct file_maps *maps)
{
	struct stat st;
	if (fstat(src->fd, &st) != 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (source_map(src, maps != NULL ? maps : &src->own, &st))
		return 0;
	return source_stream(src);
}

int source_open(struct source *src, const struct capture_conf *conf, char *errbuf,
		unsigned errsize)
{
	const char *path = conf->spec;
	bool is_stdin = strcmp(path, "-") == 0;
	*src = (struct source){.fd = -1, .stop = conf->stop};
	file_maps_init(&src->own);
	src->name = strdup(is_stdin ? stdin_name : path);
	if (src->name == NULL)
		return ERR_NOMEM;
	src->fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int rc = src->fd >= 0 ? source_attach(src, conf->maps) : -errno;
	if (rc < 0) {
		snprintf(errbuf, errsize, "%s: %s", src->name, err_str(rc));
		source_close(src);
	}
	return rc;
}

void source_close(struct source *src)
{
	file_view_close(&src->view);
	file_maps_fini(&src->own);
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
	struct stat st;
	if (src->fd < 0 || fstat(src->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	return (uint64_t)st.st_size;
}
