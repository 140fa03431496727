/*
 * Two streams at once, under ThreadSanitizer: names that are looked up in threads of their own, two
 * producers, and collectors of which one resets its sessions. Somebody reads the books all the
 * while. Every record is delivered by both.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exporter.h"
#include "log.h"

enum {
	PRODUCERS = 2,
	OUTPUTS = 2,
	RECORDS = 20000,
	RESETS = 3,
	RESET_AFTER = 200000, /* bytes */
};

static struct exporter *exporter;
static atomic_bool done;

/* ---- collectors ---- */

struct collector {
	pthread_t thread;
	int listener;
	unsigned port;
	unsigned resets; /* first sessions that end so */
};

static bool listen_on_loopback(struct collector *c)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	c->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->listener < 0 || bind(c->listener, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(c->listener, 8) != 0)
		return false;
	getsockname(c->listener, (struct sockaddr *)&a, &len);
	c->port = ntohs(a.sin_port);
	return true;
}

static void read_session(int fd, size_t most)
{
	const struct linger hard = {.l_onoff = 1};
	static _Thread_local char bytes[65536];
	size_t got = 0;
	ssize_t n;
	while (got < most && (n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		got += (size_t)n;
	if (got >= most)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

static void *collect(void *arg)
{
	struct collector *c = arg;
	for (unsigned i = 0; i <= c->resets; i++)
		read_session(accept(c->listener, NULL, NULL),
			     i < c->resets ? RESET_AFTER : SIZE_MAX);
	close(c->listener);
	return NULL;
}

/* ---- producers and a reader of the books ---- */

static void *produce(void *arg)
{
	const unsigned worker = (unsigned)(uintptr_t)arg;
	struct export_queue *queue = exporter_queue(exporter, worker);
	for (uint64_t n = 1; n <= RECORDS; n++) {
		struct flow_record *r = &export_queue_reserve(queue)->record;
		*r = (struct flow_record){
			.kind = EXPORT_RECORD,
			.ip_version = 4,
			.ip_proto = 17,
			.end_reason = FLOW_END_IDLE,
			.biflow_direction = 1,
			.vlan = FLOW_VLAN_NONE,
			.cvlan = FLOW_VLAN_NONE,
			.worker = worker,
			.flow_id = n,
			.clock = {(int64_t)n * NS_PER_MS},
		};
		r->dir[0] = (struct flow_dir){.packets = 1, .octets = 100};
		export_queue_commit(queue);
	}
	export_queue_reserve(queue)->kind = EXPORT_END;
	export_queue_commit(queue);
	return NULL;
}

static void *read_books(void *arg)
{
	struct output_stats s;
	while (!atomic_load(&done)) {
		for (unsigned i = 0; i < OUTPUTS; i++)
			exporter_output_stats(exporter, i, &s);
		usleep(1000);
	}
	return arg;
}

static bool begin(struct collector *c, const char *const *urls)
{
	const struct exporter_conf conf = {
		.outputs = urls,
		.outputs_count = OUTPUTS,
		.workers = PRODUCERS,
		.replay = true,
		.sampling_n = 1,
	};
	char text[512] = "";
	for (unsigned i = 0; i < OUTPUTS; i++)
		pthread_create(&c[i].thread, NULL, collect, &c[i]);
	if (exporter_new(&conf, text, sizeof(text), &exporter) == 0 &&
	    exporter_start(exporter) == 0)
		return true;
	fprintf(stderr, "%s\n", text);
	return false;
}

static void run(void)
{
	pthread_t producer[PRODUCERS], reader;
	pthread_create(&reader, NULL, read_books, NULL);
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		pthread_create(&producer[i], NULL, produce, (void *)i);
	for (unsigned i = 0; i < PRODUCERS; i++)
		pthread_join(producer[i], NULL);
	exporter_stop(exporter);
	atomic_store(&done, true);
	pthread_join(reader, NULL);
}

int main(void)
{
	static struct collector c[OUTPUTS] = {{.resets = RESETS}, {.resets = 0}};
	char url[OUTPUTS][64];
	const char *const urls[OUTPUTS] = {url[0], url[1]};
	log_set_level(LOG_LEVEL_ERROR);
	for (unsigned i = 0; i < OUTPUTS; i++)
		if (!listen_on_loopback(&c[i]))
			return 1;
	snprintf(url[0], sizeof(url[0]), "ipfix+tcp://localhost:%u", c[0].port);
	snprintf(url[1], sizeof(url[1]), "json+tcp://localhost:%u", c[1].port);
	if (!begin(c, urls))
		return 1;
	run();
	int bad = 0;
	for (unsigned i = 0; i < OUTPUTS; i++) {
		struct output_stats s;
		exporter_output_stats(exporter, i, &s);
		pthread_join(c[i].thread, NULL);
		printf("%s: %lu records, %lu reconnects\n", s.url, (unsigned long)s.records,
		       (unsigned long)s.reconnects);
		bad += s.records != PRODUCERS * RECORDS || s.reconnects != c[i].resets;
	}
	exporter_free(exporter);
	return bad;
}
