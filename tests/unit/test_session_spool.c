/* Sessions with a spool: what waits on disk, what the next run sends, and what a full disk costs.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "test_session_util.h"

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
