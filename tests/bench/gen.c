/*
 * Makes the benchmark's captures: a seed, a workload and two sizes give the same bytes everywhere,
 * and the ground truth (packets, octets, biflows) goes to standard output as one JSON object.
 *
 * A flow is a number; mix64, which is a bijection, turns it into addresses and ports, so no two
 * flows are ever alike and none is stored. What is stored is a counter a flow: how many packets it
 * will have (so that TCP connections can end with FINs) and whether it was seen.
 *
 *   A  IMIX, TCP and UDP, flows picked by Zipf 1.0
 *   B  64-byte frames, flows in turn
 *   C  flood: 64-byte frames, SYNs from new flows, every fourth answered once a little later
 *   D  IMIX, flows picked by Zipf 0.8, half IPv6, half VLAN-tagged, nanosecond file
 *   V  B's flows in IPv6
 *   U  64-byte frames: every flow's first packet and its answer, in turn, then flows picked alike (cost
 *      against flows)
 *   E  nine frames of C's flood, then one of `flows` established flows in turn (10.200.0.0/14)
 *
 * IPv4 header checksums are right; transport checksums are 0, since no meter looks at them.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SNAP = 128,
	OUT_SIZE = 4 << 20,
	FRAME_FIXED = 64,     /* of B, C, E and U */
	FRAME_FIXED6 = 84,    /* of V */
	FLOOD_PERIOD = 5,     /* four new flows, then the answer to an older one */
	FLOOD_LAG = 256,      /* periods until the answer: 1280 packets */
	BACKGROUND_EVERY = 10
};

enum { FIN = 1, SYN = 2, PSH = 8, ACK = 16 };

struct options {
	char workload;
	uint64_t packets;
	uint32_t flows;
	uint64_t seed;
	double pps;
	double zipf; /* exponent of the flows' shares */
	const char *path;
	bool nanoseconds;
};

/* What a flow's packets look like; all of it follows from its number. */
struct flow {
	uint32_t client, server; /* 24 bits each */
	uint16_t client_port, server_port;
	uint8_t ip_proto;
	bool ip6, vlan;
	bool background;
};

struct frame {
	uint8_t bytes[SNAP];
	uint32_t caplen, wirelen;
};

struct truth {
	uint64_t packets, octets, wire, biflows, ip6_packets, vlan_packets;
};

struct gen {
	struct options opt;
	uint64_t rng;
	double *alias_keep;    /* Walker's alias method: Zipf in two accesses a draw */
	uint32_t *alias_other;
	uint32_t *left;        /* packets that a flow still has to come (A, D) */
	uint8_t *seen;
	struct truth truth;
	int fd;
	uint8_t *out;
	size_t out_len;
	double clock_ns;
};

