/* Dealing: every packet goes to the worker that the general way would give it to, or to all, with
 * the clock that is before it. */
#include <errno.h>
#include <fcntl.h>

#include "deal.h"
#include "decode/decode.h"
#include "packet_clock.h"
#include "test_capture_util.h"

enum { WORKERS = 3, PACKETS = 3 * HAND_MAX + 100, FRAME = 60, HANDS = 16 /* held at most */ };

static struct flow_secret secret;
static struct conf conf;
static atomic_bool stop;
static struct deal *deal;
static const char *specs[3];

static void setup(void)
{
	flow_secret_from_seed(&secret, 5);
	conf.key_flags = KEY_DEFAULT;
	conf.idle_timeout_ns = 15 * NS_PER_S;
}

static void teardown(void)
{
	deal_free(deal);
	deal = NULL;
}

TestSuite(deal, .init = setup, .fini = teardown);

/* ---- captures ------------------------------------------------------------------------------ */

static struct bytes pcap_begin(void)
{
	struct bytes b = {.n = 0};
	put32(&b, 0xa1b2c3d4);
	put32(&b, 2 | 4 << 16);
	put32(&b, 0);
	put32(&b, 0);
	put32(&b, 65535);
	put32(&b, 1);
	return b;
}

/* Ethernet, IPv4, `proto`, from one of 251 addresses to one of 13, either way round; `n` behind the
 * ports. */
static void put_frame(struct bytes *b, uint32_t n, uint32_t seconds, uint8_t proto)
{
	const uint8_t a = (uint8_t)(n % 251), z = (uint8_t)(n % 13);
	uint8_t frame[FRAME] = {
		[12] = 8, [14] = 0x45, [17] = 40, [22] = 64, [23] = proto, [26] = 10, [30] = 192};
	frame[n % 2 != 0 ? 29 : 33] = a;
	frame[n % 2 != 0 ? 33 : 29] = z;
	frame[35] = 9;
	frame[37] = 53;
	memcpy(&frame[40], &n, sizeof(n));
	put32(b, seconds);
	put32(b, 0);
	put32(b, FRAME);
	put32(b, FRAME);
	put(b, frame, FRAME);
}

static uint32_t number_of(const uint8_t *data)
{
	uint32_t n;
	memcpy(&n, data + 40, sizeof(n));
	return n;
}

static void deal_files(unsigned count)
{
	const struct deal_conf c = {
		.workers = WORKERS,
		.conf = &conf,
		.specs = specs,
		.specs_count = count,
		.secret = &secret,
		.stop = &stop,
	};
	cr_assert_eq(deal_new(&c, &deal), 0);
}

/* As decode and flow_share say of any packet. */
static unsigned owner_of(const uint8_t *data)
{
	const struct raw_packet raw = {
		.data = data, .caplen = FRAME, .wirelen = FRAME, .linktype = 1};
	struct packet p, train = {0};
	cr_assert_eq(decode_packet(0, &raw, &p, &train).counter, COUNTER_METERED);
	return flow_share_owner(flow_share(&p, &secret), WORKERS);
}

/* ---- what comes out ------------------------------------------------------------------------ */

struct tally {
	unsigned hands, plain, any;
	uint8_t seen[2 * PACKETS]; /* by number: workers that looked at it */
};

static void look_at(const struct hand *hand, unsigned worker, struct tally *t)
{
	const struct hand_part *part = &hand->part[worker];
	unsigned last = 0;
	for (unsigned i = 0; i < part->count; i++) {
		const struct hand_item *item = &part->item[i];
		cr_assert(i == 0 || item->at > last, "in order");
		last = item->at;
		if (item->is_any) {
			t->any++;
			t->seen[number_of(item->any->data)]++;
			continue;
		}
		t->plain++;
		t->seen[number_of(item->data)]++;
		cr_assert_eq(item->caplen, FRAME);
		cr_assert_eq(item->ingress, 1);
		cr_assert_eq(owner_of(item->data), worker);
	}
}

/* All hands, by workers in turn. */
static struct tally *look_at_all(void)
{
	static struct tally t;
	const struct hand *hand;
	memset(&t, 0, sizeof(t));
	while ((hand = deal_next(deal, 0)) != NULL) {
		for (unsigned w = 0; w < WORKERS; w++) {
			cr_assert_eq(deal_next(deal, w), hand);
			look_at(hand, w, &t);
			deal_done(deal, w);
		}
		t.hands++;
	}
	for (unsigned w = 0; w < WORKERS; w++)
		cr_assert_null(deal_next(deal, w));
	return &t;
}

Test(deal, plain_packets_go_to_the_worker_of_their_addresses)
{
	struct bytes b = pcap_begin();
	for (uint32_t n = 0; n < PACKETS; n++)
		put_frame(&b, n, 1000, n % 3 == 0 ? 6 : 17);
	specs[0] = file_of(&b);
	deal_files(1);
	const struct tally *t = look_at_all();
	cr_expect_eq(t->hands, 4);
	cr_expect_eq(t->any, WORKERS, "the first, before which there is no clock: %u", t->any);
	cr_expect_eq(t->plain, PACKETS - 1);
	for (unsigned n = 1; n < PACKETS; n++)
		cr_assert_eq(t->seen[n], 1, "packet %u", n);
	cr_expect_eq(deal_error(deal), 0);
	cr_expect_eq(deal_bytes_read(deal), b.n);
	bytes_free(&b);
}

