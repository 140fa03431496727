/*
 * Sessions. Records wait in the outbox. While a session is up and has room they are encoded; what
 * was sent stays in the outbox until the transport confirms it, and is there to be sent again when
 * the session falls.
 *
 * Patience (patience.h): a replay, and the end of any run, go on only while something moves. Else
 * the collector is given up. The end of a live run goes on for half a minute at most, and for what
 * the pace takes: a collector that reads a little now and then must not hold it up.
 *
 * Live the encoder's clock is the export thread's. In a replay it goes with the records, which wait
 * here while the clock of the run has gone ahead: so messages are cut where they always were.
 */
#include "session.h"

#include <event2/event.h>
#include <stdlib.h>

#include "err.h"
#include "log.h"
#include "outbox.h"
#include "pace.h"
#include "patience.h"

enum {
	CONGESTED = 8192,   /* records that wait: a replay reads no further */
	FEED_MAX = 4096,    /* records before other events have a turn */
	TICK_MS = 20,	    /* for paces */
	TICK_IDLE_MS = 100, /* else */
};

/* How long the end of a live run may stand still, and how long it may take. */
#define END_WAIT_NS (5 * NS_PER_S)
#define END_MOST_NS (30 * NS_PER_S)

/* Datagrams are paced as the UDP transport does: what may leave at once, and the sleep until more
 * may. */
#define DATAGRAM_CREDIT_NS (4 * NS_PER_MS)
#define DATAGRAM_WAIT_US   2000

struct session {
	struct session_conf conf;
	const struct format_ops *format;
	const struct transport_ops *transport;
	struct session_events events;
	struct outbox *outbox;
	struct event *tick;
	struct event *more; /* goes on feeding after others had a turn */
	struct pace pace;
	struct pkt_time now;   /* the run's clock */
	struct pkt_time clock; /* the encoder's */
	bool started;
	bool up;
	bool begun;    /* the encoder has */
	bool was_up;   /* ever */
	bool away;     /* a try failed, or a session fell, and none is up since */
	bool ending;   /* no more records come */
	bool closing;  /* the transport was told the end */
	bool finished; /* nothing more is sent */
	bool held;     /* was congested */
	struct patience patience;
};

static bool has_spool(const struct session *s)
{
	return s->conf.spec->spool != NULL;
}

static bool paced(const struct session *s)
{
	return s->pace.rate != 0 || s->conf.spec->spool != NULL;
}

/* ---- the end ---- */

static void finish(struct session *s)
{
	s->finished = true;
	s->up = false;
	atomic_store_explicit(&s->conf.counters->up, false, memory_order_relaxed);
	outbox_settle(s->outbox);
	event_del(s->tick);
	event_del(s->more);
	outbox_show(s->outbox, s->now);
	s->conf.resume(s->conf.resume_arg);
}

/* Said when it is known what the disk took. */
static void say_given_up(const struct session *s, const char *why, uint64_t lost)
{
	const unsigned long long spooled = stat_get(&s->conf.counters->spooled);
	if (!has_spool(s))
		log_errorx("output", "%s: the collector %s, given up; %llu records are dropped",
			   s->conf.name, why, (unsigned long long)lost);
	else if (lost == 0)
		log_errorx("output",
			   "%s: the collector %s, given up; %llu records are kept in the spool",
			   s->conf.name, why, spooled);
	else
		log_errorx("output",
			   "%s: the collector %s, given up; %llu records are in the spool, "
			   "%llu are dropped, which it could not take",
			   s->conf.name, why, spooled, (unsigned long long)lost);
}

static void give_up(struct session *s)
{
	const uint64_t held = outbox_sent(s->outbox) + outbox_waiting(s->outbox);
	const stat_t *unspooled = &s->conf.counters->dropped[DROP_SPOOL];
	const uint64_t unspooled_before = stat_get(unspooled);
	const char *why = s->up ? "takes too little, or does not close" : "is not there";
	s->transport->session->hangup(s->conf.transport);
	if (s->format->abandon != NULL)
		s->format->abandon(s->conf.encoder);
	if (s->conf.replay)
		counters_fail(s->conf.counters, ERR_NOTREADY);
	if (!has_spool(s))
		atomic_store_explicit(&s->conf.counters->dead, true, memory_order_relaxed);
	finish(s);
	const uint64_t lost = has_spool(s) ? stat_get(unspooled) - unspooled_before : held;
	if (lost != 0)
		counters_fail(s->conf.counters, ERR_NOTREADY);
	say_given_up(s, why, lost);
}

static uint64_t bytes_taken(const struct session *s)
{
	return stat_get(&s->conf.counters->bytes);
}

/* What the peer's system took: a change says that somebody reads. */
static uint64_t bytes_arrived(const struct session *s)
{
	const struct session_ops *ops = s->transport->session;
	const bool knows = s->up && ops->under_way != NULL;
	return bytes_taken(s) - (knows ? ops->under_way(s->conf.transport) : 0);
}

