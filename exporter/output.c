/*
 * One output = direction policy → encoder → transport, with a session (session.c) between policy
 * and encoder where the transport keeps one.
 *
 * Time comes in from outside as `now`: the packet clock in a replay, the wall clock live. Nothing
 * here reads a clock, so a replay cuts messages and rotates files at the same records each time.
 *
 * A session (a stream of datagrams) begins with the first item, a file with its first record, so
 * that no empty files are left behind; but an output that never saw a record still leaves one
 * file, which says so.
 */
#include "output.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "policy/policy.h"
#include "secret.h"
#include "session.h"

struct output {
	char *url; /* as it may be shown */
	struct url_spec spec;
	struct policy policy;
	bool plain;  /* nothing is left out, and there is no session */
	bool halves; /* plain, one-way records, of which the encoder makes the reverse by itself */
	struct transport *transport;
	struct encoder *encoder;
	struct session *session; /* NULL: the transport keeps none */
	bool begun;		 /* a session or file is open */
	bool began_once;
	int64_t seen_ns; /* clock at the last advance */
	struct output_counters counters;
};

/* A clock this much behind the last was set back. */
#define SET_BACK_NS NS_PER_S

/* ---- making ---- */

/* ERR_USAGE leaves what was right in the spec. In any case url_spec_fini is due. */
static int read_url(const struct output_conf *conf, struct errtext *e, struct url_spec *ret_spec)
{
	char *shown = secret_cut(conf->url);
	errtext_begin(e, "output \"%s\": ", shown != NULL ? shown : "");
	free(shown);
	int err = url_parse(conf->url, e, ret_spec);
	if (ret_spec->scheme == NULL)
		return err;
	if (ret_spec->fields == NULL && conf->run->knows_egress)
		ret_spec->fields = ret_spec->biflow
					   ? "default,egressInterface,reverseEgressInterface"
					   : "default,egressInterface";
	if (!(ret_spec->given & URL_HAS(URL_DOMAIN)))
		ret_spec->domain = conf->index + 1;
	if (ret_spec->biflow && ret_spec->scheme->format->split_only)
		err = fail(e, ERR_USAGE, "biflow=yes: NetFlow has no reverse elements; ipfix has");
	return err;
}

/* Opens the encoder. Without a transport: for the sake of its complaints. */
static int open_encoder(const struct output_conf *conf, struct errtext *e,
			const struct url_spec *spec, struct transport *transport,
			struct output_counters *counters, struct encoder **ret_encoder)
{
	const struct scheme *scheme = spec->scheme;
	struct encoder_conf ec = {
		.run = conf->run,
		.spec = spec,
		.books = conf->books,
		.counters = counters,
		.transport = transport,
	};
	if (transport != NULL)
		ec.max_message = transport->max_message;
	else if (scheme->transport->max_message != NULL)
		ec.max_message = scheme->transport->max_message(spec);
	int err = scheme->format->open(&ec, e, ret_encoder);
	if (err != 0)
		return err;
	struct encoder *enc = *ret_encoder;
	enc->ops = scheme->format;
	enc->transport = transport;
	enc->counters = counters;
	enc->due_ns = DUE_NEVER;
	return 0;
}

static int check_spec(const struct output_conf *conf, struct errtext *e,
		      const struct url_spec *spec)
{
	struct encoder *enc;
	int err = open_encoder(conf, e, spec, NULL, NULL, &enc);
	if (err == 0)
		enc->ops->close(enc);
	const struct transport_ops *transport = spec->scheme->transport;
	int unfit = transport->check != NULL ? transport->check(spec, e) : 0;
	return err != 0 ? err : unfit;
}

/* All that is wrong in one go. */
static int read_spec(const struct output_conf *conf, struct errtext *e, struct url_spec *ret_spec,
		     struct policy *ret_policy)
{
	int err = read_url(conf, e, ret_spec);
	if (ret_spec->scheme == NULL)
		return err;
	int unfit = check_spec(conf, e, ret_spec);
	/* last, since a caret stands under its reason */
	int unfiltered = policy_open(ret_spec, conf->run, e, ret_policy);
	if (err == 0)
		err = unfit != 0 ? unfit : unfiltered;
	if (err != 0 && unfiltered == 0)
		policy_close(ret_policy);
	return err;
}

int output_check(const struct output_conf *conf, struct errtext *e)
{
	struct url_spec spec;
	struct policy policy;
	int err = read_spec(conf, e, &spec, &policy);
	if (err == 0)
		policy_close(&policy);
	url_spec_fini(&spec);
	return err;
}

