/*
 * Four producers, one export thread, two outputs, under ThreadSanitizer: every record handed over
 * is delivered by each output, also when the queues are full most of the time.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "exporter.h"

enum {
	PRODUCERS = 4,
	RECORDS = 20000
};

static struct exporter *exporter;

static void fill(struct flow_record *r, unsigned worker, uint64_t n)
{
	*r = (struct flow_record){
		.kind = EXPORT_RECORD,
		.ip_version = 4,
		.ip_proto = 17,
		.end_reason = FLOW_END_IDLE,
		.biflow_direction = 1,
		.sport = (uint16_t)n,
		.dport = 53,
		.vlan = FLOW_VLAN_NONE,
		.cvlan = FLOW_VLAN_NONE,
		.worker = worker,
		.flow_id = n,
		.clock = {(int64_t)n * NS_PER_MS},
	};
	r->dir[0] = (struct flow_dir){
		.packets = 1, .octets = 100, .first_ns = (int64_t)n, .last_ns = (int64_t)n};
}

static void *produce(void *arg)
{
	unsigned worker = (unsigned)(uintptr_t)arg;
	struct export_queue *queue = exporter_queue(exporter, worker);
	for (uint64_t n = 1; n <= RECORDS; n++) {
		fill(&export_queue_reserve(queue)->record, worker, n);
		export_queue_commit(queue);
		if (n % 1000 == 0) {
			union export_item *item = export_queue_reserve(queue);
			item->tick = (struct export_tick){
				.kind = EXPORT_TICK, .worker = worker, .clock = {(int64_t)n * NS_PER_MS}};
			export_queue_commit(queue);
		}
	}
	export_queue_reserve(queue)->kind = EXPORT_END;
	export_queue_commit(queue);
	export_queue_flush(queue);
	return NULL;
}

int main(void)
{
	static const char *const outputs[] = {"null:", "null:", "netflow9://127.0.0.1:9?rate=0"};
	struct exporter_conf conf = {
		.outputs = outputs,
		.outputs_count = 3,
		.workers = PRODUCERS,
		.replay = true,
		.sampling_n = 1,
	};
	char text[512];
	pthread_t thread[PRODUCERS];
	if (exporter_new(&conf, text, sizeof(text), &exporter) != 0) {
		fprintf(stderr, "%s\n", text);
		return 1;
	}
	if (exporter_start(exporter) != 0)
		return 1;
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		pthread_create(&thread[i], NULL, produce, (void *)i);
	for (unsigned i = 0; i < PRODUCERS; i++)
		pthread_join(thread[i], NULL);
	exporter_stop(exporter);
	int bad = 0;
	for (unsigned i = 0; i < exporter_outputs(exporter); i++) {
		struct output_stats s;
		exporter_output_stats(exporter, i, &s);
		printf("%s: %lu records, %lu dropped\n", s.url, (unsigned long)s.records,
		       (unsigned long)s.records_dropped);
		bad += s.records + s.records_dropped != PRODUCERS * RECORDS;
	}
	exporter_free(exporter);
	return bad;
}
