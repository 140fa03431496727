/* Dealing the packets of a replay out to its workers; the header tells how. */
#include "deal.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture/chunks.h"
#include "err.h"
#include "log.h"
#include "packet_clock.h"
#include "short_cut.h"

/* Hands that may wait for the slowest worker. */
#define HANDS 16

/* A worker with fewer hands before it than ENOUGH deals first, with fewer than AHEAD one before each
 * that it meters: so nobody runs out of them while who has the turn is held up. */
#define ENOUGH 3
#define AHEAD  12

/* Packets read and sorted at once, so that they are sorted while they are in the nearest cache; fewer
 * where they have to be copied, since each may be large. */
#define PIECE	    64
#define PIECE_COPIED 8

/* Where a replay is paced, what was dealt and not metered would be late for a stop. */
#define PACED_MAX   PIECE
#define PACED_AHEAD 1

/* A hand also ends when the file was read about so far for it, since all hands together shall lie within
 * what is kept mapped behind the reading position (source.c), those of a stream are copied, and a filter
 * may let little through; or the clock has come so far, since workers let leave what is due behind each. */
#define HAND_BYTES    ((size_t)1 << 20)
#define HAND_CLOCK_NS NS_PER_S

/* How far a worker has come, in a cache line of its own. */
struct place {
	_Alignas(64) _Atomic uint64_t done; /* hands */
};

struct deal {
	struct deal_conf conf;
	struct place *place;    /* of each worker */
	struct hand_part *parts; /* of each hand and worker */
	unsigned hand_max, ahead;
	bool sorts;             /* there are packets that go to one worker only */
	bool looks_into_udp;    /* UDP may be a wrapper */

	_Alignas(64) _Atomic uint64_t dealt;
	atomic_bool ended;      /* `dealt` stays what it is */
	_Atomic uint64_t bytes_read;
	_Alignas(64) atomic_bool turn; /* taken */
	atomic_uint waiting;    /* workers that have nothing to do */

	/* Who has the turn's. */
	struct capture *capture; /* NULL: the next file is to be opened */
	bool file_ended;        /* to be closed when nobody looks at its packets any more */
	unsigned next_spec;
	uint64_t bytes_done;    /* of files that were closed */
	uint64_t number;        /* packets read */
	int64_t clock_ns;       /* METERING.md §6 */
	int error;
	struct chunks copies[HANDS];
	struct hand hand[HANDS];
};

/* ---- sorting ------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) bool
owner_of_ip(const struct deal *d, const struct plain_link *link, bool ip6, unsigned *ret_owner)
{
	const struct flow_secret *secret = d->conf.secret;
	struct plain_ends ends;
	if (!short_cut_takes(link, ip6, d->looks_into_udp, &ends))
		return false;
	const uint64_t share = ip6 ? key_share6(link->ip + IP6_SRC, link->ip + IP6_DST, secret)
				   : key_share4(link->ip + IP4_SRC, link->ip + IP4_DST, secret);
	*ret_owner = flow_share_owner(share, d->conf.workers);
	return true;
}

/* Is it for the short cut? Then also whose it is. */
static inline __attribute__((always_inline)) bool
owner_of(const struct deal *d, const struct raw_packet *raw, unsigned *ret_owner)
{
	struct packet_sum unused;
	struct plain_link link = plain_link(raw, &unused);
	if (link.ethertype == ETHERTYPE_IP4)
		return owner_of_ip(d, &link, false, ret_owner);
	if (!plain_reach_ip(&link, &unused))
		return false;
	return owner_of_ip(d, &link, link.ethertype == ETHERTYPE_IP6, ret_owner);
}

/* Moves the clock as every worker will. */
static __attribute__((noinline)) void deal_to_all(struct deal *d, struct hand *hand,
						  const struct raw_packet *raw, unsigned at)
{
	const int64_t time_ns = packet_clock_time(d->clock_ns, raw);
	const struct hand_item item = {
		.any = &hand->any[hand->any_count],
		.time_ns = d->clock_ns,
		.at = (uint16_t)at,
		.is_any = true,
	};
	hand->any[hand->any_count++] = *raw;
	for (unsigned w = 0; w < d->conf.workers; w++)
		hand->part[w].item[hand->part[w].count++] = item;
	if (time_ns > d->clock_ns ||
	    packet_clock_is_set_back(d->clock_ns, time_ns, d->conf.conf->idle_timeout_ns))
		d->clock_ns = time_ns;
}

