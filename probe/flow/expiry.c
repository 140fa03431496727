/*
 * When a flow ends (METERING.md §6).
 *
 * Up to three deadlines, of which the one that fell due first happens first, however late it is
 * noticed: so what a record holds never depends on when somebody looked. A packet settles the flow
 * it would join; the sweep settles what the wheel brings up. The sweep acts a moment after a
 * deadline (clock > deadline), a packet at the contract's instant, because active is due at its
 * deadline but idle and closed only after theirs: were the sweep to act at an instant that active
 * and idle share, it would put active first, where a later look puts idle first.
 */
#include <stddef.h>

#include "table_internal.h"

/* ---- deadlines ---------------------------------------------------------------------------- */

struct deadline {
	int64_t at_ns;
	enum flow_end reason;
};

/* The deadlines a flow has, idle before closed before active; returns their number. */
static unsigned deadlines(const struct flow_table *t, uint32_t number, struct deadline d[3])
{
	const unsigned state = t->entry[number].state;
	const struct origin *o = &t->origin[number];
	unsigned n = 0;
	d[n++] = (struct deadline){entry_arrival(t, number) + t->conf.idle_ns, FLOW_END_IDLE};
	if (state & STATE_CLOSED)
		d[n++] = (struct deadline){o->closed_ns + t->conf.linger_ns, FLOW_END_DETECTED};
	if (state & STATE_RECORD)
		d[n++] = (struct deadline){o->record_ns + t->conf.active_ns, FLOW_END_ACTIVE};
	return n;
}

static bool is_due(const struct deadline *d, int64_t clock_ns, enum settle_how how)
{
	if (d->reason == FLOW_END_ACTIVE && how == SETTLE_PACKET)
		return clock_ns >= d->at_ns;
	return clock_ns > d->at_ns;
}

/* The deadline that fell due first, or NULL; the first of the list among equals. */
static const struct deadline *first_due(const struct deadline *d, unsigned n, int64_t clock_ns,
					enum settle_how how)
{
	const struct deadline *first = NULL;
	for (unsigned i = 0; i < n; i++)
		if (is_due(&d[i], clock_ns, how) && (first == NULL || d[i].at_ns < first->at_ns))
			first = &d[i];
	return first;
}

/* Least instant at which anything can be due, now or after a record begun at the clock. */
static int64_t least_deadline(const struct flow_table *t, const struct deadline *d, unsigned n,
			      int64_t clock_ns)
{
	int64_t least = clock_ns + t->conf.active_ns;
	for (unsigned i = 0; i < n; i++)
		if (d[i].at_ns < least)
			least = d[i].at_ns;
	return least;
}

/* How long past its deadline a record stayed though the clock had been there already: a jump of
 * the clock over the deadline is nobody's delay. */
static void note_lag(struct flow_table *t, int64_t deadline_ns)
{
	int64_t lag = t->seen_ns - deadline_ns;
	uint64_t *worst = &t->conf.counters->v[COUNTER_EXPORT_LAG_NS];
	if (lag > 0 && (uint64_t)lag > *worst)
		*worst = (uint64_t)lag;
}

void entry_end(struct flow_table *t, uint32_t number, enum flow_end reason, int64_t clock_ns)
{
	record_send(t, number, reason, clock_ns);
	table_remove(t, number, entry_hash(t, number));
}

/* Most looks find that nothing is due yet: then the flow's next tick is all there is to note. */
static inline bool settle_quiet(struct flow_table *t, uint32_t number, int64_t clock_ns,
				enum settle_how how)
{
	struct entry *e = &t->entry[number];
	if ((e->state & (STATE_RECORD | STATE_CLOSED)) != STATE_RECORD)
		return false;
	const int64_t idle_ns = entry_arrival(t, number) + t->conf.idle_ns;
	const int64_t active_ns = t->origin[number].record_ns + t->conf.active_ns;
	if (clock_ns > idle_ns || clock_ns > active_ns - (how == SETTLE_PACKET))
		return false;
	/* a record begun at the clock is due later than the one there is */
	e->tick = (uint32_t)flow_tick(idle_ns < active_ns ? idle_ns : active_ns);
	return true;
}

bool entry_settle(struct flow_table *t, uint32_t number, int64_t clock_ns, enum settle_how how)
{
	if (settle_quiet(t, number, clock_ns, how))
		return true;
	for (;;) {
		struct deadline d[3];
		unsigned n = deadlines(t, number, d);
		const struct deadline *due = first_due(d, n, clock_ns, how);
		if (due == NULL) {
			t->entry[number].tick =
				(uint32_t)flow_tick(least_deadline(t, d, n, clock_ns));
			return true;
		}
		if (t->entry[number].state & STATE_RECORD)
			note_lag(t, due->at_ns);
		if (due->reason != FLOW_END_ACTIVE) {
			entry_end(t, number, due->reason, clock_ns);
			return false;
		}
		record_send(t, number, FLOW_END_ACTIVE, clock_ns);
	}
}

