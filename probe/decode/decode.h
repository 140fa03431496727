/*
 * Decode: from captured bytes to the view that is metered (METERING.md §2 to §4).
 *
 * A loop over a table of layers; each layer validates its header once and names the next. The
 * first IP header is metered, or an inner one where `decap_flags` lists the wrapper. No state
 * between packets; any thread.
 */
#ifndef WEIR_DECODE_H
#define WEIR_DECODE_H

#include "packet.h"

/* Decodes one packet. `decap_flags`: enum decap_flag of conf.h. Fills ret_packet (all members)
 * when the fate's counter is COUNTER_METERED; else its content is undefined. A first fragment that
 * was looked through as a wrapper is copied to ret_train (not NULL where wrappers are listed), else
 * that is left alone: it still lends its ports to the fragments behind it. */
struct fate decode_packet(uint32_t decap_flags, const struct raw_packet *raw,
			  struct packet *ret_packet, struct packet *ret_train);

#endif
