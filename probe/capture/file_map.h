/*
 * Capture files in memory: in a replay one map a file, however many workers read it, since mapping
 * and giving back a page costs as much as metering a packet or two of it.
 *
 * Each view asks for some megabytes ahead of it, unless another has, and gives back what it has
 * passed, or leaves that to a view that is not far behind; so a replay of any size stays small in
 * memory. Where a view skips many megabytes at once or ends early, some may stay until the map goes.
 * Views of one map may be of different threads.
 */
#ifndef WEIR_CAPTURE_FILE_MAP_H
#define WEIR_CAPTURE_FILE_MAP_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct file_map;

/* Views at most so far apart share what is mapped between them. */
#define FILE_MAP_GAP ((size_t)128 << 20)

/* The maps of a replay. */
struct file_maps {
	pthread_mutex_t lock;
	struct file_map *first;
};

void file_maps_init(struct file_maps *maps);

/* Of which no view may be open. */
void file_maps_fini(struct file_maps *maps);

/* A reader of a map. One thread; what other views look at is the lock's. */
struct file_view {
	const uint8_t *bytes; /* the file's, readable until file_view_close; NULL: not open */
	size_t size;
	size_t due;           /* position at which there is something to do */
	size_t asked;         /* when it last had: pages before this were asked for ... */
	size_t dropped;       /* ... and those before this given back, by it or left to others */
	struct file_maps *maps;
	struct file_map *map;
	struct file_view *next; /* of the same map */
};

/* Maps the regular file behind `fd`, of which `st` is the status and which is not empty, or joins
 * those who have it mapped. -errno. `fd` may be closed afterwards. */
int file_view_open(struct file_view *view, struct file_maps *maps, int fd, const struct stat *st);

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
