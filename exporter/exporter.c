/*
 * The export thread: an event loop that takes items from the workers' queues and gives each to
 * every output.
 *
 * Waking costs more than encoding a record, so it is rare. The thread drains until all queues
 * are empty, then says that it sleeps; a producer wakes it when a quarter of its ring is filled,
 * on a flush and at the end, and a timer looks after what dribbles in. A producer whose ring is
 * full waits, in a replay, on an eventfd until a quarter is free: no side burns the core that both
 * may share. Each "I sleep" or "I wait" is followed by one more look (sequentially consistent), so
 * no wake-up is lost.
 *
 * Time: in a replay the clock is the greatest of the queues' last clocks, carried by the items,
 * and nothing else moves it; live it is the wall clock, read once a batch and by the timer. So
 * the bytes of a replay do not depend on how the threads were scheduled.
 *
 * Pace: an output that is congested stops the drain in a replay, for all outputs, until it
 * resumes; live it has to drop, and the drain goes on.
 */
#include "exporter.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "err.h"
#include "fail.h"
#include "field.h"
#include "output.h"
#include "path.h"
#include "policy/local.h"
#include "secret.h"
#include "spsc_ring.h"
#include "url.h"

enum {
	QUEUE_SLOTS = 4096,		 /* a replay waits for room */
	LIVE_QUEUE_SLOTS = 65536,	 /* live must take a burst of expiries */
	WAKE_AT = QUEUE_SLOTS / 4,	 /* filled slots that wake the export thread */
	ROOM_AT = QUEUE_SLOTS - WAKE_AT, /* filled slots below which a producer goes on */
	WAKE_CHECK = 64,		 /* commits between two looks at it; a power of two */
	BATCH = 64,			 /* items of a queue between two looks at the outputs */
	ROUNDS = 16,			 /* batches between two looks at other events */
	CALLBACKS_MAX = 16,		 /* the same, in callbacks that go on at once */
	TIMER_MS = 100,
};

struct export_queue {
	struct exporter *exporter;
	struct spsc_ring *ring;
	union export_item *reserved; /* producer's */
	int room_fd;		     /* eventfd a waiting producer sleeps on */
	_Atomic bool waiting;
	bool discards; /* constant: nobody reads records */
	_Atomic uint64_t discarded; /* records that the producer let go */
	/* the export thread's */
	struct export_tick tick; /* the last one */
	struct pkt_time clock;	 /* of the last item */
	bool ended;
};

struct exporter {
	struct exporter_conf conf;
	struct exporter_iface *ifaces;
	struct export_queue *queues;
	struct output **outputs;
	struct event_base *base;
	struct event *wake_event;
	struct event *drain_event; /* activated by hand, to give other events a turn */
	struct event *timer_event;
	int wake_fd; /* eventfd */
	int done_fd; /* eventfd: the thread has finished */
	_Atomic bool sleeping;
	pthread_t thread;
	bool started;
	/* the export thread's */
	struct pkt_time now;
	struct pkt_time given; /* the last that outputs were told */
	struct export_books books;
	unsigned ended; /* queues */
	bool closing;	/* outputs have been told the end */
};

/* ---- producers ---- */

