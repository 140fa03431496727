/*
 * Is a collector worth waiting for? For as long as something moves: bytes that the system took,
 * records that were confirmed. A session that fell before it got further than one before it has
 * moved nothing: so a collector that resets each second, and would be sent the same for ever, is
 * given up as well. And the end of a run is over at some time, however little moves still. Times are
 * monotonic and come in from outside; bytes are those of all sessions. One thread.
 */
#ifndef WEIR_EXPORTER_PATIENCE_H
#define WEIR_EXPORTER_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: waits for nothing, until `wait_ns` is set. */
struct patience {
	int64_t wait_ns;  /* how long it may stand still */
	int64_t until_ns; /* when it is over in any case; 0: never */
	/* private */
	uint64_t confirmed;
	uint64_t moved;	  /* what had moved, when something last did */
	int64_t moved_ns; /* 0: it is to be looked at */
	/* of the session that is up, or was last */
	int64_t before_ns; /* moved_ns when it began */
	uint64_t began_at; /* bytes: when it began */
	bool got_further;  /* something was confirmed in it */
	uint64_t furthest; /* bytes that a session took since something was confirmed */
};

/* From now on something has to move; 0: from the next look on. */
void patience_renew(struct patience *p, int64_t now_ns);

/* A session begins. */
void patience_begin(struct patience *p, uint64_t bytes);

/* Records were confirmed, or refused. */
void patience_confirm(struct patience *p, uint64_t records);

/* The session fell. */
void patience_fall(struct patience *p, uint64_t bytes);

/* It is out. */
bool patience_ends(struct patience *p, uint64_t bytes, int64_t now_ns);

#endif
