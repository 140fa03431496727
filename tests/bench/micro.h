/*
 * What the micro-benchmarks share. Each is a program `micro_STAGE MODE N WORKDIR` that makes what it
 * needs, then does its stage N times inside measured(); micro.py counts the instructions spent
 * there. `micro_STAGE modes` prints a line a mode: its name, a tab, what it is. N is in the same
 * unit everywhere: one packet, or one record.
 */
#ifndef WEIR_BENCH_MICRO_H
#define WEIR_BENCH_MICRO_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/decode.h"
#include "flow/key.h"
#include "packet.h"

struct micro_mode {
	const char *name, *what;
};

/* The program's own: its modes (ended by a NULL name), and one mode's set-up and N times. */
extern const struct micro_mode micro_modes[];
void micro_run(const char *mode, uint64_t n, const char *workdir);

/* What is counted; micro.py tells callgrind this name. `step` does `n` packets. */
static __attribute__((noinline, noclone)) void measured(void (*step)(void *arg, uint64_t n),
							void *arg, uint64_t n)
{
	step(arg, n);
	__asm__ volatile("" ::: "memory"); /* no tail call: callgrind has to see the return */
}

static inline void micro_die(const char *what)
{
	fprintf(stderr, "micro: %s failed\n", what);
	exit(1);
}

static inline void *micro_array(uint64_t n, size_t size)
{
	void *p = calloc(n, size);
	if (p == NULL)
		micro_die("memory");
	return p;
}

enum { MICRO_FRAME = 96, MICRO_T0_S = 1700000000 };

static inline uint8_t *micro_put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

/* A TCP frame of flow number `flow` (ACK set) at `p`; returns its length. */
static inline uint32_t micro_frame(uint8_t *p, uint32_t flow, int ip6, int vlan)
{
	uint8_t *at = p;
	memset(p, 0, MICRO_FRAME);
	memcpy(at, "\2\0\0\0\0\2\2\0\0\0\0\1", 12);
	at += 12;
	if (vlan)
		at = micro_put16(micro_put16(at, 0x8100), 100);
	at = micro_put16(at, ip6 ? 0x86dd : 0x0800);
	const uint8_t number[4] = {(uint8_t)(flow >> 24), (uint8_t)(flow >> 16), (uint8_t)(flow >> 8),
				   (uint8_t)flow};
	if (ip6) {
		at[0] = 0x60;
		micro_put16(at + 4, 20);
		at[6] = 6, at[7] = 64;
		memcpy(at + 8, "\x20\x01\x0d\xb8", 4);
		memcpy(at + 20, number, 4);
		memcpy(at + 24, "\x20\x01\x0d\xb8\xff", 5);
		at[39] = 1;
		at += 40;
	} else {
		at[0] = 0x45;
		micro_put16(at + 2, 40);
		at[8] = 64, at[9] = 6;
		at[12] = 10;
		memcpy(at + 13, number + 1, 3);
		memcpy(at + 16, "\x64\0\0\1", 4);
		at += 20;
	}
	micro_put16(at, 40000 + (flow >> 24));
	micro_put16(at + 2, 443);
	at[12] = 0x50, at[13] = 0x10;
	at += 20;
	return (uint32_t)(at - p) < 60 ? 60 : (uint32_t)(at - p);
}

/* `n` raw packets of flows 0 .. n-1, a microsecond apart. */
static inline struct raw_packet *micro_packets(uint64_t n, int ip6, int vlan)
{
	struct raw_packet *raws = micro_array(n, sizeof(*raws));
	uint8_t *bytes = micro_array(n, MICRO_FRAME);
	for (uint64_t i = 0; i < n; i++) {
		uint8_t *p = bytes + i * MICRO_FRAME;
		uint32_t len = micro_frame(p, (uint32_t)i, ip6, vlan);
		raws[i] = (struct raw_packet){
			.data = p, .caplen = len, .wirelen = len, .ingress = 1, .linktype = 1,
			.time = {MICRO_T0_S * NS_PER_S + (int64_t)i * NS_PER_US}};
	}
	return raws;
}

static inline void micro_decode(const struct raw_packet *raw, struct packet *ret_packet)
{
	static struct packet train;
	if (decode_packet(0, raw, ret_packet, &train).counter != COUNTER_METERED)
		micro_die("decode");
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "modes") == 0) {
		for (const struct micro_mode *m = micro_modes; m->name != NULL; m++)
			printf("%s\t%s\n", m->name, m->what);
		return 0;
	}
	if (argc != 4) {
		fprintf(stderr, "usage: %s modes | MODE N WORKDIR\n", argv[0]);
		return 2;
	}
	for (const struct micro_mode *m = micro_modes; m->name != NULL; m++) {
		if (strcmp(m->name, argv[1]) == 0) {
			micro_run(m->name, strtoull(argv[2], NULL, 10), argv[3]);
			return 0;
		}
	}
	fprintf(stderr, "%s: no mode %s\n", argv[0], argv[1]);
	return 2;
}

#endif
