/* One-way records out of a biflow, and the other policies about direction (METERING.md §7). */
#ifndef WEIR_EXPORTER_SPLIT_H
#define WEIR_EXPORTER_SPLIT_H

#include "flow.h"

/* What an output makes of a record's two directions. */
enum direction_policy {
	DIRECTION_BOTH,	 /* as it is; times of the reverse where the forward has no packets */
	DIRECTION_HEARD, /* as it is; turned where the forward has no packets (RFC 5103) */
	DIRECTION_SPLIT, /* a record for each direction that has packets */
};

/* The records an output sees of one: at most two, pointing at the record itself or into here. */
struct direction_view {
	const struct flow_record *record[FLOW_DIRS];
	unsigned count;
	struct flow_record made;
};

/* Fills the view. In a one-way record only the forward half (dir[0], src, sport, icmp[0] ...) is
 * meant; the other may still hold the biflow's reverse. */
void direction_apply(enum direction_policy policy, const struct flow_record *r,
		     struct direction_view *view);

#endif
