/*
 * JSON bodies: an object a record, keys from the element table. Keys and their punctuation are
 * made once, at start; a record is copied keys and hand-written values, into room for the longest.
 *
 * names=ecs writes Elastic Common Schema names as dotted keys. An element without one is under
 * "ipfix."; the reverse of source.packets and source.bytes is destination's. "@timestamp", which
 * ECS wants on every event, is the time the record was made.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "err.h"
#include "text.h"

/* "ipfix." and a name; with quotes, comma and colon around it. */
#define ECS_NAME_MAX (FIELD_NAME_MAX + 8)
#define KEY_MAX	     (ECS_NAME_MAX + 8)

struct json_step {
	struct text_step value;
	uint16_t key_len;
	char key[KEY_MAX]; /* ,"name": and the opening quote of a string */
};

struct json_fields {
	struct body base;
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
		{FIELD_INGRESS, TEXT_U32},	  {FIELD_EGRESS, TEXT_U32},
		{FIELD_VLAN, TEXT_U16},		  {FIELD_DOT1Q_CVLAN, TEXT_U16},
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

static void compile(struct json_fields *j, uint32_t names)
{
	const struct field_list *list = &j->base.list;
	j->base.max = sizeof("{\"@timestamp\":\"\"}") + TEXT_VALUE_MAX + KEY_MAX;
	j->timestamp = names == NAMES_ECS;
	for (j->count = 0; j->count < list->count; j->count++) {
		const struct field_ref ref = list->ref[j->count];
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
		j->base.max += step->key_len + TEXT_VALUE_MAX;
	}
}

static int json_open(const struct url_spec *spec, struct errtext *e, struct body **ret_body)
{
	struct json_fields *j = calloc(1, sizeof(*j));
	if (j == NULL)
		return ERR_NOMEM;
	int err = field_list_choose(spec->fields, IN_TEXT, spec->biflow, e, &j->base.list);
	if (err != 0) {
		free(j);
		return err;
	}
	compile(j, spec->names);
	*ret_body = &j->base;
	return 0;
}

/* Copies of a known size are a few instructions; what is too much is overwritten. */
static inline char *put_key(char *p, const struct json_step *step)
{
	memcpy(p, step->key, KEY_MAX / 2);
	if (step->key_len > KEY_MAX / 2)
		memcpy(p + KEY_MAX / 2, step->key + KEY_MAX / 2, KEY_MAX / 2);
	return p + step->key_len;
}

static char *put_step(char *p, const struct json_step *step, const struct flow_record *r)
{
	p = text_value(put_key(p, step), &step->value, r);
	if (step->value.quoted)
		*p++ = '"';
	return p;
}

static uint8_t *json_put(const struct body *body, const struct flow_record *r, uint8_t *at)
{
	const struct json_fields *j = (const struct json_fields *)body;
	const unsigned shape = flow_shape(r);
	char *start = (char *)at;
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
	return (uint8_t *)p;
}

const struct body_ops json_body = {
	.name = "json",
	.open = json_open,
	.put = json_put,
};
