/*
 * What an output gets to see of the records: sample= of the flows, their directions (split.h), and
 * filter= on the records that come of it. Made at start, run by the export thread.
 */
#ifndef WEIR_EXPORTER_POLICY_H
#define WEIR_EXPORTER_POLICY_H

#include <stdbool.h>

#include "biflow.h"
#include "exporter.h"
#include "filter.h"
#include "split.h"

struct errtext;
struct output_counters;
struct url_spec;

struct policy {
	enum direction_policy direction;
	struct flow_filter *filter; /* NULL: every record passes */
	uint64_t sample_below;	    /* hashes of the flows that are taken; UINT64_MAX: every flow */
	struct biflow_secret secret;
};

/* Of the options of a URL. ERR_USAGE with the reason in `e`, ERR_NOMEM; then nothing is to be
 * closed. */
int policy_open(const struct url_spec *spec, const struct exporter_conf *run, struct errtext *e,
		struct policy *ret_policy);

/* The records the output sees of one; counts them and those it does not see. The view points into
 * itself or to `r`. */
void policy_apply(const struct policy *policy, const struct flow_record *r,
		  struct output_counters *counters, struct direction_view *view);

/* Is no record left out? */
bool policy_takes_all(const struct policy *policy);

/* Does a decision depend on this element? */
bool policy_wants(const struct policy *policy, struct field_ref ref);

void policy_close(struct policy *policy);

#endif
