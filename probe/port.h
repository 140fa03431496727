/*
 * The ports of live inputs as an operator sees them: what came in there, and what was lost on the
 * way and where. Workers count what their handles see; the port's own counters are read here, in
 * the main thread, twice a second. Main thread only, but for the atomics.
 */
#ifndef WEIR_PORT_H
#define WEIR_PORT_H

#include <net/if.h>
#include <stdatomic.h>

#include "capture.h"
#include "capture/iface.h"
#include "drop_watch.h"

struct probe;
struct live_input;

struct port {
	const struct live_input *input;
	unsigned part;		    /* of the input, from 0 */
	char spec[64];		    /* as one that stands alone: "ring:eth1" */
	char name[IF_NAMESIZE];	    /* the interface; "" for a queue */
	unsigned index;		    /* ifIndex; 0 while there is none */
	struct iface_counters seen; /* at the last look, of that index */
	uint64_t seen_backlog;	    /* likewise, of the whole machine */
	uint64_t missed;	    /* by NIC or driver, since we watch */
	uint64_t backlog;	    /* by the kernel's backlog: at most this, see port.c */
	uint64_t interface_dropped; /* rx_dropped, since we watch */
	struct capture_stats stats; /* of all workers, what `missed` and `backlog` say included */
	atomic_ullong dropped;	    /* sum of stats.drops, for the export thread */
	struct drop_watch watch;
	bool merged_said;
	bool supers_said;
};

/* Makes the ports of all inputs; ERR_NOMEM. After the inputs are opened. */
int ports_make(struct probe *probe);
void ports_free(struct probe *probe);

/* Counts anew, and says in the log when losses begin and end. `quietly`: says nothing. */
void ports_look(struct probe *probe, bool quietly);

/* Only what workers have counted: after their end. */
void ports_sum(struct probe *probe);

#endif
