/*
 * Template protocols. A message is cut when the next record does not fit, when its first record
 * is more than a second of the clock behind, and before templates are sent again: by size and
 * clock alone.
 *
 * Lanes: a transport may send messages of one length that follow one another for the price of few
 * (udp.c). IPv4 and IPv6 mixed make them differ; so there each template has messages of its own,
 * which wait, complete, until a row of them is full or a second is over, and get their header and
 * their place in the sequence as they leave.
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

static void send_draft(struct templated *t, struct draft *d, struct pkt_time now)
{
	struct message *m = &d->message;
	const size_t len = message_finish(m);
	t->dialect->put_header(t, d, len, departure_time(&t->departure, now));
	t->totals.messages++;
	t->totals.octets += len;
	t->totals.flow_records += m->flow_records;
	message_send(m);
}

/* The message outside the lanes. */
static void flush_draft(struct templated *t, struct pkt_time now)
{
	if (message_empty(&t->draft.message))
		return;
	send_draft(t, &t->draft, now);
	if (t->lanes == NULL)
		t->departure = (struct departure){0};
}

/* Room in this message or, after sending it, in the next: records are known to fit in one. */
static uint8_t *make_room(struct templated *t, uint16_t set_id, size_t n, enum message_record kind,
			  struct pkt_time now)
{
	uint8_t *p = message_room(&t->draft.message, set_id, n, kind);
	if (p != NULL)
		return p;
	flush_draft(t, now);
	return message_room(&t->draft.message, set_id, n, kind);
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
	message_end_set(&t->draft.message);
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
	flush_draft(t, now);
	t->draft.uptime = t->uptime;
	send_templates(t, now);
	for (unsigned i = 0; (row = options_at(t, i)) != NULL; i++)
		send_options_template(t, row, now);
	for (unsigned i = 0; (row = options_at(t, i)) != NULL; i++)
		send_options(t, row, now);
	flush_draft(t, now);
	t->refreshed_ns = now.ns;
	t->refreshed_messages = t->totals.messages;
}

/* RFC 7011 §8.4: a collector that missed them must not wait for the clock alone. */
static bool is_refresh_due_by_packets(const struct templated *t)
{
	const uint32_t limit = t->spec->template_refresh_packets;
	return limit != 0 && t->totals.messages - t->refreshed_messages >= limit;
}

/* ---- lanes ---- */

/* A complete message goes to the transport's memory, where it gets its header. */
static void send_copy(struct templated *t, struct draft *d, struct pkt_time now)
{
	struct message *m = &d->message;
	uint8_t *loan = t->base.transport->ops->reserve(t->base.transport, m->len);
	m->buf = memcpy(loan, m->buf, m->len);
	send_draft(t, d, now);
}

static struct draft *lane_draft(const struct lane *lane)
{
	return &lane->draft[lane->complete];
}

/* The message in the making takes no more. There is one more, always: a lane that is full is sent.
 */
static void complete_draft(struct templated *t, struct lane *lane)
{
	struct message *m = &lane_draft(lane)->message;
	if (message_empty(m))
		return;
	message_finish(m);
	stat_add(&t->base.counters->complete, m->flow_records);
	lane->complete++;
}

static void send_complete(struct templated *t, struct lane *lane, struct pkt_time now)
{
	for (unsigned i = 0; i < lane->complete; i++) {
		struct draft *d = &lane->draft[i];
		stat_add(&t->base.counters->complete, -(uint64_t)d->message.flow_records);
		if (is_refresh_due_by_packets(t))
			announce(t, now);
		send_copy(t, d, now);
	}
	lane->complete = 0;
}

/* The same, while the message in the making goes on at the lane's start. */
static void push_complete(struct templated *t, struct lane *lane, struct pkt_time now)
{
	struct draft *d = lane_draft(lane);
	if (lane->complete == 0)
		return;
	send_complete(t, lane, now);
	if (message_empty(&d->message))
		return;
	lane->draft->uptime = d->uptime;
	message_move(&lane->draft->message, &d->message, lane->mem);
}

/* All that waits. */
static void flush(struct templated *t, struct pkt_time now)
{
	for (unsigned i = 0; t->lanes != NULL && i < t->set.count; i++) {
		complete_draft(t, &t->lanes[i]);
		send_complete(t, &t->lanes[i], now);
	}
	flush_draft(t, now);
	t->departure = (struct departure){0};
}

/* ---- flow records ---- */

/* Where a flow record goes. */
struct place {
	struct lane *lane; /* NULL: there are none */
	uint16_t set_id;
	size_t n;		    /* bytes of the record */
	const struct flow_dir *dir; /* whose times it has */
};

static struct draft *draft_of(struct templated *t, const struct place *at)
{
	return at->lane != NULL ? lane_draft(at->lane) : &t->draft;
}

static bool uptime_fits(const struct templated *t, const struct place *at)
{
	return !templated_v9(t) ||
	       uptime_reaches(&draft_of((struct templated *)t, at)->uptime, at->dir);
}

static void close_draft(struct templated *t, const struct place *at, struct pkt_time now)
{
	if (at->lane == NULL) {
		flush_draft(t, now);
		return;
	}
	complete_draft(t, at->lane);
	if (at->lane->complete == t->lane_max)
		send_complete(t, at->lane, now);
}

