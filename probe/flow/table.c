/* Finding, making and counting flows; table.h tells the design. */
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "pages.h"
#include "table_internal.h"

/* ---- the index ---------------------------------------------------------------------------- */

/* Home bucket by multiply and shift, so that their number need not be a power of two. */
static inline uint32_t bucket_of(const struct flow_table *t, uint64_t hash)
{
	return (uint32_t)(((hash >> 32) * t->buckets) >> 32);
}

static inline uint32_t bucket_next(const struct flow_table *t, uint32_t b)
{
	return b + 1 == t->buckets ? 0 : b + 1;
}

static inline uint16_t tag_of(uint64_t hash)
{
	uint16_t tag = (uint16_t)hash;
	return tag != 0 ? tag : 1;
}

/* The key of an entry as it was hashed. */
static void entry_key(const struct flow_table *t, uint32_t number, struct flow_key *ret_key)
{
	const struct entry *e = &t->entry[number];
	memset(ret_key, 0, sizeof(*ret_key));
	memcpy(ret_key, e, FLOW_KEY_IP4_BYTES);
	memcpy(ret_key->upper, e->upper, sizeof(ret_key->upper));
	if (t->conf.key_vlan)
		ret_key->vlan = t->rare[number].vlan;
	if (t->conf.key_mac) {
		unsigned forward = (e->state & STATE_FLIPPED) != 0;
		memcpy(ret_key->mac[forward], t->mac[number][0], 6);
		memcpy(ret_key->mac[forward ^ 1], t->mac[number][1], 6);
	}
}

static bool full_key_equal(const struct flow_table *t, uint32_t number, const struct flow_key *key)
{
	struct flow_key held;
	entry_key(t, number, &held);
	return memcmp(&held, key, sizeof(held)) == 0;
}

static inline bool key_equal(const struct flow_table *t, uint32_t number,
			     const struct flow_key *key)
{
	const struct entry *e = &t->entry[number];
	uint64_t a[2], b[2];
	memcpy(a, e, sizeof(a));
	memcpy(b, key, sizeof(b));
	if (((a[0] ^ b[0]) | (a[1] ^ b[1])) != 0)
		return false;
	if (key->meta & KEY_META_IPV6 && memcmp(e->upper, key->upper, sizeof(e->upper)) != 0)
		return false;
	return !t->full_key || full_key_equal(t, number, key);
}

/* What a search found: the flow to join, or how many flows of the same 5-tuple there are. */
struct match {
	uint32_t number; /* ENTRY_NONE: none to join */
	unsigned dir;    /* of the packet in that flow */
	unsigned siblings;
	uint32_t sibling[FLOW_SIBLINGS_MAX];
};

/*
 * The flow a packet would join (METERING.md §5). A flow that has the packet's ToS in its direction
 * wins at once: no second can have it, since a packet sets a ToS only where none has it. Else the
 * oldest in whose direction ToS is unset.
 */
static inline void table_find(const struct flow_table *t, const struct flow_packet *in,
			      struct match *m)
{
	uint32_t b = bucket_of(t, in->hash);
	uint16_t tag = tag_of(in->hash);
	m->number = ENTRY_NONE;
	m->siblings = 0;
	for (unsigned probe = 0; probe < PROBE_MAX; probe++, b = bucket_next(t, b)) {
		const struct bucket *bucket = &t->bucket[b];
		for (unsigned s = 0; s < BUCKET_SLOTS; s++) {
			if (bucket->tag[s] != tag)
				continue;
			uint32_t number = bucket->entry[s];
			if (!key_equal(t, number, &in->key))
				continue;
			const struct entry *e = &t->entry[number];
			unsigned dir = in->side ^ ((e->state & STATE_FLIPPED) != 0);
			bool heard = (e->state & STATE_HEARD << dir) != 0;
			if (heard && ((e->tos[dir] ^ in->packet.tos) & t->conf.tos_mask) == 0) {
				m->number = number;
				m->dir = dir;
				return;
			}
			if (m->siblings < FLOW_SIBLINGS_MAX)
				m->sibling[m->siblings++] = number;
			if (!heard && (m->number == ENTRY_NONE || e->id < t->entry[m->number].id)) {
				m->number = number;
				m->dir = dir;
			}
		}
		if (bucket->passed == 0)
			return;
	}
}

