/*
 * Inputs behind one operations table: capture files, live ports, rings and queues are its rows.
 *
 * An input hands over batches of pointers into its own memory. A handle belongs to one thread (its
 * worker's) or, in a replay with several workers, to one at a time (deal.h). Several workers can share a live input, each by a handle of its own, between which
 * the input divides the packets so that the two directions of an address pair, and all fragments
 * of a packet, come to one of them.
 *
 * The life of a live handle: the main thread opens those of all workers (on the worker's CPU where
 * one was asked for, so that memory is near it), then starts them, then the workers read; at a stop
 * each worker calls `finish` and reads what is left.
 */
#ifndef WEIR_CAPTURE_H
#define WEIR_CAPTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

struct capture;

/* Handles of one live input. */
#define CAPTURE_TEAM_MAX 64

/* What the handles of one live input share. The caller's, zeroed but for `workers` and `key`;
 * outlives them. */
struct capture_team {
	unsigned workers; /* handles that read the input together, at least 1 */
	uint32_t key;     /* random, the same for all handles: seeds the hash that divides packets */

	/* The ring's. */
	atomic_int group;       /* the kernel's name for the team (fanout group), set by worker 0 */
	atomic_int tally_group; /* the same of the sockets that only count, where the kernel samples */
	atomic_uint joined[CAPTURE_TEAM_MAX]; /* the group that each handle joined last: worker 0's
	                                       * first, second ...; 0: it is in none */
};

/* How to open an input. Strings stay the caller's and are read only during capture_open. */
struct capture_conf {
	const char *spec;    /* a path, "-" for standard input, or "pcap:eth1" */
	const char *filter;  /* pcap-filter expression or NULL; compiled anew for each link type */
	uint32_t snaplen;    /* live: bytes of a packet to keep; 0 = default */
	uint8_t iface;       /* logical interface to put on each packet */
	bool live;
	const atomic_bool *stop; /* set: a read that waits for a pipe gives up; NULL: never */

	/* Live only from here on. */
	struct capture_team *team; /* NULL: this handle is the input's only one */
	unsigned worker;           /* this handle's place in the team, from 0 */
	uint32_t random_n;         /* take 1/N of the packets at random, where the input can do so itself
	                            * (then capture_stats.sampled); 0 = all */
	uint64_t ring_size;        /* bytes between the kernel and a worker; 0 = default */
	bool nowait;               /* `next` does not wait: the caller polls `fd` */
};

/* Where packets were lost, seen from us outwards. */
enum capture_drop {
	CAPTURE_DROP_RING,   /* the ring or queue between the kernel and us was full */
	CAPTURE_DROP_SUPER,  /* super-packets of a kind that the kernel could not tell us of */
	CAPTURE_DROP_KERNEL, /* by the kernel before that: backlog, memory */
	CAPTURE_DROP_NIC,    /* by the port's hardware or driver */
	CAPTURE_DROP_COUNT
};

/* Totals of an input since it was opened. */
struct capture_stats {
	uint64_t received;   /* packets read, before the filter where the filter is ours */
	uint64_t filtered;   /* packets the filter took out in user space */
	uint64_t drops[CAPTURE_DROP_COUNT]; /* lost, as far as this handle is told; what the port's own
	                      * counters say is added by the main thread (probe/port.c) */
	uint64_t unsampled;  /* packets the input left out by random_n; not in `received` */
	uint64_t merged;     /* super-packets that were counted as one packet each, not being understood */
	bool sampled;        /* random_n is heeded: the caller must not sample again */
	bool gone;           /* the interface is not there or down; it is waited for */
	uint64_t bytes_read; /* file: bytes of the file consumed (compressed bytes where compressed) */
	uint64_t bytes_total;/* file: its size, 0 unknown (standard input) */
	bool truncated;      /* file: the last record was cut; what came before was handed over */
};

struct capture_ops {
	const char *name; /* "file", "pcap": the prefix of -i */
	bool port;        /* live: what stands behind the prefix names interfaces */
	bool egress;      /* live: it knows where packets leave, too */

	/* How many workers shall share the input `spec`. `wanted` 0: as many as are of use on this
	 * machine. At least 1. NULL: it cannot be shared. Main thread, before any open. */
	unsigned (*workers)(const char *spec, unsigned wanted);

