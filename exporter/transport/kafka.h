/* What the Kafka transport shares with the format, and its parts with each other. */
#ifndef WEIR_EXPORTER_KAFKA_H
#define WEIR_EXPORTER_KAFKA_H

struct errtext;
struct rd_kafka_conf_s;
struct url_spec;

/* A commit begins with the message's key; the rest is its payload. */
#define KAFKA_KEY_LEN 16

/* Can a producer be configured so? ERR_USAGE with the reasons in `e`: properties that librdkafka
 * does not have or refuses, or no librdkafka at all; ERR_NOMEM. Start-up only. */
int kafka_conf_check(const struct url_spec *spec, struct errtext *e);

/* The configuration of a producer, the caller's. As kafka_conf_check. Only with librdkafka. */
int kafka_conf_make(const struct url_spec *spec, struct errtext *e,
		    struct rd_kafka_conf_s **ret_conf);

#endif
