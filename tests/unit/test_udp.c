/*
 * The UDP output where the system takes nothing for a while: sendmmsg is this file's own. What a
 * stream has to look like is RFC 7011 §3 and §8.4.
 */
#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "export.h"
#include "log.h"

enum { FIRST = 30000, MORE = 2000, BLOCKED_MS = 2600 };

static struct exporter *x;
static char errbuf[512];

/* What left. Written by the export thread, read after its end. */
static _Atomic bool blocked;
static unsigned announcements; /* of the first template */
static unsigned messages;

static void enter(void)
{
	log_set_level(LOG_LEVEL_ERROR);
}

TestSuite(udp, .init = enter, .timeout = 60);

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void see(const uint8_t *p, size_t len)
{
	messages++;
	cr_assert_eq(be16(p), 10);
	cr_assert_eq(be16(p + 2), len);
	for (size_t at = 16; at < len; at += be16(p + at + 2))
		announcements += be16(p + at) == 2 && be16(p + at + 4) == 256;
}

int sendmmsg(int fd, struct mmsghdr *vec, unsigned n, int flags)
{
	(void)fd, (void)flags;
	if (blocked) {
		errno = EAGAIN;
		return -1;
	}
	for (unsigned i = 0; i < n; i++)
		for (size_t m = 0; m < vec[i].msg_hdr.msg_iovlen; m++)
			see(vec[i].msg_hdr.msg_iov[m].iov_base, vec[i].msg_hdr.msg_iov[m].iov_len);
	return (int)n;
}

static void open_live(const char *url)
{
	const char *urls[] = {url};
	const struct exporter_conf conf = {
		.outputs = urls, .outputs_count = 1, .workers = 1, .sampling_n = 1};
	cr_assert_eq(exporter_new(&conf, errbuf, sizeof(errbuf), &x), 0, "%s", errbuf);
	cr_assert_eq(exporter_start(x), 0);
}

static struct output_stats stop(void)
{
	struct export_queue *q = exporter_queue(x, 0);
	struct output_stats s;
	export_queue_reserve(q)->kind = EXPORT_END;
	export_queue_commit(q);
	cr_expect_eq(exporter_stop(x), 0);
	exporter_output_stats(x, 0, &s);
	exporter_free(x);
	return s;
}

static void put(unsigned n)
{
	struct export_queue *q = exporter_queue(x, 0);
	for (unsigned i = 0; i < n; i++) {
		union export_item *item;
		while ((item = export_queue_reserve(q)) == NULL)
			usleep(1000);
		item->record = record_udp4();
		export_queue_commit(q);
	}
}

/* More than the ring holds, for longer than templates last: flow records are dropped and counted,
 * but the templates are sent again as often as they fell due. */
Test(udp, live_a_full_ring_has_room_for_templates)
{
	blocked = true;
	open_live("ipfix://127.0.0.1:9?queue=1MiB&template-refresh=1&rate=0");
	put(FIRST);
	for (unsigned ms = 0; ms < BLOCKED_MS; ms += 100) {
		put(MORE);
		usleep(100000);
	}
	blocked = false;
	struct output_stats s = stop();
	cr_expect_gt(s.records_dropped, 0);
	cr_expect_eq(s.records + s.records_dropped, s.records_in);
	cr_expect_eq(s.messages, messages);
	cr_expect_geq(announcements, 3, "%u, at the beginning and after 1 s and 2 s", announcements);
}

/* As over a stream: 5 seconds in which nothing moves. */
Test(udp, the_end_does_not_wait_for_ever_for_a_system_that_takes_nothing)
{
	const int64_t begun = mono_now().ns;
	blocked = true;
	open_live("netflow5://127.0.0.1:9");
	put(MORE);
	struct output_stats s = stop();
	cr_expect_eq(s.records, 0);
	cr_expect_eq(s.records_dropped, s.records_in);
	cr_expect_eq(s.records_in, MORE);
	cr_expect_leq(mono_now().ns - begun, 8 * NS_PER_S);
	blocked = false;
}
