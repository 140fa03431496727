/*
 * Directions. A record is copied only where something in it must change, which is for reverse
 * halves and for flows whose initiator was not heard; all else passes in place.
 */
#include "split.h"

#include <string.h>

/* The same flow seen from the other end. */
static void turn(const struct flow_record *r, struct flow_record *ret_turned)
{
	struct flow_record t = *r;
#define X(a, b)                                                                                    \
	memcpy(&t.a, &r->b, sizeof(t.a));                                                          \
	memcpy(&t.b, &r->a, sizeof(t.b));
	DIRECTION_SWAPPED(X)
#undef X
	t.biflow_direction = direction_turned_side(r);
	t.sport = direction_turned_sport(r);
	t.dport = direction_turned_dport(r);
	*ret_turned = t;
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
	if (direction_heard(r, FLOW_FORWARD))
		show(view, r);
	if (!direction_heard(r, FLOW_REVERSE))
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