/* v9: with a base that the record's times can be counted from, for the whole message. */
static void begin_draft(struct templated *t, const struct place *at, struct pkt_time now)
{
	if (at->lane == NULL && is_refresh_due_by_packets(t))
		announce(t, now);
	struct draft *d = draft_of(t, at);
	uptime_begin(&t->uptime, now);
	if (!uptime_reaches(&t->uptime, at->dir))
		uptime_move(&t->uptime, at->dir);
	d->uptime = t->uptime;
	if (at->lane != NULL)
		message_begin_at(&d->message, at->lane->mem + at->lane->complete * d->message.max);
}

static uint8_t *make_flow_room(struct templated *t, const struct place *at, struct pkt_time now)
{
	struct message *m = &draft_of(t, at)->message;
	if (!message_empty(m)) {
		uint8_t *p = NULL;
		if (uptime_fits(t, at))
			p = message_room(m, at->set_id, at->n, MESSAGE_FLOW);
		if (p != NULL)
			return p;
		close_draft(t, at, now);
	}
	begin_draft(t, at, now);
	return message_room(&draft_of(t, at)->message, at->set_id, at->n, MESSAGE_FLOW);
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

static unsigned template_of(const struct templated *t, const struct flow_record *r)
{
	return t->set.by_shape[flow_shape(r)];
}

/* `dir`: the direction whose times the plan takes. */
static inline void put_record(struct templated *t, const struct flow_record *r, unsigned index,
			      const struct plan *plan, const struct flow_dir *dir,
			      struct pkt_time now)
{
	const struct place at = {
		.lane = t->lanes != NULL ? &t->lanes[index] : NULL,
		.set_id = t->set.templates[index].id,
		.n = plan->len,
		.dir = dir,
	};
	uint8_t *p = NULL;
	if (uptime_fits(t, &at))
		p = message_more(&draft_of(t, &at)->message, at.set_id, at.n);
	if (p == NULL)
		p = make_flow_room(t, &at, now);
	plan_run(plan, r, uptime_boot_ms(&draft_of(t, &at)->uptime), p);
	const bool first = !t->departure.any;
	departure_note(&t->departure, now);
	if (first)
		set_due(t);
}

void templated_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	struct templated *t = templated_of(enc);
	const unsigned i = template_of(t, r);
	put_record(t, r, i, &t->set.templates[i].plan, &r->dir[FLOW_FORWARD], now);
}

void templated_record_turned(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	struct templated *t = templated_of(enc);
	const unsigned i = template_of(t, r);
	put_record(t, r, i, &t->set.templates[i].turned, &r->dir[FLOW_REVERSE], now);
}

/* The message in the making of each lane stays, and the order is a matter of when the thread
 * sleeps: so a replay, whose bytes are always the same, waits for rows. */
void templated_push(struct encoder *enc, struct pkt_time now)
{
	struct templated *t = templated_of(enc);
	for (unsigned i = 0; t->lanes != NULL && !t->source.run->replay && i < t->set.count; i++)
		push_complete(t, &t->lanes[i], now);
}

void templated_end(struct encoder *enc, struct pkt_time now, bool last)
{
	(void)last;
	struct templated *t = templated_of(enc);
	flush(t, now);
	t->draft.uptime = t->uptime;
	send_totals(t, now);
	flush(t, now);
}

void templated_abandon(struct encoder *enc)
{
	struct templated *t = templated_of(enc);
	message_abandon(&t->draft.message);
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
	struct templated *t = templated_of(enc);
	if (t->lanes != NULL) {
		free(t->lanes->draft);
		free(t->lanes->mem);
		free(t->lanes);
	}
	template_set_free(&t->set);
	free(t);
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

/* Rows of messages of one length, for a transport that has a use for them. */
static int make_lanes(struct templated *t, const struct encoder_conf *conf)
{
	const unsigned n = conf->transport != NULL ? conf->transport->row : 0;
	if (n <= 1)
		return 0;
	const size_t count = t->set.count;
	t->lanes = calloc(count, sizeof(*t->lanes));
	struct draft *drafts = calloc(count * n, sizeof(*drafts));
	uint8_t *mem = malloc(count * n * conf->max_message);
	if (t->lanes == NULL || drafts == NULL || mem == NULL) {
		free(drafts);
		free(mem);
		return ERR_NOMEM;
	}
	t->lane_max = n;
	for (size_t i = 0; i < count; i++)
		t->lanes[i] = (struct lane){.draft = drafts + i * n,
					    .mem = mem + i * n * conf->max_message};
	for (size_t i = 0; i < count * n; i++)
		message_init(&drafts[i].message, conf->transport, t->dialect->header,
			     conf->max_message);
	return 0;
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
	message_init(&t->draft.message, conf->transport, t->dialect->header, conf->max_message);
	if (!message_fits(&t->draft.message, longest(t)))
		return fail(e, ERR_USAGE,
			    "messages of %zu bytes are too small, a record or template takes %zu; "
			    "take a larger mtu= or fewer fields",
			    conf->max_message,
			    t->dialect->header + MESSAGE_SET_HEADER + longest(t));
	return make_lanes(t, conf);
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
