/*
 * CSV (RFC 4180, lines end in LF): a header line in each file, then a line a record. All lines
 * have all columns; what a record does not have is empty. No value holds a comma or a quote.
 */
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "format.h"
#include "text.h"

struct csv {
	struct encoder base;
	struct field_list list;
	struct text_step step[FIELD_LIST_MAX];
	size_t line_max;
};

static struct csv *csv_of(struct encoder *enc)
{
	return (struct csv *)enc;
}

static int csv_open(const struct encoder_conf *conf, struct errtext *e,
		    struct encoder **ret_encoder)
{
	struct csv *csv = calloc(1, sizeof(*csv));
	if (csv == NULL)
		return ERR_NOMEM;
	int err = field_list_choose(conf->spec->fields, IN_TEXT, conf->spec->biflow, e, &csv->list);
	if (err != 0) {
		free(csv);
		return err;
	}
	for (unsigned i = 0; i < csv->list.count; i++)
		csv->step[i] = text_step_make(csv->list.ref[i]);
	_Static_assert(TEXT_VALUE_MAX >= FIELD_NAME_MAX, "a header takes no more than a line");
	csv->line_max = csv->list.count * (size_t)(TEXT_VALUE_MAX + 1);
	*ret_encoder = &csv->base;
	return 0;
}

static bool csv_wants(const struct encoder *enc, struct field_ref ref)
{
	return field_list_has(&((const struct csv *)enc)->list, ref);
}

static void csv_begin(struct encoder *enc, struct pkt_time now)
{
	(void)now;
	struct csv *csv = csv_of(enc);
	struct transport *t = enc->transport;
	char *start = (char *)t->ops->reserve(t, csv->line_max);
	char *p = start;
	for (unsigned i = 0; i < csv->list.count; i++) {
		p += field_name(csv->list.ref[i], p);
		*p++ = ',';
	}
	p[-1] = '\n';
	t->ops->commit(t, (size_t)(p - start), 0);
}

static void csv_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	(void)now;
	struct csv *csv = csv_of(enc);
	struct transport *t = enc->transport;
	const unsigned shape = flow_shape(r);
	char *start = (char *)t->ops->reserve(t, csv->line_max);
	char *p = start;
	for (unsigned i = 0; i < csv->list.count; i++) {
		if ((csv->step[i].needs & ~shape) == 0)
			p = text_value(p, &csv->step[i], r);
		*p++ = ',';
	}
	p[-1] = '\n';
	t->ops->commit(t, (size_t)(p - start), 1);
}

static void csv_close(struct encoder *enc)
{
	free(enc);
}

const struct format_ops csv_format = {
	.name = "csv",
	.open = csv_open,
	.wants = csv_wants,
	.begin = csv_begin,
	.record = csv_record,
	.close = csv_close,
};
