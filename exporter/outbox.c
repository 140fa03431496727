/*
 * Records in memory and on disk. In memory: a log (record_log.h) of what is sent and what is not,
 * bounded by queue=. On disk: the spool, read in lots; what was read and sent stays there until it
 * is acknowledged, so it needs no place in the log.
 *
 * Live, records go to disk as soon as the collector is away, or when half the queue is filled, the
 * oldest first. Fresh ones do not queue behind those of the spool, which come at spool-rate between
 * them; each source keeps its order. A replay uses the disk only for what it cannot deliver in the
 * end.
 *
 * A disk that fails leaves records in memory, and is tried again a second later.
 */
#include "outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "log.h"
#include "pace.h"
#include "record_log.h"
#include "runs.h"
#include "spool/spool.h"

enum {
	LOT = 64,	  /* records moved to or from disk at once */
	RELIEF_LOTS = 64, /* at once, before others have a turn */
};

#define DISK_RETRY_NS NS_PER_S

/* Records read from the spool, and how far they were sent. */
struct lot {
	struct flow_record record[LOT];
	unsigned count;
	unsigned next;
	uint64_t upto;
};

struct outbox {
	struct outbox_conf conf;
	struct record_log *log;
	uint64_t log_max; /* records that may wait */
	bool settled;
	/* with a spool */
	struct spool *spool;
	struct spool_stats disk; /* at the last look */
	struct pace pace;
	struct runs runs;
	struct lot lot;
	uint64_t unwanted[DROP_REASON_COUNT]; /* read from it, refused, not acknowledged yet */
	int64_t bad_ns; /* monotonic: when the disk last failed; 0: it works */
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

/* Of `n` records that were acknowledged on disk, those that arrived; the others were refused. */
static uint64_t count_refused(struct outbox *o, uint64_t n)
{
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++) {
		const uint64_t refused = o->unwanted[i] < n ? o->unwanted[i] : n;
		count_drop(o, (enum drop_reason)i, refused);
		o->unwanted[i] -= refused;
		n -= refused;
	}
	return n;
}

/* What became of records on disk since the last look. */
static void see_disk(struct outbox *o)
{
	struct spool_stats now;
	if (o->spool == NULL)
		return;
	spool_stats_get(o->spool, &now);
	stat_add(&o->conf.counters->records, count_refused(o, now.acked - o->disk.acked));
	count_drop(o, DROP_SPOOL, now.dropped + now.corrupt - o->disk.dropped - o->disk.corrupt);
	o->disk = now;
}

static int64_t lag_ns(const struct outbox *o, struct pkt_time now)
{
	const struct flow_record *oldest = record_log_oldest(o->log);
	int64_t since = oldest != NULL ? oldest->clock.ns : INT64_MAX;
	if (o->disk.depth != 0 && o->disk.oldest_ns != 0 && o->disk.oldest_ns < since)
		since = o->disk.oldest_ns;
	return since < now.ns ? now.ns - since : 0;
}

static void stat_set(stat_t *stat, uint64_t v)
{
	atomic_store_explicit(stat, v, memory_order_relaxed);
}

void outbox_show(struct outbox *o, struct pkt_time now)
{
	struct output_counters *c = o->conf.counters;
	see_disk(o);
	stat_set(&c->queued, record_log_unsent(o->log));
	stat_set(&c->unconfirmed, record_log_sent(o->log));
	stat_set(&c->spooled, o->disk.depth);
	stat_set(&c->spooled_bytes, o->disk.depth_bytes);
	stat_set(&c->lag_ns, (uint64_t)lag_ns(o, now));
#ifdef WEIR_DEBUG
	assert(is_balanced(o));
#else
	(void)is_balanced;
#endif
}

/* ---- to disk ---- */

static void disk_failed(struct outbox *o, int err)
{
	if (o->bad_ns == 0)
		log_errorx("output", "%s: spool %s: %s; %s", o->conf.name, o->conf.spec->spool,
			   err_str(err),
			   o->settled ? "what it does not take is lost" : "records wait in memory");
	o->bad_ns = mono_now().ns;
}

