/* Maps of capture files: views of one file share one, and a file that has changed is another. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "capture/file_map.h"

#define SIZE ((size_t)40 << 20)

static char path[] = "/tmp/weir-file-map-XXXXXX";
static int fd;

/* A byte a page tells which page it is. */
static void grow(size_t from, size_t to)
{
	for (size_t at = from; at < to; at += 4096) {
		const uint8_t page = (uint8_t)(at / 4096);
		cr_assert_eq(pwrite(fd, &page, 1, (off_t)at), 1);
	}
	cr_assert_eq(ftruncate(fd, (off_t)to), 0);
}

static void setup(void)
{
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	grow(0, SIZE);
}

static void teardown(void)
{
	close(fd);
	unlink(path);
}

TestSuite(file_map, .init = setup, .fini = teardown);

static void open_view(struct file_view *view)
{
	struct stat st;
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(file_view_open(view, fd, &st), 0);
}

static void expect_pages(const struct file_view *view, size_t from, size_t to)
{
	for (size_t at = from; at < to; at += 4096)
		cr_assert_eq(view->bytes[at], (uint8_t)(at / 4096), "byte %zu", at);
}

/* One far ahead, one far behind, and one that begins when all has been given back. */
Test(file_map, views_at_different_places_see_the_file)
{
	struct file_view fast, slow, late;
	open_view(&fast);
	open_view(&slow);
	cr_assert_eq(fast.bytes, slow.bytes);
	for (size_t at = 0; at < SIZE; at += 65536) {
		file_view_move(&fast, at);
		expect_pages(&fast, at, at + 65536);
		file_view_move(&slow, at / 4);
		expect_pages(&slow, at / 4, at / 4 + 65536);
	}
	file_view_close(&fast);
	cr_expect_null(fast.bytes);
	for (size_t at = SIZE / 4; at < SIZE; at += 65536)
		file_view_move(&slow, at);
	expect_pages(&slow, 0, SIZE);
	open_view(&late);
	cr_expect_eq(late.bytes, slow.bytes);
	file_view_close(&slow);
	expect_pages(&late, 0, SIZE);
	file_view_close(&late);
	file_view_close(&late);
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
	cr_expect_lt(file_view_open(&view, -1, &st), 0);
	file_view_close(&view);
}
