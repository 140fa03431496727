/*
 * The DTLS output over a link of this file's own, which takes the place of dtls_link.c: it greets at
 * once, keeps what it is given, and stalls when it is told to, as a full send buffer does. What a
 * session has to look like is RFC 7011 §3 and §8.
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../exporter/transport/dtls_link.h"
#include "err.h"
#include "export.h"
#include "log.h"

enum { N = 3000, MESSAGES_MAX = 20000 };

static struct exporter *x;
static char errbuf[512];

static void enter(void)
{
	log_set_level(LOG_LEVEL_ERROR);
}

TestSuite(session_dtls, .init = enter, .timeout = 60);

/* ---- the link ---- */

struct dtls_link {
	const struct dtls_events *events;
	struct event *event;
	int fd;
	bool greeted;
};

/* How the link behaves, and what it took. Written by the export thread, read after its end. */
static struct {
	unsigned stall_every; /* each so-many-th message is refused once, with room STALL_MS later */
	unsigned stall_ms;
	bool stall_data; /* the first message with flow records is, too */
	unsigned tries;
	unsigned count;
	struct {
		uint8_t *bytes;
		size_t len;
		int64_t ns;
	} message[MESSAGES_MAX];
} wire;

static void after(struct dtls_link *l, unsigned ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	event_add(l->event, &tv);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct dtls_link *l = arg;
	const bool greeted = l->greeted;
	l->greeted = true;
	if (greeted)
		l->events->writable(l->events->arg, l);
	else
		l->events->greeted(l->events->arg, l);
}

int dtls_restrict(SSL_CTX *context)
{
	(void)context;
	return 0;
}

struct dtls_link *dtls_link_new(SSL_CTX *context, const struct url_spec *spec, int fd,
				struct event_base *base, const struct dtls_events *events)
{
	(void)context, (void)spec;
	struct dtls_link *l = calloc(1, sizeof(*l));
	l->events = events;
	l->fd = fd;
	l->event = event_new(base, -1, 0, on_event, l);
	after(l, 0);
	return l;
}

size_t dtls_link_room(const struct dtls_link *l)
{
	(void)l;
	return 65535;
}

/* Flow records are the first that a message has. */
static bool has_data(const uint8_t *message)
{
	const unsigned set = (unsigned)message[16] << 8 | message[17];
	return set >= 256 && set < 512;
}

int dtls_link_send(struct dtls_link *l, const uint8_t *message, size_t n)
{
	if (wire.stall_data && has_data(message)) {
		wire.stall_data = false;
		after(l, wire.stall_ms);
		return -EAGAIN;
	}
	if (wire.stall_every != 0 && ++wire.tries % wire.stall_every == 0) {
		after(l, wire.stall_ms);
		return -EAGAIN;
	}
	cr_assert_lt(wire.count, MESSAGES_MAX);
	wire.message[wire.count].bytes = memcpy(malloc(n), message, n);
	wire.message[wire.count].ns = mono_now().ns;
	wire.message[wire.count++].len = n;
	return 0;
}

const char *dtls_link_why(const struct dtls_link *l)
{
	(void)l;
	return "";
}

void dtls_link_free(struct dtls_link *l)
{
	if (l == NULL)
		return;
	event_free(l->event);
	close(l->fd);
	free(l);
}

/* ---- the exporter ---- */

static void open_url(bool replay, const char *options)
{
	char url[256];
	const char *urls[] = {url};
	const struct exporter_conf conf = {
		.outputs = urls, .outputs_count = 1, .workers = 1, .replay = replay, .sampling_n = 1};
	snprintf(url, sizeof(url), "ipfix+dtls://127.0.0.1:9?verify=no%s", options);
	cr_assert_eq(exporter_new(&conf, errbuf, sizeof(errbuf), &x), 0, "%s", errbuf);
	cr_assert_eq(exporter_start(x), 0);
}

static void put(unsigned id)
{
	struct export_queue *q = exporter_queue(x, 0);
	union export_item *item = export_queue_reserve(q);
	cr_assert_not_null(item);
	item->record = record_udp4();
	item->record.flow_id = id;
	item->record.clock.ns = T0 + (int64_t)id * NS_PER_MS;
	export_queue_commit(q);
}

static struct output_stats stop(int expect)
{
	struct export_queue *q = exporter_queue(x, 0);
	struct output_stats s;
	export_queue_reserve(q)->kind = EXPORT_END;
	export_queue_commit(q);
	cr_expect_eq(exporter_stop(x), expect);
	exporter_output_stats(x, 0, &s);
	exporter_free(x);
	return s;
}

static void free_wire(void)
{
	for (unsigned i = 0; i < wire.count; i++)
		free(wire.message[i].bytes);
	wire.count = wire.tries = 0;
}

/* ---- what arrived ---- */

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

/* Lengths of the records that templates 256 to 1023 describe, 0 not heard of; none has a variable
 * length here. */
struct known {
	size_t len[1024];
	uint32_t sequence;
	unsigned flow_records, template_sets;
};

/* Template records are id, count, fields of 4 or (with the enterprise bit) 8 octets; those of
 * options have the scope count, too. */
