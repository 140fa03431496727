/*
 * The exporter as the probe sees it: queues that take ended records, a thread that carries them to
 * the outputs, totals to read afterwards.
 *
 * Threads: exporter_new, exporter_start, exporter_stop and exporter_free are called by the main
 * thread. Each queue has one producer, its worker. The export thread is the exporter's own.
 */
#ifndef WEIR_EXPORTER_H
#define WEIR_EXPORTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

struct exporter;
struct export_queue;
struct netset;
struct own;

enum sampling_mode {
	SAMPLING_NONE, /* 1:1, announced as systematic 1 */
	SAMPLING_SYSTEMATIC,
	SAMPLING_RANDOM,
	SAMPLING_FLOW,
	SAMPLING_COUNT
};

/* A physical interface for the options records 82, 83. */
struct exporter_iface {
	uint32_t index;
	const char *name;
	const char *description; /* or NULL */
	const atomic_ullong *dropped; /* packets lost on their way from it so far; or NULL. Outlives us */
};

/* Everything the exporter needs to know of the run; copied where kept. */
struct exporter_conf {
	const char *const *outputs;   /* URLs as of weir(8) */
	unsigned outputs_count;
	unsigned workers;             /* queues to make */
	bool replay;                  /* packet clock drives everything, nothing is dropped for pace */
	enum sampling_mode sampling;
	uint32_t sampling_n;          /* the N of 1/N; 1 without sampling */
	uint64_t seed;                /* replay: seeds whatever needs randomness */
	bool key_has_tos;             /* tos-mask is not 0 */
	bool knows_egress;            /* default lists have egressInterface as well */
	const struct exporter_iface *ifaces;
	unsigned ifaces_count;
	const struct netset *local;   /* networks that flowDirection is about, or NULL. Outlives us */
	struct own *own;              /* told of each stream to a collector; or NULL. Outlives us */
};

/* Totals of one output. Every record is in one place:
 * records_in + recovered = unsampled + filtered + records + records_dropped + queued + unconfirmed +
 * spooled;
 * outputs without sessions hold no records but those of the message being built. */
struct output_stats {
	const char *url;         /* the exporter's, valid until exporter_free */
	uint64_t records_in;     /* given to it; a flow counts twice where each direction is a record */
	uint64_t unsampled;      /* of flows that sample= left out */
	uint64_t filtered;       /* left out by filter= */
	uint64_t records;        /* flow records delivered or written (one-way records count one each) */
	uint64_t messages;       /* datagrams, messages, or files */
	uint64_t bytes;
	uint64_t records_dropped;
	uint64_t reconnects;
	uint64_t queued;         /* held in memory, not sent */
	uint64_t unconfirmed;    /* sent, held until it is sure that they arrived (resend=) */
	uint64_t spooled;        /* held on disk */
	uint64_t spooled_bytes;  /* what the files of the spool take, those sent already included */
	uint64_t recovered;      /* found on disk at the start */
	int64_t lag_ns;          /* age of the oldest record that was not sent; 0: none waits */
	bool connected;          /* a session is open; always true of outputs without one */
	struct {
		const char *reason; /* "ipv6", "send", "too_big" ...; NULL ends the list */
		uint64_t records;
	} dropped[16];
	int error;               /* 0, or the first ERR_ that made the output fail */
};

/* Parses a URL and its options without opening anything: ERR_USAGE with one line in errbuf that
 * names every fault with its cure, "; " between them. `conf` says what the run is (sampling limits of v5 and so on). */
int exporter_check_output(const struct exporter_conf *conf, const char *url, char *errbuf,
			  unsigned errsize);

/* The outputs together, once each is right: ERR_USAGE when output `index` writes the file of one
 * before it, named in errbuf. Opens nothing. */
int exporter_check_together(const struct exporter_conf *conf, unsigned index, char *errbuf,
			    unsigned errsize);

/* Parses all outputs, opens files and sockets, makes the queues. On failure one line in errbuf:
 * ERR_USAGE for a wrong URL, -errno or ERR_NOTREADY for what could not be opened. */
int exporter_new(const struct exporter_conf *conf, char *errbuf, unsigned errsize,
		 struct exporter **ret_exporter);

/* Starts the export thread. */
int exporter_start(struct exporter *exporter);

/* Waits until every queue has delivered EXPORT_END and the outputs are flushed and closed (files
 * renamed to their final names), then ends the thread. 0, or the first error of an output. */
int exporter_stop(struct exporter *exporter);

/* An eventfd that becomes readable when the export thread has finished: every queue ended, outputs
 * flushed and closed. From then on exporter_stop does not wait. Any thread, after exporter_new; the
 * exporter's, neither read nor closed by the caller. */
int exporter_done_fd(const struct exporter *exporter);

/* No output can take a record any more, for the rest of the run: going on is in vain. Any thread. */
bool exporter_dead(const struct exporter *exporter);

/* Number of outputs, and the totals of one; safe while the thread runs (values may be a moment
 * old). */
unsigned exporter_outputs(const struct exporter *exporter);
void exporter_output_stats(const struct exporter *exporter, unsigned index,
			   struct output_stats *ret_stats);

void exporter_free(struct exporter *exporter);

/* The queue of a worker, 0 <= worker < conf.workers. */
struct export_queue *exporter_queue(struct exporter *exporter, unsigned worker);

/* A slot to fill, or NULL when the queue is full and the run is live (the caller counts it). In a
 * replay waits for room. The slot's content is undefined. The worker's thread only. */
union export_item *export_queue_reserve(struct export_queue *queue);

/* Hands the reserved slot over. Wakes the export thread only when it sleeps and enough waits. */
void export_queue_commit(struct export_queue *queue);

/* Are all outputs such as only count records (`null:`)? Constant. The worker then keeps
 * them: it says export_queue_discard for each instead. The worker's thread only. */
bool export_queue_discards(const struct export_queue *queue);
void export_queue_discard(struct export_queue *queue);

/* Wakes the export thread for whatever waits (live: after each batch with records). */
void export_queue_flush(struct export_queue *queue);

/* Would any output put this element (an IANA name, e.g. "sourceMacAddress") on a record? Tells the
 * probe which optional members to keep. After exporter_new. */
bool exporter_wants(const struct exporter *exporter, const char *element);

#endif
