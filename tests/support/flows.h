/*
 * For unit tests of the flow table: packets made from a few numbers, and a sink that keeps what
 * ends. Times are given in milliseconds.
 */
#ifndef WEIR_TESTS_FLOWS_H
#define WEIR_TESTS_FLOWS_H

#include <string.h>

#include "conf.h"
#include "flow/table.h"

enum {
	ICMP = 1,
	TCP = 6,
	UDP = 17,
	FIN = 0x01,
	SYN = 0x02,
	RST = 0x04,
	ACK = 0x10
};

#define MS(n) ((int64_t)(n) * 1000000)

/* A table, its counters, and the records that left it. */
struct bench {
	struct flow_table *table;
	struct counters counters;
	struct flow_secret secret;
	uint32_t key_flags;
	int64_t clock;
	uint64_t number;
	unsigned records;
	union export_item kept[4096];
	union export_item scratch; /* past the last one kept */
	uint64_t packets;          /* in all records */
};

static union export_item *bench_reserve(void *context)
{
	struct bench *b = context;
	return b->records < 4096 ? &b->kept[b->records] : &b->scratch;
}

static void bench_commit(void *context)
{
	struct bench *b = context;
	union export_item *item = bench_reserve(b);
	b->packets += item->record.dir[0].packets + item->record.dir[1].packets;
	b->records++;
}

static inline struct flow_table_conf bench_conf(struct bench *b)
{
	return (struct flow_table_conf){
		.flows = 256,
		.idle_ns = MS(15000),
		.active_ns = MS(60000),
		.linger_ns = MS(2000),
		.tos_mask = 0xfc,
		.secret = &b->secret,
		.counters = &b->counters,
		.sink = {b, bench_reserve, bench_commit},
	};
}

static inline void bench_open(struct bench *b, const struct flow_table_conf *conf)
{
	flow_table_new(conf, &b->table);
}

static inline void bench_init(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	memset(b->kept, 0xa5, sizeof(b->kept)); /* a slot may hold anything */
	b->key_flags = KEY_DEFAULT;
	flow_secret_from_seed(&b->secret, 7);
	struct flow_table_conf conf = bench_conf(b);
	bench_open(b, &conf);
}

static inline void bench_fini(struct bench *b)
{
	flow_table_free(b->table);
}

/* A packet: hosts are last bytes of 10.0.0.x. */
struct shot {
	uint8_t from, to;
	uint16_t sport, dport;
	uint8_t proto;
	uint16_t tcp_flags;
	uint8_t tos;
	uint8_t ttl;
	uint32_t octets;
	bool no_ports;
};

static inline void bench_packet_late(struct bench *b, int64_t time, struct shot s)
{
	const uint8_t src[4] = {10, 0, 0, s.from}, dst[4] = {10, 0, 0, s.to};
	const struct packet packet = {
		.src = src,
		.dst = dst,
		.sport = s.sport,
		.dport = s.dport,
		.tcp_flags = s.tcp_flags,
		.ip_version = 4,
		.ip_proto = s.proto != 0 ? s.proto : UDP,
		.flags = s.no_ports ? 0 : PACKET_PORTS,
	};
	struct flow_packet in = {
		.sum = {.octets = s.octets != 0 ? s.octets : 100,
			.tcp_flags = s.tcp_flags,
			.vlan = FLOW_VLAN_NONE,
			.cvlan = FLOW_VLAN_NONE,
			.tos = s.tos,
			.ttl = s.ttl},
		.time_ns = time,
		.number = ++b->number,
		.ingress = 1,
	};
	const bool full = (b->key_flags & (KEY_VLAN | KEY_MAC)) != 0;
	const struct flow_index index = flow_table_index(b->table);
	if (time > b->clock)
		b->clock = time;
	in.clock_ns = b->clock;
	in.side = (uint8_t)flow_key_make(&in.key, &packet, 0, b->key_flags);
	in.side |= flow_key_turns(&in.key, &packet, in.side) ? FLOW_ANSWERS : 0;
	flow_index_place(&index, flow_key_hash(&in.key, full, &b->secret), &in);
	flow_table_update(b->table, &in, 1);
}

static inline void bench_packet(struct bench *b, int64_t time, struct shot s)
{
	bench_packet_late(b, time, s);
}

static inline const struct flow_record *bench_record(const struct bench *b, unsigned i)
{
	return &b->kept[i].record;
}

#endif
