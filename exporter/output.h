/*
 * One output: policy, encoder, transport. Made and freed by the main thread, run by the export
 * thread.
 */
#ifndef WEIR_EXPORTER_OUTPUT_H
#define WEIR_EXPORTER_OUTPUT_H

#include <stdbool.h>

#include "exporter.h"
#include "fail.h"
#include "field.h"
#include "format/format.h"
#include "transport/transport.h"

struct output;

/* What an output is made from. `run` and `books` outlive it. */
struct output_conf {
	const struct exporter_conf *run;
	const struct export_books *books;
	const char *url;
	unsigned index; /* position of the output, from 0 */
	struct event_base *base;
	void (*resume)(void *arg); /* an output that was congested is no more */
	void *resume_arg;
};

/* Reads the URL and sees whether the options go together; opens nothing. ERR_USAGE with
 * every reason in `e`. */
int output_check(const struct output_conf *conf, struct errtext *e);

/* The same, and opens. Also -errno, ERR_NOTREADY, ERR_NOMEM. */
int output_new(const struct output_conf *conf, struct errtext *e, struct output **ret_output);

/* The clock has moved: refresh, flush, rotate as due. Begins the session of a network output. */
void output_clock(struct output *o, struct pkt_time now);

/* A record, at the clock that output_clock was last told. */
void output_record(struct output *o, const struct flow_record *r, struct pkt_time now);

/* The export thread is about to sleep. */
void output_push(struct output *o);

/* Enough waits at the transport: a replay does not give it more for now. */
bool output_congested(const struct output *o);

/* No more records. What waits is sent; files are complete. */
void output_end(struct output *o, struct pkt_time now);

/* After output_end: something still waits to be sent. */
bool output_busy(const struct output *o);

void output_free(struct output *o);

/* Does it nothing with a record but count it, as one? */
bool output_discards(const struct output *o);

bool output_wants(const struct output *o, struct field_ref ref);
/* Any thread. */
bool output_dead(const struct output *o); /* every record from here on is lost */
void output_stats_get(const struct output *o, struct output_stats *ret_stats);

#endif
