/* pcap files: magics, lengths, time, ends, filters; what libpcap takes over. */
#include "log.h"
#include "test_capture_util.h"

#define MAGIC_US 0xa1b2c3d4
#define MAGIC_NS 0xa1b23c4d

static void put_header(struct bytes *b, uint32_t magic, uint32_t network)
{
	put32(b, magic);
	put16(b, 2);
	put16(b, 4);
	put32(b, 0);
	put32(b, 0);
	put32(b, 96);
	put32(b, network);
}

static void put_record(struct bytes *b, uint32_t seconds, uint32_t fraction, uint32_t caplen,
		       uint32_t wirelen)
{
	put32(b, seconds);
	put32(b, fraction);
	put32(b, caplen);
	put32(b, wirelen);
	put_count(b, caplen, (uint8_t)seconds);
}

/* A file of `n` records of 60 bytes. */
static struct bytes some_file(unsigned n)
{
	struct bytes b = {0};
	put_header(&b, MAGIC_US, 1);
	for (unsigned i = 0; i < n; i++)
		put_record(&b, i, 0, 60, 60);
	return b;
}

static void check_magic(uint32_t magic, bool big, int64_t ns_per_tick)
{
	struct bytes b = {.big = big};
	put_header(&b, magic, 1);
	put_record(&b, 1700000000, 123456, 60, 1514);
	const struct got *got = read_all(file_of(&b), NULL, 64);
	cr_assert_eq(got->rc, ERR_EOF);
	cr_assert_eq(got->n, 1);
	cr_assert_eq(got->pkts[0].time.ns, 1700000000 * NS_PER_S + 123456 * ns_per_tick);
	cr_assert_eq(got->pkts[0].caplen, 60);
	cr_assert_eq(got->pkts[0].wirelen, 1514);
	cr_assert_eq(got->pkts[0].linktype, 1);
	cr_assert_eq(got->pkts[0].ingress, 1);
	cr_assert_eq(got->pkts[0].swapped, big);
	cr_assert_eq(got->first[0][0], (uint8_t)1700000000);
	cr_assert_eq(got->stats.bytes_read, b.n);
	cr_assert_eq(got->stats.bytes_total, b.n);
	bytes_free(&b);
}

Test(capture_pcap, both_byte_orders_and_both_time_units)
{
	check_magic(MAGIC_US, false, 1000);
	check_magic(MAGIC_US, true, 1000);
	check_magic(MAGIC_NS, false, 1);
	check_magic(MAGIC_NS, true, 1);
}

Test(capture_pcap, fractions_of_a_second_and_more_are_added)
{
	struct bytes b = {0};
	put_header(&b, MAGIC_US, 1);
	put_record(&b, 10, 2500000, 20, 20);
	put_record(&b, UINT32_MAX, UINT32_MAX, 20, 20);
	const struct got *got = read_all(file_of(&b), NULL, 64);
	cr_assert_eq(got->pkts[0].time.ns, 12500000000);
	cr_assert_eq(got->pkts[1].time.ns, 4294967295 * NS_PER_S + 4294967295000);
	cr_assert_leq(got->pkts[1].time.ns, PKT_TIME_MAX);
	bytes_free(&b);
}

static uint16_t linktype_read(uint32_t network)
{
	struct bytes b = {0};
	put_header(&b, MAGIC_US, network);
	put_record(&b, 1, 1, 20, 20);
	uint16_t linktype = read_all(file_of(&b), NULL, 64)->pkts[0].linktype;
	bytes_free(&b);
	return linktype;
}

Test(capture_pcap, link_types_lose_their_fcs_bits_and_aliases)
{
	cr_assert_eq(linktype_read(0x24000001), 1);
	cr_assert_eq(linktype_read(12), 101);
	cr_assert_eq(linktype_read(14), 101);
	cr_assert_eq(linktype_read(101), 101);
	cr_assert_eq(linktype_read(276), 276);
	cr_assert_eq(linktype_read(65000), 65000, "unknown link types are no error");
}

Test(capture_pcap, wire_length_is_never_less_than_what_was_captured)
{
	struct bytes b = {0};
	put_header(&b, MAGIC_US, 1);
	put_record(&b, 1, 0, 200, 0);  /* more than the snapshot length, too */
	put_record(&b, 2, 0, 0, 1500); /* nothing captured */
	const struct got *got = read_all(file_of(&b), NULL, 64);
	cr_assert_eq(got->pkts[0].caplen, 200);
	cr_assert_eq(got->pkts[0].wirelen, 200);
	cr_assert_eq(got->pkts[1].caplen, 0);
	cr_assert_eq(got->pkts[1].wirelen, 1500);
	bytes_free(&b);
}

