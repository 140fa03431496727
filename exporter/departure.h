/*
 * When a message leaves: at latest a second of the clock after its first record. Shared by the
 * formats that fill messages. Plain state of one message; export thread only.
 */
#ifndef WEIR_EXPORTER_DEPARTURE_H
#define WEIR_EXPORTER_DEPARTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "tstamp.h"

#define DEPARTURE_AFTER_NS NS_PER_S

/* All 0: no record yet. */
struct departure {
	bool any;
	int64_t first_ns; /* clock at the first record */
	int64_t last_ns;  /* greatest clock at a record */
};

/* A record goes in. */
static inline void departure_note(struct departure *d, struct pkt_time now)
{
	if (!d->any)
		*d = (struct departure){.any = true, .first_ns = now.ns, .last_ns = now.ns};
	if (now.ns > d->last_ns)
		d->last_ns = now.ns;
}

/* The clock at which it must leave; only when there is a record. */
static inline int64_t departure_due_ns(const struct departure *d)
{
	return d->first_ns + DEPARTURE_AFTER_NS + 1;
}

/* The time its header states when it leaves now. A clock that has jumped ahead passed the instant
 * at which the message was due; one that was set back is for the next message. */
static inline struct pkt_time departure_time(const struct departure *d, struct pkt_time now)
{
	if (!d->any)
		return now;
	if (now.ns > d->first_ns + DEPARTURE_AFTER_NS)
		now.ns = d->first_ns + DEPARTURE_AFTER_NS;
	if (now.ns < d->last_ns)
		now.ns = d->last_ns;
	return now;
}

#endif
