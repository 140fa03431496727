/*
 * The worker's loop. Packets move in batches through three stages, so that the memory that a stage
 * needs was asked for by the one before: admit (time, sampling, decode, hash, fetch the bucket),
 * fetch the entry, update. The packet path counts; it does not log, allocate, lock or copy.
 */
#include "worker_internal.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "decode/decode.h"
#include "err.h"
#include "log.h"
#include "pin.h"
#include "own.h"
#include "short_cut.h"

/* A quiet live input's clock stays this far behind the wall, for packets still on their way. */
#define LIVE_LAG_NS (250 * NS_PER_MS)

static inline bool is_asked_to_stop(const struct worker *w)
{
	return atomic_load_explicit(w->conf.stop, memory_order_relaxed);
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

/* ---- the way to the exporter --------------------------------------------------------------- */

/* Live and the queue is full, when everything held must leave: nothing of that is lost for pace. */
static __attribute__((noinline)) union export_item *sink_wait(const struct worker *w)
{
	union export_item *item;
	do {
		export_queue_flush(w->conf.queue);
		nanosleep(&(struct timespec){0, NS_PER_MS}, NULL);
		item = export_queue_reserve(w->conf.queue);
	} while (item == NULL);
	return item;
}

/* Live, a full queue gives NULL otherwise. */
static union export_item *sink_reserve(void *context)
{
	const struct worker *w = context;
	union export_item *item = export_queue_reserve(w->conf.queue);
	if (__builtin_expect(item == NULL, 0) && w->flushing)
		return sink_wait(w);
	return item;
}

static void sink_commit(void *context)
{
	const struct worker *w = context;
	export_queue_commit(w->conf.queue);
}

static void sink_discard(void *context)
{
	const struct worker *w = context;
	export_queue_discard(w->conf.queue);
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
	if (w->conf.live)
		worker_publish(w); /* what is lost is to be known soon, however packets come */
	if (second != w->tick_second) {
		w->tick_second = second;
		send_tick(w, clock_ns);
	}
	flow_table_advance(w->table, clock_ns);
}

/* Sweeps are a matter of the clock alone, so that batches do not decide what leaves when. */
static inline void sweep_if_time(struct worker *w, int64_t clock_ns)
{
	uint64_t tick = flow_tick(clock_ns);
	if (__builtin_expect(tick != w->sweep_tick, 0)) {
		w->sweep_tick = tick;
		sweep(w, clock_ns);
	}
}

/* ---- the stages ---------------------------------------------------------------------------- */

/* Stages two and three for what has been admitted, sweeping before the first packet of a tick. */
static void update_pending(struct worker *w)
{
	const unsigned n = w->pending;
	unsigned done = 0;
	w->pending = 0;
	if (n == 0)
		return;
	if (__builtin_expect(flow_tick(w->batch[n - 1].clock_ns) != w->sweep_tick, 0)) {
		for (unsigned i = 0; i < n; i++) {
			if (flow_tick(w->batch[i].clock_ns) == w->sweep_tick)
				continue;
			flow_table_update(w->table, &w->batch[done], i - done);
			done = i;
			sweep_if_time(w, w->batch[i].clock_ns);
		}
	}
	flow_table_update(w->table, &w->batch[done], n - done);
}

/* METERING.md §6: all that is held ends and the clock starts anew. */
static void set_back(struct worker *w)
{
	update_pending(w);
	sweep_if_time(w, w->clock_ns); /* packets of no flow may have moved it by years: see may_be_due */
	flush_table(w, w->clock_ns);
	frag_cache_clear(w->frags);
	if (w->dedup != NULL)
		dedup_clear(w->dedup);
	sampler_restart(&w->sampler);
	sampler_restart(&w->later);
	w->clock_ns = CLOCK_UNSET;
	w->sweep_tick = 0;
	if (w->speaks)
		count(w, COUNTER_TIME_SET_BACK);
}

/* The packet's own time; moves the clock. */
static int64_t arrive(struct worker *w, const struct raw_packet *raw)
{
	const int64_t time_ns = packet_clock_time(w->clock_ns, raw);
	if (__builtin_expect(raw->time.ns == PKT_TIME_NONE, 0) && w->speaks)
		count(w, COUNTER_NO_TIME);
	if (__builtin_expect(time_ns < w->clock_ns, 0)) {
		if (packet_clock_is_set_back(w->clock_ns, time_ns, w->conf.conf->idle_timeout_ns))
			set_back(w);
		else if (w->speaks)
			count(w, COUNTER_LATE_PACKETS);
	}
	if (time_ns > w->clock_ns)
		w->clock_ns = time_ns;
	return time_ns;
}

/* Counts what sampling leaves out. */
static bool is_selected(struct worker *w, struct sampler *sampler)
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

/* Key, flow sampling and hash. False when flow sampling leaves it out. */
static bool make_key(struct worker *w, struct flow_packet *in, const struct packet *p,
		     uint8_t iface)
{
	const struct conf *conf = w->conf.conf;
	const unsigned side = flow_key_make(&in->key, p, iface, conf->key_flags);
	in->side = (uint8_t)(side | (flow_key_turns(&in->key, p, side) ? FLOW_ANSWERS : 0));
	if (conf->sample.mode == SAMPLING_FLOW &&
	    flow_key_sample(&in->key, w->conf.sample_secret) % conf->sample.n != 0) {
		count(w, COUNTER_UNSAMPLED);
		return false;
	}
	const bool full = (conf->key_flags & (KEY_VLAN | KEY_MAC)) != 0;
	flow_index_place(&w->index, flow_key_hash(&in->key, full, w->conf.secret), in);
	in->sum = (struct packet_sum){
		.octets = p->octets,
		.tcp_flags = p->tcp_flags,
		.vlan = p->vlan,
		.cvlan = p->cvlan,
		.tos = p->tos,
		.ttl = p->ttl,
	};
	in->macs = p->flags & PACKET_MACS ? p->macs : NULL;
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
	if (!w->shares || worker_owns(w, flow_share(&w->train, w->conf.secret)))
		frag_cache_apply(w->frags, &w->train, iface, w->clock_ns);
	w->train.flags = 0;
}

/* First stage of any packet: its fate (METERING.md §1), and its place in the batch if it is
 * metered. */
static void admit_any(struct worker *w, const struct raw_packet *raw, int64_t time_ns)
{
	struct flow_packet *in = &w->batch[w->pending];
	struct packet *p = &w->packet[w->pending];
	struct fate fate = decode_packet(w->conf.conf->decap_flags, raw, p, &w->train);
	if (w->train.flags != 0)
		lend_train(w, raw->iface);
	if (w->dedup != NULL &&
	    !is_first_and_selected(w, raw, p, fate.counter == COUNTER_METERED))
		return;
	if (fate.counter != COUNTER_METERED) {
		if (w->speaks)
			count_fate(w, fate.counter);
		return;
	}
	if (w->shares && !worker_owns(w, flow_share(p, w->conf.secret)))
		return;
	if (p->flags & (PACKET_FRAG_FIRST | PACKET_FRAG_LATER))
		handle_fragment(w, p, raw->iface);
	if (w->conf.own != NULL && own_is(w->conf.own, p)) {
		count(w, COUNTER_OWN_EXPORT);
		return;
	}
	if (!make_key(w, in, p, raw->iface))
		return;
	if (fate.note != COUNTER_COUNT)
		count(w, fate.note);
	count(w, COUNTER_METERED);
	in->time_ns = time_ns;
	in->clock_ns = w->clock_ns;
	in->number = w->number;
	in->ingress = raw->ingress;
	in->egress = raw->egress;
	w->pending++;
}

/* Any packet that can be. */
static void admit(struct worker *w, const struct raw_packet *raw)
{
	packet_ask_ahead(raw, w->ahead);
	int64_t time_ns = arrive(w, raw);
	w->number++;
	if (w->speaks)
		count(w, COUNTER_OBSERVED);
	if (!w->samples || is_selected(w, &w->sampler))
		admit_any(w, raw, time_ns);
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
		worker_publish(w);
		int64_t nap = left > 50e6 ? 50 * NS_PER_MS : (int64_t)left;
		nanosleep(&(struct timespec){0, nap}, NULL);
	}
}

