/*
 * TLS by OpenSSL, over a socket that does not block.
 *
 * The name that is checked is in the certificate's subjectAltName (RFC 6125 §6.4.4): the common
 * name is not looked at, and an address has to be there as an address. A private key that others
 * can read is refused rather than used: it is no secret any more.
 *
 * An end of the connection without TLS's own is taken as an end. What it could be forged for, that
 * the last records count as delivered, can be had by forging TCP's acknowledgements as well.
 */
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../fail.h"
#include "../readable.h"
#include "../url.h"
#include "channel.h"
#include "err.h"

/* The cure for a certificate in another shape. */
#define CONVERT "openssl x509 makes PEM of one in DER"

/* ---- the context ---- */

/* The first reason in OpenSSL's queue, which is emptied. */
static const char *first_reason(void)
{
	const unsigned long error = ERR_peek_error();
	const char *text = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error))
						   : ERR_reason_error_string(error);
	ERR_clear_error();
	return text != NULL ? text : "unknown";
}

static int check_key_file(const char *path, struct errtext *e)
{
	struct stat st;
	int err = readable_check("key", path, false, e);
	if (err != 0)
		return err;
	if (stat(path, &st) != 0)
		return fail(e, ERR_USAGE, "key=%s: %s", path, strerror(errno));
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return fail(e, ERR_USAGE, "key=%s: others can read it (mode %03o), chmod 600 it",
			    path, (unsigned)st.st_mode & 0777);
	return 0;
}

/* Nobody is there to be asked. */
static int no_passphrase(char *buf, int size, int writes, void *arg)
{
	(void)buf;
	(void)size;
	(void)writes;
	*(bool *)arg = true;
	return 0;
}

static int load_key(SSL_CTX *context, const char *path, struct errtext *e)
{
	bool asked = false;
	int err = check_key_file(path, e);
	if (err != 0)
		return err;
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(context, &asked);
	int done = SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM);
	SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
	SSL_CTX_set_default_passwd_cb(context, NULL);
	if (done == 1)
		return 0;
	if (asked) {
		ERR_clear_error();
		return fail(e, ERR_USAGE, "key=%s: it has a passphrase, which nobody would enter",
			    path);
	}
	return fail(e, ERR_USAGE,
		    "key=%s: no key that fits the certificate: %s; give the key that cert= was "
		    "made with",
		    path, first_reason());
}

static int load_identity(SSL_CTX *context, const struct url_spec *spec, struct errtext *e)
{
	if (spec->cert == NULL && spec->key == NULL)
		return 0;
	if (spec->cert == NULL)
		return fail(e, ERR_USAGE, "key= wants cert= too");
	int err = readable_check("cert", spec->cert, false, e);
	if (err != 0)
		return err;
	if (SSL_CTX_use_certificate_chain_file(context, spec->cert) != 1)
		return fail(e, ERR_USAGE, "cert=%s: no certificate in PEM: %s; " CONVERT,
			    spec->cert, first_reason());
	return load_key(context, spec->key != NULL ? spec->key : spec->cert, e);
}

static int load_trust(SSL_CTX *context, const struct url_spec *spec, struct errtext *e)
{
	if (!spec->verify) {
		SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
		if (spec->ca != NULL || spec->peer_name != NULL)
			return fail(e, ERR_USAGE, "verify=no leaves nothing for %s= to do",
				    spec->ca != NULL ? "ca" : "peer-name");
		return 0;
	}
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (spec->ca == NULL)
		return SSL_CTX_set_default_verify_paths(context) == 1 ? 0 : ERR_NOMEM;
	int err = readable_check("ca", spec->ca, false, e);
	if (err != 0)
		return err;
	if (SSL_CTX_load_verify_file(context, spec->ca) != 1)
		return fail(e, ERR_USAGE, "ca=%s: no certificates in PEM: %s; " CONVERT, spec->ca,
			    first_reason());
	return 0;
}

