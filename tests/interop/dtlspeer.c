/*
 * dtlspeer PORT CERT KEY CA: a DTLS 1.2 collector that wants certificates of CA. One process, many
 * associations, told apart by the sender's address; those it does not know are not answered, as
 * after a restart. What arrives goes to standard output as it came: number of the association,
 * number of bytes, the bytes; 0 bytes for an end in order. Numbers have 4 bytes, big-endian.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEERS = 64, DATAGRAM = 65536 };

static struct peer {
	struct sockaddr_in address;
	SSL *ssl;
	BIO *in;
} peers[PEERS];
static unsigned count;

static void put(unsigned peer, const void *bytes, int n)
{
	uint32_t head[2] = {htonl(peer), htonl((uint32_t)n)};
	fwrite(head, sizeof(head), 1, stdout);
	fwrite(bytes, 1, (size_t)n, stdout);
	fflush(stdout);
}

/* Only a ClientHello begins an association: content type 22, handshake type 1. */
static struct peer *find(SSL_CTX *context, const struct sockaddr_in *from, const unsigned char *data, long n)
{
	for (unsigned i = 0; i < count; i++)
		if (memcmp(&peers[i].address, from, sizeof(*from)) == 0)
			return &peers[i];
	if (n < 14 || data[0] != 22 || data[13] != 1 || count == PEERS)
		return NULL;
	struct peer *p = &peers[count++];
	p->address = *from;
	p->ssl = SSL_new(context);
	p->in = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(p->in, -1);
	SSL_set_bio(p->ssl, p->in, BIO_new(BIO_s_mem()));
	SSL_set_options(p->ssl, SSL_OP_NO_QUERY_MTU);
	SSL_set_mtu(p->ssl, 1200);
	SSL_set_accept_state(p->ssl);
	return p;
}

/* A memory BIO joins what DTLS wrote as several datagrams: each record goes out on its own. */
static void answer(int fd, struct peer *p)
{
	static unsigned char out[DATAGRAM];
	int n = BIO_read(SSL_get_wbio(p->ssl), out, sizeof(out));
	for (int at = 0; at + 13 <= n;) {
		int len = 13 + (out[at + 11] << 8 | out[at + 12]);
		sendto(fd, out + at, (size_t)len, 0, (struct sockaddr *)&p->address, sizeof(p->address));
		at += len;
	}
}

static void take(int fd, struct peer *p, const unsigned char *data, long n)
{
	static unsigned char plain[DATAGRAM];
	BIO_write(p->in, data, (int)n);
	if (!SSL_is_init_finished(p->ssl) && SSL_do_handshake(p->ssl) != 1)
		ERR_clear_error();
	int got = 0;
	while (SSL_is_init_finished(p->ssl) && (got = SSL_read(p->ssl, plain, sizeof(plain))) > 0)
		put((unsigned)(p - peers), plain, got);
	if (SSL_get_shutdown(p->ssl) & SSL_RECEIVED_SHUTDOWN)
		put((unsigned)(p - peers), "", 0);
	answer(fd, p);
}

int main(int argc, char **argv)
{
	static unsigned char data[DATAGRAM];
	if (argc != 5)
		return 2;
	SSL_CTX *context = SSL_CTX_new(DTLS_server_method());
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (SSL_CTX_use_certificate_chain_file(context, argv[2]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, argv[3], SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_load_verify_file(context, argv[4]) != 1 ||
	    bind(fd, (struct sockaddr *)&own, sizeof(own)) != 0) {
		perror("dtlspeer");
		return 1;
	}
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len);
		struct peer *p = n > 0 ? find(context, &from, data, n) : NULL;
		if (p != NULL)
			take(fd, p, data, n);
	}
}