static void die(const char *what)
{
	fprintf(stderr, "gen: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *array(size_t n, size_t size)
{
	void *p = calloc(n, size);
	if (p == NULL)
		die("memory");
	return p;
}

/* ---- randomness ----------------------------------------------------------------------------- */

/* splitmix64's finaliser. */
static uint64_t mix64(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t random64(struct gen *g)
{
	return mix64(g->rng += 0x9e3779b97f4a7c15u);
}

static uint32_t random_below(struct gen *g, uint32_t n)
{
	return (uint32_t)((random64(g) >> 32) * n >> 32);
}

static double random_unit(struct gen *g)
{
	return (double)(random64(g) >> 11) * 0x1p-53;
}

/* Weights 1, 1/2^s, 1/3^s ... */
static void zipf_init(struct gen *g, uint32_t n, double s)
{
	g->alias_keep = array(n, sizeof(double));
	g->alias_other = array(n, sizeof(uint32_t));
	uint32_t *small = array(n, sizeof(uint32_t)), *large = array(n, sizeof(uint32_t));
	double sum = 0;
	for (uint32_t i = 0; i < n; i++)
		sum += pow(i + 1, -s);
	uint32_t smalls = 0, larges = 0;
	for (uint32_t i = 0; i < n; i++) {
		g->alias_keep[i] = n * pow(i + 1, -s) / sum;
		if (g->alias_keep[i] < 1)
			small[smalls++] = i;
		else
			large[larges++] = i;
	}
	while (smalls > 0 && larges > 0) {
		uint32_t s = small[--smalls], l = large[larges - 1];
		g->alias_other[s] = l;
		g->alias_keep[l] -= 1 - g->alias_keep[s];
		if (g->alias_keep[l] < 1)
			small[smalls++] = large[--larges];
	}
	while (larges > 0)
		g->alias_keep[large[--larges]] = 1;
	while (smalls > 0)
		g->alias_keep[small[--smalls]] = 1;
	free(small);
	free(large);
}

static uint32_t zipf(struct gen *g)
{
	uint32_t i = random_below(g, g->opt.flows);
	return random_unit(g) < g->alias_keep[i] ? i : g->alias_other[i];
}

/* ---- frames --------------------------------------------------------------------------------- */

static struct flow flow_of(const struct gen *g, uint32_t number)
{
	static const uint16_t tcp_ports[8] = {443, 443, 443, 80, 443, 22, 25, 8080};
	static const uint16_t udp_ports[4] = {53, 443, 123, 5060};
	uint64_t h = mix64(number + (g->opt.seed << 32));
	uint64_t more = mix64(h ^ 0x5851f42d4c957f2du);
	struct flow f = {
		.client = (uint32_t)(h & 0xffffff),
		.server = (uint32_t)(h >> 24 & 0xffffff),
		.client_port = (uint16_t)(h >> 48),
		.ip_proto = (more & 7) < 6 ? 6 : 17,
	};
	f.server_port = f.ip_proto == 6 ? tcp_ports[more >> 3 & 7] : udp_ports[more >> 3 & 3];
	if (g->opt.workload == 'D') {
		f.ip6 = more >> 8 & 1;
		f.vlan = more >> 9 & 1;
	}
	f.ip6 |= g->opt.workload == 'V';
	if (g->opt.workload == 'C' || g->opt.workload == 'E')
		f.ip_proto = 6, f.server_port = 443;
	return f;
}

static struct flow background_of(uint32_t number)
{
	return (struct flow){.client = 0xc80000 + number, .server = 1, .client_port = 40000,
			     .server_port = 443, .ip_proto = 6, .background = true};
}

static uint8_t *put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	return put16(put16(p, v >> 16), v);
}

static uint8_t *put_ethernet(uint8_t *p, const struct flow *f, bool reverse)
{
	static const uint8_t mac[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
	memcpy(p, mac[!reverse], 6);
	memcpy(p + 6, mac[reverse], 6);
	p += 12;
	if (f->vlan)
		p = put16(put16(p, 0x8100), 100 + (f->client & 7));
	return put16(p, f->ip6 ? 0x86dd : 0x0800);
}

static uint8_t *put_ip4(uint8_t *p, const struct flow *f, bool reverse, uint32_t octets)
{
	uint8_t *ip = p;
	p = put16(put16(p, 0x4500), octets);
	p = put32(p, 0x4000); /* don't fragment */
	p = put16(p, 64u << 8 | f->ip_proto);
	p = put16(p, 0);
	/* 10/8, or 100/8 for a server; the flood's clients never look like the background's */
	uint32_t client = 0x0a000000 | f->client, server = 0x64000000 | f->server;
	if (!f->background && (f->client & 0xfc0000) == 0xc80000)
		client = 0x0b000000 | f->client;
	p = put32(put32(p, reverse ? server : client), reverse ? client : server);
	uint32_t sum = 0;
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, ~sum & 0xffff);
	return p;
}

static uint8_t *put_ip6(uint8_t *p, const struct flow *f, bool reverse, uint32_t octets)
{
	p = put32(p, 0x60000000);
	p = put16(put16(p, octets - 40), (uint32_t)f->ip_proto << 8 | 64);
	for (unsigned side = 0; side < 2; side++) {
		bool client = (side == 0) != reverse;
		p = put32(put32(p, 0x20010db8), client ? 0x000c0000 : 0x00050000);
		p = put32(put32(p, 0), client ? f->client : f->server);
	}
	return p;
}

static uint8_t *put_transport(uint8_t *p, const struct flow *f, bool reverse, uint32_t payload,
			      unsigned tcp_flags)
{
	p = put16(p, reverse ? f->server_port : f->client_port);
	p = put16(p, reverse ? f->client_port : f->server_port);
	if (f->ip_proto == 17)
		return put16(put16(p, 8 + payload), 0);
	p = put32(put32(p, 1), 1);
	p = put16(put16(p, 0x5000 | tcp_flags), 0xffff);
	return put32(p, 0);
}

/* `octets` of IP; the frame is padded to 60 bytes as Ethernet does. */
static void frame_make(struct frame *fr, const struct flow *f, bool reverse, uint32_t octets,
		       unsigned tcp_flags)
{
	uint8_t *p = put_ethernet(fr->bytes, f, reverse);
	uint32_t link = (uint32_t)(p - fr->bytes);
	uint32_t headers = (f->ip6 ? 40u : 20u) + (f->ip_proto == 6 ? 20u : 8u);
	p = f->ip6 ? put_ip6(p, f, reverse, octets) : put_ip4(p, f, reverse, octets);
	p = put_transport(p, f, reverse, octets - headers, tcp_flags);
	memset(p, 0, (size_t)(fr->bytes + SNAP - p));
	fr->wirelen = link + octets < 60 ? 60 : link + octets;
	fr->caplen = fr->wirelen < SNAP ? fr->wirelen : SNAP;
}

/* ---- the file ------------------------------------------------------------------------------- */

static void out_flush(struct gen *g)
{
	for (size_t done = 0; done < g->out_len;) {
		ssize_t n = write(g->fd, g->out + done, g->out_len - done);
		if (n < 0)
			die(g->opt.path);
		done += (size_t)n;
	}
	g->out_len = 0;
}

static void out_put(struct gen *g, const void *src, size_t n)
{
	if (g->out_len + n > OUT_SIZE)
		out_flush(g);
	memcpy(g->out + g->out_len, src, n);
	g->out_len += n;
}

static void out_open(struct gen *g)
{
	g->fd = open(g->opt.path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (g->fd < 0)
		die(g->opt.path);
	g->out = array(1, OUT_SIZE);
	const uint32_t magic = g->opt.nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4;
	const uint32_t header[6] = {magic, 4u << 16 | 2, 0, 0, SNAP, 1};
	out_put(g, header, sizeof(header));
	g->clock_ns = 1.7e18;
}

static void emit(struct gen *g, const struct flow *f, uint32_t number, bool reverse,
		 uint32_t octets, unsigned tcp_flags)
{
	struct frame fr;
	frame_make(&fr, f, reverse, octets, tcp_flags);
	g->clock_ns += 2e9 / g->opt.pps * random_unit(g);
	const uint64_t ns = (uint64_t)g->clock_ns, fraction = ns % 1000000000;
	const uint32_t head[4] = {
		(uint32_t)(ns / 1000000000),
		(uint32_t)(g->opt.nanoseconds ? fraction : fraction / 1000),
		fr.caplen,
		fr.wirelen,
	};
	out_put(g, head, sizeof(head));
	out_put(g, fr.bytes, fr.caplen);
	g->truth.packets++;
	g->truth.octets += octets;
	g->truth.wire += fr.wirelen;
	g->truth.ip6_packets += f->ip6;
	g->truth.vlan_packets += f->vlan;
	g->truth.biflows += !(g->seen[number >> 3] >> (number & 7) & 1);
	g->seen[number >> 3] |= (uint8_t)(1 << (number & 7));
}

static bool was_seen(const struct gen *g, uint32_t number)
{
	return g->seen[number >> 3] >> (number & 7) & 1;
}

/* ---- workloads ------------------------------------------------------------------------------ */

/* Simple IMIX, 7:4:1, as IP lengths; IPv6 headers make the least one longer. */
static uint32_t imix(struct gen *g, const struct flow *f)
{
	uint32_t r = random_below(g, 12);
	return r < 7 ? (f->ip6 ? 60 : 40) : r < 11 ? 576 : 1500;
}

/* A TCP connection opens with SYN and, when it has the packets for it, closes with two FINs. */
static unsigned tcp_flags_of(const struct gen *g, uint32_t number, uint32_t left, bool *reverse)
{
	if (!was_seen(g, number)) {
		*reverse = false;
		return SYN;
	}
	if (left > 1)
		return ACK;
	*reverse = left == 0;
	return FIN | ACK;
}

static void make_zipf(struct gen *g)
{
	zipf_init(g, g->opt.flows, g->opt.zipf);
	g->left = array(g->opt.flows, sizeof(uint32_t));
	/* the flows' order first, so that each packet knows how many come after it */
	uint64_t start = g->rng;
	uint32_t *order = array(g->opt.packets, sizeof(uint32_t));
	for (uint64_t i = 0; i < g->opt.packets; i++)
		g->left[order[i] = zipf(g)]++;
	g->rng = mix64(start);
	for (uint64_t i = 0; i < g->opt.packets; i++) {
		uint32_t number = order[i];
		struct flow f = flow_of(g, number);
		bool reverse = was_seen(g, number) && random64(g) >> 63;
		uint32_t left = --g->left[number];
		unsigned flags = f.ip_proto == 6 ? tcp_flags_of(g, number, left, &reverse) : 0;
		uint32_t octets = flags & (SYN | FIN) ? (f.ip6 ? 60 : 40) : imix(g, &f);
		emit(g, &f, number, reverse, octets, flags);
	}
	free(order);
}

static void emit_fixed(struct gen *g, const struct flow *f, uint32_t number, bool reverse,
		       unsigned tcp_flags)
{
	emit(g, f, number, reverse, (f->ip6 ? FRAME_FIXED6 : FRAME_FIXED) - 14, f->ip_proto == 6 ? tcp_flags : 0);
}

static void make_in_turn(struct gen *g)
{
	for (uint64_t i = 0; i < g->opt.packets; i++) {
		uint32_t number = (uint32_t)(i % g->opt.flows);
		struct flow f = flow_of(g, number);
		bool reverse = i / g->opt.flows & 1;
		emit_fixed(g, &f, number, reverse, i < g->opt.flows ? SYN : ACK);
	}
}

static void make_uniform(struct gen *g)
{
	for (uint64_t i = 0; i < g->opt.packets; i++) {
		const bool opening = i < 2 * (uint64_t)g->opt.flows, answer = opening && i % 2 != 0;
		uint32_t number = opening ? (uint32_t)(i / 2) : random_below(g, g->opt.flows);
		struct flow f = flow_of(g, number);
		bool reverse = opening ? answer : random64(g) >> 63;
		emit_fixed(g, &f, number, reverse, !opening ? ACK : answer ? SYN | ACK : SYN);
	}
}

/* The flood's packet number i. */
static void flood(struct gen *g, uint64_t i, uint32_t numbers_from)
{
	uint64_t period = i / FLOOD_PERIOD, step = i % FLOOD_PERIOD;
	bool answer = step == FLOOD_PERIOD - 1;
	if (answer && period < FLOOD_LAG)
		return;
	uint64_t m = answer ? 4 * (period - FLOOD_LAG) : 4 * period + step;
	uint32_t number = numbers_from + (uint32_t)m;
	struct flow f = flow_of(g, number);
	emit_fixed(g, &f, number, answer, answer ? SYN | ACK : SYN);
}

static void make_flood(struct gen *g)
{
	for (uint64_t i = 0; g->truth.packets < g->opt.packets; i++)
		flood(g, i, 0);
}

static void make_flood_background(struct gen *g)
{
	uint64_t turn = 0;
	for (uint64_t i = 0; g->truth.packets < g->opt.packets; i++) {
		if (i % BACKGROUND_EVERY != 0) {
			flood(g, i - i / BACKGROUND_EVERY - 1, g->opt.flows);
			continue;
		}
		uint32_t number = (uint32_t)(turn % g->opt.flows);
		struct flow f = background_of(number);
		bool reverse = turn / g->opt.flows & 1;
		emit_fixed(g, &f, number, reverse, turn < g->opt.flows ? SYN : ACK);
		turn++;
	}
}

static const struct workload {
	char name;
	bool nanoseconds;
	uint64_t packets;
	uint32_t flows;
	double pps;
	double zipf;
	void (*make)(struct gen *g);
} workloads[] = {
	/* of A's 1.2 M flows as many are met as packets allow: 1.0 M */
	{'A', false, 20000000, 1200000, 1e6, 1.0, make_zipf},
	{'B', false, 10000000, 1000, 1e6, 0, make_in_turn},
	{'C', false, 10000000, 0, 1e6, 0, make_flood},
	{'D', true, 10000000, 200000, 1e6, 0.8, make_zipf},
	{'E', false, 10000000, 10000, 1e6, 0, make_flood_background},
	{'U', false, 20000000, 1000000, 5e6, 0, make_uniform},
	{'V', false, 10000000, 1000, 1e6, 0, make_in_turn},
};

static const struct workload *workload_find(char name)
{
	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
		if (workloads[i].name == name)
			return &workloads[i];
	return NULL;
}

static void usage(void)
{
	fprintf(stderr, "usage: gen -w A|B|C|D|E|U [-n packets] [-f flows] [-s seed] [-p pps] FILE\n");
	exit(2);
}

static const struct workload *parse(int argc, char **argv, struct options *ret_opt)
{
	struct options o = {.seed = 1};
	for (int c; (c = getopt(argc, argv, "w:n:f:s:p:")) != -1;) {
		switch (c) {
		case 'w': o.workload = optarg[0]; break;
		case 'n': o.packets = strtoull(optarg, NULL, 10); break;
		case 'f': o.flows = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 's': o.seed = strtoull(optarg, NULL, 10); break;
		case 'p': o.pps = strtod(optarg, NULL); break;
		default: usage();
		}
	}
	const struct workload *w = workload_find(o.workload);
	if (w == NULL || optind != argc - 1)
		usage();
	o.path = argv[optind];
	o.nanoseconds = w->nanoseconds;
	o.packets = o.packets != 0 ? o.packets : w->packets;
	o.flows = o.flows != 0 ? o.flows : w->flows;
	o.pps = o.pps > 0 ? o.pps : w->pps;
	o.zipf = w->zipf;
	if (o.workload == 'E' && o.flows > 0x3ffff)
		usage();
	*ret_opt = o;
	return w;
}

int main(int argc, char **argv)
{
	struct gen g = {.fd = -1};
	const struct workload *w = parse(argc, argv, &g.opt);
	g.rng = mix64(g.opt.seed);
	/* a flood has at most a flow a packet */
	g.seen = array((g.opt.flows + g.opt.packets) / 8 + 2, 1);
	out_open(&g);
	w->make(&g);
	out_flush(&g);
	if (close(g.fd) != 0)
		die(g.opt.path);
	printf("{\"workload\": \"%c\", \"packets\": %llu, \"octets\": %llu, \"wire_bytes\": %llu, "
	       "\"biflows\": %llu, \"ip6_packets\": %llu, \"vlan_packets\": %llu, \"seconds\": %.3f}\n",
	       g.opt.workload, (unsigned long long)g.truth.packets,
	       (unsigned long long)g.truth.octets, (unsigned long long)g.truth.wire,
	       (unsigned long long)g.truth.biflows, (unsigned long long)g.truth.ip6_packets,
	       (unsigned long long)g.truth.vlan_packets, (g.clock_ns - 1.7e18) / 1e9);
	return 0;
}
