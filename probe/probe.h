/*
 * The probe as a whole: its parts in the order they start, the loop that waits for its end, and
 * the books it prints. Main thread only.
 */
#ifndef WEIR_PROBE_H
#define WEIR_PROBE_H

#include <pthread.h>

#include "capture.h"
#include "conf.h"
#include "counters.h"
#include "exporter.h"
#include "flow/key.h"
#include "port.h"
#include "tstamp.h"
#include "worker.h"

/* A live input and the workers that share it. */
struct live_input {
	const char *spec;         /* conf's */
	unsigned first_worker;    /* the team's others follow it */
	struct capture_team team;
	atomic_ullong lost_outside; /* before any handle could count it; the first worker adds it */
};

struct probe {
	const struct conf *conf;
	struct netset *local;    /* NULL: none are named */
	struct own *own;         /* live, unless our own streams are to be metered */
	struct exporter *exporter;
	pthread_t populate;      /* fetches memory, if `populates` */
	bool populates;
	struct worker **worker;
	unsigned workers;        /* made */
	struct capture **opened; /* live: a handle for each worker; a replay: beside the files, what
	                          * can be opened only once. NULL once a worker has taken it over */
	unsigned opened_count;
	struct live_input *inputs; /* live */
	unsigned inputs_count;
	struct port *ports;      /* of all inputs */
	unsigned ports_count;
	struct mono_time ports_looked;
	bool pipes;              /* there are such in a replay: one worker */
	struct flow_secret secret, sample_secret;
	struct exporter_iface *ifaces; /* of live inputs */
	struct if_nameindex *all_ifaces; /* NULL unless one of the inputs is a gateway's */
	unsigned ifaces_count;
	uint64_t bytes_total;    /* of all files, for the progress line; 0 unknown */
	struct mono_time start;
	int signal_fd;
	int done_fd;             /* a worker has ended */
	bool live;
	atomic_bool stop;        /* asked to end */
	struct deal *deal;       /* NULL unless several workers share a replay */
	struct mono_time stopped; /* when it was first asked to end */
	int error;               /* the first that makes the run fail */
};

/* Starts all parts, waits for the end, stops them in reverse and prints the books. 0 done, else
 * the first ERR_ (said in the log). */
int probe_run(const struct conf *conf);

/* The loop: signals, progress line, ended workers. probe/wait.c */
void probe_wait(struct probe *probe);

/* The books as they stand, summed over workers. */
void probe_counters(const struct probe *probe, struct counters *ret_sum, uint64_t *ret_held);

/* The books of METERING.md §1 and each output's to standard error. probe/stats.c */
void stats_print(const struct probe *probe);

/* The same in one log line: SIGUSR1. */
void stats_log(const struct probe *probe);

#endif
