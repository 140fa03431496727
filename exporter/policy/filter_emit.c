/* Chains run through the exits themselves: until one is known, it holds the next link. */
#include "filter_emit.h"

#include <stdlib.h>

/* ---- chains of exits ---- */

static uint16_t *exit_of(const struct flow_filter *f, uint16_t link)
{
	struct filter_test *t = &f->test[(link - 1) / 2];
	return (link - 1) % 2 == 0 ? &t->on_true : &t->on_false;
}

void filter_lead(const struct flow_filter *f, uint16_t link, uint32_t target)
{
	while (link != 0) {
		uint16_t *way = exit_of(f, link);
		link = *way;
		*way = (uint16_t)target;
	}
}

uint16_t filter_join(const struct flow_filter *f, uint16_t a, uint16_t b)
{
	if (a == 0)
		return b;
	uint16_t link = a;
	while (*exit_of(f, link) != 0)
		link = *exit_of(f, link);
	*exit_of(f, link) = b;
	return a;
}

/* ---- ranges ---- */

bool filter_add_range(struct flow_filter *f, struct filter_range range)
{
	if (f->ranges == f->range_room) {
		const uint32_t room = f->range_room == 0 ? 16 : 2 * f->range_room;
		struct filter_range *more = realloc(f->range, room * sizeof(*more));
		if (more == NULL)
			return false;
		f->range = more;
		f->range_room = room;
	}
	f->range[f->ranges++] = range;
	return true;
}

static int by_lo(const void *a, const void *b)
{
	const struct filter_range *x = a;
	const struct filter_range *y = b;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

void filter_tidy_ranges(struct flow_filter *f, struct filter_test *t)
{
	struct filter_range *range = f->range + t->first;
	const uint32_t count = f->ranges - t->first;
	uint32_t kept = 0;
	if (count > 0)
		qsort(range, count, sizeof(*range), by_lo);
	for (uint32_t i = 0; i < count; i++) {
		if (kept > 0 &&
		    (range[i].lo <= range[kept - 1].hi || range[i].lo == range[kept - 1].hi + 1)) {
			if (range[i].hi > range[kept - 1].hi)
				range[kept - 1].hi = range[i].hi;
		} else {
			range[kept++] = range[i];
		}
	}
	t->count = kept;
	f->ranges = t->first + kept;
}

bool filter_turn_ranges(struct flow_filter *f, struct filter_test *t, filter_value max)
{
	filter_value from = 0;
	bool open = true; /* something may come at or above `from` */
	uint32_t kept = t->first;
	for (uint32_t i = t->first; i < t->first + t->count; i++) {
		const struct filter_range taken = f->range[i];
		if (taken.lo > from)
			f->range[kept++] = (struct filter_range){from, taken.lo - 1};
		open = taken.hi < max;
		from = taken.hi + 1;
	}
	f->ranges = kept;
	if (open && !filter_add_range(f, (struct filter_range){from, max}))
		return false;
	t->count = f->ranges - t->first;
	return true;
}
