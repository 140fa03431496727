/*
 * For tests of outputs that keep sessions: an exporter with a queue, records told apart by a
 * number, and TCP peers in this process that behave and misbehave.
 */
#ifndef WEIR_TEST_SESSION_UTIL_H
#define WEIR_TEST_SESSION_UTIL_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "export.h"
#include "log.h"

static struct exporter *x;
static char errbuf[512];

static inline void enter(void)
{
	log_set_level(LOG_LEVEL_ERROR);
}

/* ---- exporter ---- */

static inline void open_urls(const char *const *urls, unsigned count, bool replay)
{
	const struct exporter_conf conf = {
		.outputs = urls,
		.outputs_count = count,
		.workers = 1,
		.replay = replay,
		.sampling_n = 1,
	};
	cr_assert_eq(exporter_new(&conf, errbuf, sizeof(errbuf), &x), 0, "%s", errbuf);
	cr_assert_eq(exporter_start(x), 0);
}

static inline void open_url(bool replay, const char *fmt, unsigned port)
{
	char url[256];
	const char *urls[] = {url};
	snprintf(url, sizeof(url), fmt, port);
	open_urls(urls, 1, replay);
}

/* Records are told apart by their source port and packets. */
static inline void put(uint64_t id)
{
	struct export_queue *q = exporter_queue(x, 0);
	union export_item *item = export_queue_reserve(q);
	cr_assert_not_null(item);
	item->record = record_udp4();
	item->record.flow_id = id;
	item->record.dir[FLOW_FORWARD].packets = id + 1;
	item->record.clock.ns = T0 + (int64_t)id * NS_PER_MS;
	export_queue_commit(q);
}

static inline int stop(void)
{
	struct export_queue *q = exporter_queue(x, 0);
	export_queue_reserve(q)->kind = EXPORT_END;
	export_queue_commit(q);
	return exporter_stop(x);
}

static inline struct output_stats stats(unsigned index)
{
	struct output_stats s;
	exporter_output_stats(x, index, &s);
	return s;
}

static inline uint64_t dropped(const struct output_stats *s, const char *reason)
{
	for (unsigned i = 0; s->dropped[i].reason != NULL; i++)
		if (strcmp(s->dropped[i].reason, reason) == 0)
			return s->dropped[i].records;
	return 0;
}

static inline void expect_balance(const struct output_stats *s)
{
	cr_expect_eq(s->records_in + s->recovered, s->unsampled + s->filtered + s->records +
							   s->records_dropped + s->queued +
							   s->unconfirmed + s->spooled);
}

/* ---- peers ---- */

enum { SESSIONS_MAX = 64, BYTES_MAX = 32 << 20 };

/* Takes connections one after the other and keeps what each brings. */
struct peer {
	pthread_t thread;
	int listener;
	unsigned port;
	unsigned resets;    /* so many first sessions are reset ... */
	size_t reset_after; /* ... after so many bytes */
	bool half;	    /* or only closed by half, and read to the end */
	unsigned dumb_ms;   /* reads nothing for so long */
	_Atomic unsigned sessions;
	struct {
		uint8_t *bytes;
		size_t len;
		struct sockaddr_in from;
	} session[SESSIONS_MAX];
};

static inline int listen_on(unsigned *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
	socklen_t len = sizeof(sa);
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert_eq(listen(fd, 8), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

static inline void reset(int fd)
{
	const struct linger hard = {.l_onoff = 1};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

/* True: it was reset. */
static inline bool serve(struct peer *p, int fd, unsigned index)
{
	const bool breaks = index < p->resets;
	p->session[index].bytes = malloc(BYTES_MAX);
	usleep(p->dumb_ms * 1000);
	for (;;) {
		size_t *len = &p->session[index].len;
		ssize_t n = recv(fd, p->session[index].bytes + *len, BYTES_MAX - *len, 0);
		if (n <= 0)
			break;
		*len += (size_t)n;
		if (!breaks || *len < p->reset_after)
			continue;
		if (!p->half) {
			reset(fd);
			return true;
		}
		shutdown(fd, SHUT_WR);
	}
	close(fd);
	return breaks;
}

static inline void *peer_thread(void *arg)
{
	struct peer *p = arg;
	for (bool more = true; more && p->sessions < SESSIONS_MAX;) {
		unsigned index = p->sessions;
		socklen_t len = sizeof(p->session[0].from);
		int fd = accept(p->listener, (struct sockaddr *)&p->session[index].from, &len);
		if (fd < 0)
			break;
		p->sessions++;
		more = serve(p, fd, index);
	}
	return NULL;
}

/* `p` says how it behaves; it ends after the first session that was not reset. */
static inline void peer_start(struct peer *p)
{
	p->listener = listen_on(&p->port);
	cr_assert_eq(pthread_create(&p->thread, NULL, peer_thread, p), 0);
}

static inline void peer_join(struct peer *p)
{
	pthread_join(p->thread, NULL);
	close(p->listener);
}

static inline void peer_free(struct peer *p)
{
	for (unsigned i = 0; i < p->sessions; i++)
		free(p->session[i].bytes);
}

/* ---- what arrived ---- */

static inline unsigned ones(const uint8_t *seen, unsigned count)
{
	unsigned n = 0;
	for (unsigned i = 0; i < count; i++)
		n += seen[i];
	return n;
}

static inline unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

#endif
