/*
 * The flow table of one worker: held flows, their records in the making, and when they end
 * (METERING.md §4 to §7).
 *
 * Share-nothing and sized at start. Three parts:
 *   - buckets of one cache line: tags of the hash and entry numbers, bounded linear probing;
 *   - entries of one cache line, all that an established IPv4 flow's packet touches. Beside them
 *     arrays of what beginnings, ends and records need, of the rest of IPv6 addresses, and of what
 *     odd flows have; of MACs and egress interfaces only when somebody asks;
 *   - a timing wheel of deadlines, checked lazily: a packet only writes its time.
 *
 * The table never reads a clock: every packet and every advance brings `now`. Ended records go to
 * a sink. Rejected: growing tables (a pause when it hurts most), chains of flows (a miss each),
 * LRU lists (two writes to other flows a packet).
 *
 * One thread.
 */
#ifndef WEIR_FLOW_TABLE_H
#define WEIR_FLOW_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "counters.h"
#include "flow.h"
#include "flow/key.h"
#include "packet.h"

struct flow_table;
struct entry;

/* Ticks of the wheel are 2^28 ns, 0.27 s: more often than once a tick a sweep finds nothing. */
#define FLOW_TICK_SHIFT 28

static inline uint64_t flow_tick(int64_t ns)
{
	return (uint64_t)ns >> FLOW_TICK_SHIFT;
}

/* Most flows of one 5-tuple and interface held at once (METERING.md §5). */
#define FLOW_SIBLINGS_MAX 8

/* Where ended records go. */
struct flow_sink {
	void *context;
	/* A slot to fill, the same one until it is committed; NULL when there is no room: a sweep then
	 * leaves the flow for later, any other end counts the record as lost. */
	union export_item *(*reserve)(void *context);
	void (*commit)(void *context);
	/* Not NULL: nobody reads records. Then only this is called, once for each that was made. */
	void (*discard)(void *context);
};

struct flow_table_conf {
	uint64_t flows;            /* entries, at least 64 */
	int64_t idle_ns, active_ns, linger_ns;
	uint8_t tos_mask;          /* 0 takes ToS out of the key */
	bool key_vlan, key_mac;    /* they are in the key (key_flags of flow_key_make) */
	bool keep_macs;            /* the records are to carry them */
	bool keep_egress;          /* and where packets leave */
	uint32_t worker;           /* goes on the records */
	const struct flow_secret *secret; /* the caller's; outlives the table */
	struct counters *counters; /* the caller's; outlives the table */
	struct flow_sink sink;
};

/* With a side: a flow that the packet begins is its destination's (flow_key_turns). Plain packets come
 * without; the table looks at their TCP flags itself. */
#define FLOW_ANSWERS 2

/* A packet as the table takes it. Its bytes are still the input's. */
struct flow_packet {
	struct flow_key key;   /* as far as its hash goes */
	uint32_t home;         /* flow_index_place: its home bucket, in words of 8 bytes */
	uint16_t tag;
	uint8_t side;          /* 0 or 1, with FLOW_ANSWERS or without */
	int64_t time_ns;       /* its own time */
	int64_t clock_ns;      /* its arrival: the clock, time_ns <= clock_ns */
	struct packet_sum sum;
	uint64_t number;       /* becomes the id of a flow it begins; ids of a table only grow */
	const uint8_t *macs;   /* destination then source, or NULL */
	uint32_t ingress;
	uint32_t egress;       /* read with keep_egress only */
	struct entry *hint;    /* the table's own: what the prefetch saw */
};

/* ERR_NOMEM, ERR_INVAL. */
int flow_table_new(const struct flow_table_conf *conf, struct flow_table **ret_table);
void flow_table_free(struct flow_table *table);

/* Fetches the table's memory ahead of need, until `*stop` is set; may take seconds. Any thread, while
 * the table is in use. */
void flow_table_populate(struct flow_table *table, const atomic_bool *stop);

/* Where the index is; as long as the table. */
struct flow_index {
	const char *bucket;
	uint32_t buckets;
};

#define FLOW_BUCKET_BYTES 64

struct flow_index flow_table_index(const struct flow_table *table);

/* Home bucket by multiply and shift, so that their number need not be a power of two. */
static inline uint32_t flow_hash_home(uint32_t buckets, uint64_t hash)
{
	return (uint32_t)(((hash >> 32) * buckets) >> 32);
}

/* Never 0, which is an empty slot. */
static inline uint16_t flow_hash_tag(uint64_t hash)
{
	return (uint16_t)hash | 1;
}

/* Tells the packet its place, from the flow_key_hash of its key, and starts fetching the bucket; a
 * batch of packets or so before its update. */
static inline void flow_index_place(const struct flow_index *index, uint64_t hash,
				    struct flow_packet *in)
{
	in->home = flow_hash_home(index->buckets, hash) * (FLOW_BUCKET_BYTES / 8);
	in->tag = flow_hash_tag(hash);
	__builtin_prefetch(index->bucket + (size_t)in->home * 8, 1);
}

/* Counts packets in their flows, beginning those that are not held (METERING.md §5, §6), in turn.
 * Clocks of successive packets never decrease, except after flow_table_flush. Sets the hints. */
void flow_table_update(struct flow_table *table, struct flow_packet *in, unsigned n);

/* Lets leave what is due by `clock_ns`. Decides only when a record leaves. */
void flow_table_advance(struct flow_table *table, int64_t clock_ns);

/* Ends all that is held: what is due at `clock_ns` first by its own reason, the rest by reason 4.
 * The table is empty afterwards and the clock may start anew anywhere. */
void flow_table_flush(struct flow_table *table, int64_t clock_ns);

/* Flows held. */
uint64_t flow_table_held(const struct flow_table *table);

/* Packets in records not ended yet; walks the table. */
uint64_t flow_table_held_packets(const struct flow_table *table);

/* Bytes reserved, all told. */
uint64_t flow_table_bytes(const struct flow_table *table);

/* Bytes that a table reserves for each flow, with what it is to keep. */
uint64_t flow_table_bytes_per_flow(bool keep_macs, bool keep_egress);

/* Do buckets, entries, free list and wheel agree? For tests; walks everything. */
bool flow_table_is_consistent(const struct flow_table *table);

#endif
