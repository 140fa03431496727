/*
 * How the workers of a replay share its packets: one at a time has the turn, reads on and deals a hand
 * of some thousand packets out to all. So files are read, unpacked and filtered once, and a worker
 * looks at no packet but its own.
 *
 * A packet's worker is that of its address pair (flow_share), so that no flow and no train of fragments
 * is torn apart. Who deals knows whose it is of packets for the short cut (short_cut.h) that are in
 * order, which nearly all are. Any other packet goes to all workers, who see for themselves what it
 * means and whose it is; so does every packet where sampling or a search for copies has to see all.
 *
 * A ring of hands lies between reading and metering. Every worker takes every hand, in order; one that
 * has few before it tries for the turn first, one that has none waits. There is no lock.
 */
#ifndef WEIR_DEAL_H
#define WEIR_DEAL_H

#include <stdatomic.h>
#include <stdint.h>

#include "capture.h"
#include "conf.h"
#include "flow/key.h"
#include "packet.h"

struct deal;

/* Most packets of a hand: so many that what a core fetches ahead, and another then reads, is little. */
#define HAND_MAX 4096

/* A packet that a worker has to look at. Small: it goes from one core's cache to another's. */
struct hand_item {
	union {
		const uint8_t *data;          /* of a packet for the short cut, in order */
		const struct raw_packet *any; /* one that goes to all workers */
	};
	int64_t time_ns;  /* its own; the clock before one that goes to all */
	uint16_t at;      /* its place in the hand */
	bool is_any;
	/* Of one for the short cut; with a larger one it is not for it. */
	uint16_t caplen;
	uint16_t ingress;
};

/* What a worker has to look at of a hand, in order. */
struct hand_part {
	unsigned count;
	struct hand_item item[HAND_MAX];
};

/* Read by all workers at once. */
struct hand {
	uint64_t number;          /* packets before it */
	int64_t clock_ns;         /* METERING.md §6, behind its last packet */
	size_t bytes;             /* captured */
	unsigned count;
	unsigned any_count;       /* of them those that go to all ... */
	struct raw_packet any[HAND_MAX]; /* ... which are here */
	struct hand_part *part;   /* of each worker */
	uint8_t iface;            /* of all its packets */
};

struct deal_conf {
	unsigned workers;         /* at least 1 */
	const struct conf *conf;  /* the caller's; outlives the deal, as all that follows */
	const char *const *specs; /* files, read one after the other; no pipes, since a hand is full first */
	unsigned specs_count;
	const struct flow_secret *secret; /* of shares */
	const atomic_bool *stop;  /* set: no further hand is dealt */
};

/* Opens no file yet. ERR_NOMEM. */
int deal_new(const struct deal_conf *conf, struct deal **ret_deal);

/* The next hand for a worker, who may have to deal it or to wait for it; NULL when there is no more,
 * for all workers behind the same packet. The worker's thread. */
const struct hand *deal_next(struct deal *deal, unsigned worker);

/* The worker looks at that hand no more, nor at anything that its packets point to. */
void deal_done(struct deal *deal, unsigned worker);

/* Bytes of all files read so far. Any thread. */
uint64_t deal_bytes_read(const struct deal *deal);

/* The first error of a file (logged already), or 0. After deal_next gave NULL. */
int deal_error(const struct deal *deal);

/* NULL is fine. No worker may be running. */
void deal_free(struct deal *deal);

#endif
