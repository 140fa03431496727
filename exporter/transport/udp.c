/*
 * UDP. Messages are built in place in a ring of slots and leave in batches (sendmmsg), at a pace.
 * Messages of one size that follow one another go to the kernel as one train, which it cuts into
 * datagrams late (UDP_SEGMENT): 1 us a datagram instead of 2.5, and less where the NIC cuts. What
 * arrives is the same. A path that refuses trains (an interface without checksums, a link narrower
 * than the messages) gets none from then on.
 *
 * Pace: records are sent as if each took 1/rate of a second; a credit of a few ms is allowed, so
 * a timer of a millisecond's grain can keep it up. Without pace a replay, or thousands of flows
 * that end in one second, would overrun the collector's socket buffer and be lost unseen.
 * In a replay the exporter stops when the ring fills and goes on when it has emptied; live, a
 * message that finds the ring full is dropped and its records are counted.
 *
 * Nobody there: a connected socket learns it from ICMP, after the datagram is gone. That is said
 * in the log and not counted as dropped, since it tells neither which datagram nor how many.
 *
 * Names: a replay looks its collector up at the start. Live a name is followed (follow.h); until it
 * is found messages wait in the ring. Where the collector has moved a new session begins, with
 * templates. Messages of the old one go where they belong; refused there, they are dropped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../format/format.h"
#include "dial.h"
#include "err.h"
#include "follow.h"
#include "log.h"
#include "own.h"
#include "trains.h"
#include "transport.h"

enum {
	IP4_UDP_HEADERS = 20 + 8,
	IP6_UDP_HEADERS = 40 + 8,
	PAYLOAD_MAX = 65535 - IP4_UDP_HEADERS,
	RING_BYTES = 2 * 1024 * 1024, /* in a replay; live it is queue= */
	SLOTS_MIN = 256,
	SLOTS_MAX = 1 << 28,
	TEMPLATE_SHARE = 8, /* one slot of so many is for messages without flow records */
	BATCH_MIN = 32,	    /* datagrams worth a system call */
	TRAIN_BYTES = 65535 - IP6_UDP_HEADERS,
	SEND_BUFFER = 1024 * 1024,
};

#define CREDIT_NS (4 * NS_PER_MS) /* what may leave at once after a pause */
#define TICK_NS	  (2 * NS_PER_MS) /* the timer sleeps this much longer than it must */
#define RETRY_NS  NS_PER_MS	  /* when the socket's buffer is full */
#define STUCK_NS  (5 * NS_PER_S)  /* of that, and the end is over */
#define LAG_NS	  NS_PER_S	  /* of waiting that is worth a line in the log */

struct slot {
	size_t len;
	unsigned records;
	int64_t since_ns; /* monotonic: when it was complete */
};

struct udp {
	struct transport base;
	const struct url_spec *spec;
	struct own *own;
	int own_number; /* of our stream there */
	bool replay;
	void (*resume)(void *arg);
	void *resume_arg;
	struct event *timer;
	bool timer_set;
	bool congested;
	bool said_lag;
	bool trains; /* the kernel cuts them, and the path lets it */
	int fd;	     /* -1: the name is not found yet */
	/* names, live */
	struct follow *follow; /* NULL: an address in figures, or a replay */
	int next_fd;	       /* of a collector that has moved; -1: it has not */
	bool moving;	       /* the old session is over ... */
	unsigned moves_at;     /* ... and its last message is before this one */
	/* ring of messages; indices run free, slot = index % slots */
	uint8_t *mem;
	size_t mem_size;
	struct slot *slot;
	unsigned slots;
	unsigned batch;	  /* messages that are sent at once, when there is no hurry */
	unsigned head;	  /* next to send */
	unsigned tail;	  /* next to build */
	uint64_t records; /* that wait */
	/* pace */
	int64_t record_ns_x1024; /* time of a record, in 1/1024 ns; 0: no limit */
	int64_t paid_until_ns;	 /* monotonic: what was sent is paid for up to here */
	int64_t stuck_ns;	 /* monotonic: since when the system takes nothing; 0: it does */
	bool ended;
	int last_errno;	  /* said in the log */
	uint64_t refused; /* sends that told of an earlier refusal */
};

static struct udp *udp_of(struct transport *t)
{
	return (struct udp *)t;
}

static unsigned waiting(const struct udp *u)
{
	return u->tail - u->head;
}

