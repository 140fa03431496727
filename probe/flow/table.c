/* Finding, making and counting flows; table.h tells the design. */
#include <string.h>

#include "flow/key_plain.h"
#include "table_index.h"

/* ---- finding ------------------------------------------------------------------------------ */

static inline uint32_t home_bucket(const struct flow_packet *in)
{
	return in->home / (FLOW_BUCKET_BYTES / 8);
}

/* The direction of a packet in a flow of this state. */
static inline unsigned packet_dir(const struct flow_packet *in, unsigned state)
{
	return (in->side ^ state) & STATE_FLIPPED;
}
_Static_assert(STATE_FLIPPED == 1, "turns a side");

/* The key of an entry as it was hashed. */
static void entry_key(const struct flow_table *t, uint32_t number, struct flow_key *ret_key)
{
	const struct entry *e = &t->entry[number];
	memset(ret_key, 0, sizeof(*ret_key));
	memcpy(ret_key, e, FLOW_KEY_IP4_BYTES);
	if (e->meta & KEY_META_IPV6)
		memcpy(ret_key->upper, &t->upper[number], sizeof(ret_key->upper));
	if (t->conf.key_vlan)
		ret_key->vlan = t->origin[number].vlan;
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

/* The part of the key that all have but VLAN and MACs. */
static inline bool ip_key_equal(const struct entry *e, const struct upper *upper,
				const struct flow_key *key)
{
	if (((e->key_word[0] ^ key->word[0]) | (e->key_word[1] ^ key->word[1])) != 0)
		return false;
	return !(key->meta & KEY_META_IPV6) ||
	       memcmp(upper, key->upper, sizeof(*upper)) == 0;
}

static inline bool key_equal(const struct flow_table *t, uint32_t number,
			     const struct flow_key *key)
{
	return ip_key_equal(&t->entry[number], &t->upper[number], key) &&
	       (!t->full_key || full_key_equal(t, number, key));
}

/* What a search found: the flow to join, or how many flows of the same 5-tuple there are. */
struct match {
	uint32_t number; /* ENTRY_NONE: none to join */
	unsigned dir;    /* of the packet in that flow */
	unsigned siblings;
	uint32_t sibling[FLOW_SIBLINGS_MAX];
};

/* Looks at an entry that has the packet's tag. True when it decides the search. */
static inline bool match_note(const struct flow_table *t, const struct flow_packet *in,
			      uint32_t number, struct match *m)
{
	if (!key_equal(t, number, &in->key))
		return false;
	const struct entry *e = &t->entry[number];
	const unsigned dir = packet_dir(in, e->state);
	const bool heard = (e->state & STATE_HEARD << dir) != 0;
	if (heard && ((e->tos[dir] ^ in->sum.tos) & t->conf.tos_mask) == 0) {
		m->number = number;
		m->dir = dir;
		return true;
	}
	if (m->siblings < FLOW_SIBLINGS_MAX)
		m->sibling[m->siblings++] = number;
	if (!heard && (m->number == ENTRY_NONE ||
		       t->origin[number].id < t->origin[m->number].id)) {
		m->number = number;
		m->dir = dir;
	}
	return false;
}

/* Of a home bucket with a match: is there none anywhere else? */
static inline bool is_only_match(const struct bucket *home, unsigned match)
{
	return home->passed == 0 && (match & (match - 1)) == 0;
}

/*
 * The flow a packet would join (METERING.md §5). A flow that has the packet's ToS in its direction
 * wins at once: no second can have it, since a packet sets a ToS only where none has it. Else the
 * oldest in whose direction ToS is unset.
 */
static inline void table_find(const struct flow_table *t, const struct flow_packet *in,
			      struct match *m)
{
	uint32_t b = home_bucket(in);
	m->number = ENTRY_NONE;
	m->siblings = 0;
	for (unsigned probe = 0; probe < PROBE_MAX; probe++, b = bucket_next(t, b)) {
		const struct bucket *bucket = &t->bucket[b];
		unsigned match = bucket_match(bucket, in->tag);
		for (; match != 0; match &= match - 1)
			if (match_note(t, in, bucket->entry[__builtin_ctzll(match)], m))
				return;
		if (bucket->passed == 0)
			return;
	}
}

/* ---- entries ------------------------------------------------------------------------------ */

/* New entries are taken in order: those to come are fetched ahead. */
#define ENTRY_AHEAD 8

static void entry_prefetch(const struct flow_table *t, uint32_t number)
{
	__builtin_prefetch(&t->entry[number], 1);
	__builtin_prefetch(&t->origin[number], 1);
}

static uint32_t entry_get(struct flow_table *t, int64_t clock_ns)
{
	if (t->free == ENTRY_NONE && t->high < t->entries) {
		entry_prefetch(t, t->high + ENTRY_AHEAD); /* beyond the last it does nothing */
		t->entry[t->high].state = 0; /* a new page has to be asked for by a write */
		return t->high++;
	}
	while (t->free == ENTRY_NONE)
		table_evict(t, clock_ns);
	uint32_t number = t->free;
	t->free = (uint32_t)t->origin[number].id;
	if (t->free != ENTRY_NONE)
		entry_prefetch(t, t->free);
	return number;
}

static void entry_put(struct flow_table *t, uint32_t number)
{
	struct entry *e = &t->entry[number];
	e->state &= STATE_PLACE;
	t->origin[number].id = t->free;
	t->free = number;
}

uint64_t entry_hash(const struct flow_table *t, uint32_t number)
{
	struct flow_key key;
	if (t->full_key) {
		entry_key(t, number, &key);
		return key_hash_bytes(&key, FLOW_KEY_FULL_BYTES, t->conf.secret);
	}
	const struct entry *e = &t->entry[number];
	key.word[0] = e->key_word[0];
	key.word[1] = e->key_word[1];
	if (!(e->meta & KEY_META_IPV6))
		return key_hash_bytes(key.word, FLOW_KEY_IP4_BYTES, t->conf.secret);
	memcpy(key.upper, &t->upper[number], sizeof(key.upper));
	return key_hash_bytes(&key, FLOW_KEY_IP6_BYTES, t->conf.secret);
}

uint64_t entry_fetch_end(const struct flow_table *t, uint32_t number)
{
	const uint64_t hash = entry_hash(t, number);
	__builtin_prefetch(&t->origin[number], 1);
	__builtin_prefetch((const char *)(&t->origin[number] + 1) - 1, 1);
	__builtin_prefetch(&t->bucket[flow_hash_home(t->buckets, hash)], 1);
	return hash;
}

void table_remove(struct flow_table *t, uint32_t number, uint64_t hash)
{
	if (!index_remove(t, hash, number))
		index_remove(t, entry_hash(t, number), number);
	entry_put(t, number);
	t->held--;
}

/* Ends the flow of a probe's buckets that has been idle longest; there is one, they are full. */
static __attribute__((cold)) void evict_from_probe(struct flow_table *t, uint32_t b, int64_t clock_ns)
{
	uint32_t victim = t->bucket[b].entry[0];
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
		if (a < v || (a == v && t->origin[n].id < t->origin[victim].id))
			victim = n;
	}
	if (held == FLOW_SIBLINGS_MAX)
		entry_end(t, victim, FLOW_END_RESOURCES, clock_ns);
}

