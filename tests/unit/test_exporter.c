/*
 * The exporter whole: queues, thread, files, sockets. Each test has a directory of its own.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "export.h"
#include "log.h"

static char dir[] = "/tmp/weir-test-XXXXXX";
static struct exporter *x;
static char errbuf[512];

static void enter(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
}

static void leave(void)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(chdir("/"), 0);
	cr_assert_eq(system(command), 0);
}

TestSuite(exporter, .init = enter, .fini = leave, .timeout = 60);

static int open_with(const char *const *urls, unsigned count, unsigned workers, bool replay)
{
	const struct exporter_conf conf = {
		.outputs = urls,
		.outputs_count = count,
		.workers = workers,
		.replay = replay,
		.sampling_n = 1,
	};
	int err = exporter_new(&conf, errbuf, sizeof(errbuf), &x);
	return err != 0 ? err : exporter_start(x);
}

static void open_replay(const char *url)
{
	cr_assert_eq(open_with(&url, 1, 1, true), 0, "%s", errbuf);
}

static void put(struct export_queue *q, const struct flow_record *r, int64_t clock)
{
	union export_item *item = export_queue_reserve(q);
	cr_assert_not_null(item);
	item->record = *r;
	item->record.clock.ns = clock;
	export_queue_commit(q);
}

static void tick(struct export_queue *q, int64_t clock)
{
	union export_item *item = export_queue_reserve(q);
	item->tick = (struct export_tick){.kind = EXPORT_TICK, .clock = {clock}};
	export_queue_commit(q);
}

static void end(struct export_queue *q)
{
	export_queue_reserve(q)->kind = EXPORT_END;
	export_queue_commit(q);
}

static struct output_stats stats(unsigned index)
{
	struct output_stats st;
	exporter_output_stats(x, index, &st);
	return st;
}

static int stop(void)
{
	end(exporter_queue(x, 0));
	return exporter_stop(x);
}

static unsigned lines(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned n = 0;
	cr_assert_not_null(f, "%s is not there", path);
	for (int c; (c = getc(f)) != EOF;)
		n += c == '\n';
	fclose(f);
	return n;
}

static bool exists(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

static unsigned files_in(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	if (d != NULL)
		closedir(d);
	return n;
}

Test(exporter, file_appears_under_its_name_when_it_is_complete)
{
	struct flow_record r = record_udp4();
	open_replay("json:out.json");
	put(exporter_queue(x, 0), &r, T0);
	cr_expect(exists("out.json.part"));
	cr_expect_not(exists("out.json"));
	cr_expect_eq(stop(), 0);
	cr_expect_not(exists("out.json.part"));
	cr_expect_eq(lines("out.json"), 1);
	cr_expect_eq(stats(0).records, 1);
	cr_expect_eq(stats(0).messages, 1);
	exporter_free(x);
}

Test(exporter, no_records_still_make_a_file)
{
	open_replay("csv:empty.csv");
	tick(exporter_queue(x, 0), T0);
	cr_expect_eq(stop(), 0);
	cr_expect_eq(lines("empty.csv"), 1, "the header");
	exporter_free(x);
}

Test(exporter, freed_without_a_run_it_leaves_nothing_behind)
{
	const char *url = "json:out.json";
	const struct exporter_conf conf = {
		.outputs = &url, .outputs_count = 1, .workers = 1, .replay = true, .sampling_n = 1};
	cr_assert_eq(exporter_new(&conf, errbuf, sizeof(errbuf), &x), 0);
	exporter_free(x);
	cr_expect_eq(files_in("."), 0);
}

Test(exporter, files_rotate_at_multiples_of_the_interval)
{
	struct flow_record r = record_udp4();
	open_replay("json:%Y/%m-%d/%H%M.json?rotate=300");
	struct export_queue *q = exporter_queue(x, 0);
	/* 22:13:20, 22:14:59.999999999, 22:15:00; nothing from 22:20; 22:26:40 */
	put(q, &r, T0);
	put(q, &r, T0 + 100 * NS_PER_S - 1);
	put(q, &r, T0 + 100 * NS_PER_S);
	tick(q, T0 + 420 * NS_PER_S);
	put(q, &r, T0 + 800 * NS_PER_S);
	cr_expect_eq(stop(), 0);
	cr_expect_eq(lines("2023/11-14/2210.json"), 2);
	cr_expect_eq(lines("2023/11-14/2215.json"), 1);
	cr_expect_eq(lines("2023/11-14/2225.json"), 1);
	cr_expect_eq(files_in("2023/11-14"), 3);
	cr_expect_eq(stats(0).messages, 3);
	exporter_free(x);
}

