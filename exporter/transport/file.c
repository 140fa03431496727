/*
 * Files and standard output. Bytes collect in one large buffer and are written when it is full or
 * when the export thread goes to sleep.
 *
 * A file is written under PATH.part and renamed when it is complete. PATH goes through strftime
 * in UTC, with the time its interval began (rotate=SECONDS, intervals counted from the epoch) or
 * the clock when it was opened. A path that is dated or rotates never replaces a file: it takes
 * the next free of PATH, PATH.1, PATH.2 ...; any other is replaced by the rename. What exists
 * already and is no plain file (a device, a pipe, a link) is written in place.
 *
 * A lock says whose a .part is: it is taken before anything is cut off, and kept until the file
 * has its final name.
 *
 * A file that cannot be opened or written loses its records, counted; what it has stays under
 * .part. The next interval tries anew; where files rotate by size a live run does so a minute
 * later. Any other output has failed for good.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../format/format.h"
#include "err.h"
#include "log.h"
#include "transport.h"

enum {
	BUFFER_SIZE = 256 * 1024,
	MESSAGE_MAX = 65535,
	NAME_MAX_BYTES = 4096,
	MODE_FILE = 0666,
	MODE_DIR = 0777,
	CLAIM_TRIES = 16,
};

#define RETRY_NS (60 * NS_PER_S)

struct file {
	struct transport base;
	const struct url_spec *spec;
	int fd; /* -1: none open */
	bool to_stdout;
	bool replay;
	bool numbered;	  /* dated or rotating: names that are taken get .1, .2 ... */
	bool failed;	  /* this file lost something: nothing more is written to it */
	bool complained;  /* a failure was logged, and no file has been completed since */
	int64_t begun_ns; /* clock when a file was last tried */
	char *base_name;  /* the path after strftime */
	unsigned number;  /* the N of .N, 0 none */
	char *final;	  /* the name it will have */
	char *part;	  /* the name it has; NULL when written in place */
	uint64_t size;	  /* bytes of this file, waiting ones included */
	/* buf: written up to `start`, waiting up to `fill`, on loan behind that */
	size_t start;
	size_t fill;
	unsigned fill_records;
	uint8_t *buf;
};

static struct file *file_of(struct transport *t)
{
	return (struct file *)t;
}

/* ---- writing ---- */

static const char *shown_name(const struct file *f)
{
	if (f->to_stdout)
		return "standard output";
	return f->final != NULL ? f->final : f->spec->path;
}

static const char *reason(int error)
{
	return error == -EBUSY ? "another process writes it" : err_str(error);
}

/* Nothing more goes to this file; who tries again, and when, is at the top. */
static void fail_file(struct file *f, int error)
{
	const bool by_size = f->spec->rotate_bytes != 0;
	if (!f->complained)
		log_errorx("output", "%s: %s; its records are lost from here on", shown_name(f),
			   reason(error));
	f->failed = f->complained = true;
	counters_fail(f->base.counters, error);
	if (by_size && !f->replay)
		f->base.due_ns = f->begun_ns + RETRY_NS;
	else if (f->spec->rotate_s == 0)
		atomic_store_explicit(&f->base.counters->dead, true, memory_order_relaxed);
}

static bool is_dead(const struct file *f)
{
	return atomic_load_explicit(&f->base.counters->dead, memory_order_relaxed);
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EAGAIN)
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
		else if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

/* Writes what waits. What is on loan stays where it is. */
static void write_out(struct file *f)
{
	const size_t n = f->fill - f->start;
	if (n == 0)
		return;
	struct output_counters *c = f->base.counters;
	int err = f->failed ? 0 : write_all(f->fd, f->buf + f->start, n);
	if (err != 0)
		fail_file(f, err);
	if (f->failed) {
		stat_add(&c->dropped[DROP_WRITE], f->fill_records);
	} else {
		stat_add(&c->records, f->fill_records);
		stat_add(&c->bytes, n);
	}
	f->start = f->fill;
	f->fill_records = 0;
}

/* ---- names ---- */

static bool is_dated(const char *path)
{
	return strchr(path, '%') != NULL;
}

/* The path with its date, malloced; NULL when that cannot be. */
static char *expand(const char *path, int64_t ns)
{
	char name[NAME_MAX_BYTES];
	const time_t seconds = (time_t)(ns / NS_PER_S);
	struct tm tm;
	if (!is_dated(path))
		return strdup(path);
	if (gmtime_r(&seconds, &tm) == NULL || strftime(name, sizeof(name), path, &tm) == 0)
		return NULL;
	return strdup(name);
}

static void forget_names(struct file *f)
{
	free(f->final);
	free(f->part);
	f->final = NULL;
	f->part = NULL;
}