static void keep_l2(struct flow_table *t, uint32_t number, const uint8_t *macs, unsigned dir)
{
	static const uint8_t none[12];
	if (macs == NULL)
		macs = none;
	memcpy(t->mac[number][dir], macs + 6, 6);
	memcpy(t->mac[number][dir ^ 1], macs, 6);
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
		t->origin[number].closed_ns = clock_ns;
		entry_file_closing(t, number);
	}
}

static uint16_t narrow_ifindex(uint32_t ifindex)
{
	return ifindex <= UINT16_MAX ? (uint16_t)ifindex : 0;
}

/* First packet of a direction in this record. */
static void open_direction(struct flow_table *t, uint32_t number, unsigned dir,
			   const struct flow_packet *in)
{
	struct entry *e = &t->entry[number];
	struct origin *o = &t->origin[number];
	if (!(e->state & STATE_RECORD)) {
		e->state |= STATE_RECORD;
		o->record_ns = in->clock_ns;
	}
	t->openings++;
	if (!(e->state & STATE_HEARD << dir)) {
		e->state |= (uint16_t)(STATE_HEARD << dir);
		o->ingress[dir] = narrow_ifindex(in->ingress);
		if (t->egress != NULL)
			t->egress[number][dir] = narrow_ifindex(in->egress);
	}
	e->tos[dir] = in->sum.tos; /* the masked bits are what they were */
	o->first_ns[dir] = in->time_ns;
	e->last_ns[dir] = in->time_ns;
	e->ttl_min[dir] = in->sum.ttl;
	e->ttl_max[dir] = in->sum.ttl;
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
	return !(t->entry[number].state & STATE_WIDE) ||
	       (r->packets_high[dir] < UINT16_MAX && r->octets_high[dir] < UINT16_MAX - 2);
}

