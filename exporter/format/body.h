/*
 * A flow record on its own: a JSON object or a CBOR map, without what frames it. Lines of a file,
 * syslog messages and Kafka messages carry the same bodies. Export thread only, after open.
 */
#ifndef WEIR_EXPORTER_BODY_H
#define WEIR_EXPORTER_BODY_H

#include "../fieldlist.h"
#include "format.h"

struct body;

struct body_ops {
	const char *name;

	/* Chooses fields and names as the spec says. ERR_USAGE with the reason in `e`, ERR_NOMEM.
	 */
	int (*open)(const struct url_spec *spec, struct errtext *e, struct body **ret_body);

	/* Writes a record where `max` bytes are free; returns its end. */
	uint8_t *(*put)(const struct body *body, const struct flow_record *r, uint8_t *p);
};

/* First member of each; freed with free(). */
struct body {
	const struct body_ops *ops;
	size_t max; /* bytes that no record exceeds */
	struct field_list list;
};

extern const struct body_ops json_body;
extern const struct body_ops cbor_body;

/* An encoder whose messages are bodies with something around; first member of each. */
struct body_encoder {
	struct encoder base;
	struct body *body;
};

/* Opens the body of an encoder of `size` bytes, zeroed. ERR_USAGE, ERR_NOMEM. */
int body_encoder_new(const struct encoder_conf *conf, const struct body_ops *ops, size_t size,
		     struct errtext *e, struct body_encoder **ret_encoder);

/* Operations of struct format_ops. */
bool body_encoder_wants(const struct encoder *enc, struct field_ref ref);
void body_encoder_close(struct encoder *enc);

static inline const struct body *body_of(const struct encoder *enc)
{
	return ((const struct body_encoder *)enc)->body;
}

#endif