Test(exporter, a_tick_completes_a_file_whose_interval_is_over)
{
	struct flow_record r = record_udp4();
	open_replay("json:%H%M.json?rotate=60");
	struct export_queue *q = exporter_queue(x, 0);
	put(q, &r, T0);
	tick(q, T0 + 60 * NS_PER_S);
	export_queue_flush(q);
	for (unsigned i = 0; i < 500 && !exists("2213.json"); i++)
		usleep(10000);
	cr_expect(exists("2213.json"), "before the end");
	cr_expect_eq(stop(), 0);
	cr_expect_eq(files_in("."), 1, "no empty file for the minute after");
	exporter_free(x);
}

Test(exporter, files_rotate_by_size_and_get_numbers)
{
	struct flow_record r = record_udp4();
	open_replay("csv:x.csv?rotate=1KiB&fields=sourceIPv4Address");
	/* 18 bytes of header, 10 a line: 101 lines make 1028 bytes */
	for (unsigned i = 0; i < 250; i++)
		put(exporter_queue(x, 0), &r, T0);
	cr_expect_eq(stop(), 0);
	cr_expect_eq(lines("x.csv"), 102);
	cr_expect_eq(lines("x.csv.1"), 102);
	cr_expect_eq(lines("x.csv.2"), 49);
	cr_expect_eq(files_in("."), 3);
	exporter_free(x);
}

static bool same(const char *a, const char *b)
{
	char command[64];
	snprintf(command, sizeof(command), "cmp -s %s %s", a, b);
	return system(command) == 0;
}

Test(exporter, a_message_begun_before_the_thread_slept_stays_whole)
{
	struct flow_record r = record_udp4_answered();
	for (unsigned pause = 0; pause < 2; pause++) {
		open_replay(pause ? "ipfix-file:b" : "ipfix-file:a");
		for (unsigned i = 0; i < 50; i++) {
			put(exporter_queue(x, 0), &r, T0);
			if (pause) {
				export_queue_flush(exporter_queue(x, 0));
				usleep(2000);
			}
		}
		cr_expect_eq(stop(), 0);
		exporter_free(x);
	}
	cr_expect(same("a", "b"));
}

static void run_once(const char *url, unsigned records)
{
	struct flow_record r = record_udp4();
	open_replay(url);
	for (unsigned i = 0; i < records; i++)
		put(exporter_queue(x, 0), &r, T0);
	cr_expect_eq(stop(), 0);
	exporter_free(x);
}

Test(exporter, a_run_does_not_replace_what_a_run_before_wrote)
{
	run_once("json:%H%M.json?rotate=300", 5);
	run_once("json:%H%M.json?rotate=300", 3);
	cr_expect_eq(lines("2210.json"), 5);
	cr_expect_eq(lines("2210.json.1"), 3);
	run_once("json:x?rotate=300", 4);
	run_once("json:x?rotate=64MiB", 2);
	cr_expect_eq(lines("x"), 4);
	cr_expect_eq(lines("x.1"), 2);
	run_once("json:%Y.json", 6);
	run_once("json:%Y.json", 7);
	cr_expect_eq(lines("2023.json"), 6);
	cr_expect_eq(lines("2023.json.1"), 7);
	cr_assert_eq(symlink("x", "link"), 0);
	run_once("json:link?rotate=300", 1);
	cr_expect_eq(lines("x"), 4, "through a link neither");
	cr_expect_eq(files_in("."), 8);
}

Test(exporter, a_part_that_was_left_behind_is_kept_where_names_have_numbers)
{
	FILE *f = fopen("x.part", "w");
	fputs("cut short\n", f);
	fclose(f);
	run_once("json:x?rotate=300", 2);
	cr_expect_eq(lines("x.part"), 1);
	cr_expect_eq(lines("x.1"), 2);
	run_once("json:x", 3);
	cr_expect_eq(lines("x"), 3);
	cr_expect_not(exists("x.part"));
}