/* Carries into the upper 16 bits, which have room. */
static void carry(struct flow_table *t, uint32_t number, unsigned dir, uint64_t octets)
{
	struct rare *r = &t->rare[number];
	struct entry *e = &t->entry[number];
	if (!(e->state & STATE_WIDE)) {
		e->state |= STATE_WIDE;
		memset(r->packets_high, 0, sizeof(r->packets_high));
		memset(r->octets_high, 0, sizeof(r->octets_high));
	}
	if (e->packets[dir] == UINT32_MAX) {
		r->packets_high[dir]++;
		e->packets[dir] = 0;
	}
	r->octets_high[dir] += (uint16_t)((e->octets[dir] + octets) >> 32);
}

/* The order of packets' times: late ones do not move the last, and are remembered to be late. */
static void note_time(struct flow_table *t, uint32_t number, unsigned dir,
		      const struct flow_packet *in)
{
	struct entry *e = &t->entry[number];
	if (in->time_ns > e->last_ns[dir])
		e->last_ns[dir] = in->time_ns;
	if (in->time_ns == in->clock_ns) {
		e->state &= (uint16_t)~STATE_LATE;
		return;
	}
	if (in->time_ns < t->origin[number].first_ns[dir])
		t->origin[number].first_ns[dir] = in->time_ns;
	t->rare[number].arrival_ns = in->clock_ns;
	e->state |= STATE_LATE;
}

static void note_ttl(struct entry *e, unsigned dir, uint8_t ttl)
{
	if (ttl < e->ttl_min[dir])
		e->ttl_min[dir] = ttl;
	if (ttl > e->ttl_max[dir])
		e->ttl_max[dir] = ttl;
}

static void entry_count(struct flow_table *t, uint32_t number, unsigned dir,
			const struct flow_packet *in)
{
	struct entry *e = &t->entry[number];
	const bool carries = needs_carry(e, dir, in->sum.octets);
	/* full: the record leaves and the next one begins here, so that no count is ever wrong */
	if (carries && !has_room(t, number, dir))
		record_send(t, number, FLOW_END_RESOURCES, in->clock_ns);
	if (e->packets[dir] == 0)
		open_direction(t, number, dir, in);
	if (carries)
		carry(t, number, dir, in->sum.octets);
	e->octets[dir] += (uint32_t)in->sum.octets;
	e->packets[dir]++;
	note_ttl(e, dir, in->sum.ttl);
	note_time(t, number, dir, in);
	e->tcp_flags[dir] |= in->sum.tcp_flags;
	if (e->ip_proto == PROTO_TCP &&
	    (in->sum.tcp_flags & (TCP_FIN | TCP_RST) ||
	     e->state & (STATE_FIN | STATE_FIN << 1 | STATE_RST)))
		tcp_track(t, number, dir, in->sum.tcp_flags, in->clock_ns);
}