/* Is the flow that the prefetch saw the one that has the packet's ToS? Then it is the one to join,
 * since no second can have it, and the index need not be searched. */
static inline bool hint_serves(const struct flow_table *t, const struct flow_packet *in,
			       struct match *m)
{
	if (in->hint == FLOW_HINT_NONE)
		return false;
	const struct entry *e = &t->entry[in->hint];
	if (!(e->state & STATE_HELD) || !key_equal(t, in->hint, &in->key))
		return false;
	m->number = in->hint;
	m->dir = in->side ^ ((e->state & STATE_FLIPPED) != 0);
	m->siblings = 0;
	return e->state & STATE_HEARD << m->dir &&
	       ((e->tos[m->dir] ^ in->packet.tos) & t->conf.tos_mask) == 0;
}

/* Enters a number under a hash; false when all buckets of its probe are full. */
static bool index_insert(struct flow_table *t, uint64_t hash, uint32_t number)
{
	uint32_t home = bucket_of(t, hash), b = home;
	for (unsigned probe = 0; probe < PROBE_MAX; probe++, b = bucket_next(t, b)) {
		struct bucket *bucket = &t->bucket[b];
		for (unsigned s = 0; s < BUCKET_SLOTS; s++) {
			if (bucket->tag[s] != 0)
				continue;
			bucket->tag[s] = tag_of(hash);
			bucket->entry[s] = number;
			for (uint32_t p = home; p != b; p = bucket_next(t, p))
				t->bucket[p].passed++;
			return true;
		}
	}
	return false;
}

static void index_remove(struct flow_table *t, uint64_t hash, uint32_t number)
{
	uint32_t home = bucket_of(t, hash), b = home;
	uint16_t tag = tag_of(hash);
	for (unsigned probe = 0; probe < PROBE_MAX; probe++, b = bucket_next(t, b)) {
		struct bucket *bucket = &t->bucket[b];
		for (unsigned s = 0; s < BUCKET_SLOTS; s++) {
			if (bucket->tag[s] != tag || bucket->entry[s] != number)
				continue;
			bucket->tag[s] = 0;
			for (uint32_t p = home; p != b; p = bucket_next(t, p))
				t->bucket[p].passed--;
			return;
		}
	}
}

/* ---- entries ------------------------------------------------------------------------------ */

static uint32_t entry_get(struct flow_table *t, int64_t clock_ns)
{
	if (t->free == ENTRY_NONE && t->high < t->entries)
		return t->high++;
	while (t->free == ENTRY_NONE)
		table_evict(t, clock_ns);
	uint32_t number = t->free;
	t->free = (uint32_t)t->entry[number].id;
	return number;
}

static void entry_put(struct flow_table *t, uint32_t number)
{
	struct entry *e = &t->entry[number];
	e->state &= STATE_PLACE;
	e->id = t->free;
	t->free = number;
}

void table_remove(struct flow_table *t, uint32_t number)
{
	struct flow_key key;
	entry_key(t, number, &key);
	index_remove(t, flow_key_hash(&key, t->full_key, t->conf.secret), number);
	entry_put(t, number);
	t->held--;
}

/* Ends the flow of a probe's buckets that has been idle longest; there is one, they are full. */
static void evict_from_probe(struct flow_table *t, uint64_t hash, int64_t clock_ns)
{
	uint32_t b = bucket_of(t, hash), victim = t->bucket[b].entry[0];
	for (unsigned probe = 0; probe < PROBE_MAX; probe++, b = bucket_next(t, b))
		for (unsigned s = 0; s < BUCKET_SLOTS; s++)
			if (entry_arrival(t, t->bucket[b].entry[s]) < entry_arrival(t, victim))
				victim = t->bucket[b].entry[s];
	if (entry_settle(t, victim, clock_ns, SETTLE_SWEEP))
		entry_end(t, victim, FLOW_END_RESOURCES, clock_ns);
}

