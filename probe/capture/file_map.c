/* Maps of capture files that their readers share; the header tells why. */
#include "file_map.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

/* A view looks around whenever it has come so far, and wants so much ahead. */
#define STEP	   ((size_t)4 << 20)
#define AHEAD_SIZE (3 * STEP)

struct file_map {
	dev_t dev;
	ino_t ino;
	size_t size;
	uint8_t *bytes;
	struct file_view *views;
	struct file_map *next;
};

struct range {
	size_t from, to; /* nothing where they are the same */
};

void file_maps_init(struct file_maps *maps)
{
	pthread_mutex_init(&maps->lock, NULL);
	maps->first = NULL;
}

void file_maps_fini(struct file_maps *maps)
{
	pthread_mutex_destroy(&maps->lock);
}

/* A file that has grown since is another one. */
static bool is_of(const struct file_map *map, const struct stat *st)
{
	return map->dev == st->st_dev && map->ino == st->st_ino && map->size == (size_t)st->st_size;
}

static int map_new(struct file_maps *maps, int fd, const struct stat *st, struct file_map **ret_map)
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
	map->next = maps->first;
	maps->first = map;
	*ret_map = map;
	return 0;
}

static void map_free(struct file_maps *maps, struct file_map *map)
{
	struct file_map **at = &maps->first;
	while (*at != map)
		at = &(*at)->next;
	*at = map->next;
	munmap(map->bytes, map->size);
	free(map);
}

int file_view_open(struct file_view *view, struct file_maps *maps, int fd, const struct stat *st)
{
	int err = 0;
	pthread_mutex_lock(&maps->lock);
	struct file_map *map = maps->first;
	while (map != NULL && !is_of(map, st))
		map = map->next;
	if (map == NULL)
		err = map_new(maps, fd, st, &map);
	if (err == 0) {
		*view = (struct file_view){
			.bytes = map->bytes,
			.size = map->size,
			.maps = maps,
			.map = map,
			.next = map->views,
		};
		map->views = view;
	}
	pthread_mutex_unlock(&maps->lock);
	return err;
}

static void give_back(const struct file_map *map, struct range range)
{
	if (range.from < range.to)
		(void)madvise(map->bytes + range.from, range.to - range.from, MADV_DONTNEED);
}

void file_view_close(struct file_view *view)
{
	struct file_map *map = view->map;
	if (map == NULL)
		return;
	pthread_mutex_lock(&view->maps->lock);
	struct file_view **at = &map->views;
	while (*at != view)
		at = &(*at)->next;
	*at = view->next;
	/* what is its own, and what others left to it */
	struct range rest = {view->dropped, view->asked};
	for (const struct file_view *v = map->views; v != NULL; v = v->next)
		if (v->dropped > rest.to)
			rest.to = v->dropped;
	if (map->views == NULL)
		map_free(view->maps, map);
	else
		give_back(map, rest);
	pthread_mutex_unlock(&view->maps->lock);
	*view = (struct file_view){0};
}

/* What is to be asked for: not what another view has asked for and not given back yet. */
static struct range next_ahead(struct file_view *view, size_t at)
{
	struct range ahead = {view->asked > at ? view->asked : at, view->size};
	if (ahead.to - at > AHEAD_SIZE)
		ahead.to = at + AHEAD_SIZE;
	view->asked = ahead.to;
	for (const struct file_view *v = view->map->views; v != NULL; v = v->next)
		if (v != view && v->dropped <= ahead.from && v->asked > ahead.from)
			ahead.from = v->asked;
	return ahead;
}

/* What is to be given back: nothing when another view is to come there soon. */
static struct range next_behind(struct file_view *view, size_t at)
{
	const struct range behind = {view->dropped, at};
	view->dropped = at;
	for (const struct file_view *v = view->map->views; v != NULL; v = v->next)
		if (v->dropped < at && at - v->dropped <= FILE_MAP_GAP)
			return (struct range){0};
	return behind;
}

void file_view_advise(struct file_view *view, size_t position)
{
	const struct file_map *map = view->map;
	const size_t at = position - position % STEP;
	pthread_mutex_lock(&view->maps->lock);
	const struct range ahead = next_ahead(view, at), behind = next_behind(view, at);
	pthread_mutex_unlock(&view->maps->lock);
	view->due = at + STEP;
	/* Faults them in at once, at a fraction of a fault each; Linux before 5.14 only reads. */
	if (ahead.from < ahead.to &&
	    madvise(map->bytes + ahead.from, ahead.to - ahead.from, MADV_POPULATE_READ) != 0)
		(void)madvise(map->bytes + ahead.from, ahead.to - ahead.from, MADV_WILLNEED);
	give_back(map, behind);
}