/* ---- new flows ------------------------------------------------------------------------------ */

/* SYN with ACK: the flow is its destination's (METERING.md §5). */
static bool is_answer(const struct flow_packet *in)
{
	return in->key.ip_proto == PROTO_TCP && !(in->key.meta & KEY_META_TWIN) &&
	       (in->sum.tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
}

/* A flow of one packet. Members that mean nothing yet are left as they are: clearing all would cost
 * as much as finding a flow. */
static void entry_begin(struct flow_table *t, uint32_t number, unsigned dir,
			const struct flow_packet *in)
{
	struct entry *e = &t->entry[number];
	struct origin *o = &t->origin[number];
	const unsigned place = e->state & STATE_PLACE, other = dir ^ 1;
	e->key_word[0] = in->key.word[0];
	e->key_word[1] = in->key.word[1];
	e->packets[dir] = 1;
	e->packets[other] = 0;
	e->octets[dir] = (uint32_t)in->sum.octets;
	e->octets[other] = 0;
	e->last_ns[dir] = e->last_ns[other] = in->time_ns; /* entry_arrival takes the greater */
	e->tcp_flags[dir] = in->sum.tcp_flags;
	e->tcp_flags[other] = 0;
	e->ttl_min[dir] = e->ttl_max[dir] = in->sum.ttl;
	e->tos[dir] = in->sum.tos;
	e->state = (uint16_t)(STATE_HELD | STATE_RECORD | (unsigned)STATE_HEARD << dir | place |
			      ((in->side ^ dir) & STATE_FLIPPED));
	if (in->key.meta & KEY_META_IPV6)
		memcpy(&t->upper[number], in->key.upper, sizeof(struct upper));
	o->first_ns[dir] = in->time_ns;
	o->record_ns = in->clock_ns;
	o->id = in->number;
	o->vlan = in->sum.vlan;
	o->cvlan = in->sum.cvlan;
	o->ingress[dir] = narrow_ifindex(in->ingress);
	o->ingress[other] = 0;
}

/* A new flow for a packet that joins none, which it counts. */
static void entry_new(struct flow_table *t, const struct flow_packet *in)
{
	const uint32_t number = entry_get(t, in->clock_ns);
	while (!index_insert(t, home_bucket(in), in->tag, number))
		evict_from_probe(t, home_bucket(in), in->clock_ns);
	const unsigned dir = in->side & FLOW_ANSWERS || is_answer(in) ? FLOW_REVERSE : FLOW_FORWARD;
	entry_begin(t, number, dir, in);
	if (__builtin_expect(t->egress != NULL, 0)) {
		t->egress[number][dir] = narrow_ifindex(in->egress);
		t->egress[number][dir ^ 1] = 0;
	}
	if (t->mac != NULL)
		keep_l2(t, number, in->macs, dir);
	entry_file_new(t, number, in->clock_ns);
	t->held++;
	t->conf.counters->v[COUNTER_FLOWS_CREATED]++;
	if (__builtin_expect(in->sum.octets > UINT32_MAX, 0))
		carry(t, number, dir, in->sum.octets - (uint32_t)in->sum.octets);
	if (__builtin_expect(in->time_ns != in->clock_ns, 0))
		note_time(t, number, dir, in);
	if (in->sum.tcp_flags & (TCP_FIN | TCP_RST) && in->key.ip_proto == PROTO_TCP)
		tcp_track(t, number, dir, in->sum.tcp_flags, in->clock_ns);
}

static inline bool is_new_connection(const struct flow_packet *in)
{
	return in->key.ip_proto == PROTO_TCP && (in->sum.tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* May the packet join the flow found, once what is due on it has happened? If not it has ended. */
static bool joinable(struct flow_table *t, struct match *m, const struct flow_packet *in)
{
	const struct entry *e = &t->entry[m->number];
	return !may_be_due(e, in->clock_ns) ||
	       entry_settle(t, m->number, in->clock_ns, SETTLE_PACKET);
}

/* A packet that may join a flow: `match` is what its home bucket has of its tag. */
static __attribute__((noinline)) void update_held(struct flow_table *t, const struct flow_packet *in,
						  const struct bucket *home, unsigned match)
{
	struct match m = {.number = ENTRY_NONE};
	if (is_only_match(home, match))
		match_note(t, in, home->entry[__builtin_ctzll(match)], &m);
	else
		table_find(t, in, &m);
	while (m.number != ENTRY_NONE && !joinable(t, &m, in))
		table_find(t, in, &m);
	if (m.number != ENTRY_NONE && t->entry[m.number].state & STATE_CLOSED &&
	    is_new_connection(in)) {
		entry_end(t, m.number, FLOW_END_DETECTED, in->clock_ns);
		table_find(t, in, &m);
		m.number = ENTRY_NONE;
	}
	if (m.number == ENTRY_NONE) {
		if (m.siblings == FLOW_SIBLINGS_MAX)
			make_sibling_room(t, &m, in->clock_ns);
		entry_new(t, in);
		return;
	}
	entry_count(t, m.number, m.dir, in);
}

/* Any packet. Its home bucket may tell at once that no flow of its 5-tuple is held. */
static inline void update(struct flow_table *t, const struct flow_packet *in)
{
	const struct bucket *home = &t->bucket[home_bucket(in)];
	const unsigned match = bucket_match(home, in->tag);
	if (match == 0 && home->passed == 0)
		entry_new(t, in);
	else
		update_held(t, in, home, match);
}

/* States in which a packet may change more than counters. */
#define STATE_BUSY (STATE_LATE | STATE_FIN | STATE_FIN << 1 | STATE_RST | STATE_CLOSED)

/*
 * Nearly every packet: of the flow that the prefetch saw, which has had a packet in this direction
 * and record with the same ToS (so no second flow can be meant, see table_find), on which nothing
 * can be due, in order, no end of a TCP connection, no counter near its end. False, and nothing
 * done, when any of this is not so. `tick`: of the clock or later, which finds no less due.
 */
static inline bool update_steady(struct entry *e, const struct upper *upper,
				 const struct flow_packet *in, uint32_t tick, uint8_t tos_mask)
{
	if (!ip_key_equal(e, upper, &in->key))
		return false;
	const unsigned state = e->state, dir = packet_dir(in, state);
	const unsigned steady = state & (STATE_HELD | STATE_BUSY);
	const uint64_t octets = e->octets[dir] + in->sum.octets;
	const uint32_t packets = e->packets[dir] + 1;
	if (steady != STATE_HELD || ((e->tos[dir] ^ in->sum.tos) & tos_mask) != 0 ||
	    (in->sum.tcp_flags & (TCP_FIN | TCP_RST)) != 0 || (int32_t)(tick - e->tick) >= 0 ||
	    in->time_ns != in->clock_ns || packets < 2 || octets > UINT32_MAX)
		return false;
	e->packets[dir] = packets;
	e->octets[dir] = (uint32_t)octets;
	e->last_ns[dir] = in->time_ns;
	e->tcp_flags[dir] |= in->sum.tcp_flags;
	if (__builtin_expect(in->sum.ttl < e->ttl_min[dir] || in->sum.ttl > e->ttl_max[dir], 0))
		note_ttl(e, dir, in->sum.ttl);
	return true;
}

/* It may lie across two lines. */
static inline void prefetch_upper(const struct flow_table *t, uint32_t number)
{
	const char *p = (const char *)&t->upper[number];
	__builtin_prefetch(p);
	__builtin_prefetch(p + sizeof(struct upper) - 1);
}

/* No entry of the home bucket has the tag: its probe may go on. Returns a hint, any entry's, since a
 * compiler drops calls of a function that only prefetches: to it that does nothing. */
static __attribute__((noinline)) struct entry *prefetch_next(const struct flow_table *t,
							     const struct flow_packet *in)
{
	const uint32_t home = home_bucket(in);
	if (t->bucket[home].passed != 0)
		__builtin_prefetch(&t->bucket[bucket_next(t, home)], 1);
	return t->entry;
}

/* So many flows' upper halves of IPv6 addresses are asked for in a batch. A power of two. */
#define UPPERS_MAX 64

/*
 * Fetches what update_steady will touch; the buckets should be there by now. Of a bucket the first that
 * has the tag: if it is another flow's, update_steady sees it by its key. Which packets are IPv6 cannot
 * be guessed where both are mixed, so theirs are put down without a branch and asked for afterwards.
 */
static inline __attribute__((always_inline)) void
fetch_entries(const struct flow_table *t, struct flow_packet *in, const struct flow_packet *end)
{
	struct entry *const entry = t->entry;
	uint32_t six[UPPERS_MAX];
	unsigned sixes = 0;
	for (; in < end; in++) {
		const struct bucket *bucket = (const void *)((const uint64_t *)t->bucket + in->home);
		const unsigned match = bucket_match(bucket, in->tag);
		if (__builtin_expect(match == 0, 0)) {
			in->hint = prefetch_next(t, in);
			continue;
		}
		const uint32_t number = bucket->entry[__builtin_ctzll(match)];
		in->hint = &entry[number];
		__builtin_prefetch(&entry[number], 1);
		six[sixes % UPPERS_MAX] = number;
		sixes += in->key.meta & KEY_META_IPV6;
	}
	for (unsigned i = 0; i < sixes && i < UPPERS_MAX; i++)
		prefetch_upper(t, six[i]);
}
_Static_assert(KEY_META_IPV6 == 1, "counts");

/*
 * The first packet of a direction writes to the flow's origin, which update_steady does not touch.
 * Asked for where the batch before had many of them: looking costs every packet. Always inline, or
 * else it is dropped: see prefetch_next.
 */
#define OPENINGS_MANY 8

static inline __attribute__((always_inline)) void
fetch_origins(const struct flow_table *t, const struct flow_packet *in,
	      const struct flow_packet *end)
{
	for (; in < end; in++) {
		const struct entry *e = in->hint;
		const struct origin *o = &t->origin[e - t->entry];
		const bool opens = e->packets[packet_dir(in, e->state)] == 0;
		__builtin_prefetch(opens ? (const void *)o : e, 1);
		__builtin_prefetch(opens ? (const void *)&o->vlan : e, 1);
	}
}

/* Out of line, so that the loop keeps what it needs in registers. */
static __attribute__((noinline)) void update_any(struct flow_table *t, const struct flow_packet *in,
						  bool first)
{
	if (!first)
		t->seen_ns = in[-1].clock_ns;
	update(t, in);
}

void flow_table_update(struct flow_table *t, struct flow_packet *in, unsigned n)
{
	const uint8_t tos_mask = t->conf.tos_mask;
	const struct entry *const entry = t->entry;
	const struct upper *const upper = t->upper;
	const struct flow_packet *const end = in + n;
	if (n == 0)
		return;
	const uint32_t last_tick = (uint32_t)flow_tick(end[-1].clock_ns);
	fetch_entries(t, in, end);
	if (t->openings >= OPENINGS_MANY)
		fetch_origins(t, in, end);
	t->openings = 0;
	if (t->full_key) {
		for (const struct flow_packet *at = in; at < end; at++)
			update_any(t, at, at == in);
	} else {
		for (const struct flow_packet *at = in; at < end; at++) {
			struct entry *e = at->hint;
			if (__builtin_expect(!update_steady(e, &upper[e - entry], at, last_tick,
							    tos_mask), 0))
				update_any(t, at, at == in);
		}
	}
	t->seen_ns = end[-1].clock_ns;
}

struct flow_index flow_table_index(const struct flow_table *t)
{
	return (struct flow_index){.bucket = (const char *)t->bucket, .buckets = t->buckets};
}
