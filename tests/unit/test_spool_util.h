/*
 * For tests of the spool: a directory for each test, numbered records, and the books, which balance
 * at each look.
 */
#ifndef WEIR_TEST_SPOOL_UTIL_H
#define WEIR_TEST_SPOOL_UTIL_H

#include <dirent.h>
#include <unistd.h>

#include "../../exporter/spool/spool.h"
#include "err.h"
#include "export.h"
#include "log.h"

enum { MANY = 4096 };

static char dir[] = "/tmp/weir-spool-XXXXXX";
static char why[512];
static struct spool *s;
static struct flow_record records[MANY];
static struct spool_conf conf = {.dir = "s", .size_limit = SPOOL_SIZE_MIN};

static inline void enter(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
}

static inline void leave(void)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(chdir("/"), 0);
	cr_assert_eq(system(command), 0);
}

static inline int try_open(void)
{
	struct errtext e = {.buf = why, .size = sizeof(why)};
	why[0] = '\0';
	s = NULL;
	return spool_open(&conf, &e, &s);
}

static inline void open_spool(void)
{
	int err = try_open();
	cr_assert_eq(err, 0, "%d %s", err, why);
}

static inline void close_spool(void)
{
	cr_assert_eq(spool_close(s), 0);
	s = NULL;
}

/* As a kill would: files stay as they are, the lock goes. */
static inline void abandon(void)
{
	cr_assert_eq(system("rm -rf t && cp -a s t"), 0);
	spool_close(s);
	cr_assert_eq(system("rm -rf s && mv t s"), 0);
}

/* Record `n` tells its number in several members. */
static inline struct flow_record numbered(uint64_t n)
{
	struct flow_record r = n % 3 == 0 ? record_tcp6() : record_udp4_answered();
	r.flow_id = n;
	r.dir[0].packets = n + 1;
	r.clock.ns = T0 + (int64_t)n;
	return r;
}

static inline bool is_numbered(const struct flow_record *r, uint64_t n)
{
	const struct flow_record want = numbered(n);
	return memcmp(r, &want, sizeof(want)) == 0;
}

static inline void append(uint64_t first, unsigned n)
{
	unsigned stored;
	cr_assert_leq(n, MANY);
	for (unsigned i = 0; i < n; i++)
		records[i] = numbered(first + i);
	int err = spool_append(s, records, n, &stored);
	cr_assert_eq(err, 0, "%d", err);
	cr_assert_eq(stored, n);
}

static inline struct spool_stats books(void)
{
	struct spool_stats st;
	spool_stats_get(s, &st);
	cr_assert_eq(st.recovered + st.appended, st.acked + st.dropped + st.corrupt + st.depth);
	cr_assert_leq(st.depth_bytes, conf.size_limit);
	return st;
}

/* Reads all there is; sees to it that numbers only grow. Returns how many, and the last upto. */
static inline unsigned read_all(uint64_t *ret_first, uint64_t *ret_upto)
{
	unsigned total = 0, n;
	uint64_t last = 0;
	do {
		cr_assert_eq(spool_read(s, records, 100, &n, ret_upto), 0);
		for (unsigned i = 0; i < n; i++) {
			const uint64_t number = records[i].flow_id;
			cr_assert(is_numbered(&records[i], number));
			cr_assert(total == 0 || number > last);
			if (total == 0)
				*ret_first = number;
			last = number;
			total++;
		}
	} while (n > 0);
	cr_assert(spool_drained(s));
	return total;
}

static inline void expect_rest(uint64_t first, unsigned n)
{
	uint64_t from = 0, upto;
	cr_expect_eq(read_all(&from, &upto), n);
	cr_expect(n == 0 || from == first, "from %llu", (unsigned long long)from);
}

static inline unsigned count_files(const char *suffix)
{
	unsigned n = 0;
	DIR *d = opendir("s");
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += strlen(e->d_name) > 4 &&
		     strcmp(e->d_name + strlen(e->d_name) - 4, suffix) == 0;
	closedir(d);
	return n;
}

#define FIRST "s/0000000000000000.seg"

static inline size_t load_file(const char *path, uint8_t *buf, size_t size)
{
	FILE *f = fopen(path, "r");
	cr_assert_not_null(f, "%s", path);
	size_t n = fread(buf, 1, size, f);
	fclose(f);
	return n;
}

static inline void store_file(const char *path, const uint8_t *buf, size_t n)
{
	FILE *f = fopen(path, "w");
	cr_assert_not_null(f);
	cr_assert_eq(fwrite(buf, 1, n, f), n);
	fclose(f);
}

#endif
