/*
 * Which packets the short cut is for: plain ones (decode/plain.h) with two sides, of a metering that
 * asks for nothing special. worker_plain.c meters them, deal.c sorts them.
 */
#ifndef WEIR_SHORT_CUT_H
#define WEIR_SHORT_CUT_H

#include "conf.h"
#include "flow/key_plain.h"

/* Is there one? Not with keys of more or fewer members, nor where copies are looked for. */
static inline bool short_cut_is_there(const struct conf *conf)
{
	return conf->key_flags & KEY_PORTS && !(conf->key_flags & (KEY_VLAN | KEY_MAC)) &&
	       conf->sample.mode != SAMPLING_FLOW && conf->dedup_ns == 0;
}

/* Is it plain, and has it two sides? `looks_into_udp`: UDP may be a wrapper, of which the addresses
 * do not tell whose it is. */
static inline __attribute__((always_inline)) bool
short_cut_takes(const struct plain_link *link, bool ip6, bool looks_into_udp,
		struct plain_ends *ret_ends)
{
	if (!plain_is_ip(link, ip6))
		return false;
	plain_ends(link, ip6, ret_ends);
	if (looks_into_udp && ret_ends->ip_proto != IP_PROTO_TCP)
		return false;
	return __builtin_expect(!key_is_twin(ret_ends, ip6), 1);
}

#endif
