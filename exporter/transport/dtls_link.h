/*
 * A DTLS 1.2 association (RFC 6347) over a connected UDP socket: handshake with retransmission,
 * messages of one datagram each, the peer's end. Export thread only.
 */
#ifndef WEIR_EXPORTER_DTLS_LINK_H
#define WEIR_EXPORTER_DTLS_LINK_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

struct dtls_link;
struct event_base;
struct url_spec;

/* Bytes that IPv6, UDP and DTLS put around a message with the ciphers of dtls_restrict: record
 * header 13, explicit nonce 8, tag 16. */
#define DTLS_AROUND (40 + 8 + 13 + 8 + 16)

/* Told from the event loop, never from inside a call. */
struct dtls_events {
	void *arg;
	void (*greeted)(void *arg, struct dtls_link *link);
	void (*writable)(void *arg, struct dtls_link *link); /* after -EAGAIN of dtls_link_send */
	/* The link is of no use any more; the callee may free it. */
	void (*broke)(void *arg, struct dtls_link *link, const char *why);
};

/* Leaves only ciphers with a tag of known size (AEAD, forward secret). 0 or ERR_NOTSUP. */
int dtls_restrict(SSL_CTX *context);

/* Takes the connected socket over and begins the handshake. NULL: no memory, the socket is closed.
 * Context, spec and events outlive it. */
struct dtls_link *dtls_link_new(SSL_CTX *context, const struct url_spec *spec, int fd,
				struct event_base *base, const struct dtls_events *events);

/* Bytes of the largest message; once greeted. */
size_t dtls_link_room(const struct dtls_link *link);

/* Sends a message. 0; -EAGAIN: the same one again when `writable` is told; -EPROTO: it is broken,
 * dtls_link_why says why. */
int dtls_link_send(struct dtls_link *link, const uint8_t *message, size_t n);

const char *dtls_link_why(const struct dtls_link *link);

/* Says goodbye (close_notify) if there was a greeting; frees, closes the socket. NULL is fine. */
void dtls_link_free(struct dtls_link *link);

#endif