/* ---- the wheel ---------------------------------------------------------------------------- */

/* A deadline in tick N is past for certain when tick N + 1 comes. */
static void file(struct flow_table *t, uint32_t id, uint64_t tick)
{
	timer_wheel_file(&t->wheel, id, tick + 1);
}

void entry_file_new(struct flow_table *t, uint32_t number, int64_t clock_ns)
{
	struct entry *e = &t->entry[number];
	int64_t first = t->conf.idle_ns < t->conf.active_ns ? t->conf.idle_ns : t->conf.active_ns;
	uint64_t tick = flow_tick(clock_ns + first);
	e->tick = (uint32_t)tick;
	if (e->state & STATE_FILED)
		return; /* inherited: comes up no later than this, and is filed anew then */
	e->state |= STATE_FILED;
	file(t, number, tick);
}

void entry_file_closing(struct flow_table *t, uint32_t number)
{
	struct entry *e = &t->entry[number];
	uint64_t tick = flow_tick(t->origin[number].closed_ns + t->conf.linger_ns);
	if ((int32_t)((uint32_t)tick - e->tick) < 0)
		e->tick = (uint32_t)tick;
	if (e->state & STATE_FILED_CLOSING)
		return;
	e->state |= STATE_FILED_CLOSING;
	file(t, number | WHEEL_CLOSING, tick);
}

/* What the wheel brought up: settled, and filed again if it lives or if nobody takes a record. */
static void sweep_one(struct flow_table *t, uint32_t id, int64_t clock_ns)
{
	const struct flow_sink *sink = &t->conf.sink;
	if (sink->discard == NULL && sink->reserve(sink->context) == NULL) {
		timer_wheel_file(&t->wheel, id, 0);
		return;
	}
	uint32_t number = id & ~WHEEL_CLOSING;
	struct entry *e = &t->entry[number];
	bool closing = (id & WHEEL_CLOSING) != 0;
	e->state &= (uint16_t)~(closing ? STATE_FILED_CLOSING : STATE_FILED);
	if (!(e->state & STATE_HELD) || !entry_settle(t, number, clock_ns, SETTLE_SWEEP))
		return;
	if (!closing) {
		e->state |= STATE_FILED;
		/* its full tick: the stored 32 bits lie within a turn of the present */
		uint64_t now = flow_tick(clock_ns);
		file(t, number, now + (uint64_t)(int64_t)(int32_t)(e->tick - (uint32_t)now));
	} else if (e->state & STATE_CLOSED) {
		entry_file_closing(t, number);
	}
}

/* Three passes over a chunk, so that each finds in the cache what the one before has asked for. */
static void sweep_chunk(struct flow_table *t, const uint32_t *ids, unsigned n, int64_t clock_ns)
{
	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(&t->entry[ids[i] & ~WHEEL_CLOSING], 1);
	for (unsigned i = 0; i < n; i++) {
		const uint32_t number = ids[i] & ~WHEEL_CLOSING;
		const struct entry *e = &t->entry[number];
		if (!(e->state & STATE_HELD) || !may_be_due(e, clock_ns))
			continue;
		if (e->state & STATE_CLOSED || clock_ns > entry_arrival(t, number) + t->conf.idle_ns)
			entry_fetch_end(t, number);
		else
			__builtin_prefetch(&t->origin[number].record_ns);
	}
	for (unsigned i = 0; i < n; i++)
		sweep_one(t, ids[i], clock_ns);
}

void flow_table_advance(struct flow_table *t, int64_t clock_ns)
{
	uint32_t ids[TIMER_WHEEL_CHUNK];
	unsigned n;
	while ((n = timer_wheel_take(&t->wheel, flow_tick(clock_ns), ids)) > 0)
		sweep_chunk(t, ids, n, clock_ns);
	t->seen_ns = clock_ns;
}

/* ---- a full table ------------------------------------------------------------------------- */

/* Entries looked at in one search, and how far ahead they are fetched. */
#define EVICT_WINDOW 64
#define EVICT_AHEAD  16

/* Victims that a search takes for being idle longest, where it finds fewer of the least worth: a
 * search costs too much for one. */
#define EVICT_IDLE 16

