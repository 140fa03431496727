/*
 * Sockets by their descriptor, behind a lock: they come and go a few times a minute. A producer that
 * is left behind (kafka.c) closes its sockets when the streams are long forgotten.
 */
#include "kafka_sockets.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "own.h"

void kafka_sockets_init(struct kafka_sockets *s, struct own *own)
{
	pthread_mutex_init(&s->lock, NULL);
	s->own = own;
	s->count = 0;
}

static void add(struct kafka_sockets *s, int fd, const struct sockaddr *peer)
{
	pthread_mutex_lock(&s->lock);
	if (s->own != NULL && s->count < KAFKA_SOCKETS_MAX) {
		s->socket[s->count].fd = fd;
		s->socket[s->count++].number = own_add(s->own, fd, peer);
	}
	pthread_mutex_unlock(&s->lock);
}

static void forget(struct kafka_sockets *s, int fd)
{
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->count; i++) {
		if (s->socket[i].fd == fd) {
			own_drop(s->own, s->socket[i].number);
			s->socket[i] = s->socket[--s->count];
			break;
		}
	}
	pthread_mutex_unlock(&s->lock);
}

int kafka_sockets_connect(struct kafka_sockets *s, int fd, const struct sockaddr *peer, int len)
{
	if (connect(fd, peer, (socklen_t)len) != 0 && errno != EINPROGRESS)
		return errno;
	add(s, fd, peer);
	return 0;
}

int kafka_sockets_close(struct kafka_sockets *s, int fd)
{
	forget(s, fd);
	return close(fd);
}

void kafka_sockets_leave(struct kafka_sockets *s)
{
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->count; i++)
		own_drop(s->own, s->socket[i].number);
	s->count = 0;
	s->own = NULL;
	pthread_mutex_unlock(&s->lock);
}