/*
 * A ninth flow of a 5-tuple (METERING.md §5). What is due on the eight happens first and may make
 * room; else the one longest idle goes, the oldest among equals.
 */
static void make_sibling_room(struct flow_table *t, const struct match *m, int64_t clock_ns)
{
	uint32_t victim = ENTRY_NONE;
	unsigned held = 0;
	for (unsigned i = 0; i < m->siblings; i++) {
		uint32_t n = m->sibling[i];
		if (!entry_settle(t, n, clock_ns, SETTLE_SWEEP))
			continue;
		held++;
		if (victim == ENTRY_NONE) {
			victim = n;
			continue;
		}
		int64_t a = entry_arrival(t, n), v = entry_arrival(t, victim);
		if (a < v || (a == v && t->entry[n].id < t->entry[victim].id))
			victim = n;
	}
	if (held == FLOW_SIBLINGS_MAX)
		entry_end(t, victim, FLOW_END_RESOURCES, clock_ns);
}

static void keep_l2(struct flow_table *t, uint32_t number, const struct packet *p, unsigned dir)
{
	static const uint8_t none[12];
	const uint8_t *macs = p->flags & PACKET_MACS ? p->macs : none;
	memcpy(t->mac[number][dir], macs + 6, 6);
	memcpy(t->mac[number][dir ^ 1], macs, 6);
}

/* A new flow for a packet that joins none; returns its number and the packet's direction. */
static uint32_t entry_new(struct flow_table *t, const struct flow_packet *in, unsigned *ret_dir)
{
	uint32_t number = entry_get(t, in->clock_ns);
	while (!index_insert(t, in->hash, number))
		evict_from_probe(t, in->hash, in->clock_ns);
	struct entry *e = &t->entry[number];
	unsigned place = e->state & STATE_PLACE;
	unsigned dir = flow_key_turns(&in->key, &in->packet, in->side) ? FLOW_REVERSE : FLOW_FORWARD;
	memset(e, 0, sizeof(*e));
	memcpy(e, &in->key, FLOW_KEY_IP4_BYTES);
	memcpy(e->upper, in->key.upper, sizeof(e->upper));
	e->state = (uint16_t)(STATE_HELD | place | (in->side != dir ? STATE_FLIPPED : 0));
	e->id = in->number;
	t->rare[number] = (struct rare){.vlan = in->packet.vlan, .cvlan = in->packet.cvlan};
	if (t->mac != NULL)
		keep_l2(t, number, &in->packet, dir);
	entry_file_new(t, number, in->clock_ns);
	t->held++;
	t->conf.counters->v[COUNTER_FLOWS_CREATED]++;
	*ret_dir = dir;
	return number;
}

/* ---- counting a packet -------------------------------------------------------------------- */

/* METERING.md §6: RST in either direction, or FIN in every direction that was ever heard. */
static bool tcp_is_closed(unsigned state)
{
	if (state & STATE_RST)
		return true;
	unsigned heard = state / STATE_HEARD & 3, fin = state / STATE_FIN & 3;
	return fin != 0 && (heard & ~fin) == 0;
}

static void tcp_track(struct flow_table *t, uint32_t number, unsigned dir, unsigned tcp_flags,
		      int64_t clock_ns)
{
	struct entry *e = &t->entry[number];
	unsigned state = e->state;
	if (tcp_flags & TCP_FIN)
		state |= STATE_FIN << dir;
	if (tcp_flags & TCP_RST)
		state |= STATE_RST;
	bool was = (state & STATE_CLOSED) != 0, is = tcp_is_closed(state);
	state &= ~(unsigned)STATE_CLOSED;
	e->state = (uint16_t)(state | (is ? STATE_CLOSED : 0));
	if (is && !was) {
		e->closed_ns = clock_ns;
		entry_file_closing(t, number);
	}
}

