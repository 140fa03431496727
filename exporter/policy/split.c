/*
 * Directions. A record is copied only where something in it must change, which is for reverse
 * halves and for flows whose initiator was not heard; all else passes in place.
 */
#include "split.h"

#include <string.h>

static uint8_t turned_direction(uint8_t biflow_direction)
{
	switch (biflow_direction) {
	case 1:
		return 2;
	case 2:
		return 1;
	default:
		return biflow_direction;
	}
}

/* The same flow seen from the other end. */
static void turn(const struct flow_record *r, struct flow_record *ret_turned)
{
	struct flow_record t = *r;
	t.biflow_direction = turned_direction(r->biflow_direction);
	memcpy(t.src, r->dst, sizeof(t.src));
	memcpy(t.dst, r->src, sizeof(t.dst));
	memcpy(t.src_mac, r->dst_mac, sizeof(t.src_mac));
	memcpy(t.dst_mac, r->src_mac, sizeof(t.dst_mac));
	for (unsigned i = 0; i < FLOW_DIRS; i++) {
		t.icmp[i] = r->icmp[1 - i];
		t.dir[i] = r->dir[1 - i];
	}
	/* Type and code always stand in the destination port, the reply's in the reply. */
	t.sport = r->icmp_known ? 0 : r->dport;
	t.dport = r->icmp_known ? r->icmp[FLOW_REVERSE] : r->sport;
	*ret_turned = t;
}

static bool heard(const struct flow_record *r, unsigned dir)
{
	return r->dir[dir].packets != 0;
}

static void show(struct direction_view *view, const struct flow_record *r)
{
	view->record[view->count++] = r;
}

static void show_turned(struct direction_view *view, const struct flow_record *r)
{
	turn(r, &view->made);
	show(view, &view->made);
}

static void show_with_times(struct direction_view *view, const struct flow_record *r)
{
	view->made = *r;
	view->made.dir[FLOW_FORWARD].first_ns = r->dir[FLOW_REVERSE].first_ns;
	view->made.dir[FLOW_FORWARD].last_ns = r->dir[FLOW_REVERSE].last_ns;
	show(view, &view->made);
}

void direction_apply(enum direction_policy policy, const struct flow_record *r,
		     struct direction_view *view)
{
	view->count = 0;
	if (heard(r, FLOW_FORWARD))
		show(view, r);
	if (!heard(r, FLOW_REVERSE))
		return;
	if (policy == DIRECTION_SPLIT)
		show_turned(view, r);
	else if (view->count != 0)
		return;
	else if (policy == DIRECTION_HEARD)
		show_turned(view, r);
	else
		show_with_times(view, r);
}
