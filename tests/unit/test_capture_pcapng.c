/* pcapng files: sections, interfaces, time, the three packet blocks, damage. */
#include "test_capture_util.h"

enum { SHB = 0x0a0d0d0a, IDB = 1, PB = 2, SPB = 3, EPB = 6 };

/* Begins a block; end_block knows its place. */
static size_t begin_block(struct bytes *b, uint32_t type)
{
	size_t at = b->n;
	put32(b, type);
	put32(b, 0);
	return at;
}

static void patch32(struct bytes *b, size_t at, uint32_t v)
{
	struct bytes word = {.big = b->big};
	put32(&word, v);
	memcpy(b->at + at, word.at, 4);
	bytes_free(&word);
}

static void pad(struct bytes *b)
{
	while (b->n % 4 != 0)
		put8(b, 0);
}

static void end_block(struct bytes *b, size_t at)
{
	pad(b);
	uint32_t length = (uint32_t)(b->n + 4 - at);
	put32(b, length);
	patch32(b, at + 4, length);
}

static void put_section(struct bytes *b, bool big)
{
	b->big = big;
	size_t at = begin_block(b, SHB);
	put32(b, 0x1a2b3c4d);
	put16(b, 1);
	put16(b, 0);
	put32(b, UINT32_MAX);
	put32(b, UINT32_MAX);
	end_block(b, at);
}

/* An interface; tsresol -1 and offset 0 leave the option out. */
static void put_iface(struct bytes *b, uint16_t linktype, uint32_t snaplen, int tsresol,
		      int64_t offset)
{
	size_t at = begin_block(b, IDB);
	put16(b, linktype);
	put16(b, 0);
	put32(b, snaplen);
	put16(b, 2); /* if_name, to be passed over */
	put16(b, 5);
	put(b, "eth42\0\0\0", 8);
	if (tsresol >= 0) {
		put16(b, 9);
		put16(b, 1);
		put8(b, (uint8_t)tsresol);
		pad(b);
	}
	if (offset != 0) {
		put16(b, 14);
		put16(b, 8);
		put_uint(b, (uint64_t)offset, 8);
	}
	put32(b, 0);
	end_block(b, at);
}

static void put_enhanced(struct bytes *b, uint32_t iface, uint64_t units, uint32_t caplen,
			 uint32_t wirelen)
{
	size_t at = begin_block(b, EPB);
	put32(b, iface);
	put32(b, (uint32_t)(units >> 32));
	put32(b, (uint32_t)units);
	put32(b, caplen);
	put32(b, wirelen);
	put_count(b, caplen, (uint8_t)units);
	pad(b);
	put16(b, 2); /* epb_flags */
	put16(b, 4);
	put32(b, 1);
	put32(b, 0);
	end_block(b, at);
}

static void put_simple(struct bytes *b, uint32_t wirelen, size_t room)
{
	size_t at = begin_block(b, SPB);
	put32(b, wirelen);
	put_count(b, room, 9);
	end_block(b, at);
}

/* ---- time ---------------------------------------------------------------------------------- */

static int64_t time_read(int tsresol, int64_t offset, uint64_t units)
{
	struct bytes b = {0};
	put_section(&b, false);
	put_iface(&b, 1, 0, tsresol, offset);
	put_enhanced(&b, 0, units, 20, 20);
	const struct got *got = read_all(file_of(&b), NULL, 64);
	cr_assert_eq(got->rc, ERR_EOF);
	cr_assert_eq(got->n, 1);
	bytes_free(&b);
	return got->pkts[0].time.ns;
}

