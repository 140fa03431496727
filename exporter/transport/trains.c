/* Trains of datagrams: sendmmsg, with UDP_SEGMENT where there is more than one message. */
#include "trains.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

bool trains_are_cut(int fd)
{
	const int none = 0;
	return setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &none, sizeof(none)) == 0;
}

void trains_add(struct trains *t, struct iovec *iov, unsigned n)
{
	struct msghdr *h = &t->train[t->count].msg_hdr;
	*h = (struct msghdr){.msg_iov = iov, .msg_iovlen = n};
	if (n > 1) {
		const uint16_t size = (uint16_t)iov->iov_len;
		h->msg_control = t->control[t->count].bytes;
		h->msg_controllen = sizeof(t->control[0].bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(h);
		c->cmsg_level = IPPROTO_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(size));
		memcpy(CMSG_DATA(c), &size, sizeof(size));
	}
	t->count++;
}

int trains_send(int fd, struct trains *t)
{
	int sent;
	do {
		sent = sendmmsg(fd, t->train, t->count, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

bool trains_refused(int error)
{
	return error == EINVAL || error == EIO || error == EMSGSIZE || error == EOPNOTSUPP;
}
