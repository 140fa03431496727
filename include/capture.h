/*
 * Inputs behind one operations table: capture files now, live ports, queues and rings as rows.
 *
 * An input hands over batches of pointers into its own memory. A handle belongs to one thread
 * (its worker's); nothing here is shared.
 */
#ifndef WEIR_CAPTURE_H
#define WEIR_CAPTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

struct capture;

/* How to open an input. Strings stay the caller's and are read only during capture_open. */
struct capture_conf {
	const char *spec;    /* a path, "-" for standard input, or "pcap:eth1" */
	const char *filter;  /* pcap-filter expression or NULL; compiled anew for each link type */
	uint32_t snaplen;    /* live: bytes of a packet to keep; 0 = default */
	uint8_t iface;       /* logical interface to put on each packet */
	bool live;
	const atomic_bool *stop; /* set: a read that waits for a pipe gives up; NULL: never */
};

/* Totals of an input since it was opened. */
struct capture_stats {
	uint64_t received;   /* packets read, before the filter where the filter is ours */
	uint64_t filtered;   /* packets the filter took out in user space */
	uint64_t dropped;    /* lost by kernel, ring or NIC */
	uint64_t bytes_read; /* file: bytes of the file consumed (compressed bytes where compressed) */
	uint64_t bytes_total;/* file: its size, 0 unknown (standard input) */
	bool truncated;      /* file: the last record was cut; what came before was handed over */
};

struct capture_ops {
	const char *name; /* "file", "pcap": the prefix of -i */

	/* Opens the input. On success the handle is the caller's to close. On failure writes one
	 * line (no newline) that names the input and the cure into errbuf and returns ERR_FORMAT
	 * (not a capture), ERR_USAGE (the filter, an empty name), -errno, or ERR_NOTSUP. */
	int (*open)(const struct capture_conf *conf, char *errbuf, unsigned errsize,
		    struct capture **ret_capture);

	/* Up to `max` packets into pkts; they stay valid until the next call. Returns their number;
	 * 0 when a live input had none for its poll interval (<= 20 ms); ERR_EOF at the end of a
	 * file; ERR_TRUNCATED once, instead of ERR_EOF, when the last record is cut (a warning
	 * with file and offset has been logged); ERR_STOPPED when `stop` was set while it waited;
	 * ERR_CORRUPT or -errno when it cannot go on (logged).
	 * A file fills the batch unless it ends, or yields 0 while its filter lets nothing through. */
	int (*next)(struct capture *capture, struct raw_packet *pkts, unsigned max);

	/* Totals so far. */
	void (*stats)(struct capture *capture, struct capture_stats *ret_stats);

	/* Ends the input; NULL is fine. */
	void (*close)(struct capture *capture);
};

#define CAPTURE_ERRBUF_SIZE 512

/* Opens with the backend that `conf` calls for; see capture_ops.open. */
int capture_open(const struct capture_conf *conf, char *errbuf, unsigned errsize,
		 struct capture **ret_capture);
int capture_next(struct capture *capture, struct raw_packet *pkts, unsigned max);
void capture_stats(struct capture *capture, struct capture_stats *ret_stats);
void capture_close(struct capture *capture);

/* The backends built in, ended by NULL. */
extern const struct capture_ops *const capture_backends[];

#endif
