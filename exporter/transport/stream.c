/*
 * Streams: IPFIX messages or lines of text over TCP, with or without TLS; IPFIX over SCTP.
 *
 *   WAITING ──> DIALLING ──> GREETING (TLS) ──> UP ──> CLOSING ──> OVER
 *      └────────────┴────────────┴──────────────┴─ broken
 *
 * That TCP acknowledged bytes means that the peer's system has them, not that the collector read
 * them. So a record counts as arrived when `resend` more bytes have been acknowledged after it
 * (more than the peer's receive buffer holds), or when the peer closed its side after we closed
 * ours: a Linux peer that closes with unread bytes resets instead. Marks remember how many records
 * end where in the stream, one for every few KiB.
 *
 * A peer that closes its side before that wants no more (RFC 7011 §10.4.4: it reads on until we close
 * ours), or is gone; which of the two cannot be told. So the session is over, and what is not sure to
 * have arrived is sent again in the next, to a peer that did read on a second time.
 *
 * A commit is copied nowhere: it is encoded into the buffer that is written from. The buffer is
 * written when it holds enough and when the export thread goes to sleep; above HIGH bytes there is
 * no room, so it grows beyond that only by what a session begins with.
 */
#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "../format/format.h"
#include "backoff.h"
#include "channel.h"
#include "dial.h"
#include "err.h"
#include "log.h"
#include "sctp.h"
#include "tls.h"
#include "transport.h"

enum {
	MESSAGE_MAX = 16 * 1024, /* of the 64 KiB that are allowed: one TLS record */
	TEXT_MAX = 64 * 1024,	 /* a lot of text */
	HIGH = 256 * 1024,	 /* bytes that wait: no room */
	WRITE_AT = 64 * 1024,	 /* bytes that are worth a write */
	BUFFER_FIRST = HIGH + TEXT_MAX,
	MARK_BYTES = 8 * 1024,
	READ_BYTES = 4096,
	READS = 8, /* in one go: a peer that talks has no business keeping us busy */
	GREETING_WAIT_S = 10,
	KEEP_IDLE_S = 30,
	KEEP_EVERY_S = 10,
	KEEP_TRIES = 3,
	SILENCE_MS = 120 * 1000, /* of a peer that owes an acknowledgement */
};

/* A session that held this long is a good one: the next pause is short. */
#define GOOD_NS NS_PER_S

enum stream_state {
	STREAM_WAITING,
	STREAM_DIALLING,
	STREAM_GREETING,
	STREAM_UP,
	STREAM_CLOSING,
	STREAM_OVER,
};

/* `records` of the session end at or before byte `end`, and after the mark before. */
struct mark {
	uint64_t end;
	uint64_t records;
};

struct stream {
	struct transport base;
	const struct url_spec *spec;
	const struct session_events *events;
	struct event_base *loop;
	SSL_CTX *context; /* NULL: no TLS */
	int protocol;	  /* IPPROTO_TCP or IPPROTO_SCTP */
	struct dial *dial;
	struct event *timer; /* the pause, or the patience with a greeting */
	struct event *later; /* tells what was found inside an operation */
	struct event *readable;
	struct event *writable;
	struct channel *channel;
	enum stream_state state;
	struct backoff backoff;
	int64_t up_ns;	/* monotonic */
	int broken;	/* -errno of an operation, told later */
	bool blocked;	/* waits for the socket to become writable */
	bool shut;	/* our side is closed */
	char said[256]; /* the last failure in the log */
	/* buf: written up to `start`, waiting up to `fill`, on loan behind that */
	uint8_t *buf;
	size_t size;
	size_t start;
	size_t fill;
	/* positions in the session */
	uint64_t built;
	uint64_t written;
	struct mark *marks; /* a circle */
	unsigned marks_size;
	unsigned marks_head;
	unsigned marks_count;
};

static struct stream *stream_of(struct transport *t)
{
	return (struct stream *)t;
}

static size_t waiting(const struct stream *s)
{
	return s->fill - s->start;
}

/* ---- what arrived ---- */

static struct mark *mark_at(const struct stream *s, unsigned index)
{
	return &s->marks[(s->marks_head + index) % s->marks_size];
}