static void signal_fd(int fd)
{
	const uint64_t one = 1;
	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void wait_fd(int fd)
{
	uint64_t value;
	while (read(fd, &value, sizeof(value)) < 0 && errno == EINTR)
		;
}

static void wake_if_sleeping(struct export_queue *q)
{
	struct exporter *x = q->exporter;
	spsc_ring_publish(q->ring);
	if (atomic_load(&x->sleeping) && atomic_exchange(&x->sleeping, false))
		signal_fd(x->wake_fd);
}

/* Apart from what is done for every record, as is the next. */
static __attribute__((noinline)) union export_item *wait_for_room(struct export_queue *q)
{
	while (spsc_ring_used(q->ring) == QUEUE_SLOTS) {
		atomic_store(&q->waiting, true);
		wake_if_sleeping(q);
		if (spsc_ring_used(q->ring) == QUEUE_SLOTS)
			wait_fd(q->room_fd);
	}
	atomic_store(&q->waiting, false);
	return spsc_ring_reserve(q->ring);
}

static __attribute__((noinline)) void look_at_sleeper(struct export_queue *q, bool end)
{
	if (end || spsc_ring_used(q->ring) >= WAKE_AT)
		wake_if_sleeping(q);
}

static union export_item *reserve_slot(struct export_queue *q)
{
	union export_item *item = spsc_ring_reserve(q->ring);
	if (item == NULL && q->exporter->conf.replay)
		item = wait_for_room(q);
	return item;
}

union export_item *export_queue_reserve(struct export_queue *q)
{
	q->reserved = reserve_slot(q);
	return q->reserved;
}

void export_queue_commit(struct export_queue *q)
{
	bool end = q->reserved->kind == EXPORT_END;
	bool look = (spsc_ring_commit(q->ring) & (WAKE_CHECK - 1)) == 0;
	if (end || look)
		look_at_sleeper(q, end);
}

bool export_queue_discards(const struct export_queue *q)
{
	return q->discards;
}

void export_queue_discard(struct export_queue *q)
{
	stat_add(&q->discarded, 1);
}

void export_queue_flush(struct export_queue *q)
{
	if (spsc_ring_used(q->ring) != 0)
		wake_if_sleeping(q);
}

/* ---- the export thread: items ---- */

static void sum_books(struct exporter *x)
{
	struct export_books b = {0};
	uint64_t copies = 0;
	uint64_t unsampled = 0;
	for (unsigned i = 0; i < x->conf.workers; i++) {
		const struct export_tick *t = &x->queues[i].tick;
		b.observed += t->observed;
		copies += t->duplicate;
		unsampled += t->unsampled;
		b.dropped += t->dropped;
		b.malformed += t->malformed;
		b.non_ip += t->non_ip;
		b.metered += t->metered;
	}
	/* In a replay worker 0, which observes, may be behind the others. */
	b.observed -= copies < b.observed ? copies : b.observed;
	b.selected = b.observed > unsampled ? b.observed - unsampled : 0;
	x->books = b;
}

static int64_t greatest_clock(const struct exporter *x)
{
	int64_t greatest = INT64_MIN;
	for (unsigned i = 0; i < x->conf.workers; i++)
		if (!x->queues[i].ended && x->queues[i].clock.ns > greatest)
			greatest = x->queues[i].clock.ns;
	return greatest;
}

/* A queue's clock is `clock` now; in a replay that may move everyone's. */
static void see_clock(struct exporter *x, struct export_queue *q, struct pkt_time clock)
{
	if (!x->conf.replay || clock.ns == q->clock.ns)
		return;
	bool back = clock.ns < q->clock.ns;
	q->clock = clock;
	if (clock.ns > x->now.ns)
		x->now = clock;
	else if (back)
		x->now.ns = greatest_clock(x);
}

static void give_clock(struct exporter *x)
{
	x->given = x->now;
	for (unsigned i = 0; i < x->conf.outputs_count; i++)
		output_clock(x->outputs[i], x->now);
}

static void take_record(struct exporter *x, struct export_queue *q, struct flow_record *r)
{
	see_clock(x, q, r->clock);
	if (x->now.ns != x->given.ns)
		give_clock(x);
	if (x->conf.local != NULL)
		local_mark(x->conf.local, r);
	for (unsigned i = 0; i < x->conf.outputs_count; i++)
		output_record(x->outputs[i], r, x->now);
}

static void take_tick(struct exporter *x, struct export_queue *q, const struct export_tick *tick)
{
	see_clock(x, q, tick->clock);
	q->tick = *tick;
	sum_books(x);
	give_clock(x);
}

static void take_end(struct exporter *x, struct export_queue *q)
{
	if (!q->ended)
		x->ended++;
	q->ended = true;
}

static void take_item(struct exporter *x, struct export_queue *q, union export_item *item)
{
	switch ((enum export_kind)item->kind) {
	case EXPORT_RECORD:
		take_record(x, q, &item->record);
		break;
	case EXPORT_TICK:
		take_tick(x, q, &item->tick);
		break;
	case EXPORT_END:
		take_end(x, q);
		break;
	}
}

/* Up to BATCH items of a queue; their number. */
static unsigned drain_queue(struct exporter *x, struct export_queue *q)
{
	void *first;
	unsigned n = spsc_ring_peek(q->ring, BATCH, &first);
	if (n == 0)
		return 0;
	if (!x->conf.replay)
		x->now = wall_now();
	const size_t stride = spsc_ring_stride(q->ring);
	char *at = first;
	for (unsigned i = 0; i < n; i++, at += stride)
		take_item(x, q, (union export_item *)(void *)at);
	spsc_ring_release(q->ring, n);
	if (atomic_load(&q->waiting) && spsc_ring_pending(q->ring) <= ROOM_AT &&
	    atomic_exchange(&q->waiting, false))
		signal_fd(q->room_fd);
	return n;
}

/* ---- the export thread: the loop ---- */

static bool held_up(const struct exporter *x)
{
	if (!x->conf.replay)
		return false;
	for (unsigned i = 0; i < x->conf.outputs_count; i++)
		if (output_congested(x->outputs[i]))
			return true;
	return false;
}

static void push_outputs(struct exporter *x)
{
	for (unsigned i = 0; i < x->conf.outputs_count; i++)
		output_push(x->outputs[i]);
}

/* Ends the loop once the outputs have nothing left to send. */
static void close_outputs(struct exporter *x)
{
	if (!x->closing) {
		x->closing = true;
		for (unsigned i = 0; i < x->conf.outputs_count; i++)
			output_end(x->outputs[i], x->now);
	}
	push_outputs(x);
	for (unsigned i = 0; i < x->conf.outputs_count; i++)
		if (output_busy(x->outputs[i]))
			return;
	event_base_loopbreak(x->base);
}

static bool anything_pending(const struct exporter *x)
{
	for (unsigned i = 0; i < x->conf.workers; i++)
		if (spsc_ring_pending(x->queues[i].ring) != 0)
			return true;
	return false;
}

static void drain_soon(struct exporter *x)
{
	event_active(x->drain_event, EV_TIMEOUT, 0);
}

static void go_to_sleep(struct exporter *x)
{
	push_outputs(x);
	atomic_store(&x->sleeping, true);
	if (anything_pending(x)) {
		atomic_store(&x->sleeping, false);
		drain_soon(x);
	}
}

static unsigned drain_round(struct exporter *x)
{
	unsigned taken = 0;
	for (unsigned i = 0; i < x->conf.workers && !held_up(x); i++)
		taken += drain_queue(x, &x->queues[i]);
	return taken;
}

static void drain(struct exporter *x)
{
	atomic_store(&x->sleeping, false);
	for (unsigned round = 0; round < ROUNDS; round++) {
		if (held_up(x))
			return; /* on_resume goes on */
		if (x->ended == x->conf.workers) {
			close_outputs(x);
			return;
		}
		if (drain_round(x) == 0) {
			if (!held_up(x))
				go_to_sleep(x);
			return;
		}
	}
	drain_soon(x);
}

static void on_drain(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	drain(arg);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	wait_fd(fd);
	drain(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct exporter *x = arg;
	if (!x->conf.replay && !x->closing) {
		x->now = wall_now();
		give_clock(x);
	}
	drain(x);
}

/* An output has room again, or has sent its last. */
static void on_resume(void *arg)
{
	drain_soon(arg);
}

static void *export_thread(void *arg)
{
	struct exporter *x = arg;
	drain_soon(x);
	event_base_dispatch(x->base);
	signal_fd(x->done_fd);
	return NULL;
}

/* ---- making ---- */

static int make_queue(struct exporter *x, struct export_queue *q)
{
	q->exporter = x;
	q->clock.ns = INT64_MIN;
	q->room_fd = eventfd(0, EFD_CLOEXEC);
	if (q->room_fd < 0)
		return -errno;
	return spsc_ring_new(x->conf.replay ? QUEUE_SLOTS : LIVE_QUEUE_SLOTS,
			     sizeof(union export_item), &q->ring);
}

static int make_queues(struct exporter *x)
{
	x->queues = calloc(x->conf.workers, sizeof(*x->queues));
	if (x->queues == NULL)
		return ERR_NOMEM;
	for (unsigned i = 0; i < x->conf.workers; i++)
		x->queues[i].room_fd = -1;
	for (unsigned i = 0; i < x->conf.workers; i++) {
		int err = make_queue(x, &x->queues[i]);
		if (err != 0)
			return err;
	}
	return 0;
}

/* poll's milliseconds are too coarse for pacing: the base takes precise timers. A callback may ask
 * to go on at once (event_active); sockets and timers have their turn after a few of those, which
 * by default libevent gives them only when nobody asks any more. */
static struct event_base *make_base(void)
{
	struct event_config *config = event_config_new();
	if (config == NULL)
		return NULL;
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_max_dispatch_interval(config, NULL, CALLBACKS_MAX, 0);
	struct event_base *base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static int make_loop(struct exporter *x)
{
	const struct timeval period = {.tv_usec = TIMER_MS * 1000};
	x->base = make_base();
	if (x->base == NULL)
		return ERR_NOMEM;
	x->wake_fd = eventfd(0, EFD_CLOEXEC);
	x->done_fd = eventfd(0, EFD_CLOEXEC);
	if (x->wake_fd < 0 || x->done_fd < 0)
		return -errno;
	x->wake_event = event_new(x->base, x->wake_fd, EV_READ | EV_PERSIST, on_wake, x);
	x->drain_event = event_new(x->base, -1, 0, on_drain, x);
	x->timer_event = event_new(x->base, -1, EV_PERSIST, on_timer, x);
	if (x->wake_event == NULL || x->drain_event == NULL || x->timer_event == NULL)
		return ERR_NOMEM;
	if (event_add(x->wake_event, NULL) != 0 || event_add(x->timer_event, &period) != 0)
		return ERR_NOMEM;
	return 0;
}

/* The path of a URL, malloced; NULL when it has none or is wrong. */
static char *path_of(const char *url)
{
	struct errtext nowhere = {.buf = NULL};
	struct url_spec spec;
	char *path = NULL;
	if (url_parse(url, &nowhere, &spec) == 0 && *spec.path != '\0')
		path = strdup(spec.path);
	url_spec_fini(&spec);
	return path;
}

/* Two outputs that write one file would tear each other's lines. */
static int check_paths(const char *const *urls, unsigned index, struct errtext *e)
{
	char *path = path_of(urls[index]);
	int err = 0;
	for (unsigned i = 0; path != NULL && err == 0 && i < index; i++) {
		char *other = path_of(urls[i]);
		if (other != NULL && path_same(path, other))
			err = fail(e, ERR_USAGE, "another output writes %s already",
				   strcmp(path, "-") == 0 ? "standard output" : path);
		free(other);
	}
	free(path);
	return err;
}

/* The observation domain of an output, which is its number unless the URL says another. False where
 * there is none. */
static bool domain_of(const char *url, unsigned index, uint32_t *ret_domain, bool *ret_given)
{
	struct errtext nowhere = {.buf = NULL};
	struct url_spec spec;
	const bool has = url_parse(url, &nowhere, &spec) == 0 &&
			 (spec.scheme->options & URL_HAS(URL_DOMAIN)) != 0;
	*ret_given = has && (spec.given & URL_HAS(URL_DOMAIN)) != 0;
	*ret_domain = has && *ret_given ? spec.domain : index + 1;
	url_spec_fini(&spec);
	return has;
}

/* Who gives one output a domain may hit another's default without knowing; the same domain given
 * twice is meant. */
static int check_domains(const char *const *urls, unsigned index, struct errtext *e)
{
	uint32_t domain, other;
	bool given, other_given;
	if (!domain_of(urls[index], index, &domain, &given))
		return 0;
	for (unsigned i = 0; i < index; i++)
		if (domain_of(urls[i], i, &other, &other_given) && other == domain &&
		    given != other_given)
			return fail(e, ERR_USAGE,
				    "its domain is %u, and so is that of output %u: give both a domain=",
				    domain, i + 1);
	return 0;
}

static int check_together(const char *const *urls, unsigned index, struct errtext *e)
{
	char *shown = secret_cut(urls[index]);
	errtext_begin(e, "output \"%s\": ", shown != NULL ? shown : "");
	free(shown);
	int err = check_paths(urls, index, e);
	return err != 0 ? err : check_domains(urls, index, e);
}

static int make_outputs(struct exporter *x, const char *const *urls, struct errtext *e)
{
	x->outputs = calloc(x->conf.outputs_count + 1, sizeof(struct output *));
	if (x->outputs == NULL)
		return ERR_NOMEM;
	for (unsigned i = 0; i < x->conf.outputs_count; i++) {
		const struct output_conf conf = {
			.run = &x->conf,
			.books = &x->books,
			.url = urls[i],
			.index = i,
			.base = x->base,
			.resume = on_resume,
			.resume_arg = x,
		};
		int err = check_together(urls, i, e);
		if (err == 0)
			err = output_new(&conf, e, &x->outputs[i]);
		if (err != 0)
			return err;
	}
	return 0;
}

static int copy_conf(struct exporter *x, const struct exporter_conf *conf)
{
	x->conf = *conf;
	x->conf.outputs = NULL; /* read once, by make_outputs */
	x->conf.ifaces = NULL;
	x->conf.ifaces_count = 0;
	x->ifaces = calloc(conf->ifaces_count + 1, sizeof(*x->ifaces));
	if (x->ifaces == NULL)
		return ERR_NOMEM;
	x->conf.ifaces = x->ifaces;
	for (unsigned i = 0; i < conf->ifaces_count; i++) {
		const struct exporter_iface *from = &conf->ifaces[i];
		x->ifaces[i].index = from->index;
		x->ifaces[i].dropped = from->dropped;
		const char *name = from->name != NULL ? from->name : "";
		x->ifaces[i].name = strdup(name);
		x->ifaces[i].description =
			strdup(from->description != NULL ? from->description : name);
		x->conf.ifaces_count++;
		if (x->ifaces[i].name == NULL || x->ifaces[i].description == NULL)
			return ERR_NOMEM;
	}
	return 0;
}

/* Records that every output would only count need not come here. */
static void choose_discards(struct exporter *x)
{
	bool discards = true;
	for (unsigned i = 0; i < x->conf.outputs_count; i++)
		discards &= output_discards(x->outputs[i]);
	for (unsigned i = 0; i < x->conf.workers; i++)
		x->queues[i].discards = discards;
}

static int make(struct exporter *x, const struct exporter_conf *conf, struct errtext *e)
{
	int err = copy_conf(x, conf);
	if (err == 0)
		err = make_queues(x);
	if (err == 0)
		err = make_loop(x);
	if (err == 0)
		err = make_outputs(x, conf->outputs, e);
	if (err == 0)
		choose_discards(x);
	return err;
}

int exporter_check_output(const struct exporter_conf *conf, const char *url, char *errbuf,
			  unsigned errsize)
{
	struct errtext e = {.buf = errbuf, .size = errsize};
	const struct output_conf oc = {.run = conf, .url = url};
	return output_check(&oc, &e);
}

int exporter_check_together(const struct exporter_conf *conf, unsigned index, char *errbuf,
			    unsigned errsize)
{
	struct errtext e = {.buf = errbuf, .size = errsize};
	return check_together(conf->outputs, index, &e);
}

int exporter_new(const struct exporter_conf *conf, char *errbuf, unsigned errsize,
		 struct exporter **ret_exporter)
{
	struct exporter *x = calloc(1, sizeof(*x));
	if (x == NULL)
		return ERR_NOMEM;
	x->wake_fd = x->done_fd = -1;
	x->given.ns = INT64_MIN;
	struct errtext e = {.buf = errbuf, .size = errsize};
	int err = make(x, conf, &e);
	if (err != 0) {
		if (e.len == 0 || err == ERR_NOMEM)
			fail(&e, err, "exporter: %s", err_str(err));
		exporter_free(x);
		return err;
	}
	*ret_exporter = x;
	return 0;
}

/* ---- running ---- */

int exporter_start(struct exporter *x)
{
	/* Signals are the main thread's business; SIGPIPE is EPIPE to us. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&x->thread, NULL, export_thread, x);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	x->started = err == 0;
	return -err;
}

static int first_error(const struct exporter *x)
{
	for (unsigned i = 0; i < x->conf.outputs_count; i++) {
		struct output_stats stats;
		output_stats_get(x->outputs[i], &stats);
		if (stats.error != 0)
			return stats.error;
	}
	return 0;
}

int exporter_stop(struct exporter *x)
{
	if (x->started)
		pthread_join(x->thread, NULL);
	x->started = false;
	return first_error(x);
}

int exporter_done_fd(const struct exporter *x)
{
	return x->done_fd;
}

bool exporter_dead(const struct exporter *x)
{
	for (unsigned i = 0; i < x->conf.outputs_count; i++)
		if (!output_dead(x->outputs[i]))
			return false;
	return true;
}

unsigned exporter_outputs(const struct exporter *x)
{
	return x->conf.outputs_count;
}

void exporter_output_stats(const struct exporter *x, unsigned index, struct output_stats *ret_stats)
{
	output_stats_get(x->outputs[index], ret_stats);
	for (unsigned i = 0; i < x->conf.workers; i++) {
		const uint64_t discarded = stat_get(&x->queues[i].discarded);
		ret_stats->records_in += discarded;
		ret_stats->records += discarded;
	}
}

struct export_queue *exporter_queue(struct exporter *x, unsigned worker)
{
	return &x->queues[worker];
}

bool exporter_wants(const struct exporter *x, const char *element)
{
	struct field_ref ref;
	if (!field_find(element, strlen(element), &ref))
		return false;
	for (unsigned i = 0; i < x->conf.outputs_count; i++)
		if (output_wants(x->outputs[i], ref))
			return true;
	return false;
}

/* ---- freeing ---- */

static void free_queues(struct exporter *x)
{
	for (unsigned i = 0; x->queues != NULL && i < x->conf.workers; i++) {
		spsc_ring_free(x->queues[i].ring);
		if (x->queues[i].room_fd >= 0)
			close(x->queues[i].room_fd);
	}
	free(x->queues);
}

static void free_event(struct event *event)
{
	if (event != NULL)
		event_free(event);
}

static void free_loop(struct exporter *x)
{
	free_event(x->wake_event);
	free_event(x->drain_event);
	free_event(x->timer_event);
	if (x->base != NULL)
		event_base_free(x->base);
	if (x->wake_fd >= 0)
		close(x->wake_fd);
	if (x->done_fd >= 0)
		close(x->done_fd);
}

static void free_ifaces(struct exporter *x)
{
	for (unsigned i = 0; i < x->conf.ifaces_count; i++) {
		free((void *)x->ifaces[i].name);
		free((void *)x->ifaces[i].description);
	}
	free(x->ifaces);
}

void exporter_free(struct exporter *x)
{
	if (x == NULL)
		return;
	for (unsigned i = 0; x->outputs != NULL && i < x->conf.outputs_count; i++)
		output_free(x->outputs[i]);
	free(x->outputs);
	free_queues(x);
	free_loop(x);
	free_ifaces(x);
	free(x);
}