/* A packet that nobody answered: the least worth of all. */
static bool is_unanswered(const struct entry *e)
{
	return e->packets[0] + e->packets[1] == 1;
}

/* Among the EVICT_IDLE longest idle so far, which are sorted, the longest first. */
static unsigned note_idle(struct victim *idle, unsigned n, uint32_t number, int64_t arrival_ns)
{
	if (n == EVICT_IDLE && arrival_ns >= idle[n - 1].arrival_ns)
		return n;
	unsigned at = n < EVICT_IDLE ? n++ : n - 1;
	for (; at > 0 && idle[at - 1].arrival_ns > arrival_ns; at--)
		idle[at] = idle[at - 1];
	idle[at].number = number;
	idle[at].arrival_ns = arrival_ns;
	return n;
}

static uint32_t entry_next(const struct flow_table *t, uint32_t number)
{
	return number + 1 < t->high ? number + 1 : 0;
}

/* Unanswered single packets under the hand, all of them at once, so that a flood pays for one search
 * in many evictions; their number. */
static unsigned find_unanswered(struct flow_table *t, unsigned *ret_looked)
{
	unsigned found = 0, seen = 0, looked = 0;
	for (; seen < EVICT_WINDOW && found < VICTIMS_MAX - EVICT_IDLE; looked++) {
		const uint32_t n = t->hand;
		const struct entry *e = &t->entry[n];
		const uint32_t ahead = n + EVICT_AHEAD;
		__builtin_prefetch(&t->entry[ahead < t->high ? ahead : 0]);
		t->hand = entry_next(t, n);
		if (!(e->state & STATE_HELD))
			continue; /* few: the table is full */
		seen++;
		/* without a branch: which are unanswered cannot be guessed */
		t->victim[EVICT_IDLE + found].number = n;
		t->victim[EVICT_IDLE + found].arrival_ns = entry_arrival(t, n);
		found += is_unanswered(e);
	}
	*ret_looked = looked;
	return found;
}

/* The longest idle of `n` entries from `number` on; how many they are. */
static unsigned find_idle(const struct flow_table *t, uint32_t number, unsigned n,
			  struct victim *idle)
{
	unsigned found = 0;
	for (; n > 0; n--, number = entry_next(t, number))
		if (t->entry[number].state & STATE_HELD && !is_unanswered(&t->entry[number]))
			found = note_idle(idle, found, number, entry_arrival(t, number));
	return found;
}

/* Looks at the next entries under the hand: unanswered ones become victims, and where they are few,
 * the longest idle besides. The last of the list is the next to go. */
static void find_victims(struct flow_table *t)
{
	struct victim idle[EVICT_IDLE];
	const uint32_t from = t->hand;
	unsigned looked;
	const unsigned alone = find_unanswered(t, &looked);
	const unsigned idles = alone < EVICT_IDLE ? find_idle(t, from, looked, idle) : 0;
	for (unsigned i = 0; i < idles; i++)
		t->victim[EVICT_IDLE - 1 - i] = idle[i];
	t->victims_from = EVICT_IDLE - idles;
	t->victims = EVICT_IDLE + alone;
	t->ahead = t->hand;
	t->ahead_step = EVICT_WINDOW / (idles + alone + 1) + 1;
	for (unsigned i = t->victims_from; i < t->victims; i++)
		t->victim[i].hash = entry_fetch_end(t, t->victim[i].number);
}

/* Each eviction fetches its part of what the next search will look at. */
static void look_ahead(struct flow_table *t)
{
	for (unsigned i = 0; i < t->ahead_step; i++) {
		__builtin_prefetch(&t->entry[t->ahead]);
		t->ahead = entry_next(t, t->ahead);
	}
}

/* The next victim of the last search to whom nothing has happened since, or NULL. */
static const struct victim *next_victim(struct flow_table *t)
{
	while (t->victims > t->victims_from) {
		const struct victim *v = &t->victim[--t->victims];
		look_ahead(t);
		if (t->entry[v->number].state & STATE_HELD &&
		    entry_arrival(t, v->number) == v->arrival_ns)
			return v;
	}
	return NULL;
}

void table_evict(struct flow_table *t, int64_t clock_ns)
{
	const struct victim *v;
	while ((v = next_victim(t)) == NULL)
		find_victims(t);
	const uint32_t n = v->number;
	if (may_be_due(&t->entry[n], clock_ns) && !entry_settle(t, n, clock_ns, SETTLE_SWEEP))
		return;
	record_send(t, n, FLOW_END_RESOURCES, clock_ns);
	table_remove(t, n, v->hash);
}
