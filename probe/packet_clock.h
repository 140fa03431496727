/* The clock of METERING.md §6, which packets move. */
#ifndef WEIR_PACKET_CLOCK_H
#define WEIR_PACKET_CLOCK_H

#include "packet.h"

#define CLOCK_UNSET INT64_MIN /* before the first packet */

/* A packet's own time: the clock's, where it has none. */
static inline int64_t packet_clock_time(int64_t clock_ns, const struct raw_packet *raw)
{
	if (__builtin_expect(raw->time.ns != PKT_TIME_NONE, 1))
		return raw->time.ns;
	return clock_ns == CLOCK_UNSET ? 0 : clock_ns;
}

/* Is a packet of that time so early that all that is held ends and the clock starts anew? */
static inline bool packet_clock_is_set_back(int64_t clock_ns, int64_t time_ns, int64_t idle_ns)
{
	return time_ns < clock_ns && clock_ns - time_ns > idle_ns;
}

#endif