Test(capture_pcap, batches_are_full_until_the_end)
{
	struct bytes b = some_file(100);
	struct capture_conf conf = {.spec = file_of(&b)};
	char error[CAPTURE_ERRBUF_SIZE];
	struct capture *capture;
	struct raw_packet pkts[64];
	cr_assert_eq(capture_open(&conf, error, sizeof(error), &capture), 0);
	cr_assert_eq(capture_next(capture, pkts, 64), 64);
	cr_assert_eq(capture_next(capture, pkts, 64), 36);
	cr_assert_eq(capture_next(capture, pkts, 64), ERR_EOF);
	cr_assert_eq(capture_next(capture, pkts, 64), ERR_EOF);
	capture_close(capture);
	bytes_free(&b);
}

Test(capture_pcap, a_cut_file_yields_what_is_whole_and_says_where)
{
	struct bytes b = some_file(3);
	size_t last = b.n - 76;
	for (size_t size = last + 1; size < b.n; size++) {
		struct bytes cut = {.at = b.at, .n = size};
		const char *path = size % 2 ? file_of(&cut) : pipe_of(&cut);
		const struct got *got = read_all(path, NULL, 64);
		char where[128];
		snprintf(where, sizeof(where), "file=%s offset=%zu\n", path, last);
		cr_assert_eq(got->rc, ERR_TRUNCATED, "size %zu", size);
		cr_assert_eq(got->n, 2);
		cr_assert(got->stats.truncated);
		cr_assert_not_null(strstr(got->log, where), "%s", got->log);
	}
	bytes_free(&b);
}

Test(capture_pcap, truncation_is_told_once)
{
	struct bytes b = some_file(1);
	b.n -= 5;
	struct capture_conf conf = {.spec = file_of(&b)};
	char error[CAPTURE_ERRBUF_SIZE];
	struct capture *capture;
	struct raw_packet pkts[4];
	log_set_level(LOG_LEVEL_ERROR);
	cr_assert_eq(capture_open(&conf, error, sizeof(error), &capture), 0);
	cr_assert_eq(capture_next(capture, pkts, 4), ERR_TRUNCATED);
	cr_assert_eq(capture_next(capture, pkts, 4), ERR_EOF);
	capture_close(capture);
	bytes_free(&b);
}

Test(capture_pcap, a_length_that_cannot_be_ends_the_file)
{
	struct bytes b = some_file(2);
	size_t at = b.n;
	put32(&b, 3);
	put32(&b, 0);
	put32(&b, (16u << 20) + 1);
	put32(&b, 60);
	put_count(&b, 100, 0);
	const struct got *got = read_all(file_of(&b), NULL, 64);
	char where[32];
	snprintf(where, sizeof(where), "offset=%zu", at);
	cr_assert_eq(got->rc, ERR_CORRUPT);
	cr_assert_eq(got->n, 2);
	cr_assert_not(got->stats.truncated);
	cr_assert_not_null(strstr(got->log, where));
	bytes_free(&b);
}

Test(capture_pcap, huge_packets_are_handed_over_in_part)
{
	struct bytes b = some_file(1);
	put_record(&b, 7, 0, 300000, 300000);
	put_record(&b, 8, 0, 60, 60);
	const struct got *got = read_all(file_of(&b), NULL, 64);
	cr_assert_eq(got->rc, ERR_EOF);
	cr_assert_eq(got->n, 3);
	cr_assert_eq(got->pkts[1].caplen, 262144);
	cr_assert_eq(got->pkts[1].wirelen, 300000);
	cr_assert_eq(got->pkts[2].time.ns, 8 * NS_PER_S);
	bytes_free(&b);
}

/* ---- filters ------------------------------------------------------------------------------- */

Test(capture_pcap, filtered_packets_are_counted_and_left_out)
{
	struct bytes b = {0};
	put_header(&b, MAGIC_US, 1);
	for (unsigned i = 0; i < 200; i++)
		put_record(&b, i, 0, i % 2 ? 60 : 90, 90);
	put_record(&b, 200, 0, 60, 61);
	const struct got *got = read_all(file_of(&b), "less 70", 16);
	cr_assert_eq(got->rc, ERR_EOF);
	cr_assert_eq(got->n, 1, "the filter sees the wire length");
	cr_assert_eq(got->stats.received, 201);
	cr_assert_eq(got->stats.filtered, 200);
	bytes_free(&b);
}

Test(capture_pcap, a_filter_that_does_not_compile_is_refused)
{
	struct bytes b = some_file(1);
	const struct got *got = read_all(file_of(&b), "host and and", 16);
	cr_assert_eq(got->rc, ERR_USAGE);
	cr_assert_not_null(strstr(got->error, "host and and"));
	cr_assert_null(strchr(got->error, '\n'));
	bytes_free(&b);
}

Test(capture_pcap, a_filter_knows_the_byte_order_of_a_null_header)
{
	for (unsigned big = 0; big < 2; big++) {
		struct bytes b = {.big = big};
		put_header(&b, MAGIC_US, 0);
		put32(&b, 1);
		put32(&b, 0);
		put32(&b, 24);
		put32(&b, 24);
		put32(&b, 2); /* AF_INET, in the order of the host that captured */
		put8(&b, 0x45);
		put_count(&b, 19, 0);
		cr_assert_eq(read_all(file_of(&b), "ip", 16)->n, 1, "big %u", big);
		bytes_free(&b);
	}
}

