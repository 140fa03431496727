/*
 * A capture worker: one thread that takes batches from its inputs, decodes them, and meters them in
 * its own flow table; ended records go down its own export queue. It shares nothing with other workers
 * but the stop flag and, in a replay, the packets that are dealt out to them (deal.h), of which each
 * meters its share of the address pairs; worker 0 speaks for what has no address.
 */
#ifndef WEIR_WORKER_H
#define WEIR_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "capture.h"
#include "conf.h"
#include "counters.h"
#include "exporter.h"
#include "flow/key.h"

struct deal;
struct own;
struct worker;

struct worker_conf {
	unsigned number;              /* from 0 */
	unsigned workers;             /* how many there are */
	const struct conf *conf;      /* the caller's; outlives the worker */
	const char *const *specs;     /* inputs of this worker, read one after the other; the caller's */
	unsigned specs_count;
	bool live;
	struct capture **opened;      /* beside specs: inputs that are open already, which are taken
	                               * over, and NULLs; or NULL. Live all are open. The caller's */
	uint64_t flows;               /* room in its table */
	bool keep_macs;
	bool keep_egress;
	const struct flow_secret *secret;        /* of table, fragments and shares */
	const struct flow_secret *sample_secret; /* of flow sampling */
	const struct own *own;        /* streams whose packets are left out; NULL: none */
	struct export_queue *queue;
	const atomic_bool *stop;      /* the run is to end; the caller's */
	struct deal *deal;            /* of a replay with several workers, instead of specs; or NULL */
	const atomic_ullong *lost_outside; /* packets lost where no handle can count it, added to our
	                               * drops; or NULL. The caller's */
	int done_fd;                  /* eventfd written once when the worker has ended */
};

/* What others may read while it runs; a moment old. */
struct worker_view {
	struct counters counters;
	uint64_t held;       /* flows */
	uint64_t bytes_read; /* of all files so far */
};

int worker_new(const struct worker_conf *conf, struct worker **ret_worker);

/* Starts the thread. -errno. */
int worker_start(struct worker *worker);

/* Fetches its table's memory ahead of need, until asked to stop. Another thread than the worker's,
 * while that runs. */
void worker_populate(struct worker *worker);

/* Waits for the end. 0, or the first error of an input (logged already). */
int worker_join(struct worker *worker);

/* Latest published view. Any thread. */
void worker_view(const struct worker *worker, struct worker_view *ret_view);

/* Latest totals of a port of its live input, 0 <= part < CAPTURE_PARTS_MAX. Any thread. */
void worker_part(const struct worker *worker, unsigned part, struct capture_stats *ret_stats);

/* Its final counters, after worker_join. */
const struct counters *worker_counters(const struct worker *worker);

void worker_free(struct worker *worker);

#endif
