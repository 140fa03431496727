/* Records in memory: a log (record_log.h) of what is sent and what is not, bounded by queue=. */
#include "outbox.h"

#include <assert.h>
#include <stdlib.h>

#include "err.h"
#include "record_log.h"

struct outbox {
	struct outbox_conf conf;
	struct record_log *log;
	uint64_t log_max; /* records that may wait */
	bool settled;
};

/* ---- books ---- */

static uint64_t dropped(const struct output_counters *c)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		n += stat_get(&c->dropped[i]);
	return n;
}

static void count_drop(struct outbox *o, enum drop_reason reason, uint64_t n)
{
	stat_add(&o->conf.counters->dropped[reason], n);
}

/* Every record is in one place. */
static bool is_balanced(const struct outbox *o)
{
	const struct output_counters *c = o->conf.counters;
	return stat_get(&c->records_in) + stat_get(&c->recovered) ==
	       stat_get(&c->unsampled) + stat_get(&c->filtered) + stat_get(&c->records) +
		       dropped(c) + stat_get(&c->queued) + stat_get(&c->unconfirmed) +
		       stat_get(&c->spooled);
}

static int64_t lag_ns(const struct outbox *o, struct pkt_time now)
{
	const struct flow_record *oldest = record_log_oldest(o->log);
	return oldest != NULL && oldest->clock.ns < now.ns ? now.ns - oldest->clock.ns : 0;
}

static void stat_set(stat_t *stat, uint64_t v)
{
	atomic_store_explicit(stat, v, memory_order_relaxed);
}

void outbox_show(struct outbox *o, struct pkt_time now)
{
	struct output_counters *c = o->conf.counters;
	stat_set(&c->queued, record_log_unsent(o->log));
	stat_set(&c->unconfirmed, record_log_sent(o->log));
	stat_set(&c->lag_ns, (uint64_t)lag_ns(o, now));
#ifdef WEIR_DEBUG
	assert(is_balanced(o));
#else
	(void)is_balanced;
#endif
}

/* ---- records ---- */

static enum drop_reason reason_of_waiting(const struct outbox *o)
{
	return o->settled ? DROP_AWAY : DROP_QUEUE;
}

/* The log is full: the oldest is lost. */
static void make_room(struct outbox *o)
{
	struct flow_record oldest;
	unsigned n = record_log_copy(o->log, &oldest, 1);
	record_log_drop(o->log, n);
	count_drop(o, DROP_QUEUE, n);
}

void outbox_add(struct outbox *o, const struct flow_record *r)
{
	if (!o->conf.replay && !o->settled && record_log_unsent(o->log) >= o->log_max)
		make_room(o);
	if (o->settled || record_log_add(o->log, r) != 0)
		count_drop(o, reason_of_waiting(o), 1);
}

const struct flow_record *outbox_next(struct outbox *o, int64_t now_ns, bool fresh)
{
	(void)now_ns;
	return fresh ? record_log_next(o->log) : NULL;
}

void outbox_confirm(struct outbox *o, uint64_t n)
{
	record_log_confirm(o->log, n);
	stat_add(&o->conf.counters->records, n);
}

void outbox_lose(struct outbox *o, uint64_t n, enum drop_reason reason)
{
	record_log_confirm(o->log, n);
	count_drop(o, reason, n);
}

void outbox_rewind(struct outbox *o)
{
	record_log_rewind(o->log);
}

void outbox_relieve(struct outbox *o, bool away)
{
	(void)o;
	(void)away;
}

static void drop_waiting(struct outbox *o, enum drop_reason reason)
{
	struct flow_record oldest;
	while (record_log_copy(o->log, &oldest, 1) != 0) {
		record_log_drop(o->log, 1);
		count_drop(o, reason, 1);
	}
}

void outbox_settle(struct outbox *o)
{
	o->settled = true;
	outbox_lose(o, record_log_sent(o->log), DROP_UNCONFIRMED);
	drop_waiting(o, DROP_AWAY);
}

/* ---- questions ---- */

uint64_t outbox_waiting(const struct outbox *o)
{
	return record_log_unsent(o->log);
}

uint64_t outbox_sent(const struct outbox *o)
{
	return record_log_sent(o->log);
}

bool outbox_all_sent(const struct outbox *o)
{
	return record_log_unsent(o->log) == 0;
}

/* ---- making ---- */

int outbox_new(const struct outbox_conf *conf, struct errtext *e, struct outbox **ret_outbox)
{
	(void)e;
	struct outbox *o = calloc(1, sizeof(*o));
	if (o == NULL)
		return ERR_NOMEM;
	o->conf = *conf;
	o->log_max = conf->spec->queue_bytes / sizeof(struct flow_record);
	int err = record_log_new(&o->log);
	if (err != 0) {
		outbox_free(o);
		return err;
	}
	*ret_outbox = o;
	return 0;
}

void outbox_free(struct outbox *o)
{
	if (o == NULL)
		return;
	record_log_free(o->log);
	free(o);
}