static void disk_works(struct outbox *o)
{
	if (o->bad_ns != 0)
		log_info("output", "%s: spool %s: works again", o->conf.name, o->conf.spec->spool);
	o->bad_ns = 0;
}

static bool disk_may(const struct outbox *o)
{
	if (o->spool == NULL)
		return false;
	return o->bad_ns == 0 || mono_now().ns - o->bad_ns > DISK_RETRY_NS;
}

/* Moves up to LOT of the oldest records to disk; how many went. */
static unsigned spool_some(struct outbox *o)
{
	struct flow_record records[LOT];
	unsigned n = record_log_copy(o->log, records, LOT);
	unsigned stored = 0;
	if (n == 0)
		return 0;
	int err = spool_append(o->spool, records, n, &stored);
	record_log_drop(o->log, stored);
	if (err != 0)
		disk_failed(o, err);
	else
		disk_works(o);
	return stored;
}

void outbox_relieve(struct outbox *o, bool away)
{
	const uint64_t keep = away ? 0 : o->log_max / 2;
	if (o->conf.replay || o->settled || !disk_may(o))
		return;
	for (unsigned i = 0; i < RELIEF_LOTS && record_log_unsent(o->log) > keep; i++)
		if (spool_some(o) == 0)
			return;
}

/* ---- in ---- */

static void drop_oldest(struct outbox *o, enum drop_reason reason)
{
	struct flow_record oldest;
	unsigned n = record_log_copy(o->log, &oldest, 1);
	record_log_drop(o->log, n);
	count_drop(o, reason, n);
}

/* The log is full: the oldest go to disk, or one is lost. */
static void make_room(struct outbox *o)
{
	if (disk_may(o) && spool_some(o) != 0)
		return;
	drop_oldest(o, o->spool != NULL ? DROP_SPOOL : DROP_QUEUE);
}

/* To disk with what is in memory; what does not fit is lost. */
static void empty_log(struct outbox *o)
{
	const enum drop_reason reason = o->spool != NULL ? DROP_SPOOL : DROP_AWAY;
	while (o->spool != NULL && spool_some(o) != 0)
		;
	while (record_log_unsent(o->log) != 0)
		drop_oldest(o, reason);
}

void outbox_add(struct outbox *o, const struct flow_record *r)
{
	if (!o->conf.replay && !o->settled && record_log_unsent(o->log) >= o->log_max)
		make_room(o);
	if (record_log_add(o->log, r) != 0)
		count_drop(o, DROP_QUEUE, 1);
	if (o->settled && (o->spool == NULL || record_log_unsent(o->log) >= LOT))
		empty_log(o);
}

/* ---- out ---- */

static bool lot_is_sent(const struct outbox *o)
{
	return o->lot.next == o->lot.count;
}

static int read_lot(struct outbox *o)
{
	o->lot.next = o->lot.count = 0;
	int err = spool_read(o->spool, o->lot.record, LOT, &o->lot.count, &o->lot.upto);
	if (err != 0)
		disk_failed(o, err);
	return err;
}

/* A lot that was begun goes whole: its acknowledgement is for all of it. */
static const struct flow_record *next_spooled(struct outbox *o, int64_t now_ns, bool another)
{
	if (o->spool == NULL)
		return NULL;
	if (lot_is_sent(o)) {
		/* the end of a live run: it is safe where it is */
		if (!another || o->disk.depth == 0 || spool_drained(o->spool))
			return NULL;
		pace_refill(&o->pace, now_ns);
		if (!pace_ready(&o->pace) || read_lot(o) != 0 || o->lot.count == 0)
			return NULL;
	}
	pace_spend(&o->pace);
	return &o->lot.record[o->lot.next++];
}

