/*
 * Files and standard output. Bytes collect in one large buffer and are written when it is full or
 * when the export thread goes to sleep.
 *
 * A file is written under PATH.part and renamed when it is complete. PATH goes through strftime
 * in UTC, with the time its interval began (rotate=SECONDS, intervals counted from the epoch) or
 * the clock when it was opened; a path that comes out the same as the one before gets .1, .2 ...
 * What exists already and is no plain file (a device, a pipe, a link) is written in place.
 *
 * A file that cannot be opened or written loses its records, counted; it stays under .part, and
 * the next interval tries anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
};

struct file {
	struct transport base;
	const struct url_spec *spec;
	int fd; /* -1: none open */
	bool to_stdout;
	bool failed;	  /* this file lost something: nothing more is written to it */
	char *base_name;  /* the path after strftime */
	unsigned repeats; /* files in a row with that name */
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

static void fail_file(struct file *f, int error)
{
	if (!f->failed)
		log_errorx("output", "%s: %s; its records are lost from here on",
			   f->to_stdout ? "standard output" : f->final, err_str(error));
	f->failed = true;
	counters_fail(f->base.counters, error);
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

/* Gives the file its names; `base_name` is taken over. */
static int name_file(struct file *f, char *base_name)
{
	bool again = f->base_name != NULL && strcmp(f->base_name, base_name) == 0;
	f->repeats = again ? f->repeats + 1 : 0;
	free(f->base_name);
	f->base_name = base_name;
	int n = again ? asprintf(&f->final, "%s.%u", base_name, f->repeats)
		      : asprintf(&f->final, "%s", base_name);
	if (n < 0) {
		f->final = NULL;
		return ERR_NOMEM;
	}
	struct stat st;
	if (lstat(f->final, &st) == 0 && !S_ISREG(st.st_mode))
		return 0;
	if (asprintf(&f->part, "%s.part", f->final) < 0) {
		f->part = NULL;
		return ERR_NOMEM;
	}
	return 0;
}

static void forget_names(struct file *f)
{
	free(f->final);
	free(f->part);
	f->final = NULL;
	f->part = NULL;
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

static int open_named(struct file *f)
{
	const char *path = f->part != NULL ? f->part : f->final;
	int err = f->part != NULL ? make_directories(path) : 0;
	if (err != 0)
		return err;
	/* A link planted under our .part name is not followed; one the user named is. */
	const int follow = f->part != NULL ? O_NOFOLLOW : 0;
	f->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | follow, MODE_FILE);
	return f->fd < 0 ? -errno : 0;
}

static int open_file(struct file *f, int64_t ns)
{
	char *base_name = expand(f->spec->path, ns);
	if (base_name == NULL)
		return -EINVAL;
	int err = name_file(f, base_name);
	if (err == 0)
		err = open_named(f);
	f->size = 0;
	return err;
}

/* ---- operations ---- */

static size_t file_max_message(const struct url_spec *spec)
{
	(void)spec;
	return MESSAGE_MAX;
}

static void file_close(struct transport *t)
{
	if (t == NULL)
		return;
	struct file *f = file_of(t);
	if (f->fd >= 0 && !f->to_stdout)
		close(f->fd);
	if (f->part != NULL && !f->failed)
		unlink(f->part);
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
	f->to_stdout = strcmp(path, "-") == 0;
	f->buf = malloc(BUFFER_SIZE);
	int err = f->buf == NULL ? ERR_NOMEM : 0;
	if (f->to_stdout)
		f->fd = STDOUT_FILENO;
	else if (err == 0 && !is_dated(path))
		err = open_file(f, 0);
	if (err != 0) {
		fail(e, err, "cannot write %s: %s", path, err_str(err));
		file_close(&f->base);
		return err;
	}
	*ret_transport = &f->base;
	return 0;
}

static void file_begin(struct transport *t, struct pkt_time now)
{
	struct file *f = file_of(t);
	const int64_t interval = (int64_t)f->spec->rotate_s * NS_PER_S;
	int64_t start = now.ns;
	if (interval != 0)
		start -= start % interval;
	t->due_ns = interval != 0 ? start + interval : DUE_NEVER;
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
	if (f->spec->rotate_bytes != 0 && f->size >= f->spec->rotate_bytes)
		t->due_ns = DUE_NOW;
}

static void file_push(struct transport *t)
{
	write_out(file_of(t));
}

/* Closes and renames; a file that failed keeps its .part. */
static void complete_file(struct file *f)
{
	if (f->fd >= 0 && close(f->fd) != 0 && !f->failed)
		fail_file(f, -errno);
	f->fd = -1;
	if (!f->failed && f->part != NULL && rename(f->part, f->final) != 0)
		fail_file(f, -errno);
}

static void file_end(struct transport *t)
{
	struct file *f = file_of(t);
	write_out(f);
	t->due_ns = DUE_NEVER;
	if (!f->to_stdout)
		complete_file(f);
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
