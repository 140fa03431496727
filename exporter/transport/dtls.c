/*
 * IPFIX over DTLS over UDP (RFC 7011 §10.3, §11): a message a datagram, with the rules of UDP:
 * templates come at the beginning of a session and again by time, what the network loses is lost.
 * So a record counts as delivered when it was handed to the system.
 *
 *   WAITING ──> DIALLING ──> GREETING ──> UP ──> OVER
 *      └────────────┴────────────┴─ broken ┘
 *
 * A collector that was restarted has no session any more, drops what it gets, and need not say
 * so. While it is away ICMP tells; after that nothing does. So every `reconnect` seconds a second
 * session is opened beside the first and, when it is up, takes its place: what a silent collector
 * can lose is bounded, and no record waits for the handshake. Where it cannot be opened the
 * collector is gone. A replay is short and does so only when told.
 *
 * While the socket takes no more there is no room, so nothing is encoded. What was being encoded
 * may be several messages all the same (templates go before a record): they wait in slots, which
 * become more as they are needed, and leave in order.
 */
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../format/format.h"
#include "backoff.h"
#include "dial.h"
#include "dtls_link.h"
#include "err.h"
#include "log.h"
#include "tls.h"
#include "transport.h"

enum {
	MTU_MIN = 576,		 /* of IPv4 (RFC 791), and room for a handshake */
	MESSAGE_MAX = 16 * 1024, /* a DTLS record */
	GREETING_WAIT_S = 10,
	SLOTS_FIRST = 8, /* messages; doubled when a record and templates are more */
};

#define GOOD_NS NS_PER_S /* a session that held this long: the next pause is short */

enum dtls_state {
	DTLS_WAITING,
	DTLS_DIALLING,
	DTLS_GREETING,
	DTLS_UP,
	DTLS_OVER,
};

/* A message that was built. */
struct slot {
	size_t len;
	unsigned records;
};

struct dtls {
	struct transport base;
	const struct url_spec *spec;
	const struct session_events *events;
	struct dtls_events link_events;
	struct event_base *loop;
	SSL_CTX *context;
	struct dial *dial;
	struct dtls_link *link; /* the session's */
	struct dtls_link *next; /* still greeting */
	struct event *timer;	/* a pause, the patience with a greeting, or the next session */
	struct event *later;	/* tells what was found inside an operation */
	enum dtls_state state;
	bool renews;
	bool renewing; /* UP: the next session is dialled */
	bool ending;
	bool broken;
	/* messages that wait for the socket: `head` to `tail`, which is on loan */
	uint8_t *mem; /* max_message bytes each */
	struct slot *slot;
	unsigned slots;
	unsigned head; /* both back to 0 only where nothing is on loan */
	unsigned tail;
	uint64_t sent; /* records to tell of */
	int64_t up_ns; /* monotonic */
	struct backoff backoff;
	char said[256]; /* the last failure in the log */
};

static struct dtls *dtls_of(struct transport *t)
{
	return (struct dtls *)t;
}

/* ---- the log ---- */

static void say_up(struct dtls *d)
{
	log_info("output", "%s://%s:%s: connected", d->spec->scheme->name, d->spec->host,
		 d->spec->port);
	d->said[0] = '\0';
}

/* The same failure is said once, until a session was good. */
static void say_failed(struct dtls *d, const char *why)
{
	if (strcmp(d->said, why) == 0)
		return;
	snprintf(d->said, sizeof(d->said), "%s", why);
	log_warnx("output", "%s://%s:%s: %s; trying again", d->spec->scheme->name, d->spec->host,
		  d->spec->port, why);
}

/* ---- sessions ---- */

static void set_timer(struct dtls *d, int64_t ns)
{
	const struct timeval tv = {
		.tv_sec = ns / NS_PER_S,
		.tv_usec = ns % NS_PER_S / NS_PER_US,
	};
	event_add(d->timer, &tv);
}

static void drop_links(struct dtls *d)
{
	dial_cancel(d->dial);
	event_del(d->timer);
	event_del(d->later);
	dtls_link_free(d->next);
	dtls_link_free(d->link);
	d->next = d->link = NULL;
	d->renewing = d->ending = d->broken = false;
	d->head = d->tail = 0;
	d->sent = 0;
}

/* Before the session goes: they left. */
static void tell_sent(struct dtls *d)
{
	const uint64_t records = d->sent;
	d->sent = 0;
	if (records != 0)
		d->events->confirmed(d->events->arg, records);
}

static void fall(struct dtls *d, const char *why)
{
	tell_sent(d);
	if (d->state == DTLS_UP && mono_now().ns - d->up_ns >= GOOD_NS) {
		backoff_reset(&d->backoff);
		d->said[0] = '\0';
	}
	say_failed(d, why);
	drop_links(d);
	d->state = DTLS_WAITING;
	set_timer(d, backoff_next_ns(&d->backoff));
	d->events->down(d->events->arg, false);
}

