/* Counters: the table of rows, and the balance of METERING.md §1. */
#include "counters.h"

static const struct counter_info info[COUNTER_COUNT] = {
#define C(id, name, unit, parent, help) [COUNTER_##id] = {name, unit, parent, help},
#include "counters.def"
#undef C
};

const struct counter_info *counter_info(enum counter_id id)
{
	return &info[id];
}

void counters_add(struct counters *into, const struct counters *from)
{
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		into->v[i] += from->v[i];
}

bool counters_balance(const struct counters *c, uint64_t ended, uint64_t held)
{
	const uint64_t *v = c->v;
	return v[COUNTER_OBSERVED] == v[COUNTER_OWN_EXPORT] + v[COUNTER_DUPLICATE] +
					      v[COUNTER_UNSAMPLED] + v[COUNTER_NON_IP] +
					      v[COUNTER_MALFORMED] + v[COUNTER_METERED] &&
	       v[COUNTER_METERED] == ended + held;
}