Test(exporter, a_file_that_another_writes_is_left_alone)
{
	static const char *const urls[] = {"json:x", "json:x?rotate=300"};
	struct flow_record r = record_udp4();
	for (unsigned i = 0; i < 2; i++) {
		open_replay(urls[i]);
		struct exporter *first = x;
		put(exporter_queue(first, 0), &r, T0);
		cr_expect_eq(open_with(&urls[i], 1, 1, true), -EBUSY);
		cr_expect(strstr(errbuf, "cannot write x: another process") != NULL, "%s", errbuf);
		cr_expect(exists("x.part"));
		x = first;
		cr_expect_eq(stop(), 0);
		cr_expect_eq(lines("x"), 1);
		exporter_free(x);
		unlink("x");
	}
}

Test(exporter, two_that_date_their_files_alike_take_two_names)
{
	struct flow_record r = record_udp4();
	struct exporter *both[2];
	for (unsigned i = 0; i < 2; i++) {
		open_replay("json:%H%M.json?rotate=300");
		both[i] = x;
		put(exporter_queue(x, 0), &r, T0);
		export_queue_flush(exporter_queue(x, 0));
		const char *name = i == 0 ? "2210.json.part" : "2210.json.1.part";
		for (unsigned k = 0; k < 500 && !exists(name); k++)
			usleep(10000);
		cr_expect(exists(name));
	}
	for (unsigned i = 0; i < 2; i++) {
		x = both[i];
		cr_expect_eq(stop(), 0);
		exporter_free(x);
	}
	cr_expect_eq(lines("2210.json"), 1);
	cr_expect_eq(lines("2210.json.1"), 1);
}

/* A disk without room, as far as this process is concerned. */
static void fill_disk(rlim_t bytes)
{
	signal(SIGXFSZ, SIG_IGN);
	const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(exporter, a_full_disk_leaves_no_empty_files)
{
	static const char *const urls[] = {"json:x?rotate=1KiB", "json:%S.json?rotate=1"};
	struct flow_record r = record_udp4();
	for (unsigned i = 0; i < 2; i++) {
		open_replay(urls[i]);
		fill_disk(0);
		for (unsigned k = 0; k < 1000; k++)
			put(exporter_queue(x, 0), &r, T0 + k * NS_PER_S / 10);
		cr_expect_eq(stop(), -EFBIG);
		fill_disk(RLIM_INFINITY);
		cr_expect_eq(stats(0).records_dropped, 1000);
		cr_expect_eq(stats(0).messages, 0);
		cr_expect_eq(exporter_dead(x), i == 0, "the next second is tried anew");
		cr_expect_eq(files_in("."), 0);
		exporter_free(x);
	}
}

Test(exporter, after_a_full_disk_the_next_interval_is_written)
{
	struct flow_record r = record_udp4();
	open_replay("json:%M.json?rotate=60");
	fill_disk(0);
	put(exporter_queue(x, 0), &r, T0);
	tick(exporter_queue(x, 0), T0 + 60 * NS_PER_S);
	export_queue_flush(exporter_queue(x, 0));
	for (unsigned i = 0; i < 500 && stats(0).error == 0; i++)
		usleep(10000);
	fill_disk(RLIM_INFINITY);
	put(exporter_queue(x, 0), &r, T0 + 61 * NS_PER_S);
	cr_expect_eq(stop(), -EFBIG);
	cr_expect_eq(stats(0).records, 1);
	cr_expect_eq(lines("14.json"), 1);
	cr_expect_eq(files_in("."), 1);
	exporter_free(x);
}

Test(exporter, outputs_that_all_failed_for_good_are_told)
{
	static const char *const urls[] = {"json:/dev/full", "csv:x"};
	struct flow_record r = record_udp4();
	for (unsigned count = 1; count <= 2; count++) {
		cr_assert_eq(open_with(urls, count, 1, true), 0, "%s", errbuf);
		cr_expect_not(exporter_dead(x));
		put(exporter_queue(x, 0), &r, T0);
		export_queue_flush(exporter_queue(x, 0));
		for (unsigned i = 0; i < 500 && stats(0).error == 0; i++)
			usleep(10000);
		cr_expect_eq(stop(), -ENOSPC);
		cr_expect_eq(exporter_dead(x), count == 1);
		exporter_free(x);
	}
}

Test(exporter, a_date_too_long_for_a_path_is_an_error)
{
	static char url[6000] = "json:%Y";
	struct flow_record r = record_udp4();
	memset(url + strlen(url), 'x', sizeof(url) - strlen(url) - 1);
	open_replay(url);
	put(exporter_queue(x, 0), &r, T0);
	cr_expect_neq(stop(), 0);
	cr_expect_eq(stats(0).records_dropped, 1);
	exporter_free(x);
}

static bool is_readable(int fd, int wait_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, wait_ms) == 1;
}

