/*
 * The fragment cache (METERING.md §4): a first fragment lends its ports, and in IPv6 its protocol,
 * to the later ones of its train for 30 s of the clock. Holds FRAG_TRAINS trains; the oldest is
 * overwritten, and counted while it was still good. One thread; no allocation after init.
 */
#ifndef WEIR_FLOW_FRAG_H
#define WEIR_FLOW_FRAG_H

#include "counters.h"
#include "flow/key.h"
#include "packet.h"

#define FRAG_TRAINS 65536
#define FRAG_LIFE_NS (30 * NS_PER_S)

struct frag_cache;

/* `secret` and `counters` stay the caller's. ERR_NOMEM. */
int frag_cache_new(const struct flow_secret *secret, struct counters *counters,
		   struct frag_cache **ret_cache);
void frag_cache_free(struct frag_cache *cache);

/* For a packet with PACKET_FRAG_FIRST or PACKET_FRAG_LATER: remembers what the first one has, or
 * completes a later one (ports, PACKET_PORTS, IPv6 protocol). */
void frag_cache_apply(struct frag_cache *cache, struct packet *packet, uint8_t iface,
		      int64_t clock_ns);

/* Forgets all trains: the clock was set back. */
void frag_cache_clear(struct frag_cache *cache);

#endif
