/* Counters one by one, relaxed: each is right, together they may be a moment apart. */
#include "input_view.h"

#include <stddef.h>

static void put(_Atomic uint64_t *at, uint64_t value)
{
	atomic_store_explicit(at, value, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

void input_view_publish(struct input_view *view, struct capture *capture)
{
	struct capture *part;
	for (unsigned i = 0; i < CAPTURE_PARTS_MAX; i++) {
		struct capture_stats s;
		_Atomic uint64_t *v = view->v[i];
		part = capture_part(capture, i);
		if (part == NULL)
			return;
		capture_stats(part, &s);
		put(&v[VIEW_RECEIVED], s.received);
		put(&v[VIEW_FILTERED], s.filtered);
		put(&v[VIEW_UNSAMPLED], s.unsampled);
		put(&v[VIEW_MERGED], s.merged);
		put(&v[VIEW_GONE], s.gone);
		for (unsigned d = 0; d < CAPTURE_DROP_COUNT; d++)
			put(&v[VIEW_DROPS + d], s.drops[d]);
	}
}

void input_view_read(const struct input_view *view, unsigned part, struct capture_stats *ret_stats)
{
	const _Atomic uint64_t *v = view->v[part];
	*ret_stats = (struct capture_stats){
		.received = get(&v[VIEW_RECEIVED]),
		.filtered = get(&v[VIEW_FILTERED]),
		.unsampled = get(&v[VIEW_UNSAMPLED]),
		.merged = get(&v[VIEW_MERGED]),
		.gone = get(&v[VIEW_GONE]) != 0,
	};
	for (unsigned d = 0; d < CAPTURE_DROP_COUNT; d++)
		ret_stats->drops[d] = get(&v[VIEW_DROPS + d]);
}
