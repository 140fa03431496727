/*
 * What an output counts. Written by the export thread, read by any: relaxed atomics, no locked
 * instruction, since there is one writer.
 */
#ifndef WEIR_EXPORTER_OUTPUT_COUNTERS_H
#define WEIR_EXPORTER_OUTPUT_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* X(id, text): why a record was not delivered. */
#define DROP_REASONS(X)                                                                            \
	X(IPV6, "ipv6")	      /* NetFlow v5 cannot say it */                                       \
	X(TOO_BIG, "too_big") /* the datagram does not pass */                                     \
	X(SEND, "send")	      /* the system refused to send */                                     \
	X(WRITE, "write")     /* the file could not be opened or written */                        \
	X(PACE, "pace")	      /* live: more than the pace lets through, for too long */            \
	X(QUEUE, "queue")     /* live: the queue in memory was full */                             \
	X(SPOOL, "spool")     /* the spool was full, or could not be written or read back */       \
	X(AWAY, "away")	      /* the collector was not there, or its name not found */             \
	X(UNCONFIRMED, "unconfirmed") /* sent, but the collector did not close: who knows */       \
	X(REFUSED, "refused") /* the collector or a library refused them for what they are */

enum drop_reason {
#define X(id, text) DROP_##id,
	DROP_REASONS(X)
#undef X
		DROP_REASON_COUNT
};

typedef _Atomic uint64_t stat_t;

struct output_counters {
	stat_t records_in; /* what the direction policy made: all below add up to it */
	stat_t unsampled;  /* of flows that sample= left out */
	stat_t filtered;   /* left out by filter= */
	stat_t unsampled_packets;
	stat_t records;
	stat_t messages;
	stat_t bytes;
	stat_t reconnects;
	stat_t dropped[DROP_REASON_COUNT];
	/* Sessions: what is held now; with `recovered`,
	 * in = unsampled + filtered + records + dropped + held. */
	stat_t queued;	    /* in memory, not sent */
	stat_t unconfirmed; /* sent, the window of resend= */
	stat_t spooled;	    /* on disk */
	stat_t spooled_bytes;
	stat_t recovered;   /* what an earlier run left on disk, counted into `in` */
	stat_t complete;    /* no sessions: in messages that wait for others of their row */
	stat_t lag_ns;	    /* age of the oldest record that was not sent */
	_Atomic bool up;
	_Atomic int error; /* first error that made the output fail */
	_Atomic bool dead; /* it failed for good: nothing is tried again */
};

static inline void stat_add(stat_t *s, uint64_t n)
{
	atomic_store_explicit(s, atomic_load_explicit(s, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline uint64_t stat_get(const stat_t *s)
{
	return atomic_load_explicit(s, memory_order_relaxed);
}

static inline void counters_fail(struct output_counters *c, int error)
{
	if (atomic_load_explicit(&c->error, memory_order_relaxed) == 0)
		atomic_store_explicit(&c->error, error, memory_order_relaxed);
}

#endif
