/* The flow table as a whole: made, fetched ahead of need, emptied, measured, checked; table.h tells the
 * design. */
#include <stdlib.h>

#include "err.h"
#include "pages.h"
#include "table_index.h"

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
	t->origin = pages_new(array_bytes(t, sizeof(*t->origin)));
	t->upper = pages_new(array_bytes(t, sizeof(*t->upper)));
	t->rare = pages_new_small(array_bytes(t, sizeof(*t->rare)));
	t->full_key = conf->key_vlan || conf->key_mac;
	if (conf->keep_macs || conf->key_mac)
		t->mac = pages_new(array_bytes(t, sizeof(*t->mac)));
	if (conf->keep_egress)
		t->egress = pages_new(array_bytes(t, sizeof(*t->egress)));
	/* twice: a closing flow is filed a second time */
	int err = timer_wheel_init(&t->wheel, WHEEL_SLOTS, 2 * conf->flows, 0);
	if (err == 0 && (t->bucket == NULL || t->entry == NULL ||
			 t->origin == NULL || t->upper == NULL || t->rare == NULL ||
			 ((conf->keep_macs || conf->key_mac) && t->mac == NULL) ||
			 (conf->keep_egress && t->egress == NULL)))
		err = ERR_NOMEM;
	if (err != 0) {
		flow_table_free(t);
		return err;
	}
	*ret_table = t;
	return 0;
}

void flow_table_populate(struct flow_table *t, const atomic_bool *stop)
{
	pages_populate(t->bucket, bucket_bytes(t), stop);
	pages_populate(t->entry, array_bytes(t, sizeof(*t->entry)), stop);
	pages_populate(t->origin, array_bytes(t, sizeof(*t->origin)), stop);
	pages_populate(t->upper, array_bytes(t, sizeof(*t->upper)), stop);
	timer_wheel_populate(&t->wheel, stop);
}

void flow_table_free(struct flow_table *t)
{
	if (t == NULL)
		return;
	timer_wheel_fini(&t->wheel);
	pages_free(t->bucket, bucket_bytes(t));
	pages_free(t->entry, array_bytes(t, sizeof(*t->entry)));
	pages_free(t->origin, array_bytes(t, sizeof(*t->origin)));
	pages_free(t->upper, array_bytes(t, sizeof(*t->upper)));
	pages_free(t->rare, array_bytes(t, sizeof(*t->rare)));
	if (t->mac != NULL)
		pages_free(t->mac, array_bytes(t, sizeof(*t->mac)));
	if (t->egress != NULL)
		pages_free(t->egress, array_bytes(t, sizeof(*t->egress)));
	free(t);
}

void flow_table_flush(struct flow_table *t, int64_t clock_ns)
{
	/* A full index is emptied at once; a few flows are taken out one by one, since the cost must
	 * be what is held (a capture may set time back with every packet). */
	const bool few = t->held < t->buckets / 8;
	for (uint32_t n = 0; n < t->high; n++) {
		struct entry *e = &t->entry[n];
		__builtin_prefetch(e + 8, 1);
		__builtin_prefetch(&t->origin[n + 8], 1);
		if (e->state & STATE_HELD && (!may_be_due(e, clock_ns) ||
					      entry_settle(t, n, clock_ns, SETTLE_PACKET))) {
			record_send(t, n, FLOW_END_FORCED, clock_ns);
			if (few)
				table_remove(t, n, entry_hash(t, n));
		}
		/* no flow is left to inherit a place in the wheel */
		e->state = 0;
	}
	if (!few)
		pages_clear(t->bucket, bucket_bytes(t));
	t->held = 0;
	t->high = 0;
	t->free = ENTRY_NONE;
	t->hand = 0;
	t->victims = t->victims_from = 0;
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
	       array_bytes(t, sizeof(*t->origin)) + array_bytes(t, sizeof(*t->upper)) +
	       array_bytes(t, sizeof(*t->rare)) +
	       (t->mac != NULL ? array_bytes(t, sizeof(*t->mac)) : 0) +
	       (t->egress != NULL ? array_bytes(t, sizeof(*t->egress)) : 0) +
	       timer_wheel_bytes(&t->wheel);
}

uint64_t flow_table_bytes_per_flow(bool keep_macs, bool keep_egress)
{
	return sizeof(struct entry) + sizeof(struct origin) + sizeof(struct upper) +
	       sizeof(struct rare) + (keep_macs ? 12 : 0) +
	       (keep_egress ? FLOW_DIRS * sizeof(uint16_t) : 0) +
	       (sizeof(struct bucket) + BUCKET_LOAD - 1) / BUCKET_LOAD +
	       2 * (64 + TIMER_WHEEL_CHUNK - 1) / TIMER_WHEEL_CHUNK;
}

/* ---- checking ----------------------------------------------------------------------------- */

static bool is_indexed(const struct flow_table *t, uint32_t number)
{
	uint64_t hash = entry_hash(t, number);
	uint32_t b = flow_hash_home(t->buckets, hash);
	uint16_t tag = flow_hash_tag(hash);
	for (unsigned probe = 0; probe < PROBE_MAX; probe++, b = bucket_next(t, b)) {
		const struct bucket *bucket = &t->bucket[b];
		for (unsigned s = 0; s < BUCKET_SLOTS; s++)
			if (bucket->tag[s] == tag && bucket->entry[s] == number)
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
	for (uint32_t n = t->free; n != ENTRY_NONE; n = (uint32_t)t->origin[n].id)
		if (t->entry[n].state & STATE_HELD || ++free_entries > t->high)
			return false;
	for (uint32_t b = 0; b < t->buckets; b++)
		for (unsigned s = 0; s < BUCKET_SLOTS; s++)
			tags += t->bucket[b].tag[s] != 0;
	return held == t->held && held + free_entries == t->high && tags == held &&
	       timer_wheel_is_consistent(&t->wheel);
}
