/*
 * The boot time that NetFlow v5 and v9 count milliseconds from. There is no real boot: any base
 * will do as long as header and records of one message use the same, so it is chosen to lie
 * before every flow and moved, between messages, when one lies before it or it gets too old.
 */
#ifndef WEIR_EXPORTER_UPTIME_H
#define WEIR_EXPORTER_UPTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

struct uptime {
	int64_t boot_s; /* whole seconds since the epoch */
};

/* What a header says. */
struct uptime_header {
	uint32_t uptime_ms;
	uint32_t seconds;
	uint32_t ns; /* whole milliseconds */
};

/* A base for messages that begin at this clock; an old one that still serves is kept. To be
 * called before the first record of a message. */
void uptime_begin(struct uptime *u, struct pkt_time now);

/* Do the times of a direction lie in reach of the base? */
bool uptime_reaches(const struct uptime *u, const struct flow_dir *d);

/* Moves the base so that they do. Only between messages. */
void uptime_move(struct uptime *u, const struct flow_dir *d);

/* Header times of a message that leaves at `now`: to the millisecond (v5), or rounded up to
 * whole seconds (v9). seconds * 1000 + ns / 1000000 - uptime_ms is always the base. */
struct uptime_header uptime_header(const struct uptime *u, struct pkt_time now, bool whole_seconds);

static inline int64_t uptime_boot_ms(const struct uptime *u)
{
	return u->boot_s * 1000;
}

#endif
