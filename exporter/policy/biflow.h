/*
 * A number for a flow: the same for both of its directions, all of its records, and the flows of
 * the same addresses, protocol and ports before and after it. For decisions that have to be the
 * same for all of them. Any thread.
 */
#ifndef WEIR_EXPORTER_BIFLOW_H
#define WEIR_EXPORTER_BIFLOW_H

#include "flow.h"

/* All of it is key: who does not know it cannot choose what the hash gives. */
struct biflow_secret {
	uint8_t bytes[192]; /* XXH3_64bits_withSecret wants at least 136 */
};

void biflow_secret_from_seed(struct biflow_secret *secret, uint64_t seed);

/* Keyed hash of both ends, whichever of them is the source. ICMP has no ports. */
uint64_t biflow_hash(const struct flow_record *r, const struct biflow_secret *secret);

#endif
