/*
 * Where the name of a UDP collector leads, as long as the run lasts: looked up until it is found,
 * again when the collector refuses, and at every template refresh (each minute where there are no
 * templates), since a collector that was switched off refuses nothing. An address that is still one
 * of the name's is stayed with, whatever their order. Export thread only, after it was made.
 */
#ifndef WEIR_EXPORTER_FOLLOW_H
#define WEIR_EXPORTER_FOLLOW_H

struct event_base;
struct follow;
struct url_spec;

/* A socket to the first address that was found, or to another than the last one was to, connected,
 * the callee's from now on. From the event loop. */
typedef void follow_found(void *arg, int fd);

/* Begins when the loop runs; `spec` outlives it. ERR_NOMEM. */
int follow_new(struct event_base *base, const struct url_spec *spec, follow_found *found, void *arg,
	       struct follow **ret_follow);

/* The collector refuses: looks again, after a pause that grows. NULL is fine: nothing is followed.
 */
void follow_again(struct follow *f);

/* NULL is fine. */
void follow_free(struct follow *f);

#endif