	/* Opens the input. On success the handle is the caller's to close. On failure writes one
	 * line (no newline) that names the input and the cure into errbuf and returns ERR_FORMAT
	 * (not a capture), ERR_USAGE (the filter, an empty name), -errno, or ERR_NOTSUP. */
	int (*open)(const struct capture_conf *conf, char *errbuf, unsigned errsize,
		    struct capture **ret_capture);

	/* Live: lets packets in. Called once, when the handles of all inputs are open, so that a team
	 * is complete before its first packet. NULL: they come from `open` on. Main thread. */
	void (*start)(struct capture *capture);

	/* Up to `max` packets into pkts; they stay valid until the next call. Returns their number;
	 * 0 when a live input had none for its poll interval (<= 20 ms); ERR_EOF at the end of a
	 * file, or when a finished live input has no more; ERR_TRUNCATED once, instead of ERR_EOF, when the last record is cut (a warning
	 * with file and offset has been logged); ERR_STOPPED when `stop` was set while it waited;
	 * ERR_CORRUPT or -errno when it cannot go on (logged).
	 * A file fills the batch unless it ends, or has a filter that lets little through. */
	int (*next)(struct capture *capture, struct raw_packet *pkts, unsigned max);

	/* Do packets stay valid until `close`, not only until the next call? NULL: no. */
	bool (*lasts)(const struct capture *capture);

	/* Live: a descriptor that poll(2) finds readable when there are packets (an epoll one where
	 * there are several), or -1 while there is none. May change after any `next`. NULL: the input
	 * cannot be joined with others. */
	int (*fd)(struct capture *capture);

	/* Live: what arrives from now on is not wanted any more. `next` goes on with what had arrived
	 * before, a block or batch that is not full included, and says ERR_EOF within 100 ms. NULL:
	 * the worker simply stops reading. */
	void (*finish)(struct capture *capture);

	/* Totals so far. The worker's thread, about once in 100 ms: no slow calls. */
	void (*stats)(struct capture *capture, struct capture_stats *ret_stats);

	/* Of a joined input ("eth1+eth2"): the handle of port `number`, from 0; NULL past the last. A
	 * NULL member: the handle is its own and only part. */
	struct capture *(*part)(struct capture *capture, unsigned number);

	/* Ends the input; NULL is fine. */
	void (*close)(struct capture *capture);
};

#define CAPTURE_ERRBUF_SIZE 512

/* Ports that one input can join. */
#define CAPTURE_PARTS_MAX 8

/* Opens with the backend that `conf` calls for; see capture_ops.open. */
int capture_open(const struct capture_conf *conf, char *errbuf, unsigned errsize,
		 struct capture **ret_capture);

/* The same; why it cannot is said in the log. */
int capture_open_said(const struct capture_conf *conf, struct capture **ret_capture);

unsigned capture_workers(const char *spec, unsigned wanted);
void capture_start(struct capture *capture);
int capture_next(struct capture *capture, struct raw_packet *pkts, unsigned max);
bool capture_lasts(const struct capture *capture);
int capture_fd(struct capture *capture);

/* False when the input has nothing to finish: do not read on. */
bool capture_finish(struct capture *capture);
void capture_stats(struct capture *capture, struct capture_stats *ret_stats);
struct capture *capture_part(struct capture *capture, unsigned number);
void capture_close(struct capture *capture);

/* into += from, what live inputs count; `gone` when either is. */
void capture_stats_add(struct capture_stats *into, const struct capture_stats *from);

/* The sum of a handle's drops. */
uint64_t capture_dropped(const struct capture_stats *stats);

/* Part `number`, from 0, of a live specification, as one that stands alone: of "ring:eth1+eth2,x"
 * part 1 is "ring:eth2,x". False past the last, or when it does not fit. */
bool capture_spec_part(const char *spec, unsigned number, char *buf, unsigned size);

/* The interface that a specification without '+' names: between scheme and options. False when it
 * does not fit, or names a queue. */
bool capture_spec_interface(const char *spec, char *buf, unsigned size);

/* Does a live input know by which interface packets leave? */
bool capture_knows_egress(const char *spec);

/* The backends built in, ended by NULL. */
extern const struct capture_ops *const capture_backends[];

#endif