/* Is it for the short cut, in order, and an item can hold it? */
static inline __attribute__((always_inline)) bool
is_sorted(const struct deal *d, const struct raw_packet *raw, unsigned *ret_owner)
{
	return d->sorts && d->clock_ns != CLOCK_UNSET && raw->time.ns >= d->clock_ns &&
	       (raw->caplen | raw->ingress) <= UINT16_MAX && owner_of(d, raw, ret_owner);
}

/* Adds packets to a hand. No branch depends on whose a packet is, which cannot be guessed. */
static void sort(struct deal *d, struct hand *hand, const struct raw_packet *raws, unsigned n)
{
	struct hand_part *const part = hand->part;
	for (unsigned i = 0; i < n; i++) {
		const struct raw_packet *raw = &raws[i];
		const unsigned at = hand->count + i;
		unsigned owner;
		packet_ask_ahead(raw, PACKET_AHEAD);
		hand->bytes += raw->caplen;
		if (!is_sorted(d, raw, &owner)) {
			deal_to_all(d, hand, raw, at);
			continue;
		}
		d->clock_ns = raw->time.ns;
		part[owner].item[part[owner].count++] = (struct hand_item){
			.data = raw->data,
			.time_ns = raw->time.ns,
			.at = (uint16_t)at,
			.caplen = (uint16_t)raw->caplen,
			.ingress = (uint16_t)raw->ingress,
		};
	}
	hand->count += n;
}
_Static_assert(HAND_MAX - 1 <= UINT16_MAX, "hand_item.at");

/* ---- reading: who has the turn ------------------------------------------------------------- */

static void note_error(struct deal *d, int err)
{
	if (d->error == 0)
		d->error = err;
}

static void open_next(struct deal *d)
{
	const struct capture_conf conf = {
		.spec = d->conf.specs[d->next_spec++],
		.filter = d->conf.conf->filter,
		.stop = d->conf.stop,
	};
	const int err = capture_open_said(&conf, &d->capture);
	if (err != 0)
		note_error(d, err);
}

static uint64_t bytes_read(const struct deal *d)
{
	struct capture_stats s;
	capture_stats(d->capture, &s);
	return s.bytes_read;
}

static void close_file(struct deal *d)
{
	d->bytes_done += bytes_read(d);
	capture_close(d->capture);
	d->capture = NULL;
	d->file_ended = false;
}

/* Moves what packets point to into memory that lasts until all are done with the hand. Returns their
 * number, fewer when memory is out. */
static unsigned copy(struct raw_packet *raws, unsigned n, struct chunks *copies)
{
	for (unsigned i = 0; i < n; i++) {
		raws[i].data = chunks_copy(copies, raws[i].data, raws[i].caplen);
		if (raws[i].data == NULL)
			return i;
	}
	return n;
}

/* As many packets as a hand takes. What capture_next said last. */
static int fill(struct deal *d, struct hand *hand, struct chunks *copies)
{
	const bool lasts = capture_lasts(d->capture);
	const unsigned piece = lasts ? PIECE : PIECE_COPIED;
	const uint64_t begin = bytes_read(d);
	int64_t begin_ns = d->clock_ns;
	struct raw_packet raws[PIECE];
	int got = 0;
	do {
		const unsigned room = d->hand_max - hand->count;
		got = capture_next(d->capture, raws, room < piece ? room : piece);
		if (got <= 0)
			break;
		unsigned n = (unsigned)got;
		if (!lasts)
			n = copy(raws, n, copies);
		if (n > 0)
			hand->iface = raws[0].iface;
		sort(d, hand, raws, n);
		if (begin_ns == CLOCK_UNSET)
			begin_ns = d->clock_ns;
		if (n < (unsigned)got) {
			log_errorx("capture", "%s", err_str(ERR_NOMEM));
			return ERR_NOMEM;
		}
	} while (hand->count < d->hand_max && hand->bytes < HAND_BYTES &&
		 bytes_read(d) - begin < HAND_BYTES &&
		 d->clock_ns - begin_ns < HAND_CLOCK_NS);
	return got;
}

