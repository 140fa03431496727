/*
 * CBOR (RFC 8949) as a sequence (RFC 8742): a map a record, one after the other with nothing
 * between. Keys and values are those of the JSON output, texts as texts and numbers as unsigned
 * integers, so that the two are equal when compared; libcbor's streaming encoder makes the heads.
 * Keys are encoded once, at start.
 */
#include <cbor.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "format.h"
#include "text.h"

enum {
	HEAD_MAX = 9,
	KEY_MAX = FIELD_NAME_MAX + HEAD_MAX,
};

struct cbor_step {
	struct text_step value;
	uint8_t key_len;
	uint8_t key[KEY_MAX];
};

struct cbor_encoder {
	struct encoder base;
	struct field_list list;
	struct cbor_step step[FIELD_LIST_MAX];
	size_t record_max;
};

static uint8_t *put_text(uint8_t *p, const char *text, size_t len)
{
	p += cbor_encode_string_start(len, p, HEAD_MAX);
	memcpy(p, text, len);
	return p + len;
}

static void compile(struct cbor_encoder *c)
{
	c->record_max = HEAD_MAX;
	for (unsigned i = 0; i < c->list.count; i++) {
		struct cbor_step *step = &c->step[i];
		char name[FIELD_NAME_MAX];
		unsigned len = field_name(c->list.ref[i], name);
		step->value = text_step_make(c->list.ref[i]);
		step->key_len = (uint8_t)(put_text(step->key, name, len) - step->key);
		c->record_max += step->key_len + TEXT_VALUE_MAX + HEAD_MAX;
	}
}

static int cbor_open(const struct encoder_conf *conf, struct errtext *e,
		     struct encoder **ret_encoder)
{
	struct cbor_encoder *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return ERR_NOMEM;
	int err = field_list_choose(conf->spec->fields, IN_TEXT, conf->spec->biflow, e, &c->list);
	if (err != 0) {
		free(c);
		return err;
	}
	compile(c);
	*ret_encoder = &c->base;
	return 0;
}

static bool cbor_wants(const struct encoder *enc, struct field_ref ref)
{
	return field_list_has(&((const struct cbor_encoder *)enc)->list, ref);
}

static uint8_t *put_value(uint8_t *p, const struct text_step *step, const struct flow_record *r)
{
	if (!step->quoted)
		return p + cbor_encode_uint(text_number(step, r), p, HEAD_MAX);
	char text[TEXT_VALUE_MAX] = "";
	const char *end = text_value(text, step, r);
	return put_text(p, text, (size_t)(end - text));
}

static void cbor_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	(void)now;
	struct cbor_encoder *c = (struct cbor_encoder *)enc;
	struct transport *t = enc->transport;
	const unsigned shape = flow_shape(r);
	unsigned present = 0;
	for (unsigned i = 0; i < c->list.count; i++)
		present += (c->step[i].value.needs & ~shape) == 0;
	uint8_t *start = t->ops->reserve(t, c->record_max);
	uint8_t *p = start + cbor_encode_map_start(present, start, HEAD_MAX);
	for (unsigned i = 0; i < c->list.count; i++) {
		const struct cbor_step *step = &c->step[i];
		if (step->value.needs & ~shape)
			continue;
		memcpy(p, step->key, step->key_len);
		p = put_value(p + step->key_len, &step->value, r);
	}
	t->ops->commit(t, (size_t)(p - start), 1);
}

static void cbor_close(struct encoder *enc)
{
	free(enc);
}

const struct format_ops cbor_format = {
	.name = "cbor",
	.open = cbor_open,
	.wants = cbor_wants,
	.record = cbor_record,
	.close = cbor_close,
};
