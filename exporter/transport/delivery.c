/* A window of message states. */
#include "delivery.h"

#include <assert.h>
#include <stdlib.h>

#include "err.h"

int delivery_init(struct delivery *d, unsigned size)
{
	assert((size & (size - 1)) == 0);
	*d = (struct delivery){.state = calloc(size, 1), .size = size};
	return d->state != NULL ? 0 : ERR_NOMEM;
}

void delivery_fini(struct delivery *d)
{
	free(d->state);
	d->state = NULL;
}

static uint8_t *state_of(const struct delivery *d, uint64_t number)
{
	return &d->state[number & (d->size - 1)];
}

uint64_t delivery_add(struct delivery *d)
{
	assert(!delivery_full(d));
	*state_of(d, d->next) = DELIVERY_OPEN;
	return d->next++;
}

void delivery_report(struct delivery *d, uint64_t number, enum delivery_state state)
{
	if (number >= d->first && number < d->next)
		*state_of(d, number) = (uint8_t)state;
}

unsigned delivery_take(struct delivery *d, enum delivery_state *ret_state)
{
	if (d->first == d->next || *state_of(d, d->first) == DELIVERY_OPEN)
		return 0;
	const uint8_t state = *state_of(d, d->first);
	unsigned n = 0;
	for (; d->first != d->next && *state_of(d, d->first) == state; n++)
		d->first++;
	*ret_state = (enum delivery_state)state;
	return n;
}

void delivery_reset(struct delivery *d)
{
	d->first = d->next;
}
