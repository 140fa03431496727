/*
 * The half of an output that keeps sessions: records are held until the transport says that they
 * have arrived, and encoded anew when a session broke. Made and freed by the main thread, run by
 * the export thread.
 */
#ifndef WEIR_EXPORTER_SESSION_H
#define WEIR_EXPORTER_SESSION_H

#include <stdbool.h>

#include "fail.h"
#include "format/format.h"
#include "transport/transport.h"

struct session;

/* What a session is made from; all of it outlives the session. */
struct session_conf {
	const struct url_spec *spec;
	struct transport *transport; /* with session operations */
	struct encoder *encoder;
	struct output_counters *counters;
	struct event_base *base;
	const char *name; /* of the output, for the log */
	bool replay;
	void (*resume)(void *arg); /* it was congested or busy, and is no more */
	void *resume_arg;
};

/* Opens the spool too. ERR_NOMEM, or what spool_open says. */
int session_new(const struct session_conf *conf, struct errtext *e, struct session **ret_session);
/* NULL is fine. */
void session_free(struct session *s);

/* The clock has moved. The first one begins to connect. */
void session_clock(struct session *s, struct pkt_time now);

/* A record as the policy made it; copied. */
void session_record(struct session *s, const struct flow_record *r, struct pkt_time now);

/* The export thread is about to sleep. */
void session_push(struct session *s);

/* A replay does not give it more for now. */
bool session_congested(const struct session *s);

/* No more records: what is held is sent, and the session closed in order, for as long as that gets
 * on; the rest goes to the spool or is counted as dropped. */
void session_end(struct session *s, struct pkt_time now);

/* After session_end: not done yet. */
bool session_busy(const struct session *s);

#endif
