/*
 * One AF_XDP socket: the packets of one queue of a port, in memory that the kernel and we share.
 * A frame that was taken stays ours until it is given back. One thread.
 */
#ifndef WEIR_CAPTURE_XDP_QUEUE_H
#define WEIR_CAPTURE_XDP_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

/* Frames held from one batch to the next, at most. */
#define XDP_QUEUE_BATCH 256

struct xdp_queue;

struct xdp_queue_conf {
	const char *name; /* of the port */
	unsigned queue;
	unsigned frames;      /* a power of two */
	unsigned frame_bytes; /* 2048 or 4096, with the kernel's headroom of 256 */
	bool copy;	      /* do not ask for zero-copy */
	bool pieces; /* take packets longer than a frame in several, where the kernel knows how */
};

/* Memory, rings, and the socket bound to its queue. 0 or -errno; nothing is left behind then. */
int xdp_queue_open(const struct xdp_queue_conf *conf, struct xdp_queue **ret_queue);
void xdp_queue_close(struct xdp_queue *queue);

/* The socket, for poll and for the port's program. */
int xdp_queue_fd(const struct xdp_queue *queue);

/* Not any more when its port was removed, or moved to another namespace. */
bool xdp_queue_is_bound(const struct xdp_queue *queue);
bool xdp_queue_is_zero_copy(const struct xdp_queue *queue);

/* Up to `max` packets that have come: data, caplen, wirelen; the rest of *blank. Returns their
 * number. They are valid until xdp_queue_give_back. */
unsigned xdp_queue_take(struct xdp_queue *queue, const struct raw_packet *blank,
			struct raw_packet *pkts, unsigned max);

/* The frames of what was taken go back to the kernel. */
void xdp_queue_give_back(struct xdp_queue *queue);

/* Packets that the kernel had to let go since it was opened: no frame, no room in the ring, or too
 * long for a frame. */
uint64_t xdp_queue_dropped(const struct xdp_queue *queue);

#endif
