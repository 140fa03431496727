/*
 * Outputs that keep sessions, against peers in this process that behave and misbehave: what arrives
 * is read as bytes, IPFIX by hand from RFC 7011 §3.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "export.h"
#include "log.h"

static struct exporter *x;
static char errbuf[512];

static void enter(void)
{
	log_set_level(LOG_LEVEL_ERROR);
}

TestSuite(session, .init = enter, .timeout = 60);

/* ---- exporter ---- */

static void open_urls(const char *const *urls, unsigned count, bool replay)
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

static void open_url(bool replay, const char *fmt, unsigned port)
{
	char url[256];
	const char *urls[] = {url};
	snprintf(url, sizeof(url), fmt, port);
	open_urls(urls, 1, replay);
}

/* Records are told apart by their source port and packets. */
static void put(uint64_t id)
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

static int stop(void)
{
	struct export_queue *q = exporter_queue(x, 0);
	export_queue_reserve(q)->kind = EXPORT_END;
	export_queue_commit(q);
	return exporter_stop(x);
}

static struct output_stats stats(unsigned index)
{
	struct output_stats s;
	exporter_output_stats(x, index, &s);
	return s;
}

static uint64_t dropped(const struct output_stats *s, const char *reason)
{
	for (unsigned i = 0; s->dropped[i].reason != NULL; i++)
		if (strcmp(s->dropped[i].reason, reason) == 0)
			return s->dropped[i].records;
	return 0;
}

static void expect_balance(const struct output_stats *s)
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

static int listen_on(unsigned *port)
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

