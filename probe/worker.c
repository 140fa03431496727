/*
 * The worker's loop. Packets move in batches through three stages, so that the memory that a stage
 * needs was asked for by the one before: admit (time, sampling, decode, hash, fetch the bucket),
 * fetch the entry, update. The packet path counts; it does not log, allocate, lock or copy.
 */
#include "worker.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "decode/decode.h"
#include "err.h"
#include "flow/dedup.h"
#include "flow/frag.h"
#include "flow/sampling.h"
#include "flow/table.h"
#include "log.h"
#include "own.h"

#define BATCH 32

/* A quiet live input's clock stays this far behind the wall, for packets still on their way. */
#define LIVE_LAG_NS (250 * NS_PER_MS)

struct worker {
	struct worker_conf conf;
	struct flow_table *table;
	struct frag_cache *frags;
	struct dedup *dedup;     /* NULL: copies are metered too */
	struct sampler sampler;  /* before decode */
	struct sampler later;    /* with dedup, behind it; the other then takes all */
	struct capture *capture; /* the input being read */
	struct counters counters;
	int64_t clock_ns;        /* METERING.md §6; INT64_MIN before the first packet */
	int64_t tick_second;     /* of the last tick sent */
	uint64_t sweep_tick;     /* of the last sweep */
	uint64_t number;         /* packets observed: numbers flows */
	bool speaks;             /* counts what has no address */
	bool shares;             /* meters only its share */
	uint64_t batches;
	uint64_t bytes_done;     /* of files read to the end */
	uint64_t unsampled_input;/* left out by the input itself, as counted so far */
	struct mono_time pace_start; /* --speed: when the first packet was handled ... */
	int64_t pace_first_ns;       /* ... and its time */
	int error;
	pthread_t thread;
	bool flushing;           /* what leaves now must not be lost */
	bool arrived;            /* told the others how far it has come */
	bool lost_said;          /* that records were lost */
	bool started;
	bool ended;              /* the worker's own until it is joined */
	_Atomic uint64_t view[COUNTER_COUNT + 2]; /* published counters, held, bytes_read */
	struct packet train;     /* a wrapper's first fragment, when its flags are set */
	uint32_t pending;        /* of batch[]: admitted and not yet updated */
	struct flow_packet batch[BATCH];
};

static inline bool is_asked_to_stop(const struct worker *w)
{
	return atomic_load_explicit(&w->conf.stop->asked, memory_order_relaxed);
}

/* ---- counting ----------------------------------------------------------------------------- */

static inline void count(struct worker *w, enum counter_id id)
{
	w->counters.v[id]++;
}

/* A finer reason and what it is a reason of. */
static void count_fate(struct worker *w, unsigned id)
{
	for (int c = (int)id; c >= 0; c = counter_info((enum counter_id)c)->parent)
		count(w, (enum counter_id)c);
}

/* What a live input says of packets that never came this far. */
static void account_input(struct worker *w, const struct capture_stats *s)
{
	uint64_t unsampled = s->unsampled - w->unsampled_input;
	w->unsampled_input = s->unsampled;
	w->counters.v[COUNTER_OBSERVED] += unsampled;
	w->counters.v[COUNTER_UNSAMPLED] += unsampled;
	w->counters.v[COUNTER_DROPPED] = capture_dropped(s);
}

static uint64_t bytes_read(struct worker *w)
{
	struct capture_stats s = {.received = 0};
	if (w->capture != NULL)
		capture_stats(w->capture, &s);
	if (w->conf.live && w->capture != NULL)
		account_input(w, &s);
	return w->bytes_done + s.bytes_read;
}

static void publish(struct worker *w)
{
	uint64_t bytes = bytes_read(w);
	if (w->counters.v[COUNTER_RECORDS_LOST] != 0 && !w->lost_said) {
		w->lost_said = true;
		log_warnx("worker", "the outputs are too slow, records are lost and counted");
	}
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		atomic_store_explicit(&w->view[i], w->counters.v[i], memory_order_relaxed);
	atomic_store_explicit(&w->view[COUNTER_COUNT], flow_table_held(w->table),
			      memory_order_relaxed);
	atomic_store_explicit(&w->view[COUNTER_COUNT + 1], bytes, memory_order_relaxed);
}

void worker_view(const struct worker *w, struct worker_view *ret_view)
{
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		ret_view->counters.v[i] = atomic_load_explicit(&w->view[i], memory_order_relaxed);
	ret_view->held = atomic_load_explicit(&w->view[COUNTER_COUNT], memory_order_relaxed);
	ret_view->bytes_read =
		atomic_load_explicit(&w->view[COUNTER_COUNT + 1], memory_order_relaxed);
}

