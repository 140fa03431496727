/* The fragment cache: a ring of trains in the order they came, chained by hash. */
#include "flow/frag.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "err.h"
#include "pages.h"

struct frag_key {
	uint8_t src[16], dst[16];
	uint32_t id;
	uint8_t ip_version;
	uint8_t ip_proto; /* IPv4 only: in IPv6 the first fragment tells it */
	uint8_t iface;
	uint8_t reserved;
};

struct train {
	struct frag_key key;
	int64_t seen_ns;   /* arrival of the first fragment */
	uint32_t next;     /* in the chain of its hash */
	uint16_t sport, dport;
	uint8_t ip_proto;
	bool ports;
	bool used;
};

struct frag_cache {
	const struct flow_secret *secret;
	struct counters *counters;
	struct train *train; /* FRAG_TRAINS of them */
	uint32_t *head;      /* as many chains, 1 + index, 0 = empty */
	uint32_t hand;       /* the oldest: next to be overwritten */
	uint64_t stored;     /* trains since the last clear, which left the hand at 0 */
};

#define TRAIN_BYTES (FRAG_TRAINS * sizeof(struct train))
#define HEAD_BYTES  (FRAG_TRAINS * sizeof(uint32_t))

int frag_cache_new(const struct flow_secret *secret, struct counters *counters,
		   struct frag_cache **ret_cache)
{
	struct frag_cache *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return ERR_NOMEM;
	c->secret = secret;
	c->counters = counters;
	c->train = pages_new(TRAIN_BYTES);
	c->head = pages_new(HEAD_BYTES);
	if (c->train == NULL || c->head == NULL) {
		frag_cache_free(c);
		return ERR_NOMEM;
	}
	*ret_cache = c;
	return 0;
}

void frag_cache_free(struct frag_cache *c)
{
	if (c == NULL)
		return;
	pages_free(c->train, TRAIN_BYTES);
	pages_free(c->head, HEAD_BYTES);
	free(c);
}

static void make_key(struct frag_key *key, const struct packet *p, uint8_t iface)
{
	size_t n = p->ip_version == 6 ? 16 : 4;
	memset(key, 0, sizeof(*key));
	memcpy(key->src, p->src, n);
	memcpy(key->dst, p->dst, n);
	key->id = p->frag_id;
	key->ip_version = p->ip_version;
	key->ip_proto = p->ip_version == 4 ? p->ip_proto : 0;
	key->iface = iface;
}

static uint32_t *chain_of(struct frag_cache *c, const struct frag_key *key)
{
	uint64_t h = XXH3_64bits_withSecret(key, sizeof(*key), c->secret->bytes, FLOW_SECRET_BYTES);
	return &c->head[h % FRAG_TRAINS];
}

static struct train *find(struct frag_cache *c, const struct frag_key *key)
{
	for (uint32_t at = *chain_of(c, key); at != 0; at = c->train[at - 1].next)
		if (memcmp(&c->train[at - 1].key, key, sizeof(*key)) == 0)
			return &c->train[at - 1];
	return NULL;
}

static void unlink_train(struct frag_cache *c, struct train *t)
{
	uint32_t number = (uint32_t)(t - c->train) + 1;
	uint32_t *at = chain_of(c, &t->key);
	while (*at != number)
		at = &c->train[*at - 1].next;
	*at = t->next;
	t->used = false;
}

void frag_cache_clear(struct frag_cache *c)
{
	/* costs what is held: a capture may set time back with every packet */
	for (uint32_t i = 0; i < FRAG_TRAINS && i < c->stored; i++)
		if (c->train[i].used)
			unlink_train(c, &c->train[i]);
	c->hand = 0;
	c->stored = 0;
}

static void remember(struct frag_cache *c, const struct frag_key *key, const struct packet *p,
		     int64_t clock_ns)
{
	struct train *old = find(c, key);
	if (old != NULL)
		unlink_train(c, old); /* the identification is used again: the newest counts */
	struct train *t = &c->train[c->hand];
	if (t->used) {
		if (clock_ns - t->seen_ns <= FRAG_LIFE_NS)
			c->counters->v[COUNTER_FRAG_OVERWRITTEN]++;
		unlink_train(c, t);
	}
	uint32_t *chain = chain_of(c, key);
	*t = (struct train){
		.key = *key,
		.seen_ns = clock_ns,
		.next = *chain,
		.sport = p->sport,
		.dport = p->dport,
		.ip_proto = p->ip_proto,
		.ports = (p->flags & PACKET_PORTS) != 0,
		.used = true,
	};
	*chain = c->hand + 1;
	c->stored++;
	c->hand = (c->hand + 1) % FRAG_TRAINS;
}

void frag_cache_apply(struct frag_cache *c, struct packet *p, uint8_t iface, int64_t clock_ns)
{
	struct frag_key key;
	make_key(&key, p, iface);
	if (p->flags & PACKET_FRAG_FIRST) {
		remember(c, &key, p, clock_ns);
		return;
	}
	const struct train *t = find(c, &key);
	if (t == NULL || clock_ns - t->seen_ns > FRAG_LIFE_NS) {
		c->counters->v[COUNTER_FRAGMENTS_ORPHAN]++;
		return;
	}
	p->ip_proto = t->ip_proto;
	if (t->ports) {
		p->sport = t->sport;
		p->dport = t->dport;
		p->flags |= PACKET_PORTS;
	}
}
