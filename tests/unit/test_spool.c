/*
 * The spool as a queue: restarts, kills, full disks, and random operations against a model that
 * keeps numbers only. Its files are the business of test_spool_bytes.c.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../exporter/spool/record.h"
#include "../../exporter/spool/segment.h"
#include "test_spool_util.h"

TestSuite(spool, .init = enter, .fini = leave, .timeout = 120);

/* ---- a queue ---- */

Test(spool, records_come_back_in_order)
{
	open_spool();
	cr_expect(spool_drained(s));
	append(0, 1000);
	append(1000, 1);
	cr_expect_not(spool_drained(s));
	expect_rest(0, 1001);
	append(1001, 3);
	expect_rest(1001, 3);
	cr_expect_eq(books().depth, 1004, "read is not acknowledged");
	close_spool();
}

Test(spool, what_is_not_acknowledged_is_read_again)
{
	uint64_t upto, ignored;
	unsigned n;
	open_spool();
	append(0, 300);
	cr_assert_eq(spool_read(s, records, 100, &n, &upto), 0);
	cr_assert_eq(n, 100);
	cr_assert_eq(spool_read(s, records, 150, &n, &ignored), 0);
	cr_assert_eq(spool_ack(s, upto), 0);
	cr_expect_eq(books().acked, 100);
	cr_expect_eq(books().oldest_ns, T0 + 100);
	spool_rewind(s);
	expect_rest(100, 200);
	spool_rewind(s);
	cr_assert_eq(spool_ack(s, UINT64_MAX), 0, "of what was not read: nothing");
	cr_expect_eq(books().acked, 100);
	expect_rest(100, 200);
	cr_assert_eq(spool_ack(s, 50), 0, "late");
	cr_expect_eq(books().acked, 100);
	close_spool();
}

Test(spool, a_drained_spool_leaves_nothing_behind)
{
	uint64_t first, upto;
	open_spool();
	for (unsigned i = 0; i < 20; i++)
		append(i * 2000, 2000);
	cr_expect_gt(count_files(".seg"), 2);
	cr_expect_eq(read_all(&first, &upto), 40000 - books().dropped);
	cr_assert_eq(spool_ack(s, upto), 0);
	cr_expect_leq(count_files(".seg"), 1);
	cr_expect_eq(books().depth, 0);
	cr_expect_eq(books().oldest_ns, 0);
	close_spool();
	cr_expect_eq(count_files(".seg"), 0);
	/* and numbers go on */
	open_spool();
	append(40000, 10);
	expect_rest(40000, 10);
	cr_assert_eq(access("s/0000000000009c40.seg", R_OK), 0);
	close_spool();
}

Test(spool, a_trickle_does_not_make_a_file_a_record)
{
	open_spool();
	uint64_t upto;
	unsigned n;
	for (unsigned i = 0; i < 200; i++) {
		append(i, 1);
		cr_assert_eq(spool_read(s, records, 10, &n, &upto), 0);
		cr_assert_eq(n, 1);
		cr_assert_eq(spool_ack(s, upto), 0);
	}
	cr_expect_eq(access(FIRST, R_OK), 0);
	cr_expect_eq(books().acked, 200);
	close_spool();
}

/* ---- restarts ---- */

Test(spool, survives_a_restart_and_remembers_what_was_acknowledged)
{
	uint64_t upto;
	unsigned n;
	open_spool();
	append(0, 500);
	cr_assert_eq(spool_read(s, records, 123, &n, &upto), 0);
	cr_assert_eq(spool_ack(s, upto), 0);
	close_spool();
	open_spool();
	cr_expect_eq(books().recovered, 377);
	append(500, 10);
	expect_rest(123, 387);
	close_spool();
}

Test(spool, a_kill_loses_nothing_that_was_appended)
{
	int fds[2];
	cr_assert_eq(pipe(fds), 0);
	pid_t pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		unsigned stored;
		if (try_open() != 0)
			_exit(1);
		for (uint64_t n = 0;; n += 50) {
			for (unsigned i = 0; i < 50; i++)
				records[i] = numbered(n + i);
			if (spool_append(s, records, 50, &stored) != 0 || stored != 50 ||
			    write(fds[1], &n, sizeof(n)) != sizeof(n))
				_exit(1);
		}
	}
	close(fds[1]);
	uint64_t last = 0;
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(read(fds[0], &last, sizeof(last)), sizeof(last));
	kill(pid, SIGKILL);
	while (read(fds[0], &last, sizeof(last)) == sizeof(last))
		;
	int status;
	waitpid(pid, &status, 0);
	cr_assert(WIFSIGNALED(status));
	open_spool();
	uint64_t first = 0, upto;
	const uint64_t held = books().recovered;
	cr_expect_geq(held + books().dropped, 50, "it was bounded");
	const unsigned n = read_all(&first, &upto);
	cr_expect_eq(n, held);
	cr_expect_geq(first + n, last + 50, "the last that was told is there");
	cr_expect_eq(books().corrupt, 0);
	close_spool();
}

