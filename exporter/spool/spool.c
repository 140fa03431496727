/*
 * The spool: a queue of records over segments. The last segment is the one that is written, the
 * first the one that is read and acknowledged; one that is done with is removed.
 *
 *     number   tail ............ next ................ head
 *              read, not acked   not read yet          gets the next record
 *
 * What was read and not acknowledged is kept as spans, one a read, so that damage is counted once,
 * when it is passed for good, however often it is read again. A new run begins a new segment;
 * nothing is written behind what another run wrote.
 *
 * Blocking: a frame is written and read at a time. The device is told to begin writing when a
 * segment is full, and waited for at the close alone: SIGKILL loses nothing, a power cut what the
 * kernel had not written, which the checksums then tell.
 */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../fail.h"
#include "dir.h"
#include "err.h"
#include "log.h"
#include "record.h"
#include "segment.h"

enum {
	SEGMENT_DEFAULT = 8 << 20,
	SEGMENT_SMALLEST = 2 * (SEGMENT_HEADER + FRAME_MAX),
	SEGMENTS_LEAST = 4,   /* of a full spool: dropping one costs a quarter at most */
	ACK_EVERY = 4096,     /* records acknowledged before that is written down */
	IDLE_MAX = 256 << 10, /* a file all of which was acknowledged may have */
};

struct segment {
	uint64_t first; /* its name */
	uint64_t end;	/* number behind its last record: the first of the next */
	uint64_t size;	/* bytes that count */
	int64_t first_ns;
};

struct span {
	uint64_t first, end;
	int64_t first_ns, last_ns; /* clocks of its records */
	bool lost;
};

struct spool {
	struct spool_dir dir;
	uint64_t size_limit;
	uint64_t segment_size;
	struct segment *seg;
	unsigned segs, segs_room;
	uint64_t bytes;
	uint64_t head, tail, next;
	uint64_t told; /* the tail that is on disk */
	int out_fd;    /* the last segment, being written; -1 none */
	uint8_t *out;
	/* reading */
	unsigned in; /* segment */
	struct segment_reader reader;
	struct rd rest; /* of the frame that is loaded */
	uint64_t rest_end;
	bool loaded;
	bool failing; /* the last read did */
	struct span *span;
	unsigned spans, spans_room;
	int64_t passed_ns; /* clock of the last record acknowledged */
	struct spool_stats stats;
};

static bool is_written(const struct spool *s, unsigned index)
{
	return s->out_fd >= 0 && index == s->segs - 1;
}

/* Room for one more in an array that grows. */
static bool make_room(void **array, unsigned count, unsigned *room, size_t size)
{
	if (count < *room)
		return true;
	const unsigned more = *room == 0 ? 32 : 2 * *room;
	void *grown = realloc(*array, more * size);
	if (grown == NULL)
		return false;
	*array = grown;
	*room = more;
	return true;
}

/* ---- spans ---- */

static int add_span(struct spool *s, struct span span)
{
	if (!make_room((void **)&s->span, s->spans, &s->spans_room, sizeof(*s->span)))
		return ERR_NOMEM;
	s->span[s->spans++] = span;
	s->next = span.end;
	return 0;
}

/* What lies before `upto` cannot be read. */
static int lose(struct spool *s, uint64_t upto)
{
	if (upto <= s->next)
		return 0;
	return add_span(s, (struct span){.first = s->next, .end = upto, .lost = true});
}

static void pop_spans(struct spool *s, unsigned n)
{
	if (n == 0)
		return;
	s->spans -= n;
	memmove(s->span, s->span + n, s->spans * sizeof(*s->span));
}

