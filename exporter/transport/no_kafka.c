/* The Kafka output of a weir built without librdkafka, in place of kafka.c: a clear refusal. */
#include "err.h"
#include "kafka.h"
#include "transport.h"

int kafka_conf_check(const struct url_spec *spec, struct errtext *e)
{
	return fail(e, ERR_USAGE,
		    "%s: this weir was built without librdkafka; install librdkafka-dev and build "
		    "it again",
		    spec->scheme->name);
}

static int none_open(const struct transport_conf *conf, struct errtext *e,
		     struct transport **ret_transport)
{
	(void)ret_transport;
	return kafka_conf_check(conf->spec, e);
}

const struct transport_ops kafka_transport = {
	.name = "kafka",
	.open = none_open,
};
