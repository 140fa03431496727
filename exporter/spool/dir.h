/*
 * The directory of a spool: its lock, the names in it, and the file that remembers what was
 * acknowledged. Nothing in it is reached through a link. One thread at a time.
 */
#ifndef WEIR_EXPORTER_SPOOL_DIR_H
#define WEIR_EXPORTER_SPOOL_DIR_H

#include <stdbool.h>
#include <stdint.h>

struct errtext;

struct spool_dir {
	int fd;
	int lock_fd;
};

/* Makes the directory if it is missing, sees whose it is, takes the lock. Errors as spool_open. */
int spool_dir_open(const char *path, struct errtext *e, struct spool_dir *ret_dir);
void spool_dir_close(struct spool_dir *dir);

/* The numbers that segments are named by, ascending; the caller's to free. -errno, ERR_NOMEM. */
int spool_dir_list(const struct spool_dir *dir, uint64_t **ret_first, unsigned *ret_count);

/* Opens the segment that begins with a record: to write a new one, or one that is there. The
 * descriptor, or -errno; -ENOTSUP when it is no plain file. */
int spool_dir_create(const struct spool_dir *dir, uint64_t first);
int spool_dir_open_segment(const struct spool_dir *dir, uint64_t first, bool writable);
void spool_dir_remove(const struct spool_dir *dir, uint64_t first);

/* Replaces the remembered number, all or nothing. -errno. */
int spool_dir_put_ack(const struct spool_dir *dir, uint64_t number);
/* 0: what was remembered; -ENOENT nothing; ERR_CORRUPT; -errno. */
int spool_dir_get_ack(const struct spool_dir *dir, uint64_t *ret_number);

#endif
