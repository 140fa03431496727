/*
 * A producer's configuration: ours, then what the URL says. What we rely on cannot be changed:
 * where the brokers are, and that all callbacks come from the export thread's poll.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../readable.h"
#include "../url.h"
#include "err.h"
#include "fail.h"
#include "kafka.h"
#include "nearest.h"
#include "secret.h"

/* Properties with a place of their own in the URL, or that belong to us. */
static const struct {
	const char *name;
	const char *cure;
} taken[] = {
	{"bootstrap.servers", "write the brokers before the topic"},
	{"metadata.broker.list", "write the brokers before the topic"},
	{"acks", "write acks= without kafka."},
	{"request.required.acks", "write acks= without kafka."},
	{"compression.codec", "write compression= without kafka."},
	{"compression.type", "write compression= without kafka."},
	{"log.queue", "it is weir's own"},
	{"enabled_events", "it is weir's own"},
};

/* Ours, before the URL's: what is not delivered in half a minute goes back to the output, which
 * has more room and a disk. Messages are small and many, and wait a moment for each other. */
static const struct url_property own[] = {
	{"client.id", "weir"},
	{"log.queue", "true"},
	{"message.timeout.ms", "30000"},
	{"queue.buffering.max.messages", "200000"},
	{"linger.ms", "20"},
};

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, struct errtext *e)
{
	char why[512];
	switch (rd_kafka_conf_set(conf, name, value, why, sizeof(why))) {
	case RD_KAFKA_CONF_OK:
		return 0;
	case RD_KAFKA_CONF_UNKNOWN:
		return ERR_UNKNOWN;
	default:
		return fail(e, ERR_USAGE, "kafka.%s=%s is wrong: %s", name,
			    secret_option(name, strlen(name)) ? "***" : value, why);
	}
}

/* Every name librdkafka knows is in the first column of its manual, aliases too. */
static void find_nearest(char *manual, struct nearest *near)
{
	char *rest = manual;
	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
		line[strcspn(line, " |")] = '\0';
		if (*line != '\0')
			nearest_consider(near, line);
	}
}

static int unknown(const char *name, struct errtext *e)
{
	char *manual = NULL;
	size_t size;
	struct nearest near;
	FILE *to = open_memstream(&manual, &size);
	nearest_begin(&near, name);
	if (to != NULL) {
		rd_kafka_conf_properties_show(to);
		if (fclose(to) == 0)
			find_nearest(manual, &near);
	}
	fail(e, ERR_USAGE, "librdkafka %s has no property \"%s\"", rd_kafka_version_str(), name);
	if (near.best != NULL)
		errtext_add(e, ", did you mean kafka.%s?", near.best);
	else
		errtext_add(e, "; its CONFIGURATION.md lists those of a producer");
	free(manual);
	return ERR_USAGE;
}

/* Files that librdkafka reads when it starts, and tells of in OpenSSL's words only. */
static const struct {
	const char *property, *option;
	bool dir_too;
} files[] = {
	{"ssl.ca.location", "kafka.ssl.ca.location", true},
	{"ssl.certificate.location", "kafka.ssl.certificate.location", false},
	{"ssl.key.location", "kafka.ssl.key.location", false},
	{"ssl.keystore.location", "kafka.ssl.keystore.location", false},
};

/* "probe" is a word of librdkafka's: wherever systems keep theirs. */
static int check_file(const struct url_property *p, struct errtext *e)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(p->name, files[i].property) == 0 && strcmp(p->value, "probe") != 0)
			return readable_check(files[i].option, p->value, files[i].dir_too, e);
	return 0;
}

static int set_property(rd_kafka_conf_t *conf, const struct url_property *p, struct errtext *e)
{
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (strcmp(p->name, taken[i].name) == 0)
			return fail(e, ERR_USAGE, "kafka.%s cannot be set: %s", p->name,
				    taken[i].cure);
	int err = check_file(p, e);
	if (err == 0)
		err = set(conf, p->name, p->value, e);
	return err == ERR_UNKNOWN ? unknown(p->name, e) : err;
}

static int fill(rd_kafka_conf_t *conf, const struct url_spec *spec, struct errtext *e)
{
	const struct url_property first[] = {
		{"bootstrap.servers", spec->host},
		{"acks", spec->acks},
		{"compression.codec", spec->compression},
	};
	int err = 0;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && err == 0; i++)
		err = set(conf, own[i].name, own[i].value, e);
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]) && err == 0; i++)
		err = set(conf, first[i].name, first[i].value, e);
	for (unsigned i = 0; i < spec->properties_count; i++)
		if (set_property(conf, &spec->properties[i], e) != 0)
			err = ERR_USAGE;
	return err;
}

int kafka_conf_make(const struct url_spec *spec, struct errtext *e,
		    struct rd_kafka_conf_s **ret_conf)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	if (conf == NULL)
		return ERR_NOMEM;
	int err = fill(conf, spec, e);
	if (err != 0) {
		rd_kafka_conf_destroy(conf);
		return err;
	}
	*ret_conf = conf;
	return 0;
}

/* Whether properties go together is known only to a producer; without brokers it asks nobody. */
static int try_conf(rd_kafka_conf_t *conf, struct errtext *e)
{
	char why[512];
	rd_kafka_conf_set(conf, "bootstrap.servers", "", NULL, 0);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (rk == NULL) {
		rd_kafka_conf_destroy(conf);
		return fail(e, ERR_USAGE, "librdkafka does not take these properties: %s", why);
	}
	rd_kafka_destroy(rk);
	return 0;
}

int kafka_conf_check(const struct url_spec *spec, struct errtext *e)
{
	rd_kafka_conf_t *conf;
	int err = kafka_conf_make(spec, e, &conf);
	return err != 0 ? err : try_conf(conf, e);
}
