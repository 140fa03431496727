/*
 * The spool: flow records on disk while a collector is away. First in, first out, bounded in size,
 * found again after a restart or SIGKILL. The files are described in docs/SPOOL.md.
 *
 * A record is numbered when it is appended; numbers grow by one and are never used twice in a
 * directory, also over restarts. A reader goes forward from the oldest record, and acknowledges
 * what was delivered; what was read and not acknowledged is read again after spool_rewind or a
 * restart. So a record is delivered at least once, or counted:
 *
 *     recovered + appended = acked + dropped + corrupt + depth
 *
 * Threads: one at a time, the export thread or main. Calls may block for as long as the disk takes
 * for one write or read of bounded size (a frame, 64 KiB); only spool_close waits for the device.
 */
#ifndef WEIR_EXPORTER_SPOOL_H
#define WEIR_EXPORTER_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

struct errtext;
struct spool;

#define SPOOL_SIZE_DEFAULT (UINT64_C(1) << 30)
#define SPOOL_SIZE_MIN	   (UINT64_C(1) << 20)

struct spool_conf {
	const char *dir;       /* made with mode 0700 if it is missing, its parent must be there */
	uint64_t size_limit;   /* bytes of all files together, at least SPOOL_SIZE_MIN */
	uint32_t segment_size; /* bytes of a file; 0: 8 MiB, or a quarter of a small limit */
};

/* Numbers of records, except where the name says otherwise. */
struct spool_stats {
	uint64_t recovered; /* were there when it was opened */
	uint64_t appended;
	uint64_t acked;
	uint64_t dropped;     /* the oldest, gone for want of room */
	uint64_t corrupt;     /* lost to damage on disk, known once the reader has passed them */
	uint64_t depth;	      /* not acknowledged yet, corrupt ones not yet passed included */
	uint64_t depth_bytes; /* of all files */
	int64_t oldest_ns; /* clock of the oldest that is not acknowledged; 0: none, or unknown */
};

/* Opens or makes the directory, locks it, finds what is there and cuts a torn end off. With the
 * reason and the cure in `e`: -EWOULDBLOCK another spool has it, ERR_NOTSUP files of a later
 * version, ERR_USAGE not a directory of ours, ERR_RANGE, ERR_NOMEM, -errno. */
int spool_open(const struct spool_conf *conf, struct errtext *e, struct spool **ret_spool);

/* Appends `n` records; drops the oldest segment when there is no room. *ret_stored of them are in
 * the file now (the kernel has them: SIGKILL does not undo that), always, also on an error: -errno
 * (-ENOSPC, -EIO ...). Those that are not stored are the caller's to count. Worth a few dozen
 * records a call, each call is one write at least. */
int spool_append(struct spool *spool, const struct flow_record *records, unsigned n,
		 unsigned *ret_stored);

/* Reads on: up to `max` records that follow one another, *ret_n of them; 0 when all has been read.
 * *ret_upto is what spool_ack takes once these (and all before them) are delivered. Damage is
 * skipped. On -errno nothing was read; the same is tried again by the next call. */
int spool_read(struct spool *spool, struct flow_record *records, unsigned max, unsigned *ret_n,
	       uint64_t *ret_upto);

/* What was read is read again, from the oldest record that is not acknowledged. */
void spool_rewind(struct spool *spool);

/* Everything below `upto`, a value of spool_read, is delivered: files that are done with are
 * removed. Remembered on disk every few thousand records, and at spool_flush and spool_close; a
 * crash in between sends those again. Harmless when twice or late. -errno: could not be
 * remembered now, it will be tried again. */
int spool_ack(struct spool *spool, uint64_t upto);

/* Remembers the last acknowledgement on disk; for quiet moments. -errno. */
int spool_flush(struct spool *spool);

/* Has everything been read? Says nothing about what was acknowledged. */
bool spool_drained(const struct spool *spool);

void spool_stats_get(const struct spool *spool, struct spool_stats *ret_stats);

/* Flushes, waits until the device has it, unlocks, frees. What is not acknowledged stays for the
 * next run. NULL is fine. -errno of what could not be written. */
int spool_close(struct spool *spool);

#endif
