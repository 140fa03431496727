/*
 * The rings are libxdp's; who owns a frame is ours to know. A frame is in the fill ring, in the
 * receive ring, or among `held`; there are as many frames as the fill ring has places, so giving
 * back never fails.
 *
 * A packet longer than a frame comes in several (Linux 6.6): the first holds the headers and is
 * the one handed over, the others are counted into the length and go straight back.
 */
#include "xdp_queue.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <xdp/xsk.h>

#include "pages.h"

#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif

#define BUSY_TRIES  20
#define BUSY_NAP_NS 50000000

struct xdp_queue {
	struct xsk_umem *umem;
	struct xsk_socket *socket;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons done; /* of sending, which we do not; libxdp wants it */
	struct xsk_ring_cons rx;
	uint8_t *memory;
	size_t bytes;
	bool zero_copy;
	bool in_pieces;		 /* the packet taken last goes on in the next frame ... */
	struct raw_packet *open; /* ... and is here, if it is in this batch; else NULL */
	unsigned held;
	uint64_t held_at[XDP_QUEUE_BATCH];
};

/* ---- opening ------------------------------------------------------------------------------- */

static int open_memory(struct xdp_queue *queue, const struct xdp_queue_conf *conf)
{
	queue->bytes = (size_t)conf->frames * conf->frame_bytes;
	queue->memory = pages_new(queue->bytes);
	if (queue->memory == NULL)
		return -ENOMEM;
	const struct xsk_umem_config umem = {
		.fill_size = conf->frames,
		.comp_size = 64,
		.frame_size = conf->frame_bytes,
	};
	return xsk_umem__create(&queue->umem, queue->memory, queue->bytes, &queue->fill,
				&queue->done, &umem);
}

static int bind_queue(struct xdp_queue *queue, const struct xdp_queue_conf *conf, bool pieces)
{
	const struct xsk_socket_config socket = {
		.rx_size = conf->frames,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = (uint16_t)(XDP_USE_NEED_WAKEUP | (conf->copy ? XDP_COPY : 0) |
					 (pieces ? XDP_USE_SG : 0)),
	};
	return xsk_socket__create(&queue->socket, conf->name, conf->queue, queue->umem, &queue->rx,
				  NULL, &socket);
}

/* The kernel lets go of a queue a while after its last reader has ended: a probe that is started
 * anew at once finds it busy. */
static int bind_freed_queue(struct xdp_queue *queue, const struct xdp_queue_conf *conf, bool pieces)
{
	int err = bind_queue(queue, conf, pieces);
	for (unsigned i = 0; err == -EBUSY && i < BUSY_TRIES; i++) {
		nanosleep(&(struct timespec){0, BUSY_NAP_NS}, NULL);
		err = bind_queue(queue, conf, pieces);
	}
	return err;
}