/* ---- the way to the exporter --------------------------------------------------------------- */

/* Live, a full queue gives NULL, except where everything held must leave: nothing of that is lost
 * for pace. */
static union export_item *sink_reserve(void *context)
{
	const struct worker *w = context;
	union export_item *item = export_queue_reserve(w->conf.queue);
	while (item == NULL && w->flushing) {
		export_queue_flush(w->conf.queue);
		nanosleep(&(struct timespec){0, NS_PER_MS}, NULL);
		item = export_queue_reserve(w->conf.queue);
	}
	return item;
}

static void sink_commit(void *context)
{
	const struct worker *w = context;
	export_queue_commit(w->conf.queue);
}

static void flush_table(struct worker *w, int64_t clock_ns)
{
	w->flushing = true;
	flow_table_flush(w->table, clock_ns);
	w->flushing = false;
}

static void send_tick(struct worker *w, int64_t clock_ns)
{
	union export_item *item = sink_reserve(w);
	if (item == NULL)
		return; /* the next one says more */
	const uint64_t *v = w->counters.v;
	item->tick = (struct export_tick){
		.kind = EXPORT_TICK,
		.worker = w->conf.number,
		.clock = {clock_ns},
		.observed = v[COUNTER_OBSERVED],
		.duplicate = v[COUNTER_DUPLICATE],
		.unsampled = v[COUNTER_UNSAMPLED],
		.dropped = v[COUNTER_DROPPED],
		.malformed = v[COUNTER_MALFORMED],
		.non_ip = v[COUNTER_NON_IP],
		.metered = v[COUNTER_METERED],
	};
	export_queue_commit(w->conf.queue);
}

/* Tells the exporter the time once a second, so that what follows finds fresh templates, and lets
 * leave what is due. */
static void sweep(struct worker *w, int64_t clock_ns)
{
	int64_t second = clock_ns / NS_PER_S;
	if (second != w->tick_second) {
		w->tick_second = second;
		send_tick(w, clock_ns);
	}
	flow_table_advance(w->table, clock_ns);
}

/* Sweeps are a matter of the clock alone, so that batches do not decide what leaves when. */
static inline void sweep_if_time(struct worker *w, int64_t clock_ns)
{
	uint64_t tick = (uint64_t)clock_ns >> FLOW_TICK_SHIFT;
	if (__builtin_expect(tick != w->sweep_tick, 0)) {
		w->sweep_tick = tick;
		sweep(w, clock_ns);
	}
}

/* ---- the stages ---------------------------------------------------------------------------- */

/* Stages two and three for what has been admitted. */
static void update_pending(struct worker *w)
{
	for (uint32_t i = 0; i < w->pending; i++)
		flow_table_prefetch_entry(w->table, &w->batch[i]);
	for (uint32_t i = 0; i < w->pending; i++) {
		sweep_if_time(w, w->batch[i].clock_ns);
		flow_table_update(w->table, &w->batch[i]);
	}
	w->pending = 0;
}

/* METERING.md §6: all that is held ends and the clock starts anew. */
static void set_back(struct worker *w)
{
	update_pending(w);
	flush_table(w, w->clock_ns);
	frag_cache_clear(w->frags);
	if (w->dedup != NULL)
		dedup_clear(w->dedup);
	sampler_restart(&w->sampler);
	sampler_restart(&w->later);
	w->clock_ns = INT64_MIN;
	w->sweep_tick = 0;
	if (w->speaks)
		count(w, COUNTER_TIME_SET_BACK);
}

/* The packet's own time; moves the clock. */
static int64_t arrive(struct worker *w, const struct raw_packet *raw)
{
	int64_t time_ns = raw->time.ns;
	if (__builtin_expect(time_ns == PKT_TIME_NONE, 0)) {
		if (w->speaks)
			count(w, COUNTER_NO_TIME);
		time_ns = w->clock_ns == INT64_MIN ? 0 : w->clock_ns;
	}
	if (__builtin_expect(time_ns < w->clock_ns, 0)) {
		if (w->clock_ns - time_ns > w->conf.conf->idle_timeout_ns)
			set_back(w);
		else if (w->speaks)
			count(w, COUNTER_LATE_PACKETS);
	}
	if (time_ns > w->clock_ns)
		w->clock_ns = time_ns;
	return time_ns;
}

/* Counts what sampling leaves out. */
static inline bool is_selected(struct worker *w, struct sampler *sampler)
{
	enum sample_verdict verdict = sampler_decide(sampler, w->clock_ns);
	if (verdict == SAMPLE_TAKE)
		return true;
	if (w->speaks)
		count_fate(w, verdict == SAMPLE_OVER_CAP ? COUNTER_UNSAMPLED_RATE_CAP
							 : COUNTER_UNSAMPLED);
	return false;
}