/* Settles the records below `upto`: damage as such, the others in `*count`. */
static void settle(struct spool *s, uint64_t upto, uint64_t *count)
{
	unsigned done = 0;
	while (s->tail < upto && done < s->spans) {
		struct span *span = &s->span[done];
		const uint64_t end = span->end < upto ? span->end : upto;
		*(span->lost ? &s->stats.corrupt : count) += end - s->tail;
		if (!span->lost)
			s->passed_ns = end == span->end ? span->last_ns : span->first_ns;
		s->tail = span->first = end;
		done += end == span->end;
	}
	pop_spans(s, done);
	if (s->tail < upto) { /* never read */
		*count += upto - s->tail;
		s->tail = upto;
	}
	if (s->next < s->tail)
		s->next = s->tail;
}

/* Damage at the front waits for nobody's acknowledgement. */
static void settle_lost(struct spool *s)
{
	uint64_t none = 0;
	while (s->spans > 0 && s->span[0].lost)
		settle(s, s->span[0].end, &none);
}

/* ---- segments ---- */

static void stop_reading(struct spool *s)
{
	if (s->reader.fd >= 0)
		close(s->reader.fd);
	s->reader.fd = -1;
	s->loaded = false;
}

/* Reading goes on from `next`, wherever that is. */
static void restart_reading(struct spool *s)
{
	stop_reading(s);
	s->in = 0;
}

