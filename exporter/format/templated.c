/*
 * Template protocols. A message is cut when the next record does not fit, when its first record
 * is more than a second of the clock behind, and before templates are sent again: by size and
 * clock alone.
 *
 * Templates and options go in messages of their own, before the first flow records: nfcapd takes
 * options records between flow records of one IPFIX message for a gap in the sequence. Each
 * options template has a set of its own, because nfcapd reads only the first of a set.
 */
#include "templated.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "wire.h"

static struct templated *templated_of(struct encoder *enc)
{
	return (struct templated *)enc;
}

/* ---- messages ---- */

static void set_due(struct templated *t)
{
	int64_t refresh = t->spec->template_refresh_s * NS_PER_S;
	int64_t due = refresh != 0 ? t->refreshed_ns + refresh : DUE_NEVER;
	if (t->departure.any && departure_due_ns(&t->departure) < due)
		due = departure_due_ns(&t->departure);
	t->base.due_ns = due;
}

static void flush(struct templated *t, struct pkt_time now)
{
	struct message *m = &t->message;
	if (message_empty(m))
		return;
	size_t len = message_finish(m);
	t->dialect->put_header(t, len, departure_time(&t->departure, now));
	t->departure = (struct departure){0};
	t->totals.messages++;
	t->totals.octets += len;
	t->totals.flow_records += m->flow_records;
	message_send(m);
}

/* Room in this message or, after sending it, in the next: records are known to fit in one. */
static uint8_t *make_room(struct templated *t, uint16_t set_id, size_t n, enum message_record kind,
			  struct pkt_time now)
{
	uint8_t *p = message_room(&t->message, set_id, n, kind);
	if (p != NULL)
		return p;
	flush(t, now);
	return message_room(&t->message, set_id, n, kind);
}

/* ---- templates and options ---- */

enum {
	TEMPLATE_HEADER = 4, /* id, field count */
};

static void send_templates(struct templated *t, struct pkt_time now)
{
	for (unsigned i = 0; i < t->set.count; i++) {
		const struct template *tp = &t->set.templates[i];
		size_t n = TEMPLATE_HEADER + tp->spec_len;
		struct wr w = wr_init(
			make_room(t, t->dialect->template_set, n, MESSAGE_TEMPLATE, now), n);
		wr_u16(&w, tp->id);
		wr_u16(&w, tp->fields);
		wr_bytes(&w, tp->spec, tp->spec_len);
	}
}

static void send_options_template(struct templated *t, const struct options_row *row,
				  struct pkt_time now)
{
	message_end_set(&t->message);
	uint8_t *p = make_room(t, t->dialect->options_set, options_template_len(row),
			       MESSAGE_TEMPLATE, now);
	options_put_template(row, p);
}

static void send_options(struct templated *t, const struct options_row *row, struct pkt_time now)
{
	for (unsigned i = 0; i < options_records(row, t->source.run); i++) {
		uint8_t *p = make_room(t, options_template_id(row), options_record_len(row),
				       MESSAGE_OPTIONS, now);
		options_put_record(row, &t->source, i, p);
	}
}

static const struct options_row *options_at(const struct templated *t, unsigned index)
{
	return options_get(index, templated_v9(t), &t->source);
}

/* All templates, then all options records, in messages of their own. */
static void announce(struct templated *t, struct pkt_time now)
{
	const struct options_row *row;
	flush(t, now);
	send_templates(t, now);
	for (unsigned i = 0; (row = options_at(t, i)) != NULL; i++)
		send_options_template(t, row, now);
	for (unsigned i = 0; (row = options_at(t, i)) != NULL; i++)
		send_options(t, row, now);
	flush(t, now);
	t->refreshed_ns = now.ns;
	t->refreshed_messages = t->totals.messages;
}

/* RFC 7011 §8.4: a collector that missed them must not wait for the clock alone. */
static bool is_refresh_due_by_packets(const struct templated *t)
{
	const uint32_t limit = t->spec->template_refresh_packets;
	return limit != 0 && t->totals.messages - t->refreshed_messages >= limit;
}

/* Room for a flow record; templates go before the message that it may have to begin. */
static uint8_t *make_flow_room(struct templated *t, uint16_t set_id, size_t n, struct pkt_time now)
{
	if (!message_empty(&t->message)) {
		uint8_t *p = message_room(&t->message, set_id, n, MESSAGE_FLOW);
		if (p != NULL)
			return p;
		flush(t, now);
	}
	if (is_refresh_due_by_packets(t))
		announce(t, now);
	return message_room(&t->message, set_id, n, MESSAGE_FLOW);
}

static void send_totals(struct templated *t, struct pkt_time now)
{
	const struct options_row *row;
	for (unsigned i = 0; (row = options_at(t, i)) != NULL; i++)
		if (options_is_total(row))
			send_options(t, row, now);
}

/* ---- operations ---- */

void templated_begin(struct encoder *enc, struct pkt_time now)
{
	struct templated *t = templated_of(enc);
	t->sequence = 0;
	t->totals = (struct options_totals){0};
	uptime_begin(&t->uptime, now);
	announce(t, now);
	set_due(t);
}

