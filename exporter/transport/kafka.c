/*
 * Kafka, by librdkafka's producer: a message a record.
 *
 *   AWAY ── a broker answers, the pause is over ──> UP ── end, all has arrived ──> OVER
 *    └──── no broker for a while, a message failed ───┘
 *
 * A record has arrived when the broker said so (acks=). librdkafka batches, compresses and sends
 * again in threads of its own; its queue holds WINDOW messages at most and the output holds their
 * records until the report. When a session fails (a message timed out, the topic is not there, no
 * broker answers) librdkafka forgets what it holds, and the output, which has more room and
 * perhaps a disk, encodes it anew in the next session. So a record may arrive twice, never less.
 * A fatal error (of an idempotent producer: sequence numbers that the broker does not take) is the
 * end of the producer: it is left behind, and the next session has another.
 *
 * Threads: nearly all callbacks come from rd_kafka_poll on the export thread, which an eventfd
 * wakes; the log's too. The brokers' threads call on_broker_state, which sets a flag
 * and writes to the eventfd; and those that connect and close (kafka_sockets.h). What they touch
 * (struct link) lives as long as those threads do, and is freed with the producer by a thread of its
 * own: the join may wait for a name server.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "../format/format.h"
#include "backoff.h"
#include "delivery.h"
#include "err.h"
#include "kafka.h"
#include "kafka_sockets.h"
#include "log.h"
#include "transport.h"

enum {
	MESSAGE_MAX = 64 * 1024, /* key and payload */
	WINDOW = 64 * 1024,	 /* messages that librdkafka holds */
	GRACE_S = 2,		 /* without any broker, before a session is over */
	FIRST_WAIT_S = 2,	 /* for the first broker, before that counts as a failure */
	FAREWELL_S = 2,		 /* the producer's end, before it is left behind */
	LOG_LINES = 10,		 /* of librdkafka, in LOG_PERIOD_NS */
};

#define LOG_PERIOD_NS (10 * NS_PER_S)
#define GOOD_NS	      NS_PER_S /* a session that held this long: the next pause is short */

enum kafka_state {
	KAFKA_AWAY,
	KAFKA_UP,
	KAFKA_OVER,
};

struct kafka;

/* The producer and what its threads touch. */
struct link {
	struct kafka *_Atomic owner; /* NULL: it is being freed */
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	int wake_fd;		  /* the eventfd of struct kafka, once more */
	_Atomic bool broker_came; /* since it was looked at last */
	struct kafka_sockets sockets;
};

struct kafka {
	struct transport base;
	const struct url_spec *spec;
	const struct session_events *events;
	struct own *own;
	struct link *link; /* NULL: there is none, it is the timer's to make one */
	int wake_fd;	   /* eventfd */
	struct event *wake;
	struct event *timer; /* AWAY: the pause; UP: no broker is there */
	enum kafka_state state;
	bool broker_up; /* as far as we were told */
	bool pausing;	/* the timer has to fire before another session */
	bool ending;
	bool full;    /* the output was told that there is no room */
	bool stalled; /* the message in `mem` found librdkafka's queue full: a report is to come */
	size_t stalled_len;
	uint64_t stalled_number;
	int64_t up_ns; /* monotonic */
	struct backoff backoff;
	struct delivery window;
	char failure[256]; /* why the session is over, "" it is not */
	char said[256];	   /* the last failure in the log */
	char broker_said[256];
	unsigned log_lines;
	unsigned log_left_out;
	int64_t log_since_ns;
	uint8_t mem[MESSAGE_MAX];
};

static struct kafka *kafka_of(struct transport *t)
{
	return (struct kafka *)t;
}

/* ---- the log ---- */

static void flush_log_count(struct kafka *k)
{
	if (k->log_left_out != 0)
		log_info("librdkafka", "%s: left out lines=%u", k->spec->host, k->log_left_out);
	k->log_left_out = 0;
}