/* Behind decode where copies are left out: they go first, so that the sampler sees each packet
 * once. In a replay all workers do the same to the same packets, and one speaks. */
static __attribute__((noinline)) bool is_first_and_selected(struct worker *w,
							    const struct raw_packet *raw,
							    const struct packet *p, bool is_ip)
{
	if (is_ip && dedup_is_copy(w->dedup, raw, p, w->clock_ns)) {
		if (w->speaks)
			count(w, COUNTER_DUPLICATE);
		return false;
	}
	return is_selected(w, &w->later);
}

static inline bool is_mine(struct worker *w, const struct packet *p)
{
	return !w->shares ||
	       flow_share(p, w->conf.secret) % w->conf.workers == w->conf.number;
}

/* Key, flow sampling and hash. False when flow sampling leaves it out. */
static inline bool make_key(struct worker *w, struct flow_packet *in, uint8_t iface)
{
	const struct conf *conf = w->conf.conf;
	in->side = (uint8_t)flow_key_make(&in->key, &in->packet, iface, conf->key_flags);
	if (conf->sample.mode == SAMPLING_FLOW &&
	    flow_key_sample(&in->key, w->conf.sample_secret) % conf->sample.n != 0) {
		count(w, COUNTER_UNSAMPLED);
		return false;
	}
	in->hash = flow_key_hash(&in->key, (conf->key_flags & (KEY_VLAN | KEY_MAC)) != 0,
				 w->conf.secret);
	return true;
}

static void handle_fragment(struct worker *w, struct packet *p, uint8_t iface)
{
	count(w, COUNTER_FRAGMENTS);
	frag_cache_apply(w->frags, p, iface, w->clock_ns);
}

/* A first fragment was looked through: those behind it are metered by its header all the same. */
static void lend_train(struct worker *w, uint8_t iface)
{
	if (is_mine(w, &w->train))
		frag_cache_apply(w->frags, &w->train, iface, w->clock_ns);
	w->train.flags = 0;
}

/* First stage: a packet's fate (METERING.md §1), and its place in the batch if it is metered. */
static void admit(struct worker *w, const struct raw_packet *raw)
{
	int64_t time_ns = arrive(w, raw);
	w->number++;
	if (w->speaks)
		count(w, COUNTER_OBSERVED);
	if (!is_selected(w, &w->sampler))
		return;
	struct flow_packet *in = &w->batch[w->pending];
	struct fate fate = decode_packet(w->conf.conf->decap_flags, raw, &in->packet, &w->train);
	if (__builtin_expect(w->train.flags != 0, 0))
		lend_train(w, raw->iface);
	if (__builtin_expect(w->dedup != NULL, 0) &&
	    !is_first_and_selected(w, raw, &in->packet, fate.counter == COUNTER_METERED))
		return;
	if (fate.counter != COUNTER_METERED) {
		if (w->speaks)
			count_fate(w, fate.counter);
		return;
	}
	if (!is_mine(w, &in->packet))
		return;
	if (__builtin_expect(in->packet.flags & (PACKET_FRAG_FIRST | PACKET_FRAG_LATER), 0))
		handle_fragment(w, &in->packet, raw->iface);
	if (w->conf.own != NULL && own_is(w->conf.own, &in->packet)) {
		count(w, COUNTER_OWN_EXPORT);
		return;
	}
	if (!make_key(w, in, raw->iface))
		return;
	flow_table_prefetch_bucket(w->table, in);
	count(w, COUNTER_METERED);
	if (__builtin_expect(fate.note != COUNTER_COUNT, 0))
		count(w, fate.note);
	in->time_ns = time_ns;
	in->clock_ns = w->clock_ns;
	in->number = w->number;
	in->ingress = raw->ingress;
	w->pending++;
}

/* --speed: waits until a packet's turn has come, at the latest until asked to stop. */
static void keep_pace(struct worker *w, const struct raw_packet *raw)
{
	if (raw->time.ns == PKT_TIME_NONE)
		return;
	if (w->pace_start.ns == 0 || raw->time.ns < w->pace_first_ns) {
		w->pace_start = mono_now();
		w->pace_first_ns = raw->time.ns;
	}
	double since = (double)(raw->time.ns - w->pace_first_ns) / w->conf.conf->speed;
	while (!is_asked_to_stop(w)) {
		double left = since - (double)(mono_now().ns - w->pace_start.ns);
		if (left <= 0)
			return;
		update_pending(w);
		export_queue_flush(w->conf.queue);
		publish(w);
		int64_t nap = left > 50e6 ? 50 * NS_PER_MS : (int64_t)left;
		nanosleep(&(struct timespec){0, nap}, NULL);
	}
}

