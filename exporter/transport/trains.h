/*
 * Datagrams for one system call: trains of messages of one size, which the kernel cuts into
 * datagrams (UDP_SEGMENT), and single ones.
 */
#ifndef WEIR_EXPORTER_TRAINS_H
#define WEIR_EXPORTER_TRAINS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Messages in one call; what UDP_SEGMENT takes in a train, too. */
enum { TRAINS_MAX = 64 };

struct trains {
	struct mmsghdr train[TRAINS_MAX];
	struct iovec iov[TRAINS_MAX]; /* a message each: the caller's to fill */
	union {
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr align;
	} control[TRAINS_MAX];
	unsigned count;
};

/* Does this kernel cut trains? An older one would take them for large datagrams. */
bool trains_are_cut(int fd);

/* One more, of `n` messages: all as long as the first, but the last, which may be shorter. */
void trains_add(struct trains *t, struct iovec *iov, unsigned n);

/* How many trains the system took, or -errno of the first. Does not wait. */
int trains_send(int fd, struct trains *t);

/* Are these the kernel's ways to say that a train cannot pass where its messages might? */
bool trains_refused(int error);

#endif
