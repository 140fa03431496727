/*
 * Writing the program of a filter: chains of exits that are not known yet, and ranges. For
 * filter*.c only.
 */
#ifndef WEIR_EXPORTER_FILTER_EMIT_H
#define WEIR_EXPORTER_FILTER_EMIT_H

#include "filter_program.h"

/* Links of two chains of exits: those taken when a part is true, and the others. A link names an
 * exit: 1 + 2 * test + (0 when true, 1 when false); 0 ends the chain. */
struct filter_part {
	uint16_t yes;
	uint16_t no;
};

/* All exits of a chain lead to `target` now. */
void filter_lead(const struct flow_filter *f, uint16_t link, uint32_t target);

/* One chain of two. */
uint16_t filter_join(const struct flow_filter *f, uint16_t a, uint16_t b);

/* Another range, of the test that is being read. False: no memory. */
bool filter_add_range(struct flow_filter *f, struct filter_range range);

/* Sorts the test's ranges, which are the last of all, and joins those that touch. */
void filter_tidy_ranges(struct flow_filter *f, struct filter_test *t);

/* What lies between the test's ranges, up to `max`, instead of them: n make at most n + 1. False:
 * no memory. */
bool filter_turn_ranges(struct flow_filter *f, struct filter_test *t, filter_value max);

#endif
