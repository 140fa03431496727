/*
 * Super-packets: what segmentation offload (GSO, GRO, LRO) has joined in one buffer of up to some
 * hundred kilobytes, with one header, though it is on the wire as many packets. They are taken
 * apart again here, each segment with the header that it has on the wire as far as metering looks:
 * lengths, TCP sequence and flags, IP identification. Pure.
 */
#ifndef WEIR_CAPTURE_SUPER_H
#define WEIR_CAPTURE_SUPER_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

/* Bytes of memory that a segment's headers may take. */
#define SUPER_ROOM 256

/* Types as in a virtio header (<linux/virtio_net.h>), the ECN bit taken off. */
enum super_type { SUPER_NONE = 0, SUPER_TCP4 = 1, SUPER_TCP6 = 4, SUPER_UDP = 5 };

/* A super-packet being taken apart. */
struct super {
	struct raw_packet whole;
	uint32_t ip;	    /* where the IP header begins */
	uint32_t transport; /* where the TCP or UDP header begins */
	uint32_t headers;   /* bytes before the payload */
	uint32_t payload;   /* bytes of payload in all */
	uint32_t size;	    /* bytes of payload in a segment, the last may have fewer */
	uint32_t taken;	    /* bytes of payload in the segments that were handed out */
	uint32_t segments;  /* that were handed out */
	uint8_t type;	    /* enum super_type */
};

/*
 * Begins with an Ethernet frame, or an IP packet where `whole` has another link type (a tun
 * device's), whose bytes at `data` may be written to; with the type and the segment size that the
 * kernel tells. False when the headers are not what these promise, or were not captured: a
 * tunnel's, say. Then `super->whole` has to be taken as one packet.
 */
bool super_begin(struct super *super, const struct raw_packet *whole, uint8_t *data, unsigned type,
		 unsigned size);

/* Are there more segments? */
static inline bool super_has_more(const struct super *super)
{
	return super->taken < super->payload;
}

/* The next segment; its bytes are put into `room`, which has SUPER_ROOM of them. Only while there
 * are more. */
struct raw_packet super_next(struct super *super, uint8_t *room);

#endif