/* First packet of a direction in this record. */
static void open_direction(struct flow_table *t, uint32_t number, unsigned dir,
			   const struct flow_packet *in)
{
	struct entry *e = &t->entry[number];
	if (!(e->state & STATE_RECORD)) {
		e->state |= STATE_RECORD;
		e->record_ns = in->clock_ns;
	}
	if (!(e->state & STATE_HEARD << dir)) {
		e->state |= (uint16_t)(STATE_HEARD << dir);
		t->rare[number].ingress[dir] = in->ingress <= UINT16_MAX ? (uint16_t)in->ingress : 0;
	}
	e->tos[dir] = in->packet.tos; /* the masked bits are what they were */
	e->first_ns[dir] = in->time_ns;
	e->last_ns[dir] = in->time_ns;
	e->ttl_min[dir] = in->packet.ttl;
	e->ttl_max[dir] = in->packet.ttl;
}

/* Would the packet overflow the lower 32 bits of a counter? */
static inline bool needs_carry(const struct entry *e, unsigned dir, uint64_t octets)
{
	return e->octets[dir] + octets > UINT32_MAX || e->packets[dir] == UINT32_MAX;
}

/* Have the upper 16 bits room for a packet? Only lies about jumbograms ever fill them. */
static bool has_room(const struct flow_table *t, uint32_t number, unsigned dir)
{
	const struct rare *r = &t->rare[number];
	return r->packets_high[dir] < UINT16_MAX && r->octets_high[dir] < UINT16_MAX - 2;
}

/* Carries into the upper 16 bits, which have room. */
static void carry(struct flow_table *t, uint32_t number, unsigned dir, uint64_t octets)
{
	struct rare *r = &t->rare[number];
	struct entry *e = &t->entry[number];
	if (e->packets[dir] == UINT32_MAX) {
		r->packets_high[dir]++;
		e->packets[dir] = 0;
	}
	r->octets_high[dir] += (uint16_t)((e->octets[dir] + octets) >> 32);
}

static inline void entry_count(struct flow_table *t, uint32_t number, unsigned dir,
			       const struct flow_packet *in)
{
	struct entry *e = &t->entry[number];
	const struct packet *p = &in->packet;
	const bool carries = needs_carry(e, dir, p->octets);
	/* full: the record leaves and the next one begins here, so that no count is ever wrong */
	if (__builtin_expect(carries, 0) && !has_room(t, number, dir))
		record_send(t, number, FLOW_END_RESOURCES, in->clock_ns);
	if (e->packets[dir] == 0)
		open_direction(t, number, dir, in);
	if (__builtin_expect(carries, 0))
		carry(t, number, dir, p->octets);
	e->octets[dir] += (uint32_t)p->octets;
	e->packets[dir]++;
	if (p->ttl < e->ttl_min[dir])
		e->ttl_min[dir] = p->ttl;
	if (p->ttl > e->ttl_max[dir])
		e->ttl_max[dir] = p->ttl;
	if (in->time_ns > e->last_ns[dir])
		e->last_ns[dir] = in->time_ns;
	if (__builtin_expect(in->time_ns != in->clock_ns, 0)) {
		if (in->time_ns < e->first_ns[dir])
			e->first_ns[dir] = in->time_ns;
		t->rare[number].arrival_ns = in->clock_ns;
		e->state |= STATE_LATE;
	} else {
		e->state &= (uint16_t)~STATE_LATE;
	}
	e->tcp_flags[dir] |= p->tcp_flags;
	if (e->ip_proto == PROTO_TCP &&
	    (p->tcp_flags & (TCP_FIN | TCP_RST) ||
	     e->state & (STATE_FIN | STATE_FIN << 1 | STATE_RST)))
		tcp_track(t, number, dir, p->tcp_flags, in->clock_ns);
}

