/* Canonical keys and their hashes; key.h tells the design. */
#include "key.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "conf.h"
#include "err.h"
#include "flow/key_plain.h"
#include "splitmix.h"
#include "wire.h"

enum {
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_ICMP6 = 58,
	TCP_SYN = 0x02,
	TCP_ACK = 0x10
};

/* METERING.md §5: the only ICMP types that have a reverse. */
static const struct icmp_pair {
	uint8_t ip_proto;
	uint16_t request, reply; /* type * 256 + code */
} icmp_pairs[] = {
	{PROTO_ICMP, 8 << 8, 0 << 8},
	{PROTO_ICMP, 13 << 8, 14 << 8},
	{PROTO_ICMP, 15 << 8, 16 << 8},
	{PROTO_ICMP, 17 << 8, 18 << 8},
	{PROTO_ICMP6, 128 << 8, 129 << 8},
};
#define ICMP_PAIRS (sizeof(icmp_pairs) / sizeof(icmp_pairs[0]))

static const struct icmp_pair *find_pair(uint8_t ip_proto, uint16_t type_code)
{
	for (unsigned i = 0; i < ICMP_PAIRS; i++) {
		const struct icmp_pair *p = &icmp_pairs[i];
		if (p->ip_proto == ip_proto && (p->request == type_code || p->reply == type_code))
			return p;
	}
	return NULL;
}

uint16_t flow_key_icmp_reply(uint8_t ip_proto, uint16_t request)
{
	const struct icmp_pair *pair = find_pair(ip_proto, request);
	return pair != NULL ? pair->reply : 0;
}

/* What a key is made of, in registers. */
struct parts {
	uint16_t port[2];
	unsigned side; /* where the packet's source goes */
	unsigned meta;
};

/* Writes a key whose ports are those of side 0 and 1. */
static void put(struct flow_key *key, const struct packet *p, const struct parts *parts,
		uint8_t iface)
{
	const unsigned upper = p->ip_version == 6 ? 12 : 0, side = parts->side;
	key_put(key, le32(p->src + upper) | (uint64_t)le32(p->dst + upper) << 32,
		parts->port[side] | (uint32_t)parts->port[side ^ 1] << 16, side,
		key_rest(p->ip_proto, parts->meta, iface));
	memset(key->upper, 0, sizeof(*key) - offsetof(struct flow_key, upper));
	if (upper != 0) {
		memcpy(key->upper[side], p->src, 12);
		memcpy(key->upper[side ^ 1], p->dst, 12);
	}
}

/* ICMP with its type in the key: requester first where it is a pair, else as it stands. */
static void arrange_icmp(struct parts *parts, const struct packet *p)
{
	if (!(p->flags & PACKET_PORTS)) {
		parts->meta |= KEY_META_ICMP_UNKNOWN;
		return;
	}
	const struct icmp_pair *pair = find_pair(p->ip_proto, p->dport);
	parts->meta |= KEY_META_ICMP | (pair != NULL ? KEY_META_PAIR : 0);
	parts->side = pair != NULL && p->dport == pair->reply;
	parts->port[1] = pair != NULL ? pair->request : p->dport;
}

/* All else: the lesser address and port first. */
static void arrange(struct parts *parts, const struct packet *p, uint32_t key_flags)
{
	const uint16_t sport = key_flags & KEY_PORTS ? p->sport : 0;
	const uint16_t dport = key_flags & KEY_PORTS ? p->dport : 0;
	const bool ip6 = p->ip_version == 6;
	struct plain_ends ends = {.ports = (uint32_t)sport << 16 | dport};
	if (ip6) {
		memcpy(ends.src, p->src, 16);
		memcpy(ends.dst, p->dst, 16);
		parts->side = key_side6(ends.src, ends.dst, ends.ports);
	} else {
		ends.src[0] = le32(p->src);
		ends.dst[0] = le32(p->dst);
		parts->side = key_side4(le32(p->src), le32(p->dst), ends.ports);
	}
	if (key_is_twin(&ends, ip6))
		parts->meta |= KEY_META_TWIN;
	parts->port[parts->side] = sport;
	parts->port[parts->side ^ 1] = dport;
}

static void place_l2(struct flow_key *key, const struct packet *p, unsigned side,
		     uint32_t key_flags)
{
	if (key_flags & KEY_VLAN)
		key->vlan = p->vlan;
	if (key_flags & KEY_MAC && p->flags & PACKET_MACS) {
		memcpy(key->mac[side], p->macs + 6, 6);
		memcpy(key->mac[side ^ 1], p->macs, 6);
	}
}

unsigned flow_key_make(struct flow_key *key, const struct packet *p, uint8_t iface,
		       uint32_t key_flags)
{
	struct parts parts = {.meta = p->ip_version == 6 ? KEY_META_IPV6 : 0};
	if (packet_is_icmp(p) && key_flags & KEY_PORTS)
		arrange_icmp(&parts, p);
	else
		arrange(&parts, p, key_flags);
	put(key, p, &parts, key_flags & KEY_INTERFACE ? iface : 0);
	if (key_flags & (KEY_VLAN | KEY_MAC))
		place_l2(key, p, parts.side, key_flags);
	return parts.side;
}

bool flow_key_turns(const struct flow_key *key, const struct packet *p, unsigned side)
{
	if (key->meta & KEY_META_TWIN)
		return false;
	if (p->ip_proto == PROTO_TCP)
		return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
	if (key->meta & KEY_META_PAIR)
		return side == 1;
	/* Ports taken out of the key: a reply still is a reply. */
	if (!packet_is_icmp(p))
		return false;
	const struct icmp_pair *pair =
		p->flags & PACKET_PORTS ? find_pair(p->ip_proto, p->dport) : NULL;
	return pair != NULL && p->dport == pair->reply;
}

uint64_t flow_key_hash(const struct flow_key *key, bool full, const struct flow_secret *secret)
{
	if (full)
		return key_hash_bytes(key, FLOW_KEY_FULL_BYTES, secret);
	if (key->meta & KEY_META_IPV6)
		return key_hash_bytes(key, FLOW_KEY_IP6_BYTES, secret);
	return key_hash_bytes(key, FLOW_KEY_IP4_BYTES, secret);
}

uint64_t flow_share(const struct packet *p, const struct flow_secret *secret)
{
	return p->ip_version == 4 ? key_share4(p->src, p->dst, secret)
				  : key_share6(p->src, p->dst, secret);
}

uint64_t flow_key_sample(const struct flow_key *key, const struct flow_secret *secret)
{
	struct flow_key k = *key;
	k.iface = 0;
	k.vlan = 0;
	memset(k.mac, 0, sizeof(k.mac));
	/* The table's hash of the same bytes must not decide who is sampled: another length. */
	return key_hash_bytes(&k, FLOW_KEY_FULL_BYTES, secret);
}

void flow_secret_from_seed(struct flow_secret *secret, uint64_t seed)
{
	for (unsigned i = 0; i < FLOW_SECRET_BYTES; i += 8) {
		uint64_t v = splitmix64(&seed);
		memcpy(secret->bytes + i, &v, 8);
	}
}

int flow_secret_random(struct flow_secret *secret)
{
	return getrandom(secret->bytes, FLOW_SECRET_BYTES, 0) == FLOW_SECRET_BYTES ? 0 : -errno;
}