static void hand_clear(const struct deal *d, struct hand *hand)
{
	hand->number = d->number;
	hand->bytes = 0;
	hand->count = hand->any_count = 0;
	for (unsigned w = 0; w < d->conf.workers; w++)
		hand->part[w].count = 0;
}

static void deal_hand(struct deal *d, uint64_t number)
{
	struct hand *hand = &d->hand[number % HANDS];
	struct chunks *copies = &d->copies[number % HANDS];
	hand_clear(d, hand);
	chunks_recycle(copies, NULL);
	const int last = fill(d, hand, copies);
	if (last < 0) {
		d->file_ended = true;
		if (last != ERR_EOF && last != ERR_TRUNCATED && last != ERR_STOPPED)
			note_error(d, last);
	}
	atomic_store_explicit(&d->bytes_read, d->bytes_done + bytes_read(d), memory_order_relaxed);
	if (hand->count == 0)
		return;
	hand->clock_ns = d->clock_ns;
	d->number += hand->count;
	atomic_store_explicit(&d->dealt, number + 1, memory_order_release);
}

/* Hands that all workers are through with. */
static uint64_t done_by_all(const struct deal *d)
{
	uint64_t least = UINT64_MAX;
	for (unsigned w = 0; w < d->conf.workers; w++) {
		uint64_t done = atomic_load_explicit(&d->place[w].done, memory_order_acquire);
		least = done < least ? done : least;
	}
	return least;
}

/* What is to be done next: a hand, or a file opened or closed. False when it is nothing, since somebody
 * is too far behind. */
static bool deal_on(struct deal *d)
{
	const uint64_t dealt = atomic_load_explicit(&d->dealt, memory_order_relaxed);
	const uint64_t held = dealt - done_by_all(d);
	if (atomic_load_explicit(d->conf.stop, memory_order_relaxed)) {
		atomic_store_explicit(&d->ended, true, memory_order_release);
		return true;
	}
	if (held == HANDS || (d->file_ended && held > 0))
		return false;
	if (d->file_ended)
		close_file(d);
	if (d->capture != NULL)
		deal_hand(d, dealt);
	else if (d->next_spec < d->conf.specs_count)
		open_next(d);
	else
		atomic_store_explicit(&d->ended, true, memory_order_release);
	return true;
}

/* ---- for workers --------------------------------------------------------------------------- */

/* Looks that a worker takes for something to do before it lets others run, before it naps, and before its
 * naps become long ones: most waits are short, those for a packed file are milliseconds, and an output
 * that holds all up can do so for ever. */
#define LOOKS_QUIET 64
#define LOOKS       512
#define LOOKS_LONG  (LOOKS + 200)
#define NAP_NS      (NS_PER_MS / 10)
#define NAP_LONG_NS (5 * NS_PER_MS)

