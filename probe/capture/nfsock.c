/*
 * recvmmsg over fixed buffers: one system call takes up to NFSOCK_DATAGRAMS packets, and nothing is
 * copied on our side. The kernel is told not to report an overrun (NETLINK_NO_ENOBUFS): it would
 * then let nothing in until all has been read. Packets are numbered, gaps tell what was lost.
 */
#include "nfsock.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "err.h"
#include "wire.h"

#define LINKTYPE_RAW   101
#define LINKTYPE_NONE  UINT16_MAX /* no such: counted as a link type that is not known */
#define ETHERTYPE_IP4  0x0800
#define ETHERTYPE_IP6  0x86dd
#define RECEIVE_BUFFER (32 << 20)
#define ANSWER_MS      1000
#define ANSWER_LOOKS   1000

struct nfsock {
	struct mnl_socket *socket;
	uint32_t sequence;
	uint32_t bytes;			/* of a datagram */
	unsigned n;			/* datagrams received */
	unsigned at;			/* the one being read */
	const struct nlmsghdr *message; /* in it; NULL: from its beginning */
	int left;			/* bytes from `message` on */
	uint8_t *memory;
	struct mmsghdr datagrams[NFSOCK_DATAGRAMS];
	struct iovec vectors[NFSOCK_DATAGRAMS];
	struct sockaddr_nl senders[NFSOCK_DATAGRAMS];
};

/* ---- opening ------------------------------------------------------------------------------- */

