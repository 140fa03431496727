/*
 * What encoders of bodies share, and the two that put nothing or a newline around: JSON Lines and
 * CBOR sequences (RFC 8742).
 */
#include "body.h"

#include <stdlib.h>

#include "err.h"

int body_encoder_new(const struct encoder_conf *conf, const struct body_ops *ops, size_t size,
		     struct errtext *e, struct body_encoder **ret_encoder)
{
	struct body_encoder *b = calloc(1, size);
	if (b == NULL)
		return ERR_NOMEM;
	int err = ops->open(conf->spec, e, &b->body);
	if (err != 0) {
		free(b);
		return err;
	}
	b->body->ops = ops;
	*ret_encoder = b;
	return 0;
}

bool body_encoder_wants(const struct encoder *enc, struct field_ref ref)
{
	return field_list_has(&body_of(enc)->list, ref);
}

void body_encoder_close(struct encoder *enc)
{
	if (enc == NULL)
		return;
	free(((struct body_encoder *)enc)->body);
	free(enc);
}

static int open_plain(const struct encoder_conf *conf, const struct body_ops *ops,
		      struct errtext *e, struct encoder **ret_encoder)
{
	struct body_encoder *b;
	int err = body_encoder_new(conf, ops, sizeof(*b), e, &b);
	if (err == 0)
		*ret_encoder = &b->base;
	return err;
}

/* ---- JSON Lines ---- */

static int json_open(const struct encoder_conf *conf, struct errtext *e,
		     struct encoder **ret_encoder)
{
	return open_plain(conf, &json_body, e, ret_encoder);
}

static void json_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	(void)now;
	struct transport *t = enc->transport;
	const struct body *body = body_of(enc);
	uint8_t *start = t->ops->reserve(t, body->max + 1);
	uint8_t *end = json_body.put(body, r, start);
	*end++ = '\n';
	t->ops->commit(t, (size_t)(end - start), 1);
}

const struct format_ops json_format = {
	.name = "json",
	.open = json_open,
	.wants = body_encoder_wants,
	.record = json_record,
	.close = body_encoder_close,
};

/* ---- CBOR sequences ---- */

static int cbor_open(const struct encoder_conf *conf, struct errtext *e,
		     struct encoder **ret_encoder)
{
	return open_plain(conf, &cbor_body, e, ret_encoder);
}

static void cbor_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	(void)now;
	struct transport *t = enc->transport;
	const struct body *body = body_of(enc);
	uint8_t *start = t->ops->reserve(t, body->max);
	uint8_t *end = cbor_body.put(body, r, start);
	t->ops->commit(t, (size_t)(end - start), 1);
}

const struct format_ops cbor_format = {
	.name = "cbor",
	.open = cbor_open,
	.wants = body_encoder_wants,
	.record = cbor_record,
	.close = body_encoder_close,
};