static int more_marks(struct stream *s)
{
	unsigned size = s->marks_size != 0 ? s->marks_size * 2 : 64;
	struct mark *marks = malloc(size * sizeof(*marks));
	if (marks == NULL)
		return ERR_NOMEM;
	for (unsigned i = 0; i < s->marks_count; i++)
		marks[i] = *mark_at(s, i);
	free(s->marks);
	s->marks = marks;
	s->marks_size = size;
	s->marks_head = 0;
	return 0;
}

/* Without memory the last mark reaches further. */
static void note_records(struct stream *s, unsigned records)
{
	struct mark *last = s->marks_count != 0 ? mark_at(s, s->marks_count - 1) : NULL;
	uint64_t from = s->marks_count > 1 ? mark_at(s, s->marks_count - 2)->end : 0;
	bool full = last == NULL || s->built - from > MARK_BYTES;
	if (full && (s->marks_count < s->marks_size || more_marks(s) == 0)) {
		last = mark_at(s, s->marks_count++);
		last->records = 0;
	}
	if (last == NULL)
		return;
	last->end = s->built;
	last->records += records;
}

/* All that ends at or before this byte has arrived. */
static void confirm_to(struct stream *s, uint64_t end)
{
	uint64_t records = 0;
	while (s->marks_count != 0 && mark_at(s, 0)->end <= end) {
		records += mark_at(s, 0)->records;
		s->marks_head = (s->marks_head + 1) % s->marks_size;
		s->marks_count--;
	}
	if (records != 0)
		s->events->confirmed(s->events->arg, records);
}

/* Bytes that the peer's system has not acknowledged; of SCTP only the most it can be is known. */
static int outstanding(const struct stream *s, int *ret_bytes)
{
	socklen_t len = sizeof(*ret_bytes);
	if (s->protocol == IPPROTO_SCTP)
		return getsockopt(s->channel->fd, SOL_SOCKET, SO_SNDBUF, ret_bytes, &len);
	return ioctl(s->channel->fd, SIOCOUTQ, ret_bytes);
}

static void confirm_acknowledged(struct stream *s)
{
	int unacknowledged = 0;
	if (outstanding(s, &unacknowledged) != 0)
		return;
	uint64_t held = (uint64_t)unacknowledged + s->spec->resend_bytes;
	if (s->written > held)
		confirm_to(s, s->written - held);
}

/* ---- the log ---- */

static void say_up(struct stream *s)
{
	log_info("output", "%s://%s:%s: connected", s->spec->scheme->name, s->spec->host,
		 s->spec->port);
	s->said[0] = '\0';
}

/* The same failure is said once, until a session was good: a collector that takes connections only
 * to drop them says nothing new each time. */
static void say_failed(struct stream *s, const char *why)
{
	if (strncmp(s->said, why, sizeof(s->said) - 1) == 0)
		return;
	strncpy(s->said, why, sizeof(s->said) - 1);
	log_warnx("output", "%s://%s:%s: %s; trying again", s->spec->scheme->name, s->spec->host,
		  s->spec->port, why);
}

/* ---- beginnings and ends ---- */

static void set_timer(struct stream *s, int64_t ns)
{
	const struct timeval tv = {
		.tv_sec = ns / NS_PER_S,
		.tv_usec = ns % NS_PER_S / NS_PER_US,
	};
	event_add(s->timer, &tv);
}

static void free_event(struct event **event)
{
	if (*event != NULL)
		event_free(*event);
	*event = NULL;
}

static void drop_session(struct stream *s)
{
	dial_cancel(s->dial);
	event_del(s->timer);
	event_del(s->later);
	free_event(&s->readable);
	free_event(&s->writable);
	if (s->channel != NULL)
		s->channel->ops->close(s->channel);
	s->channel = NULL;
	s->start = s->fill = 0;
	s->built = s->written = 0;
	s->marks_head = s->marks_count = 0;
	s->broken = 0;
	s->blocked = s->shut = false;
}

/* The session, or the try to have one, is over; without a reason it ended in order. */
static void fall(struct stream *s, const char *why)
{
	const bool final = why == NULL;
	if (!final)
		say_failed(s, why);
	drop_session(s);
	s->state = final ? STREAM_OVER : STREAM_WAITING;
	if (!final)
		set_timer(s, backoff_next_ns(&s->backoff));
	s->events->down(s->events->arg, final);
}