/* With connect-wait=0 one try is due; the session that it brings may stand still for a while. */
static bool out_of_patience(struct session *s, int64_t now_ns)
{
	if (s->conf.replay && s->conf.spec->connect_wait_s == 0 && !s->up)
		return s->away;
	return patience_ends(&s->patience, bytes_arrived(s), now_ns);
}

static int64_t standstill_ns(const struct session_conf *conf)
{
	const uint32_t wait_s = conf->spec->connect_wait_s;
	return conf->replay && wait_s != 0 ? wait_s * NS_PER_S : END_WAIT_NS;
}

static bool wants_progress(const struct session *s)
{
	return s->ending || (s->conf.replay && outbox_waiting(s->outbox) != 0);
}

static void look_at_patience(struct session *s)
{
	const int64_t now_ns = mono_now().ns;
	if (!wants_progress(s))
		patience_renew(&s->patience, now_ns);
	else if (out_of_patience(s, now_ns) ||
		 (s->ending && s->away && has_spool(s) && !s->conf.replay))
		give_up(s);
}

/* ---- encoding ---- */

static void begin(struct session *s, struct pkt_time clock)
{
	if (s->transport->begin != NULL)
		s->transport->begin(s->conf.transport, clock);
	if (s->format->begin != NULL)
		s->format->begin(s->conf.encoder, clock);
	s->begun = true;
	s->clock = clock;
}

static void advance(struct session *s, struct pkt_time clock)
{
	const bool set_back = clock.ns < s->clock.ns - NS_PER_S;
	s->clock = clock;
	if (clock.ns >= s->conf.encoder->due_ns || set_back)
		if (s->format->advance != NULL)
			s->format->advance(s->conf.encoder, clock);
}

static void encode(struct session *s, const struct flow_record *r)
{
	const struct pkt_time clock = s->conf.replay ? r->clock : s->now;
	if (!s->begun)
		begin(s, clock);
	else
		advance(s, clock);
	s->format->record(s->conf.encoder, r, clock);
}

/* A tick would be too late: the pace of datagrams saves up less than goes between two. */
static void await_pace(struct session *s)
{
	static const struct timeval wait = {.tv_usec = DATAGRAM_WAIT_US};
	if (s->conf.transport->datagrams && !event_pending(s->more, EV_TIMEOUT, NULL))
		event_add(s->more, &wait);
}

static bool encode_next(struct session *s, int64_t now_ns)
{
	const bool last = s->ending && !s->conf.replay;
	if (!pace_ready(&s->pace)) {
		await_pace(s);
		return false;
	}
	const struct flow_record *r =
		outbox_next(s->outbox, now_ns, last ? OUTBOX_LAST : OUTBOX_ANY);
	if (r == NULL)
		return false;
	pace_spend(&s->pace);
	encode(s, r);
	return true;
}

static bool has_room(const struct session *s)
{
	return s->up && s->transport->session->room(s->conf.transport);
}

static void close_in_order(struct session *s)
{
	if (!s->begun)
		begin(s, s->now);
	if (s->format->end != NULL)
		s->format->end(s->conf.encoder, s->now, true);
	s->closing = true;
	s->transport->end(s->conf.transport);
}

static void look_at_congestion(struct session *s)
{
	if (s->held && outbox_waiting(s->outbox) <= CONGESTED / 2) {
		s->held = false;
		s->conf.resume(s->conf.resume_arg);
	}
}

/* Gives the session what it takes. */
static void feed(struct session *s)
{
	const int64_t now_ns = paced(s) ? mono_now().ns : 0;
	unsigned n = 0;
	if (paced(s))
		pace_refill(&s->pace, now_ns);
	while (!s->closing && has_room(s) && encode_next(s, now_ns)) {
		if (++n == FEED_MAX) {
			event_active(s->more, EV_TIMEOUT, 0);
			break;
		}
	}
	if (s->ending && !s->closing && has_room(s) && outbox_all_sent(s->outbox))
		close_in_order(s);
}

static void feed_and_push(struct session *s)
{
	if (s->finished)
		return;
	feed(s);
	if (s->up && s->transport->push != NULL)
		s->transport->push(s->conf.transport);
	look_at_congestion(s);
}

/* ---- events ---- */

static void on_up(void *arg)
{
	struct session *s = arg;
	if (s->was_up)
		stat_add(&s->conf.counters->reconnects, 1);
	s->up = s->was_up = true;
	s->away = false;
	patience_begin(&s->patience, bytes_taken(s));
	atomic_store_explicit(&s->conf.counters->up, true, memory_order_relaxed);
	if (!s->conf.replay)
		begin(s, s->now);
	feed_and_push(s);
}

static void on_room(void *arg)
{
	feed_and_push(arg);
}

static void on_confirmed(void *arg, uint64_t records)
{
	struct session *s = arg;
	outbox_confirm(s->outbox, records);
	patience_confirm(&s->patience, records);
	outbox_show(s->outbox, s->now);
}