const struct flow_record *outbox_next(struct outbox *o, int64_t now_ns, enum outbox_wish wish)
{
	if (o->spool != NULL && runs_ready(&o->runs) != 0)
		return NULL;
	const struct flow_record *r = next_spooled(o, now_ns, wish != OUTBOX_LAST);
	if (r != NULL) {
		runs_note(&o->runs, true, lot_is_sent(o), o->lot.upto);
		return r;
	}
	r = record_log_next(o->log);
	if (r != NULL && o->spool != NULL)
		runs_note(&o->runs, false, false, 0);
	return r;
}

/* The oldest `n` that were sent are done with; how many of them the log held. */
static uint64_t take_sent(struct outbox *o, uint64_t n)
{
	struct run run;
	uint64_t fresh = 0;
	if (o->spool == NULL)
		return n;
	for (; runs_take(&o->runs, n, &run); n -= run.records) {
		if (!run.from_spool)
			fresh += run.records;
		else if (run.whole)
			spool_ack(o->spool, run.upto); /* remembered later when it cannot be now */
	}
	return fresh;
}

void outbox_confirm(struct outbox *o, uint64_t n)
{
	const uint64_t fresh = take_sent(o, n);
	record_log_confirm(o->log, fresh);
	stat_add(&o->conf.counters->records, fresh);
}

void outbox_lose(struct outbox *o, uint64_t n, enum drop_reason reason)
{
	o->unwanted[reason] += n; /* before an acknowledgement counts them as delivered */
	const uint64_t fresh = take_sent(o, n);
	o->unwanted[reason] -= fresh;
	record_log_confirm(o->log, fresh);
	count_drop(o, reason, fresh);
}

void outbox_rewind(struct outbox *o)
{
	record_log_rewind(o->log);
	if (o->spool == NULL)
		return;
	runs_clear(&o->runs);
	o->lot.next = o->lot.count = 0;
	see_disk(o);
	memset(o->unwanted, 0, sizeof(o->unwanted));
	spool_rewind(o->spool);
}

void outbox_settle(struct outbox *o)
{
	o->settled = true;
	if (o->spool != NULL)
		outbox_rewind(o);
	else
		outbox_lose(o, record_log_sent(o->log), DROP_UNCONFIRMED);
	empty_log(o);
	if (o->spool != NULL)
		spool_flush(o->spool);
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
	if (record_log_unsent(o->log) != 0 || !lot_is_sent(o))
		return false;
	return o->spool == NULL || !o->conf.replay || spool_drained(o->spool);
}

/* ---- making ---- */

static int open_spool(struct outbox *o, struct errtext *e)
{
	const struct url_spec *spec = o->conf.spec;
	const struct spool_conf conf = {.dir = spec->spool, .size_limit = spec->spool_bytes};
	int err = spool_open(&conf, e, &o->spool);
	if (err != 0)
		return err;
	spool_stats_get(o->spool, &o->disk);
	stat_set(&o->conf.counters->recovered, o->disk.recovered);
	/* what was found damaged already is one of the recovered */
	o->disk.acked = o->disk.dropped = o->disk.corrupt = 0;
	if (o->disk.recovered != 0)
		log_info("output", "%s: spool %s: %llu records of an earlier run", o->conf.name,
			 spec->spool, (unsigned long long)o->disk.recovered);
	return 0;
}

int outbox_new(const struct outbox_conf *conf, struct errtext *e, struct outbox **ret_outbox)
{
	struct outbox *o = calloc(1, sizeof(*o));
	if (o == NULL)
		return ERR_NOMEM;
	o->conf = *conf;
	o->log_max = conf->spec->queue_bytes / sizeof(struct flow_record);
	o->pace.rate = conf->spec->spool_rate;
	int err = record_log_new(&o->log);
	if (err == 0 && conf->spec->spool != NULL)
		err = open_spool(o, e);
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
	if (o->spool != NULL)
		spool_close(o->spool);
	runs_fini(&o->runs);
	free(o);
}