static void process(struct worker *w, const struct raw_packet *raws, unsigned n)
{
	bool paced = w->conf.conf->speed > 0 && !w->conf.live;
	for (unsigned i = 0; i < n; i++) {
		if (paced)
			keep_pace(w, &raws[i]);
		admit(w, &raws[i]);
	}
	update_pending(w);
	/* packets that no flow got move the clock as well */
	if (w->clock_ns != INT64_MIN)
		sweep_if_time(w, w->clock_ns);
	if ((++w->batches & 255) == 0)
		publish(w);
}

/* ---- the loop ------------------------------------------------------------------------------ */

/* Live and nothing came: the clock goes on behind the wall's. */
static void idle(struct worker *w)
{
	int64_t now = wall_now().ns - LIVE_LAG_NS;
	if (now > w->clock_ns)
		w->clock_ns = now;
	sweep_if_time(w, w->clock_ns);
	publish(w);
}

/* Tells the others how far this worker has come, once. */
static void arrive_at_stop(struct worker *w)
{
	struct worker_stop *stop = w->conf.stop;
	uint64_t furthest = atomic_load(&stop->furthest);
	if (w->arrived)
		return;
	w->arrived = true;
	while (furthest < w->number &&
	       !atomic_compare_exchange_weak(&stop->furthest, &furthest, w->number))
		;
	atomic_fetch_add(&stop->arrived, 1);
}

/* How many packets may still be observed: no limit, until asked to stop; then as many as let the
 * workers of a replay end at the same packet. */
static uint64_t packets_left(struct worker *w)
{
	if (!is_asked_to_stop(w))
		return UINT64_MAX;
	if (!w->shares)
		return 0;
	arrive_at_stop(w);
	while (atomic_load(&w->conf.stop->arrived) < w->conf.workers)
		nanosleep(&(struct timespec){0, NS_PER_MS}, NULL);
	return atomic_load(&w->conf.stop->furthest) - w->number;
}

static void note_error(struct worker *w, int err)
{
	if (w->error == 0)
		w->error = err;
}

/* False when the input has ended. */
static bool read_input(struct worker *w)
{
	struct raw_packet raws[BATCH];
	uint64_t left;
	while ((left = packets_left(w)) > 0) {
		int n = capture_next(w->capture, raws, left < BATCH ? (unsigned)left : BATCH);
		if (n == ERR_EOF || n == ERR_TRUNCATED || n == ERR_STOPPED)
			return false;
		if (n < 0) {
			note_error(w, n);
			return false;
		}
		if (n > 0)
			process(w, raws, (unsigned)n);
		if (w->conf.live) {
			if (n == 0)
				idle(w);
			export_queue_flush(w->conf.queue);
		}
	}
	return true;
}

/* Asked to stop: meters what had arrived before. */
static void drain_input(struct worker *w)
{
	struct raw_packet raws[BATCH];
	int n = 0;
	if (!w->conf.live || !capture_finish(w->capture))
		return;
	while ((n = capture_next(w->capture, raws, BATCH)) >= 0)
		process(w, raws, (unsigned)n);
	if (n != ERR_EOF)
		note_error(w, n);
}

static int open_input(struct worker *w, unsigned number)
{
	struct capture **opened = w->conf.opened;
	if (opened != NULL && opened[number] != NULL) {
		w->capture = opened[number];
		opened[number] = NULL;
		return 0;
	}
	struct capture_conf conf = {
		.spec = w->conf.specs[number],
		.filter = w->conf.conf->filter,
		.stop = &w->conf.stop->asked,
	};
	char text[CAPTURE_ERRBUF_SIZE];
	int err = capture_open(&conf, text, sizeof(text), &w->capture);
	if (err != 0)
		log_errorx("capture", "%s", text);
	return err;
}

/* An input that samples by itself must not be sampled again. */
static void heed_sampled(struct worker *w)
{
	struct capture_stats s;
	capture_stats(w->capture, &s);
	if (s.sampled && w->sampler.mode == SAMPLING_RANDOM)
		w->sampler.mode = SAMPLING_NONE;
}

static void close_input(struct worker *w)
{
	struct capture_stats s;
	capture_stats(w->capture, &s);
	w->bytes_done += s.bytes_read;
	if (w->conf.live)
		account_input(w, &s);
	capture_close(w->capture);
	w->capture = NULL;
}