static void reset(int fd)
{
	const struct linger hard = {.l_onoff = 1};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

/* True: it was reset. */
static bool serve(struct peer *p, int fd, unsigned index)
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

static void *peer_thread(void *arg)
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
static void peer_start(struct peer *p)
{
	p->listener = listen_on(&p->port);
	cr_assert_eq(pthread_create(&p->thread, NULL, peer_thread, p), 0);
}

static void peer_join(struct peer *p)
{
	pthread_join(p->thread, NULL);
	close(p->listener);
}

static void peer_free(struct peer *p)
{
	for (unsigned i = 0; i < p->sessions; i++)
		free(p->session[i].bytes);
}

/* ---- what arrived ---- */

/* JSON lines: marks the ids seen; they must rise within a session. A session that was cut may end
 * inside a line. */
static unsigned see_json(const struct peer *p, unsigned index, uint8_t *seen, unsigned count)
{
	static const char key[] = "\"packetDeltaCount\":";
	const char *at = (const char *)p->session[index].bytes;
	const char *end = at + p->session[index].len;
	long last = -1;
	unsigned lines = 0;
	for (const char *nl; (nl = memchr(at, '\n', (size_t)(end - at))) != NULL; at = nl + 1) {
		const char *k = memmem(at, (size_t)(nl - at), key, sizeof(key) - 1);
		cr_assert_not_null(k);
		long id = strtol(k + sizeof(key) - 1, NULL, 10) - 1;
		cr_assert(id >= 0 && id < (long)count);
		cr_assert_gt(id, last, "session %u: %ld after %ld", index, id, last);
		last = id;
		seen[id] = 1;
		lines++;
	}
	return lines;
}

static unsigned ones(const uint8_t *seen, unsigned count)
{
	unsigned n = 0;
	for (unsigned i = 0; i < count; i++)
		n += seen[i];
	return n;
}

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

struct ipfix_seen {
	unsigned messages, template_sets, data_sets;
	uint32_t first_sequence;
	bool template_first; /* no data set before a template set */
};

/* The whole messages of a session, RFC 7011 §3.1 to §3.3. */
static struct ipfix_seen see_ipfix(const uint8_t *p, size_t len)
{
	struct ipfix_seen s = {.template_first = true};
	while (len >= 16 && be16(p + 2) <= len) {
		size_t n = be16(p + 2);
		cr_assert_eq(be16(p), 10);
		cr_assert_geq(n, 16);
		if (s.messages++ == 0)
			s.first_sequence = be32(p + 8);
		for (size_t at = 16; at < n; at += be16(p + at + 2)) {
			unsigned id = be16(p + at);
			cr_assert_geq(be16(p + at + 2), 4);
			s.template_sets += id == 2;
			s.data_sets += id >= 256;
			if (id >= 256 && s.template_sets == 0)
				s.template_first = false;
		}
		p += n;
		len -= n;
	}
	return s;
}

/* ---- tests ---- */

Test(session, records_are_delivered_once_the_peer_has_closed_too)
{
	static struct peer p;
	static uint8_t seen[5000];
	peer_start(&p);
	open_url(true, "json+tcp://127.0.0.1:%u", p.port);
	for (unsigned i = 0; i < 5000; i++)
		put(i);
	cr_expect_eq(stop(), 0);
	peer_join(&p);
	cr_expect_eq(p.sessions, 1);
	cr_expect_eq(see_json(&p, 0, seen, 5000), 5000);
	struct output_stats s = stats(0);
	cr_expect_eq(s.records, 5000);
	cr_expect_eq(s.bytes, p.session[0].len);
	cr_expect_eq(s.unconfirmed, 0);
	cr_expect_eq(s.reconnects, 0);
	expect_balance(&s);
	exporter_free(x);
	peer_free(&p);
}

Test(session, a_reset_loses_nothing_and_keeps_the_order)
{
	enum { N = 60000 };
	static struct peer p = {.resets = 3, .reset_after = 200000};
	static uint8_t seen[N];
	peer_start(&p);
	open_url(true, "json+tcp://localhost:%u?resend=8MiB", p.port);
	for (unsigned i = 0; i < N; i++)
		put(i);
	cr_expect_eq(stop(), 0);
	peer_join(&p);
	cr_expect_eq(p.sessions, 4);
	for (unsigned i = 0; i < p.sessions; i++)
		see_json(&p, i, seen, N);
	cr_expect_eq(ones(seen, N), N);
	struct output_stats s = stats(0);
	cr_expect_eq(s.records, N);
	cr_expect_eq(s.reconnects, 3);
	cr_expect_eq(s.records_dropped, 0);
	expect_balance(&s);
	exporter_free(x);
	peer_free(&p);
}

Test(session, each_ipfix_session_begins_with_templates_and_sequence_0)
{
	enum { N = 20000 };
	static struct peer p = {.resets = 2, .reset_after = 100000};
	peer_start(&p);
	open_url(true, "ipfix+tcp://127.0.0.1:%u", p.port);
	for (unsigned i = 0; i < N; i++)
		put(i);
	cr_expect_eq(stop(), 0);
	peer_join(&p);
	cr_expect_eq(p.sessions, 3);
	for (unsigned i = 0; i < p.sessions; i++) {
		struct ipfix_seen s = see_ipfix(p.session[i].bytes, p.session[i].len);
		cr_expect_eq(s.first_sequence, 0);
		cr_expect(s.template_first);
		cr_expect_gt(s.data_sets, 2);
		/* RFC 7011 §8.1: over TCP templates are sent once */
		cr_expect_eq(s.template_sets, 1, "session %u: %u", i, s.template_sets);
	}
	cr_expect_eq(stats(0).records, N);
	exporter_free(x);
	peer_free(&p);
}

/* RFC 7011 §10.4.4: a collector that wants no more closes its end, and reads until we close ours.
 * What it did not have to read is sent in the next session; the first ends with a whole message. */
Test(session, a_collector_that_closes_its_end_is_taken_leave_of)
{
	enum { N = 20000 };
	static struct peer p = {.resets = 2, .reset_after = 100000, .half = true};
	peer_start(&p);
	open_url(true, "ipfix+tcp://127.0.0.1:%u?rate=100000", p.port);
	for (unsigned i = 0; i < N; i++)
		put(i);
	cr_expect_eq(stop(), 0);
	peer_join(&p);
	cr_expect_eq(p.sessions, 3);
	for (unsigned i = 0; i < p.sessions; i++) {
		size_t at = 0;
		while (at + 4 <= p.session[i].len)
			at += be16(p.session[i].bytes + at + 2);
		cr_expect_eq(at, p.session[i].len, "session %u ends in a message", i);
	}
	struct output_stats s = stats(0);
	cr_expect_eq(s.records, N);
	cr_expect_eq(s.reconnects, 2);
	cr_expect_eq(s.records_dropped, 0);
	expect_balance(&s);
	exporter_free(x);
	peer_free(&p);
}

Test(session, a_replay_waits_for_a_collector_that_comes_late)
{
	static struct peer p;
	unsigned port = 0;
	int fd = listen_on(&port);
	close(fd);
	open_url(true, "json+tcp://127.0.0.1:%u", port);
	for (unsigned i = 0; i < 100; i++)
		put(i);
	usleep(300000);
	p.port = port;
	peer_start(&p);
	cr_expect_eq(stop(), 0);
	peer_join(&p);
	cr_expect_eq(stats(0).records, 100);
	exporter_free(x);
	peer_free(&p);
}

Test(session, a_replay_gives_a_missing_collector_up_after_connect_wait)
{
	unsigned port = 0;
	close(listen_on(&port));
	int64_t begun = mono_now().ns;
	open_url(true, "json+tcp://127.0.0.1:%u?connect-wait=1", port);
	for (unsigned i = 0; i < 20000; i++) /* more than it takes before it holds the replay */
		put(i);
	cr_expect_eq(stop(), ERR_NOTREADY);
	cr_expect_geq(mono_now().ns - begun, NS_PER_S);
	cr_expect_lt(mono_now().ns - begun, 4 * NS_PER_S);
	struct output_stats s = stats(0);
	cr_expect_eq(dropped(&s, "away"), 20000);
	cr_expect(exporter_dead(x));
	expect_balance(&s);
	exporter_free(x);
}

Test(session, live_a_missing_collector_costs_memory_up_to_the_queue_and_others_nothing)
{
	enum { N = 20000 };
	unsigned port = 0;
	char url[64];
	const char *urls[] = {url, "null:"};
	close(listen_on(&port));
	snprintf(url, sizeof(url), "json+tcp://127.0.0.1:%u?queue=1MiB", port);
	open_urls(urls, 2, false);
	for (unsigned i = 0; i < N; i++)
		put(i);
	for (unsigned i = 0; i < 500 && stats(1).records < N; i++)
		usleep(10000);
	cr_expect_eq(stats(1).records, N);
	const uint64_t room = (1 << 20) / sizeof(struct flow_record);
	stop();
	struct output_stats s = stats(0);
	cr_expect_eq(s.records_in, N);
	cr_expect_eq(dropped(&s, "queue"), N - room);
	cr_expect_eq(dropped(&s, "away"), room);
	expect_balance(&s);
	exporter_free(x);
}

Test(session, a_collector_that_never_reads_is_given_up_and_all_is_counted)
{
	enum { N = 200000 };
	static struct peer p = {.dumb_ms = 6000};
	peer_start(&p);
	open_url(true, "json+tcp://127.0.0.1:%u?connect-wait=1", p.port);
	for (unsigned i = 0; i < N; i++)
		put(i);
	cr_expect_eq(stop(), ERR_NOTREADY);
	struct output_stats s = stats(0);
	cr_expect_eq(s.records_in, N);
	cr_expect_gt(dropped(&s, "unconfirmed"), 0);
	expect_balance(&s);
	peer_join(&p);
	exporter_free(x);
	peer_free(&p);
}

/* A collector that talks without end: whatever we read, there is more. */
struct talker {
	pthread_t thread;
	int listener;
	_Atomic bool stop;
};

static void *talker_thread(void *arg)
{
	static const uint8_t words[1 << 16];
	struct talker *t = arg;
	int fd = accept(t->listener, NULL, NULL);
	while (!t->stop && send(fd, words, sizeof(words), MSG_NOSIGNAL) > 0)
		;
	close(fd);
	return NULL;
}

Test(session, collectors_that_talk_without_end_do_not_hold_up_the_others)
{
	enum { TALKERS = 3, N = 200 };
	static struct talker t[TALKERS];
	char url[TALKERS][64];
	const char *urls[TALKERS + 1] = {[TALKERS] = "null:"};
	for (unsigned i = 0; i < TALKERS; i++) {
		unsigned port = 0;
		t[i].listener = listen_on(&port);
		pthread_create(&t[i].thread, NULL, talker_thread, &t[i]);
		snprintf(url[i], sizeof(url[i]), "json+tcp://127.0.0.1:%u", port);
		urls[i] = url[i];
	}
	open_urls(urls, TALKERS + 1, false);
	/* a first record makes the outputs dial */
	put(0);
	usleep(500000);
	int64_t worst_ns = 0;
	for (unsigned i = 1; i < N; i++) {
		int64_t begun = mono_now().ns;
		put(i);
		while (stats(TALKERS).records <= i && mono_now().ns - begun < 2 * NS_PER_S)
			usleep(100);
		if (mono_now().ns - begun > worst_ns)
			worst_ns = mono_now().ns - begun;
	}
	cr_expect_lt(worst_ns, 500 * NS_PER_MS, "%lld ms", (long long)(worst_ns / NS_PER_MS));
	for (unsigned i = 0; i < TALKERS; i++)
		t[i].stop = true;
	stop();
	for (unsigned i = 0; i < TALKERS; i++) {
		pthread_join(t[i].thread, NULL);
		close(t[i].listener);
	}
	exporter_free(x);
}

/* It accepts and says nothing, not even in the handshake. */
Test(session, connect_wait_holds_in_a_handshake_that_stands_still)
{
	unsigned port = 0;
	int fd = listen_on(&port);
	int64_t begun = mono_now().ns;
	open_url(true, "json+tls://127.0.0.1:%u?verify=no&connect-wait=1", port);
	put(0);
	cr_expect_eq(stop(), ERR_NOTREADY);
	cr_expect_lt(mono_now().ns - begun, 4 * NS_PER_S);
	struct output_stats s = stats(0);
	cr_expect_eq(dropped(&s, "away"), 1);
	expect_balance(&s);
	exporter_free(x);
	close(fd);
}

/* It takes some bytes each time, the same ones. */
Test(session, a_collector_that_resets_each_session_is_given_up, .timeout = 30)
{
	enum { N = 100000 };
	static struct peer p = {.dumb_ms = 1100, .resets = SESSIONS_MAX, .reset_after = 1};
	peer_start(&p);
	open_url(true, "json+tcp://127.0.0.1:%u?connect-wait=2", p.port);
	for (unsigned i = 0; i < N; i++)
		put(i);
	cr_expect_eq(stop(), ERR_NOTREADY);
	struct output_stats s = stats(0);
	cr_expect_eq(s.records_in, N);
	cr_expect_eq(s.records + s.records_dropped, N);
	expect_balance(&s);
	shutdown(p.listener, SHUT_RDWR);
	peer_join(&p);
	exporter_free(x);
	peer_free(&p);
}

Test(session, source_is_the_address_it_comes_from)
{
	static struct peer p;
	peer_start(&p);
	open_url(true, "ipfix+tcp://127.0.0.1:%u?source=127.0.0.9", p.port);
	put(0);
	cr_expect_eq(stop(), 0);
	peer_join(&p);
	cr_expect_eq(ntohl(p.session[0].from.sin_addr.s_addr), 0x7f000009);
	exporter_free(x);
	peer_free(&p);
}

/* ---- with a spool ---- */

static char spool[] = "/tmp/weir-test-XXXXXX";

static void make_spool(void)
{
	enter();
	cr_assert_not_null(mkdtemp(spool));
}

static void remove_spool(void)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", spool);
	cr_assert_eq(system(command), 0);
}

