/*
 * CBOR bodies (RFC 8949): a map a record. Keys and values are those of the JSON output, texts as
 * texts and numbers as unsigned integers, so that the two are equal when compared; libcbor's
 * streaming encoder makes the heads. Keys are encoded once, at start.
 */
#include <cbor.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "err.h"
#include "text.h"

enum {
	HEAD_MAX = 9,
	KEY_MAX = 64, /* a name and its head */
};

struct cbor_step {
	struct text_step value;
	uint8_t key_len;
	uint8_t key[KEY_MAX];
};

struct cbor_fields {
	struct body base;
	struct cbor_step step[FIELD_LIST_MAX];
};

_Static_assert(FIELD_NAME_MAX + HEAD_MAX <= KEY_MAX, "every name fits");

static uint8_t *put_text(uint8_t *p, const char *text, size_t len)
{
	p += cbor_encode_string_start(len, p, HEAD_MAX);
	memcpy(p, text, len);
	return p + len;
}

static void compile(struct cbor_fields *c)
{
	c->base.max = HEAD_MAX + KEY_MAX;
	for (unsigned i = 0; i < c->base.list.count; i++) {
		struct cbor_step *step = &c->step[i];
		char name[FIELD_NAME_MAX];
		unsigned len = field_name(c->base.list.ref[i], name);
		step->value = text_step_make(c->base.list.ref[i]);
		step->key_len = (uint8_t)(put_text(step->key, name, len) - step->key);
		c->base.max += step->key_len + TEXT_VALUE_MAX + HEAD_MAX;
	}
}

static int cbor_open(const struct url_spec *spec, struct errtext *e, struct body **ret_body)
{
	struct cbor_fields *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return ERR_NOMEM;
	int err = field_list_choose(spec->fields, IN_TEXT, spec->biflow, e, &c->base.list);
	if (err != 0) {
		free(c);
		return err;
	}
	compile(c);
	*ret_body = &c->base;
	return 0;
}

static uint8_t *put_value(uint8_t *p, const struct text_step *step, const struct flow_record *r)
{
	if (!step->quoted)
		return p + cbor_encode_uint(text_number(step, r), p, HEAD_MAX);
	char text[TEXT_VALUE_MAX] = "";
	const size_t len = (size_t)(text_value(text, step, r) - text);
	p += cbor_encode_string_start(len, p, HEAD_MAX);
	memcpy(p, text, sizeof(text)); /* as with put_key */
	return p + len;
}

/* Copies of a known size are a few instructions; what is too much is overwritten. */
static inline uint8_t *put_key(uint8_t *p, const struct cbor_step *step)
{
	memcpy(p, step->key, KEY_MAX / 2);
	if (step->key_len > KEY_MAX / 2)
		memcpy(p + KEY_MAX / 2, step->key + KEY_MAX / 2, KEY_MAX / 2);
	return p + step->key_len;
}

static uint8_t *cbor_put(const struct body *body, const struct flow_record *r, uint8_t *p)
{
	const struct cbor_fields *c = (const struct cbor_fields *)body;
	const unsigned shape = flow_shape(r);
	unsigned present = 0;
	for (unsigned i = 0; i < body->list.count; i++)
		present += (c->step[i].value.needs & ~shape) == 0;
	p += cbor_encode_map_start(present, p, HEAD_MAX);
	for (unsigned i = 0; i < body->list.count; i++) {
		const struct cbor_step *step = &c->step[i];
		if (step->value.needs & ~shape)
			continue;
		p = put_value(put_key(p, step), &step->value, r);
	}
	return p;
}

const struct body_ops cbor_body = {
	.name = "cbor",
	.open = cbor_open,
	.put = cbor_put,
};
