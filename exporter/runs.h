/*
 * Where the records of a session came from, in the order in which they were sent: from memory, or
 * in lots from the spool. Confirmations take from the front. Export thread only.
 */
#ifndef WEIR_EXPORTER_RUNS_H
#define WEIR_EXPORTER_RUNS_H

#include <stdbool.h>
#include <stdint.h>

/* `records` in a row from one source. */
struct run {
	uint64_t records;
	bool from_spool;
	bool whole;    /* the last of a lot is in it: `upto` is right */
	uint64_t upto; /* what spool_ack takes once it is confirmed */
};

/* All 0: none. */
struct runs {
	struct run *run; /* a circle */
	unsigned size;
	unsigned head;
	unsigned count;
};

/* Sees to it that one more can be noted. ERR_NOMEM. */
int runs_ready(struct runs *runs);

/* One more record, after runs_ready. `lot_ends`: it is the last of a lot, and `upto` is the lot's.
 */
void runs_note(struct runs *runs, bool from_spool, bool lot_ends, uint64_t upto);

/* Takes up to `n` records of one source from the front: ret_run->records of them. If a lot ended
 * with them, `whole` says so. False: there are none. */
bool runs_take(struct runs *runs, uint64_t n, struct run *ret_run);

void runs_clear(struct runs *runs);
void runs_fini(struct runs *runs);

#endif