static void on_lost(void *arg, uint64_t records, enum drop_reason reason)
{
	struct session *s = arg;
	outbox_lose(s->outbox, records, reason);
	patience_confirm(&s->patience, records);
	outbox_show(s->outbox, s->now);
}

static void rewind_all(struct session *s)
{
	if (s->format->abandon != NULL)
		s->format->abandon(s->conf.encoder);
	s->conf.encoder->due_ns = DUE_NEVER;
	s->begun = s->closing = false;
	outbox_rewind(s->outbox);
}

static void on_down(void *arg, bool final)
{
	struct session *s = arg;
	if (s->up)
		patience_fall(&s->patience, bytes_taken(s));
	s->up = false;
	atomic_store_explicit(&s->conf.counters->up, false, memory_order_relaxed);
	if (final) {
		finish(s);
		return;
	}
	s->away = true;
	rewind_all(s);
	outbox_relieve(s->outbox, s->away);
	outbox_show(s->outbox, s->now);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct session *s = arg;
	outbox_relieve(s->outbox, s->away);
	feed_and_push(s);
	outbox_show(s->outbox, s->now);
	look_at_patience(s);
}

static void on_more(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	feed_and_push(arg);
}

/* ---- operations ---- */

static void start(struct session *s)
{
	const int ms = paced(s) ? TICK_MS : TICK_IDLE_MS;
	const struct timeval period = {.tv_usec = ms * 1000};
	event_add(s->tick, &period);
	s->started = true;
	s->transport->session->start(s->conf.transport, &s->events);
}

void session_clock(struct session *s, struct pkt_time now)
{
	s->now = now;
	if (!s->started)
		start(s);
	if (s->begun && !s->closing && has_room(s) &&
	    (!s->conf.replay || outbox_waiting(s->outbox) == 0))
		advance(s, now);
}

void session_record(struct session *s, const struct flow_record *r, struct pkt_time now)
{
	s->now = now;
	outbox_add(s->outbox, r);
	if (s->up)
		feed(s);
}

void session_push(struct session *s)
{
	outbox_show(s->outbox, s->now);
	if (s->finished)
		return;
	feed_and_push(s);
	outbox_relieve(s->outbox, s->away);
}

bool session_congested(const struct session *s)
{
	if (!s->conf.replay || s->finished || outbox_waiting(s->outbox) < CONGESTED)
		return false;
	((struct session *)s)->held = true;
	return true;
}

/* For what waits, at its pace. */
static int64_t pace_takes_ns(const struct session *s)
{
	const int64_t rate = (int64_t)s->conf.spec->rate;
	const int64_t n = (int64_t)outbox_waiting(s->outbox);
	return rate != 0 ? n / rate * NS_PER_S + n % rate * NS_PER_S / rate : 0;
}

void session_end(struct session *s, struct pkt_time now)
{
	s->now = now;
	s->ending = true;
	if (s->finished) /* given up: what came since */
		outbox_settle(s->outbox);
	if (!s->started)
		start(s);
	patience_renew(&s->patience, 0);
	if (!s->conf.replay)
		s->patience.until_ns = mono_now().ns + END_MOST_NS + pace_takes_ns(s);
	feed_and_push(s);
}

bool session_busy(const struct session *s)
{
	return !s->finished;
}

/* ---- making ---- */

static int make_parts(struct session *s, struct errtext *e)
{
	const struct outbox_conf oc = {
		.spec = s->conf.spec,
		.counters = s->conf.counters,
		.name = s->conf.name,
		.replay = s->conf.replay,
	};
	int err = outbox_new(&oc, e, &s->outbox);
	if (err != 0)
		return err;
	s->tick = event_new(s->conf.base, -1, EV_PERSIST, on_tick, s);
	s->more = event_new(s->conf.base, -1, 0, on_more, s);
	return s->tick != NULL && s->more != NULL ? 0 : ERR_NOMEM;
}

int session_new(const struct session_conf *conf, struct errtext *e, struct session **ret_session)
{
	struct session *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return ERR_NOMEM;
	s->conf = *conf;
	s->format = conf->encoder->ops;
	s->transport = conf->transport->ops;
	s->events = (struct session_events){
		.arg = s,
		.up = on_up,
		.room = on_room,
		.confirmed = on_confirmed,
		.lost = on_lost,
		.down = on_down,
	};
	s->pace.rate = conf->spec->rate;
	s->patience.wait_ns = standstill_ns(conf);
	s->pace.most_ns = conf->transport->datagrams ? DATAGRAM_CREDIT_NS : 0;
	int err = make_parts(s, e);
	if (err != 0) {
		session_free(s);
		return err;
	}
	*ret_session = s;
	return 0;
}

void session_free(struct session *s)
{
	if (s == NULL)
		return;
	outbox_free(s->outbox);
	if (s->tick != NULL)
		event_free(s->tick);
	if (s->more != NULL)
		event_free(s->more);
	free(s);
}