static void await_renewal(struct dtls *d)
{
	event_del(d->timer);
	if (d->renews)
		set_timer(d, d->spec->reconnect_s * NS_PER_S);
}

/* The next session takes the place of the one that is up. */
static void change_over(struct dtls *d, struct dtls_link *link)
{
	tell_sent(d);
	dtls_link_free(d->link);
	d->link = link;
	d->next = NULL;
	d->renewing = d->ending = d->broken = false; /* what was of the old one */
	d->head = d->tail = 0;
	await_renewal(d);
	log_debug("output", "%s://%s:%s: a new session in place of the old one",
		  d->spec->scheme->name, d->spec->host, d->spec->port);
	d->events->down(d->events->arg, false);
	d->events->up(d->events->arg);
}

static void open_session(struct dtls *d, struct dtls_link *link)
{
	d->link = link;
	d->next = NULL;
	d->state = DTLS_UP;
	d->up_ns = mono_now().ns;
	await_renewal(d);
	say_up(d);
	d->events->up(d->events->arg);
}

static void on_greeted(void *arg, struct dtls_link *link)
{
	struct dtls *d = arg;
	if (dtls_link_room(link) < d->base.max_message)
		fall(d, "the cipher that was agreed on leaves too little room, take a larger mtu=");
	else if (d->state == DTLS_UP)
		change_over(d, link);
	else
		open_session(d, link);
}

static void on_broke(void *arg, struct dtls_link *link, const char *why)
{
	struct dtls *d = arg;
	char text[256];
	snprintf(text, sizeof(text), "%s", why);
	if (link == d->link && d->next != NULL)
		return; /* the next one is being greeted, and tells */
	fall(d, text);
}

/* ---- messages ---- */

static bool is_stalled(const struct dtls *d)
{
	return d->head != d->tail;
}

static bool has_room(const struct dtls *d)
{
	return d->state == DTLS_UP && !d->broken && !is_stalled(d);
}

static uint8_t *slot_mem(const struct dtls *d, unsigned index)
{
	return d->mem + (size_t)index * d->base.max_message;
}

/* What is found inside an operation is told later. */
static void break_quietly(struct dtls *d)
{
	d->broken = true;
	event_active(d->later, EV_TIMEOUT, 0);
}

static int more_slots(struct dtls *d)
{
	const unsigned slots = d->slots != 0 ? d->slots * 2 : SLOTS_FIRST;
	uint8_t *mem = realloc(d->mem, slots * d->base.max_message);
	if (mem == NULL)
		return ERR_NOMEM;
	d->mem = mem;
	struct slot *slot = realloc(d->slot, slots * sizeof(*slot));
	if (slot == NULL)
		return ERR_NOMEM;
	d->slot = slot;
	d->slots = slots;
	return 0;
}

static void count_sent(struct dtls *d, const struct slot *s)
{
	stat_add(&d->base.counters->messages, 1);
	stat_add(&d->base.counters->bytes, s->len);
	d->sent += s->records;
	event_active(d->later, EV_TIMEOUT, 0);
}

/* As many of those that wait as the socket takes. */
static void send_quietly(struct dtls *d)
{
	for (; is_stalled(d) && !d->broken; d->head++) {
		const struct slot *s = &d->slot[d->head];
		int err = dtls_link_send(d->link, slot_mem(d, d->head), s->len);
		if (err == -EAGAIN)
			return;
		if (err == 0)
			count_sent(d, s);
		else
			break_quietly(d);
	}
}

static void on_writable(void *arg, struct dtls_link *link)
{
	struct dtls *d = arg;
	if (link != d->link || !is_stalled(d))
		return;
	send_quietly(d);
	if (has_room(d))
		d->events->room(d->events->arg);
}

static void finish(struct dtls *d)
{
	tell_sent(d);
	drop_links(d);
	d->state = DTLS_OVER;
	d->events->down(d->events->arg, true);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct dtls *d = arg;
	if (d->broken) {
		char why[256];
		snprintf(why, sizeof(why), "%s", dtls_link_why(d->link));
		fall(d, why);
	} else if (d->ending && !is_stalled(d)) {
		finish(d);
	} else {
		tell_sent(d);
	}
}

/* ---- connecting ---- */

static void on_dialled(void *arg, int fd, const char *why)
{
	struct dtls *d = arg;
	if (fd < 0) {
		fall(d, why);
		return;
	}
	d->next = dtls_link_new(d->context, d->spec, fd, d->loop, &d->link_events);
	if (d->next == NULL) {
		fall(d, err_str(ERR_NOMEM));
		return;
	}
	if (d->state != DTLS_UP)
		d->state = DTLS_GREETING;
	set_timer(d, GREETING_WAIT_S * NS_PER_S);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct dtls *d = arg;
	if (d->next != NULL) {
		fall(d, "no answer to the DTLS handshake");
		return;
	}
	if (d->state == DTLS_WAITING)
		d->state = DTLS_DIALLING;
	d->renewing = d->state == DTLS_UP;
	dial_begin(d->dial);
}