static void finish(struct worker *w)
{
	if (w->clock_ns == INT64_MIN)
		w->clock_ns = 0;
	flush_table(w, w->clock_ns);
#ifdef WEIR_DEBUG
	assert(w->shares || counters_balance(&w->counters,
					     w->counters.v[COUNTER_RECORD_PACKETS], 0));
#endif
	w->flushing = true; /* from here on nothing may be left out */
	send_tick(w, w->clock_ns);
	union export_item *item = sink_reserve(w);
	item->kind = EXPORT_END;
	export_queue_commit(w->conf.queue);
	export_queue_flush(w->conf.queue);
	publish(w);
	w->ended = true;
	uint64_t one = 1;
	if (write(w->conf.done_fd, &one, sizeof(one)) != sizeof(one))
		log_warn("worker", "cannot say that it ended");
}

static void *run(void *arg)
{
	struct worker *w = arg;
	for (unsigned i = 0; i < w->conf.specs_count; i++) {
		if (!w->conf.live && packets_left(w) == 0)
			break; /* a live input has what came before the stop */
		int err = open_input(w, i);
		if (err != 0) {
			note_error(w, err);
			continue;
		}
		heed_sampled(w);
		if (read_input(w))
			drain_input(w);
		close_input(w);
	}
	arrive_at_stop(w);
	finish(w);
	return NULL;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int make_parts(struct worker *w)
{
	const struct conf *c = w->conf.conf;
	struct flow_table_conf table = {
		.flows = w->conf.flows,
		.idle_ns = c->idle_timeout_ns,
		.active_ns = c->active_timeout_ns,
		.linger_ns = c->tcp_linger_ns,
		.tos_mask = c->key_flags & KEY_TOS ? c->tos_mask : 0,
		.key_vlan = (c->key_flags & KEY_VLAN) != 0,
		.key_mac = (c->key_flags & KEY_MAC) != 0,
		.keep_macs = w->conf.keep_macs,
		.worker = w->conf.number,
		.secret = w->conf.secret,
		.counters = &w->counters,
		.sink = {w, sink_reserve, sink_commit},
	};
	int err = flow_table_new(&table, &w->table);
	if (err == 0)
		err = frag_cache_new(w->conf.secret, &w->counters, &w->frags);
	const struct dedup_conf dedup = {
		.window_ns = c->dedup_ns,
		.ignore = c->dedup_ignore,
		.secret = w->conf.secret,
		.counters = w->speaks ? &w->counters : NULL,
	};
	if (err == 0 && c->dedup_ns > 0)
		err = dedup_new(&dedup, &w->dedup);
	return err;
}

/* Live workers share the cap equally; in a replay each decides for all packets. */
static uint64_t cap_share(const struct worker_conf *conf)
{
	uint64_t cap = conf->conf->rate_cap;
	if (!conf->live || cap == 0)
		return cap;
	return cap < conf->workers ? 1 : cap / conf->workers;
}

static void samplers_init(struct worker *w)
{
	const struct conf *c = w->conf.conf;
	struct sampler *chosen = c->dedup_ns > 0 ? &w->later : &w->sampler;
	sampler_init(&w->sampler, SAMPLING_NONE, 1, 0, 0);
	sampler_init(&w->later, SAMPLING_NONE, 1, 0, 0);
	sampler_init(chosen, c->sample.mode, c->sample.n, cap_share(&w->conf), c->seed);
}

int worker_new(const struct worker_conf *conf, struct worker **ret_worker)
{
	struct worker *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return ERR_NOMEM;
	w->conf = *conf;
	w->clock_ns = INT64_MIN;
	w->tick_second = INT64_MIN;
	w->speaks = conf->live || conf->number == 0;
	w->shares = !conf->live && conf->workers > 1;
	if (conf->live)
		w->number = (uint64_t)conf->number << 48;
	samplers_init(w);
	int err = make_parts(w);
	if (err != 0) {
		worker_free(w);
		return err;
	}
	*ret_worker = w;
	return 0;
}

int worker_start(struct worker *w)
{
	int err = pthread_create(&w->thread, NULL, run, w);
	w->started = err == 0;
	return -err;
}

int worker_join(struct worker *w)
{
	if (w->started)
		pthread_join(w->thread, NULL);
	else if (!w->ended)
		finish(w); /* never ran: the exporter waits for its end all the same */
	w->started = false;
	return w->error;
}

const struct counters *worker_counters(const struct worker *w)
{
	return &w->counters;
}

void worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	flow_table_free(w->table);
	frag_cache_free(w->frags);
	dedup_free(w->dedup);
	free(w);
}