TestSuite(session_spool, .init = make_spool, .fini = remove_spool, .timeout = 60);

static void open_spooling(bool replay, unsigned port, const char *options)
{
	char url[256];
	const char *urls[] = {url};
	snprintf(url, sizeof(url), "json+tcp://127.0.0.1:%u?spool=%s%s", port, spool, options);
	open_urls(urls, 1, replay);
}

/* Delivers what the spool holds, and one record more. */
static unsigned drain_to_peer(const char *options, uint8_t *seen, unsigned count)
{
	static struct peer p;
	memset(&p, 0, sizeof(p));
	peer_start(&p);
	open_spooling(true, p.port, options);
	put(count - 1);
	cr_expect_eq(stop(), 0);
	peer_join(&p);
	struct output_stats s = stats(0);
	cr_expect_eq(s.spooled, 0);
	cr_expect_eq(s.records, s.records_in + s.recovered);
	expect_balance(&s);
	const char *at = (const char *)p.session[0].bytes;
	unsigned lines = 0;
	for (const char *k;
	     (k = memmem(at, p.session[0].len - (size_t)(at - (char *)p.session[0].bytes),
			 "\"packetDeltaCount\":", 19)) != NULL;
	     at = k + 19, lines++)
		seen[strtoul(k + 19, NULL, 10) - 1] = 1;
	exporter_free(x);
	peer_free(&p);
	return lines;
}

