/*
 * Outputs that keep sessions, against peers in this process that behave and misbehave: what arrives
 * is read as bytes, IPFIX by hand from RFC 7011 §3.
 */
#include "test_session_util.h"

TestSuite(session, .init = enter, .timeout = 60);

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

/* One try, but all the time that the records take at their pace. */
Test(session, a_collector_that_is_there_is_not_given_up_for_connect_wait_0)
{
	enum { N = 400 };
	static struct peer p;
	peer_start(&p);
	open_url(true, "json+tcp://127.0.0.1:%u?connect-wait=0&rate=1000", p.port);
	for (unsigned i = 0; i < N; i++)
		put(i);
	cr_expect_eq(stop(), 0);
	struct output_stats s = stats(0);
	cr_expect_eq(s.records, N);
	expect_balance(&s);
	peer_join(&p);
	exporter_free(x);
	peer_free(&p);
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
