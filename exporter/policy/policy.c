/*
 * The order is: flows, directions, records. A flow that is sampled is sampled as a whole, and the
 * filter judges what the collector would read: one-way records where it gets those.
 */
#include "policy.h"

#include "../fail.h"
#include "../format/format.h"
#include "err.h"

static enum direction_policy choose_direction(const struct url_spec *spec)
{
	if (!spec->biflow)
		return DIRECTION_SPLIT;
	return spec->scheme->format->turns ? DIRECTION_HEARD : DIRECTION_BOTH;
}

int policy_open(const struct url_spec *spec, const struct exporter_conf *run, struct errtext *e,
		struct policy *ret_policy)
{
	struct policy p = {
		.direction = choose_direction(spec),
		.sample_below = UINT64_MAX / spec->sample,
	};
	biflow_secret_from_seed(&p.secret, run->seed);
	if ((uint64_t)run->sampling_n * spec->sample > UINT32_MAX)
		return fail(e, ERR_USAGE,
			    "sample=%u of what is sampled 1/%u already is more than can be told, "
			    "1/4294967295",
			    spec->sample, run->sampling_n);
	if (spec->filter != NULL) {
		int err = flow_filter_compile(spec->filter, spec->biflow, e, &p.filter);
		if (err != 0)
			return err;
	}
	*ret_policy = p;
	return 0;
}

bool policy_takes_all(const struct policy *p)
{
	return p->filter == NULL && p->sample_below == UINT64_MAX;
}

void policy_close(struct policy *p)
{
	flow_filter_free(p->filter);
	p->filter = NULL;
}

bool policy_wants(const struct policy *p, struct field_ref ref)
{
	return p->filter != NULL && flow_filter_wants(p->filter, ref);
}

static bool is_sampled(const struct policy *p, const struct flow_record *r)
{
	return p->sample_below == UINT64_MAX || biflow_hash(r, &p->secret) <= p->sample_below;
}

static void leave_out(const struct flow_record *r, struct output_counters *c,
		      struct direction_view *view)
{
	stat_add(&c->unsampled, view->count);
	stat_add(&c->unsampled_packets,
		 r->dir[FLOW_FORWARD].packets + r->dir[FLOW_REVERSE].packets);
	view->count = 0;
}

static void filter_view(const struct policy *p, struct output_counters *c,
			struct direction_view *view)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < view->count; i++)
		if (flow_filter_pass(p->filter, view->record[i]))
			view->record[kept++] = view->record[i];
	stat_add(&c->filtered, view->count - kept);
	view->count = kept;
}

void policy_apply(const struct policy *p, const struct flow_record *r, struct output_counters *c,
		  struct direction_view *view)
{
	direction_apply(p->direction, r, view);
	stat_add(&c->records_in, view->count);
	if (!is_sampled(p, r))
		leave_out(r, c, view);
	else if (p->filter != NULL)
		filter_view(p, c, view);
}