Test(spool, at_most_a_few_thousand_are_sent_again_after_a_kill)
{
	uint64_t upto;
	unsigned n;
	open_spool();
	for (unsigned i = 0; i < 3; i++)
		append(i * 3000, 3000);
	for (upto = 0; upto < 8000;) {
		const unsigned max = upto < 7900 ? 100 : 8000 - (unsigned)upto;
		cr_assert_eq(spool_read(s, records, max, &n, &upto), 0);
		cr_assert_eq(spool_ack(s, upto), 0);
	}
	abandon();
	open_spool();
	cr_expect_leq(books().recovered, 1000 + 4096);
	cr_expect_geq(books().recovered, 1000);
	close_spool();
	/* flushed, none */
	open_spool();
	read_all(&upto, &upto);
	cr_assert_eq(spool_ack(s, upto), 0);
	cr_assert_eq(spool_flush(s), 0);
	abandon();
	open_spool();
	cr_expect_eq(books().recovered, 0);
	close_spool();
}

Test(spool, damage_of_the_ack_file_sends_all_again)
{
	uint64_t upto;
	unsigned n;
	open_spool();
	append(0, 100);
	cr_assert_eq(spool_read(s, records, 60, &n, &upto), 0);
	cr_assert_eq(spool_ack(s, upto), 0);
	close_spool();
	for (unsigned bad = 0; bad < 3; bad++) {
		static const char *const with[] = {"", "\x83", "this is not an ack file at all"};
		store_file("s/ack", (const uint8_t *)with[bad], strlen(with[bad]));
		open_spool();
		expect_rest(0, 100);
		abandon();
	}
}

/* ---- room ---- */

Test(spool, the_oldest_go_first_and_are_counted)
{
	open_spool();
	for (unsigned i = 0; i < 30; i++) {
		append(i * 1000, 1000);
		books();
	}
	const struct spool_stats st = books();
	cr_expect_gt(st.dropped, 10000);
	cr_expect_gt(st.depth_bytes, SPOOL_SIZE_MIN / 2, "three quarters stay at least");
	cr_expect_eq(st.oldest_ns, T0 + (int64_t)st.dropped);
	uint64_t first = 0, upto;
	cr_expect_eq(read_all(&first, &upto), 30000 - st.dropped);
	cr_expect_eq(first, st.dropped);
	close_spool();
}

Test(spool, what_is_dropped_while_it_is_read_is_not_acknowledged_too)
{
	uint64_t upto;
	unsigned n;
	open_spool();
	append(0, 1000);
	cr_assert_eq(spool_read(s, records, 100, &n, &upto), 0);
	for (unsigned i = 1; i < 30; i++)
		append(i * 1000, 1000);
	const uint64_t dropped = books().dropped;
	cr_assert_gt(dropped, 1000);
	cr_assert_eq(spool_ack(s, upto), 0);
	cr_expect_eq(books().acked, 0);
	expect_rest(dropped, 30000 - (unsigned)dropped);
	close_spool();
}

Test(spool, a_smaller_size_is_enforced_at_the_start)
{
	conf.size_limit = 8 * SPOOL_SIZE_MIN;
	open_spool();
	for (unsigned i = 0; i < 40; i++)
		append(i * 1000, 1000);
	cr_expect_eq(books().dropped, 0);
	close_spool();
	conf.size_limit = SPOOL_SIZE_MIN;
	open_spool();
	cr_expect_leq(books().depth_bytes, SPOOL_SIZE_MIN);
	cr_expect_gt(books().dropped, 0);
	close_spool();
	conf.size_limit = SPOOL_SIZE_MIN - 1;
	cr_expect_eq(try_open(), ERR_RANGE);
}

