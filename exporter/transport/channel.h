/*
 * What carries the bytes of a stream: a socket, bare or with TLS over it. All calls return at once;
 * -EAGAIN says that the socket has to become readable or, with `wants_write`, writable first.
 */
#ifndef WEIR_EXPORTER_CHANNEL_H
#define WEIR_EXPORTER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct channel;

struct channel_ops {
	/* 0 when the channel can carry; -EAGAIN; else the reason is in `why`. */
	int (*handshake)(struct channel *c);

	/* Bytes taken (part of them is fine), -EAGAIN or -errno. After -EAGAIN the same bytes come
	 * again, perhaps with more behind them. */
	ssize_t (*write)(struct channel *c, const void *bytes, size_t n);

	/* Bytes read, 0 when the peer has closed its side in order, -EAGAIN or -errno. */
	ssize_t (*read)(struct channel *c, void *bytes, size_t n);

	/* Closes our side: the peer reads all that was written, then an end. 0, -EAGAIN, -errno. */
	int (*shut)(struct channel *c);

	/* Frees, closes the socket. */
	void (*close)(struct channel *c);
};

/* First member of each. */
struct channel {
	const struct channel_ops *ops;
	int fd;
	bool wants_write; /* handshake, read, shut: why -EAGAIN */
	char why[256];	  /* of the last failure, "" when errno says it all */
};

/* The bare socket, which it owns from then on. NULL: no memory, the socket is closed. */
struct channel *plain_channel_new(int fd);

#endif