static void fall_with(struct stream *s, int err)
{
	char why[sizeof(s->channel->why)];
	const bool told = s->channel != NULL && s->channel->why[0] != '\0';
	memcpy(why, told ? s->channel->why : "", told ? sizeof(why) : 1);
	fall(s, told ? why : err_str(err));
}

/* ---- writing and reading ---- */

static void want_write(struct stream *s)
{
	s->blocked = true;
	event_add(s->writable, NULL);
}

/* 0, or -errno of a connection that is broken. */
static int write_some(struct stream *s)
{
	while (waiting(s) != 0) {
		ssize_t n = s->channel->ops->write(s->channel, s->buf + s->start, waiting(s));
		if (n == -EAGAIN) {
			want_write(s);
			return 0;
		}
		if (n < 0)
			return (int)n;
		s->start += (size_t)n;
		s->written += (uint64_t)n;
		stat_add(&s->base.counters->bytes, (uint64_t)n);
	}
	return 0;
}

/* Inside an operation: what is found is told later. */
static void write_quietly(struct stream *s)
{
	if (s->state != STREAM_UP || s->broken != 0 || s->blocked)
		return;
	s->broken = write_some(s);
	if (s->broken != 0 || s->written > s->spec->resend_bytes)
		event_active(s->later, EV_TIMEOUT, 0);
}

/* Its end says that it has read all only where it comes after ours. */
static bool peer_has_ended(const struct stream *s)
{
	struct pollfd p = {.fd = s->channel->fd, .events = POLLRDHUP};
	return poll(&p, 1, 0) > 0;
}

/* All is written: closes our side, then waits for the peer to close its own. */
static int go_on_closing(struct stream *s)
{
	if (s->shut || waiting(s) != 0)
		return 0;
	if (peer_has_ended(s))
		return -EPIPE;
	int err = s->channel->ops->shut(s->channel);
	if (err == -EAGAIN) {
		want_write(s);
		return 0;
	}
	s->shut = err == 0;
	return err;
}

static bool has_room(const struct stream *s)
{
	return s->state == STREAM_UP && s->broken == 0 && waiting(s) < HIGH;
}

static void go_on(struct stream *s)
{
	int err = write_some(s);
	if (err == 0 && s->state == STREAM_CLOSING)
		err = go_on_closing(s);
	if (err != 0) {
		fall_with(s, err);
		return;
	}
	confirm_acknowledged(s);
	if (has_room(s))
		s->events->room(s->events->arg);
}

static void greet(struct stream *s);

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct stream *s = arg;
	s->blocked = false;
	if (s->state == STREAM_GREETING)
		greet(s);
	else
		go_on(s);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct stream *s = arg;
	if (s->broken != 0)
		fall_with(s, s->broken);
	else if (s->channel != NULL)
		confirm_acknowledged(s);
}

/* The peer has closed its side. */
static void on_peer_end(struct stream *s)
{
	if (s->state == STREAM_CLOSING && s->shut) {
		confirm_to(s, s->built);
		fall(s, NULL);
	} else {
		fall(s, "the collector closed the connection");
	}
}

/* What a collector says is read and thrown away: only how it ends is of interest. */
static void read_away(struct stream *s)
{
	uint8_t bytes[READ_BYTES];
	for (unsigned i = 0; i < READS; i++) {
		ssize_t n = s->channel->ops->read(s->channel, bytes, sizeof(bytes));
		if (n == 0) {
			on_peer_end(s);
			return;
		}
		if (n == -EAGAIN) {
			if (s->channel->wants_write)
				want_write(s);
			return;
		}
		if (n < 0) {
			fall_with(s, (int)n);
			return;
		}
	}
	/* TLS may hold more than the socket does; others have their turn first. */
	event_active(s->readable, EV_READ, 0);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct stream *s = arg;
	if (s->state == STREAM_GREETING)
		greet(s);
	else
		read_away(s);
}

/* ---- connecting ---- */

static void open_session(struct stream *s)
{
	s->state = STREAM_UP;
	set_timer(s, GOOD_NS);
	if (s->said[0] == '\0')
		say_up(s);
	s->events->up(s->events->arg);
}

static void greet(struct stream *s)
{
	int err = s->channel->ops->handshake(s->channel);
	if (err == 0)
		open_session(s);
	else if (err != -EAGAIN)
		fall_with(s, err);
	else if (s->channel->wants_write)
		event_add(s->writable, NULL);
}

