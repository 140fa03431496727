/* The flow table: packets of flows that are held, of new ones, and of new ones when it is full. */
#include "micro.h"

#include "conf.h"
#include "flow/table.h"

enum { BATCH = 32, FULL = 4096 };

const struct micro_mode micro_modes[] = {
	{"hit4", "flow_table_update, IPv4 flow that is held"},
	{"hit6", "the same, IPv6"},
	{"insert4", "the same, IPv4 packet of a new flow (a miss and an insert)"},
	{"insert6", "the same, IPv6"},
	{"evict4", "the same, IPv4, table full: an eviction, its record, an insert"},
	{"expire4", "flow_table_advance, IPv4 flow idle: sweep and record, of inserted flows"},
	{NULL, NULL},
};

struct bench {
	struct flow_table *table;
	struct flow_packet *packets;
	uint64_t held;
	int64_t end_ns;
	struct counters counters;
	struct flow_secret secret;
	union export_item item;
};

static union export_item *reserve(void *context)
{
	return &((struct bench *)context)->item;
}

static void commit(void *context)
{
	(void)context;
}

static void update(struct bench *b, struct flow_packet *packets)
{
	flow_table_update(b->table, packets, BATCH);
}

static void step(void *arg, uint64_t n)
{
	struct bench *b = arg;
	for (uint64_t i = 0; i < n; i += BATCH)
		update(b, &b->packets[i % b->held]);
}

static void step_expire(void *arg, uint64_t n)
{
	struct bench *b = arg;
	(void)n;
	flow_table_advance(b->table, b->end_ns);
}

static struct flow_packet *make_packets(struct bench *b, uint64_t n, int ip6)
{
	const struct raw_packet *raws = micro_packets(n, ip6, 0);
	struct flow_packet *packets = micro_array(n, sizeof(*packets));
	const struct flow_index index = flow_table_index(b->table);
	for (uint64_t i = 0; i < n; i++) {
		struct flow_packet *in = &packets[i];
		struct packet packet;
		micro_decode(&raws[i], &packet);
		in->side = (uint8_t)flow_key_make(&in->key, &packet, 0, KEY_DEFAULT);
		flow_index_place(&index, flow_key_hash(&in->key, false, &b->secret), in);
		in->sum = (struct packet_sum){
			.octets = packet.octets,
			.tcp_flags = packet.tcp_flags,
			.vlan = packet.vlan,
			.cvlan = packet.cvlan,
			.tos = packet.tos,
			.ttl = packet.ttl,
		};
		in->time_ns = in->clock_ns = raws[i].time.ns;
		in->number = i + 1;
		in->ingress = 1;
	}
	return packets;
}

/* All at one instant, so that packets can come round again: a clock never goes back. */
static void stop_clock(struct bench *b, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		b->packets[i].time_ns = b->packets[i].clock_ns = MICRO_T0_S * NS_PER_S;
}

void micro_run(const char *mode, uint64_t n, const char *workdir)
{
	(void)workdir;
	static struct bench b;
	const int hit = strncmp(mode, "hit", 3) == 0, evict = strcmp(mode, "evict4") == 0;
	flow_secret_from_seed(&b.secret, 1);
	n = (n + BATCH - 1) / BATCH * BATCH;
	b.held = hit ? FULL : n;
	const uint64_t before = evict ? FULL : 0;
	const struct flow_table_conf conf = {
		.flows = hit || evict ? FULL : 2 * n,
		.idle_ns = 15 * NS_PER_S,
		.active_ns = 60 * NS_PER_S,
		.linger_ns = 2 * NS_PER_S,
		.tos_mask = 0xfc,
		.secret = &b.secret,
		.counters = &b.counters,
		.sink = {&b, reserve, commit},
	};
	if (flow_table_new(&conf, &b.table) != 0)
		micro_die("flow_table_new");
	b.packets = make_packets(&b, b.held + before, strchr(mode, '6') != NULL);
	if (hit)
		stop_clock(&b, b.held);
	if (strcmp(mode, "expire4") == 0) {
		step(&b, n);
		b.end_ns = b.packets[n - 1].clock_ns + 17 * NS_PER_S;
		measured(step_expire, &b, n);
		if (flow_table_held(b.table) != 0)
			micro_die("expiry");
		return;
	}
	if (hit)
		step(&b, b.held);
	for (uint64_t i = 0; i < before; i += BATCH)
		update(&b, &b.packets[i]);
	b.packets += before;
	measured(step, &b, n);
	if (b.counters.v[COUNTER_FLOWS_CREATED] != b.held + before)
		micro_die("flows");
}