static bool log_may(struct kafka *k)
{
	int64_t now = mono_now().ns;
	if (k->log_since_ns == 0 || now - k->log_since_ns >= LOG_PERIOD_NS) {
		flush_log_count(k);
		k->log_since_ns = now;
		k->log_lines = 0;
	}
	if (k->log_lines++ < LOG_LINES)
		return true;
	k->log_left_out++;
	return false;
}

static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
	const struct link *link = rd_kafka_opaque(rk);
	struct kafka *k = link != NULL ? link->owner : NULL;
	if (k == NULL || !log_may(k))
		return;
	if (level <= LOG_WARNING)
		log_warnx("librdkafka", "%s: %s", fac, text);
	else if (level <= LOG_INFO)
		log_info("librdkafka", "%s: %s", fac, text);
	else
		log_debug("librdkafka", "%s: %s", fac, text);
}

/* The same failure is said once, until a session was good. */
static void say_failed(struct kafka *k, const char *why)
{
	if (strcmp(k->said, why) == 0)
		return;
	snprintf(k->said, sizeof(k->said), "%s", why);
	log_warnx("output", "kafka://%s/%s: %s; trying again", k->spec->host, k->spec->topic, why);
}

/* ---- the end of a producer ---- */

static void *farewell(void *arg)
{
	struct link *link = arg;
	if (link->topic != NULL)
		rd_kafka_topic_destroy(link->topic);
	if (link->rk != NULL)
		rd_kafka_destroy(link->rk);
	if (link->wake_fd >= 0)
		close(link->wake_fd);
	free(link);
	return NULL;
}

/* Frees the producer, and waits for so long; then that goes on beside us. */
static void drop_link(struct link *link, int wait_s)
{
	const int flags =
		RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING;
	pthread_t thread;
	struct timespec until;
	link->owner = NULL;
	kafka_sockets_leave(&link->sockets);
	if (link->rk != NULL)
		rd_kafka_purge(link->rk, flags);
	if (pthread_create(&thread, NULL, farewell, link) != 0)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += wait_s;
	if (pthread_timedjoin_np(thread, NULL, &until) != 0)
		pthread_detach(thread);
}

