/*
 * filter=EXPRESSION of an output: which records it gets, by their elements (docs/FILTER.md). The
 * text is compiled at start to a flat program; running it allocates nothing, does not recurse and
 * only ever goes forward.
 */
#ifndef WEIR_EXPORTER_FILTER_H
#define WEIR_EXPORTER_FILTER_H

#include <stdbool.h>

#include "field.h"

struct errtext;
struct flow_filter;

/* Compiles. `biflow`: the records may have a reverse half; else reverse elements are refused.
 * ERR_USAGE with the reason in `e`, followed by two lines: the expression, or the part of it around
 * the fault, and a caret under the place. ERR_NOMEM. */
int flow_filter_compile(const char *text, bool biflow, struct errtext *e,
			struct flow_filter **ret_filter);

/* Does the record pass? Any thread. */
bool flow_filter_pass(const struct flow_filter *filter, const struct flow_record *r);

/* Does the expression name this element? */
bool flow_filter_wants(const struct flow_filter *filter, struct field_ref ref);

/* NULL is fine. */
void flow_filter_free(struct flow_filter *filter);

#endif