static void expect_item(const struct hand *hand, unsigned i, unsigned at, int64_t clock_ns)
{
	const struct hand_item *item = &hand->part[0].item[i];
	cr_assert_lt(i, hand->part[0].count);
	cr_expect(item->is_any);
	cr_expect_eq(item->at, at);
	cr_expect_eq(item->time_ns, clock_ns, "before %u the clock is at %lld s", at,
		     (long long)(item->time_ns / NS_PER_S));
}

/* The clock before each that goes to all; who else had the packets between does not matter. */
Test(deal, others_go_to_all_with_the_clock_before_them)
{
	struct bytes b = pcap_begin();
	put_frame(&b, 0, 1000, 17); /* the first */
	put_frame(&b, 0, 1001, 1);  /* ICMP */
	put_frame(&b, 0, 1000, 17); /* late */
	put_frame(&b, 0, 1002, 47); /* GRE */
	put_frame(&b, 0, 980, 17);  /* so early that the clock starts anew */
	put_frame(&b, 0, 980, 1);
	specs[0] = file_of(&b);
	deal_files(1);
	const struct hand *hand = deal_next(deal, 0);
	cr_assert_not_null(hand);
	cr_expect_eq(hand->count, 6);
	cr_expect_eq(hand->any_count, 6);
	expect_item(hand, 0, 0, CLOCK_UNSET);
	expect_item(hand, 1, 1, 1000 * NS_PER_S);
	expect_item(hand, 2, 2, 1001 * NS_PER_S);
	expect_item(hand, 3, 3, 1001 * NS_PER_S);
	expect_item(hand, 4, 4, 1002 * NS_PER_S);
	expect_item(hand, 5, 5, 980 * NS_PER_S);
	cr_expect_eq(hand->clock_ns, 980 * NS_PER_S);
	bytes_free(&b);
}

Test(deal, the_clock_counts_packets_of_one_worker_too)
{
	struct bytes b = pcap_begin();
	put_frame(&b, 0, 1000, 17);
	put_frame(&b, 1, 1003, 17);
	put_frame(&b, 2, 1003, 1);
	specs[0] = file_of(&b);
	deal_files(1);
	const struct hand *hand = deal_next(deal, 0);
	cr_assert_eq(hand->any_count, 2);
	expect_item(hand, hand->part[0].count - 1, 2, 1003 * NS_PER_S);
	bytes_free(&b);
}

static void expect_nothing_sorted(void)
{
	struct bytes b = pcap_begin();
	for (uint32_t n = 0; n < 100; n++)
		put_frame(&b, n, 1000, 17);
	specs[0] = file_of(&b);
	deal_files(1);
	const struct tally *t = look_at_all();
	cr_expect_eq(t->plain, 0);
	cr_expect_eq(t->any, 100 * WORKERS);
	bytes_free(&b);
}

Test(deal, sampling_sees_all)
{
	conf.sample.mode = SAMPLING_RANDOM;
	expect_nothing_sorted();
}

Test(deal, a_rate_cap_sees_all)
{
	conf.rate_cap = 1000;
	expect_nothing_sorted();
}

Test(deal, a_search_for_copies_sees_all)
{
	conf.dedup_ns = NS_PER_S;
	expect_nothing_sorted();
}

Test(deal, a_key_of_more_members_is_not_for_the_short_cut)
{
	conf.key_flags |= KEY_VLAN;
	expect_nothing_sorted();
}

/* UDP may then be a wrapper, whose addresses tell nothing. */
Test(deal, behind_wrappers_only_tcp_is_sorted)
{
	conf.decap_flags = DECAP_VXLAN;
	expect_nothing_sorted();
}

/* One ends in a record that is cut, one is not there; the third is read all the same. */
Test(deal, files_one_after_the_other)
{
	struct bytes cut = pcap_begin(), last = pcap_begin();
	for (uint32_t n = 0; n < PACKETS; n++) {
		put_frame(&cut, n, 1000, 17);
		put_frame(&last, PACKETS + n, 1000, 17);
	}
	cut.n -= 10;
	specs[0] = strdup(file_of(&cut));
	specs[1] = "/proc/self/fd/none";
	specs[2] = file_of(&last);
	deal_files(3);
	const struct tally *t = look_at_all();
	for (unsigned n = 1; n < 2 * PACKETS; n++)
		cr_assert_eq(t->seen[n], n == PACKETS - 1 ? 0 : 1, "packet %u", n);
	cr_expect_eq(deal_error(deal), -ENOENT);
	bytes_free(&cut);
	bytes_free(&last);
}

