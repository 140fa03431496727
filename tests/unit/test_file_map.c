/* Maps of capture files: views of one file share one, and a file that has changed is another. */
#include <stdio.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "capture/file_map.h"

#define MIB  ((size_t)1 << 20)
#define SIZE (FILE_MAP_GAP + 100 * MIB)

/* What a view may keep: what it asks for ahead and has not given back yet. */
#define VIEW_MAX (24 * MIB)

static FILE *file; /* gone when it is closed */
static int fd;
static struct file_maps maps;
static size_t resident_before;

/* A byte a page tells which page it is. */
static void grow(size_t from, size_t to)
{
	for (size_t at = from; at < to; at += 4096) {
		const uint8_t page = (uint8_t)(at / 4096);
		cr_assert_eq(pwrite(fd, &page, 1, (off_t)at), 1);
	}
	cr_assert_eq(ftruncate(fd, (off_t)to), 0);
}

/* Bytes of files in this process's memory (proc(5), statm). */
static size_t resident(void)
{
	unsigned long size, rss, shared;
	FILE *f = fopen("/proc/self/statm", "r");
	cr_assert(f != NULL && fscanf(f, "%lu %lu %lu", &size, &rss, &shared) == 3);
	fclose(f);
	return shared * (size_t)getpagesize();
}

static void expect_resident(size_t most, const char *when)
{
	const size_t now = resident();
	const size_t held = now > resident_before ? now - resident_before : 0;
	cr_assert(held <= most, "%s: %zu MiB", when, held / MIB);
}

static void setup(void)
{
	file_maps_init(&maps);
	file = tmpfile();
	cr_assert_not_null(file);
	fd = fileno(file);
	grow(0, SIZE);
	resident_before = resident();
}

static void teardown(void)
{
	file_maps_fini(&maps);
	fclose(file);
}

TestSuite(file_map, .init = setup, .fini = teardown);

static void open_view(struct file_view *view)
{
	struct stat st;
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(file_view_open(view, &maps, fd, &st), 0);
}

static void expect_pages(const struct file_view *view, size_t from, size_t to)
{
	for (size_t at = from; at < to; at += 4096)
		cr_assert_eq(view->bytes[at], (uint8_t)(at / 4096), "byte %zu", at);
}

/* Reads on from `from` to `to`. */
static void read_on(struct file_view *view, size_t from, size_t to, size_t most, const char *when)
{
	for (size_t at = from; at < to; at += MIB) {
		file_view_move(view, at);
		expect_pages(view, at, at + MIB < to ? at + MIB : to);
		expect_resident(most, when);
	}
}

Test(file_map, one_view_stays_small)
{
	struct file_view view;
	open_view(&view);
	read_on(&view, 0, SIZE, VIEW_MAX, "alone");
	file_view_close(&view);
	cr_expect_null(view.bytes);
	file_view_close(&view);
}

/* Not far from each other they share what lies between; the last one goes on alone. */
Test(file_map, views_that_are_near_share)
{
	struct file_view fast, slow;
	const size_t gap = 30 * MIB;
	open_view(&fast);
	open_view(&slow);
	cr_assert_eq(fast.bytes, slow.bytes);
	read_on(&fast, 0, gap, gap + 2 * VIEW_MAX, "ahead");
	for (size_t at = 0; at + gap < SIZE; at += MIB) {
		read_on(&fast, at + gap, at + gap + MIB, gap + 2 * VIEW_MAX, "fast");
		read_on(&slow, at, at + MIB, gap + 2 * VIEW_MAX, "slow");
	}
	file_view_close(&fast);
	file_view_move(&slow, SIZE - gap + 8 * MIB);
	read_on(&slow, SIZE - gap + 8 * MIB, SIZE, VIEW_MAX, "alone at last");
	file_view_close(&slow);
}

/* Too far apart each keeps its own; one that comes late as well. */
Test(file_map, views_that_are_far_apart_stay_small)
{
	struct file_view fast, slow, late;
	open_view(&fast);
	open_view(&slow);
	read_on(&fast, 0, SIZE, FILE_MAP_GAP + 2 * VIEW_MAX, "fast");
	read_on(&slow, 0, SIZE / 2, FILE_MAP_GAP + 2 * VIEW_MAX, "slow");
	open_view(&late);
	file_view_close(&fast);
	read_on(&slow, SIZE / 2, SIZE, FILE_MAP_GAP + 2 * VIEW_MAX, "slow at last");
	file_view_close(&slow);
	read_on(&late, 0, SIZE, FILE_MAP_GAP + VIEW_MAX, "late");
	file_view_close(&late);
	expect_resident(VIEW_MAX, "closed");
}

Test(file_map, file_that_has_grown_is_another)
{
	struct file_view before, after;
	open_view(&before);
	grow(SIZE, SIZE + 8192);
	open_view(&after);
	cr_expect_neq(before.bytes, after.bytes);
	cr_expect_eq(after.size, SIZE + 8192);
	file_view_close(&before);
	expect_pages(&after, 0, after.size);
	file_view_close(&after);
}

Test(file_map, what_cannot_be_mapped_is_told)
{
	struct file_view view = {0};
	const struct stat st = {.st_size = 4096};
	cr_expect_lt(file_view_open(&view, &maps, -1, &st), 0);
	file_view_close(&view);
}