/* ---- operations ---- */

static size_t dtls_max_message(const struct url_spec *spec)
{
	const size_t n = spec->mtu > DTLS_AROUND ? spec->mtu - DTLS_AROUND : 0;
	return n < MESSAGE_MAX ? n : MESSAGE_MAX;
}

static uint8_t *dtls_reserve(struct transport *t, size_t n)
{
	(void)n;
	struct dtls *d = dtls_of(t);
	if (!is_stalled(d))
		d->head = d->tail = 0;
	if (d->tail == d->slots && more_slots(d) != 0) {
		d->head = d->tail = 0; /* of no use: the session ends, and its records go again */
		break_quietly(d);
	}
	return slot_mem(d, d->tail);
}

static void dtls_commit(struct transport *t, size_t n, unsigned records)
{
	struct dtls *d = dtls_of(t);
	const bool stalled = is_stalled(d);
	if (d->state != DTLS_UP || d->broken)
		return;
	d->slot[d->tail++] = (struct slot){.len = n, .records = records};
	if (!stalled)
		send_quietly(d);
}

static bool dtls_room(const struct transport *t)
{
	return has_room((const struct dtls *)t);
}

static void dtls_start(struct transport *t, const struct session_events *events)
{
	struct dtls *d = dtls_of(t);
	d->events = events;
	d->state = DTLS_DIALLING;
	dial_begin(d->dial);
}

static void dtls_end(struct transport *t)
{
	struct dtls *d = dtls_of(t);
	d->ending = true;
	event_active(d->later, EV_TIMEOUT, 0);
}

static bool dtls_busy(const struct transport *t)
{
	return ((const struct dtls *)t)->state != DTLS_OVER;
}

static void dtls_hangup(struct transport *t)
{
	struct dtls *d = dtls_of(t);
	drop_links(d);
	d->state = DTLS_OVER;
}

static void dtls_close(struct transport *t)
{
	if (t == NULL)
		return;
	struct dtls *d = dtls_of(t);
	dtls_link_free(d->next);
	dtls_link_free(d->link);
	dial_free(d->dial);
	if (d->timer != NULL)
		event_free(d->timer);
	if (d->later != NULL)
		event_free(d->later);
	SSL_CTX_free(d->context);
	free(d->mem);
	free(d->slot);
	free(d);
}

/* ---- opening ---- */

static int make_parts(struct dtls *d, const struct transport_conf *conf, struct errtext *e)
{
	int err = tls_context_new(conf->spec, DTLS_client_method(), e, &d->context);
	if (err == 0)
		err = dtls_restrict(d->context);
	if (err == 0)
		err = dial_new(conf->base, conf->spec, SOCK_DGRAM, IPPROTO_UDP, on_dialled, d,
			       &d->dial);
	if (err != 0)
		return err;
	dial_own(d->dial, conf->own);
	d->timer = event_new(conf->base, -1, 0, on_timer, d);
	d->later = event_new(conf->base, -1, 0, on_later, d);
	return d->timer != NULL && d->later != NULL ? more_slots(d) : ERR_NOMEM;
}

static int dtls_check(const struct url_spec *spec, struct errtext *e)
{
	SSL_CTX *context;
	int err = tls_context_new(spec, DTLS_client_method(), e, &context);
	if (err == 0)
		SSL_CTX_free(context);
	if (spec->mtu < MTU_MIN)
		err = fail(e, ERR_USAGE, "mtu=%u is too small for DTLS, it wants %d", spec->mtu,
			   MTU_MIN);
	return err;
}

static int dtls_open(const struct transport_conf *conf, struct errtext *e,
		     struct transport **ret_transport)
{
	struct dtls *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return ERR_NOMEM;
	d->base = (struct transport){
		.counters = conf->counters,
		.max_message = dtls_max_message(conf->spec),
		.due_ns = DUE_NEVER,
		.datagrams = true,
	};
	d->spec = conf->spec;
	d->loop = conf->base;
	d->renews = d->spec->reconnect_s != 0 &&
		    (!conf->replay || (d->spec->given & URL_HAS(URL_RECONNECT)));
	d->link_events = (struct dtls_events){
		.arg = d,
		.greeted = on_greeted,
		.writable = on_writable,
		.broke = on_broke,
	};
	int err = make_parts(d, conf, e);
	if (err != 0) {
		dtls_close(&d->base);
		return err;
	}
	*ret_transport = &d->base;
	return 0;
}

static const struct session_ops dtls_session = {
	.start = dtls_start,
	.room = dtls_room,
	.hangup = dtls_hangup,
};

const struct transport_ops dtls_transport = {
	.name = "dtls",
	.max_message = dtls_max_message,
	.check = dtls_check,
	.open = dtls_open,
	.reserve = dtls_reserve,
	.commit = dtls_commit,
	.end = dtls_end,
	.busy = dtls_busy,
	.close = dtls_close,
	.session = &dtls_session,
};