Test(exporter, its_end_can_be_waited_for)
{
	struct flow_record r = record_udp4();
	open_replay("json:x");
	put(exporter_queue(x, 0), &r, T0);
	export_queue_flush(exporter_queue(x, 0));
	cr_expect_not(is_readable(exporter_done_fd(x), 50));
	end(exporter_queue(x, 0));
	cr_expect(is_readable(exporter_done_fd(x), 10000));
	cr_expect_eq(lines("x"), 1, "complete by then");
	cr_expect_eq(exporter_stop(x), 0);
	exporter_free(x);
}

static void put_tick(unsigned worker, uint64_t observed, uint64_t duplicate, uint64_t unsampled)
{
	struct export_queue *q = exporter_queue(x, worker);
	export_queue_reserve(q)->tick = (struct export_tick){
		.kind = EXPORT_TICK,
		.worker = worker,
		.clock = {T0},
		.observed = observed,
		.duplicate = duplicate,
		.unsampled = unsampled,
	};
	export_queue_commit(q);
}

Test(exporter, what_workers_did_not_sample_is_summed_without_copies)
{
	static const uint8_t want[16] = {[6] = 0x11, [7] = 0x11, [14] = 0x10};
	const char *url = "ipfix-file:x";
	char got[65536];
	cr_assert_eq(open_with(&url, 1, 2, true), 0, "%s", errbuf);
	put_tick(0, 0x1200, 0xef, 0x11);
	put_tick(1, 0, 0, 0x100);
	end(exporter_queue(x, 0));
	end(exporter_queue(x, 1));
	cr_expect_eq(exporter_stop(x), 0);
	exporter_free(x);
	FILE *f = fopen("x", "r");
	size_t n = fread(got, 1, sizeof(got), f);
	fclose(f);
	cr_expect_not_null(memmem(got, n, want, sizeof(want)), "observed 0x1111, selected 0x1000");
}

Test(exporter, an_existing_file_is_replaced_and_a_device_is_not)
{
	struct flow_record r = record_udp4();
	FILE *f = fopen("out.json", "w");
	fputs("old\n\n\n", f);
	fclose(f);
	cr_assert_eq(symlink("/dev/null", "link"), 0);
	static const char *const urls[] = {"json:out.json", "csv:link"};
	cr_assert_eq(open_with(urls, 2, 1, true), 0, "%s", errbuf);
	put(exporter_queue(x, 0), &r, T0);
	cr_expect_eq(stop(), 0);
	cr_expect_eq(lines("out.json"), 1);
	struct stat st;
	cr_expect_eq(lstat("link", &st), 0);
	cr_expect(S_ISLNK(st.st_mode));
	exporter_free(x);
}

Test(exporter, a_full_disk_costs_counted_records_and_the_exit_status)
{
	struct flow_record r = record_udp4();
	log_set_level(LOG_LEVEL_ERROR);
	static const char *const urls[] = {"json:/dev/full", "json:good.json"};
	cr_assert_eq(open_with(urls, 2, 1, true), 0, "%s", errbuf);
	for (unsigned i = 0; i < 1000; i++)
		put(exporter_queue(x, 0), &r, T0);
	cr_expect_eq(stop(), -ENOSPC);
	cr_expect_eq(stats(0).records_dropped, 1000);
	cr_expect_str_eq(stats(0).dropped[0].reason, "write");
	cr_expect_eq(stats(0).error, -ENOSPC);
	cr_expect_eq(stats(1).records, 1000);
	cr_expect_eq(lines("good.json"), 1000);
	exporter_free(x);
}

