/* The inside of a worker, shared by worker.c (the loop), worker_plain.c (its short cut) and
 * worker_books.c (what others read of it). */
#ifndef WEIR_WORKER_INTERNAL_H
#define WEIR_WORKER_INTERNAL_H

#include <pthread.h>

#include "deal.h"
#include "flow/dedup.h"
#include "flow/frag.h"
#include "flow/sampling.h"
#include "flow/table.h"
#include "input_view.h"
#include "packet_clock.h"
#include "worker.h"

#define BATCH 32

struct worker {
	struct worker_conf conf;
	struct flow_table *table;
	struct flow_index index;
	struct frag_cache *frags;
	struct dedup *dedup;     /* NULL: copies are metered too */
	struct sampler sampler;  /* before decode */
	struct sampler later;    /* with dedup, behind it; the other then takes all */
	struct capture *capture; /* the input being read */
	struct counters counters;
	int64_t clock_ns;        /* METERING.md §6; INT64_MIN before the first packet */
	int64_t tick_second;     /* of the last tick sent */
	uint64_t sweep_tick;     /* of the last sweep */
	uint64_t number;         /* packets observed: numbers flows */
	bool speaks;             /* counts what has no address */
	bool shares;             /* meters only its share */
	bool short_cut;          /* plain packets have one: the key asks for nothing special */
	bool looks_into_udp;     /* UDP may be a wrapper */
	bool samples;            /* the sampler has something to decide */
	size_t ahead;            /* packet_ask_ahead */
	uint8_t iface_mask;      /* 0 where the interface is not in the key */
	uint64_t key_rest;       /* what all keys of a batch have in common */
	uint64_t batches;
	uint64_t bytes_done;     /* of files read to the end */
	uint64_t unsampled_input;/* left out by the input itself, as counted so far */
	struct mono_time pace_start; /* --speed: when the first packet was handled ... */
	int64_t pace_first_ns;       /* ... and its time */
	int error;
	pthread_t thread;
	bool flushing;           /* what leaves now must not be lost */
	bool lost_said;          /* that records were lost */
	bool started;
	bool ended;              /* the worker's own until it is joined */
	_Atomic uint64_t view[COUNTER_COUNT + 2]; /* published counters, held, bytes_read */
	struct input_view input;                  /* published: what the ports of its input count */
	struct packet train;     /* a wrapper's first fragment, when its flags are set */
	uint32_t pending;        /* of batch[]: admitted and not yet updated */
	struct flow_packet batch[2 * BATCH]; /* room for a batch when all but one has been admitted */
	struct packet packet[2 * BATCH]; /* of those in batch[] that are not plain */
};

/* Is a replay's packet of this share (flow_share) the worker's? */
static inline bool worker_owns(const struct worker *w, uint64_t share)
{
	return flow_share_owner(share, w->conf.workers) == w->conf.number;
}

/* First stage of as many packets as are plain and in order, up to BATCH; `w->pending` is less than
 * that. Returns their number; of the next nothing has been done. worker_plain.c */
unsigned worker_admit_plain(struct worker *w, const struct raw_packet *raws, unsigned n);

/* The same of a hand's items, up to BATCH of them or the first that goes to all; `ahead` items, at
 * least `n`, are there to be looked at later. worker_plain.c */
unsigned worker_admit_dealt(struct worker *w, const struct hand *hand,
			    const struct hand_item *items, unsigned n, unsigned ahead);

/* Makes the books what others read from now on. The worker's thread. worker_books.c */
void worker_publish(struct worker *w);

/* Takes into the books what a live input says of itself. */
void worker_account_input(struct worker *w, const struct capture_stats *s);

#endif