static int open_session(struct output *o, const struct output_conf *conf, struct errtext *e)
{
	const struct session_conf sc = {
		.spec = &o->spec,
		.transport = o->transport,
		.encoder = o->encoder,
		.counters = &o->counters,
		.base = conf->base,
		.name = o->url,
		.replay = conf->run->replay,
		.resume = conf->resume,
		.resume_arg = conf->resume_arg,
	};
	return session_new(&sc, e, &o->session);
}

static int open_parts(struct output *o, const struct output_conf *conf, struct errtext *e)
{
	const struct transport_conf tc = {
		.spec = &o->spec,
		.counters = &o->counters,
		.base = conf->base,
		.replay = conf->run->replay,
		.own = conf->run->own,
		.resume = conf->resume,
		.resume_arg = conf->resume_arg,
	};
	int err = o->spec.scheme->transport->open(&tc, e, &o->transport);
	if (err != 0)
		return err;
	o->transport->ops = o->spec.scheme->transport;
	err = open_encoder(conf, e, &o->spec, o->transport, &o->counters, &o->encoder);
	if (err != 0 || o->transport->ops->session == NULL)
		return err;
	return open_session(o, conf, e);
}

int output_new(const struct output_conf *conf, struct errtext *e, struct output **ret_output)
{
	struct output *o = calloc(1, sizeof(*o));
	if (o == NULL)
		return ERR_NOMEM;
	o->url = secret_hide(conf->url);
	int err = o->url == NULL ? ERR_NOMEM : read_spec(conf, e, &o->spec, &o->policy);
	if (err == 0)
		err = open_parts(o, conf, e);
	if (err != 0) {
		output_free(o);
		return err;
	}
	o->plain = o->session == NULL && policy_takes_all(&o->policy);
	o->halves = o->plain && o->policy.direction == DIRECTION_SPLIT &&
		    o->encoder->ops->record_turned != NULL;
	*ret_output = o;
	return 0;
}

void output_free(struct output *o)
{
	if (o == NULL)
		return;
	session_free(o->session);
	if (o->encoder != NULL)
		o->encoder->ops->close(o->encoder);
	if (o->transport != NULL)
		o->transport->ops->close(o->transport);
	policy_close(&o->policy);
	url_spec_fini(&o->spec);
	free(o->url);
	free(o);
}

/* ---- sessions ---- */

static void begin(struct output *o, struct pkt_time now)
{
	if (o->transport->ops->begin != NULL)
		o->transport->ops->begin(o->transport, now);
	if (o->encoder->ops->begin != NULL)
		o->encoder->ops->begin(o->encoder, now);
	o->begun = true;
	o->began_once = true;
	o->seen_ns = now.ns;
}

static void end(struct output *o, struct pkt_time now, bool last)
{
	if (o->encoder->ops->end != NULL)
		o->encoder->ops->end(o->encoder, now, last);
	o->encoder->due_ns = DUE_NEVER;
	if (o->transport->ops->end != NULL)
		o->transport->ops->end(o->transport);
	o->begun = false;
}

/* What is due at the encoder happens in the old file, then the file ends. */
static void advance(struct output *o, struct pkt_time now)
{
	bool set_back = now.ns < o->seen_ns - SET_BACK_NS;
	o->seen_ns = now.ns;
	if (now.ns >= o->encoder->due_ns || set_back)
		if (o->encoder->ops->advance != NULL)
			o->encoder->ops->advance(o->encoder, now);
	if (now.ns >= o->transport->due_ns)
		end(o, now, false);
}

void output_clock(struct output *o, struct pkt_time now)
{
	if (o->session != NULL)
		session_clock(o->session, now);
	else if (o->begun)
		advance(o, now);
	else if (!o->transport->lazy)
		begin(o, now);
}

static void encode_halves(struct output *o, const struct flow_record *r, struct pkt_time now)
{
	const struct format_ops *ops = o->encoder->ops;
	const bool forward = direction_heard(r, FLOW_FORWARD);
	const bool reverse = direction_heard(r, FLOW_REVERSE);
	stat_add(&o->counters.records_in, (unsigned)forward + reverse);
	if (forward)
		ops->record(o->encoder, r, now);
	if (reverse)
		ops->record_turned(o->encoder, r, now);
}