static uint8_t *slot_mem(const struct udp *u, unsigned index)
{
	return u->mem + (size_t)(index % u->slots) * u->base.max_message;
}

/* ---- sending ---- */

static void log_once(struct udp *u, int error)
{
	if (u->last_errno != error)
		log_warnx("output", "%s:%s: %s", u->spec->host, u->spec->port, err_str(-error));
	u->last_errno = error;
}

static void drop_head(struct udp *u, enum drop_reason reason)
{
	const unsigned records = u->slot[u->head++ % u->slots].records;
	stat_add(&u->base.counters->dropped[reason], records);
	u->records -= records;
}

/* The oldest message will not be sent. */
static void refuse_head(struct udp *u, int error)
{
	if (u->replay)
		counters_fail(u->base.counters, -error);
	log_once(u, error);
	drop_head(u, error == EMSGSIZE ? DROP_TOO_BIG : DROP_SEND);
}

/* Time a message takes at this pace; one without flow records takes as much as one of them. */
static int64_t price_ns(const struct udp *u, const struct slot *s)
{
	return (s->records != 0 ? s->records : 1) * u->record_ns_x1024 / 1024;
}

static void count_sent(struct udp *u, unsigned n)
{
	struct output_counters *c = u->base.counters;
	for (unsigned i = 0; i < n; i++, u->head++) {
		const struct slot *s = &u->slot[u->head % u->slots];
		stat_add(&c->messages, 1);
		stat_add(&c->bytes, s->len);
		stat_add(&c->records, s->records);
		u->records -= s->records;
		u->paid_until_ns += price_ns(u, s);
	}
}

/* How many of the `n` messages from `first` on can go as one train: of one size, the last shorter.
 */
static unsigned train_length(const struct udp *u, unsigned first, unsigned n)
{
	const size_t size = u->slot[first % u->slots].len;
	unsigned i = 1;
	size_t total = size;
	for (; u->trains && i < n; i++) {
		const size_t len = u->slot[(first + i) % u->slots].len;
		total += len;
		if (len > size || total > TRAIN_BYTES)
			break;
		if (len < size)
			return i + 1;
	}
	return i;
}

static void make_batch(const struct udp *u, unsigned n, struct trains *b)
{
	for (unsigned i = 0; i < n; i++) {
		b->iov[i].iov_base = slot_mem(u, u->head + i);
		b->iov[i].iov_len = u->slot[(u->head + i) % u->slots].len;
	}
	b->count = 0;
	for (unsigned i = 0, len; i < n; i += len) {
		len = train_length(u, u->head + i, n - i);
		trains_add(b, &b->iov[i], len);
	}
}

/* Up to n messages in one call; how many went, or -errno of the first. */
static int send_some(struct udp *u, unsigned n)
{
	struct trains b;
	make_batch(u, n, &b);
	int sent = trains_send(u->fd, &b);
	if (sent < 0 && b.train[0].msg_hdr.msg_iovlen > 1 && trains_refused(-sent)) {
		u->trains = false;
		make_batch(u, n, &b);
		sent = trains_send(u->fd, &b);
	}
	if (sent < 0)
		return sent;
	int messages = 0;
	for (int i = 0; i < sent; i++)
		messages += (int)b.train[i].msg_hdr.msg_iovlen;
	return messages;
}

/* How many of the waiting messages the pace lets go now; else *ret_wait_ns to wait. */
static unsigned allowed(struct udp *u, int64_t *ret_wait_ns)
{
	const unsigned most = u->moving ? u->moves_at - u->head : waiting(u);
	const unsigned n = most < TRAINS_MAX ? most : TRAINS_MAX;
	if (u->record_ns_x1024 == 0)
		return n;
	int64_t now = mono_now().ns;
	if (u->paid_until_ns < now - CREDIT_NS)
		u->paid_until_ns = now - CREDIT_NS;
	int64_t paid = u->paid_until_ns;
	unsigned i = 0;
	for (; i < n && paid <= now; i++)
		paid += price_ns(u, &u->slot[(u->head + i) % u->slots]);
	if (i == 0)
		*ret_wait_ns = u->paid_until_ns - now + TICK_NS;
	return i;
}

static void take_socket(struct udp *u, int fd);

/* The last message of the old session may have left. */
static void look_at_move(struct udp *u)
{
	if (!u->moving || u->head != u->moves_at)
		return;
	u->moving = false;
	close(u->fd);
	take_socket(u, u->next_fd);
	u->next_fd = -1;
}

