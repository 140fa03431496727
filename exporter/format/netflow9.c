/*
 * NetFlow v9 (RFC 3954). The header has whole seconds: the clock rounded up, and an uptime from a
 * base on a whole second, so that absolute times come back to the millisecond. The sequence
 * counts messages; the count, records of all kinds.
 */
#include "templated.h"
#include "wire.h"

enum {
	V9_VERSION = 9,
	V9_HEADER = 20,
	V9_TEMPLATE_SET = 0,
	V9_OPTIONS_SET = 1,
};

static void put_header(struct templated *t, const struct draft *d, size_t len, struct pkt_time now)
{
	(void)len;
	const struct uptime_header h = uptime_header(&d->uptime, now, true);
	struct wr w = wr_init(d->message.buf, V9_HEADER);
	wr_u16(&w, V9_VERSION);
	wr_u16(&w, d->message.records);
	wr_u32(&w, h.uptime_ms);
	wr_u32(&w, h.seconds);
	wr_u32(&w, t->sequence);
	wr_u32(&w, t->spec->domain);
	t->sequence++;
}

static const struct dialect v9_dialect = {
	.wire = TEMPLATE_V9,
	.header = V9_HEADER,
	.template_set = V9_TEMPLATE_SET,
	.options_set = V9_OPTIONS_SET,
	.put_header = put_header,
};

static int netflow9_open(const struct encoder_conf *conf, struct errtext *e,
			 struct encoder **ret_encoder)
{
	return templated_open(conf, &v9_dialect, e, ret_encoder);
}

const struct format_ops netflow9_format = {
	.name = "netflow9",
	.open = netflow9_open,
	.wants = templated_wants,
	.begin = templated_begin,
	.record = templated_record,
	.record_turned = templated_record_turned,
	.advance = templated_advance,
	.push = templated_push,
	.end = templated_end,
	.close = templated_close,
	.split_only = true,
};
