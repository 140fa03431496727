/*
 * The "file" input: what all readers of capture files share.
 *
 * A reader turns the bytes of a source into packets. file.c opens the source, picks the reader by
 * the first bytes, runs the filter, and says once how the file ended. One thread a handle at a time.
 */
#ifndef WEIR_CAPTURE_FILE_H
#define WEIR_CAPTURE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "chunks.h"
#include "filter.h"
#include "source.h"

/* More of a packet is not handed over: the metering needs headers, and a batch of a stream has to
 * have a bound. The rest is passed over. */
#define FILE_KEEP 262144U

/* A record said to hold more than this is damage, not a packet. */
#define FILE_BELIEVED (16U << 20)

struct capture_file {
	struct capture base;
	struct source src;
	const struct file_reader *reader;
	void *state;           /* the reader's */
	struct filter *filter; /* NULL without */
	struct chunks copies;  /* of packets whose own memory does not last for the batch */
	uint64_t received;
	uint64_t filtered;
	int end;               /* 0, or what `next` returns when the batch is empty */
	bool truncated;
	uint8_t iface;         /* logical interface for every packet */
};

/* Capture file formats. */
struct file_reader {
	const char *name;

	/* Packets last only until the next `take`, which is then asked for one at a time. */
	bool fleeting;

	/* Whether a file that begins so is this reader's. */
	bool (*match)(struct rd head);

	/* Reads what precedes the packets, and checks the filter against the first link type where
	 * it is known by then. Sets file->state, which `close` frees, also after a failure. Returns
	 * 0, ERR_NOTSUP (libpcap shall try), or another code with a line in errbuf. */
	int (*open)(struct capture_file *file, char *errbuf, unsigned errsize);

	/* Up to `max` packets; returns their number. Fewer than `max` only with file->end set. */
	unsigned (*take)(struct capture_file *file, struct raw_packet *pkts, unsigned max);

	void (*close)(struct capture_file *file);
};

extern const struct file_reader pcap_reader;
extern const struct file_reader pcapng_reader;
extern const struct file_reader libpcap_reader;

/* The data ends at the reading position. `begun`: inside the record or block at `offset`. Sets
 * file->end and logs unless it is a sound end. */
void file_set_end(struct capture_file *file, uint64_t offset, bool begun);

/* What stands at `offset` cannot be believed. Sets file->end and logs `what`. */
void file_set_corrupt(struct capture_file *file, uint64_t offset, const char *what);

/* Packet lengths as they are handed over: at most FILE_KEEP captured, and at least as many on the
 * wire as were captured, whatever the file says. */
static inline void file_set_lengths(struct raw_packet *pkt, uint32_t caplen, uint32_t wirelen)
{
	pkt->wirelen = wirelen > caplen ? wirelen : caplen;
	pkt->caplen = caplen < FILE_KEEP ? caplen : FILE_KEEP;
}

#endif
