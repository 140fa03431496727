/*
 * The spool's files: their bytes against ones written by hand (checksums by the xxhsum program),
 * every length and every flipped bit of a file. docs/SPOOL.md describes them.
 */
#include <sys/stat.h>

#include "../../exporter/spool/record.h"
#include "../../exporter/spool/segment.h"
#include "test_spool_util.h"

TestSuite(spool_bytes, .init = enter, .fini = leave, .timeout = 120);

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

Test(spool_bytes, a_record_is_a_map_of_small_keys)
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

Test(spool_bytes, every_member_of_a_record_comes_back)
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

Test(spool_bytes, what_is_no_record_is_refused)
{
	for (size_t i = 0; i < sizeof(read_rows) / sizeof(read_rows[0]); i++) {
		uint8_t buf[64];
		struct flow_record r;
		struct rd rd = rd_init(buf, unhex(read_rows[i].hex, buf, sizeof(buf)));
		cr_expect_eq(spool_record_read(&rd, &r), read_rows[i].right, "%s",
			     read_rows[i].hex);
	}
}

Test(spool_bytes, files_are_laid_out_as_described)
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
Test(spool_bytes, files_made_by_hand_are_read)
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

Test(spool_bytes, a_torn_end_is_cut_at_whatever_length)
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

Test(spool_bytes, a_flipped_bit_costs_one_frame_and_is_counted)
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

Test(spool_bytes, damage_at_the_very_end_keeps_its_numbers_where_they_can_be_told)
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

Test(spool_bytes, zeros_and_rubbish_are_passed_over)
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

Test(spool_bytes, a_segment_that_is_gone_is_counted)
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