/* Fills what there is; each call's records are all told stored or not. */
static void fill_until(int error)
{
	unsigned stored = 0;
	int err = 0;
	uint64_t n = 0;
	while (err == 0 && n < 2000000) {
		for (unsigned i = 0; i < 2000; i++)
			records[i] = numbered(n + i);
		err = spool_append(s, records, 2000, &stored);
		n += stored;
	}
	cr_assert_eq(err, error, "%d", err);
	cr_assert_lt(stored, 2000);
	cr_expect_eq(books().appended, n);
	cr_expect_eq(spool_append(s, records, 2000, &stored), error, "and again");
	n += stored;
	const struct spool_stats st = books();
	cr_expect_eq(st.depth, n);
	uint64_t first, upto;
	cr_expect_eq(read_all(&first, &upto), n);
	cr_expect_eq(books().corrupt, 0);
}

Test(spool, a_file_that_may_not_grow_is_told)
{
	const struct rlimit small = {.rlim_cur = 200000, .rlim_max = RLIM_INFINITY};
	const struct rlimit none = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	signal(SIGXFSZ, SIG_IGN);
	conf.size_limit = 64 << 20;
	open_spool();
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	fill_until(-EFBIG);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	const unsigned held = (unsigned)books().depth;
	append(held, 500);
	spool_rewind(s);
	expect_rest(0, held + 500);
	close_spool();
}

Test(spool, a_full_disk_is_told_and_over_when_there_is_room)
{
	cr_assert_eq(mkdir("s", 0700), 0);
	if (geteuid() != 0 || mount("weir-test", "s", "tmpfs", 0, "size=1m,mode=700") != 0)
		cr_skip_test("SKIPPED: needs root and mount(2)");
	conf.size_limit = 64 << 20;
	open_spool();
	fill_until(-ENOSPC);
	uint64_t first, upto;
	const struct spool_stats st = books();
	spool_rewind(s);
	read_all(&first, &upto);
	/* with room for an ack or not, the files go */
	(void)spool_ack(s, upto);
	cr_expect_eq(books().acked, st.depth);
	append(st.depth, 1000);
	expect_rest(st.depth, 1000);
	cr_expect_eq(spool_close(s), 0);
	open_spool();
	cr_expect_eq(books().recovered, 1000);
	close_spool();
	cr_assert_eq(umount("s"), 0);
}

/* ---- whose it is ---- */

Test(spool, two_never_share_a_directory)
{
	open_spool();
	struct spool *first = s;
	cr_expect_eq(try_open(), -EWOULDBLOCK);
	cr_expect(strstr(why, "in use by another output or process") != NULL, "%s", why);
	char pid[32];
	snprintf(pid, sizeof(pid), "(%d)", getpid());
	cr_expect(strstr(why, pid) != NULL, "%s", why);
	pid_t child = fork();
	if (child == 0)
		_exit(try_open() == -EWOULDBLOCK ? 0 : 1);
	int status;
	waitpid(child, &status, 0);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	s = first;
	append(0, 1);
	close_spool();
	open_spool();
	close_spool();
}

static void expect_refused(int error, const char *says)
{
	cr_expect_eq(try_open(), error, "%s", why);
	cr_expect(strstr(why, says) != NULL, "%s", why);
	cr_expect(strstr(why, "spool=") != NULL, "%s", why);
	cr_expect_null(strchr(why, '\n'));
}

Test(spool, directories_that_are_not_ours_are_refused)
{
	conf.dir = "no/such";
	expect_refused(-ENOENT, "parent");
	conf.dir = "file";
	store_file("file", (const uint8_t *)"x", 1);
	expect_refused(ERR_USAGE, "not a directory");
	cr_assert_eq(mkdir("real", 0700), 0);
	cr_assert_eq(symlink("real", "link"), 0);
	conf.dir = "link";
	expect_refused(ERR_USAGE, "link");
	cr_assert_eq(chmod("real", 0777), 0);
	conf.dir = "real";
	expect_refused(ERR_USAGE, "chmod 700");
	if (geteuid() == 0) {
		cr_assert_eq(chmod("real", 0700), 0);
		cr_assert_eq(chown("real", 12345, 0), 0);
		expect_refused(ERR_USAGE, "belongs to user 12345");
	}
}

Test(spool, links_and_pipes_in_it_are_refused)
{
	open_spool();
	append(0, 5);
	close_spool();
	cr_assert_eq(rename(FIRST, "elsewhere"), 0);
	cr_assert_eq(symlink("../elsewhere", FIRST), 0);
	expect_refused(ERR_USAGE, "not a plain file");
	cr_assert_eq(unlink(FIRST), 0);
	cr_assert_eq(mkfifo(FIRST, 0600), 0);
	expect_refused(ERR_USAGE, "not a plain file");
	cr_assert_eq(unlink(FIRST), 0);
	cr_assert_eq(unlink("s/lock"), 0);
	cr_assert_eq(symlink("../elsewhere", "s/lock"), 0);
	cr_expect_lt(try_open(), 0);
	struct stat st;
	cr_assert_eq(stat("elsewhere", &st), 0);
	cr_expect_gt(st.st_size, 100, "what a link leads to is left alone");
}

