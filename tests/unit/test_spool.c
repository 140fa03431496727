/*
 * The spool: its bytes against ones written by hand (checksums by the xxhsum program), every length
 * and every flipped bit of a file, restarts, kills, full disks, and random operations against a
 * model that keeps numbers only. Each test has a directory of its own.
 */
#include "../../exporter/spool/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../exporter/spool/record.h"
#include "../../exporter/spool/segment.h"
#include "err.h"
#include "export.h"
#include "log.h"

enum { MANY = 4096 };

static char dir[] = "/tmp/weir-spool-XXXXXX";
static char why[512];
static struct spool *s;
static struct flow_record records[MANY];
static struct spool_conf conf = {.dir = "s", .size_limit = SPOOL_SIZE_MIN};

static void enter(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
}

static void leave(void)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(chdir("/"), 0);
	cr_assert_eq(system(command), 0);
}

TestSuite(spool, .init = enter, .fini = leave, .timeout = 120);

/* ---- helpers ---- */

static int try_open(void)
{
	struct errtext e = {.buf = why, .size = sizeof(why)};
	why[0] = '\0';
	s = NULL;
	return spool_open(&conf, &e, &s);
}

static void open_spool(void)
{
	int err = try_open();
	cr_assert_eq(err, 0, "%d %s", err, why);
}

static void close_spool(void)
{
	cr_assert_eq(spool_close(s), 0);
	s = NULL;
}

/* As a kill would: files stay as they are, the lock goes. */
static void abandon(void)
{
	cr_assert_eq(system("rm -rf t && cp -a s t"), 0);
	spool_close(s);
	cr_assert_eq(system("rm -rf s && mv t s"), 0);
}

/* Record `n` tells its number in several members. */
static struct flow_record numbered(uint64_t n)
{
	struct flow_record r = n % 3 == 0 ? record_tcp6() : record_udp4_answered();
	r.flow_id = n;
	r.dir[0].packets = n + 1;
	r.clock.ns = T0 + (int64_t)n;
	return r;
}

static bool is_numbered(const struct flow_record *r, uint64_t n)
{
	const struct flow_record want = numbered(n);
	return memcmp(r, &want, sizeof(want)) == 0;
}

static void append(uint64_t first, unsigned n)
{
	unsigned stored;
	cr_assert_leq(n, MANY);
	for (unsigned i = 0; i < n; i++)
		records[i] = numbered(first + i);
	int err = spool_append(s, records, n, &stored);
	cr_assert_eq(err, 0, "%d", err);
	cr_assert_eq(stored, n);
}

static struct spool_stats books(void)
{
	struct spool_stats st;
	spool_stats_get(s, &st);
	cr_assert_eq(st.recovered + st.appended, st.acked + st.dropped + st.corrupt + st.depth);
	cr_assert_leq(st.depth_bytes, conf.size_limit);
	return st;
}

/* Reads all there is; sees to it that numbers only grow. Returns how many, and the last upto. */
static unsigned read_all(uint64_t *ret_first, uint64_t *ret_upto)
{
	unsigned total = 0, n;
	uint64_t last = 0;
	do {
		cr_assert_eq(spool_read(s, records, 100, &n, ret_upto), 0);
		for (unsigned i = 0; i < n; i++) {
			const uint64_t number = records[i].flow_id;
			cr_assert(is_numbered(&records[i], number));
			cr_assert(total == 0 || number > last);
			if (total == 0)
				*ret_first = number;
			last = number;
			total++;
		}
	} while (n > 0);
	cr_assert(spool_drained(s));
	return total;
}

static void expect_rest(uint64_t first, unsigned n)
{
	uint64_t from = 0, upto;
	cr_expect_eq(read_all(&from, &upto), n);
	cr_expect(n == 0 || from == first, "from %llu", (unsigned long long)from);
}

static unsigned count_files(const char *suffix)
{
	unsigned n = 0;
	DIR *d = opendir("s");
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += strlen(e->d_name) > 4 &&
		     strcmp(e->d_name + strlen(e->d_name) - 4, suffix) == 0;
	closedir(d);
	return n;
}

#define FIRST "s/0000000000000000.seg"

static size_t load_file(const char *path, uint8_t *buf, size_t size)
{
	FILE *f = fopen(path, "r");
	cr_assert_not_null(f, "%s", path);
	size_t n = fread(buf, 1, size, f);
	fclose(f);
	return n;
}

static void store_file(const char *path, const uint8_t *buf, size_t n)
{
	FILE *f = fopen(path, "w");
	cr_assert_not_null(f);
	cr_assert_eq(fwrite(buf, 1, n, f), n);
	fclose(f);
}