Test(capture_pcapng, any_resolution_becomes_nanoseconds)
{
	static const struct {
		int tsresol;
		uint64_t units;
		int64_t ns;
	} rows[] = {
		{-1, 1700000000123456, 1700000000123456000}, /* default: microseconds */
		{6, 1700000000123456, 1700000000123456000},
		{9, 1700000000123456789, 1700000000123456789},
		{3, 1700000000123, 1700000000123000000},
		{0, 1700000000, 1700000000000000000},
		{12, 1700000000123456789, 1700000000123456},
		{19, 17000000001234567890u, 1700000000},
		{28, UINT64_MAX, 1},
		{29, UINT64_MAX, 0},
		{127, UINT64_MAX, 0},
		{0x80 | 0, 1700000000, 1700000000000000000},
		{0x80 | 10, 1024 + 512, 1500000000},
		{0x80 | 32, (UINT64_C(1700000000) << 32) + 0x80000000, 1700000000500000000},
		{0x80 | 63, UINT64_MAX, 1999999999},
		{0x80 | 127, UINT64_MAX, 0},
		/* What lies beyond the latest time is clamped to it. */
		{0, UINT64_MAX, PKT_TIME_MAX},
		{6, UINT64_MAX, PKT_TIME_MAX},
		{9, UINT64_MAX, PKT_TIME_MAX},
		{0x80 | 0, UINT64_MAX, PKT_TIME_MAX},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(time_read(rows[i].tsresol, 0, rows[i].units), rows[i].ns,
			     "tsresol %#x", (unsigned)rows[i].tsresol);
}

Test(capture_pcapng, tsoffset_is_added_in_seconds_and_clamped)
{
	cr_assert_eq(time_read(6, 1700000000, 5), 1700000000000005000);
	cr_assert_eq(time_read(6, -1, 2000000), 1000000000);
	cr_assert_eq(time_read(6, 3, 0), 3000000000);
	cr_assert_eq(time_read(6, -3, 2000000), 0);
	cr_assert_eq(time_read(9, INT64_MIN, 1), 0);
	cr_assert_eq(time_read(0, INT64_MAX, UINT64_MAX), PKT_TIME_MAX);
}

/* ---- sections and interfaces --------------------------------------------------------------- */

Test(capture_pcapng, each_section_has_its_own_order_and_interfaces)
{
	struct bytes b = {0};
	put_section(&b, false);
	put_iface(&b, 1, 0, -1, 0);
	put_iface(&b, 113, 0, 9, 0);
	put_enhanced(&b, 0, 1000000, 20, 20);
	put_enhanced(&b, 1, 1000000, 21, 99);
	put_section(&b, true);
	put_iface(&b, 0x0065, 0, 3, 0);
	put_enhanced(&b, 0, 1000, 22, 22);
	put_enhanced(&b, 1, 1000, 22, 22); /* of the first section only */
	const struct got *got = read_all(file_of(&b), NULL, 64);
	cr_assert_eq(got->rc, ERR_EOF);
	cr_assert_eq(got->n, 3);
	static const struct raw_packet want[] = {
		{.caplen = 20, .wirelen = 20, .time = {1000000000}, .ingress = 1, .linktype = 1},
		{.caplen = 21, .wirelen = 99, .time = {1000000}, .ingress = 2, .linktype = 113},
		{.caplen = 22, .wirelen = 22, .time = {1000000000}, .ingress = 1, .linktype = 101,
		 .swapped = true},
	};
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(got->pkts[i].caplen, want[i].caplen);
		cr_assert_eq(got->pkts[i].wirelen, want[i].wirelen);
		cr_assert_eq(got->pkts[i].time.ns, want[i].time.ns);
		cr_assert_eq(got->pkts[i].ingress, want[i].ingress);
		cr_assert_eq(got->pkts[i].linktype, want[i].linktype);
		cr_assert_eq(got->pkts[i].swapped, want[i].swapped);
	}
	cr_assert_not_null(strstr(got->log, "not declared"));
	cr_assert_eq(got->stats.received, 3, "what has no interface was not observed");
	bytes_free(&b);
}

Test(capture_pcapng, simple_packets_have_no_time_and_three_bounds)
{
	struct bytes b = {0};
	put_section(&b, false);
	put_iface(&b, 1, 50, -1, 0);
	put_simple(&b, 30, 32);  /* the original length */
	put_simple(&b, 100, 52); /* the snapshot length */
	put_simple(&b, 100, 40); /* the block */
	const struct got *got = read_all(file_of(&b), NULL, 64);
	cr_assert_eq(got->n, 3);
	cr_assert_eq(got->pkts[0].caplen, 30);
	cr_assert_eq(got->pkts[1].caplen, 50);
	cr_assert_eq(got->pkts[1].wirelen, 100);
	cr_assert_eq(got->pkts[2].caplen, 40);
	cr_assert_eq(got->pkts[0].time.ns, PKT_TIME_NONE);
	cr_assert_eq(got->pkts[0].ingress, 1);
	bytes_free(&b);
}

Test(capture_pcapng, obsolete_packet_blocks_are_read)
{
	struct bytes b = {0};
	put_section(&b, true);
	put_iface(&b, 1, 0, -1, 0);
	put_iface(&b, 1, 0, -1, 0);
	size_t at = begin_block(&b, PB);
	put16(&b, 1);
	put16(&b, 7); /* drops */
	put32(&b, 0);
	put32(&b, 2500000);
	put32(&b, 18);
	put32(&b, 64);
	put_count(&b, 18, 77);
	end_block(&b, at);
	const struct got *got = read_all(file_of(&b), NULL, 64);
	cr_assert_eq(got->n, 1);
	cr_assert_eq(got->pkts[0].ingress, 2);
	cr_assert_eq(got->pkts[0].time.ns, 2500000000);
	cr_assert_eq(got->pkts[0].caplen, 18);
	cr_assert_eq(got->pkts[0].wirelen, 64);
	cr_assert_eq(got->first[0][0], 77);
	bytes_free(&b);
}

Test(capture_pcapng, unknown_blocks_are_passed_over)
{
	struct bytes b = {0};
	put_section(&b, false);
	put_iface(&b, 1, 0, -1, 0);
	size_t at = begin_block(&b, 0x0bad);
	put_count(&b, 700000, 0); /* larger than what is looked at in one piece */
	end_block(&b, at);
	put_enhanced(&b, 0, 1, 20, 20);
	cr_assert_eq(read_all(file_of(&b), NULL, 64)->n, 1);
	bytes_free(&b);
}