Test(exporter, a_dated_file_that_cannot_be_opened_is_an_error_and_the_rest_goes_on)
{
	struct flow_record r = record_udp4();
	static const char *const urls[] = {"json:/proc/no/%Y.json", "null:"};
	cr_assert_eq(open_with(urls, 2, 1, true), 0, "%s", errbuf);
	put(exporter_queue(x, 0), &r, T0);
	cr_expect_neq(stop(), 0);
	cr_expect_eq(stats(0).records_dropped, 1);
	cr_expect_eq(stats(1).records, 1);
	exporter_free(x);
}

Test(exporter, what_cannot_be_opened_is_said_at_the_start)
{
	const char *url = "json:/proc/no/x.json";
	cr_expect_eq(open_with(&url, 1, 1, true), -ENOENT);
	cr_expect(strstr(errbuf, "output \"json:/proc/no/x.json\": cannot write") != NULL, "%s",
		  errbuf);
}

Test(exporter, two_outputs_do_not_write_one_file)
{
	static const char *const urls[] = {"json:x", "csv:x"};
	cr_expect_eq(open_with(urls, 2, 1, true), ERR_USAGE);
	cr_expect(strncmp(errbuf, "output \"csv:x\"", 14) == 0, "%s", errbuf);
	cr_expect_eq(files_in("."), 0);
}

Test(exporter, two_outputs_do_not_write_one_file_under_two_names)
{
	static const char *const names[] = {"./x", "d/../x", "link", ".//x", "d/up/x"};
	FILE *f = fopen("x", "w");
	fclose(f);
	cr_assert_eq(mkdir("d", 0777), 0);
	cr_assert_eq(symlink("x", "link"), 0);
	cr_assert_eq(symlink("..", "d/up"), 0);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char url[64];
		const char *urls[] = {"json:x", url};
		snprintf(url, sizeof(url), "csv:%s", names[i]);
		cr_expect_eq(open_with(urls, 2, 1, true), ERR_USAGE, "%s", url);
		cr_expect(strstr(errbuf, "already") != NULL, "%s", errbuf);
	}
	const char *new[] = {"json:no/%H.json", "csv:./no/./%H.json"};
	cr_expect_eq(open_with(new, 2, 1, true), ERR_USAGE, "neither is there yet");
}

Test(exporter, outputs_see_the_same_records_each_in_its_own_way)
{
	struct flow_record r = record_udp4_answered();
	static const char *const urls[] = {"json:a", "json:b?biflow=no",
					   "null:", "null:?biflow=no"};
	cr_assert_eq(open_with(urls, 4, 1, true), 0, "%s", errbuf);
	put(exporter_queue(x, 0), &r, T0);
	cr_expect_eq(stop(), 0);
	cr_expect_eq(lines("a"), 1);
	cr_expect_eq(lines("b"), 2);
	cr_expect_eq(stats(2).records, 1);
	cr_expect_eq(stats(3).records, 2);
	exporter_free(x);
}

Test(exporter, optional_members_are_wanted_only_when_chosen)
{
	const char *url = "json:x";
	cr_assert_eq(open_with(&url, 1, 1, true), 0);
	cr_expect_not(exporter_wants(x, "sourceMacAddress"));
	cr_expect(exporter_wants(x, "minimumTTL"));
	cr_expect_not(exporter_wants(x, "noSuchElement"));
	stop();
	exporter_free(x);
	url = "netflow9://127.0.0.1:9?fields=default,sourceMacAddress";
	cr_assert_eq(open_with(&url, 1, 1, true), 0, "%s", errbuf);
	cr_expect(exporter_wants(x, "sourceMacAddress"));
	stop();
	exporter_free(x);
}

/* ---- queues ---- */

static void *produce(void *arg)
{
	struct flow_record r = record_udp4();
	for (unsigned i = 0; i < 50000; i++)
		put(arg, &r, T0 + i);
	end(arg);
	return NULL;
}