/* `n` packets of one input, at least one. */
static void process(struct worker *w, const struct raw_packet *raws, unsigned n)
{
	const bool paced = w->conf.conf->speed > 0 && !w->conf.live;
	w->samples = sampler_decides(&w->sampler);
	w->key_rest = key_rest(0, 0, w->iface_mask & raws[0].iface); /* an input has one */
	for (unsigned i = 0; i < n;) {
		if (paced)
			keep_pace(w, &raws[i]);
		const unsigned most = n - i < BATCH ? n - i : BATCH;
		unsigned run = worker_admit_plain(w, &raws[i], paced ? 1 : most);
		if (run == 0)
			admit(w, &raws[i++]);
		i += run;
		if (w->pending >= BATCH)
			update_pending(w);
	}
	update_pending(w);
	/* packets that no flow got move the clock as well */
	if (w->clock_ns != CLOCK_UNSET)
		sweep_if_time(w, w->clock_ns);
	if ((++w->batches & 255) == 0)
		worker_publish(w);
}

/* Of a hand, a packet that goes to all. */
static void process_any(struct worker *w, const struct hand *hand, const struct hand_item *item)
{
	w->clock_ns = item->time_ns;
	w->number = hand->number + item->at;
	if (w->conf.conf->speed > 0)
		keep_pace(w, item->any);
	admit(w, item->any);
}

/* Some of the next `n`, at least one, of which the first is for the short cut. Returns their number. */
static unsigned process_run(struct worker *w, const struct hand *hand,
			    const struct hand_item *items, unsigned n)
{
	const unsigned run = worker_admit_dealt(w, hand, items, n < BATCH ? n : BATCH, n);
	if (run > 0)
		return run;
	count_fate(w, COUNTER_MALFORMED_LINK); /* a program has changed the file meanwhile */
	return 1;
}