/* Zero-copy where the driver has it is what the kernel does unless XDP_COPY is said. */
static int open_socket(struct xdp_queue *queue, const struct xdp_queue_conf *conf)
{
	int err = bind_freed_queue(queue, conf, conf->pieces);
	if (conf->pieces && (err == -EINVAL || err == -EOPNOTSUPP))
		err = bind_freed_queue(queue, conf, false);
	if (err != 0)
		return err;
	struct xdp_options options = {.flags = 0};
	socklen_t size = sizeof(options);
	if (getsockopt(xdp_queue_fd(queue), SOL_XDP, XDP_OPTIONS, &options, &size) == 0)
		queue->zero_copy = (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
	return 0;
}

/* All frames to the kernel. */
static void fill_all(struct xdp_queue *queue, const struct xdp_queue_conf *conf)
{
	uint32_t at = 0;
	unsigned n = xsk_ring_prod__reserve(&queue->fill, conf->frames, &at);
	for (unsigned i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&queue->fill, at + i) = (uint64_t)i * conf->frame_bytes;
	xsk_ring_prod__submit(&queue->fill, n);
}

int xdp_queue_open(const struct xdp_queue_conf *conf, struct xdp_queue **ret_queue)
{
	struct xdp_queue *queue = calloc(1, sizeof(*queue));
	if (queue == NULL)
		return -ENOMEM;
	int err = open_memory(queue, conf);
	if (err == 0) {
		fill_all(queue, conf);
		err = open_socket(queue, conf);
	}
	if (err != 0) {
		xdp_queue_close(queue);
		return err;
	}
	*ret_queue = queue;
	return 0;
}

void xdp_queue_close(struct xdp_queue *queue)
{
	if (queue == NULL)
		return;
	if (queue->socket != NULL)
		xsk_socket__delete(queue->socket);
	if (queue->umem != NULL)
		(void)xsk_umem__delete(queue->umem);
	pages_free(queue->memory, queue->bytes);
	free(queue);
}

int xdp_queue_fd(const struct xdp_queue *queue)
{
	return xsk_socket__fd(queue->socket);
}

bool xdp_queue_is_bound(const struct xdp_queue *queue)
{
	return recvfrom(xdp_queue_fd(queue), NULL, 0, MSG_DONTWAIT, NULL, NULL) >= 0 ||
	       errno != ENXIO;
}

bool xdp_queue_is_zero_copy(const struct xdp_queue *queue)
{
	return queue->zero_copy;
}

/* ---- packets ------------------------------------------------------------------------------- */

/* One frame: a packet's first is its packet, the others make it longer. Returns packets begun. */
static inline unsigned take_frame(struct xdp_queue *queue, const struct xdp_desc *desc,
				  const struct raw_packet *blank, struct raw_packet *pkt)
{
	unsigned begun = 0;
	if (!queue->in_pieces) {
		*pkt = *blank;
		pkt->data = xsk_umem__get_data(queue->memory, desc->addr);
		pkt->caplen = desc->len;
		pkt->wirelen = desc->len;
		queue->open = pkt;
		begun = 1;
	} else if (queue->open != NULL) {
		queue->open->wirelen += desc->len;
	}
	queue->in_pieces = (desc->options & XDP_PKT_CONTD) != 0;
	return begun;
}

unsigned xdp_queue_take(struct xdp_queue *queue, const struct raw_packet *blank,
			struct raw_packet *pkts, unsigned max)
{
	uint32_t at = 0;
	unsigned room = XDP_QUEUE_BATCH - queue->held;
	unsigned n = xsk_ring_cons__peek(&queue->rx, max < room ? max : room, &at);
	unsigned begun = 0;
	for (unsigned i = 0; i < n; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&queue->rx, at + i);
		queue->held_at[queue->held++] = desc->addr;
		begun += take_frame(queue, desc, blank, &pkts[begun]);
	}
	if (n > 0)
		xsk_ring_cons__release(&queue->rx, n);
	return begun;
}

void xdp_queue_give_back(struct xdp_queue *queue)
{
	uint32_t at = 0;
	queue->open = NULL;
	if (queue->held == 0)
		return;
	unsigned n = xsk_ring_prod__reserve(&queue->fill, queue->held, &at);
	for (unsigned i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&queue->fill, at + i) = queue->held_at[i];
	xsk_ring_prod__submit(&queue->fill, n);
	queue->held = 0;
	if (xsk_ring_prod__needs_wakeup(&queue->fill))
		(void)recvfrom(xdp_queue_fd(queue), NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/* Without a frame a packet counts as dropped, so fill_ring_empty, which counts attempts, is not
 * added to it. */
uint64_t xdp_queue_dropped(const struct xdp_queue *queue)
{
	struct xdp_statistics stats;
	socklen_t size = sizeof(stats);
	if (getsockopt(xdp_queue_fd(queue), SOL_XDP, XDP_STATISTICS, &stats, &size) != 0)
		return 0;
	return stats.rx_dropped + stats.rx_ring_full;
}