/* Of an earlier message; the next is tried again, unless it is known that nobody is there. */
static void note_refusal(struct udp *u)
{
	u->refused++;
	log_once(u, ECONNREFUSED);
	while (u->moving && u->head != u->moves_at)
		drop_head(u, DROP_AWAY);
	follow_again(u->follow);
}

/* The end waits for a system that takes nothing, but not for ever. */
static bool is_stuck(struct udp *u)
{
	const int64_t now = mono_now().ns;
	if (u->stuck_ns == 0)
		u->stuck_ns = now;
	return u->ended && now - u->stuck_ns >= STUCK_NS;
}

/* All that waits for this socket. */
static void drop_stuck(struct udp *u, int error)
{
	do
		refuse_head(u, error);
	while (waiting(u) != 0 && !(u->moving && u->head == u->moves_at));
}

/* Sends what may go; returns 0 when nothing is left, else ns until it is worth trying again. */
static int64_t pump(struct udp *u)
{
	while (waiting(u) != 0 && u->fd >= 0) {
		int64_t wait_ns = 0;
		unsigned n = allowed(u, &wait_ns);
		if (n == 0)
			return wait_ns;
		int sent = send_some(u, n);
		if (sent > 0) {
			u->stuck_ns = 0;
			count_sent(u, (unsigned)sent);
		} else if (sent == -ECONNREFUSED) {
			note_refusal(u);
		} else if (sent == -EAGAIN || sent == -ENOBUFS) {
			if (!is_stuck(u))
				return RETRY_NS;
			drop_stuck(u, -sent);
		} else {
			refuse_head(u, -sent);
			follow_again(u->follow);
		}
		look_at_move(u);
	}
	return 0;
}

static void set_timer(struct udp *u, int64_t ns)
{
	const struct timeval tv = {
		.tv_sec = ns / NS_PER_S,
		.tv_usec = (ns % NS_PER_S) / NS_PER_US,
	};
	if (!u->timer_set && event_add(u->timer, &tv) == 0)
		u->timer_set = true;
}

static int64_t age_of_oldest(const struct udp *u)
{
	return waiting(u) != 0 ? mono_now().ns - u->slot[u->head % u->slots].since_ns : 0;
}

/* Says once how long what waits will take at this pace, if that is long. */
static void say_lag(struct udp *u)
{
	const int64_t lag_ns = (int64_t)u->records * u->record_ns_x1024 / 1024;
	if (u->records == 0)
		u->said_lag = false;
	if (lag_ns < LAG_NS || u->replay || u->said_lag)
		return;
	u->said_lag = true;
	log_info("output", "%s:%s: records wait for the pace, lag_s=%.1f records=%llu rate=%llu",
		 u->spec->host, u->spec->port, (double)lag_ns / NS_PER_S,
		 (unsigned long long)u->records, (unsigned long long)u->spec->rate);
}

static void show_lag(struct udp *u)
{
	struct output_counters *c = u->base.counters;
	atomic_store_explicit(&c->queued, u->records, memory_order_relaxed);
	atomic_store_explicit(&c->lag_ns, (uint64_t)age_of_oldest(u), memory_order_relaxed);
	say_lag(u);
}

