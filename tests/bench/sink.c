/*
 * A collector that only counts: binds a UDP port of loopback, prints it, takes datagrams as fast as
 * it can until SIGTERM or SIGINT, then prints what it had as JSON. Of a NetFlow v9 or IPFIX message
 * the version is looked at, no more; the kernel's count of what did not fit in the buffer is told.
 *
 * It takes trains of datagrams whole (UDP_GRO), as a NIC does. Else the receiving side's kernel
 * would cut them on the sender's account: loopback delivers in the sender's context.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LOT = 64, BUFFER = 65536, CONTROL = 64, RECEIVE_BUFFER = 512 << 20 };

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static uint8_t buffer[LOT][BUFFER];
static uint8_t control[LOT][CONTROL];

struct totals {
	uint64_t datagrams, bytes, overflowed;
	unsigned version;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* What one arrival says of itself. */
static void read_control(struct totals *t, struct msghdr *h, int *ret_segment)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
			uint32_t lost;
			memcpy(&lost, CMSG_DATA(c), sizeof(lost));
			t->overflowed = lost;
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(ret_segment, CMSG_DATA(c), sizeof(*ret_segment));
		}
	}
	h->msg_controllen = CONTROL;
}

static void take(struct totals *t, struct mmsghdr *m, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int segment = 0;
		read_control(t, &m[i].msg_hdr, &segment);
		t->datagrams += segment > 0 ? (m[i].msg_len + segment - 1) / segment : 1;
		t->bytes += m[i].msg_len;
		t->version = (unsigned)buffer[i][0] << 8 | buffer[i][1];
	}
}

int main(void)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0), size = RECEIVE_BUFFER, on = 1;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	if (s < 0 || bind(s, (struct sockaddr *)&a, len) != 0 ||
	    getsockname(s, (struct sockaddr *)&a, &len) != 0)
		die("socket");
	if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		setsockopt(s, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(s, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
	setsockopt(s, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	printf("%u\n", ntohs(a.sin_port));
	fflush(stdout);

	static struct mmsghdr m[LOT];
	static struct iovec iov[LOT];
	for (unsigned i = 0; i < LOT; i++) {
		iov[i] = (struct iovec){buffer[i], BUFFER};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1,
					       .msg_control = control[i], .msg_controllen = CONTROL};
	}
	struct totals t = {0, 0, 0, 0};
	/* a wait that a signal can only shorten: what came before it is still taken */
	struct timeval wait = {.tv_usec = 50000};
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	for (;;) {
		int n = recvmmsg(s, m, LOT, MSG_WAITFORONE, NULL);
		if (n > 0)
			take(&t, m, (unsigned)n);
		else if (stop)
			break;
		else if (errno != EINTR && errno != EAGAIN && errno != ECONNREFUSED)
			die("recvmmsg");
	}
	printf("{\"datagrams\": %llu, \"bytes\": %llu, \"overflowed\": %llu, \"version\": %u}\n",
	       (unsigned long long)t.datagrams, (unsigned long long)t.bytes,
	       (unsigned long long)t.overflowed, t.version);
	return 0;
}
