/*
 * The records an output holds: first those that were sent and are not confirmed, then those that
 * are not sent yet. First in, first out; memory comes and goes in blocks. Export thread only.
 *
 *   add ──> [ not sent ] ── next ──> [ sent, not confirmed ] ── confirm ──> gone
 *                    ^──── rewind ────┘
 */
#ifndef WEIR_EXPORTER_RECORD_LOG_H
#define WEIR_EXPORTER_RECORD_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

struct record_log;

/* ERR_NOMEM. */
int record_log_new(struct record_log **ret_log);
/* NULL is fine. */
void record_log_free(struct record_log *log);

/* Adds a copy as the youngest. ERR_NOMEM. */
int record_log_add(struct record_log *log, const struct flow_record *r);

/* The oldest that is not sent, and from here on is; NULL: none (or no memory). Valid until the
 * next call. */
const struct flow_record *record_log_next(struct record_log *log);

/* The oldest that is not sent, as it is; NULL: none. Valid until the next call. */
const struct flow_record *record_log_oldest(const struct record_log *log);

/* Copies of up to `max` of the oldest that are not sent and can be taken away; their number. What
 * waits to be sent again can not while some of it has been. */
unsigned record_log_copy(const struct record_log *log, struct flow_record *records, unsigned max);

/* Takes the first `n` of these away. */
void record_log_drop(struct record_log *log, unsigned n);

/* Takes the oldest `n` of those that were sent away, n <= record_log_sent(). */
void record_log_confirm(struct record_log *log, uint64_t n);

/* What was sent is not sent any more. */
void record_log_rewind(struct record_log *log);

uint64_t record_log_sent(const struct record_log *log);
uint64_t record_log_unsent(const struct record_log *log);

#endif
