/*
 * SCTP (RFC 7011 §10.2) as a channel: one-to-one style, everything on stream 0, reliable and in
 * order, so that all but the writing is as over TCP. A message of IPFIX is a message of SCTP: the
 * stream's buffer begins with one always, and its length is in its header. Plain sockets; no
 * library is needed.
 *
 * What SCTP acknowledged cannot be asked for in bytes. No more than the send buffer can be
 * unacknowledged, so that is what is taken for it (stream.c).
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Builds on what the others declare. */
#include <linux/sctp.h>

#include "../fail.h"
#include "channel.h"
#include "err.h"
#include "sctp.h"
#include "wire.h"

enum {
	LENGTH_AT = 2, /* in the message header of IPFIX */
	HEADER_LEN = 16,
	RTO_MAX_MS = 4000, /* a peer that is gone is given up after half a minute, not five */
	TRIES = 8,
};

static int sctp_handshake(struct channel *c)
{
	(void)c;
	return 0;
}

static ssize_t sctp_write(struct channel *c, const void *bytes, size_t n)
{
	const size_t len = n >= HEADER_LEN ? be16((const uint8_t *)bytes + LENGTH_AT) : 0;
	ssize_t done;
	if (len < HEADER_LEN || len > n)
		return -EPROTO; /* no message: our own fault */
	do {
		done = send(c->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (done < 0 && errno == EINTR);
	return done < 0 ? -errno : done;
}

/* How an association ended is told by a notification: whoever closed it sees no end of data. */
static ssize_t read_notification(const void *bytes, size_t n)
{
	struct sctp_assoc_change change;
	if (n < sizeof(change))
		return -EAGAIN;
	memcpy(&change, bytes, sizeof(change));
	if (change.sac_type != SCTP_ASSOC_CHANGE)
		return -EAGAIN;
	if (change.sac_state == SCTP_SHUTDOWN_COMP)
		return 0;
	return change.sac_state == SCTP_COMM_LOST ? -ECONNRESET : -EAGAIN;
}

static ssize_t sctp_read(struct channel *c, void *bytes, size_t n)
{
	struct iovec iov = {bytes, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t done;
	do {
		done = recvmsg(c->fd, &msg, MSG_DONTWAIT);
	} while (done < 0 && errno == EINTR);
	if (done < 0)
		return -errno;
	return msg.msg_flags & MSG_NOTIFICATION ? read_notification(bytes, (size_t)done) : done;
}

/* The association ends when the peer has acknowledged all; there is no half of it. */
static int sctp_shut(struct channel *c)
{
	return shutdown(c->fd, SHUT_WR) == 0 ? 0 : -errno;
}

static void sctp_close(struct channel *c)
{
	close(c->fd);
	free(c);
}

static const struct channel_ops sctp_ops = {
	.handshake = sctp_handshake,
	.write = sctp_write,
	.read = sctp_read,
	.shut = sctp_shut,
	.close = sctp_close,
};

struct channel *sctp_channel_new(int fd)
{
	const struct sctp_rtoinfo rto = {.srto_max = RTO_MAX_MS};
	const struct sctp_assocparams params = {.sasoc_asocmaxrxt = TRIES};
	const struct sctp_event_subscribe events = {.sctp_association_event = 1};
	const int on = 1;
	struct channel *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		close(fd);
		return NULL;
	}
	setsockopt(fd, IPPROTO_SCTP, SCTP_EVENTS, &events, sizeof(events));
	setsockopt(fd, IPPROTO_SCTP, SCTP_RTOINFO, &rto, sizeof(rto));
	setsockopt(fd, IPPROTO_SCTP, SCTP_ASSOCINFO, &params, sizeof(params));
	setsockopt(fd, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof(on));
	c->ops = &sctp_ops;
	c->fd = fd;
	return c;
}

int sctp_check(struct errtext *e)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	const int err = -errno;
	if (err == -EPROTONOSUPPORT)
		return fail(e, err,
			    "this kernel has no SCTP: load its module (modprobe sctp), or use "
			    "ipfix+tcp");
	return fail(e, err, "no SCTP socket: %s", err_str(err));
}
