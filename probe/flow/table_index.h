/*
 * The index of the flow table: buckets of tags and entry numbers, bounded linear probing, and in each
 * bucket how many entries' probes went on past it, so that a search knows where to end. A part of
 * table.c, inline for its loops.
 */
#ifndef WEIR_FLOW_TABLE_INDEX_H
#define WEIR_FLOW_TABLE_INDEX_H

#include "table_internal.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline uint32_t bucket_next(const struct flow_table *t, uint32_t b)
{
	return b + 1 == t->buckets ? 0 : b + 1;
}

/* Bit s set: slot s has the tag. Without a branch a slot, since which one it is cannot be guessed. */
static inline unsigned bucket_match(const struct bucket *bucket, uint16_t tag)
{
#ifdef __SSE2__
	const __m128i wanted = _mm_set1_epi16((short)tag);
	const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)bucket->tag);
	const __m128i high = _mm_loadl_epi64((const __m128i *)(const void *)(bucket->tag + 8));
	const __m128i same = _mm_packs_epi16(_mm_cmpeq_epi16(low, wanted),
					     _mm_cmpeq_epi16(high, wanted));
	return (unsigned)_mm_movemask_epi8(same) & ((1u << BUCKET_SLOTS) - 1);
#else
	unsigned match = 0;
	for (unsigned s = 0; s < BUCKET_SLOTS; s++)
		match |= (unsigned)(bucket->tag[s] == tag) << s;
	return match;
#endif
}

/* Enters a number; false when all buckets of its probe are full. */
static inline bool index_insert(struct flow_table *t, uint32_t home, uint16_t tag, uint32_t number)
{
	uint32_t b = home;
	for (unsigned probe = 0; probe < PROBE_MAX; probe++, b = bucket_next(t, b)) {
		struct bucket *bucket = &t->bucket[b];
		const unsigned empty = bucket_match(bucket, 0);
		if (empty == 0)
			continue;
		bucket->tag[__builtin_ctzll(empty)] = tag;
		bucket->entry[__builtin_ctzll(empty)] = number;
		for (uint32_t p = home; p != b; p = bucket_next(t, p))
			t->bucket[p].passed++;
		return true;
	}
	return false;
}

/* False when it is not where the hash leads. */
static inline bool index_remove(struct flow_table *t, uint64_t hash, uint32_t number)
{
	uint32_t home = flow_hash_home(t->buckets, hash), b = home;
	uint16_t tag = flow_hash_tag(hash);
	for (unsigned probe = 0; probe < PROBE_MAX; probe++, b = bucket_next(t, b)) {
		struct bucket *bucket = &t->bucket[b];
		for (unsigned match = bucket_match(bucket, tag); match != 0; match &= match - 1) {
			const unsigned s = (unsigned)__builtin_ctzll(match);
			if (bucket->entry[s] != number)
				continue;
			bucket->tag[s] = 0;
			for (uint32_t p = home; p != b; p = bucket_next(t, p))
				t->bucket[p].passed--;
			return true;
		}
	}
	return false;
}

#endif
