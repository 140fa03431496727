/*
 * Transports behind one operations table: from bytes to collector or file. A transport lends
 * memory, takes back what was written to it, and delivers in order. Export thread only, after
 * open.
 */
#ifndef WEIR_EXPORTER_TRANSPORT_H
#define WEIR_EXPORTER_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../fail.h"
#include "../output_counters.h"
#include "../url.h"
#include "tstamp.h"

struct event_base;
struct own;
struct transport;

/*
 * Sessions. A transport that keeps a connection has `session` operations, and its output keeps
 * records until the transport says that they have arrived (session.c):
 *
 *   start ─> up ─> the encoder begins (templates, sequence 0), records are encoded while room(),
 *            │     confirmed(n), confirmed(n) ... end ─> down(final)
 *            └───> down: what was not confirmed is encoded anew in the next session ─> up ...
 *
 * The transport resolves, connects, waits and tries again by itself (resolve.h, backoff.h).
 * Events are told from the event loop, never from inside an operation: an operation that finds
 * the connection broken says `room` no more and lets the loop tell. The order of records in a
 * session is the order of `commit`; confirmed and lost take from its front.
 */
struct session_events {
	void *arg;

	/* A session is open: what is committed from here on belongs to it. */
	void (*up)(void *arg);

	/* It had no room and has some again. */
	void (*room)(void *arg);

	/* The oldest `records` of the session that are not confirmed yet have arrived. */
	void (*confirmed)(void *arg, uint64_t records);

	/* They never will: the peer or a library refused them for what they are. */
	void (*lost)(void *arg, uint64_t records, enum drop_reason reason);

	/* The session is over, or could not be had (said after each try that fails): the transport
	 * tries again, after `end` too. `final`: it was closed in order after `end`, all of it is
	 * confirmed, and no event follows. */
	void (*down)(void *arg, bool final);
};

struct session_ops {
	/* Begins to connect, and goes on until `end` or `hangup`. Once, from the event loop.
	 * `events` outlives the transport. */
	void (*start)(struct transport *t, const struct session_events *events);

	/* A session is up and takes another commit of max_message bytes. */
	bool (*room)(const struct transport *t);

	/* Lets go at once, for good: no event follows. */
	void (*hangup)(struct transport *t);

	/* Of the bytes that were counted, those that the peer's system has not taken yet: they tell
	 * of a slow reader sooner than room does. NULL: it cannot be known. */
	uint64_t (*under_way)(const struct transport *t);
};

/* What a transport is made from. All of it outlives the transport. A transport to a network adds
 * each socket it connects to `own` (own_add, which takes NULL), and drops it when it closes it. */
struct transport_conf {
	struct own *own;
	const struct url_spec *spec;
	struct output_counters *counters;
	struct event_base *base;
	bool replay;
	void (*resume)(void *arg); /* called when it is congested no more */
	void *resume_arg;
};

/* The part all transports share; first member of each. */
struct transport {
	const struct transport_ops *ops;
	struct output_counters *counters;
	size_t max_message; /* bytes one `commit` may have; text has no messages: the largest lot */
	int64_t due_ns;	    /* clock at which a file is complete; DUE_NOW when it is big enough */
	bool lazy;	    /* begins with the first record, not with the first item (files) */
	unsigned row;	/* messages of one length in a row that cost it little more than one; 0, 1:
			   none */
	bool datagrams; /* what the receiver has no room for is lost: paced finely */
};

struct transport_ops {
	const char *name;

	/* Bytes a message may have, before anything is open (for checks). */
	size_t (*max_message)(const struct url_spec *spec);

	/* Are the options right, and what they name (key files ...)? Opens nothing that stays. 0 or
	 * ERR_USAGE with every reason in `e`. NULL: nothing to check. */
	int (*check)(const struct url_spec *spec, struct errtext *e);

	/* Opens, or sees to it that it can be opened later. 0, ERR_USAGE, -errno or ERR_NOTREADY
	 * with the reason in `e`. */
	int (*open)(const struct transport_conf *conf, struct errtext *e,
		    struct transport **ret_transport);

	/* A session or file begins. */
	void (*begin)(struct transport *t, struct pkt_time now);

	/* Lends `n` bytes, n <= max_message; never NULL. One loan at a time. */
	uint8_t *(*reserve)(struct transport *t, size_t n);

	/* Delivers the first `n` of them, which hold `records` flow records. Counts messages and
	 * bytes, and records unless there are sessions: those count when they are confirmed. */
	void (*commit)(struct transport *t, size_t n, unsigned records);

	/* The export thread is about to sleep: hand over what waits in a buffer. A loan stays. */
	void (*push)(struct transport *t);

	/* Enough waits: in a replay, do not encode more until resume() is called. */
	bool (*congested)(const struct transport *t);

	/* The session or file is complete. A session closes in order (what was committed is sent,
	 * the peer has read it) and says down(final) when that is done. */
	void (*end)(struct transport *t);

	/* Something still waits to be sent. */
	bool (*busy)(const struct transport *t);

	/* Frees; what is not complete is thrown away. NULL is fine. */
	void (*close)(struct transport *t);

	const struct session_ops *session; /* NULL: it keeps no sessions */
};

extern const struct transport_ops tcp_transport;
extern const struct transport_ops tls_transport;
extern const struct transport_ops dtls_transport;
extern const struct transport_ops sctp_transport;
extern const struct transport_ops udp_transport;
extern const struct transport_ops file_transport;
extern const struct transport_ops kafka_transport;
extern const struct transport_ops null_transport;

#endif