static inline void pause_core(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* There is nothing to do: another deals, or is behind. */
static void rest(unsigned looks)
{
	if (looks < LOOKS_QUIET)
		pause_core();
	else if (looks < LOOKS)
		sched_yield();
	else
		nanosleep(&(struct timespec){0, looks < LOOKS_LONG ? NAP_NS : NAP_LONG_NS}, NULL);
}

/* False when another has the turn, or nothing could be done. */
static bool try_turn(struct deal *d)
{
	if (atomic_load_explicit(&d->turn, memory_order_relaxed) ||
	    atomic_exchange_explicit(&d->turn, true, memory_order_acquire))
		return false;
	const bool done = !atomic_load_explicit(&d->ended, memory_order_relaxed) && deal_on(d);
	atomic_store_explicit(&d->turn, false, memory_order_release);
	return done;
}

/* How many hands there are, once there are more than `done`, or no more will come. */
static uint64_t wait_for_hand(struct deal *d, uint64_t done)
{
	uint64_t dealt;
	unsigned looks = 0;
	atomic_fetch_add_explicit(&d->waiting, 1, memory_order_relaxed);
	for (;;) {
		/* in this order: behind the end nothing is dealt */
		const bool ended = atomic_load_explicit(&d->ended, memory_order_acquire);
		dealt = atomic_load_explicit(&d->dealt, memory_order_acquire);
		if (dealt > done || ended)
			break;
		if (try_turn(d))
			looks = 0;
		else
			rest(looks++);
	}
	atomic_fetch_sub_explicit(&d->waiting, 1, memory_order_relaxed);
	return dealt;
}

/* Has a worker that is through with `done` hands enough before it, and has everybody else something to do? */
static bool is_enough(const struct deal *d, uint64_t dealt, uint64_t done)
{
	const uint64_t enough = d->ahead < ENOUGH ? d->ahead : ENOUGH;
	return dealt - done >= enough &&
	       atomic_load_explicit(&d->waiting, memory_order_relaxed) == 0;
}

/* Deals as long as it may and there is not enough for all. Returns how many hands there are. */
static uint64_t deal_ahead(struct deal *d, uint64_t done)
{
	uint64_t dealt = atomic_load_explicit(&d->dealt, memory_order_acquire), before;
	do {
		before = dealt;
		if (dealt - done < d->ahead && try_turn(d))
			dealt = atomic_load_explicit(&d->dealt, memory_order_acquire);
	} while (dealt > before && !is_enough(d, dealt, done));
	return dealt;
}

const struct hand *deal_next(struct deal *d, unsigned worker)
{
	const uint64_t done = atomic_load_explicit(&d->place[worker].done, memory_order_relaxed);
	uint64_t dealt = deal_ahead(d, done);
	if (dealt == done)
		dealt = wait_for_hand(d, done);
	return dealt > done ? &d->hand[done % HANDS] : NULL;
}

void deal_done(struct deal *d, unsigned worker)
{
	_Atomic uint64_t *done = &d->place[worker].done;
	atomic_store_explicit(done, atomic_load_explicit(done, memory_order_relaxed) + 1,
			      memory_order_release);
}

uint64_t deal_bytes_read(const struct deal *d)
{
	return atomic_load_explicit(&d->bytes_read, memory_order_relaxed);
}

int deal_error(const struct deal *d)
{
	return d->error;
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Nobody else decides on whole packets, and none is waited for. */
static bool can_sort(const struct conf *c)
{
	return short_cut_is_there(c) && c->sample.mode == SAMPLING_NONE && c->rate_cap == 0 &&
	       c->speed == 0;
}

int deal_new(const struct deal_conf *conf, struct deal **ret_deal)
{
	const struct conf *c = conf->conf;
	const bool paced = c->speed > 0;
	struct deal *d = aligned_alloc(_Alignof(struct deal), sizeof(*d));
	if (d == NULL)
		return ERR_NOMEM;
	memset(d, 0, sizeof(*d));
	d->conf = *conf;
	d->hand_max = paced ? PACED_MAX : HAND_MAX;
	d->ahead = paced ? PACED_AHEAD : AHEAD;
	d->sorts = can_sort(c);
	d->looks_into_udp = c->decap_flags != 0;
	d->clock_ns = CLOCK_UNSET;
	d->place = aligned_alloc(_Alignof(struct place), conf->workers * sizeof(*d->place));
	d->parts = calloc((size_t)HANDS * conf->workers, sizeof(*d->parts));
	if (d->place == NULL || d->parts == NULL) {
		deal_free(d);
		return ERR_NOMEM;
	}
	for (unsigned i = 0; i < HANDS; i++)
		d->hand[i].part = d->parts + (size_t)i * conf->workers;
	for (unsigned w = 0; w < conf->workers; w++)
		atomic_init(&d->place[w].done, 0);
	*ret_deal = d;
	return 0;
}

void deal_free(struct deal *d)
{
	if (d == NULL)
		return;
	if (d->capture != NULL)
		capture_close(d->capture);
	for (unsigned i = 0; i < HANDS; i++)
		chunks_fini(&d->copies[i]);
	free(d->parts);
	free(d->place);
	free(d);
}
