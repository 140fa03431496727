/*
 * Our own export streams, so that packets of them that pass a watched port are left out: metering
 * them would make records about records. Transports add what they have connected; workers ask.
 *
 * Workers ask without a lock: first one bit that a packet's ports choose (both directions the same
 * one), and only where that is set, whether a keyed hash of the packet's 5-tuple is among the
 * streams'. That the port of a collector alone is not asked for is on purpose: other exporters that
 * send to the same collector through the port are traffic like any other.
 */
#ifndef WEIR_OWN_H
#define WEIR_OWN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

#define OWN_MARK_BITS 4096

struct own;
struct sockaddr;

/* The part that workers look at for each packet: eight cache lines. */
struct own_marks {
	_Atomic uint64_t word[OWN_MARK_BITS / 64];
};

/* ERR_NOMEM, or -errno without randomness. Main thread. */
int own_new(struct own **ret_own);

/* NULL is fine. */
void own_free(struct own *own);

/* Adds the stream of a socket, whichever way its packets go. `peer` is whom it is being connected
 * to, so that a stream that still waits for its peer can be added; NULL: ask the socket. Returns a
 * number for own_drop, or -1 when it cannot be added (not connected, not IP, or too many: said in
 * the log). NULL as `own` is fine, nobody asks then. Any thread. */
int own_add(struct own *own, int fd, const struct sockaddr *peer);

/* The stream has ended. What the kernel still sends of it is ours nonetheless: it is forgotten when
 * its place is needed. -1 and NULL are fine. Any thread. */
void own_drop(struct own *own, int number);

/* The long way, where the mark is set: own_is asks. */
bool own_has(const struct own *own, const struct packet *packet);

/* The bit that both directions of a stream choose. */
static inline unsigned own_mark_of(uint8_t ip_proto, uint16_t port, uint16_t other_port)
{
	const uint32_t mixed = (uint32_t)(port ^ other_port ^ ip_proto << 5) * 0x9e3779b1u;
	return mixed / (UINT32_MAX / OWN_MARK_BITS + 1);
}

/* May a packet with these ports be of one of our own streams? Any thread. */
static inline bool own_is_marked(const struct own *own, uint8_t ip_proto, uint16_t sport,
				 uint16_t dport)
{
	/* struct own begins with its marks */
	const struct own_marks *marks = (const struct own_marks *)(const void *)own;
	const unsigned bit = own_mark_of(ip_proto, sport, dport);
	const uint64_t word = atomic_load_explicit(&marks->word[bit / 64], memory_order_relaxed);
	return __builtin_expect(word >> bit % 64 & 1, 0);
}

/* Is the packet of one of our own streams? Any thread. */
static inline bool own_is(const struct own *own, const struct packet *p)
{
	return own_is_marked(own, p->ip_proto, p->sport, p->dport) && own_has(own, p);
}

#endif