/* Gives the file the names that go with its number. */
static int name_file(struct file *f)
{
	forget_names(f);
	int n = f->number != 0 ? asprintf(&f->final, "%s.%u", f->base_name, f->number)
			       : asprintf(&f->final, "%s", f->base_name);
	if (n < 0) {
		f->final = NULL;
		return ERR_NOMEM;
	}
	if (asprintf(&f->part, "%s.part", f->final) < 0) {
		f->part = NULL;
		return ERR_NOMEM;
	}
	return 0;
}

/* A device, a pipe, a link. A link to a file counts as the file where none may be replaced. */
static bool is_in_place(const struct file *f, const char *path)
{
	struct stat st;
	if (lstat(path, &st) != 0 || S_ISREG(st.st_mode))
		return false;
	return !f->numbered || stat(path, &st) != 0 || !S_ISREG(st.st_mode);
}

static bool exists(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

/* Makes the directories in front of the last slash. */
static int make_directories(const char *path)
{
	char dir[NAME_MAX_BYTES];
	if ((size_t)snprintf(dir, sizeof(dir), "%s", path) >= sizeof(dir))
		return -ENAMETOOLONG;
	for (char *slash = strchr(dir + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(dir, MODE_DIR) != 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

/* Makes an open file ours, and empty. -EBUSY: it is somebody's. -ESTALE: while we waited its name
 * went to another file. -EEXIST: it holds what a run left behind, and `keep` says not to touch. */
static int claim(int fd, const char *path, bool keep)
{
	struct stat mine, named;
	if (fstat(fd, &mine) != 0)
		return -errno;
	if (!S_ISREG(mine.st_mode))
		return 0;
	/* A file system without locks is no reason to stop. */
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		return -EBUSY;
	if (stat(path, &named) != 0 || named.st_ino != mine.st_ino || named.st_dev != mine.st_dev)
		return -ESTALE;
	if (keep && (fstat(fd, &mine) != 0 || mine.st_size != 0))
		return -EEXIST;
	return ftruncate(fd, 0) != 0 ? -errno : 0;
}

static int open_once(struct file *f, const char *path, int follow, bool keep)
{
	f->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | follow, MODE_FILE);
	if (f->fd < 0)
		return -errno;
	int err = claim(f->fd, path, keep);
	if (err != 0) {
		close(f->fd);
		f->fd = -1;
	}
	return err;
}

static int open_claimed(struct file *f, const char *path, int follow, bool keep)
{
	int err = -ESTALE;
	for (unsigned i = 0; i < CLAIM_TRIES && err == -ESTALE; i++)
		err = open_once(f, path, follow, keep);
	return err;
}

static int open_in_place(struct file *f)
{
	f->final = strdup(f->base_name);
	return f->final != NULL ? open_claimed(f, f->final, 0, false) : ERR_NOMEM;
}

/* Opens the .part of the file's number. -EEXIST: the number is taken. */
static int open_part(struct file *f)
{
	int err = name_file(f);
	if (err != 0)
		return err;
	if (f->numbered && exists(f->final))
		return -EEXIST;
	err = make_directories(f->part);
	if (err != 0)
		return err;
	/* A link planted under our .part name is not followed; one the user named is. */
	err = open_claimed(f, f->part, O_NOFOLLOW, f->numbered);
	if (err != 0 || !f->numbered || !exists(f->final))
		return err;
	/* Whoever had the .part has just completed it. */
	unlink(f->part);
	close(f->fd);
	f->fd = -1;
	return -EEXIST;
}

/* Is this number for somebody else? At the start a name without a date says who is in the way. */
static bool is_taken(const struct file *f, int err, bool first)
{
	if (err == -EBUSY)
		return f->numbered && !(first && !is_dated(f->spec->path));
	return f->numbered && err == -EEXIST;
}

static int open_file(struct file *f, int64_t ns)
{
	char *base_name = expand(f->spec->path, ns);
	if (base_name == NULL)
		return -EINVAL;
	const bool first = f->base_name == NULL;
	const bool again = !first && strcmp(f->base_name, base_name) == 0;
	free(f->base_name);
	f->base_name = base_name;
	f->number = again ? f->number + 1 : 0;
	f->size = 0;
	if (is_in_place(f, base_name))
		return open_in_place(f);
	int err = open_part(f);
	while (is_taken(f, err, first)) {
		f->number++;
		err = open_part(f);
	}
	return err;
}

/* ---- operations ---- */

static size_t file_max_message(const struct url_spec *spec)
{
	(void)spec;
	return MESSAGE_MAX;
}

/* A .part goes unless it holds records of a file that failed. */
static void discard_file(struct file *f)
{
	struct stat st;
	const bool empty = fstat(f->fd, &st) == 0 && st.st_size == 0;
	if (f->part != NULL && (!f->failed || empty))
		unlink(f->part);
	close(f->fd);
	f->fd = -1;
}

static void file_close(struct transport *t)
{
	if (t == NULL)
		return;
	struct file *f = file_of(t);
	if (f->fd >= 0 && !f->to_stdout)
		discard_file(f);
	forget_names(f);
	free(f->base_name);
	free(f->buf);
	free(f);
}

static int file_open(const struct transport_conf *conf, struct errtext *e,
		     struct transport **ret_transport)
{
	struct file *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return ERR_NOMEM;
	const char *path = conf->spec->path;
	f->base = (struct transport){
		.ops = &file_transport,
		.counters = conf->counters,
		.max_message = MESSAGE_MAX,
		.due_ns = DUE_NEVER,
		.lazy = true,
	};
	f->spec = conf->spec;
	f->fd = -1;
	f->replay = conf->replay;
	f->to_stdout = strcmp(path, "-") == 0;
	f->numbered = is_dated(path) || conf->spec->rotate_s + conf->spec->rotate_bytes != 0;
	f->buf = malloc(BUFFER_SIZE);
	int err = f->buf == NULL ? ERR_NOMEM : 0;
	if (f->to_stdout)
		f->fd = STDOUT_FILENO;
	else if (err == 0 && !is_dated(path))
		err = open_file(f, 0);
	if (err != 0) {
		fail(e, err, "cannot write %s: %s", shown_name(f), reason(err));
		file_close(&f->base);
		return err;
	}
	*ret_transport = &f->base;
	return 0;
}

/* A live run whose files rotate by size, and whose last one failed. */
static bool must_wait(struct file *f, struct pkt_time now)
{
	if (f->spec->rotate_bytes == 0 || !f->complained || now.ns < f->begun_ns ||
	    now.ns - f->begun_ns >= RETRY_NS)
		return false;
	f->base.due_ns = f->begun_ns + RETRY_NS;
	return true;
}

static void file_begin(struct transport *t, struct pkt_time now)
{
	struct file *f = file_of(t);
	const int64_t interval = (int64_t)f->spec->rotate_s * NS_PER_S;
	int64_t start = now.ns;
	if (interval != 0)
		start -= start % interval;
	t->due_ns = interval != 0 ? start + interval : DUE_NEVER;
	f->failed = is_dead(f) || must_wait(f, now);
	if (f->failed)
		return;
	f->begun_ns = now.ns;
	int err = f->fd < 0 ? open_file(f, start) : 0;
	if (err != 0)
		fail_file(f, err);
}

static uint8_t *file_reserve(struct transport *t, size_t n)
{
	struct file *f = file_of(t);
	if (BUFFER_SIZE - f->fill < n) {
		write_out(f);
		f->start = f->fill = 0;
	}
	return f->buf + f->fill;
}

static void file_commit(struct transport *t, size_t n, unsigned records)
{
	struct file *f = file_of(t);
	f->fill += n;
	f->fill_records += records;
	f->size += n;
	if (f->spec->rotate_bytes != 0 && f->size >= f->spec->rotate_bytes && !f->failed)
		t->due_ns = DUE_NOW;
}

static void file_push(struct transport *t)
{
	write_out(file_of(t));
}

/* A network file system tells at a close what it could not write. A copy is closed for that: the
 * lock lasts until the file itself is. */
static int ask_for_errors(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy >= 0 && close(copy) != 0 ? -errno : 0;
}

/* Renames and closes; a file that failed keeps its .part. */
static void complete_file(struct file *f)
{
	if (f->fd < 0)
		return;
	int err = f->failed ? 0 : ask_for_errors(f->fd);
	if (err == 0 && !f->failed && f->part != NULL && rename(f->part, f->final) != 0)
		err = -errno;
	if (err != 0)
		fail_file(f, err);
	if (f->failed) {
		discard_file(f);
		return;
	}
	close(f->fd);
	f->fd = -1;
	if (f->complained)
		log_warnx("output", "%s: written again", f->final);
	f->complained = false;
}

static void file_end(struct transport *t)
{
	struct file *f = file_of(t);
	write_out(f);
	if (!f->to_stdout)
		complete_file(f);
	t->due_ns = DUE_NEVER;
	if (!f->failed)
		stat_add(&t->counters->messages, 1);
	forget_names(f);
	f->failed = false;
}

const struct transport_ops file_transport = {
	.name = "file",
	.max_message = file_max_message,
	.open = file_open,
	.begin = file_begin,
	.reserve = file_reserve,
	.commit = file_commit,
	.push = file_push,
	.end = file_end,
	.close = file_close,
};