/* ---- bytes ---- */

/* Keys and numbers as docs/SPOOL.md has them. 1700000000 s is 17979cfe362a0000 in ns. */
static const char record_hex[] =
	"b81a 01 03 20 01 02 18b4 21 1864 03 1b17979cfdbf074287 22 1b17979cfddcd4a787"
	"04 1b17979cfdfa8f3600 23 1b17979cfddcd4a787 05 07 24 08 07 18b8 26 1820 08 183f 27 1832"
	"09 1840 28 1832 0b 04 0c 11 0d 01 0e 01 10 190401 11 1835 12 44c0000201 13 44c6336402"
	"14 1b0102030405060708 15 1b17979cfe362a0000";
static const char header_hex[] = "85 6a776569722073706f6f6c 190001 1b0000000000000000"
				 "1b17979cfe362a0000 1b6e7ecb656bf64863";
static const char frame_hex[] =
	"84 1b0000000000000000 1a00000002 1b71fbfa3f9927ac7d d83f 5a000000f2";
static const char ack_hex[] = "83 68776569722061636b 1b00000000000003e8 1bff0ef52b3cce34cd";

Test(spool, a_record_is_a_map_of_small_keys)
{
	uint8_t buf[SPOOL_RECORD_MAX];
	const struct flow_record r = record_udp4_answered();
	const uint8_t *end = spool_record_write(&r, buf);
	expect_bytes(buf, (size_t)(end - buf), record_hex);
}

/* Every byte of a record differs from 0 and from its neighbours'. */
static struct flow_record full_record(void)
{
	struct flow_record r;
	uint8_t *p = (uint8_t *)&r;
	for (size_t i = 0; i < sizeof(r); i++)
		p[i] = (uint8_t)(1 + i % 251);
	r.kind = EXPORT_RECORD;
	r.ip_version = 6;
	r.icmp_known = true;
	r.clock.ns = PKT_TIME_MAX;
	for (unsigned i = 0; i < FLOW_DIRS; i++) {
		r.dir[i].first_ns = T0 + i;
		r.dir[i].last_ns = PKT_TIME_MAX - i;
		r.dir[i].directed = true;
		memset(r.dir[i].reserved, 0, sizeof(r.dir[i].reserved));
	}
	return r;
}

Test(spool, every_member_of_a_record_comes_back)
{
	uint8_t buf[SPOOL_RECORD_MAX];
	const struct flow_record full = full_record();
	const struct flow_record *rows[] = {
		&full,
		&(struct flow_record){
			.ip_version = 4, .vlan = FLOW_VLAN_NONE, .cvlan = FLOW_VLAN_NONE},
		&(struct flow_record){.ip_version = 4, .vlan = 0, .cvlan = 4095},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct flow_record got;
		memset(&got, 0xee, sizeof(got));
		const uint8_t *end = spool_record_write(rows[i], buf);
		cr_assert_leq(end - buf, SPOOL_RECORD_MAX);
		struct rd rd = rd_init(buf, (size_t)(end - buf));
		cr_assert(spool_record_read(&rd, &got), "row %zu", i);
		cr_expect_eq(rd_left(&rd), 0);
		/* padding is not compared: both begin as all zeros or are assigned whole */
		struct flow_record want;
		memset(&want, 0xee, sizeof(want));
		want = *rows[i];
		cr_expect_eq(got.worker, want.worker);
		cr_expect_eq(got.vlan, want.vlan);
		cr_expect_eq(got.cvlan, want.cvlan);
		cr_expect_eq(memcmp(got.dir, want.dir, sizeof(got.dir)), 0);
		cr_expect_eq(memcmp(&got, &want,
				    offsetof(struct flow_record, dst_mac) + sizeof(got.dst_mac)),
			     0);
		cr_expect_eq(got.flow_id, want.flow_id);
		cr_expect_eq(got.clock.ns, want.clock.ns);
	}
}