static void pump_on(struct udp *u)
{
	int64_t wait_ns = u->timer_set ? 0 : pump(u);
	if (wait_ns != 0)
		set_timer(u, wait_ns);
	show_lag(u);
	if (waiting(u) > u->slots / 4) {
		u->congested = true;
	} else if (u->congested && waiting(u) == 0) {
		u->congested = false;
		u->resume(u->resume_arg);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct udp *u = arg;
	u->timer_set = false;
	bool some = waiting(u) != 0;
	pump_on(u);
	if (some && waiting(u) == 0)
		u->resume(u->resume_arg); /* somebody may wait for the last to go */
}

/* The ring is full in a replay: nothing may be dropped, so wait here. */
static void pump_blocking(struct udp *u)
{
	while (waiting(u) == u->slots) {
		int64_t ns = pump(u);
		const struct timespec ts = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
		if (ns != 0)
			nanosleep(&ts, NULL);
	}
}

/* ---- operations ---- */

static size_t payload(const struct url_spec *spec, bool ip6)
{
	size_t n = spec->mtu - (ip6 ? IP6_UDP_HEADERS : IP4_UDP_HEADERS);
	return n < PAYLOAD_MAX ? n : PAYLOAD_MAX;
}

static size_t udp_max_message(const struct url_spec *spec)
{
	return payload(spec, strchr(spec->host, ':') != NULL);
}

static uint8_t *udp_reserve(struct transport *t, size_t n)
{
	(void)n;
	struct udp *u = udp_of(t);
	if (u->replay)
		pump_blocking(u);
	/* Live, one slot is kept free to build in. */
	return slot_mem(u, u->tail);
}

/* After a burst the memory of the ring goes back to the system. */
static void start_over(struct udp *u)
{
	if (u->tail > u->slots / 4)
		madvise(u->mem, u->mem_size, MADV_DONTNEED);
	u->head = u->tail = 0;
}

/* Live, flow records leave room for templates: a collector that lacks them understands nothing, and
 * a new session may begin behind a full ring. They too may find it full at last, behind others that
 * say the same. */
static bool is_full(const struct udp *u, unsigned records)
{
	const bool leaves_room = records != 0 && u->spec->template_refresh_s != 0;
	const unsigned kept = leaves_room ? u->slots / TEMPLATE_SHARE : 0;
	return !u->replay && waiting(u) >= u->slots - 1 - kept;
}

static void udp_commit(struct transport *t, size_t n, unsigned records)
{
	struct udp *u = udp_of(t);
	if (is_full(u, records)) {
		stat_add(&t->counters->dropped[u->fd < 0 ? DROP_AWAY : DROP_PACE], records);
		return;
	}
	u->slot[u->tail++ % u->slots] =
		(struct slot){.len = n, .records = records, .since_ns = mono_now().ns};
	u->records += records;
	u->ended = false;
	if (waiting(u) < u->batch)
		return;
	pump_on(u);
	/* Nothing waits and nothing is on loan: the slots used last are still in the cache. */
	if (waiting(u) == 0)
		start_over(u);
}

/* The session is over, for good or because the collector has moved. */
static void udp_end(struct transport *t)
{
	struct udp *u = udp_of(t);
	t->due_ns = DUE_NEVER;
	u->ended = true;
	while (u->fd < 0 && waiting(u) != 0)
		drop_head(u, DROP_AWAY);
	if (u->next_fd >= 0 && !u->moving) {
		u->moving = true;
		u->moves_at = u->tail;
	}
	look_at_move(u);
	show_lag(u);
}

static void udp_push(struct transport *t)
{
	pump_on(udp_of(t));
}

static bool udp_congested(const struct transport *t)
{
	return ((const struct udp *)t)->congested;
}

static bool udp_busy(const struct transport *t)
{
	return waiting((const struct udp *)t) != 0 && ((const struct udp *)t)->fd >= 0;
}

static void udp_close(struct transport *t)
{
	if (t == NULL)
		return;
	struct udp *u = udp_of(t);
	if (u->refused != 0)
		log_warnx("output", "%s:%s: the collector refused datagrams refusals=%llu",
			  u->spec->host, u->spec->port, (unsigned long long)u->refused);
	if (u->timer != NULL)
		event_free(u->timer);
	own_drop(u->own, u->own_number);
	follow_free(u->follow);
	if (u->fd >= 0)
		close(u->fd);
	if (u->next_fd >= 0)
		close(u->next_fd);
	if (u->mem != NULL)
		munmap(u->mem, u->mem_size);
	free(u->slot);
	free(u);
}

/* ---- opening ---- */

static void tune(int fd)
{
	const int size = SEND_BUFFER;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)); /* as much as we are given */
}

static int connect_one(const struct addrinfo *ai, const struct url_spec *spec)
{
	int fd = socket(ai->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int err = dial_prepare(fd, ai->ai_family, spec);
	if (err == 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) != 0)
		err = -errno;
	if (err != 0) {
		close(fd);
		return err;
	}
	tune(fd);
	return fd;
}

/* Finds the host and connects to the first of its addresses that lets us. */
static int connect_to(struct udp *u, struct errtext *e, bool *ret_ip6)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list;
	int err = getaddrinfo(u->spec->host, u->spec->port, &hints, &list);
	if (err != 0)
		return fail(e, ERR_NOTREADY, "cannot find host %s: %s", u->spec->host,
			    gai_strerror(err));
	for (const struct addrinfo *ai = list; ai != NULL && u->fd < 0; ai = ai->ai_next) {
		int fd = connect_one(ai, u->spec);
		*ret_ip6 = ai->ai_family == AF_INET6;
		if (fd < 0)
			err = fd;
		u->fd = fd < 0 ? -1 : fd;
	}
	freeaddrinfo(list);
	if (u->fd < 0)
		return fail(e, err, "cannot reach %s%s%s: %s", u->spec->host,
			    u->spec->source != NULL ? " from source=" : "",
			    u->spec->source != NULL ? u->spec->source : "", err_str(err));
	u->trains = trains_are_cut(u->fd);
	u->own_number = own_add(u->own, u->fd, NULL);
	return 0;
}