Test(session_spool, what_a_live_run_could_not_send_is_sent_by_the_next)
{
	enum { N = 20000 };
	static uint8_t seen[N + 1];
	unsigned port = 0;
	close(listen_on(&port));
	open_spooling(false, port, "");
	for (unsigned i = 0; i < N; i++)
		put(i);
	cr_expect_eq(stop(), 0); /* nothing is lost, so nothing failed */
	struct output_stats s = stats(0);
	cr_expect_eq(s.spooled, N);
	cr_expect_eq(s.records_dropped, 0);
	expect_balance(&s);
	exporter_free(x);
	cr_expect_eq(drain_to_peer("&spool-rate=0", seen, N + 1), N + 1);
	cr_expect_eq(ones(seen, N + 1), N + 1);
}

Test(session_spool, a_replay_keeps_what_it_could_not_deliver)
{
	enum { N = 20000 };
	static uint8_t seen[N + 1];
	unsigned port = 0;
	close(listen_on(&port));
	open_spooling(true, port, "&connect-wait=0");
	for (unsigned i = 0; i < N; i++)
		put(i);
	cr_expect_eq(stop(), ERR_NOTREADY);
	struct output_stats s = stats(0);
	cr_expect_eq(s.spooled, N);
	expect_balance(&s);
	exporter_free(x);
	drain_to_peer("&spool-rate=0", seen, N + 1);
	cr_expect_eq(ones(seen, N + 1), N + 1);
}