static const struct {
	const char *hex;
	bool right;
} read_rows[] = {
	{"a1 0b 04", true},
	{"a1 0b 06", true},
	{"a1 0b 05", false},			    /* IP version 5 */
	{"a0", false},				    /* none at all */
	{"a2 0b 04 18c8 1b0000000000000001", true}, /* a key of a later version */
	{"a2 0b 04 18c8 63616263", true},	    /* a text */
	{"a2 0b 04 18c8 f6", true},		    /* null */
	{"a2 0b 04 18c8 fb3ff0000000000000", true}, /* a float */
	{"a2 0b 04 3863 4101", true},		    /* key -100 */
	{"a2 0b 04 18c8 a10102", false},	    /* a map in a map */
	{"a2 0b 04 18c8 8101", false},		    /* an array */
	{"a2 0b 04 18c8 c101", false},		    /* a tag */
	{"a2 0b 04 18c8 5f4101ff", false},	    /* a string in pieces */
	{"bf 0b 04 ff", false},			    /* a map without a count */
	{"a2 0b 04", false},			    /* one pair is missing */
	{"a1 0b", false},
	{"a1 0b 1904", false},
	{"", false},
	{"a1 0b 190104", false},   /* 260 in a byte */
	{"a1 0b 4104", false},	   /* bytes for a number */
	{"a1 0b 23", false},	   /* -4 */
	{"a2 0b 04 12 01", false}, /* a number for an address */
	{"a2 0b 04 12 5011111111111111111111111111111111", true},
	{"a2 0b 04 12 511111111111111111111111111111111111", false}, /* 17 bytes of address */
	{"a2 0b 04 0f 02", false},				     /* a bool of 2 */
	{"a2 0b 04 181c 01", true},
	{"a2 0b 04 381b 02", false}, /* directed is a bool too */
	{"a2 0b 04 03 05", false},   /* first time after the last */
	{"a3 0b 04 03 05 04 06", true},
	{"a2 0b 04 15 1b8000000000000000", false}, /* a clock before 1970 */
	{"a2 0b 04 2a 01", true},		   /* key -11: ip_version has no reverse */
	{"a2 0b 04 29 190101", true},		   /* key -10: icmp[1] */
	{"a2 0b 04 00 01", true},		   /* key 0: none */
	{"b840 0b 04", false},
	{"b841 0b 04", false},
	{"bbffffffffffffffff 0b 04", false},
};

Test(spool, what_is_no_record_is_refused)
{
	for (size_t i = 0; i < sizeof(read_rows) / sizeof(read_rows[0]); i++) {
		uint8_t buf[64];
		struct flow_record r;
		struct rd rd = rd_init(buf, unhex(read_rows[i].hex, buf, sizeof(buf)));
		cr_expect_eq(spool_record_read(&rd, &r), read_rows[i].right, "%s",
			     read_rows[i].hex);
	}
}

