/*
 * A connected socket, without blocking: the name is resolved, then each of its addresses tried in
 * turn, IPv6 and IPv4 as the system sorts them. One try a call; whoever dials waits between them
 * (backoff.h). Export thread only.
 */
#ifndef WEIR_EXPORTER_DIAL_H
#define WEIR_EXPORTER_DIAL_H

#include <stdint.h>

struct dial;
struct event_base;
struct own;
struct url_spec;

/* What came of it: the socket, non-blocking and from now on the callee's, or -1 and why, a text
 * that is valid until the next try. Called from the event loop, once a try. */
typedef void dial_done(void *arg, int fd, const char *why);

/* For the host, port, source= and dscp= of a spec, which outlives it. ERR_NOMEM. */
int dial_new(struct event_base *base, const struct url_spec *spec, int socktype, int protocol,
	     dial_done *done, void *arg, struct dial **ret_dial);

/* Adds each socket that is connected from now on to `own` (may be NULL), and drops the one before.
 */
void dial_own(struct dial *d, struct own *own);

/* Begins a try; one at a time. */
void dial_begin(struct dial *d);

/* Gives the try up, if there is one: `done` is not called. */
void dial_cancel(struct dial *d);

/* Cancels, frees. NULL is fine. */
void dial_free(struct dial *d);

/* source= and dscp= on a socket of this address family. 0, -EAFNOSUPPORT when the source is of the
 * other family, -errno. For sockets that are made elsewhere. */
int dial_prepare(int fd, int family, const struct url_spec *spec);

#endif
