/*
 * When to say that packets are lost: when it begins, once a minute while it goes on, and when it
 * has been over for a while. So a port says two lines in five seconds at most, whatever happens
 * there. Pure; time is an input.
 */
#ifndef WEIR_DROP_WATCH_H
#define WEIR_DROP_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "tstamp.h"

/* Without a loss for so long, it is over. */
#define DROP_QUIET_NS (5 * NS_PER_S)

/* How often a loss that goes on is told of again. */
#define DROP_AGAIN_NS (60 * NS_PER_S)

enum drop_news { DROP_NO_NEWS, DROP_BEGINS, DROP_GOES_ON, DROP_ENDED };

/* Its initial state is all zeros. */
struct drop_watch {
	bool dropping;
	uint64_t total;	 /* as of the last step */
	uint64_t before; /* when it began */
	struct mono_time began;
	struct mono_time last; /* when it last grew */
	struct mono_time told;
};

/* `total` packets have been lost by now. What there is to say; the loss it is about is
 * watch->total - watch->before, and lasted from watch->began to watch->last. */
enum drop_news drop_watch_step(struct drop_watch *watch, struct mono_time now, uint64_t total);

#endif