/* ---- names, live ---- */

static void take_socket(struct udp *u, int fd)
{
	own_drop(u->own, u->own_number);
	u->own_number = own_add(u->own, fd, NULL);
	u->fd = fd;
	u->last_errno = 0;
	u->stuck_ns = 0;
	tune(fd);
	u->trains = trains_are_cut(fd);
}

/* A collector that has moved gets a session of its own. */
static void on_found(void *arg, int fd)
{
	struct udp *u = arg;
	if (u->fd < 0) {
		take_socket(u, fd);
		pump_on(u);
		return;
	}
	stat_add(&u->base.counters->reconnects, 1);
	if (u->next_fd >= 0)
		close(u->next_fd);
	u->next_fd = fd;
	u->base.due_ns = DUE_NOW; /* udp_end comes next */
}

static bool in_figures(const char *host)
{
	struct in6_addr address;
	return inet_pton(AF_INET, host, &address) == 1 ||
	       inet_pton(AF_INET6, host, &address) == 1 || strchr(host, '%') != NULL;
}

static int make_ring(struct udp *u, bool ip6)
{
	u->base.max_message = payload(u->spec, ip6);
	const uint64_t size = u->replay ? RING_BYTES : u->spec->queue_bytes;
	u->slots = (unsigned)(size / u->base.max_message);
	if (u->slots < SLOTS_MIN)
		u->slots = SLOTS_MIN;
	if (size / u->base.max_message > SLOTS_MAX)
		u->slots = SLOTS_MAX;
	u->base.row = (unsigned)(TRAIN_BYTES / u->base.max_message);
	if (u->base.row > TRAINS_MAX)
		u->base.row = TRAINS_MAX;
	u->batch = u->base.row < BATCH_MIN ? BATCH_MIN : u->base.row;
	u->mem_size = (size_t)u->slots * u->base.max_message;
	/* what is never filled costs no memory */
	void *mem = mmap(NULL, u->mem_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	u->mem = mem != MAP_FAILED ? mem : NULL;
	u->slot = calloc(u->slots, sizeof(*u->slot));
	return u->mem == NULL || u->slot == NULL ? ERR_NOMEM : 0;
}

static int open_udp(struct udp *u, const struct transport_conf *conf, struct errtext *e)
{
	const bool later = !u->replay && !in_figures(u->spec->host);
	bool ip6 = later; /* not known yet: messages are as long as both allow */
	int err = later ? follow_new(conf->base, u->spec, on_found, u, &u->follow)
			: connect_to(u, e, &ip6);
	if (err == 0)
		err = make_ring(u, ip6);
	if (err != 0)
		return err;
	u->timer = event_new(conf->base, -1, 0, on_timer, u);
	return u->timer == NULL ? ERR_NOMEM : 0;
}

static int udp_open(const struct transport_conf *conf, struct errtext *e,
		    struct transport **ret_transport)
{
	struct udp *u = calloc(1, sizeof(*u));
	if (u == NULL)
		return ERR_NOMEM;
	u->base = (struct transport){.counters = conf->counters, .due_ns = DUE_NEVER};
	u->spec = conf->spec;
	u->own = conf->own;
	u->own_number = -1;
	u->replay = conf->replay;
	u->resume = conf->resume;
	u->resume_arg = conf->resume_arg;
	u->fd = u->next_fd = -1;
	if (conf->spec->rate != 0)
		u->record_ns_x1024 = NS_PER_S * 1024 / (int64_t)conf->spec->rate;
	int err = open_udp(u, conf, e);
	if (err != 0) {
		udp_close(&u->base);
		return err;
	}
	*ret_transport = &u->base;
	return 0;
}

const struct transport_ops udp_transport = {
	.name = "udp",
	.max_message = udp_max_message,
	.open = udp_open,
	.reserve = udp_reserve,
	.commit = udp_commit,
	.push = udp_push,
	.end = udp_end,
	.congested = udp_congested,
	.busy = udp_busy,
	.close = udp_close,
};