Test(exporter, nothing_is_lost_in_a_replay_with_several_workers)
{
	static const char *const urls[] = {"null:", "csv:x?fields=flowId"};
	pthread_t thread[3];
	cr_assert_eq(open_with(urls, 2, 3, true), 0, "%s", errbuf);
	for (unsigned i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, produce, exporter_queue(x, i));
	for (unsigned i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	cr_expect_eq(exporter_stop(x), 0);
	cr_expect_eq(stats(0).records, 150000);
	cr_expect_eq(lines("x"), 150001);
	exporter_free(x);
}

Test(exporter, live_records_are_written_soon)
{
	const char *url = "json:x";
	struct flow_record r = record_udp4();
	cr_assert_eq(open_with(&url, 1, 1, false), 0, "%s", errbuf);
	struct export_queue *q = exporter_queue(x, 0);
	put(q, &r, T0);
	export_queue_flush(q);
	struct stat st = {.st_size = 0};
	for (unsigned i = 0; i < 200 && st.st_size == 0; i++) {
		usleep(10000);
		cr_assert_eq(stat("x.part", &st), 0);
	}
	cr_expect_gt(st.st_size, 0);
	cr_expect_eq(stop(), 0);
	exporter_free(x);
}

/* ---- UDP ---- */

static int collector(unsigned *ret_port)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	const int room = 4 << 20;
	const struct timeval wait = {.tv_sec = 1};
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	getsockname(fd, (struct sockaddr *)&a, &len);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

/* Runs `records` records through a UDP output; fills what came, returns its length. */
static size_t run_udp(const char *format, const char *options, unsigned records, int64_t step,
		      uint8_t *got, size_t size, unsigned *ret_messages)
{
	unsigned port;
	char url[128];
	int fd = collector(&port);
	snprintf(url, sizeof(url), "%s://127.0.0.1:%u?%s", format, port, options);
	open_replay(url);
	struct flow_record r = record_udp4_answered();
	for (unsigned i = 0; i < records; i++)
		put(exporter_queue(x, 0), &r, T0 + i * step);
	cr_expect_eq(stop(), 0);
	struct output_stats st = stats(0);
	size_t len = 0;
	*ret_messages = 0;
	for (ssize_t n; *ret_messages < st.messages && (n = recv(fd, got + len, size - len, 0)) > 0;
	     ++*ret_messages)
		len += (size_t)n;
	cr_expect_eq(*ret_messages, st.messages);
	cr_expect_eq(len, st.bytes);
	exporter_free(x);
	close(fd);
	return len;
}

Test(exporter, replays_repeat_to_the_byte)
{
	static uint8_t a[1 << 20], b[1 << 20];
	static const char *const formats[] = {"netflow5", "netflow9", "ipfix"};
	for (unsigned i = 0; i < 3; i++) {
		unsigned messages[2];
		size_t la = run_udp(formats[i], "rate=0", 1000, 20 * NS_PER_MS, a, sizeof(a),
				    &messages[0]);
		/* the pace changes when, not what */
		size_t lb = run_udp(formats[i], "rate=50000", 1000, 20 * NS_PER_MS, b, sizeof(b),
				    &messages[1]);
		cr_assert_eq(la, lb, "%s", formats[i]);
		cr_expect_arr_eq(a, b, la);
		cr_expect_eq(messages[0], messages[1]);
	}
}

Test(exporter, pace_holds_a_replay_back)
{
	static uint8_t got[1 << 20];
	unsigned messages;
	struct mono_time before = mono_now();
	run_udp("netflow5", "rate=10000", 1000, 1000, got, sizeof(got), &messages);
	double s = (double)(mono_now().ns - before.ns) / 1e9;
	cr_expect_gt(s, 0.15, "2000 one-way records at 10000 a second take 0.2 s, not %f", s);
	cr_expect_lt(s, 5.0);
}

Test(exporter, a_collector_that_is_not_there_stops_nothing)
{
	struct flow_record r = record_udp4();
	static const char *const urls[] = {"ipfix://127.0.0.1:1?rate=0", "json:x"};
	cr_assert_eq(open_with(urls, 2, 1, true), 0, "%s", errbuf);
	for (unsigned i = 0; i < 1000; i++)
		put(exporter_queue(x, 0), &r, T0);
	cr_expect_eq(stop(), 0);
	cr_expect_eq(lines("x"), 1000);
	exporter_free(x);
}
