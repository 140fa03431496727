/*
 * Fuzzing what a spool finds on disk: the input is its only segment, or behind a first byte of 1
 * one that has another behind it. Beyond not crashing: it opens, or says why not; numbers only
 * grow; reading twice gives the same; the books balance; what is acknowledged does not come back;
 * records are such that an encoder may have them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../exporter/fail.h"
#include "../../exporter/spool/spool.h"
#include "log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
	if (!truth)
		abort();
}

static char dir[64];
static const char *const names[] = {"0000000000000000.seg", "0000000000010000.seg", "ack", "lock"};

static const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void clear(void)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
}

static void leave(void)
{
	clear();
	rmdir(dir);
}

static void enter(void)
{
	if (dir[0] != '\0')
		return;
	log_set_level(LOG_LEVEL_ERROR);
	strcpy(dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/weir-fuzz-XXXXXX"
						  : "/tmp/weir-fuzz-XXXXXX");
	must(mkdtemp(dir) != NULL);
	atexit(leave);
}

static void store(const char *name, const uint8_t *data, size_t size)
{
	const int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
}

static struct spool *open_spool(void)
{
	const struct spool_conf conf = {.dir = dir, .size_limit = 4 * SPOOL_SIZE_MIN};
	char why[512] = "";
	struct errtext e = {.buf = why, .size = sizeof(why)};
	struct spool *s = NULL;
	must(spool_open(&conf, &e, &s) == 0 || (why[0] != '\0' && strchr(why, '\n') == NULL));
	return s;
}

static void check_books(const struct spool *s)
{
	struct spool_stats st;
	spool_stats_get(s, &st);
	must(st.recovered + st.appended == st.acked + st.dropped + st.corrupt + st.depth);
}

static void check_record(const struct flow_record *r)
{
	must(r->ip_version == 4 || r->ip_version == 6);
	for (unsigned i = 0; i < FLOW_DIRS; i++)
		must(r->dir[i].first_ns >= 0 && r->dir[i].first_ns <= r->dir[i].last_ns);
}

/* Reads all; a sum over what came. */
static uint64_t read_all(struct spool *s, unsigned max, uint64_t *ret_upto)
{
	static struct flow_record records[256];
	uint64_t sum = 0, last = 0;
	unsigned n;
	do {
		must(spool_read(s, records, max, &n, ret_upto) == 0 && n <= max);
		must(*ret_upto >= last + n);
		last = *ret_upto;
		for (unsigned i = 0; i < n; i++) {
			check_record(&records[i]);
			sum = sum * 31 + records[i].flow_id + records[i].dir[0].packets + 1;
		}
		check_books(s);
	} while (n > 0);
	must(spool_drained(s));
	return sum;
}

static void check(struct spool *s)
{
	const struct flow_record r = {
		.ip_version = 4, .flow_id = 7, .vlan = FLOW_VLAN_NONE, .cvlan = FLOW_VLAN_NONE};
	uint64_t upto;
	unsigned stored;
	check_books(s);
	must(spool_append(s, &r, 1, &stored) == 0 && stored == 1);
	const uint64_t sum = read_all(s, 256, &upto);
	spool_rewind(s);
	must(read_all(s, 3, &upto) == sum && sum != 0);
	must(spool_ack(s, upto) == 0);
	struct spool_stats st;
	spool_stats_get(s, &st);
	must(st.depth == 0 && st.acked >= 1);
	must(spool_close(s) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enter();
	const bool followed = size > 0 && data[0] == 1;
	clear();
	store(names[0], data + followed, size - followed);
	if (followed)
		store(names[1], data + 1, size - 1);
	struct spool *s = open_spool();
	if (s == NULL)
		return 0;
	check(s);
	s = open_spool();
	must(s != NULL && spool_drained(s));
	must(spool_close(s) == 0);
	return 0;
}
