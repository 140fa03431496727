/*
 * TLS as RFC 7011 §11 wants it: both sides show certificates, the peer's name is checked. Made at
 * start from ca=, cert=, key=, peer-name=, verify= and min-version=; used by the export thread.
 */
#ifndef WEIR_EXPORTER_TLS_H
#define WEIR_EXPORTER_TLS_H

#include <openssl/ssl.h>
#include <stddef.h>

struct channel;
struct errtext;
struct url_spec;

/* A client context for this method (TLS_client_method(), DTLS_client_method()) from the options of
 * a spec; files are read. ERR_USAGE with what is wrong and the cure in `e`, ERR_NOMEM. */
int tls_context_new(const struct url_spec *spec, const SSL_METHOD *method, struct errtext *e,
		    SSL_CTX **ret_context);

/* Before a handshake: whom the spec's host or peer-name= says the peer has to be. 0 or ERR_NOMEM.
 */
int tls_expect_peer(SSL *ssl, const struct url_spec *spec);

/* After a handshake or a read failed: why, with the cure where there is one. `size` from 128. */
void tls_tell_why(SSL *ssl, const struct url_spec *spec, char *why, size_t size);

/* A channel (channel.h) over a connected socket, which it owns from then on. NULL: no memory, the
 * socket is closed. Context and spec outlive it. */
struct channel *tls_channel_new(SSL_CTX *context, const struct url_spec *spec, int fd);

#endif
