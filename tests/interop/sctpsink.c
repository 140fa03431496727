/*
 * sctpsink PORT COUNT: an SCTP collector on 127.0.0.1. Each message goes to standard output as one
 * line of hexadecimal digits with the number of the association before it, an end in order as "end".
 * Exits after COUNT associations.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned char data[65536];

static void read_all(int fd, int number)
{
	ssize_t n;
	size_t len = 0;
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	for (;;) {
		iov = (struct iovec){data + len, sizeof(data) - len};
		n = recvmsg(fd, &msg, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
		if (!(msg.msg_flags & MSG_EOR))
			continue;
		printf("%d ", number);
		for (size_t i = 0; i < len; i++)
			printf("%02x", data[i]);
		printf("\n");
		len = 0;
	}
	printf("%d %s\n", number, n == 0 ? "end" : "broken");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
	if (argc != 3)
		return 2;
	own.sin_port = htons((unsigned short)atoi(argv[1]));
	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) != 0 || listen(fd, 8) != 0) {
		perror("sctpsink");
		return 1;
	}
	for (int i = 0; i < atoi(argv[2]); i++) {
		int peer = accept(fd, NULL, NULL);
		if (peer < 0)
			return 1;
		read_all(peer, i);
		close(peer);
	}
	return 0;
}
