/*
 * Time as a type, so that adding one clock to another does not compile.
 *
 * Packet time comes with a packet (nanoseconds since the Unix epoch) and drives everything in a
 * replay. Monotonic time measures how long something took. Export time is what a message header
 * states: the packet clock in a replay, the wall clock live. Nothing below main reads a clock
 * unless its header says so.
 */
#ifndef WEIR_TSTAMP_H
#define WEIR_TSTAMP_H

#include <stdint.h>

#define NS_PER_US 1000LL
#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL

/* Packet time: ns since 1970-01-01T00:00:00Z, 0 <= ns <= PKT_TIME_MAX, or PKT_TIME_NONE. */
struct pkt_time {
	int64_t ns;
};

/* Monotonic time: ns since an arbitrary start; never goes back. */
struct mono_time {
	int64_t ns;
};

/* Latest packet time that is believed (year 2116); readers clamp to it, so sums never overflow. */
#define PKT_TIME_MAX (INT64_C(1) << 62)
/* "This packet carries no time" (pcapng Simple Packet Block). */
#define PKT_TIME_NONE INT64_MIN

/* The monotonic clock now. Any thread. */
struct mono_time mono_now(void);

/* The wall clock now, as a packet time. Any thread; live operation only. */
struct pkt_time wall_now(void);

/* RFC 3339 in UTC with nine decimals and 'Z' (30 characters + NUL) into buf; returns its length.
 * `buf` holds at least TSTAMP_RFC3339_SIZE bytes. Any thread. */
#define TSTAMP_RFC3339_SIZE 40
unsigned tstamp_rfc3339(struct pkt_time t, char *buf);

#endif