static int min_version(const struct url_spec *spec, const SSL_METHOD *method)
{
	if (method == DTLS_client_method())
		return DTLS1_2_VERSION;
	return spec->min_version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

int tls_context_new(const struct url_spec *spec, const SSL_METHOD *method, struct errtext *e,
		    SSL_CTX **ret_context)
{
	SSL_CTX *context = SSL_CTX_new(method);
	if (context == NULL)
		return ERR_NOMEM;
	SSL_CTX_set_min_proto_version(context, min_version(spec, method));
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(context,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	int err = load_trust(context, spec, e);
	int identity = load_identity(context, spec, e);
	if (err == 0)
		err = identity;
	if (err != 0) {
		SSL_CTX_free(context);
		return err;
	}
	*ret_context = context;
	return 0;
}

/* ---- the peer ---- */

static const char *wanted_name(const struct url_spec *spec)
{
	return spec->peer_name != NULL ? spec->peer_name : spec->host;
}

static bool is_address(const char *text)
{
	struct in6_addr address;
	return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

int tls_expect_peer(SSL *ssl, const struct url_spec *spec)
{
	const char *name = wanted_name(spec);
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	if (!is_address(name) && SSL_set_tlsext_host_name(ssl, name) != 1)
		return ERR_NOMEM;
	if (!spec->verify)
		return 0;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
						       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	int done = is_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(param, name)
				    : X509_VERIFY_PARAM_set1_host(param, name, 0);
	return done == 1 ? 0 : ERR_NOMEM;
}

static void tell_verify(long result, const struct url_spec *spec, char *why, size_t size)
{
	const char *text = X509_verify_cert_error_string(result);
	switch (result) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		snprintf(why, size,
			 "the collector's certificate is not for %s: say with peer-name= whom it "
			 "is for",
			 wanted_name(spec));
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		snprintf(why, size,
			 "the collector's certificate is not valid today: %s; renew it, or set the "
			 "clock",
			 text);
		break;
	default:
		snprintf(why, size,
			 "the collector's certificate is not trusted: %s; give who signed it with "
			 "ca=FILE",
			 text);
	}
}

/* What the peer found wrong with us. */
static bool tell_alert(int reason, const struct url_spec *spec, char *why, size_t size)
{
	const char *text = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason));
	const char *cure = "look at its log";
	if (reason < SSL_AD_REASON_OFFSET)
		return false;
	if (reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED ||
	    (spec->cert == NULL && reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE))
		cure = "it wants to know us, give cert= and key=";
	else if (reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
		cure = "its TLS is older than min-version=";
	else if (spec->cert != NULL)
		cure = "it may not trust our cert=, look at its log";
	snprintf(why, size, "the collector refuses: %s; %s", text != NULL ? text : "alert", cure);
	return true;
}

void tls_tell_why(SSL *ssl, const struct url_spec *spec, char *why, size_t size)
{
	const unsigned long error = ERR_peek_error();
	const long result = SSL_get_verify_result(ssl);
	const int reason = ERR_GET_REASON(error);
	if (spec->verify && result != X509_V_OK)
		tell_verify(result, spec, why, size);
	else if (ERR_GET_LIB(error) != ERR_LIB_SSL)
		snprintf(why, size, "the TLS connection broke: %s",
			 errno != 0 ? strerror(errno) : "closed by the collector");
	else if (reason == SSL_R_WRONG_VERSION_NUMBER)
		snprintf(why, size, "the collector does not speak TLS on this port");
	else if (reason == SSL_R_UNSUPPORTED_PROTOCOL)
		snprintf(why, size, "the collector's TLS is older than min-version=");
	else if (!tell_alert(reason, spec, why, size))
		snprintf(why, size, "TLS: %s", ERR_reason_error_string(error));
	ERR_clear_error();
}

/* ---- the channel ---- */

struct tls_channel {
	struct channel base;
	const struct url_spec *spec;
	SSL *ssl;
};

static struct tls_channel *tls_of(struct channel *c)
{
	return (struct tls_channel *)c;
}

/* What a call that returned `done` came to: -EAGAIN, 0 for an end, or a failure. */
static int outcome(struct tls_channel *t, int done)
{
	const int error = SSL_get_error(t->ssl, done);
	t->base.wants_write = error == SSL_ERROR_WANT_WRITE;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	const unsigned long queued = ERR_peek_error();
	if (error == SSL_ERROR_SSL &&
	    ERR_GET_REASON(queued) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		ERR_clear_error();
		return 0;
	}
	const int broke = error == SSL_ERROR_SYSCALL && errno != 0 ? -errno : -EPROTO;
	tls_tell_why(t->ssl, t->spec, t->base.why, sizeof(t->base.why));
	return broke;
}

static void clear(void)
{
	ERR_clear_error();
	errno = 0;
}

static int tls_handshake(struct channel *c)
{
	struct tls_channel *t = tls_of(c);
	clear();
	int done = SSL_connect(t->ssl);
	if (done == 1)
		return 0;
	int err = outcome(t, done);
	if (err != 0)
		return err;
	snprintf(c->why, sizeof(c->why),
		 "the collector closed the connection in the TLS handshake");
	return -EPROTO;
}

static ssize_t tls_write(struct channel *c, const void *bytes, size_t n)
{
	struct tls_channel *t = tls_of(c);
	size_t written = 0;
	clear();
	int done = SSL_write_ex(t->ssl, bytes, n, &written);
	if (done == 1)
		return (ssize_t)written;
	int err = outcome(t, done);
	return err != 0 ? err : -EPIPE;
}

static ssize_t tls_read(struct channel *c, void *bytes, size_t n)
{
	struct tls_channel *t = tls_of(c);
	size_t got = 0;
	clear();
	int done = SSL_read_ex(t->ssl, bytes, n, &got);
	return done == 1 ? (ssize_t)got : outcome(t, done);
}

/* close_notify, then the socket's end: the other direction stays open for the peer's answer. */
static int tls_shut(struct channel *c)
{
	struct tls_channel *t = tls_of(c);
	clear();
	int done = SSL_shutdown(t->ssl);
	if (done < 0) {
		int err = outcome(t, done);
		if (err != 0)
			return err;
	}
	return shutdown(c->fd, SHUT_WR) == 0 ? 0 : -errno;
}

static void tls_close(struct channel *c)
{
	SSL_free(tls_of(c)->ssl);
	close(c->fd);
	free(c);
}

static const struct channel_ops tls_ops = {
	.handshake = tls_handshake,
	.write = tls_write,
	.read = tls_read,
	.shut = tls_shut,
	.close = tls_close,
};

struct channel *tls_channel_new(SSL_CTX *context, const struct url_spec *spec, int fd)
{
	struct tls_channel *t = calloc(1, sizeof(*t));
	SSL *ssl = SSL_new(context);
	if (t == NULL || ssl == NULL || SSL_set_fd(ssl, fd) != 1 ||
	    tls_expect_peer(ssl, spec) != 0) {
		SSL_free(ssl);
		free(t);
		close(fd);
		return NULL;
	}
	t->base.ops = &tls_ops;
	t->base.fd = fd;
	t->spec = spec;
	t->ssl = ssl;
	return &t->base;
}