/* More than the system's limit where we are allowed to. */
static void widen(int fd)
{
	int bytes = RECEIVE_BUFFER;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

static int open_socket(struct nfsock *sock)
{
	int on = 1;
	sock->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (sock->socket == NULL || mnl_socket_bind(sock->socket, 0, MNL_SOCKET_AUTOPID) != 0)
		return -errno;
	widen(nfsock_fd(sock));
	(void)mnl_socket_setsockopt(sock->socket, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	return 0;
}

static int make_buffers(struct nfsock *sock, uint32_t bytes)
{
	sock->bytes = (bytes + 63) / 64 * 64;
	sock->memory = malloc((size_t)sock->bytes * NFSOCK_DATAGRAMS);
	if (sock->memory == NULL)
		return ERR_NOMEM;
	for (unsigned i = 0; i < NFSOCK_DATAGRAMS; i++) {
		sock->vectors[i] =
			(struct iovec){sock->memory + (size_t)i * sock->bytes, sock->bytes};
		sock->datagrams[i].msg_hdr = (struct msghdr){
			.msg_name = &sock->senders[i],
			.msg_namelen = sizeof(sock->senders[i]),
			.msg_iov = &sock->vectors[i],
			.msg_iovlen = 1,
		};
	}
	return 0;
}

int nfsock_open(const char *spec, uint32_t bytes, struct nfsock **ret_sock, char *errbuf,
		unsigned errsize)
{
	struct nfsock *sock = calloc(1, sizeof(*sock));
	int err = sock == NULL ? ERR_NOMEM : make_buffers(sock, bytes);
	if (err == 0)
		err = open_socket(sock);
	if (err == 0) {
		*ret_sock = sock;
		return 0;
	}
	if (err == -EPROTONOSUPPORT)
		snprintf(errbuf, errsize,
			 "%s: this kernel has no netfilter sockets; try: modprobe nfnetlink", spec);
	else
		snprintf(errbuf, errsize, "%s: %s", spec, err_str(err));
	nfsock_close(sock);
	return err;
}

void nfsock_close(struct nfsock *sock)
{
	if (sock == NULL)
		return;
	if (sock->socket != NULL)
		mnl_socket_close(sock->socket);
	free(sock->memory);
	free(sock);
}

int nfsock_fd(const struct nfsock *sock)
{
	return mnl_socket_get_fd(sock->socket);
}

/* ---- receiving ----------------------------------------------------------------------------- */

void nfsock_wait(const struct nfsock *sock, int ms)
{
	struct pollfd pollfd = {.fd = nfsock_fd(sock), .events = POLLIN};
	(void)poll(&pollfd, 1, ms);
}

int nfsock_receive(struct nfsock *sock, unsigned max)
{
	sock->n = 0;
	nfsock_rewind(sock);
	if (max > NFSOCK_DATAGRAMS)
		max = NFSOCK_DATAGRAMS;
	for (unsigned i = 0; i < max; i++)
		sock->datagrams[i].msg_hdr.msg_namelen = sizeof(sock->senders[i]);
	int n = recvmmsg(nfsock_fd(sock), sock->datagrams, max, MSG_DONTWAIT, NULL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -errno;
	sock->n = (unsigned)n;
	return n;
}

void nfsock_rewind(struct nfsock *sock)
{
	sock->at = 0;
	sock->message = NULL;
}

/* Sets `message` to the next one of this datagram; false past its end. One that was cut or is of
 * another process than the kernel has none. */
static bool next_in_datagram(struct nfsock *sock)
{
	const struct mmsghdr *datagram = &sock->datagrams[sock->at];
	if (sock->message != NULL) {
		sock->message = mnl_nlmsg_next(sock->message, &sock->left);
	} else {
		bool sound = (datagram->msg_hdr.msg_flags & MSG_TRUNC) == 0 &&
			     sock->senders[sock->at].nl_pid == 0;
		sock->message = sock->vectors[sock->at].iov_base;
		sock->left = sound ? (int)datagram->msg_len : 0;
	}
	return mnl_nlmsg_ok(sock->message, sock->left);
}

static const struct nlmsghdr *next_of_any_type(struct nfsock *sock)
{
	while (sock->at < sock->n) {
		if (next_in_datagram(sock))
			return sock->message;
		sock->message = NULL;
		sock->at++;
	}
	return NULL;
}

const struct nlmsghdr *nfsock_next(struct nfsock *sock, uint16_t type)
{
	const struct nlmsghdr *message;
	do
		message = next_of_any_type(sock);
	while (message != NULL && message->nlmsg_type != type);
	return message;
}

/* ---- asking -------------------------------------------------------------------------------- */

/* Is it the answer to the last request? */
static bool is_answer(const struct nfsock *sock, const struct nlmsghdr *message)
{
	return message->nlmsg_seq == sock->sequence &&
	       mnl_nlmsg_get_payload_len(message) >= sizeof(struct nlmsgerr);
}

/* Looks through what came; false when the answer is not in it. */
static bool find_answer(struct nfsock *sock, int *ret_err)
{
	const struct nlmsghdr *message;
	while ((message = nfsock_next(sock, NLMSG_ERROR)) != NULL) {
		if (!is_answer(sock, message))
			continue;
		const struct nlmsgerr *answer = mnl_nlmsg_get_payload(message);
		*ret_err = answer->error;
		return true;
	}
	return false;
}

int nfsock_ask(struct nfsock *sock, struct nlmsghdr *request)
{
	int err = 0;
	request->nlmsg_flags |= NLM_F_ACK;
	request->nlmsg_seq = ++sock->sequence;
	if (mnl_socket_sendto(sock->socket, request, request->nlmsg_len) < 0)
		return -errno;
	for (unsigned look = 0; look < ANSWER_LOOKS && err == 0; look++) {
		err = nfsock_receive(sock, NFSOCK_DATAGRAMS);
		if (err == 0) {
			nfsock_wait(sock, ANSWER_MS);
			err = nfsock_receive(sock, NFSOCK_DATAGRAMS);
		}
		if (err <= 0)
			return err < 0 ? err : -ETIMEDOUT;
		if (find_answer(sock, &err)) {
			sock->n = 0;
			return err;
		}
		err = 0;
	}
	return -ETIMEDOUT;
}

int nfsock_tell(struct nfsock *sock, const void *messages, size_t n)
{
	return mnl_socket_sendto(sock->socket, messages, n) < 0 ? -errno : 0;
}

void nfsock_put_u16(struct nlmsghdr *request, uint16_t type, uint16_t value)
{
	mnl_attr_put_u16(request, type, be16(&value));
}

void nfsock_put_u32(struct nlmsghdr *request, uint16_t type, uint32_t value)
{
	mnl_attr_put_u32(request, type, be32(&value));
}

/* ---- what messages say ------------------------------------------------------------------ */

/* Tables of IPv4 and IPv6 hand over from the IP header on. Those of bridges and devices know all
 * that Ethernet carries; only its IP packets begin with their IP header. */
uint16_t nfsock_linktype(const struct nlmsghdr *message, uint16_t hw_protocol)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	if (header->nfgen_family == AF_INET || header->nfgen_family == AF_INET6 ||
	    hw_protocol == ETHERTYPE_IP4 || hw_protocol == ETHERTYPE_IP6)
		return LINKTYPE_RAW;
	return LINKTYPE_NONE;
}

uint32_t nfsock_u32(const struct nlattr *attr)
{
	return attr != NULL ? be32(mnl_attr_get_payload(attr)) : 0;
}

struct pkt_time nfsock_time(const struct nlattr *attr, struct pkt_time now)
{
	if (attr == NULL || mnl_attr_get_payload_len(attr) < 2 * sizeof(uint64_t))
		return now;
	const uint8_t *at = mnl_attr_get_payload(attr);
	uint64_t seconds = be64(at), us = be64(at + sizeof(uint64_t));
	if (seconds >= (uint64_t)(PKT_TIME_MAX / NS_PER_S) || us >= NS_PER_S / NS_PER_US)
		return now;
	return (struct pkt_time){(int64_t)seconds * NS_PER_S + (int64_t)us * NS_PER_US};
}

uint32_t nfsock_owner(const char *path, uint16_t number)
{
	FILE *file = fopen(path, "re");
	unsigned row, port;
	uint32_t owner = 0;
	char line[256];
	if (file == NULL)
		return 0;
	while (owner == 0 && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "%u %u", &row, &port) == 2 && row == number)
			owner = port;
	fclose(file);
	return owner;
}