/* This worker's part of a hand. */
static void process_hand(struct worker *w, const struct hand *hand)
{
	const struct hand_part *part = &hand->part[w->conf.number];
	w->samples = sampler_decides(&w->sampler);
	w->key_rest = key_rest(0, 0, w->iface_mask & hand->iface);
	for (unsigned i = 0; i < part->count;) {
		if (part->item[i].is_any)
			process_any(w, hand, &part->item[i++]);
		else
			i += process_run(w, hand, &part->item[i], part->count - i);
		if (w->pending >= BATCH)
			update_pending(w);
	}
	update_pending(w); /* it points to packets */
	w->number = hand->number + hand->count;
	w->clock_ns = hand->clock_ns;
	w->counters.v[COUNTER_OBSERVED] += w->speaks ? hand->count - hand->any_count : 0;
	if (w->clock_ns != CLOCK_UNSET)
		sweep_if_time(w, w->clock_ns);
	if ((++w->batches & 7) == 0)
		worker_publish(w);
}

/* ---- the loop ------------------------------------------------------------------------------ */

/* Live and nothing came: the clock goes on behind the wall's. */
static void idle(struct worker *w)
{
	int64_t now = wall_now().ns - LIVE_LAG_NS;
	if (now > w->clock_ns)
		w->clock_ns = now;
	sweep_if_time(w, w->clock_ns);
	worker_publish(w);
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
	while (!is_asked_to_stop(w)) {
		int n = capture_next(w->capture, raws, BATCH);
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
		if (n > 0)
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
		.stop = w->conf.stop,
	};
	return capture_open_said(&conf, &w->capture);
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
	if (w->conf.live) {
		input_view_publish(&w->input, w->capture);
		worker_account_input(w, &s);
	}
	capture_close(w->capture);
	w->capture = NULL;
}

static void finish(struct worker *w)
{
	if (w->clock_ns == CLOCK_UNSET)
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
	worker_publish(w);
	w->ended = true;
	uint64_t one = 1;
	if (write(w->conf.done_fd, &one, sizeof(one)) != sizeof(one))
		log_warn("worker", "cannot say that it ended");
}

static void read_inputs(struct worker *w)
{
	for (unsigned i = 0; i < w->conf.specs_count; i++) {
		if (!w->conf.live && is_asked_to_stop(w))
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
}

static void read_dealt(struct worker *w)
{
	const struct hand *hand;
	while ((hand = deal_next(w->conf.deal, w->conf.number)) != NULL) {
		process_hand(w, hand);
		deal_done(w->conf.deal, w->conf.number);
	}
	if (w->speaks)
		note_error(w, deal_error(w->conf.deal));
}

static void *run(void *arg)
{
	struct worker *w = arg;
	pin_to_worker(&w->conf.conf->cpus, w->conf.number);
	if (w->shares)
		read_dealt(w);
	else
		read_inputs(w);
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
		.keep_egress = w->conf.keep_egress,
		.worker = w->conf.number,
		.secret = w->conf.secret,
		.counters = &w->counters,
		.sink = {w, sink_reserve, sink_commit,
			 export_queue_discards(w->conf.queue) ? sink_discard : NULL},
	};
	int err = flow_table_new(&table, &w->table);
	if (err == 0)
		w->index = flow_table_index(w->table);
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

/* What is decided once, so that packets need not ask. */
static void choose_ways(struct worker *w)
{
	const struct conf *c = w->conf.conf;
	w->short_cut = short_cut_is_there(c);
	w->looks_into_udp = c->decap_flags != 0;
	w->ahead = w->conf.live ? 0 : PACKET_AHEAD;
	w->iface_mask = c->key_flags & KEY_INTERFACE ? UINT8_MAX : 0;
}

int worker_new(const struct worker_conf *conf, struct worker **ret_worker)
{
	struct worker *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return ERR_NOMEM;
	w->conf = *conf;
	w->clock_ns = CLOCK_UNSET;
	w->tick_second = INT64_MIN;
	w->speaks = conf->live || conf->number == 0;
	w->shares = conf->deal != NULL;
	if (conf->live)
		w->number = (uint64_t)conf->number << 48;
	samplers_init(w);
	choose_ways(w);
	int err = make_parts(w);
	if (err != 0) {
		worker_free(w);
		return err;
	}
	*ret_worker = w;
	return 0;
}

/* It never ran: the exporter waits for its end all the same, and the books for what was dealt to it. */
static void read_what_is_left(struct worker *w)
{
	if (w->shares)
		read_dealt(w);
	finish(w);
}

int worker_start(struct worker *w)
{
	int err = pthread_create(&w->thread, NULL, run, w);
	w->started = err == 0;
	return -err;
}

void worker_populate(struct worker *w)
{
	flow_table_populate(w->table, w->conf.stop);
}

int worker_join(struct worker *w)
{
	if (w->started)
		pthread_join(w->thread, NULL);
	else if (!w->ended)
		read_what_is_left(w);
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
