/*
 * Key and hash of a plain packet, inline and without a branch on what packets differ in: the same
 * bytes that flow_key_make gives (a test compares the two). For keys of addresses, protocol, ports
 * and interface alone.
 */
#ifndef WEIR_FLOW_KEY_PLAIN_H
#define WEIR_FLOW_KEY_PLAIN_H

#include <stddef.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "decode/plain.h"
#include "flow/key.h"

static inline uint64_t key_hash_bytes(const void *bytes, size_t n, const struct flow_secret *secret)
{
	return XXH3_64bits_withSecret(bytes, n, secret->bytes, FLOW_SECRET_BYTES);
}

/* Both ports where word 1 has them. `port`: source | destination << 16, turned if the source is
 * side 1. */
static inline uint64_t key_port_word(uint32_t port, unsigned side)
{
	const unsigned turn = side * 16;
	return (uint32_t)(port << turn | port >> (-turn & 31));
}

/*
 * The first 16 bytes of a key are written as two words: a hash that reads words just after they were
 * written in smaller pieces waits for the store buffer, some 5 ns a packet. `addr` and `port` are
 * source | destination << half, turned if the source is side 1; `rest` is what follows the ports.
 */
static inline void key_put(struct flow_key *key, uint64_t addr, uint32_t port, unsigned side,
			   uint64_t rest)
{
	const unsigned turn = side * 32;
	key->word[0] = addr << turn | addr >> (-turn & 63);
	key->word[1] = key_port_word(port, side) | rest;
}

/* What follows the ports in word 1. */
static inline uint64_t key_rest(uint8_t ip_proto, unsigned meta, uint8_t iface)
{
	return (uint64_t)ip_proto << 32 | (uint64_t)meta << 40 | (uint64_t)iface << 48;
}
_Static_assert(offsetof(struct flow_key, port) == 8 && offsetof(struct flow_key, ip_proto) == 12 &&
		       offsetof(struct flow_key, meta) == 13 &&
		       offsetof(struct flow_key, iface) == 14 &&
		       offsetof(struct flow_key, upper) == 16,
	       "the words of a key");

/*
 * The order of the ends is that of the sides, side 0 first: any total order serves, these cost little.
 * Addresses decide, as numbers of this machine; ports where they are the same. Returns the side of the
 * source.
 */
static inline unsigned key_side4(uint32_t src, uint32_t dst, uint32_t ports)
{
	if (__builtin_expect(src == dst, 0))
		return ports >> 16 > (ports & 0xffff);
	return src > dst;
}

static inline unsigned key_side6(const uint64_t src[2], const uint64_t dst[2], uint32_t ports)
{
	const unsigned __int128 s = (unsigned __int128)src[1] << 64 | src[0];
	const unsigned __int128 d = (unsigned __int128)dst[1] << 64 | dst[0];
	if (__builtin_expect(s == d, 0))
		return ports >> 16 > (ports & 0xffff);
	return s > d;
}

/* Are both ends of a packet one and the same? Such a packet has no sides: flow_key_make's. */
static inline bool key_is_twin(const struct plain_ends *ends, bool ip6)
{
	if (ends->src[0] != ends->dst[0] || ends->ports >> 16 != (ends->ports & 0xffff))
		return false;
	return !ip6 || ends->src[1] == ends->dst[1];
}

/* Keyed, symmetric and cheap, for dividing packets among workers: who could guess it would load one
 * of them. A product of what only the key makes of two numbers. */
static inline uint64_t key_fold(uint64_t a, uint64_t b, uint64_t key)
{
	const unsigned __int128 product = (unsigned __int128)(a ^ key) * (b ^ key);
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Of an address pair, the same for both directions: flow_share. `src` and `dst` are addresses as
 * they lie in the packet. */
static inline uint64_t key_share4(const uint8_t *src, const uint8_t *dst,
				  const struct flow_secret *secret)
{
	/* over all 64 bits: if factors differ below alone the product hardly differs above */
	const uint64_t spread = UINT64_C(0x9e3779b97f4a7c15);
	return key_fold(le32(src) * spread, le32(dst) * spread, le64(secret->bytes));
}

static inline uint64_t key_share6(const uint8_t *src, const uint8_t *dst,
				  const struct flow_secret *secret)
{
	const uint64_t key = le64(secret->bytes), upper = le64(secret->bytes + 8);
	const uint64_t s = key_fold(le64(src) ^ upper, le64(src + 8), key);
	const uint64_t d = key_fold(le64(dst) ^ upper, le64(dst + 8), key);
	return key_fold(s, d, key);
}

static inline void put64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* The first 16 bytes of the key, or 40 for IPv6; the rest is left as it was. Not for twins. `rest`:
 * key_rest of what all packets have in common. Return the hash. */
static inline __attribute__((always_inline)) uint64_t
key_plain4(const struct plain_ends *ends, uint64_t rest, const struct flow_secret *secret,
	   struct flow_key *key, uint8_t *ret_side)
{
	const unsigned side = key_side4((uint32_t)ends->src[0], (uint32_t)ends->dst[0], ends->ports);
	struct flow_key k; /* in registers */
	key_put(&k, ends->src[0] | ends->dst[0] << 32, ends->ports << 16 | ends->ports >> 16, side,
		rest | key_rest(ends->ip_proto, 0, 0));
	key->word[0] = k.word[0];
	key->word[1] = k.word[1];
	*ret_side = (uint8_t)side;
	return key_hash_bytes(k.word, sizeof(k.word), secret);
}

static inline __attribute__((always_inline)) uint64_t
key_plain6(const struct plain_ends *ends, uint64_t rest, const struct flow_secret *secret,
	   struct flow_key *key, uint8_t *ret_side)
{
	const uint64_t *src = ends->src, *dst = ends->dst;
	const unsigned side = key_side6(src, dst, ends->ports);
	/* a: the address of side 0, b: of side 1, both in network order */
	const uint64_t turn = -(uint64_t)side;
	const uint64_t turn0 = (src[0] ^ dst[0]) & turn, turn1 = (src[1] ^ dst[1]) & turn;
	const uint64_t a0 = src[0] ^ turn0, a1 = src[1] ^ turn1;
	const uint64_t b0 = dst[0] ^ turn0, b1 = dst[1] ^ turn1;
	const uint64_t rest6 = rest | key_rest(ends->ip_proto, KEY_META_IPV6, 0);
	const uint64_t word[] = {
		a1 >> 32 | b1 >> 32 << 32,
		key_port_word(ends->ports << 16 | ends->ports >> 16, side) | rest6,
		a0,
		(uint32_t)a1 | b0 << 32,
		b0 >> 32 | b1 << 32,
	};
	/* one by one from registers, as wide as they are read again: see key_put */
	key->word[0] = word[0];
	key->word[1] = word[1];
	put64(&key->upper[0][0], word[2]);
	put64(&key->upper[0][8], word[3]);
	put64(&key->upper[1][4], word[4]);
	*ret_side = (uint8_t)side;
	return key_hash_bytes(word, sizeof(word), secret);
}

#endif