static inline bool is_new_connection(const struct packet *p)
{
	return p->ip_proto == PROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Could a deadline of the flow be due? One comparison for nearly every packet. */
static inline bool may_be_due(const struct entry *e, int64_t clock_ns)
{
	return (int32_t)((uint32_t)tick_of(clock_ns) - e->tick) >= 0;
}

/* May the packet join the flow found, once what is due on it has happened? If not it has ended. */
static bool joinable(struct flow_table *t, struct match *m, const struct flow_packet *in)
{
	const struct entry *e = &t->entry[m->number];
	return !may_be_due(e, in->clock_ns) ||
	       entry_settle(t, m->number, in->clock_ns, SETTLE_PACKET);
}

void flow_table_update(struct flow_table *t, const struct flow_packet *in)
{
	struct match m;
	if (!hint_serves(t, in, &m))
		table_find(t, in, &m);
	while (m.number != ENTRY_NONE && !joinable(t, &m, in))
		table_find(t, in, &m);
	if (m.number != ENTRY_NONE && t->entry[m.number].state & STATE_CLOSED &&
	    is_new_connection(&in->packet)) {
		entry_end(t, m.number, FLOW_END_DETECTED, in->clock_ns);
		table_find(t, in, &m);
		m.number = ENTRY_NONE;
	}
	if (m.number == ENTRY_NONE) {
		if (m.siblings == FLOW_SIBLINGS_MAX)
			make_sibling_room(t, &m, in->clock_ns);
		m.number = entry_new(t, in, &m.dir);
	}
	entry_count(t, m.number, m.dir, in);
	t->seen_ns = in->clock_ns;
}

void flow_table_prefetch_bucket(const struct flow_table *t, const struct flow_packet *in)
{
	__builtin_prefetch(&t->bucket[bucket_of(t, in->hash)], 1);
}

void flow_table_prefetch_entry(const struct flow_table *t, struct flow_packet *in)
{
	const struct bucket *bucket = &t->bucket[bucket_of(t, in->hash)];
	uint16_t tag = tag_of(in->hash);
	in->hint = FLOW_HINT_NONE;
	for (unsigned s = 0; s < BUCKET_SLOTS; s++) {
		if (bucket->tag[s] != tag)
			continue;
		const struct entry *e = &t->entry[bucket->entry[s]];
		in->hint = bucket->entry[s];
		__builtin_prefetch(e, 1);
		if (in->key.meta & KEY_META_IPV6)
			__builtin_prefetch(e->upper, 1);
		return;
	}
}

/* ---- life --------------------------------------------------------------------------------- */

static size_t bucket_bytes(const struct flow_table *t)
{
	return (size_t)t->buckets * sizeof(struct bucket);
}

static size_t array_bytes(const struct flow_table *t, size_t element)
{
	return (size_t)t->entries * element;
}

/* Slots of the wheel: 1024 ticks are 275 s; what is due later is filed at the rim. */
#define WHEEL_SLOTS 1024

int flow_table_new(const struct flow_table_conf *conf, struct flow_table **ret_table)
{
	if (conf->flows < 64 || conf->flows >= WHEEL_CLOSING)
		return ERR_INVAL;
	struct flow_table *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return ERR_NOMEM;
	t->conf = *conf;
	t->entries = (uint32_t)conf->flows;
	t->buckets = (uint32_t)(conf->flows / BUCKET_LOAD + 1);
	if (t->buckets < PROBE_MAX)
		t->buckets = PROBE_MAX;
	t->free = ENTRY_NONE;
	t->bucket = pages_new(bucket_bytes(t));
	t->entry = pages_new(array_bytes(t, sizeof(*t->entry)));
	t->rare = pages_new(array_bytes(t, sizeof(*t->rare)));
	t->full_key = conf->key_vlan || conf->key_mac;
	if (conf->keep_macs || conf->key_mac)
		t->mac = pages_new(array_bytes(t, sizeof(*t->mac)));
	/* twice: a closing flow is filed a second time */
	int err = timer_wheel_init(&t->wheel, WHEEL_SLOTS, 2 * conf->flows, 0);
	if (err == 0 && (t->bucket == NULL || t->entry == NULL || t->rare == NULL ||
			 ((conf->keep_macs || conf->key_mac) && t->mac == NULL)))
		err = ERR_NOMEM;
	if (err != 0) {
		flow_table_free(t);
		return err;
	}
	*ret_table = t;
	return 0;
}

void flow_table_free(struct flow_table *t)
{
	if (t == NULL)
		return;
	timer_wheel_fini(&t->wheel);
	pages_free(t->bucket, bucket_bytes(t));
	pages_free(t->entry, array_bytes(t, sizeof(*t->entry)));
	pages_free(t->rare, array_bytes(t, sizeof(*t->rare)));
	if (t->mac != NULL)
		pages_free(t->mac, array_bytes(t, sizeof(*t->mac)));
	free(t);
}

void flow_table_flush(struct flow_table *t, int64_t clock_ns)
{
	/* A full index is emptied at once; a few flows are taken out one by one, since the cost must
	 * be what is held (a capture may set time back with every packet). */
	const bool few = t->held < t->buckets / 8;
	for (uint32_t n = 0; n < t->high && t->held > 0; n++) {
		if (!(t->entry[n].state & STATE_HELD) ||
		    !entry_settle(t, n, clock_ns, SETTLE_PACKET))
			continue;
		if (few)
			entry_end(t, n, FLOW_END_FORCED, clock_ns);
		else
			record_send(t, n, FLOW_END_FORCED, clock_ns);
	}
	if (!few)
		pages_clear(t->bucket, bucket_bytes(t));
	t->held = 0;
	/* no flow is left to inherit a place in the wheel */
	for (uint32_t n = 0; n < t->high; n++)
		t->entry[n].state = 0;
	t->high = 0;
	t->free = ENTRY_NONE;
	t->hand = 0;
	t->victims = 0;
	t->seen_ns = 0;
	timer_wheel_reset(&t->wheel, 0);
}

uint64_t flow_table_held(const struct flow_table *t)
{
	return t->held;
}

uint64_t flow_table_bytes(const struct flow_table *t)
{
	return bucket_bytes(t) + array_bytes(t, sizeof(*t->entry)) +
	       array_bytes(t, sizeof(*t->rare)) +
	       (t->mac != NULL ? array_bytes(t, sizeof(*t->mac)) : 0) +
	       timer_wheel_bytes(&t->wheel);
}

uint64_t flow_table_bytes_per_flow(bool keep_macs)
{
	return sizeof(struct entry) + sizeof(struct rare) + (keep_macs ? 12 : 0) +
	       (sizeof(struct bucket) + BUCKET_LOAD - 1) / BUCKET_LOAD +
	       2 * (64 + TIMER_WHEEL_CHUNK - 1) / TIMER_WHEEL_CHUNK;
}

/* ---- checking ----------------------------------------------------------------------------- */

static bool is_indexed(const struct flow_table *t, uint32_t number)
{
	struct flow_key key;
	entry_key(t, number, &key);
	uint64_t hash = flow_key_hash(&key, t->full_key, t->conf.secret);
	uint32_t b = bucket_of(t, hash);
	for (unsigned probe = 0; probe < PROBE_MAX; probe++, b = bucket_next(t, b)) {
		const struct bucket *bucket = &t->bucket[b];
		for (unsigned s = 0; s < BUCKET_SLOTS; s++)
			if (bucket->tag[s] == tag_of(hash) && bucket->entry[s] == number)
				return true;
		if (bucket->passed == 0)
			return false;
	}
	return false;
}

bool flow_table_is_consistent(const struct flow_table *t)
{
	uint32_t held = 0, free_entries = 0, tags = 0;
	for (uint32_t n = 0; n < t->high; n++) {
		const struct entry *e = &t->entry[n];
		if (!(e->state & STATE_HELD))
			continue;
		held++;
		if (!is_indexed(t, n) || !(e->state & STATE_FILED))
			return false;
		if ((e->state & STATE_CLOSED) && !(e->state & STATE_FILED_CLOSING))
			return false;
		if (((e->packets[0] | e->packets[1]) != 0) != ((e->state & STATE_RECORD) != 0))
			return false;
	}
	for (uint32_t n = t->free; n != ENTRY_NONE; n = (uint32_t)t->entry[n].id)
		if (t->entry[n].state & STATE_HELD || ++free_entries > t->high)
			return false;
	for (uint32_t b = 0; b < t->buckets; b++)
		for (unsigned s = 0; s < BUCKET_SLOTS; s++)
			tags += t->bucket[b].tag[s] != 0;
	return held == t->held && held + free_entries == t->high && tags == held &&
	       timer_wheel_is_consistent(&t->wheel);
}
