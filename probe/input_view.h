/* What a worker's input counts, port by port, for other threads to read while it runs. */
#ifndef WEIR_INPUT_VIEW_H
#define WEIR_INPUT_VIEW_H

#include <stdatomic.h>

#include "capture.h"

/* Members of struct capture_stats that are shown, as an array. */
enum {
	VIEW_RECEIVED,
	VIEW_FILTERED,
	VIEW_UNSAMPLED,
	VIEW_MERGED,
	VIEW_GONE,
	VIEW_DROPS,
	VIEW_COUNT = VIEW_DROPS + CAPTURE_DROP_COUNT
};

/* Its initial state is all zeros. */
struct input_view {
	_Atomic uint64_t v[CAPTURE_PARTS_MAX][VIEW_COUNT];
};

/* The worker's thread. */
void input_view_publish(struct input_view *view, struct capture *capture);

/* Any thread; a part that there is not is all zeros. */
void input_view_read(const struct input_view *view, unsigned part, struct capture_stats *ret_stats);

#endif
