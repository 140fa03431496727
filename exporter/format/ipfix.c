/*
 * IPFIX (RFC 7011) over a network and in files (RFC 5655). The sequence counts data records,
 * options records among them, of the session; each file is a session, with its own templates.
 * Biflows are RFC 5103's.
 */
#include "templated.h"
#include "wire.h"

enum {
	IPFIX_VERSION = 10,
	IPFIX_HEADER = 16,
	IPFIX_TEMPLATE_SET = 2,
	IPFIX_OPTIONS_SET = 3,
};

static void put_header(struct templated *t, const struct draft *d, size_t len, struct pkt_time now)
{
	struct wr w = wr_init(d->message.buf, IPFIX_HEADER);
	wr_u16(&w, IPFIX_VERSION);
	wr_u16(&w, len);
	wr_u32(&w, (uint32_t)(now.ns / NS_PER_S));
	wr_u32(&w, t->sequence);
	wr_u32(&w, t->spec->domain);
	t->sequence += d->message.data_records;
}

#define IPFIX_DIALECT(wire_)                                                                       \
	{                                                                                          \
		.wire = (wire_), .header = IPFIX_HEADER, .template_set = IPFIX_TEMPLATE_SET,       \
		.options_set = IPFIX_OPTIONS_SET, .put_header = put_header,                        \
	}

static const struct dialect network_dialect = IPFIX_DIALECT(TEMPLATE_IPFIX);
static const struct dialect file_dialect = IPFIX_DIALECT(TEMPLATE_IPFIX_FULL);

static int ipfix_open(const struct encoder_conf *conf, struct errtext *e,
		      struct encoder **ret_encoder)
{
	return templated_open(conf, &network_dialect, e, ret_encoder);
}

static int ipfix_file_open(const struct encoder_conf *conf, struct errtext *e,
			   struct encoder **ret_encoder)
{
	return templated_open(conf, &file_dialect, e, ret_encoder);
}

const struct format_ops ipfix_format = {
	.name = "ipfix",
	.open = ipfix_open,
	.wants = templated_wants,
	.begin = templated_begin,
	.record = templated_record,
	.record_turned = templated_record_turned,
	.advance = templated_advance,
	.push = templated_push,
	.end = templated_end,
	.abandon = templated_abandon,
	.close = templated_close,
	.turns = true,
};

const struct format_ops ipfix_file_format = {
	.name = "ipfix-file",
	.open = ipfix_file_open,
	.wants = templated_wants,
	.begin = templated_begin,
	.record = templated_record,
	.record_turned = templated_record_turned,
	.advance = templated_advance,
	.end = templated_end,
	.abandon = templated_abandon,
	.close = templated_close,
	.turns = true,
};
