/* Maps of capture files that their readers share; the header tells why. */
#include "file_map.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

/* How far ahead pages are asked for, and how much is given back at once. */
#define AHEAD_SIZE ((size_t)4 << 20)

struct file_map {
	dev_t dev;
	ino_t ino;
	size_t size;
	uint8_t *bytes;
	size_t asked;   /* pages up to here were asked for */
	size_t dropped; /* pages before this were given back */
	struct file_view *views;
	struct file_map *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file_map *maps;

/* A file that has grown since is another one. */
static bool is_of(const struct file_map *map, const struct stat *st)
{
	return map->dev == st->st_dev && map->ino == st->st_ino && map->size == (size_t)st->st_size;
}

static int map_new(int fd, const struct stat *st, struct file_map **ret_map)
{
	const size_t size = (size_t)st->st_size;
	struct file_map *map = malloc(sizeof(*map));
	if (map == NULL)
		return -ENOMEM;
	*map = (struct file_map){.dev = st->st_dev, .ino = st->st_ino, .size = size};
	map->bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map->bytes == MAP_FAILED) {
		int err = -errno;
		free(map);
		return err;
	}
	(void)madvise(map->bytes, size, MADV_SEQUENTIAL);
	map->next = maps;
	maps = map;
	*ret_map = map;
	return 0;
}

static void map_free(struct file_map *map)
{
	struct file_map **at = &maps;
	while (*at != map)
		at = &(*at)->next;
	*at = map->next;
	munmap(map->bytes, map->size);
	free(map);
}

int file_view_open(struct file_view *view, int fd, const struct stat *st)
{
	int err = 0;
	pthread_mutex_lock(&lock);
	struct file_map *map = maps;
	while (map != NULL && !is_of(map, st))
		map = map->next;
	if (map == NULL)
		err = map_new(fd, st, &map);
	if (err == 0) {
		*view = (struct file_view){
			.bytes = map->bytes,
			.size = map->size,
			.map = map,
			.next = map->views,
		};
		map->views = view;
	}
	pthread_mutex_unlock(&lock);
	return err;
}

void file_view_close(struct file_view *view)
{
	if (view->map == NULL)
		return;
	pthread_mutex_lock(&lock);
	struct file_view **at = &view->map->views;
	while (*at != view)
		at = &(*at)->next;
	*at = view->next;
	if (view->map->views == NULL)
		map_free(view->map);
	pthread_mutex_unlock(&lock);
	*view = (struct file_view){0};
}

struct range {
	size_t at, size;
};

/* What is to be asked for now: nothing when another view was faster. */
static struct range next_ahead(struct file_map *map, size_t position)
{
	struct range ahead = {0};
	if (map->asked < map->size && map->asked < position + AHEAD_SIZE) {
		ahead.at = map->asked > position ? map->asked : position;
		ahead.at -= ahead.at % AHEAD_SIZE;
		ahead.size = map->size - ahead.at;
		if (ahead.size > 2 * AHEAD_SIZE)
			ahead.size = 2 * AHEAD_SIZE;
		map->asked = ahead.at + ahead.size;
	}
	return ahead;
}

/* What all views have passed. */
static struct range next_behind(struct file_map *map)
{
	size_t least = map->size;
	for (const struct file_view *view = map->views; view != NULL; view = view->next)
		if (view->position < least)
			least = view->position;
	least -= least % AHEAD_SIZE;
	const struct range behind = {map->dropped, least > map->dropped ? least - map->dropped : 0};
	map->dropped += behind.size;
	return behind;
}

void file_view_advise(struct file_view *view, size_t position)
{
	struct file_map *map = view->map;
	pthread_mutex_lock(&lock);
	view->position = position;
	const struct range ahead = next_ahead(map, position), behind = next_behind(map);
	view->due = map->asked < map->size ? map->asked - AHEAD_SIZE : map->size;
	pthread_mutex_unlock(&lock);
	/* Faults them in at once, at a fraction of a fault each; Linux before 5.14 only reads. */
	if (ahead.size > 0 && madvise(map->bytes + ahead.at, ahead.size, MADV_POPULATE_READ) != 0)
		(void)madvise(map->bytes + ahead.at, ahead.size, MADV_WILLNEED);
	if (behind.size > 0)
		(void)madvise(map->bytes + behind.at, behind.size, MADV_DONTNEED);
}