/* All workers end behind the same packet. */
Test(deal, a_stop_ends_behind_what_was_dealt)
{
	struct bytes b = pcap_begin();
	for (uint32_t n = 0; n < PACKETS; n++)
		put_frame(&b, n, 1000, 17);
	specs[0] = file_of(&b);
	deal_files(1);
	cr_assert_not_null(deal_next(deal, 0));
	deal_done(deal, 0);
	atomic_store(&stop, true);
	unsigned hands[WORKERS] = {1};
	for (unsigned w = 0; w < WORKERS; w++)
		while (deal_next(deal, w) != NULL) {
			deal_done(deal, w);
			hands[w]++;
		}
	cr_expect_leq(hands[0], 4);
	cr_expect_eq(hands[1], hands[0]);
	cr_expect_eq(hands[2], hands[0]);
	bytes_free(&b);
}

/* Worker 0 is through with as many hands as there can be, the others have not begun: the first is
 * still theirs, and a stop ends all the same, as when a thread could not be started. */
Test(deal, hands_wait_for_the_slowest)
{
	static struct tally t;
	struct bytes b = pcap_begin();
	for (uint32_t n = 0; n < (HANDS + 4) * HAND_MAX; n++)
		put_frame(&b, n % (2 * PACKETS), 1000, 17);
	specs[0] = file_of(&b);
	deal_files(1);
	for (unsigned i = 0; i < HANDS; i++) {
		cr_assert_not_null(deal_next(deal, 0));
		deal_done(deal, 0);
	}
	atomic_store(&stop, true);
	cr_expect_null(deal_next(deal, 0));
	for (unsigned i = 0; i < HANDS; i++) {
		const struct hand *hand = deal_next(deal, 1);
		cr_assert_not_null(hand);
		cr_assert_eq(hand->number, i * HAND_MAX);
		look_at(hand, 1, &t);
		deal_done(deal, 1);
	}
	cr_expect_null(deal_next(deal, 1));
	bytes_free(&b);
}

/* What is due leaves behind a hand, so that has to come when few packets do. */
Test(deal, a_hand_ends_when_the_clock_goes_on)
{
	struct bytes b = pcap_begin();
	for (uint32_t n = 0; n < 640; n++)
		put_frame(&b, n, 1000 + n, 17);
	specs[0] = file_of(&b);
	deal_files(1);
	cr_expect_geq(look_at_all()->hands, 640 / 64 - 1);
	bytes_free(&b);
}

/* Pages of a file, in this process's memory (proc(5), statm). */
static size_t resident(void)
{
	unsigned long size, rss, shared;
	FILE *f = fopen("/proc/self/statm", "r");
	cr_assert(f != NULL && fscanf(f, "%lu %lu %lu", &size, &rss, &shared) == 3);
	fclose(f);
	return shared * (size_t)getpagesize();
}

/* Workers go on by themselves while the others are so many hands behind. */
#define BEHIND 12

/* Reads a file of records of 256 KiB, most of each a hole; one in `one_in` is TCP, the rest is UDP.
 * Most of it that was in memory. */
static size_t read_large(unsigned one_in, unsigned expected)
{
	enum { RECORDS = 1200, BODY = 262144 };
	struct bytes b = pcap_begin(), record = {.n = 0};
	const char *path = file_of(&b);
	const int fd = open(path, O_RDWR);
	off_t at = (off_t)b.n;
	for (unsigned i = 0; i < RECORDS; i++, at += 16 + BODY) {
		record.n = 0;
		put_frame(&record, i, 1000, i % one_in == 0 ? 6 : 17);
		memcpy(&record.at[8], &(uint32_t){BODY}, 4);
		memcpy(&record.at[12], &(uint32_t){BODY}, 4);
		cr_assert_eq(pwrite(fd, record.at, record.n, at), (ssize_t)record.n);
	}
	cr_assert_eq(ftruncate(fd, at), 0);
	specs[0] = path;
	deal_files(1);
	const size_t before = resident();
	size_t most = 0;
	unsigned packets = 0, ahead = 0;
	static struct tally t;
	while (packets < expected) {
		const struct hand *hand = deal_next(deal, 0);
		cr_assert_not_null(hand);
		packets += hand->count;
		deal_done(deal, 0);
		for (unsigned w = 1; ahead >= BEHIND && w < WORKERS; w++) {
			cr_assert_not_null(hand = deal_next(deal, w));
			look_at(hand, w, &t);
			deal_done(deal, w);
		}
		ahead++;
		most = resident() > most ? resident() : most;
	}
	cr_expect_eq(packets, expected);
	close(fd);
	bytes_free(&b);
	bytes_free(&record);
	return most - before;
}

Test(deal, a_large_file_stays_small_in_memory)
{
	const size_t most = read_large(1, 1200);
	cr_expect_lt(most, (size_t)60 << 20, "%zu MiB", most >> 20);
}

/* Also when hands lie far apart. */
Test(deal, a_large_file_that_is_filtered_stays_small_in_memory)
{
	conf.filter = (char *)"tcp";
	const size_t most = read_large(50, 24);
	cr_expect_lt(most, (size_t)60 << 20, "%zu MiB", most >> 20);
}