/* A peer that vanished is found out, and small messages do not wait for each other. */
static void tune(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S},
		{IPPROTO_TCP, TCP_KEEPINTVL, KEEP_EVERY_S},
		{IPPROTO_TCP, TCP_KEEPCNT, KEEP_TRIES},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, SILENCE_MS},
		{IPPROTO_TCP, TCP_NODELAY, 1},
	};
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			   sizeof(options[i].value));
}

static struct channel *make_channel(const struct stream *s, int fd)
{
	if (s->protocol == IPPROTO_SCTP)
		return sctp_channel_new(fd);
	tune(fd);
	return s->context != NULL ? tls_channel_new(s->context, s->spec, fd)
				  : plain_channel_new(fd);
}

static void on_dialled(void *arg, int fd, const char *why)
{
	struct stream *s = arg;
	if (fd < 0) {
		fall(s, why);
		return;
	}
	s->channel = make_channel(s, fd);
	if (s->channel == NULL) {
		fall(s, err_str(ERR_NOMEM));
		return;
	}
	s->readable = event_new(s->loop, fd, EV_READ | EV_PERSIST, on_readable, s);
	s->writable = event_new(s->loop, fd, EV_WRITE, on_writable, s);
	if (s->readable == NULL || s->writable == NULL || event_add(s->readable, NULL) != 0) {
		fall(s, err_str(ERR_NOMEM));
		return;
	}
	s->state = STREAM_GREETING;
	set_timer(s, GREETING_WAIT_S * NS_PER_S);
	greet(s);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct stream *s = arg;
	if (s->state == STREAM_GREETING) {
		fall(s, "no answer to the TLS handshake");
	} else if (s->state == STREAM_UP) {
		backoff_reset(&s->backoff);
		if (s->said[0] != '\0')
			say_up(s);
	} else if (s->state == STREAM_WAITING) {
		s->state = STREAM_DIALLING;
		dial_begin(s->dial);
	}
}

/* ---- operations ---- */

static size_t stream_max_message(const struct url_spec *spec)
{
	(void)spec;
	return MESSAGE_MAX;
}

/* The session ends; what is written to it meanwhile goes nowhere. */
static void break_quietly(struct stream *s, int err)
{
	s->broken = err;
	s->start = s->fill = 0;
	event_active(s->later, EV_TIMEOUT, 0);
}

/* Nothing is on loan here, so what waits may move. */
static uint8_t *stream_reserve(struct transport *t, size_t n)
{
	struct stream *s = stream_of(t);
	if (s->start == s->fill) {
		s->start = s->fill = 0;
	} else if (n > s->size - s->fill) {
		memmove(s->buf, s->buf + s->start, waiting(s));
		s->fill -= s->start;
		s->start = 0;
	}
	if (n > s->size - s->fill) {
		uint8_t *more = realloc(s->buf, s->size + n + BUFFER_FIRST);
		if (more != NULL) {
			s->buf = more;
			s->size += n + BUFFER_FIRST;
		} else {
			break_quietly(s, ERR_NOMEM);
		}
	}
	return s->buf + s->fill;
}

static void stream_commit(struct transport *t, size_t n, unsigned records)
{
	struct stream *s = stream_of(t);
	s->fill += n;
	s->built += n;
	note_records(s, records);
	stat_add(&t->counters->messages, 1);
	if (waiting(s) >= WRITE_AT)
		write_quietly(s);
}

static void stream_push(struct transport *t)
{
	struct stream *s = stream_of(t);
	if (waiting(s) != 0)
		write_quietly(s);
}

static bool stream_room(const struct transport *t)
{
	return has_room((const struct stream *)t);
}

static void stream_start(struct transport *t, const struct session_events *events)
{
	struct stream *s = stream_of(t);
	s->events = events;
	s->state = STREAM_DIALLING;
	dial_begin(s->dial);
}

static void stream_end(struct transport *t)
{
	struct stream *s = stream_of(t);
	if (s->state != STREAM_UP)
		return;
	s->state = STREAM_CLOSING;
	if (!s->blocked)
		want_write(s);
}

static bool stream_busy(const struct transport *t)
{
	const struct stream *s = (const struct stream *)t;
	return s->state != STREAM_OVER;
}

static void stream_hangup(struct transport *t)
{
	struct stream *s = stream_of(t);
	drop_session(s);
	s->state = STREAM_OVER;
}

