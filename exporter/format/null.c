/* null: and its transport: records are made and counted, then let go. */
#include <stdlib.h>

#include "err.h"
#include "format.h"

static int null_open(const struct encoder_conf *conf, struct errtext *e,
		     struct encoder **ret_encoder)
{
	(void)conf;
	(void)e;
	*ret_encoder = calloc(1, sizeof(**ret_encoder));
	return *ret_encoder != NULL ? 0 : ERR_NOMEM;
}

static bool null_wants(const struct encoder *enc, struct field_ref ref)
{
	(void)enc;
	(void)ref;
	return false;
}

static void null_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	(void)r;
	(void)now;
	stat_add(&enc->counters->records, 1);
}

static void null_close(struct encoder *enc)
{
	free(enc);
}

const struct format_ops null_format = {
	.name = "null",
	.open = null_open,
	.wants = null_wants,
	.record = null_record,
	.close = null_close,
};

static int null_transport_open(const struct transport_conf *conf, struct errtext *e,
			       struct transport **ret_transport)
{
	(void)conf;
	(void)e;
	struct transport *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return ERR_NOMEM;
	t->due_ns = DUE_NEVER;
	*ret_transport = t;
	return 0;
}

static void null_transport_close(struct transport *t)
{
	free(t);
}

const struct transport_ops null_transport = {
	.name = "null",
	.open = null_transport_open,
	.close = null_transport_close,
};