static void learn(struct known *k, const uint8_t *p, const uint8_t *end, size_t header)
{
	while (end - p > (ptrdiff_t)header) {
		unsigned id = be16(p), fields = be16(p + 2);
		cr_assert(id >= 256 && id < 1024);
		p += header;
		k->len[id] = 0;
		for (; fields > 0; fields--, p += be16(p) & 0x8000 ? 8 : 4)
			k->len[id] += be16(p + 2);
	}
}

/* A message in its place: its sequence number is that of the data records before it (§3.1), and
 * each data set's template came before (§8). */
static void see(struct known *k, const uint8_t *p, size_t len)
{
	cr_assert_eq(be16(p), 10);
	cr_assert_eq(be16(p + 2), len);
	cr_assert_eq(be32(p + 8), k->sequence, "sequence %u, %u data records before it",
		     be32(p + 8), k->sequence);
	for (size_t at = 16; at < len; at += be16(p + at + 2)) {
		unsigned id = be16(p + at), n = be16(p + at + 2);
		if (id < 256) {
			learn(k, p + at + 4, p + at + n, id == 2 ? 4 : 6);
			k->template_sets += id == 2;
			continue;
		}
		cr_assert_neq(k->len[id], 0, "no template %u", id);
		k->sequence += (n - 4) / k->len[id];
		if (id < 512)
			k->flow_records += (n - 4) / k->len[id];
	}
}

static struct known see_all(void)
{
	struct known k = {.sequence = 0};
	for (unsigned i = 0; i < wire.count; i++)
		see(&k, wire.message[i].bytes, wire.message[i].len);
	return k;
}

/* ---- tests ---- */

/* Templates of a small mtu are several messages, and the first one stalls: the others wait behind
 * it. */
Test(session_dtls, what_is_committed_while_a_message_stalls_is_sent_after_it)
{
	static const unsigned every[] = {0, 2, 3};
	unsigned messages = 0;
	for (unsigned i = 0; i < 3; i++) {
		wire.stall_every = every[i];
		wire.stall_ms = 1;
		open_url(true, "&mtu=800&rate=0");
		for (unsigned id = 0; id < N; id++)
			put(id);
		struct output_stats s = stop(0);
		cr_expect_eq(s.records, N);
		cr_expect_eq(s.records_dropped, 0);
		cr_expect_eq(s.messages, wire.count);
		cr_expect_eq(see_all().flow_records, N);
		cr_expect(messages == 0 || messages == wire.count, "%u and %u messages", messages,
			  wire.count);
		messages = wire.count;
		free_wire();
	}
}

/* Templates fall due again and again while nothing can be sent: they do not pile up, and nothing
 * that was there is lost. */
Test(session_dtls, a_long_stall_holds_what_was_built_and_no_more)
{
	wire.stall_every = 5;
	wire.stall_ms = 1300;
	open_url(false, "&mtu=800&rate=0&template-refresh=1");
	for (unsigned id = 0; id < 40; id++) {
		put(id);
		usleep(50000);
	}
	wire.stall_every = 0;
	struct output_stats s = stop(0);
	cr_expect_eq(s.records, 40);
	cr_expect_eq(s.records_dropped, 0);
	cr_expect_eq(s.messages, wire.count);
	cr_expect_eq(see_all().flow_records, 40);
	free_wire();
}

/* A collector that does not run for 10 ms has to have room for what comes meanwhile: by default
 * 100,000 records a second, of which 4 ms may come at once, twice when we were not run either. */
Test(session_dtls, records_are_paced_by_default_as_over_udp)
{
	enum { BURST = 40000, MOST = 100 * (10 + 2 * 4) + 100 };
	const int64_t window_ns = 10 * NS_PER_MS;
	size_t bytes = 0, in_window = 0, worst = 0;
	wire.stall_every = 0;
	open_url(false, "");
	for (unsigned id = 0; id < BURST; id++)
		put(id);
	for (unsigned i = 0; i < 1000; i++) {
		struct output_stats s;
		exporter_output_stats(x, 0, &s);
		if (s.records == BURST)
			break;
		usleep(10000);
	}
	cr_expect_eq(stop(0).records, BURST);
	for (unsigned from = 0, to = 0; to < wire.count; to++) {
		bytes += wire.message[to].len;
		in_window += wire.message[to].len;
		while (wire.message[to].ns - wire.message[from].ns > window_ns)
			in_window -= wire.message[from++].len;
		if (in_window > worst)
			worst = in_window;
	}
	cr_expect_leq(worst * BURST / bytes, MOST, "%zu records in 10 ms", worst * BURST / bytes);
	const int64_t took_ns = wire.message[wire.count - 1].ns - wire.message[0].ns;
	cr_expect_geq(took_ns, 380 * NS_PER_MS, "%lld ms", (long long)(took_ns / NS_PER_MS));
	free_wire();
}

/* The end stalls, and a new session takes over: it sends all again, at its pace, before it ends. */
Test(session_dtls, the_end_is_that_of_the_session_that_took_over)
{
	enum { FEW = 15 };
	wire.stall_data = true;
	wire.stall_ms = 5000;
	open_url(true, "&rate=50&reconnect=1");
	for (unsigned id = 0; id < FEW; id++)
		put(id);
	struct output_stats s = stop(0);
	cr_expect_eq(s.reconnects, 1);
	cr_expect_eq(s.records, FEW);
	cr_expect_eq(s.records_dropped, 0);
	free_wire();
}
