/* One-way records out of a biflow, and the other policies about direction (METERING.md §7). */
#ifndef WEIR_EXPORTER_SPLIT_H
#define WEIR_EXPORTER_SPLIT_H

#include <stddef.h>

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

static inline bool direction_heard(const struct flow_record *r, unsigned dir)
{
	return r->dir[dir].packets != 0;
}

/* What changes places when a record is turned. */
#define DIRECTION_SWAPPED(X)                                                                       \
	X(src, dst)                                                                                \
	X(src_mac, dst_mac)                                                                        \
	X(icmp[FLOW_FORWARD], icmp[FLOW_REVERSE])                                                  \
	X(dir[FLOW_FORWARD], dir[FLOW_REVERSE])

/* Parts of what a turned record would hold, without making it: where a member that only changes
 * places is read, and those that do not merely move. */
static inline uint16_t direction_turned_offset(uint16_t offset)
{
	const size_t at = offset;
#define X(a, b)                                                                                    \
	if (at - offsetof(struct flow_record, a) < sizeof(((struct flow_record *)0)->a))           \
		return (uint16_t)(at - offsetof(struct flow_record, a) +                           \
				  offsetof(struct flow_record, b));                                \
	if (at - offsetof(struct flow_record, b) < sizeof(((struct flow_record *)0)->b))           \
		return (uint16_t)(at - offsetof(struct flow_record, b) +                           \
				  offsetof(struct flow_record, a));
	DIRECTION_SWAPPED(X)
#undef X
	return offset;
}

static inline uint16_t direction_turned_sport(const struct flow_record *r)
{
	return r->icmp_known ? 0 : r->dport;
}

/* Type and code always stand in the destination port, the reply's in the reply. */
static inline uint16_t direction_turned_dport(const struct flow_record *r)
{
	return r->icmp_known ? r->icmp[FLOW_REVERSE] : r->sport;
}

/* biflowDirection: 1 and 2 change places. */
static inline uint8_t direction_turned_side(const struct flow_record *r)
{
	const uint8_t side = r->biflow_direction;
	return side == 1 || side == 2 ? 3 - side : side;
}

#endif
