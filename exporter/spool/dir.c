/*
 * Names: `lock`, `ack` (and `ack.new` while it is made), and `%016x.seg` for each segment, by the
 * number of its first record. Other files are left alone.
 */
#include "dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../fail.h"
#include "err.h"
#include "segment.h"

enum {
	NAME_SIZE = 32,
	MODE_DIR = 0700,
	MODE_FILE = 0600,
	OTHERS_WRITE = 0022,
	SAFE = O_CLOEXEC | O_NOFOLLOW,
};

/* ---- the directory and its lock ---- */

static int refuse(struct errtext *e, const char *path, int err)
{
	if (err == -ENOENT)
		return fail(e, err, "spool=%s: %s; its parent directory has to be there", path,
			    err_str(err));
	if (err == -ENOTDIR || err == -ELOOP)
		return fail(e, ERR_USAGE, "spool=%s is not a directory (or is a link to one)",
			    path);
	return fail(e, err, "spool=%s: %s", path, err_str(err));
}

/* Who else may write there could make us read or remove what is not ours. */
static int check_owner(int fd, const char *path, struct errtext *e)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return refuse(e, path, -errno);
	if (st.st_uid != geteuid())
		return fail(
			e, ERR_USAGE,
			"spool=%s belongs to user %u, not to us (%u); take a directory of our own",
			path, (unsigned)st.st_uid, (unsigned)geteuid());
	if ((st.st_mode & OTHERS_WRITE) != 0)
		return fail(e, ERR_USAGE, "spool=%s can be written by others; chmod 700 it", path);
	return 0;
}

static void tell_pid(int fd)
{
	char text[32];
	const int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) < 0)
		return; /* the number is for people alone */
}

static int locked(int fd, const char *path, struct errtext *e)
{
	char pid[32] = "";
	const ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);
	pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
	return fail(e, -EWOULDBLOCK,
		    "spool=%s is in use by another output or process (%s); give each its own", path,
		    pid[0] != '\0' ? pid : "unknown");
}

static int take_lock(int dir_fd, const char *path, struct errtext *e, int *ret_fd)
{
	const int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | SAFE, MODE_FILE);
	if (fd < 0)
		return refuse(e, path, -errno);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		const int err =
			errno == EWOULDBLOCK ? locked(fd, path, e) : refuse(e, path, -errno);
		close(fd);
		return err;
	}
	tell_pid(fd);
	*ret_fd = fd;
	return 0;
}

int spool_dir_open(const char *path, struct errtext *e, struct spool_dir *ret_dir)
{
	if (mkdir(path, MODE_DIR) != 0 && errno != EEXIST)
		return refuse(e, path, -errno);
	const int fd = open(path, O_RDONLY | O_DIRECTORY | SAFE);
	if (fd < 0)
		return refuse(e, path, -errno);
	int lock_fd = -1;
	int err = check_owner(fd, path, e);
	if (err == 0)
		err = take_lock(fd, path, e, &lock_fd);
	if (err != 0) {
		close(fd);
		return err;
	}
	*ret_dir = (struct spool_dir){.fd = fd, .lock_fd = lock_fd};
	return 0;
}

void spool_dir_close(struct spool_dir *dir)
{
	close(dir->lock_fd);
	close(dir->fd);
}

/* ---- segments ---- */

static const char suffix[] = ".seg";

static const char *segment_name(uint64_t first, char *buf)
{
	snprintf(buf, NAME_SIZE, "%016" PRIx64 "%s", first, suffix);
	return buf;
}

static bool read_name(const char *name, uint64_t *ret_first)
{
	if (strspn(name, "0123456789abcdef") != 16 || strcmp(name + 16, suffix) != 0)
		return false;
	*ret_first = strtoull(name, NULL, 16);
	return true;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a;
	const uint64_t y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static int add_name(uint64_t first, uint64_t **list, unsigned *count, unsigned *room)
{
	if (*count == *room) {
		const unsigned more = *room == 0 ? 64 : 2 * *room;
		uint64_t *grown = realloc(*list, more * sizeof(*grown));
		if (grown == NULL)
			return ERR_NOMEM;
		*list = grown;
		*room = more;
	}
	(*list)[(*count)++] = first;
	return 0;
}

int spool_dir_list(const struct spool_dir *dir, uint64_t **ret_first, unsigned *ret_count)
{
	const int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | SAFE);
	DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
	if (entries == NULL) {
		const int err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	uint64_t *list = NULL;
	unsigned count = 0, room = 0;
	int err = 0;
	const struct dirent *entry;
	while (err == 0 && (entry = readdir(entries)) != NULL) {
		uint64_t first;
		if (read_name(entry->d_name, &first))
			err = add_name(first, &list, &count, &room);
	}
	closedir(entries);
	if (err != 0) {
		free(list);
		return err;
	}
	if (count > 0)
		qsort(list, count, sizeof(*list), by_number);
	*ret_first = list;
	*ret_count = count;
	return 0;
}

int spool_dir_create(const struct spool_dir *dir, uint64_t first)
{
	char name[NAME_SIZE];
	const int fd = openat(dir->fd, segment_name(first, name), O_RDWR | O_CREAT | O_EXCL | SAFE,
			      MODE_FILE);
	return fd >= 0 ? fd : -errno;
}

int spool_dir_open_segment(const struct spool_dir *dir, uint64_t first, bool writable)
{
	char name[NAME_SIZE];
	struct stat st;
	/* a pipe would wait for a writer */
	const int fd = openat(dir->fd, segment_name(first, name),
			      (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | SAFE);
	if (fd < 0)
		return errno == ELOOP ? -ENOTSUP : -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -ENOTSUP;
}

void spool_dir_remove(const struct spool_dir *dir, uint64_t first)
{
	char name[NAME_SIZE];
	unlinkat(dir->fd, segment_name(first, name), 0);
}

/* ---- what was acknowledged ---- */

int spool_dir_put_ack(const struct spool_dir *dir, uint64_t number)
{
	uint8_t bytes[SEGMENT_ACK];
	segment_ack_write(number, bytes);
	const int fd = openat(dir->fd, "ack.new", O_WRONLY | O_CREAT | O_TRUNC | SAFE, MODE_FILE);
	if (fd < 0)
		return -errno;
	const ssize_t done = write(fd, bytes, sizeof(bytes));
	int err = done == sizeof(bytes) ? 0 : done < 0 ? -errno : -ENOSPC;
	if (close(fd) != 0 && err == 0)
		err = -errno;
	if (err == 0 && renameat(dir->fd, "ack.new", dir->fd, "ack") != 0)
		err = -errno;
	return err;
}

int spool_dir_get_ack(const struct spool_dir *dir, uint64_t *ret_number)
{
	uint8_t bytes[SEGMENT_ACK];
	const int fd = openat(dir->fd, "ack", O_RDONLY | O_NONBLOCK | SAFE);
	if (fd < 0)
		return -errno;
	const ssize_t n = read(fd, bytes, sizeof(bytes));
	const int err = n < 0 ? -errno : 0;
	close(fd);
	if (err != 0)
		return err;
	return segment_ack_read(bytes, (size_t)n, ret_number) ? 0 : ERR_CORRUPT;
}