static void finish_segment(struct spool *s)
{
	if (s->out_fd < 0)
		return;
	sync_file_range(s->out_fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* begin, do not wait */
	close(s->out_fd);
	s->out_fd = -1;
}

static void remove_first(struct spool *s)
{
	if (is_written(s, 0)) {
		close(s->out_fd);
		s->out_fd = -1;
	}
	if (s->in == 0)
		stop_reading(s);
	else
		s->in--;
	spool_dir_remove(&s->dir, s->seg[0].first);
	s->bytes -= s->seg[0].size;
	s->segs--;
	memmove(s->seg, s->seg + 1, s->segs * sizeof(*s->seg));
}

static void drop_first(struct spool *s)
{
	if (s->seg[0].end > s->tail)
		settle(s, s->seg[0].end, &s->stats.dropped);
	settle_lost(s);
	remove_first(s);
}

/* ---- writing ---- */

static int write_at(int fd, const uint8_t *p, size_t n, uint64_t at)
{
	while (n > 0) {
		const ssize_t done = pwrite(fd, p, n, (off_t)at);
		if (done < 0 && errno != EINTR)
			return -errno;
		if (done == 0)
			return -EIO;
		if (done > 0) {
			p += done;
			n -= (size_t)done;
			at += (uint64_t)done;
		}
	}
	return 0;
}

static int begin_segment(struct spool *s, int64_t first_ns)
{
	uint8_t bytes[SEGMENT_HEADER];
	const struct segment_header header = {SPOOL_SCHEMA, s->head, first_ns};
	if (!make_room((void **)&s->seg, s->segs, &s->segs_room, sizeof(*s->seg)))
		return ERR_NOMEM;
	const int fd = spool_dir_create(&s->dir, s->head);
	if (fd < 0)
		return fd;
	segment_header_write(&header, bytes);
	const int err = write_at(fd, bytes, sizeof(bytes), 0);
	if (err != 0) {
		close(fd);
		spool_dir_remove(&s->dir, s->head);
		return err;
	}
	s->out_fd = fd;
	s->seg[s->segs++] = (struct segment){
		.first = s->head, .end = s->head, .size = sizeof(bytes), .first_ns = first_ns};
	s->bytes += sizeof(bytes);
	return 0;
}

/* A segment with room for `n` bytes, and a spool with room for it. */
static int prepare(struct spool *s, size_t n, int64_t first_ns)
{
	if (s->out_fd >= 0 && s->seg[s->segs - 1].size + n > s->segment_size)
		finish_segment(s);
	while (s->segs > 0 && s->bytes + n + SEGMENT_HEADER > s->size_limit)
		drop_first(s);
	return s->out_fd >= 0 ? 0 : begin_segment(s, first_ns);
}

/* A frame of `count` records, which lie behind room for its head. */
static int put_frame(struct spool *s, uint32_t count, size_t len, int64_t first_ns)
{
	const size_t n = FRAME_HEAD + len;
	int err = prepare(s, n, first_ns);
	if (err != 0)
		return err;
	struct segment *seg = &s->seg[s->segs - 1];
	segment_frame_write(s->head, count, s->out + FRAME_HEAD, len, s->out);
	err = write_at(s->out_fd, s->out, n, seg->size);
	if (err != 0) {
		/* What stays behind if this fails too is written over, or cut by the next run. */
		if (ftruncate(s->out_fd, (off_t)seg->size) != 0)
			return err;
		return err;
	}
	seg->size += n;
	s->bytes += n;
	s->head += count;
	seg->end = s->head;
	s->stats.appended += count;
	return 0;
}

int spool_append(struct spool *s, const struct flow_record *records, unsigned n,
		 unsigned *ret_stored)
{
	unsigned stored = 0;
	int err = 0;
	while (stored < n && err == 0) {
		uint8_t *const start = s->out + FRAME_HEAD;
		uint8_t *p = start;
		unsigned count = 0;
		while (stored + count < n &&
		       (size_t)(p - start) + SPOOL_RECORD_MAX <= FRAME_PAYLOAD_MAX)
			p = spool_record_write(&records[stored + count++], p);
		const int64_t first_ns = records[stored].clock.ns;
		err = put_frame(s, count, (size_t)(p - start), first_ns);
		if (err == -ENOSPC && s->segs > 0 && s->seg[0].end <= s->tail) {
			remove_first(s); /* an old file that may give the room */
			err = put_frame(s, count, (size_t)(p - start), first_ns);
		}
		if (err == 0)
			stored += count;
	}
	*ret_stored = stored;
	return err;
}

/* ---- acknowledging ---- */

static int tell_ack(struct spool *s)
{
	if (s->told == s->tail)
		return 0;
	const int err = spool_dir_put_ack(&s->dir, s->tail);
	if (err == 0)
		s->told = s->tail;
	return err;
}

/* Is the first segment done with? The one that is written stays while it is small, so that a
 * trickle does not make a file for each record. */
static bool first_is_done(const struct spool *s)
{
	if (s->segs == 0 || s->seg[0].end > s->tail)
		return false;
	return !is_written(s, 0) || s->seg[0].size > IDLE_MAX;
}

/* Remembers and removes what is due. First the one, so that numbers go on when no segment is left.
 */
static int retire(struct spool *s)
{
	int err = 0;
	if (first_is_done(s) || s->tail - s->told >= ACK_EVERY)
		err = tell_ack(s);
	while (first_is_done(s))
		remove_first(s);
	return err;
}

/* ---- reading ---- */

static int begin_reading(struct spool *s)
{
	const struct segment *seg = &s->seg[s->in];
	const int fd = spool_dir_open_segment(&s->dir, seg->first, false);
	if (fd < 0)
		return fd;
	s->reader.fd = fd;
	s->reader.at = SEGMENT_HEADER;
	s->reader.from = seg->first;
	return 0;
}

/* The segment's next frame that has records to read: 1 loaded, 0 no more in it, -errno. */
static int next_frame(struct spool *s)
{
	const struct segment *seg = &s->seg[s->in];
	struct segment_frame f;
	int found = s->reader.fd < 0 ? begin_reading(s) : 0;
	if (found != 0)
		return found;
	s->reader.size = seg->size;
	s->reader.to = seg->end;
	do
		found = segment_next(&s->reader, &f);
	while (found == 1 && f.first + f.count <= s->next);
	if (found != 1)
		return found;
	const int err = lose(s, f.first);
	if (err != 0)
		return err;
	s->rest = rd_init(s->reader.frame + FRAME_HEAD, f.len);
	s->rest_end = f.first + f.count;
	s->loaded = true;
	for (uint64_t passed = f.first; passed < s->next && !s->rest.bad; passed++) {
		struct flow_record ignored;
		s->rest.bad = !spool_record_read(&s->rest, &ignored);
	}
	return 1;
}

/* What is left of the segment is as good as damaged. */
static int give_up(struct spool *s)
{
	const struct segment *seg = &s->seg[s->in];
	if (seg->end > s->next)
		log_warnx("spool", "%016llx.seg: %llu records cannot be read",
			  (unsigned long long)seg->first, (unsigned long long)(seg->end - s->next));
	s->failing = false;
	s->reader.at = seg->size;
	s->reader.from = seg->end;
	return lose(s, seg->end);
}

/* A second try is worth while, and whatever may pass is waited for. */
static bool is_hopeless(const struct spool *s, int err)
{
	return err == -ENOENT || err == -ENOTSUP || (err == -EIO && s->failing);
}

/* The next frame with records to read: 1 loaded, 0 none, -errno. */
static int load(struct spool *s)
{
	while (!s->loaded && s->in < s->segs) {
		int found = next_frame(s);
		if (found < 0 && is_hopeless(s, found))
			found = give_up(s);
		if (found < 0) {
			s->failing = true;
			return found;
		}
		if (s->loaded)
			break;
		/* a segment that ends before its records do is damaged at its end */
		const int err = lose(s, s->seg[s->in].end);
		if (err != 0 || is_written(s, s->in))
			return err;
		stop_reading(s);
		s->in++;
	}
	s->failing = false;
	return s->loaded;
}

/* Records of the loaded frame. A frame that is whole and yet no records is damaged from there. */
static int take_records(struct spool *s, struct flow_record *records, unsigned max, unsigned *ret_n)
{
	unsigned n = 0;
	while (n < max && s->next + n < s->rest_end && !s->rest.bad) {
		s->rest.bad = !spool_record_read(&s->rest, &records[n]);
		n += !s->rest.bad;
	}
	const bool bad = s->rest.bad;
	if (bad || s->next + n == s->rest_end)
		s->loaded = false;
	*ret_n = n;
	int err = 0;
	if (n > 0)
		err = add_span(s, (struct span){.first = s->next,
						.end = s->next + n,
						.first_ns = records[0].clock.ns,
						.last_ns = records[n - 1].clock.ns});
	return err != 0 || !bad ? err : lose(s, s->rest_end);
}

int spool_read(struct spool *s, struct flow_record *records, unsigned max, unsigned *ret_n,
	       uint64_t *ret_upto)
{
	unsigned n = 0;
	int found = 1;
	while (n == 0 && max > 0 && (found = load(s)) == 1) {
		const int err = take_records(s, records, max, &n);
		if (err != 0) {
			restart_reading(s);
			return err;
		}
	}
	if (found < 0)
		return found;
	settle_lost(s);
	retire(s); /* what could not be remembered is tried again */
	*ret_n = n;
	*ret_upto = s->next;
	return 0;
}

void spool_rewind(struct spool *s)
{
	s->spans = 0;
	s->next = s->tail;
	restart_reading(s);
}

bool spool_drained(const struct spool *s)
{
	return s->next == s->head;
}

int spool_ack(struct spool *s, uint64_t upto)
{
	if (upto > s->next)
		upto = s->next;
	if (upto > s->tail)
		settle(s, upto, &s->stats.acked);
	settle_lost(s);
	return retire(s);
}

int spool_flush(struct spool *s)
{
	return tell_ack(s);
}

void spool_stats_get(const struct spool *s, struct spool_stats *ret_stats)
{
	struct spool_stats stats = s->stats;
	stats.depth = s->head - s->tail;
	stats.depth_bytes = s->bytes;
	if (stats.depth > 0 && s->spans > 0 && !s->span[0].lost)
		stats.oldest_ns = s->span[0].first_ns;
	else if (stats.depth > 0)
		stats.oldest_ns =
			s->passed_ns > s->seg[0].first_ns ? s->passed_ns : s->seg[0].first_ns;
	*ret_stats = stats;
}

/* ---- opening ---- */

static int unfit(struct errtext *e, const char *dir, uint64_t first, int err)
{
	const bool no_file = err == -ENOTSUP;
	return fail(e, no_file ? ERR_USAGE : err, "spool=%s: %016llx.seg: %s", dir,
		    (unsigned long long)first, no_file ? "not a plain file" : err_str(err));
}

/* Goes through the last segment of the run before and cuts what was not written in full. */
static int mend_last(struct spool *s, const char *dir, int fd, struct segment *seg)
{
	struct segment_reader r = s->reader;
	struct segment_frame f;
	int found;
	r.fd = fd;
	r.size = seg->size;
	r.at = SEGMENT_HEADER;
	r.from = seg->first;
	r.to = UINT64_MAX;
	while ((found = segment_next(&r, &f)) == 1)
		;
	if (found < 0)
		return found;
	seg->end = r.from;
	const uint64_t good = r.at < seg->size ? r.at : seg->size;
	if (good == seg->size)
		return 0;
	/* Damaged records keep their numbers, and are counted when they are passed. */
	for (; segment_was_whole(&r, &f) && f.first == seg->end; r.at += FRAME_HEAD + f.len)
		seg->end += f.count;
	log_warnx("spool", "%s: %llu bytes cut from the end of the last segment, %llu records", dir,
		  (unsigned long long)(seg->size - good), (unsigned long long)(seg->end - r.from));
	seg->size = good;
	return ftruncate(fd, (off_t)good) == 0 ? 0 : -errno;
}

static int look_at(struct spool *s, const char *dir, struct errtext *e, struct segment *seg,
		   bool last)
{
	uint8_t bytes[SEGMENT_HEADER];
	struct segment_header header = {.schema = SPOOL_SCHEMA};
	struct stat st = {.st_size = 0};
	const int fd = spool_dir_open_segment(&s->dir, seg->first, last);
	if (fd < 0)
		return unfit(e, dir, seg->first, fd);
	int err = fstat(fd, &st) == 0 ? 0 : -errno;
	seg->size = (uint64_t)st.st_size;
	if (err == 0 && pread(fd, bytes, sizeof(bytes), 0) == sizeof(bytes) &&
	    segment_header_read(bytes, &header) && header.first == seg->first)
		seg->first_ns = header.first_ns;
	if (err == 0 && header.schema > SPOOL_SCHEMA)
		err = ERR_NOTSUP;
	else if (err == 0 && last)
		err = mend_last(s, dir, fd, seg);
	close(fd);
	if (err == ERR_NOTSUP)
		return fail(e, err,
			    "spool=%s was written by a later version of weir (schema %u, not "
			    "%u); let that send it, or remove the directory",
			    dir, header.schema, SPOOL_SCHEMA);
	return err == 0 ? 0 : unfit(e, dir, seg->first, err);
}

static void remove_empty(struct spool *s)
{
	const struct segment *last = &s->seg[--s->segs];
	spool_dir_remove(&s->dir, last->first);
	s->bytes -= last->size;
	if (s->segs == 0)
		s->head = last->first;
}

static int find_segments(struct spool *s, const char *dir, struct errtext *e)
{
	uint64_t *first = NULL;
	unsigned count = 0;
	int err = spool_dir_list(&s->dir, &first, &count);
	if (err != 0)
		return fail(e, err, "spool=%s: %s", dir, err_str(err));
	s->seg = calloc(count + 1, sizeof(*s->seg));
	s->segs_room = count + 1;
	if (s->seg == NULL)
		err = ERR_NOMEM;
	for (unsigned i = 0; i < count && err == 0; i++) {
		struct segment seg = {.first = first[i]};
		err = look_at(s, dir, e, &seg, i == count - 1);
		if (i < count - 1)
			seg.end = first[i + 1];
		s->seg[s->segs++] = seg;
		s->bytes += seg.size;
	}
	free(first);
	/* The next segment to be written may take its name. */
	if (err == 0 && s->segs > 0 && s->seg[s->segs - 1].end == s->seg[s->segs - 1].first)
		remove_empty(s);
	return err;
}

/* Where to go on: from what was acknowledged, as far as it is still there. */
static int find_place(struct spool *s, const char *dir, struct errtext *e)
{
	uint64_t ack = 0;
	const int err = spool_dir_get_ack(&s->dir, &ack);
	if (err == ERR_CORRUPT)
		log_warnx("spool", "%s: the file ack is damaged, all is sent again", dir);
	else if (err != 0 && err != -ENOENT)
		return fail(e, err, "spool=%s: ack: %s", dir, err_str(err));
	if (s->segs > 0) {
		s->tail = s->seg[0].first;
		s->head = s->seg[s->segs - 1].end;
	}
	if (s->segs == 0)
		s->tail = s->head; /* of an empty segment, or 0 */
	if (ack > s->tail)
		s->tail = ack;
	if (s->head < s->tail)
		s->head = s->tail;
	s->told = s->next = s->tail;
	s->stats.recovered = s->head - s->tail;
	return 0;
}

static int recover(struct spool *s, const char *dir, struct errtext *e)
{
	int err = find_segments(s, dir, e);
	if (err == 0)
		err = find_place(s, dir, e);
	if (err != 0)
		return err;
	while (first_is_done(s))
		remove_first(s);
	while (s->segs > 0 && s->bytes > s->size_limit)
		drop_first(s);
	return 0;
}

static int choose_sizes(struct spool *s, const struct spool_conf *conf, struct errtext *e)
{
	if (conf->size_limit < SPOOL_SIZE_MIN)
		return fail(e, ERR_RANGE, "spool-size is 1MiB or more");
	s->size_limit = conf->size_limit;
	s->segment_size = conf->segment_size != 0 ? conf->segment_size : SEGMENT_DEFAULT;
	if (s->segment_size > conf->size_limit / SEGMENTS_LEAST)
		s->segment_size = conf->size_limit / SEGMENTS_LEAST;
	if (s->segment_size < SEGMENT_SMALLEST)
		s->segment_size = SEGMENT_SMALLEST;
	return 0;
}

static void release(struct spool *s)
{
	stop_reading(s);
	finish_segment(s);
	free(s->seg);
	free(s->span);
	free(s->out);
	free(s->reader.frame);
	free(s->reader.scan);
	free(s);
}

static struct spool *make(void)
{
	struct spool *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->out_fd = s->reader.fd = -1;
	s->out = malloc(FRAME_MAX);
	s->reader.frame = malloc(FRAME_MAX);
	s->reader.scan = malloc(SEGMENT_SCAN);
	if (s->out != NULL && s->reader.frame != NULL && s->reader.scan != NULL)
		return s;
	release(s);
	return NULL;
}

int spool_open(const struct spool_conf *conf, struct errtext *e, struct spool **ret_spool)
{
	struct spool *s = make();
	if (s == NULL)
		return ERR_NOMEM;
	int err = choose_sizes(s, conf, e);
	if (err == 0)
		err = spool_dir_open(conf->dir, e, &s->dir);
	if (err != 0) {
		release(s);
		return err;
	}
	err = recover(s, conf->dir, e);
	if (err != 0) {
		spool_dir_close(&s->dir);
		release(s);
		return err;
	}
	*ret_spool = s;
	return 0;
}

int spool_close(struct spool *s)
{
	if (s == NULL)
		return 0;
	int err = tell_ack(s);
	while (s->segs > 0 && s->seg[0].end <= s->tail)
		remove_first(s);
	if (s->out_fd >= 0 && fdatasync(s->out_fd) != 0 && err == 0)
		err = -errno;
	if (fsync(s->dir.fd) != 0 && err == 0)
		err = -errno;
	spool_dir_close(&s->dir);
	release(s);
	return err;
}
