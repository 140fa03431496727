/* Our own export streams: real sockets on loopback, packets made by hand. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "own.h"

enum { UDP = 17, TCP = 6, LIMIT = 256 };

static struct own *own;

static void setup(void)
{
	cr_assert_eq(own_new(&own), 0);
}

static void teardown(void)
{
	own_free(own);
}

TestSuite(own, .init = setup, .fini = teardown);

static struct sockaddr_in loopback4(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A UDP socket connected to 127.0.0.1 at `port`; its own port. */
static int connected(uint16_t port, uint16_t *ret_here)
{
	struct sockaddr_in there = loopback4(port), here;
	socklen_t len = sizeof(here);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&there, sizeof(there)), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&here, &len), 0);
	*ret_here = ntohs(here.sin_port);
	return fd;
}

static const uint8_t local4[4] = {127, 0, 0, 1}, other4[4] = {127, 0, 0, 2};

static bool is_ours4(uint8_t proto, const uint8_t *src, uint16_t sport, const uint8_t *dst,
		     uint16_t dport)
{
	const struct packet p = {.src = src,
				 .dst = dst,
				 .sport = sport,
				 .dport = dport,
				 .ip_version = 4,
				 .ip_proto = proto,
				 .flags = PACKET_PORTS};
	return own_is(own, &p);
}

Test(own, a_stream_is_ours_both_ways_and_nothing_else_is)
{
	uint16_t here;
	int fd = connected(4739, &here);
	cr_expect_not(is_ours4(UDP, local4, here, local4, 4739), "not added yet");
	cr_assert_geq(own_add(own, fd, NULL), 0);
	cr_expect(is_ours4(UDP, local4, here, local4, 4739));
	cr_expect(is_ours4(UDP, local4, 4739, local4, here));
	cr_expect_not(is_ours4(TCP, local4, here, local4, 4739), "another protocol");
	cr_expect_not(is_ours4(UDP, other4, here, local4, 4739), "another exporter's address");
	cr_expect_not(is_ours4(UDP, local4, here, other4, 4739), "another collector");
	for (unsigned port = 1; port < 65536; port++)
		cr_assert_eq(is_ours4(UDP, local4, (uint16_t)port, local4, 4739), port == here);
	close(fd);
}

Test(own, ipv4_in_an_ipv6_socket_is_ipv4_and_ipv6_is_itself)
{
	static const uint8_t one[16] = {[15] = 1};
	struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(2055)}, here;
	struct sockaddr_in6 six = {.sin6_family = AF_INET6,
				   .sin6_port = htons(2055),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t len = sizeof(here);
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&mapped, sizeof(mapped)) != 0)
		cr_skip("no IPv6 here");
	getsockname(fd, (struct sockaddr *)&here, &len);
	cr_assert_geq(own_add(own, fd, NULL), 0);
	cr_expect(is_ours4(UDP, local4, ntohs(here.sin6_port), local4, 2055));
	close(fd);
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	if (connect(fd, (struct sockaddr *)&six, sizeof(six)) != 0)
		cr_skip("no IPv6 loopback here");
	getsockname(fd, (struct sockaddr *)&here, &len);
	cr_assert_geq(own_add(own, fd, NULL), 0);
	const struct packet p = {.src = one,
				 .dst = one,
				 .sport = 2055,
				 .dport = ntohs(here.sin6_port),
				 .ip_version = 6,
				 .ip_proto = UDP};
	cr_expect(own_is(own, &p));
	close(fd);
}

Test(own, a_stream_that_still_waits_for_its_peer_is_told_whom_it_waits_for)
{
	struct sockaddr_in here = loopback4(0), peer = loopback4(4739);
	socklen_t len = sizeof(here);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&here, sizeof(here)), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&here, &len), 0);
	cr_expect_eq(own_add(own, fd, NULL), -1, "not connected");
	cr_assert_geq(own_add(own, fd, (struct sockaddr *)&peer), 0);
	cr_expect(is_ours4(TCP, local4, ntohs(here.sin_port), local4, 4739));
	close(fd);
}

Test(own, an_ended_stream_is_ours_until_its_place_is_needed)
{
	static int fd[LIMIT + 2], number[LIMIT + 2];
	static uint16_t here[LIMIT + 2];
	log_set_level(LOG_LEVEL_ERROR);
	for (unsigned i = 0; i < LIMIT; i++) {
		fd[i] = connected(9995, &here[i]);
		number[i] = own_add(own, fd[i], NULL);
		cr_assert_geq(number[i], 0);
	}
	fd[LIMIT] = connected(9995, &here[LIMIT]);
	cr_expect_eq(own_add(own, fd[LIMIT], NULL), -1, "all places are taken");
	own_drop(own, number[7]);
	own_drop(own, number[3]);
	cr_expect(is_ours4(UDP, local4, here[7], local4, 9995));
	cr_expect_eq(own_add(own, fd[LIMIT], NULL), number[7], "the first that ended");
	cr_expect_not(is_ours4(UDP, local4, here[7], local4, 9995));
	cr_expect(is_ours4(UDP, local4, here[3], local4, 9995));
	cr_expect(is_ours4(UDP, local4, here[LIMIT], local4, 9995));
	for (unsigned i = 0; i <= LIMIT; i++)
		close(fd[i]);
}

Test(own, what_is_no_stream_is_refused_quietly)
{
	int pair[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	cr_expect_eq(own_add(own, pair[0], NULL), -1);
	cr_expect_eq(own_add(own, -1, NULL), -1);
	cr_expect_eq(own_add(NULL, pair[0], NULL), -1);
	own_drop(own, -1);
	own_drop(NULL, 3);
	close(pair[0]);
	close(pair[1]);
}