void templated_advance(struct encoder *enc, struct pkt_time now)
{
	struct templated *t = templated_of(enc);
	int64_t refresh = t->spec->template_refresh_s * NS_PER_S;
	bool set_back = now.ns < t->refreshed_ns;
	if (set_back || (t->departure.any && now.ns >= departure_due_ns(&t->departure)))
		flush(t, now);
	if (refresh != 0 && (set_back || now.ns - t->refreshed_ns >= refresh))
		announce(t, now);
	set_due(t);
}

/* v9: a base that the record's times can be counted from, for the whole message. */
static void fit_uptime(struct templated *t, const struct flow_dir *d, struct pkt_time now)
{
	if (message_empty(&t->message))
		uptime_begin(&t->uptime, now);
	if (uptime_reaches(&t->uptime, d))
		return;
	flush(t, now);
	uptime_move(&t->uptime, d);
}

static const struct template *template_of(const struct templated *t, const struct flow_record *r)
{
	return &t->set.templates[t->set.by_shape[flow_shape(r)]];
}

/* `d`: the direction whose times the plan takes. */
static inline void put_record(struct templated *t, const struct flow_record *r,
			      const struct template *tp, const struct plan *plan,
			      const struct flow_dir *d, struct pkt_time now)
{
	if (templated_v9(t))
		fit_uptime(t, d, now);
	uint8_t *p = message_more(&t->message, tp->id, plan->len);
	if (p == NULL)
		p = make_flow_room(t, tp->id, plan->len, now);
	plan_run(plan, r, uptime_boot_ms(&t->uptime), p);
	departure_note(&t->departure, now);
	if (t->message.records == 1)
		set_due(t);
}

void templated_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	struct templated *t = templated_of(enc);
	const struct template *tp = template_of(t, r);
	put_record(t, r, tp, &tp->plan, &r->dir[FLOW_FORWARD], now);
}

void templated_record_turned(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	struct templated *t = templated_of(enc);
	const struct template *tp = template_of(t, r);
	put_record(t, r, tp, &tp->turned, &r->dir[FLOW_REVERSE], now);
}

void templated_end(struct encoder *enc, struct pkt_time now, bool last)
{
	(void)last;
	struct templated *t = templated_of(enc);
	flush(t, now);
	send_totals(t, now);
	flush(t, now);
}

void templated_abandon(struct encoder *enc)
{
	struct templated *t = templated_of(enc);
	message_abandon(&t->message);
	t->departure = (struct departure){0};
}

bool templated_wants(const struct encoder *enc, struct field_ref ref)
{
	return field_list_has(&((const struct templated *)enc)->list, ref);
}

void templated_close(struct encoder *enc)
{
	if (enc == NULL)
		return;
	template_set_free(&templated_of(enc)->set);
	free(enc);
}

/* ---- opening ---- */

/* Data records name the sampler that the options describe, whatever fields= says. */
static void add_selector(struct field_list *list)
{
	const struct field_ref selector = {.id = FIELD_SELECTOR};
	if (!field_list_has(list, selector))
		list->ref[list->count++] = selector;
}

/* The longest record of any kind. */
static size_t longest(const struct templated *t)
{
	size_t n = 0;
	for (unsigned i = 0; i < t->set.count; i++) {
		const struct template *tp = &t->set.templates[i];
		if (tp->plan.len > n)
			n = tp->plan.len;
		if (TEMPLATE_HEADER + tp->spec_len > n)
			n = TEMPLATE_HEADER + tp->spec_len;
	}
	const struct options_row *row;
	for (unsigned i = 0; (row = options_at(t, i)) != NULL; i++)
		if (options_record_len(row) > n)
			n = options_record_len(row);
	return n;
}

static int prepare(struct templated *t, const struct encoder_conf *conf, struct errtext *e)
{
	const enum field_default which = templated_v9(t) ? IN_V9 : IN_IPFIX;
	int err = field_list_choose(conf->spec->fields, which, conf->spec->biflow, e, &t->list);
	if (err != 0)
		return err;
	if (conf->run->local != NULL)
		field_list_add_local(conf->spec->fields, &t->list);
	add_selector(&t->list);
	err = template_set_make(&t->list, t->dialect->wire, &t->set);
	if (err != 0)
		return err;
	message_init(&t->message, conf->transport, t->dialect->header, conf->max_message);
	if (!message_fits(&t->message, longest(t)))
		return fail(e, ERR_USAGE,
			    "messages of %zu bytes are too small, a record or template takes %zu; "
			    "take a larger mtu= or fewer fields",
			    conf->max_message,
			    t->dialect->header + MESSAGE_SET_HEADER + longest(t));
	return 0;
}

int templated_open(const struct encoder_conf *conf, const struct dialect *dialect,
		   struct errtext *e, struct encoder **ret_encoder)
{
	struct templated *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return ERR_NOMEM;
	t->dialect = dialect;
	t->spec = conf->spec;
	t->source = (struct options_source){
		.run = conf->run,
		.books = conf->books,
		.counters = conf->counters,
		.totals = &t->totals,
		.sampling = told_sampling(conf->run, conf->spec->sample),
		.domain = conf->spec->domain,
	};
	int err = prepare(t, conf, e);
	if (err != 0) {
		templated_close(&t->base);
		return err;
	}
	*ret_encoder = &t->base;
	return 0;
}
