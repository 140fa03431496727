/*
 * The flow table of one worker: held flows, their records in the making, and when they end
 * (METERING.md §4 to §7).
 *
 * Share-nothing and sized at start. Three parts:
 *   - buckets of one cache line: tags of the hash and entry numbers, bounded linear probing;
 *   - entries of two cache lines; all that an established IPv4 flow's packet touches is in the
 *     first. Beside them an array of rarer members, and one of MACs only when somebody asks;
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

#include <stdbool.h>
#include <stdint.h>

#include "counters.h"
#include "flow.h"
#include "flow/key.h"
#include "packet.h"

struct flow_table;

/* Ticks of the wheel are 2^28 ns, 0.27 s: more often than once a tick a sweep finds nothing. */
#define FLOW_TICK_SHIFT 28

/* Most flows of one 5-tuple and interface held at once (METERING.md §5). */
#define FLOW_SIBLINGS_MAX 8

/* Where ended records go. */
struct flow_sink {
	void *context;
	/* A slot to fill, the same one until it is committed; NULL when there is no room: a sweep then
	 * leaves the flow for later, any other end counts the record as lost. */
	union export_item *(*reserve)(void *context);
	void (*commit)(void *context);
};

struct flow_table_conf {
	uint64_t flows;            /* entries, at least 64 */
	int64_t idle_ns, active_ns, linger_ns;
	uint8_t tos_mask;          /* 0 takes ToS out of the key */
	bool key_vlan, key_mac;    /* they are in the key (key_flags of flow_key_make) */
	bool keep_macs;            /* the records are to carry them */
	uint32_t worker;           /* goes on the records */
	const struct flow_secret *secret; /* the caller's; outlives the table */
	struct counters *counters; /* the caller's; outlives the table */
	struct flow_sink sink;
};

/* A decoded packet as the table takes it. */
struct flow_packet {
	struct packet packet;
	struct flow_key key;
	uint64_t hash;         /* flow_key_hash of key */
	int64_t time_ns;       /* its own time */
	int64_t clock_ns;      /* its arrival: the clock, time_ns <= clock_ns */
	uint32_t hint;         /* entry that the prefetch saw, or FLOW_HINT_NONE */
	uint64_t number;       /* becomes the id of a flow it begins; ids of a table only grow */
	uint32_t ingress;
	uint8_t side;
};

/* ERR_NOMEM, ERR_INVAL. */
int flow_table_new(const struct flow_table_conf *conf, struct flow_table **ret_table);
void flow_table_free(struct flow_table *table);

#define FLOW_HINT_NONE UINT32_MAX

/* Starts fetching the memory that a packet's update will touch: first the bucket, then, a batch
 * later, the entry, whose number becomes in->hint. Hints only: without them, FLOW_HINT_NONE. */
void flow_table_prefetch_bucket(const struct flow_table *table, const struct flow_packet *in);
void flow_table_prefetch_entry(const struct flow_table *table, struct flow_packet *in);

/* Counts a packet in its flow, beginning one if none is held (METERING.md §5, §6). Clocks of
 * successive packets never decrease, except after flow_table_flush. */
void flow_table_update(struct flow_table *table, const struct flow_packet *in);

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

/* Bytes that a table of so many flows reserves. */
uint64_t flow_table_bytes_per_flow(bool keep_macs);

/* Do buckets, entries, free list and wheel agree? For tests; walks everything. */
bool flow_table_is_consistent(const struct flow_table *table);

#endif