static void stream_close(struct transport *t)
{
	if (t == NULL)
		return;
	struct stream *s = stream_of(t);
	if (s->timer != NULL && s->later != NULL)
		drop_session(s);
	dial_free(s->dial);
	free_event(&s->timer);
	free_event(&s->later);
	SSL_CTX_free(s->context);
	free(s->buf);
	free(s->marks);
	free(s);
}

/* ---- opening ---- */

static int make_parts(struct stream *s, const struct transport_conf *conf)
{
	int err =
		dial_new(conf->base, conf->spec, SOCK_STREAM, s->protocol, on_dialled, s, &s->dial);
	if (err != 0)
		return err;
	dial_own(s->dial, conf->own);
	s->timer = event_new(conf->base, -1, 0, on_timer, s);
	s->later = event_new(conf->base, -1, 0, on_later, s);
	s->size = BUFFER_FIRST;
	s->buf = malloc(s->size);
	return s->timer != NULL && s->later != NULL && s->buf != NULL ? 0 : ERR_NOMEM;
}

/* Takes the context over, also when it fails. */
static int stream_open(const struct transport_conf *conf, int protocol, SSL_CTX *context,
		       struct transport **ret_transport)
{
	struct stream *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		SSL_CTX_free(context);
		return ERR_NOMEM;
	}
	s->context = context;
	s->protocol = protocol;
	s->base = (struct transport){
		.counters = conf->counters,
		.max_message = MESSAGE_MAX,
		.due_ns = DUE_NEVER,
	};
	s->spec = conf->spec;
	s->loop = conf->base;
	int err = make_parts(s, conf);
	if (err != 0) {
		stream_close(&s->base);
		return err;
	}
	*ret_transport = &s->base;
	return 0;
}

static int tcp_open(const struct transport_conf *conf, struct errtext *e,
		    struct transport **ret_transport)
{
	(void)e;
	return stream_open(conf, IPPROTO_TCP, NULL, ret_transport);
}

static int sctp_open(const struct transport_conf *conf, struct errtext *e,
		     struct transport **ret_transport)
{
	int err = sctp_check(e);
	return err != 0 ? err : stream_open(conf, IPPROTO_SCTP, NULL, ret_transport);
}

static int tls_open(const struct transport_conf *conf, struct errtext *e,
		    struct transport **ret_transport)
{
	SSL_CTX *context;
	int err = tls_context_new(conf->spec, TLS_client_method(), e, &context);
	if (err != 0)
		return err;
	if (!conf->spec->verify)
		log_warnx("output", "%s://%s:%s: verify=no: anybody can take the collector's place",
			  conf->spec->scheme->name, conf->spec->host, conf->spec->port);
	return stream_open(conf, IPPROTO_TCP, context, ret_transport);
}

static int tls_check(const struct url_spec *spec, struct errtext *e)
{
	SSL_CTX *context;
	int err = tls_context_new(spec, TLS_client_method(), e, &context);
	if (err == 0)
		SSL_CTX_free(context);
	return err;
}

static uint64_t stream_under_way(const struct transport *t)
{
	int bytes = 0;
	return outstanding((const struct stream *)t, &bytes) == 0 ? (uint64_t)bytes : 0;
}

static const struct session_ops stream_session = {
	.start = stream_start,
	.room = stream_room,
	.hangup = stream_hangup,
	.under_way = stream_under_way,
};

const struct transport_ops tcp_transport = {
	.name = "tcp",
	.max_message = stream_max_message,
	.open = tcp_open,
	.reserve = stream_reserve,
	.commit = stream_commit,
	.push = stream_push,
	.end = stream_end,
	.busy = stream_busy,
	.close = stream_close,
	.session = &stream_session,
};

const struct transport_ops sctp_transport = {
	.name = "sctp",
	.max_message = stream_max_message,
	.open = sctp_open,
	.reserve = stream_reserve,
	.commit = stream_commit,
	.push = stream_push,
	.end = stream_end,
	.busy = stream_busy,
	.close = stream_close,
	.session = &stream_session,
};

const struct transport_ops tls_transport = {
	.name = "tls",
	.max_message = stream_max_message,
	.check = tls_check,
	.open = tls_open,
	.reserve = stream_reserve,
	.commit = stream_commit,
	.push = stream_push,
	.end = stream_end,
	.busy = stream_busy,
	.close = stream_close,
	.session = &stream_session,
};
