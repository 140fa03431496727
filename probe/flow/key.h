/*
 * The flow key as the table stores it (METERING.md §4, §5).
 *
 * Canonical: both directions of a flow give the same bytes, and `side` tells which direction a
 * packet is of. Sides are ordered by address and port; ICMP is not ordered but keyed by requester
 * and responder with the request's type, and other ICMP, which has no reverse, as it stands.
 *
 * The first 16 bytes are all there is to an IPv4 key; IPv6 adds the upper 12 bytes of each address;
 * VLAN and MACs follow only where `key` asks for them.
 */
#ifndef WEIR_FLOW_KEY_H
#define WEIR_FLOW_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

enum key_meta {
	KEY_META_IPV6 = 1 << 0,
	KEY_META_ICMP_UNKNOWN = 1 << 1, /* ICMP whose type was not captured */
	KEY_META_ICMP = 1 << 2,         /* port[1] is a type and code; no sides unless a pair */
	KEY_META_PAIR = 1 << 3,         /* ICMP with a reply of METERING.md §5 */
	KEY_META_TWIN = 1 << 4,         /* source and destination are equal: there is one side */
};

struct flow_key {
	union {
		struct {
			uint32_t addr[2]; /* last 4 bytes of each side's address, network order */
			uint16_t port[2]; /* host order */
			uint8_t ip_proto;
			uint8_t meta;     /* enum key_meta */
			uint8_t iface;    /* logical input */
			uint8_t reserved;
		};
		uint64_t word[2];
	};
	uint8_t upper[2][12]; /* IPv6: the first 12 bytes of each side's address; else 0 */
	uint8_t mac[2][6];   /* with KEY_MAC; else 0 */
	uint16_t vlan;       /* with KEY_VLAN; else 0 */
	uint16_t reserved2;
};

enum {
	FLOW_KEY_IP4_BYTES = 16,
	FLOW_KEY_IP6_BYTES = 40,
	FLOW_KEY_FULL_BYTES = 56
};
_Static_assert(sizeof(struct flow_key) == FLOW_KEY_FULL_BYTES, "key bytes are hashed as they lie");

/* Bytes of a hash secret; all of them are key (XXH3_64bits_withSecret wants at least 136). */
#define FLOW_SECRET_BYTES 192

struct flow_secret {
	uint8_t bytes[FLOW_SECRET_BYTES];
};

/* A secret that `seed` alone decides (a replay), or a random one from the kernel (live). */
void flow_secret_from_seed(struct flow_secret *secret, uint64_t seed);
int flow_secret_random(struct flow_secret *secret);

/* The key of a packet; `key_flags` is enum key_flag of conf.h. Returns the packet's side, 0 or 1. */
unsigned flow_key_make(struct flow_key *key, const struct packet *packet, uint8_t iface,
		       uint32_t key_flags);

/* Does the packet open a flow for its destination: SYN with ACK, or an ICMP reply (§5)? */
bool flow_key_turns(const struct flow_key *key, const struct packet *packet, unsigned side);

/* Keyed hash of a key's bytes (16, 40 or 56 of them). */
uint64_t flow_key_hash(const struct flow_key *key, bool full, const struct flow_secret *secret);

/* Keyed hash of the address pair alone, the same for both directions and all fragments: which
 * worker's a packet is. */
uint64_t flow_share(const struct packet *packet, const struct flow_secret *secret);

/* Which of so many workers' a share is. Multiply and shift: a division would cost as much as the
 * hash. */
static inline unsigned flow_share_owner(uint64_t share, unsigned workers)
{
	return (unsigned)((uint64_t)(uint32_t)(share >> 32) * workers >> 32);
}

/* Keyed hash that flow sampling decides by (§8): addresses, protocol, ports. */
uint64_t flow_key_sample(const struct flow_key *key, const struct flow_secret *secret);

/* The type * 256 + code of a request's reply; `request` must be one of a pair. */
uint16_t flow_key_icmp_reply(uint8_t ip_proto, uint16_t request);

#endif
