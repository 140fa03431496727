/*
 * Four workers share a plain and a packed file, one of them slow, under ThreadSanitizer: each
 * packet is looked at by one worker, or by all, and its bytes are there until that worker is
 * through.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "deal.h"
#include "tstamp.h"

enum { WORKERS = 4, PACKETS = 200000, FILES = 3, FRAME = 60 };

static struct deal *deal;
static unsigned looked[WORKERS]; /* at packets of its own */
static unsigned any[WORKERS];
static unsigned wrong[WORKERS];

struct record {
	uint32_t seconds, fraction, caplen, wirelen;
	uint8_t frame[FRAME];
};

/* One in a hundred is ICMP's, which goes to all. */
static struct record record_of(uint32_t n)
{
	struct record r = {1000 + n / 1000,
			   0,
			   FRAME,
			   FRAME,
			   {[12] = 8,
			    [14] = 0x45,
			    [17] = 40,
			    [22] = 64,
			    [23] = n % 100 == 0 ? 1 : 17,
			    [26] = 10,
			    [30] = 192}};
	memcpy(&r.frame[27], &n, 3);
	memcpy(&r.frame[42], &n, sizeof(n));
	return r;
}

/* The file goes with the process. */
static void make(char path[static 32], bool packed)
{
	static const uint32_t head[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1};
	const int fd = memfd_create("capture", 0);
	gzFile f = gzdopen(dup(fd), packed ? "wb1" : "wbT");
	gzwrite(f, head, sizeof(head));
	for (uint32_t n = 0; n < PACKETS; n++) {
		const struct record r = record_of(n);
		gzwrite(f, &r, sizeof(r));
	}
	gzclose(f);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
}

static void check(const struct hand *hand, unsigned worker)
{
	const struct hand_part *part = &hand->part[worker];
	for (unsigned i = 0; i < part->count; i++) {
		const struct hand_item *item = &part->item[i];
		const struct record expected =
			record_of((uint32_t)((hand->number + item->at) % PACKETS));
		const uint8_t *data = item->is_any ? item->any->data : item->data;
		(item->is_any ? any : looked)[worker]++;
		wrong[worker] += memcmp(data, expected.frame, FRAME) != 0;
	}
}

static void *work(void *arg)
{
	const unsigned worker = (unsigned)(uintptr_t)arg;
	const struct hand *hand;
	while ((hand = deal_next(deal, worker)) != NULL) {
		if (worker == 1)
			nanosleep(&(struct timespec){0, 20 * NS_PER_MS}, NULL);
		check(hand, worker);
		deal_done(deal, worker);
	}
	return NULL;
}

int main(void)
{
	static const struct conf conf = {.key_flags = KEY_DEFAULT, .idle_timeout_ns = NS_PER_S};
	static const atomic_bool stop;
	char plain[32], packed[32];
	const char *const specs[FILES] = {plain, packed, plain};
	struct flow_secret secret;
	pthread_t thread[WORKERS];
	unsigned sum = 0, bad = 0;
	flow_secret_from_seed(&secret, 1);
	make(plain, false);
	make(packed, true);
	const struct deal_conf c = {.workers = WORKERS,
				    .conf = &conf,
				    .specs = specs,
				    .specs_count = FILES,
				    .secret = &secret,
				    .stop = &stop};
	if (deal_new(&c, &deal) != 0)
		return 1;
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(thread[i], NULL);
		sum += looked[i];
		bad += wrong[i] + (any[i] != any[0]);
	}
	sum += any[0];
	if (deal_error(deal) != 0 || any[0] < FILES * PACKETS / 100)
		bad++;
	deal_free(deal);
	if (sum != FILES * PACKETS || bad != 0)
		printf("looked at %u of %u, %u wrong\n", sum, FILES * PACKETS, bad);
	return sum != FILES * PACKETS || bad != 0;
}
