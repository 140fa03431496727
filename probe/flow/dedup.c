/*
 * Which packets were here a moment ago.
 *
 * Identical are packets whose metered IP header and all that was captured behind it, up to the
 * length that the header gives, are equal byte by byte, and whose lengths are. Frames around it may
 * differ: a copy from another VLAN or a tagged port is a copy.
 *
 * A keyed hash of 128 bits stands for the bytes: the low half picks one of the buckets, the high
 * half is kept there and compared. So a packet is taken for the copy of another with a probability
 * of at most 4 * 2^-64 (four places in a bucket), however full the memory is: at ten million
 * packets a second, once in more than ten thousand years. Keeping the bytes instead would cost 1500
 * of them a packet and a second cache miss for each comparison. The hash is keyed with the run's
 * secret, so nobody can make packets that hide behind others, or that crowd one bucket.
 *
 * The memory is bounded twice: by the window and by its slots. Buckets are cache lines. A packet
 * that finds its bucket full of ones still in the window takes the oldest's place, which is
 * counted: copies of that one would be missed, no packet is ever dropped for want of room.
 *
 * A copy does not prolong the window, or something repeated for ever (keepalives) would be metered
 * once only.
 */
#include "flow/dedup.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "conf.h"
#include "err.h"
#include "pages.h"
#include "tstamp.h"

enum {
	PLACES = 4,	    /* of a bucket */
	PLACES_PER_US = 16, /* of window: eight million packets a second fill half */
	BUCKETS_MIN = 1 << 10,
	BUCKETS_MAX = 1 << 18, /* 16 MiB */
	IP4_HEADER = 20,
	IP6_HEADER = 40,
	IP4_SOURCE = 12, /* where the source address lies */
	IP6_SOURCE = 8,
	IP4_TTL = 8,
	IP4_CHECKSUM = 10,
	IP6_HOP_LIMIT = 7
};

struct place {
	uint64_t tag; /* 0: free */
	int64_t time_ns;
};

struct bucket {
	struct place place[PLACES];
};
_Static_assert(sizeof(struct bucket) == 64, "a bucket is a cache line");

struct dedup {
	struct dedup_conf conf;
	struct bucket *bucket;
	uint64_t mask;
};

/* What the first hash is taken of; the rest of the packet is in it as a hash of its own, so that
 * bytes to set aside need no copy of the packet. No holes: hashed as it lies. */
struct digest {
	uint8_t header[IP6_HEADER];
	uint64_t octets;
	uint64_t rest[2];
};
_Static_assert(sizeof(struct digest) == 64, "no holes in what is hashed");

/* ---- identity ------------------------------------------------------------------------------ */

static void set_aside(uint8_t *header, unsigned version, uint32_t ignore)
{
	if (version == 6 && (ignore & DEDUP_IGNORE_TTL))
		header[IP6_HOP_LIMIT] = 0;
	if (version != 4)
		return;
	if (ignore & DEDUP_IGNORE_TTL)
		header[IP4_TTL] = 0;
	/* whoever changes the TTL changes the checksum */
	if (ignore & (DEDUP_IGNORE_TTL | DEDUP_IGNORE_CHECKSUM))
		memset(header + IP4_CHECKSUM, 0, 2);
}

static XXH128_hash_t identify(const struct dedup *d, const struct raw_packet *raw,
			      const struct packet *p)
{
	const bool ip6 = p->ip_version == 6;
	const size_t header = ip6 ? IP6_HEADER : IP4_HEADER;
	const uint8_t *ip = p->src - (ip6 ? IP6_SOURCE : IP4_SOURCE);
	/* decode saw the whole fixed header, or the packet would be malformed */
	size_t n = (size_t)(raw->data + raw->caplen - ip);
	if (n > p->octets)
		n = p->octets > header ? (size_t)p->octets : header;
	const uint8_t *secret = d->conf.secret->bytes;
	struct digest digest = {.octets = p->octets};
	memcpy(digest.header, ip, header);
	set_aside(digest.header, p->ip_version, d->conf.ignore);
	XXH128_hash_t rest =
		XXH3_128bits_withSecret(ip + header, n - header, secret, FLOW_SECRET_BYTES);
	digest.rest[0] = rest.low64;
	digest.rest[1] = rest.high64;
	return XXH3_128bits_withSecret(&digest, sizeof(digest), secret, FLOW_SECRET_BYTES);
}

/* ---- the memory ---------------------------------------------------------------------------- */

static bool is_over(const struct dedup *d, const struct place *place, int64_t clock_ns)
{
	return clock_ns - place->time_ns > d->conf.window_ns;
}

/* The place to give up: a free one, else the oldest. */
static struct place *oldest_of(struct bucket *b)
{
	struct place *oldest = &b->place[0];
	for (unsigned i = 0; i < PLACES; i++) {
		if (b->place[i].tag == 0)
			return &b->place[i];
		if (b->place[i].time_ns < oldest->time_ns)
			oldest = &b->place[i];
	}
	return oldest;
}

static struct place *find(struct bucket *b, uint64_t tag)
{
	for (unsigned i = 0; i < PLACES; i++)
		if (b->place[i].tag == tag)
			return &b->place[i];
	return NULL;
}

bool dedup_is_copy(struct dedup *d, const struct raw_packet *raw, const struct packet *packet,
		   int64_t clock_ns)
{
	const XXH128_hash_t id = identify(d, raw, packet);
	const uint64_t tag = id.high64 != 0 ? id.high64 : 1;
	struct bucket *b = &d->bucket[id.low64 & d->mask];
	struct place *place = find(b, tag);
	if (place != NULL && !is_over(d, place, clock_ns))
		return true;
	if (place == NULL) {
		place = oldest_of(b);
		if (place->tag != 0 && d->conf.counters != NULL && !is_over(d, place, clock_ns))
			d->conf.counters->v[COUNTER_DEDUP_CROWDED]++;
	}
	*place = (struct place){tag, clock_ns};
	return false;
}

/* ---- life ---------------------------------------------------------------------------------- */

static uint64_t buckets_for(int64_t window_ns)
{
	uint64_t wanted = (uint64_t)window_ns / NS_PER_US * PLACES_PER_US / PLACES;
	uint64_t buckets = BUCKETS_MIN;
	while (buckets < wanted && buckets < BUCKETS_MAX)
		buckets *= 2;
	return buckets;
}

int dedup_new(const struct dedup_conf *conf, struct dedup **ret_dedup)
{
	struct dedup *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return ERR_NOMEM;
	d->conf = *conf;
	d->mask = buckets_for(conf->window_ns) - 1;
	d->bucket = pages_new((d->mask + 1) * sizeof(*d->bucket));
	if (d->bucket == NULL) {
		free(d);
		return ERR_NOMEM;
	}
	*ret_dedup = d;
	return 0;
}

void dedup_clear(struct dedup *d)
{
	pages_clear(d->bucket, (d->mask + 1) * sizeof(*d->bucket));
}

void dedup_free(struct dedup *d)
{
	if (d == NULL)
		return;
	pages_free(d->bucket, (d->mask + 1) * sizeof(*d->bucket));
	free(d);
}
