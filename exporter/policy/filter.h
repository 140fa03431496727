/*
 * filter= and sample=: which records are an output's business, decided on the one-way or biflow
 * record the direction policy made, before it is kept or encoded. Compiled at start; matching
 * allocates nothing and is for the export thread.
 */
#ifndef WEIR_EXPORTER_FILTER_H
#define WEIR_EXPORTER_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "../fail.h"
#include "flow.h"

struct filter;

/* Compiles an expression over element names. ERR_USAGE with the place and the cure in `e`,
 * ERR_NOMEM. */
int filter_compile(const char *text, struct errtext *e, struct filter **ret_filter);

bool filter_matches(const struct filter *filter, const struct flow_record *r);

/* NULL is fine. */
void filter_free(struct filter *filter);

#endif
