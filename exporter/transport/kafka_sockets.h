/*
 * The sockets of a producer, which librdkafka's threads connect and close: each is made known as one
 * of our own streams (own.h), as those of the other outputs are.
 */
#ifndef WEIR_EXPORTER_KAFKA_SOCKETS_H
#define WEIR_EXPORTER_KAFKA_SOCKETS_H

#include <pthread.h>

struct own;
struct sockaddr;

/* Connections to brokers at a time; of more than these packets are metered. */
#define KAFKA_SOCKETS_MAX 128

struct kafka_sockets {
	pthread_mutex_t lock;
	struct own *own; /* NULL: nobody asks, or not any more */
	unsigned count;
	struct {
		int fd;
		int number; /* in own */
	} socket[KAFKA_SOCKETS_MAX];
};

/* `own` is used until kafka_sockets_leave. */
void kafka_sockets_init(struct kafka_sockets *s, struct own *own);

/* Connects and makes it known: 0, also when it is under way, or errno. Any thread. */
int kafka_sockets_connect(struct kafka_sockets *s, int fd, const struct sockaddr *peer, int len);

/* Closes it: 0 or -1 with errno. Any thread. */
int kafka_sockets_close(struct kafka_sockets *s, int fd);

/* All streams have ended; sockets may still be closed afterwards. Any thread. */
void kafka_sockets_leave(struct kafka_sockets *s);

#endif