static int log_pipe[2], log_kept;

/* From here on the log goes into a pipe. */
static void hear_log(void)
{
	cr_assert_eq(pipe2(log_pipe, O_CLOEXEC | O_NONBLOCK), 0);
	log_kept = dup(STDERR_FILENO);
	dup2(log_pipe[1], STDERR_FILENO);
}

/* What it said; it goes to standard error again. */
static const char *heard_log(void)
{
	static char text[1 << 16];
	dup2(log_kept, STDERR_FILENO);
	close(log_kept);
	const ssize_t n = read(log_pipe[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(log_pipe[0]);
	close(log_pipe[1]);
	return text;
}

/* One line tells what the spool keeps and what is lost, none that all is kept. */
static void expect_told(const char *said, uint64_t kept, uint64_t lost)
{
	char line[128];
	snprintf(line, sizeof(line), "given up; %llu records are in the spool, %llu are dropped",
		 (unsigned long long)kept, (unsigned long long)lost);
	cr_expect_not_null(strstr(said, line), "%s", said);
	cr_expect_null(strstr(said, "kept"), "%s", said);
}

/* The exit status says what the books say, also of a live run, whose end is no failure otherwise.
 */
Test(session_spool, a_live_run_that_loses_records_for_want_of_a_disk_has_failed)
{
	enum { N = 5000 };
	const struct rlimit limit = {.rlim_cur = 65536, .rlim_max = RLIM_INFINITY};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	unsigned port = 0;
	close(listen_on(&port));
	sigaction(SIGXFSZ, &ignore, NULL);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	open_spooling(false, port, "");
	for (unsigned i = 0; i < N; i++)
		put(i);
	hear_log();
	cr_expect_eq(stop(), ERR_NOTREADY);
	const char *said = heard_log();
	struct output_stats s = stats(0);
	cr_expect_gt(s.spooled, 0);
	cr_expect_gt(dropped(&s, "spool"), 0);
	cr_expect_eq(s.spooled + dropped(&s, "spool"), N);
	expect_balance(&s);
	expect_told(said, s.spooled, dropped(&s, "spool"));
	exporter_free(x);
}

Test(session_spool, a_disk_that_takes_nothing_is_not_said_to_keep_anything)
{
	enum { N = 500 };
	const struct rlimit limit = {.rlim_cur = 10, .rlim_max = RLIM_INFINITY};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	unsigned port = 0;
	close(listen_on(&port));
	sigaction(SIGXFSZ, &ignore, NULL);
	open_spooling(true, port, "&connect-wait=0");
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	hear_log();
	for (unsigned i = 0; i < N; i++)
		put(i);
	cr_expect_eq(stop(), ERR_NOTREADY);
	const char *said = heard_log();
	struct output_stats s = stats(0);
	cr_expect_eq(s.spooled, 0);
	cr_expect_eq(dropped(&s, "spool"), N);
	cr_expect_null(strstr(said, "wait in memory"), "%s", said);
	expect_told(said, 0, N);
	exporter_free(x);
}

Test(session_spool, spool_rate_is_kept)
{
	static uint8_t seen[3001];
	unsigned port = 0;
	close(listen_on(&port));
	open_spooling(false, port, "");
	for (unsigned i = 0; i < 3000; i++)
		put(i);
	stop();
	exporter_free(x);
	int64_t begun = mono_now().ns;
	drain_to_peer("&spool-rate=2000", seen, 3001);
	cr_expect_eq(ones(seen, 3001), 3001);
	/* 3000 records less the tenth of a second that is saved up and a lot of 64 */
	cr_expect_geq(mono_now().ns - begun, NS_PER_S * 13 / 10);
	cr_expect_leq(mono_now().ns - begun, NS_PER_S * 4);
}

Test(session_spool, resets_while_the_spool_drains_lose_nothing)
{
	enum { N = 30000 };
	static struct peer p = {.resets = 4, .reset_after = 300000};
	static uint8_t seen[N];
	unsigned port = 0;
	close(listen_on(&port));
	open_spooling(false, port, "");
	for (unsigned i = 0; i < N / 2; i++)
		put(i);
	stop();
	cr_expect_eq(stats(0).spooled, N / 2);
	exporter_free(x);
	peer_start(&p);
	open_spooling(true, p.port, "&spool-rate=0");
	for (unsigned i = N / 2; i < N; i++)
		put(i);
	cr_expect_eq(stop(), 0);
	peer_join(&p);
	cr_expect_eq(p.sessions, 5);
	for (unsigned i = 0; i < p.sessions; i++) {
		const char *at = (const char *)p.session[i].bytes, *end = at + p.session[i].len;
		for (const char *k;
		     (k = memmem(at, (size_t)(end - at), "\"packetDeltaCount\":", 19)) != NULL;
		     at = k + 19)
			if (memchr(k + 19, ',', (size_t)(end - k - 19)) != NULL)
				seen[strtoul(k + 19, NULL, 10) - 1] = 1;
	}
	cr_expect_eq(ones(seen, N), N);
	struct output_stats s = stats(0);
	cr_expect_eq(s.records, N);
	cr_expect_eq(s.recovered, N / 2);
	expect_balance(&s);
	exporter_free(x);
	peer_free(&p);
}

Test(session_spool, a_full_spool_drops_the_oldest_and_counts_them)
{
	enum { N = 60000 };
	unsigned port = 0;
	close(listen_on(&port));
	open_spooling(false, port, "&spool-size=1MiB&queue=64MiB");
	for (unsigned i = 0; i < N; i++)
		put(i);
	stop();
	struct output_stats s = stats(0);
	cr_expect_gt(dropped(&s, "spool"), 0);
	cr_expect_gt(s.spooled, 0);
	cr_expect_eq(s.spooled + dropped(&s, "spool"), N);
	expect_balance(&s);
	exporter_free(x);
}

/* ---- UDP ---- */

static int udp_peer(unsigned *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);
	const int one = 1, room = 4 << 20;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

/* A datagram's bytes, sender and ToS; 0: none came within the time. */
static size_t take_datagram(int fd, int wait_ms, uint8_t *buf, size_t size, uint32_t *ret_from,
			    int *ret_tos)
{
	struct sockaddr_in from;
	char control[64];
	struct iovec iov = {buf, size};
	struct msghdr h = {.msg_name = &from,
			   .msg_namelen = sizeof(from),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	if (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, wait_ms) <= 0)
		return 0;
	ssize_t n = recvmsg(fd, &h, 0);
	cr_assert_gt(n, 0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	*ret_from = ntohl(from.sin_addr.s_addr);
	*ret_tos = c != NULL && c->cmsg_type == IP_TOS ? *(uint8_t *)CMSG_DATA(c) : -1;
	return (size_t)n;
}

Test(session, udp_source_and_dscp_reach_the_wire)
{
	unsigned port;
	uint8_t buf[2048];
	uint32_t from = 0;
	int tos = -1, fd = udp_peer(&port);
	open_url(true, "netflow9://127.0.0.1:%u?source=127.0.0.7&dscp=46", port);
	put(0);
	cr_expect_eq(stop(), 0);
	cr_expect_gt(take_datagram(fd, 2000, buf, sizeof(buf), &from, &tos), 20);
	cr_expect_eq(from, 0x7f000007);
	cr_expect_eq(tos, 46 << 2); /* RFC 2474 §3: the six bits above ECN */
	exporter_free(x);
	close(fd);
}

Test(session, udp_a_source_that_is_not_ours_is_refused)
{
	const char *urls[] = {"netflow9://127.0.0.1:2055?source=192.0.2.77"};
	const struct exporter_conf conf = {
		.outputs = urls, .outputs_count = 1, .workers = 1, .replay = true, .sampling_n = 1};
	cr_expect_neq(exporter_new(&conf, errbuf, sizeof(errbuf), &x), 0);
	cr_expect_not_null(strstr(errbuf, "source=192.0.2.77"), "%s", errbuf);
}

Test(session, udp_live_a_name_is_looked_up_beside_the_work)
{
	unsigned port;
	uint8_t buf[2048];
	uint32_t from = 0;
	int tos = -1, fd = udp_peer(&port);
	open_url(false, "ipfix://localhost:%u", port);
	put(0);
	cr_expect_gt(take_datagram(fd, 5000, buf, sizeof(buf), &from, &tos), 20);
	cr_expect_eq(be16(buf), 10);
	cr_expect_eq(be16(buf + 16), 2, "templates come first");
	cr_expect_eq(stop(), 0);
	struct output_stats s = stats(0);
	cr_expect_eq(s.records, 1);
	exporter_free(x);
	close(fd);
}

Test(session, udp_live_a_name_that_is_not_found_loses_its_records_counted)
{
	const char *urls[] = {"ipfix://no-such-host.invalid:4739", "null:"};
	open_urls(urls, 2, false);
	for (unsigned i = 0; i < 1000; i++)
		put(i);
	for (unsigned i = 0; i < 500 && stats(1).records < 1000; i++)
		usleep(10000);
	cr_expect_eq(stats(1).records, 1000);
	usleep(400000);
	/* what waits for a name is as old as it is, whatever the pace */
	cr_expect_gt(stats(0).queued, 900);
	cr_expect_gt(stats(0).lag_ns, 200 * NS_PER_MS);
	cr_expect_lt(stats(0).lag_ns, 30 * NS_PER_S);
	stop();
	struct output_stats s = stats(0);
	cr_expect_eq(s.records_in, 1000);
	cr_expect_eq(dropped(&s, "away"), 1000);
	expect_balance(&s);
	exporter_free(x);
}

Test(session, udp_live_a_burst_waits_for_the_pace_and_all_of_it_arrives)
{
	enum { N = 60000 };
	unsigned port;
	static uint8_t buf[65536];
	uint32_t from;
	int tos, fd = udp_peer(&port);
	uint64_t sequence_end = 0;
	open_url(false, "netflow5://127.0.0.1:%u?rate=50000", port);
	for (unsigned i = 0; i < N; i++)
		put(i);
	struct export_queue *q = exporter_queue(x, 0);
	export_queue_reserve(q)->kind = EXPORT_END;
	export_queue_commit(q);
	uint64_t records = 0;
	for (size_t n; (n = take_datagram(fd, 500, buf, sizeof(buf), &from, &tos)) != 0;) {
		records += be16(buf + 2); /* v5: count, then flow_sequence at 16 */
		sequence_end = be32(buf + 16) + be16(buf + 2);
	}
	cr_expect_eq(exporter_stop(x), 0);
	cr_expect_eq(records, N);
	cr_expect_eq(sequence_end, N);
	struct output_stats s = stats(0);
	cr_expect_eq(s.records, N);
	cr_expect_eq(s.records_dropped, 0);
	exporter_free(x);
	close(fd);
}

/* Of messages of one record each: how long 500 of them take at 1000 a second. */
static int64_t time_of_paced_syslog(void)
{
	unsigned port;
	int fd = udp_peer(&port);
	const int64_t begun = mono_now().ns;
	open_url(true, "syslog://127.0.0.1:%u?rate=1000", port);
	for (unsigned i = 0; i < 500; i++)
		put(i);
	cr_expect_eq(stop(), 0);
	const int64_t took = mono_now().ns - begun;
	cr_expect_eq(stats(0).records, 500);
	exporter_free(x);
	close(fd);
	return took;
}

Test(session, udp_the_pace_is_of_records_however_few_are_in_a_message)
{
	int64_t best = INT64_MAX;
	for (unsigned i = 0; i < 4 && best > 700 * NS_PER_MS; i++) {
		const int64_t took = time_of_paced_syslog();
		cr_expect_geq(took, 480 * NS_PER_MS, "%lld ns", (long long)took);
		best = took < best ? took : best;
	}
	cr_expect_leq(best, 700 * NS_PER_MS, "%lld ns", (long long)best);
}
