/*
 * JSON Lines: an object a record, keys from the element table. Keys and their punctuation are
 * made once, at start; a record is copied keys and hand-written values into the transport's
 * buffer, whose room is asked for once.
 *
 * names=ecs writes Elastic Common Schema names as dotted keys. An element without one is under
 * "ipfix."; the reverse of source.packets and source.bytes is destination's. "@timestamp", which
 * ECS wants on every event, is the time the record was made.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "format.h"
#include "text.h"

/* "ipfix." and a name; with quotes, comma and colon around it. */
#define ECS_NAME_MAX (FIELD_NAME_MAX + 8)
#define KEY_MAX	     (ECS_NAME_MAX + 8)

struct json_step {
	struct text_step value;
	uint16_t key_len;
	char key[KEY_MAX]; /* ,"name": and the opening quote of a string */
};

struct json_encoder {
	struct encoder base;
	struct field_list list;
	size_t record_max;
	bool timestamp;
	unsigned count;
	struct json_step step[FIELD_LIST_MAX];
};

/* ECS: where the value differs from IANA's, not only the key. */
static void ecs_value(struct json_step *step, struct field_ref ref)
{
	static const struct {
		uint8_t id;
		uint8_t op;
	} strings[] = {
		{FIELD_IP_PROTO, TEXT_ECS_PROTO}, {FIELD_IP_VERSION, TEXT_ECS_VERSION},
		{FIELD_SRC_MAC, TEXT_ECS_MAC},	  {FIELD_DST_MAC, TEXT_ECS_MAC},
		{FIELD_INGRESS, TEXT_U32},	  {FIELD_VLAN, TEXT_U16},
		{FIELD_DOT1Q_CVLAN, TEXT_U16},
	};
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		if (strings[i].id == ref.id && !ref.reverse) {
			step->value.op = strings[i].op;
			step->value.quoted = true;
		}
	}
}

static void ecs_key(struct field_ref ref, char *buf, size_t size)
{
	static const char source[] = "source.";
	const char *ecs = field_get(ref.id)->ecs;
	bool of_source = ecs != NULL && strncmp(ecs, source, strlen(source)) == 0;
	if (ecs != NULL && !ref.reverse) {
		snprintf(buf, size, "%s", ecs);
	} else if (of_source) {
		snprintf(buf, size, "destination.%s", ecs + strlen(source));
	} else {
		char name[FIELD_NAME_MAX];
		field_name(ref, name);
		snprintf(buf, size, "ipfix.%s", name);
	}
}

static void compile(struct json_encoder *j, enum url_names names)
{
	j->record_max = sizeof("{\"@timestamp\":\"\"}\n") + TEXT_VALUE_MAX;
	j->timestamp = names == NAMES_ECS;
	for (j->count = 0; j->count < j->list.count; j->count++) {
		const struct field_ref ref = j->list.ref[j->count];
		struct json_step *step = &j->step[j->count];
		char name[ECS_NAME_MAX];
		step->value = text_step_make(ref);
		if (names == NAMES_ECS) {
			ecs_value(step, ref);
			ecs_key(ref, name, sizeof(name));
		} else {
			field_name(ref, name);
		}
		step->key_len = (uint16_t)snprintf(step->key, sizeof(step->key), ",\"%s\":%s", name,
						   step->value.quoted ? "\"" : "");
		j->record_max += step->key_len + TEXT_VALUE_MAX;
	}
}

static int json_open(const struct encoder_conf *conf, struct errtext *e,
		     struct encoder **ret_encoder)
{
	struct json_encoder *j = calloc(1, sizeof(*j));
	if (j == NULL)
		return ERR_NOMEM;
	int err = field_list_choose(conf->spec->fields, IN_TEXT, conf->spec->biflow, e, &j->list);
	if (err != 0) {
		free(j);
		return err;
	}
	compile(j, conf->spec->names);
	*ret_encoder = &j->base;
	return 0;
}

static bool json_wants(const struct encoder *enc, struct field_ref ref)
{
	return field_list_has(&((const struct json_encoder *)enc)->list, ref);
}

static char *put_step(char *p, const struct json_step *step, const struct flow_record *r)
{
	memcpy(p, step->key, step->key_len);
	p = text_value(p + step->key_len, &step->value, r);
	if (step->value.quoted)
		*p++ = '"';
	return p;
}

static void json_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	(void)now;
	struct json_encoder *j = (struct json_encoder *)enc;
	struct transport *t = enc->transport;
	const unsigned shape = flow_shape(r);
	char *start = (char *)t->ops->reserve(t, j->record_max);
	char *p = start;
	if (j->timestamp) {
		p = text_str(p, ",\"@timestamp\":\"");
		p += tstamp_rfc3339(r->clock, p);
		*p++ = '"';
	}
	for (unsigned i = 0; i < j->count; i++)
		if ((j->step[i].value.needs & ~shape) == 0)
			p = put_step(p, &j->step[i], r);
	if (p == start)
		p++;  /* nothing chosen is known: an empty object */
	*start = '{'; /* where the first key's comma is */
	*p++ = '}';
	*p++ = '\n';
	t->ops->commit(t, (size_t)(p - start), 1);
}

static void json_close(struct encoder *enc)
{
	free(enc);
}

const struct format_ops json_format = {
	.name = "json",
	.open = json_open,
	.wants = json_wants,
	.record = json_record,
	.close = json_close,
};
