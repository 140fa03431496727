/*
 * The outbox by itself, with a spool: what a collector refuses is counted as that, also when it was
 * read from disk.
 */
#include "../../exporter/outbox.h"

#include <unistd.h>

#include "export.h"
#include "log.h"

static char dir[] = "/tmp/weir-test-XXXXXX";
static struct output_counters counters;
static struct url_spec spec;
static struct outbox *box;

static void open_box(void)
{
	struct errtext e = {.buf = NULL};
	log_set_level(LOG_LEVEL_ERROR);
	cr_assert_not_null(mkdtemp(dir));
	spec = (struct url_spec){
		.queue_bytes = 1 << 20,
		.spool = dir,
		.spool_bytes = 1 << 20,
	};
	const struct outbox_conf conf = {.spec = &spec, .counters = &counters, .name = "test"};
	cr_assert_eq(outbox_new(&conf, &e, &box), 0);
}

static void close_box(void)
{
	char command[64];
	outbox_free(box);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(outbox, .init = open_box, .fini = close_box, .timeout = 20);

static void add(unsigned n)
{
	const struct flow_record r = record_udp4();
	for (unsigned i = 0; i < n; i++) {
		stat_add(&counters.records_in, 1);
		outbox_add(box, &r);
	}
}

static unsigned send_all(void)
{
	unsigned n = 0;
	while (outbox_next(box, 1, OUTBOX_ANY) != NULL)
		n++;
	return n;
}

static void expect(uint64_t delivered, uint64_t refused, uint64_t spooled)
{
	outbox_show(box, (struct pkt_time){T0});
	cr_expect_eq(stat_get(&counters.records), delivered, "%llu delivered",
		     (unsigned long long)stat_get(&counters.records));
	cr_expect_eq(stat_get(&counters.dropped[DROP_REFUSED]), refused, "%llu refused",
		     (unsigned long long)stat_get(&counters.dropped[DROP_REFUSED]));
	cr_expect_eq(stat_get(&counters.spooled), spooled);
}

Test(outbox, records_of_the_spool_that_are_refused_are_not_delivered)
{
	add(100);
	outbox_relieve(box, true);
	expect(0, 0, 100);
	cr_assert_eq(send_all(), 100);
	outbox_confirm(box, 30);
	outbox_lose(box, 5, DROP_REFUSED);
	outbox_confirm(box, 65);
	expect(95, 5, 0);
}

Test(outbox, what_is_sent_again_is_refused_once)
{
	add(100);
	outbox_relieve(box, true);
	expect(0, 0, 100);
	cr_assert_eq(send_all(), 100);
	outbox_lose(box, 10, DROP_REFUSED);
	outbox_rewind(box);
	expect(0, 0, 100);
	cr_assert_eq(send_all(), 100);
	outbox_lose(box, 10, DROP_REFUSED);
	outbox_confirm(box, 90);
	expect(90, 10, 0);
}
