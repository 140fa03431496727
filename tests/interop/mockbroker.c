/*
 * mockbroker TOPIC PARTITIONS: a Kafka broker on a loopback port, the mock of librdkafka in a process
 * of its own. Prints its bootstrap servers, then obeys the lines of standard input until it ends:
 *
 *   down, up         the broker goes, and comes back on the same port
 *   fail CODE COUNT  the next COUNT produce requests are answered with this error
 *   rtt MS           every answer takes so long
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRODUCE = 0 };

static void fail_next(rd_kafka_mock_cluster_t *cluster, int code, int count)
{
	for (int i = 0; i < count; i++)
		rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, (rd_kafka_resp_err_t)code);
}

static void obey(rd_kafka_mock_cluster_t *cluster, const char *line)
{
	int code, count, ms;
	if (strcmp(line, "down\n") == 0)
		rd_kafka_mock_broker_set_down(cluster, 1);
	else if (strcmp(line, "up\n") == 0)
		rd_kafka_mock_broker_set_up(cluster, 1);
	else if (sscanf(line, "fail %d %d", &code, &count) == 2)
		fail_next(cluster, code, count);
	else if (sscanf(line, "rtt %d", &ms) == 1)
		rd_kafka_mock_broker_set_rtt(cluster, 1, ms);
	else
		fprintf(stderr, "mockbroker: what is %s", line);
	printf("done\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char why[256], line[256];
	if (argc != 3) {
		fprintf(stderr, "usage: mockbroker TOPIC PARTITIONS\n");
		return 2;
	}
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof(why));
	rd_kafka_mock_cluster_t *cluster = rk != NULL ? rd_kafka_mock_cluster_new(rk, 1) : NULL;
	if (cluster == NULL ||
	    rd_kafka_mock_topic_create(cluster, argv[1], atoi(argv[2]), 1) != 0) {
		fprintf(stderr, "mockbroker: cannot begin\n");
		return 1;
	}
	printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL)
		obey(cluster, line);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(rk);
	return 0;
}
