/*
 * What an output with sessions holds and has not delivered: records in memory, and with spool= on
 * disk. It keeps the books of the output: every record is delivered, dropped with a reason, or
 * here. Export thread only.
 */
#ifndef WEIR_EXPORTER_OUTBOX_H
#define WEIR_EXPORTER_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "fail.h"
#include "flow.h"
#include "output_counters.h"
#include "url.h"

struct outbox;

/* All of it outlives the outbox. */
struct outbox_conf {
	const struct url_spec *spec;
	struct output_counters *counters;
	const char *name; /* of the output, for the log */
	bool replay;	  /* nothing is dropped or goes to disk before outbox_settle */
};

/* Opens the spool too. ERR_NOMEM, or what spool_open says, with the reason in `e`. */
int outbox_new(const struct outbox_conf *conf, struct errtext *e, struct outbox **ret_outbox);
/* What is on disk stays there. NULL is fine. */
void outbox_free(struct outbox *o);

/* Takes a copy of a record. Live, and when the queue is full, the oldest goes to disk or is lost.
 */
void outbox_add(struct outbox *o, const struct flow_record *r);

/* What the next record may be. */
enum outbox_wish {
	OUTBOX_ANY,
	OUTBOX_LAST, /* live, the end of the run: what is on disk stays there */
};

/* The next record to send, from now on sent; NULL: none, or not yet (spool-rate=). Valid until the
 * next call. `now_ns` is monotonic, and needed with a spool only. */
const struct flow_record *outbox_next(struct outbox *o, int64_t now_ns, enum outbox_wish wish);

/* The oldest `n` of those that were sent have arrived. */
void outbox_confirm(struct outbox *o, uint64_t n);

/* They never will. */
void outbox_lose(struct outbox *o, uint64_t n, enum drop_reason reason);

/* Those that were sent and not confirmed are to be sent again. */
void outbox_rewind(struct outbox *o);

/* Live: moves a part of what waits to disk, if there is reason to. `away`: the collector is. */
void outbox_relieve(struct outbox *o, bool away);

/* Nothing more is sent in this run: to disk with what is in memory, or it is lost. What is added
 * afterwards has the same fate. */
void outbox_settle(struct outbox *o);

/* Records in memory that are not sent, and that are sent and not confirmed. */
uint64_t outbox_waiting(const struct outbox *o);
uint64_t outbox_sent(const struct outbox *o);

/* Has all been sent that this run has to send? Live, what is on disk may stay there. */
bool outbox_all_sent(const struct outbox *o);

/* Brings the counters up to date; in debug builds sees to it that the books balance. */
void outbox_show(struct outbox *o, struct pkt_time now);

#endif