Test(spool, files_of_a_later_version_are_left_alone)
{
	uint8_t bytes[SEGMENT_HEADER];
	const struct segment_header later = {
		.schema = SPOOL_SCHEMA + 1, .first = 0, .first_ns = T0};
	cr_assert_eq(mkdir("s", 0700), 0);
	segment_header_write(&later, bytes);
	store_file(FIRST, bytes, sizeof(bytes));
	expect_refused(ERR_NOTSUP, "later version");
	cr_expect_eq(access(FIRST, R_OK), 0);
}

Test(spool, other_files_are_left_alone)
{
	open_spool();
	append(0, 5);
	close_spool();
	store_file("s/notes.txt", (const uint8_t *)"x", 1);
	store_file("s/0000000000000001.seg.bak", (const uint8_t *)"x", 1);
	store_file("s/000000000000000G.seg", (const uint8_t *)"x", 1);
	open_spool();
	expect_rest(0, 5);
	close_spool();
	cr_expect_eq(access("s/notes.txt", R_OK), 0);
	cr_expect_eq(access("s/000000000000000G.seg", R_OK), 0);
}

/* ---- anything ---- */

/* The same operations on numbers alone. */
struct model {
	uint64_t head, tail, next, dropped, acked, recovered, appended;
};

static uint64_t dice;

static unsigned roll(unsigned sides)
{
	dice = dice * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(dice >> 33) % sides;
}

static void model_check(struct model *m)
{
	const struct spool_stats st = books();
	/* what was dropped is for the spool to say; the rest follows */
	const uint64_t dropped = st.dropped - m->dropped;
	m->dropped = st.dropped;
	m->tail += dropped;
	if (m->next < m->tail)
		m->next = m->tail;
	cr_assert_eq(st.depth, m->head - m->tail);
	cr_assert_eq(st.acked, m->acked);
	cr_assert_eq(st.corrupt, 0);
	cr_assert_eq(spool_drained(s), m->next == m->head);
	if (st.depth > 0)
		cr_assert(st.oldest_ns > 0 && st.oldest_ns <= T0 + (int64_t)m->tail, "%lld %llu",
			  (long long)st.oldest_ns - T0, (unsigned long long)m->tail);
}

static void model_read(struct model *m)
{
	unsigned n;
	uint64_t upto;
	cr_assert_eq(spool_read(s, records, 1 + roll(700), &n, &upto), 0);
	for (unsigned i = 0; i < n; i++)
		cr_assert(is_numbered(&records[i], m->next + i));
	m->next += n;
	cr_assert_eq(upto, m->next);
	cr_assert(n > 0 || m->next == m->head);
}

static void model_ack(struct model *m)
{
	const uint64_t upto = m->tail + roll((unsigned)(m->next - m->tail) + 1);
	cr_assert_eq(spool_ack(s, upto), 0);
	m->acked += upto - m->tail;
	m->tail = upto;
}

static void model_restart(struct model *m)
{
	if (roll(2) == 0) {
		cr_assert_eq(spool_flush(s), 0);
		abandon();
	} else {
		close_spool();
	}
	open_spool();
	*m = (struct model){.head = m->head, .tail = m->tail, .next = m->tail};
	cr_assert_eq(books().recovered, m->head - m->tail);
}

Test(spool, random_operations_keep_the_books)
{
	for (unsigned seed = 1; seed <= 4; seed++) {
		struct model m = {0};
		dice = seed;
		cr_assert_eq(system("rm -rf s"), 0);
		open_spool();
		for (unsigned step = 0; step < 1500; step++) {
			const unsigned what = roll(100);
			if (what < 40) {
				const unsigned n = 1 + roll(roll(8) == 0 ? 3000 : 60);
				append(m.head, n);
				m.head += n;
			} else if (what < 75) {
				model_read(&m);
			} else if (what < 94) {
				model_ack(&m);
			} else if (what < 98) {
				spool_rewind(s);
				m.next = m.tail;
			} else {
				model_restart(&m);
			}
			model_check(&m);
		}
		close_spool();
	}
}
