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

/* What a transport is made from. All of it outlives the transport. */
struct transport_conf {
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
};

struct transport_ops {
	const char *name;

	/* Bytes a message may have, before anything is open (for checks). */
	size_t (*max_message)(const struct url_spec *spec);

	/* Opens, or sees to it that it can be opened later. 0, ERR_USAGE, -errno or ERR_NOTREADY
	 * with the reason in `e`. */
	int (*open)(const struct transport_conf *conf, struct errtext *e,
		    struct transport **ret_transport);

	/* A session or file begins. */
	void (*begin)(struct transport *t, struct pkt_time now);

	/* Lends `n` bytes, n <= max_message; never NULL. One loan at a time. */
	uint8_t *(*reserve)(struct transport *t, size_t n);

	/* Delivers the first `n` of them, which hold `records` flow records. */
	void (*commit)(struct transport *t, size_t n, unsigned records);

	/* The export thread is about to sleep: hand over what waits in a buffer. A loan stays. */
	void (*push)(struct transport *t);

	/* Enough waits: in a replay, do not encode more until resume() is called. */
	bool (*congested)(const struct transport *t);

	/* The session or file is complete. */
	void (*end)(struct transport *t);

	/* Something still waits to be sent. */
	bool (*busy)(const struct transport *t);

	/* Frees; what is not complete is thrown away. NULL is fine. */
	void (*close)(struct transport *t);
};

extern const struct transport_ops udp_transport;
extern const struct transport_ops file_transport;
extern const struct transport_ops null_transport;

#endif