/* ---- what libpcap takes -------------------------------------------------------------------- */

/* Alexey Kuznetzov's pcap: eight more bytes in each record's header. */
static struct bytes modified_file(unsigned n)
{
	struct bytes b = {0};
	put_header(&b, 0xa1b2cd34, 1);
	for (unsigned i = 0; i < n; i++) {
		put32(&b, i);
		put32(&b, 5);
		put32(&b, 60);
		put32(&b, 64);
		put32(&b, 1);
		put16(&b, 0x0800);
		put16(&b, 0);
		put_count(&b, 60, (uint8_t)i);
	}
	return b;
}

Test(capture_pcap, modified_pcap_goes_through_libpcap)
{
	struct bytes b = modified_file(10);
	for (unsigned i = 0; i < 2; i++) {
		const struct got *got = read_all(i ? pipe_of(&b) : file_of(&b), NULL, 4);
		cr_assert_eq(got->rc, ERR_EOF);
		cr_assert_eq(got->n, 10);
		cr_assert_eq(got->pkts[9].time.ns, 9 * NS_PER_S + 5000);
		cr_assert_eq(got->pkts[9].wirelen, 64);
		for (unsigned k = 0; k < 10; k++)
			cr_assert_eq(got->first[k][0], k, "each packet has its own bytes");
	}
	b.n -= 3;
	const struct got *got = read_all(file_of(&b), NULL, 4);
	cr_assert_eq(got->rc, ERR_TRUNCATED);
	cr_assert_eq(got->n, 9);
	bytes_free(&b);
}

/* ---- no captures --------------------------------------------------------------------------- */

static void check_refused(const char *text, size_t n, const char *words)
{
	struct bytes b = {0};
	put(&b, text, n);
	for (unsigned i = 0; i < 2; i++) {
		const char *path = i ? pipe_of(&b) : file_of(&b);
		const struct got *got = read_all(path, NULL, 64);
		cr_assert_eq(got->rc, ERR_FORMAT, "%s", words);
		cr_assert_not_null(strstr(got->error, path), "%s", got->error);
		cr_assert_not_null(strstr(got->error, words), "%s", got->error);
		cr_assert_null(strchr(got->error, '\n'));
		cr_assert_str_empty(got->log);
	}
	bytes_free(&b);
}

Test(capture_pcap, what_is_no_capture_is_refused_in_one_line)
{
	check_refused("", 0, "empty");
	check_refused("ab", 2, "not a capture");
	check_refused("This is a text, and no capture at all.\n", 39, "not a capture");
	check_refused("\xd4\xc3\xb2\xa1\x02\x00\x04\x00", 8, "header");
	check_refused("\xfd\x37zXZ\x00", 6, "xz -dc");
	check_refused("snoop\0\0\0\0\0\0\2\0\0\0\4", 16, "editcap");
	check_refused("\x1f\x8b\x08", 3, "gzip data ends early");
}

Test(capture_pcap, a_missing_file_and_a_directory_are_named)
{
	const struct got *got = read_all("/nonexistent/a.pcap", NULL, 64);
	cr_assert_eq(got->rc, -ENOENT);
	cr_assert_not_null(strstr(got->error, "/nonexistent/a.pcap"));
	cr_assert_eq(read_all("/", NULL, 64)->rc, -EISDIR);
}

/* ---- specifications of live inputs --------------------------------------------------------- */

static int open_live(const char *spec, char *error)
{
	struct capture_conf conf = {.spec = spec, .live = true};
	struct capture *capture = NULL;
	int rc = capture_open(&conf, error, CAPTURE_ERRBUF_SIZE, &capture);
	capture_close(capture);
	return rc;
}

Test(capture_live, inputs_that_are_not_built_in_are_refused_with_a_cure)
{
	static const char *const specs[] = {
#ifndef WITH_XDP
		"xdp:eth1",
#endif
#ifndef WITH_NFQUEUE
		"nfqueue:5",
#endif
#ifndef WITH_NFLOG
		"nflog:5",
#endif
		NULL,
	};
	char error[CAPTURE_ERRBUF_SIZE];
	for (size_t i = 0; specs[i] != NULL; i++) {
		cr_assert_eq(open_live(specs[i], error), ERR_NOTSUP, "%s", specs[i]);
		cr_assert_not_null(strstr(error, specs[i]));
		cr_assert_not_null(strstr(error, "pcap:"));
	}
	cr_assert_eq(open_live("pcap:", error), ERR_USAGE);
	cr_assert_eq(open_live("ring:", error), ERR_USAGE);
}

Test(capture_live, an_interface_that_is_not_there_is_named)
{
	char error[CAPTURE_ERRBUF_SIZE];
	cr_assert_lt(open_live("pcap:weir-none", error), 0);
	cr_assert_not_null(strstr(error, "weir-none"));
	cr_assert_lt(open_live("ring:weir-none", error), 0);
	cr_assert_not_null(strstr(error, "weir-none: no such interface"));
	cr_assert_null(strchr(error, '\n'));
}