/* ---- damage -------------------------------------------------------------------------------- */

/* A section, an interface, and three packets; *ret_second is where the second's block begins. */
static struct bytes three_packets(size_t *ret_second)
{
	struct bytes b = {0};
	put_section(&b, false);
	put_iface(&b, 1, 0, -1, 0);
	put_enhanced(&b, 0, 1, 20, 20);
	*ret_second = b.n;
	put_enhanced(&b, 0, 2, 20, 20);
	put_enhanced(&b, 0, 3, 20, 20);
	return b;
}

Test(capture_pcapng, a_cut_file_yields_what_is_whole_and_says_where)
{
	size_t second;
	struct bytes b = three_packets(&second);
	size_t third = b.n - (b.n - second) / 2;
	for (size_t size = third + 1; size < b.n; size++) {
		struct bytes cut = {.at = b.at, .n = size};
		const char *path = size % 2 ? file_of(&cut) : pipe_of(&cut);
		const struct got *got = read_all(path, NULL, 64);
		char where[128];
		snprintf(where, sizeof(where), "file=%s offset=%zu\n", path, third);
		cr_assert_eq(got->rc, ERR_TRUNCATED, "size %zu", size);
		cr_assert_eq(got->n, 2);
		cr_assert(got->stats.truncated);
		cr_assert_not_null(strstr(got->log, where), "%s", got->log);
	}
	bytes_free(&b);
}

Test(capture_pcapng, a_trailing_length_that_differs_is_survived)
{
	size_t second;
	struct bytes b = three_packets(&second);
	patch32(&b, second - 4, 0);
	const struct got *got = read_all(file_of(&b), NULL, 64);
	cr_assert_eq(got->rc, ERR_EOF);
	cr_assert_eq(got->n, 3);
	cr_assert_not_null(strstr(got->log, "differ"));
	bytes_free(&b);
}

Test(capture_pcapng, a_length_that_leads_nowhere_ends_the_file)
{
	size_t second;
	struct bytes b = three_packets(&second);
	patch32(&b, second + 4, 40); /* lands inside the block */
	const struct got *got = read_all(file_of(&b), NULL, 64);
	cr_assert_eq(got->rc, ERR_CORRUPT);
	cr_assert_eq(got->n, 1);
	static const uint32_t lengths[] = {0, 8, 62, 63};
	for (size_t i = 0; i < 4; i++) {
		patch32(&b, second + 4, lengths[i]);
		got = read_all(file_of(&b), NULL, 64);
		cr_assert_eq(got->rc, ERR_CORRUPT, "length %u", lengths[i]);
		cr_assert_eq(got->n, 1);
	}
	bytes_free(&b);
}

Test(capture_pcapng, a_packet_longer_than_its_block_is_left_out)
{
	size_t second;
	struct bytes b = three_packets(&second);
	patch32(&b, second + 20, 100);
	const struct got *got = read_all(file_of(&b), NULL, 64);
	cr_assert_eq(got->rc, ERR_EOF);
	cr_assert_eq(got->n, 2);
	cr_assert_eq(got->pkts[1].time.ns, 3000);
	bytes_free(&b);
}

Test(capture_pcapng, options_that_run_past_their_block_are_ignored)
{
	struct bytes b = {0};
	put_section(&b, false);
	size_t at = begin_block(&b, IDB);
	put16(&b, 1);
	put16(&b, 0);
	put32(&b, 0);
	put16(&b, 9);
	put16(&b, 60000);
	put8(&b, 9);
	end_block(&b, at);
	put_enhanced(&b, 0, 5, 20, 20);
	const struct got *got = read_all(file_of(&b), NULL, 64);
	cr_assert_eq(got->n, 1);
	cr_assert_eq(got->pkts[0].time.ns, 5000);
	bytes_free(&b);
}

/* ---- filters ------------------------------------------------------------------------------- */

Test(capture_pcapng, a_filter_that_fits_only_some_link_types_matches_on_those)
{
	struct bytes b = {0};
	put_section(&b, false);
	put_iface(&b, 1, 0, -1, 0);
	put_iface(&b, 101, 0, -1, 0); /* raw IP has no Ethernet addresses */
	put_enhanced(&b, 0, 1, 60, 60);
	put_enhanced(&b, 1, 2, 60, 60);
	put_enhanced(&b, 1, 3, 60, 60);
	const struct got *got = read_all(file_of(&b), "ether[0] = 1", 64);
	cr_assert_eq(got->rc, ERR_EOF);
	cr_assert_eq(got->n, 1);
	cr_assert_eq(got->stats.filtered, 2);
	got = read_all(file_of(&b), "ether src 1:2:3:4:5:6 or greater 1", 64);
	cr_assert_eq(got->rc, ERR_EOF);
	cr_assert_eq(got->n, 1);
	char *first = strstr(got->log, "linktype=101");
	cr_assert_not_null(first);
	cr_assert_null(strstr(first + 1, "linktype=101"), "said once");
	cr_assert_eq(read_all(file_of(&b), "no filter", 64)->rc, ERR_USAGE);
	bytes_free(&b);
}
