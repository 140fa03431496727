/* Pipes, gzip and zstd: what comes through a stream is what a plain file gives. */
#include "test_capture_util.h"

#include <pthread.h>
#include <zlib.h>
#include <zstd.h>

/* Bytes that do not pack. */
static void put_noise(struct bytes *b, size_t n)
{
	static uint32_t x = 1;
	uint8_t *at = put_room(b, n);
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		at[i] = (uint8_t)(x >> 24);
	}
}

/* A pcap of `n` records whose lengths vary from 40 bytes up to `longest`; the first byte of each
 * counts. */
static struct bytes varied_file(unsigned n, uint32_t longest)
{
	struct bytes b = {0};
	put32(&b, 0xa1b2c3d4);
	put16(&b, 2);
	put16(&b, 4);
	put_uint(&b, 0, 8);
	put32(&b, 65535);
	put32(&b, 1);
	for (unsigned i = 0; i < n; i++) {
		uint32_t length = 40 + i * 7919 % (longest - 40);
		put32(&b, i);
		put32(&b, i);
		put32(&b, length);
		put32(&b, length);
		put8(&b, (uint8_t)i);
		put_noise(&b, length - 1);
	}
	return b;
}

static struct bytes gzipped(const uint8_t *at, size_t n)
{
	struct bytes b = {.n = compressBound(n) + 64};
	b.at = malloc(b.n);
	z_stream z = {.next_in = (Bytef *)(uintptr_t)at, .avail_in = (uInt)n,
		      .next_out = b.at, .avail_out = (uInt)b.n};
	cr_assert_eq(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	b.n = z.total_out;
	deflateEnd(&z);
	return b;
}

static struct bytes zstandard(const uint8_t *at, size_t n)
{
	struct bytes b = {.n = ZSTD_compressBound(n)};
	b.at = malloc(b.n);
	b.n = ZSTD_compress(b.at, b.n, at, n, 3);
	cr_assert_not(ZSTD_isError(b.n));
	return b;
}

static void check_same(const struct got *want, const struct got *got)
{
	cr_assert_eq(got->rc, want->rc);
	cr_assert_eq(got->n, want->n);
	for (unsigned i = 0; i < want->n; i++) {
		cr_assert_eq(got->pkts[i].time.ns, want->pkts[i].time.ns);
		cr_assert_eq(got->pkts[i].caplen, want->pkts[i].caplen);
		cr_assert_eq(memcmp(got->first[i], want->first[i], 8), 0, "packet %u", i);
	}
}

/* Reads the plain file and a packed one, with several batch sizes, and compares. */
static void check_packed(const struct bytes *plain, const struct bytes *packed)
{
	static struct got want;
	want = *read_all(file_of(plain), NULL, 64);
	static const unsigned batches[] = {1, 3, 64};
	for (unsigned i = 0; i < 3; i++) {
		const struct got *got = read_all(file_of(packed), NULL, batches[i]);
		check_same(&want, got);
		cr_assert_eq(got->stats.bytes_read, packed->n);
		cr_assert_eq(got->stats.bytes_total, packed->n);
	}
}

Test(capture_stream, gzip_and_zstd_give_what_the_plain_file_gives)
{
	/* Packets of up to 200 kB: batches that span many chunks of memory. */
	struct bytes plain = varied_file(300, 200000);
	struct bytes gz = gzipped(plain.at, plain.n);
	struct bytes zst = zstandard(plain.at, plain.n);
	check_packed(&plain, &gz);
	check_packed(&plain, &zst);
	bytes_free(&plain);
	bytes_free(&gz);
	bytes_free(&zst);
}

Test(capture_stream, packets_of_a_batch_keep_their_bytes)
{
	struct bytes plain = varied_file(64, 200000);
	struct bytes gz = gzipped(plain.at, plain.n);
	struct capture_conf conf = {.spec = file_of(&gz)};
	char error[CAPTURE_ERRBUF_SIZE];
	struct capture *capture;
	struct raw_packet pkts[64];
	cr_assert_eq(capture_open(&conf, error, sizeof(error), &capture), 0);
	cr_assert_eq(capture_next(capture, pkts, 64), 64, "full, wherever the chunks end");
	for (unsigned i = 0; i < 64; i++)
		cr_assert_eq(pkts[i].data[0], i);
	capture_close(capture);
	bytes_free(&plain);
	bytes_free(&gz);
}

Test(capture_stream, members_and_frames_that_follow_one_another_are_one_file)
{
	struct bytes plain = varied_file(50, 1500);
	struct bytes gz = gzipped(plain.at, 1000);
	struct bytes more = gzipped(plain.at + 1000, plain.n - 1000);
	put(&gz, more.at, more.n);
	check_packed(&plain, &gz);
	uint8_t zeros[512] = {0};
	put(&gz, zeros, sizeof(zeros));
	check_packed(&plain, &gz);

	struct bytes zst = {0};
	put(&zst, "\x50\x2a\x4d\x18\x03\0\0\0abc", 11); /* a frame to be skipped */
	struct bytes frame = zstandard(plain.at, 1000);
	put(&zst, frame.at, frame.n);
	bytes_free(&frame);
	frame = zstandard(plain.at + 1000, plain.n - 1000);
	put(&zst, frame.at, frame.n);
	check_packed(&plain, &zst);
	bytes_free(&frame);
	bytes_free(&more);
	bytes_free(&plain);
	bytes_free(&gz);
	bytes_free(&zst);
}

/* What is whole before the cut is handed over, at every size. */
static void check_cuts(const struct bytes *packed, const char *complaint)
{
	unsigned last = 0;
	for (size_t size = packed->n * 3 / 4; size < packed->n; size += 1009) {
		struct bytes cut = {.at = packed->at, .n = size};
		const struct got *got = read_all(file_of(&cut), NULL, 64);
		cr_assert_eq(got->rc, ERR_TRUNCATED, "size %zu", size);
		cr_assert(got->stats.truncated);
		cr_assert_geq(got->n, last);
		cr_assert_not_null(strstr(got->log, "of the unpacked data"), "%s", got->log);
		cr_assert_not_null(strstr(got->log, complaint), "%s", got->log);
		last = got->n;
	}
	cr_assert_gt(last, 0);
}

Test(capture_stream, packed_data_that_is_cut_yields_what_came_before)
{
	/* More than a block of zstd's, which come whole or not at all. */
	struct bytes plain = varied_file(500, 2000);
	struct bytes gz = gzipped(plain.at, plain.n);
	struct bytes zst = zstandard(plain.at, plain.n);
	check_cuts(&gz, "gzip data ends early");
	check_cuts(&zst, "zstd data ends early");
	bytes_free(&plain);
	bytes_free(&gz);
	bytes_free(&zst);
}

Test(capture_stream, damage_in_packed_data_ends_the_file)
{
	struct bytes plain = varied_file(400, 600);
	struct bytes gz = gzipped(plain.at, plain.n);
	gz.at[gz.n - 6] ^= 0x55; /* the check sum: all packets come, and then the news */
	const struct got *got = read_all(file_of(&gz), NULL, 64);
	cr_assert_eq(got->rc, ERR_CORRUPT);
	cr_assert_eq(got->n, 400);
	gz.at[gz.n - 6] ^= 0x55;
	put(&gz, "garbage", 7);
	got = read_all(file_of(&gz), NULL, 64);
	cr_assert_eq(got->rc, ERR_CORRUPT);
	cr_assert_eq(got->n, 400);
	bytes_free(&gz);

	struct bytes zst = zstandard(plain.at, plain.n);
	put(&zst, "garbage", 7);
	got = read_all(file_of(&zst), NULL, 64);
	cr_assert_eq(got->rc, ERR_CORRUPT);
	cr_assert_eq(got->n, 400);
	bytes_free(&zst);
	bytes_free(&plain);
}

/* ---- standard input ------------------------------------------------------------------------ */

struct feeder {
	const struct bytes *bytes;
	int fd;
};

/* Writes in dribs, so that reads are short. */
static void *feed(void *arg)
{
	const struct feeder *feeder = arg;
	for (size_t at = 0; at < feeder->bytes->n; at += 1013) {
		size_t left = feeder->bytes->n - at;
		size_t n = left < 1013 ? left : 1013;
		cr_assert_eq(write(feeder->fd, feeder->bytes->at + at, n), (ssize_t)n);
	}
	close(feeder->fd);
	return NULL;
}

static const struct got *read_stdin(const struct bytes *b)
{
	int ends[2];
	pthread_t thread;
	cr_assert_eq(pipe(ends), 0);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
	struct feeder feeder = {.bytes = b, .fd = ends[1]};
	cr_assert_eq(pthread_create(&thread, NULL, feed, &feeder), 0);
	const struct got *got = read_all("-", NULL, 64);
	pthread_join(thread, NULL);
	return got;
}

Test(capture_stream, standard_input_takes_all_three)
{
	struct bytes plain = varied_file(300, 1500);
	static struct got want;
	want = *read_all(file_of(&plain), NULL, 64);
	check_same(&want, read_stdin(&plain));
	struct bytes gz = gzipped(plain.at, plain.n);
	check_same(&want, read_stdin(&gz));
	struct bytes zst = zstandard(plain.at, plain.n);
	check_same(&want, read_stdin(&zst));
	plain.n -= 1;
	const struct got *got = read_stdin(&plain);
	cr_assert_eq(got->rc, ERR_TRUNCATED);
	cr_assert_not_null(strstr(got->log, "file=standard input"));
	bytes_free(&plain);
	bytes_free(&gz);
	bytes_free(&zst);
}

Test(capture_stream, a_filter_that_lets_little_through_keeps_batches_whole)
{
	struct bytes plain = varied_file(500, 20000);
	struct bytes gz = gzipped(plain.at, plain.n);
	static struct got want;
	want = *read_all(file_of(&plain), "less 2000", 64);
	cr_assert_gt(want.n, 20);
	check_same(&want, read_all(file_of(&gz), "less 2000", 64));
	bytes_free(&plain);
	bytes_free(&gz);
}
