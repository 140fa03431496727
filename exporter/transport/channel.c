/* The bare socket as a channel. */
#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int plain_handshake(struct channel *c)
{
	(void)c;
	return 0;
}

static ssize_t plain_write(struct channel *c, const void *bytes, size_t n)
{
	ssize_t done;
	do {
		done = send(c->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (done < 0 && errno == EINTR);
	return done < 0 ? -errno : done;
}

static ssize_t plain_read(struct channel *c, void *bytes, size_t n)
{
	ssize_t done;
	do {
		done = recv(c->fd, bytes, n, MSG_DONTWAIT);
	} while (done < 0 && errno == EINTR);
	return done < 0 ? -errno : done;
}

static int plain_shut(struct channel *c)
{
	return shutdown(c->fd, SHUT_WR) == 0 ? 0 : -errno;
}

static void plain_close(struct channel *c)
{
	close(c->fd);
	free(c);
}

static const struct channel_ops plain_ops = {
	.handshake = plain_handshake,
	.write = plain_write,
	.read = plain_read,
	.shut = plain_shut,
	.close = plain_close,
};

struct channel *plain_channel_new(int fd)
{
	struct channel *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		close(fd);
		return NULL;
	}
	c->ops = &plain_ops;
	c->fd = fd;
	return c;
}