/* Rarer, and with a record on its stack: apart, so that the others need not pay for that. */
static __attribute__((noinline)) void encode_views(struct output *o, const struct flow_record *r,
						   struct pkt_time now)
{
	struct direction_view view;
	policy_apply(&o->policy, r, &o->counters, &view);
	for (unsigned i = 0; i < view.count; i++) {
		if (o->session != NULL)
			session_record(o->session, view.record[i], now);
		else
			o->encoder->ops->record(o->encoder, view.record[i], now);
	}
}

bool output_discards(const struct output *o)
{
	return o->plain && o->policy.direction != DIRECTION_SPLIT &&
	       o->spec.scheme->format == &null_format;
}

/* A biflow whose initiator was heard needs no change where both directions are one record. */
static bool is_seen_as_it_is(const struct output *o, const struct flow_record *r)
{
	return o->plain && o->policy.direction != DIRECTION_SPLIT &&
	       direction_heard(r, FLOW_FORWARD);
}

static void encode_as_it_is(struct output *o, const struct flow_record *r, struct pkt_time now)
{
	stat_add(&o->counters.records_in, 1);
	o->encoder->ops->record(o->encoder, r, now);
}

void output_record(struct output *o, const struct flow_record *r, struct pkt_time now)
{
	/* the record before may have filled the file */
	if (__builtin_expect(o->begun && now.ns >= o->transport->due_ns, 0))
		end(o, now, false);
	if (__builtin_expect(!o->begun, 0) && o->session == NULL)
		begin(o, now);
	if (o->halves)
		encode_halves(o, r, now);
	else if (is_seen_as_it_is(o, r))
		encode_as_it_is(o, r, now);
	else
		encode_views(o, r, now);
}

void output_end(struct output *o, struct pkt_time now)
{
	if (o->session != NULL) {
		session_end(o->session, now);
		return;
	}
	if (!o->began_once)
		begin(o, now);
	if (o->begun)
		end(o, now, true);
}

void output_push(struct output *o)
{
	if (o->session != NULL) {
		session_push(o->session);
		return;
	}
	if (o->begun && o->encoder->ops->push != NULL)
		o->encoder->ops->push(o->encoder, (struct pkt_time){o->seen_ns});
	if (o->transport->ops->push != NULL)
		o->transport->ops->push(o->transport);
}

bool output_congested(const struct output *o)
{
	if (o->session != NULL)
		return session_congested(o->session);
	return o->transport->ops->congested != NULL && o->transport->ops->congested(o->transport);
}

bool output_busy(const struct output *o)
{
	if (o->session != NULL)
		return session_busy(o->session);
	return o->transport->ops->busy != NULL && o->transport->ops->busy(o->transport);
}

/* ---- questions ---- */

bool output_wants(const struct output *o, struct field_ref ref)
{
	return o->encoder->ops->wants(o->encoder, ref) || policy_wants(&o->policy, ref);
}

bool output_dead(const struct output *o)
{
	return atomic_load_explicit(&o->counters.dead, memory_order_relaxed);
}

void output_stats_get(const struct output *o, struct output_stats *ret_stats)
{
	static const char *const reasons[DROP_REASON_COUNT] = {
#define X(id, text) [DROP_##id] = text,
		DROP_REASONS(X)
#undef X
	};
	const struct output_counters *c = &o->counters;
	struct output_stats s = {
		.url = o->url,
		.records = stat_get(&c->records),
		.messages = stat_get(&c->messages),
		.bytes = stat_get(&c->bytes),
		.reconnects = stat_get(&c->reconnects),
		.records_in = stat_get(&c->records_in),
		.unsampled = stat_get(&c->unsampled),
		.filtered = stat_get(&c->filtered),
		.queued = stat_get(&c->queued) + stat_get(&c->complete),
		.unconfirmed = stat_get(&c->unconfirmed),
		.spooled = stat_get(&c->spooled),
		.spooled_bytes = stat_get(&c->spooled_bytes),
		.recovered = stat_get(&c->recovered),
		.lag_ns = (int64_t)stat_get(&c->lag_ns),
		.connected =
			o->session == NULL || atomic_load_explicit(&c->up, memory_order_relaxed),
		.error = atomic_load_explicit(&c->error, memory_order_relaxed),
	};
	_Static_assert(DROP_REASON_COUNT < sizeof(s.dropped) / sizeof(s.dropped[0]),
		       "output_stats has a place for every reason and one for the end");
	unsigned n = 0;
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++) {
		uint64_t records = stat_get(&c->dropped[i]);
		if (records == 0)
			continue;
		s.records_dropped += records;
		s.dropped[n].reason = reasons[i];
		s.dropped[n++].records = records;
	}
	*ret_stats = s;
}
