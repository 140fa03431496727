/*
 * DTLS by OpenSSL over its datagram BIO. What a lost datagram of the handshake needs is a timer:
 * OpenSSL says when, and sends again when asked. Messages are never sent again.
 */
#include "dtls_link.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../url.h"
#include "err.h"
#include "tls.h"

enum {
	READ_BYTES = 2048,
	READS = 16, /* in one go */
};

struct dtls_link {
	const struct url_spec *spec;
	const struct dtls_events *events;
	SSL *ssl;
	int fd;
	struct event *readable;
	struct event *writable;
	struct event *retransmit;
	bool greeted;
	char why[256];
};

int dtls_restrict(SSL_CTX *context)
{
	static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20";
	return SSL_CTX_set_cipher_list(context, ciphers) == 1 ? 0 : ERR_NOTSUP;
}

/* ---- outcomes ---- */

static void clear(void)
{
	ERR_clear_error();
	errno = 0;
}

/* What a call that returned `done` came to: -EAGAIN, or -EPROTO with the reason in `why`. */
static int outcome(struct dtls_link *l, int done)
{
	const int error = SSL_get_error(l->ssl, done);
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	if (error == SSL_ERROR_ZERO_RETURN)
		snprintf(l->why, sizeof(l->why), "the collector closed the session");
	else if (error == SSL_ERROR_SYSCALL && errno == ECONNREFUSED)
		snprintf(l->why, sizeof(l->why), "nobody listens there: %s", strerror(errno));
	else
		tls_tell_why(l->ssl, l->spec, l->why, sizeof(l->why));
	return -EPROTO;
}

static void tell_broken(struct dtls_link *l)
{
	event_del(l->readable);
	event_del(l->writable);
	event_del(l->retransmit);
	l->events->broke(l->events->arg, l, l->why);
}

/* ---- the handshake ---- */

static void await_retransmit(struct dtls_link *l)
{
	struct timeval left;
	if (DTLSv1_get_timeout(l->ssl, &left))
		event_add(l->retransmit, &left);
}

static void greet(struct dtls_link *l)
{
	clear();
	int done = SSL_connect(l->ssl);
	int err = done == 1 ? 0 : outcome(l, done);
	if (err == -EAGAIN) {
		await_retransmit(l);
	} else if (err != 0) {
		tell_broken(l);
	} else {
		event_del(l->retransmit);
		l->greeted = true;
		l->events->greeted(l->events->arg, l);
	}
}

static void on_retransmit(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct dtls_link *l = arg;
	clear();
	int done = (int)DTLSv1_handle_timeout(l->ssl);
	if (done < 0 && outcome(l, done) != -EAGAIN)
		tell_broken(l);
	else if (!l->greeted)
		greet(l);
}

/* ---- reading and writing ---- */

/* A collector has nothing to say but its end. */
static void read_away(struct dtls_link *l)
{
	uint8_t bytes[READ_BYTES];
	for (unsigned i = 0; i < READS; i++) {
		clear();
		int done = SSL_read(l->ssl, bytes, sizeof(bytes));
		if (done > 0)
			continue;
		if (outcome(l, done) != -EAGAIN)
			tell_broken(l);
		return;
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct dtls_link *l = arg;
	if (l->greeted)
		read_away(l);
	else
		greet(l);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct dtls_link *l = arg;
	l->events->writable(l->events->arg, l);
}

int dtls_link_send(struct dtls_link *l, const uint8_t *message, size_t n)
{
	clear();
	int done = SSL_write(l->ssl, message, (int)n);
	if (done > 0)
		return 0;
	int err = outcome(l, done);
	if (err == -EAGAIN)
		event_add(l->writable, NULL);
	return err;
}

size_t dtls_link_room(const struct dtls_link *l)
{
	return DTLS_get_data_mtu(l->ssl);
}

const char *dtls_link_why(const struct dtls_link *l)
{
	return l->why;
}

/* ---- making ---- */

/* The socket is connected: OpenSSL has to know with whom, for its arithmetic about the MTU. */
static int attach(struct dtls_link *l)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	if (getpeername(l->fd, (struct sockaddr *)&peer, &len) != 0)
		return -errno;
	BIO *bio = BIO_new_dgram(l->fd, BIO_NOCLOSE);
	if (bio == NULL)
		return ERR_NOMEM;
	BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &peer);
	SSL_set_bio(l->ssl, bio, bio);
	SSL_set_options(l->ssl, SSL_OP_NO_QUERY_MTU);
	if (DTLS_set_link_mtu(l->ssl, l->spec->mtu) != 1)
		return ERR_RANGE;
	return tls_expect_peer(l->ssl, l->spec);
}

static int prepare(struct dtls_link *l, SSL_CTX *context, struct event_base *base)
{
	static const struct timeval at_once = {0};
	l->ssl = SSL_new(context);
	l->readable = event_new(base, l->fd, EV_READ | EV_PERSIST, on_readable, l);
	l->writable = event_new(base, l->fd, EV_WRITE, on_writable, l);
	l->retransmit = event_new(base, -1, 0, on_retransmit, l);
	if (l->ssl == NULL || l->readable == NULL || l->writable == NULL || l->retransmit == NULL)
		return ERR_NOMEM;
	int err = attach(l);
	if (err == 0 && event_add(l->readable, NULL) != 0)
		err = ERR_NOMEM;
	/* The first flight leaves from the loop, as all the others. */
	return err == 0 && event_add(l->retransmit, &at_once) != 0 ? ERR_NOMEM : err;
}

struct dtls_link *dtls_link_new(SSL_CTX *context, const struct url_spec *spec, int fd,
				struct event_base *base, const struct dtls_events *events)
{
	struct dtls_link *l = calloc(1, sizeof(*l));
	if (l == NULL) {
		close(fd);
		return NULL;
	}
	l->spec = spec;
	l->events = events;
	l->fd = fd;
	if (prepare(l, context, base) == 0)
		return l;
	dtls_link_free(l);
	return NULL;
}

static void free_event(struct event *event)
{
	if (event != NULL)
		event_free(event);
}

void dtls_link_free(struct dtls_link *l)
{
	if (l == NULL)
		return;
	if (l->greeted && l->why[0] == '\0') {
		clear();
		SSL_shutdown(l->ssl);
	}
	free_event(l->readable);
	free_event(l->writable);
	free_event(l->retransmit);
	SSL_free(l->ssl);
	close(l->fd);
	free(l);
}