Test(spool, files_are_laid_out_as_described)
{
	static char hex[2000];
	static uint8_t file[4096];
	uint8_t ack[SEGMENT_ACK];
	struct flow_record two[2] = {record_udp4_answered(), record_udp4_answered()};
	unsigned stored;
	open_spool();
	cr_assert_eq(spool_append(s, two, 2, &stored), 0);
	snprintf(hex, sizeof(hex), "%s %s %s %s", header_hex, frame_hex, record_hex, record_hex);
	const size_t n = load_file(FIRST, file, sizeof(file));
	expect_bytes(file, n, hex);
	segment_ack_write(1000, ack);
	expect_bytes(ack, sizeof(ack), ack_hex);
	struct stat st;
	cr_assert_eq(stat("s", &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0700);
	cr_assert_eq(stat(FIRST, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	close_spool();
}

/* Written by hand, as a run before might have. */
Test(spool, files_made_by_hand_are_read)
{
	static char hex[2000];
	static uint8_t file[4096];
	cr_assert_eq(mkdir("s", 0700), 0);
	snprintf(hex, sizeof(hex), "%s %s %s %s", header_hex, frame_hex, record_hex, record_hex);
	store_file(FIRST, file, unhex(hex, file, sizeof(file)));
	open_spool();
	unsigned n;
	uint64_t upto;
	cr_expect_eq(books().recovered, 2);
	cr_expect_eq(books().oldest_ns, T0);
	cr_assert_eq(spool_read(s, records, 10, &n, &upto), 0);
	cr_assert_eq(n, 2);
	const struct flow_record want = record_udp4_answered();
	cr_expect_eq(memcmp(&records[1], &want, sizeof(want)), 0);
	close_spool();
}

/* ---- a queue ---- */

Test(spool, records_come_back_in_order)
{
	open_spool();
	cr_expect(spool_drained(s));
	append(0, 1000);
	append(1000, 1);
	cr_expect_not(spool_drained(s));
	expect_rest(0, 1001);
	append(1001, 3);
	expect_rest(1001, 3);
	cr_expect_eq(books().depth, 1004, "read is not acknowledged");
	close_spool();
}

Test(spool, what_is_not_acknowledged_is_read_again)
{
	uint64_t upto, ignored;
	unsigned n;
	open_spool();
	append(0, 300);
	cr_assert_eq(spool_read(s, records, 100, &n, &upto), 0);
	cr_assert_eq(n, 100);
	cr_assert_eq(spool_read(s, records, 150, &n, &ignored), 0);
	cr_assert_eq(spool_ack(s, upto), 0);
	cr_expect_eq(books().acked, 100);
	cr_expect_eq(books().oldest_ns, T0 + 100);
	spool_rewind(s);
	expect_rest(100, 200);
	spool_rewind(s);
	cr_assert_eq(spool_ack(s, UINT64_MAX), 0, "of what was not read: nothing");
	cr_expect_eq(books().acked, 100);
	expect_rest(100, 200);
	cr_assert_eq(spool_ack(s, 50), 0, "late");
	cr_expect_eq(books().acked, 100);
	close_spool();
}

Test(spool, a_drained_spool_leaves_nothing_behind)
{
	uint64_t first, upto;
	open_spool();
	for (unsigned i = 0; i < 20; i++)
		append(i * 2000, 2000);
	cr_expect_gt(count_files(".seg"), 2);
	cr_expect_eq(read_all(&first, &upto), 40000 - books().dropped);
	cr_assert_eq(spool_ack(s, upto), 0);
	cr_expect_leq(count_files(".seg"), 1);
	cr_expect_eq(books().depth, 0);
	cr_expect_eq(books().oldest_ns, 0);
	close_spool();
	cr_expect_eq(count_files(".seg"), 0);
	/* and numbers go on */
	open_spool();
	append(40000, 10);
	expect_rest(40000, 10);
	cr_assert_eq(access("s/0000000000009c40.seg", R_OK), 0);
	close_spool();
}

Test(spool, a_trickle_does_not_make_a_file_a_record)
{
	open_spool();
	uint64_t upto;
	unsigned n;
	for (unsigned i = 0; i < 200; i++) {
		append(i, 1);
		cr_assert_eq(spool_read(s, records, 10, &n, &upto), 0);
		cr_assert_eq(n, 1);
		cr_assert_eq(spool_ack(s, upto), 0);
	}
	cr_expect_eq(access(FIRST, R_OK), 0);
	cr_expect_eq(books().acked, 200);
	close_spool();
}

/* ---- restarts ---- */

Test(spool, survives_a_restart_and_remembers_what_was_acknowledged)
{
	uint64_t upto;
	unsigned n;
	open_spool();
	append(0, 500);
	cr_assert_eq(spool_read(s, records, 123, &n, &upto), 0);
	cr_assert_eq(spool_ack(s, upto), 0);
	close_spool();
	open_spool();
	cr_expect_eq(books().recovered, 377);
	append(500, 10);
	expect_rest(123, 387);
	close_spool();
}

Test(spool, a_kill_loses_nothing_that_was_appended)
{
	int fds[2];
	cr_assert_eq(pipe(fds), 0);
	pid_t pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		unsigned stored;
		if (try_open() != 0)
			_exit(1);
		for (uint64_t n = 0;; n += 50) {
			for (unsigned i = 0; i < 50; i++)
				records[i] = numbered(n + i);
			if (spool_append(s, records, 50, &stored) != 0 || stored != 50 ||
			    write(fds[1], &n, sizeof(n)) != sizeof(n))
				_exit(1);
		}
	}
	close(fds[1]);
	uint64_t last = 0;
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(read(fds[0], &last, sizeof(last)), sizeof(last));
	kill(pid, SIGKILL);
	while (read(fds[0], &last, sizeof(last)) == sizeof(last))
		;
	int status;
	waitpid(pid, &status, 0);
	cr_assert(WIFSIGNALED(status));
	open_spool();
	uint64_t first = 0, upto;
	const uint64_t held = books().recovered;
	cr_expect_geq(held + books().dropped, 50, "it was bounded");
	const unsigned n = read_all(&first, &upto);
	cr_expect_eq(n, held);
	cr_expect_geq(first + n, last + 50, "the last that was told is there");
	cr_expect_eq(books().corrupt, 0);
	close_spool();
}

Test(spool, at_most_a_few_thousand_are_sent_again_after_a_kill)
{
	uint64_t upto;
	unsigned n;
	open_spool();
	for (unsigned i = 0; i < 3; i++)
		append(i * 3000, 3000);
	for (upto = 0; upto < 8000;) {
		const unsigned max = upto < 7900 ? 100 : 8000 - (unsigned)upto;
		cr_assert_eq(spool_read(s, records, max, &n, &upto), 0);
		cr_assert_eq(spool_ack(s, upto), 0);
	}
	abandon();
	open_spool();
	cr_expect_leq(books().recovered, 1000 + 4096);
	cr_expect_geq(books().recovered, 1000);
	close_spool();
	/* flushed, none */
	open_spool();
	read_all(&upto, &upto);
	cr_assert_eq(spool_ack(s, upto), 0);
	cr_assert_eq(spool_flush(s), 0);
	abandon();
	open_spool();
	cr_expect_eq(books().recovered, 0);
	close_spool();
}

Test(spool, damage_of_the_ack_file_sends_all_again)
{
	uint64_t upto;
	unsigned n;
	open_spool();
	append(0, 100);
	cr_assert_eq(spool_read(s, records, 60, &n, &upto), 0);
	cr_assert_eq(spool_ack(s, upto), 0);
	close_spool();
	for (unsigned bad = 0; bad < 3; bad++) {
		static const char *const with[] = {"", "\x83", "this is not an ack file at all"};
		store_file("s/ack", (const uint8_t *)with[bad], strlen(with[bad]));
		open_spool();
		expect_rest(0, 100);
		abandon();
	}
}

/* ---- damage ---- */

static uint8_t image[1 << 16];
static size_t image_len;
static size_t frame_end[16];

enum { FRAMES = 6, PER_FRAME = 2 };

/* A segment of six frames of two records, and where each ends. */
static void make_image(void)
{
	open_spool();
	for (unsigned i = 0; i < FRAMES; i++) {
		struct stat st;
		append(i * PER_FRAME, PER_FRAME);
		cr_assert_eq(stat(FIRST, &st), 0);
		frame_end[i] = (size_t)st.st_size;
	}
	abandon();
	image_len = load_file(FIRST, image, sizeof(image));
	cr_assert_eq(image_len, frame_end[FRAMES - 1]);
}

/* A segment behind it, so that its end is not one that may be torn. */
static uint8_t behind[4096];
static size_t behind_len;
#define BEHIND "s/000000000000000c.seg"

static void make_behind(void)
{
	open_spool();
	append(FRAMES * PER_FRAME, 2);
	close_spool();
	behind_len = load_file(BEHIND, behind, sizeof(behind));
}

static void put_image(size_t len)
{
	unlink("s/ack");
	unlink(BEHIND);
	unlink("s/000000000000000a.seg");
	store_file(FIRST, image, len);
}

Test(spool, a_torn_end_is_cut_at_whatever_length)
{
	make_image();
	for (size_t len = 0; len <= image_len; len++) {
		unsigned whole = 0;
		while (whole < FRAMES && frame_end[whole] <= len)
			whole++;
		put_image(len);
		open_spool();
		cr_assert_eq(books().recovered, whole * PER_FRAME, "cut at %zu", len);
		append(whole * PER_FRAME, 3);
		uint64_t first = 0, upto;
		cr_assert_eq(read_all(&first, &upto), whole * PER_FRAME + 3, "cut at %zu", len);
		cr_assert_eq(first, 0);
		cr_assert_eq(spool_ack(s, upto), 0);
		cr_assert_eq(books().corrupt, 0);
		close_spool();
	}
}

/* Whichever bit: the records of other frames come, those of the damaged one are counted. */
static void check_flip(size_t byte, unsigned bit, bool last)
{
	unsigned hit = 0;
	image[byte] ^= (uint8_t)(1u << bit);
	put_image(image_len);
	image[byte] ^= (uint8_t)(1u << bit);
	if (!last)
		store_file(BEHIND, behind, behind_len);
	while (frame_end[hit] <= byte)
		hit++;
	const bool in_header = byte < SEGMENT_HEADER;
	open_spool();
	uint64_t first, upto;
	const unsigned n = read_all(&first, &upto);
	cr_assert_eq(spool_ack(s, upto), 0);
	const struct spool_stats st = books();
	const unsigned lost = in_header ? 0 : PER_FRAME;
	cr_assert_eq(n, FRAMES * PER_FRAME - lost + (last ? 0 : 2), "byte %zu bit %u: %u", byte,
		     bit, n);
	cr_assert_eq(st.depth, 0);
	/* A head that is damaged at the very end cannot tell how many it was. */
	if (!last || hit != FRAMES - 1)
		cr_assert_eq(st.corrupt, lost, "byte %zu bit %u", byte, bit);
	close_spool();
}

Test(spool, a_flipped_bit_costs_one_frame_and_is_counted)
{
	make_image();
	make_behind();
	uint64_t dice = 1;
	for (size_t byte = 0; byte < image_len; byte++) {
		dice = dice * 6364136223846793005u + 1442695040888963407u;
		check_flip(byte, dice >> 61, true);
	}
	for (size_t byte = 0; byte < image_len; byte += 3)
		check_flip(byte, byte % 8, false);
}

Test(spool, damage_at_the_very_end_keeps_its_numbers_where_they_can_be_told)
{
	make_image();
	image[image_len - 1] ^= 1;
	put_image(image_len);
	open_spool();
	cr_expect_eq(books().recovered, FRAMES * PER_FRAME);
	append(FRAMES * PER_FRAME, 1);
	uint64_t first, upto;
	cr_expect_eq(read_all(&first, &upto), (FRAMES - 1) * PER_FRAME + 1);
	cr_assert_eq(spool_ack(s, upto), 0);
	cr_expect_eq(books().corrupt, PER_FRAME);
	close_spool();
}

Test(spool, zeros_and_rubbish_are_passed_over)
{
	make_image();
	memset(image + frame_end[0] + 7, 0, frame_end[2] - frame_end[0] - 7);
	memset(image + frame_end[3], 0x84, frame_end[4] - frame_end[3]);
	put_image(image_len);
	open_spool();
	uint64_t first, upto;
	cr_expect_eq(read_all(&first, &upto), 3 * PER_FRAME);
	cr_expect_eq(books().depth, 6 * PER_FRAME, "counted when they are passed");
	spool_rewind(s);
	cr_expect_eq(read_all(&first, &upto), 3 * PER_FRAME);
	cr_assert_eq(spool_ack(s, upto), 0);
	cr_expect_eq(books().corrupt, 3 * PER_FRAME, "once");
	cr_expect_eq(books().acked, 3 * PER_FRAME);
	close_spool();
}

Test(spool, a_segment_that_is_gone_is_counted)
{
	open_spool();
	append(0, 10);
	close_spool();
	open_spool();
	append(10, 10);
	close_spool();
	open_spool();
	append(20, 10);
	close_spool();
	cr_assert_eq(unlink("s/000000000000000a.seg"), 0);
	open_spool();
	uint64_t first, upto;
	cr_expect_eq(read_all(&first, &upto), 20);
	cr_assert_eq(spool_ack(s, upto), 0);
	cr_expect_eq(books().corrupt, 10);
	close_spool();
}

/* ---- room ---- */

Test(spool, the_oldest_go_first_and_are_counted)
{
	open_spool();
	for (unsigned i = 0; i < 30; i++) {
		append(i * 1000, 1000);
		books();
	}
	const struct spool_stats st = books();
	cr_expect_gt(st.dropped, 10000);
	cr_expect_gt(st.depth_bytes, SPOOL_SIZE_MIN / 2, "three quarters stay at least");
	cr_expect_eq(st.oldest_ns, T0 + (int64_t)st.dropped);
	uint64_t first = 0, upto;
	cr_expect_eq(read_all(&first, &upto), 30000 - st.dropped);
	cr_expect_eq(first, st.dropped);
	close_spool();
}

Test(spool, what_is_dropped_while_it_is_read_is_not_acknowledged_too)
{
	uint64_t upto;
	unsigned n;
	open_spool();
	append(0, 1000);
	cr_assert_eq(spool_read(s, records, 100, &n, &upto), 0);
	for (unsigned i = 1; i < 30; i++)
		append(i * 1000, 1000);
	const uint64_t dropped = books().dropped;
	cr_assert_gt(dropped, 1000);
	cr_assert_eq(spool_ack(s, upto), 0);
	cr_expect_eq(books().acked, 0);
	expect_rest(dropped, 30000 - (unsigned)dropped);
	close_spool();
}

Test(spool, a_smaller_size_is_enforced_at_the_start)
{
	conf.size_limit = 8 * SPOOL_SIZE_MIN;
	open_spool();
	for (unsigned i = 0; i < 40; i++)
		append(i * 1000, 1000);
	cr_expect_eq(books().dropped, 0);
	close_spool();
	conf.size_limit = SPOOL_SIZE_MIN;
	open_spool();
	cr_expect_leq(books().depth_bytes, SPOOL_SIZE_MIN);
	cr_expect_gt(books().dropped, 0);
	close_spool();
	conf.size_limit = SPOOL_SIZE_MIN - 1;
	cr_expect_eq(try_open(), ERR_RANGE);
}

/* Fills what there is; each call's records are all told stored or not. */
static void fill_until(int error)
{
	unsigned stored = 0;
	int err = 0;
	uint64_t n = 0;
	while (err == 0 && n < 2000000) {
		for (unsigned i = 0; i < 2000; i++)
			records[i] = numbered(n + i);
		err = spool_append(s, records, 2000, &stored);
		n += stored;
	}
	cr_assert_eq(err, error, "%d", err);
	cr_assert_lt(stored, 2000);
	cr_expect_eq(books().appended, n);
	cr_expect_eq(spool_append(s, records, 2000, &stored), error, "and again");
	n += stored;
	const struct spool_stats st = books();
	cr_expect_eq(st.depth, n);
	uint64_t first, upto;
	cr_expect_eq(read_all(&first, &upto), n);
	cr_expect_eq(books().corrupt, 0);
}

Test(spool, a_file_that_may_not_grow_is_told)
{
	const struct rlimit small = {.rlim_cur = 200000, .rlim_max = RLIM_INFINITY};
	const struct rlimit none = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	signal(SIGXFSZ, SIG_IGN);
	conf.size_limit = 64 << 20;
	open_spool();
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	fill_until(-EFBIG);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	const unsigned held = (unsigned)books().depth;
	append(held, 500);
	spool_rewind(s);
	expect_rest(0, held + 500);
	close_spool();
}

Test(spool, a_full_disk_is_told_and_over_when_there_is_room)
{
	cr_assert_eq(mkdir("s", 0700), 0);
	if (geteuid() != 0 || mount("weir-test", "s", "tmpfs", 0, "size=1m,mode=700") != 0)
		cr_skip_test("SKIPPED: needs root and mount(2)");
	conf.size_limit = 64 << 20;
	open_spool();
	fill_until(-ENOSPC);
	uint64_t first, upto;
	const struct spool_stats st = books();
	spool_rewind(s);
	read_all(&first, &upto);
	/* with room for an ack or not, the files go */
	(void)spool_ack(s, upto);
	cr_expect_eq(books().acked, st.depth);
	append(st.depth, 1000);
	expect_rest(st.depth, 1000);
	cr_expect_eq(spool_close(s), 0);
	open_spool();
	cr_expect_eq(books().recovered, 1000);
	close_spool();
	cr_assert_eq(umount("s"), 0);
}

/* ---- whose it is ---- */

Test(spool, two_never_share_a_directory)
{
	open_spool();
	struct spool *first = s;
	cr_expect_eq(try_open(), -EWOULDBLOCK);
	cr_expect(strstr(why, "in use by another output or process") != NULL, "%s", why);
	char pid[32];
	snprintf(pid, sizeof(pid), "(%d)", getpid());
	cr_expect(strstr(why, pid) != NULL, "%s", why);
	pid_t child = fork();
	if (child == 0)
		_exit(try_open() == -EWOULDBLOCK ? 0 : 1);
	int status;
	waitpid(child, &status, 0);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	s = first;
	append(0, 1);
	close_spool();
	open_spool();
	close_spool();
}

static void expect_refused(int error, const char *says)
{
	cr_expect_eq(try_open(), error, "%s", why);
	cr_expect(strstr(why, says) != NULL, "%s", why);
	cr_expect(strstr(why, "spool=") != NULL, "%s", why);
	cr_expect_null(strchr(why, '\n'));
}

Test(spool, directories_that_are_not_ours_are_refused)
{
	conf.dir = "no/such";
	expect_refused(-ENOENT, "parent");
	conf.dir = "file";
	store_file("file", (const uint8_t *)"x", 1);
	expect_refused(ERR_USAGE, "not a directory");
	cr_assert_eq(mkdir("real", 0700), 0);
	cr_assert_eq(symlink("real", "link"), 0);
	conf.dir = "link";
	expect_refused(ERR_USAGE, "link");
	cr_assert_eq(chmod("real", 0777), 0);
	conf.dir = "real";
	expect_refused(ERR_USAGE, "chmod 700");
	if (geteuid() == 0) {
		cr_assert_eq(chmod("real", 0700), 0);
		cr_assert_eq(chown("real", 12345, 0), 0);
		expect_refused(ERR_USAGE, "belongs to user 12345");
	}
}

Test(spool, links_and_pipes_in_it_are_refused)
{
	open_spool();
	append(0, 5);
	close_spool();
	cr_assert_eq(rename(FIRST, "elsewhere"), 0);
	cr_assert_eq(symlink("../elsewhere", FIRST), 0);
	expect_refused(ERR_USAGE, "not a plain file");
	cr_assert_eq(unlink(FIRST), 0);
	cr_assert_eq(mkfifo(FIRST, 0600), 0);
	expect_refused(ERR_USAGE, "not a plain file");
	cr_assert_eq(unlink(FIRST), 0);
	cr_assert_eq(unlink("s/lock"), 0);
	cr_assert_eq(symlink("../elsewhere", "s/lock"), 0);
	cr_expect_lt(try_open(), 0);
	struct stat st;
	cr_assert_eq(stat("elsewhere", &st), 0);
	cr_expect_gt(st.st_size, 100, "what a link leads to is left alone");
}

Test(spool, files_of_a_later_version_are_left_alone)
{
	uint8_t bytes[SEGMENT_HEADER];
	const struct segment_header later = {
		.schema = SPOOL_SCHEMA + 1, .first = 0, .first_ns = T0};
	cr_assert_eq(mkdir("s", 0700), 0);
	segment_header_write(&later, bytes);
	store_file(FIRST, bytes, sizeof(bytes));
	expect_refused(ERR_NOTSUP, "later version");
	cr_expect_eq(access(FIRST, R_OK), 0);
}

Test(spool, other_files_are_left_alone)
{
	open_spool();
	append(0, 5);
	close_spool();
	store_file("s/notes.txt", (const uint8_t *)"x", 1);
	store_file("s/0000000000000001.seg.bak", (const uint8_t *)"x", 1);
	store_file("s/000000000000000G.seg", (const uint8_t *)"x", 1);
	open_spool();
	expect_rest(0, 5);
	close_spool();
	cr_expect_eq(access("s/notes.txt", R_OK), 0);
	cr_expect_eq(access("s/000000000000000G.seg", R_OK), 0);
}

/* ---- anything ---- */

/* The same operations on numbers alone. */
struct model {
	uint64_t head, tail, next, dropped, acked, recovered, appended;
};

static uint64_t dice;

static unsigned roll(unsigned sides)
{
	dice = dice * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(dice >> 33) % sides;
}

static void model_check(struct model *m)
{
	const struct spool_stats st = books();
	/* what was dropped is for the spool to say; the rest follows */
	const uint64_t dropped = st.dropped - m->dropped;
	m->dropped = st.dropped;
	m->tail += dropped;
	if (m->next < m->tail)
		m->next = m->tail;
	cr_assert_eq(st.depth, m->head - m->tail);
	cr_assert_eq(st.acked, m->acked);
	cr_assert_eq(st.corrupt, 0);
	cr_assert_eq(spool_drained(s), m->next == m->head);
	if (st.depth > 0)
		cr_assert(st.oldest_ns > 0 && st.oldest_ns <= T0 + (int64_t)m->tail, "%lld %llu",
			  (long long)st.oldest_ns - T0, (unsigned long long)m->tail);
}

static void model_read(struct model *m)
{
	unsigned n;
	uint64_t upto;
	cr_assert_eq(spool_read(s, records, 1 + roll(700), &n, &upto), 0);
	for (unsigned i = 0; i < n; i++)
		cr_assert(is_numbered(&records[i], m->next + i));
	m->next += n;
	cr_assert_eq(upto, m->next);
	cr_assert(n > 0 || m->next == m->head);
}

static void model_ack(struct model *m)
{
	const uint64_t upto = m->tail + roll((unsigned)(m->next - m->tail) + 1);
	cr_assert_eq(spool_ack(s, upto), 0);
	m->acked += upto - m->tail;
	m->tail = upto;
}

static void model_restart(struct model *m)
{
	if (roll(2) == 0) {
		cr_assert_eq(spool_flush(s), 0);
		abandon();
	} else {
		close_spool();
	}
	open_spool();
	*m = (struct model){.head = m->head, .tail = m->tail, .next = m->tail};
	cr_assert_eq(books().recovered, m->head - m->tail);
}

Test(spool, random_operations_keep_the_books)
{
	for (unsigned seed = 1; seed <= 4; seed++) {
		struct model m = {0};
		dice = seed;
		cr_assert_eq(system("rm -rf s"), 0);
		open_spool();
		for (unsigned step = 0; step < 1500; step++) {
			const unsigned what = roll(100);
			if (what < 40) {
				const unsigned n = 1 + roll(roll(8) == 0 ? 3000 : 60);
				append(m.head, n);
				m.head += n;
			} else if (what < 75) {
				model_read(&m);
			} else if (what < 94) {
				model_ack(&m);
			} else if (what < 98) {
				spool_rewind(s);
				m.next = m.tail;
			} else {
				model_restart(&m);
			}
			model_check(&m);
		}
		close_spool();
	}
}
