/*
 * Capture files in memory: one map a file, however many workers replay it, since mapping and giving
 * back a page costs as much as metering a packet or two of it.
 *
 * Pages are asked for some megabytes ahead of the first of the views and given back behind the last,
 * so a replay of any size stays small in memory. Views of one map may be of different threads.
 */
#ifndef WEIR_CAPTURE_FILE_MAP_H
#define WEIR_CAPTURE_FILE_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct file_map;

/* A reader of a map. One thread. */
struct file_view {
	const uint8_t *bytes; /* the file's, readable until file_view_close; NULL: not open */
	size_t size;
	size_t due;           /* position at which there is something to do */
	size_t position;      /* as told last; the lock's */
	struct file_map *map;
	struct file_view *next; /* of the same map; the lock's */
};

/* Maps the regular file behind `fd`, of which `st` is the status and which is not empty, or joins
 * those who have it mapped. -errno. `fd` may be closed afterwards. */
int file_view_open(struct file_view *view, int fd, const struct stat *st);

/* Fine on a view of all zeros. */
void file_view_close(struct file_view *view);

/* Slow part of file_view_move. */
void file_view_advise(struct file_view *view, size_t position);

/* Nobody looks through this view any more at what lies before `position`, which never goes back. */
static inline void file_view_move(struct file_view *view, size_t position)
{
	if (position >= view->due)
		file_view_advise(view, position);
}

#endif
