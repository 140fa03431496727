/*
 * Names to addresses without blocking the export thread: the C library asks, in a thread of its
 * own, as the system is set up to (hosts file, DNS ...). Addresses in figures come back at once,
 * from the event loop all the same. Export thread, or main before it runs.
 */
#ifndef WEIR_EXPORTER_RESOLVE_H
#define WEIR_EXPORTER_RESOLVE_H

#include <netdb.h>

struct event_base;
struct resolve;

/* What was found: 0 and a list that the callee frees with freeaddrinfo, or an EAI_ code and NULL.
 */
typedef void resolve_done(void *arg, int eai, struct addrinfo *list);

/* Asks for the addresses of host and port (figures) for a socket type (SOCK_STREAM ...). `done` is
 * called once, from the event loop, unless resolve_cancel comes first. NULL: no memory or thread.
 */
struct resolve *resolve_begin(struct event_base *base, const char *host, const char *port,
			      int socktype, resolve_done *done, void *arg);

/* `done` will not be called, and nothing is waited for. Frees; only before `done` was called (a
 * request whose `done` was called is gone). NULL is fine. */
void resolve_cancel(struct resolve *r);

#endif