static bool is_dead(const struct link *link)
{
	return rd_kafka_fatal_error(link->rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Nothing is left of what the producer holds, or of one that is dead. */
static void empty_producer(struct kafka *k)
{
	const int flags =
		RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING;
	if (k->link == NULL)
		return;
	if (!is_dead(k->link)) {
		rd_kafka_purge(k->link->rk, flags);
		return;
	}
	drop_link(k->link, 0);
	k->link = NULL;
	k->broker_up = false;
}

/* ---- sessions ---- */

static void set_timer(struct kafka *k, int64_t ns)
{
	const struct timeval tv = {
		.tv_sec = ns / NS_PER_S,
		.tv_usec = ns % NS_PER_S / NS_PER_US,
	};
	event_add(k->timer, &tv);
}

static void fall(struct kafka *k, const char *why)
{
	if (k->state == KAFKA_UP && mono_now().ns - k->up_ns >= GOOD_NS) {
		backoff_reset(&k->backoff);
		k->said[0] = '\0';
	}
	say_failed(k, why);
	empty_producer(k);
	delivery_reset(&k->window);
	k->failure[0] = '\0';
	k->stalled = k->full = k->ending = false;
	k->state = KAFKA_AWAY;
	k->pausing = true;
	set_timer(k, backoff_next_ns(&k->backoff));
	k->events->down(k->events->arg, false);
}

static void rise(struct kafka *k)
{
	event_del(k->timer);
	k->state = KAFKA_UP;
	k->up_ns = mono_now().ns;
	k->said[0] = '\0';
	log_info("output", "kafka://%s/%s: connected", k->spec->host, k->spec->topic);
	k->events->up(k->events->arg);
}

static void finish(struct kafka *k)
{
	event_del(k->timer);
	k->state = KAFKA_OVER;
	k->events->down(k->events->arg, true);
}

/* ---- delivery ---- */

/* It would be refused again, whatever the broker's state. */
static bool is_refusal(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
	       err == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE || err == RD_KAFKA_RESP_ERR_INVALID_MSG ||
	       err == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP ||
	       err == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

static void note_failure(struct kafka *k, rd_kafka_resp_err_t err)
{
	const char *hint = "";
	if (err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
	    err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		hint = " (create the topic, or let the brokers do it)";
	if (err == RD_KAFKA_RESP_ERR__FATAL)
		rd_kafka_fatal_error(k->link->rk, k->failure, sizeof(k->failure));
	else if (k->failure[0] == '\0')
		snprintf(k->failure, sizeof(k->failure), "%s%s", rd_kafka_err2str(err), hint);
}

static void report(struct kafka *k, uint64_t number, rd_kafka_resp_err_t err)
{
	if (err == 0) {
		delivery_report(&k->window, number, DELIVERY_ARRIVED);
	} else if (is_refusal(err)) {
		log_debug("output", "kafka: a message was refused: %s", rd_kafka_err2str(err));
		delivery_report(&k->window, number, DELIVERY_REFUSED);
	} else if (number >= k->window.first) {
		note_failure(k, err);
	}
}

/* The message's number travels as its opaque pointer. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	(void)rk;
	const struct link *link = opaque;
	report(link->owner, (uintptr_t)m->_private, m->err);
}

/* Is the session alive when no broker is connected? For a while: they come back. */
static void on_error(rd_kafka_t *rk, int code, const char *text, void *opaque)
{
	(void)rk;
	const struct link *link = opaque;
	struct kafka *k = link->owner;
	const rd_kafka_resp_err_t err = (rd_kafka_resp_err_t)code;
	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		note_failure(k, err);
	} else if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		snprintf(k->broker_said, sizeof(k->broker_said), "%s", text);
	} else {
		k->broker_up = false;
		if (k->state == KAFKA_UP && !event_pending(k->timer, EV_TIMEOUT, NULL))
			set_timer(k, GRACE_S * NS_PER_S);
	}
}

/* A thread of librdkafka's. */
static rd_kafka_resp_err_t on_broker_state(rd_kafka_t *rk, int32_t broker_id, const char *secproto,
					   const char *name, int port, const char *state,
					   void *opaque)
{
	(void)rk, (void)broker_id, (void)secproto, (void)name, (void)port;
	struct link *link = opaque;
	const uint64_t one = 1;
	if (strcmp(state, "UP") != 0)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	atomic_store(&link->broker_came, true);
	while (write(link->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int on_connect(int fd, const struct sockaddr *peer, int len, const char *id, void *opaque)
{
	(void)id;
	return kafka_sockets_connect(&((struct link *)opaque)->sockets, fd, peer, len);
}

static int on_close(int fd, void *opaque)
{
	return kafka_sockets_close(&((struct link *)opaque)->sockets, fd);
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque,
				  char *why, size_t size)
{
	(void)conf, (void)why, (void)size;
	return rd_kafka_interceptor_add_on_broker_state_change(rk, "weir", on_broker_state, opaque);
}

/* false: librdkafka has no room, it is tried again. */
static bool produce(struct kafka *k, size_t n, uint64_t number)
{
	int err = rd_kafka_produce(k->link->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
				   k->mem + KAFKA_KEY_LEN, n - KAFKA_KEY_LEN, k->mem, KAFKA_KEY_LEN,
				   (void *)(uintptr_t)number);
	if (err == 0)
		return true;
	rd_kafka_resp_err_t why = rd_kafka_last_error();
	if (why == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		return false;
	report(k, number, why);
	event_active(k->wake, EV_TIMEOUT, 0); /* which tells */
	return true;
}

/* ---- the loop ---- */

static bool has_room(const struct kafka *k)
{
	return k->state == KAFKA_UP && !k->stalled && k->failure[0] == '\0' &&
	       !delivery_full(&k->window);
}

static void tell_deliveries(struct kafka *k)
{
	enum delivery_state state;
	unsigned n;
	while ((n = delivery_take(&k->window, &state)) != 0) {
		if (state == DELIVERY_ARRIVED)
			k->events->confirmed(k->events->arg, n);
		else
			k->events->lost(k->events->arg, n, DROP_REFUSED);
	}
}

static void see_brokers(struct kafka *k)
{
	if (!atomic_exchange(&k->link->broker_came, false))
		return;
	k->broker_up = true;
	if (k->state == KAFKA_UP)
		event_del(k->timer);
}

static void retry_stalled(struct kafka *k)
{
	if (k->stalled && produce(k, k->stalled_len, k->stalled_number))
		k->stalled = false;
}

/* What follows from all that was heard. */
static void settle(struct kafka *k)
{
	tell_deliveries(k);
	if (k->failure[0] != '\0' && (k->state == KAFKA_UP || is_dead(k->link))) {
		char why[sizeof(k->failure)];
		memcpy(why, k->failure, sizeof(why));
		fall(k, why);
	}
	if (k->state == KAFKA_AWAY && k->broker_up && !k->pausing)
		rise(k);
	if (k->state == KAFKA_UP && k->ending && delivery_held(&k->window) == 0) {
		finish(k);
	} else if (k->full && has_room(k)) {
		k->full = false;
		k->events->room(k->events->arg);
	}
}

static void go_on(struct kafka *k)
{
	if (k->link == NULL || k->state == KAFKA_OVER)
		return;
	rd_kafka_poll(k->link->rk, 0);
	see_brokers(k);
	retry_stalled(k);
	settle(k);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	uint64_t value;
	while (read(fd, &value, sizeof(value)) < 0 && errno == EINTR)
		;
	go_on(arg);
}

/* ---- the producer ---- */

static int make_producer(const struct kafka *k, struct link *link, struct errtext *e)
{
	rd_kafka_conf_t *conf;
	int err = kafka_conf_make(k->spec, e, &conf);
	if (err != 0)
		return err;
	rd_kafka_conf_set_opaque(conf, link);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, on_log);
	rd_kafka_conf_set_connect_cb(conf, on_connect);
	rd_kafka_conf_set_closesocket_cb(conf, on_close);
	rd_kafka_conf_interceptor_add_on_new(conf, "weir", on_new, link);
	char why[256];
	link->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (link->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		return fail(e, ERR_NOTREADY, "%s", why);
	}
	rd_kafka_set_log_queue(link->rk, NULL);
	link->topic = rd_kafka_topic_new(link->rk, k->spec->topic, NULL);
	return link->topic != NULL ? 0 : ERR_NOMEM;
}

/* Whatever is put on the main queue is one write to the eventfd. */
static void wake_on_queue(struct link *link)
{
	static const uint64_t one = 1;
	rd_kafka_queue_t *queue = rd_kafka_queue_get_main(link->rk);
	rd_kafka_queue_io_event_enable(queue, link->wake_fd, &one, sizeof(one));
	rd_kafka_queue_destroy(queue);
}

/* ---- time ---- */

static int make_link(struct kafka *k, struct errtext *e)
{
	struct link *link = calloc(1, sizeof(*link));
	if (link == NULL)
		return ERR_NOMEM;
	link->owner = k;
	kafka_sockets_init(&link->sockets, k->own);
	link->wake_fd = fcntl(k->wake_fd, F_DUPFD_CLOEXEC, 0);
	int err = link->wake_fd < 0 ? -errno : make_producer(k, link, e);
	if (err != 0) {
		drop_link(link, 0);
		return err;
	}
	wake_on_queue(link);
	k->link = link;
	return 0;
}

/* The first producer, another in place of one that is dead, or another try to have one. */
static void begin_link(struct kafka *k)
{
	char text[512] = "";
	struct errtext e = {.buf = text, .size = sizeof(text)};
	int err = make_link(k, &e);
	if (err != 0)
		fall(k, text[0] != '\0' ? text : err_str(err));
	else
		set_timer(k, FIRST_WAIT_S * NS_PER_S);
}

static void miss_brokers(struct kafka *k)
{
	char why[sizeof(k->broker_said) + 32];
	snprintf(why, sizeof(why), "no broker answers%s%s", k->broker_said[0] != '\0' ? ": " : "",
		 k->broker_said);
	fall(k, why);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct kafka *k = arg;
	const bool paused = k->pausing;
	k->pausing = false;
	if (k->link == NULL) {
		begin_link(k);
		return;
	}
	go_on(k);
	if (k->state == KAFKA_OVER || k->broker_up || event_pending(k->timer, EV_TIMEOUT, NULL))
		return;
	if (paused)
		set_timer(k, FIRST_WAIT_S * NS_PER_S);
	else
		miss_brokers(k);
}

/* ---- operations ---- */

static size_t kafka_max_message(const struct url_spec *spec)
{
	(void)spec;
	return MESSAGE_MAX;
}

static uint8_t *kafka_reserve(struct transport *t, size_t n)
{
	(void)n;
	return kafka_of(t)->mem;
}

static void kafka_commit(struct transport *t, size_t n, unsigned records)
{
	struct kafka *k = kafka_of(t);
	(void)records; /* one */
	k->stalled_len = n;
	k->stalled_number = delivery_add(&k->window);
	k->stalled = !produce(k, n, k->stalled_number);
	stat_add(&t->counters->messages, 1);
	stat_add(&t->counters->bytes, n);
	k->full = !has_room(k);
}

static bool kafka_room(const struct transport *t)
{
	return has_room((const struct kafka *)t);
}

static void kafka_start(struct transport *t, const struct session_events *events)
{
	struct kafka *k = kafka_of(t);
	k->events = events;
	set_timer(k, 0);
}

static void kafka_end(struct transport *t)
{
	struct kafka *k = kafka_of(t);
	k->ending = true;
	event_active(k->wake, EV_TIMEOUT, 0);
}

static bool kafka_busy(const struct transport *t)
{
	return ((const struct kafka *)t)->state != KAFKA_OVER;
}

static void kafka_hangup(struct transport *t)
{
	struct kafka *k = kafka_of(t);
	event_del(k->timer);
	event_del(k->wake);
	k->state = KAFKA_OVER;
}

static void kafka_close(struct transport *t)
{
	if (t == NULL)
		return;
	struct kafka *k = kafka_of(t);
	flush_log_count(k);
	if (k->timer != NULL)
		event_free(k->timer);
	if (k->wake != NULL)
		event_free(k->wake);
	if (k->link != NULL)
		drop_link(k->link, FAREWELL_S);
	if (k->wake_fd >= 0)
		close(k->wake_fd);
	delivery_fini(&k->window);
	free(k);
}

/* ---- opening ---- */

static int make_parts(struct kafka *k, struct event_base *base)
{
	k->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (k->wake_fd < 0)
		return -errno;
	k->timer = event_new(base, -1, 0, on_timer, k);
	k->wake = event_new(base, k->wake_fd, EV_READ | EV_PERSIST, on_wake, k);
	if (k->timer == NULL || k->wake == NULL || event_add(k->wake, NULL) != 0)
		return ERR_NOMEM;
	return delivery_init(&k->window, WINDOW);
}

static int kafka_open(const struct transport_conf *conf, struct errtext *e,
		      struct transport **ret_transport)
{
	(void)e;
	struct kafka *k = calloc(1, sizeof(*k));
	if (k == NULL)
		return ERR_NOMEM;
	k->base = (struct transport){
		.counters = conf->counters,
		.max_message = MESSAGE_MAX,
		.due_ns = DUE_NEVER,
	};
	k->spec = conf->spec;
	k->own = conf->own;
	int err = make_parts(k, conf->base);
	if (err != 0) {
		kafka_close(&k->base);
		return err;
	}
	*ret_transport = &k->base;
	return 0;
}

static const struct session_ops kafka_session = {
	.start = kafka_start,
	.room = kafka_room,
	.hangup = kafka_hangup,
};

const struct transport_ops kafka_transport = {
	.name = "kafka",
	.max_message = kafka_max_message,
	.open = kafka_open,
	.reserve = kafka_reserve,
	.commit = kafka_commit,
	.end = kafka_end,
	.busy = kafka_busy,
	.close = kafka_close,
	.session = &kafka_session,
};
