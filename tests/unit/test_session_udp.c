/* The UDP output against a socket in this process: source, DSCP, names, pace. */
#include <poll.h>

#include "test_session_util.h"

TestSuite(session_udp, .init = enter, .timeout = 60);

static int udp_peer(unsigned *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);
	const int one = 1, room = 4 << 20;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

/* A datagram's bytes, sender and ToS; 0: none came within the time. */
static size_t take_datagram(int fd, int wait_ms, uint8_t *buf, size_t size, uint32_t *ret_from,
			    int *ret_tos)
{
	struct sockaddr_in from;
	char control[64];
	struct iovec iov = {buf, size};
	struct msghdr h = {.msg_name = &from,
			   .msg_namelen = sizeof(from),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	if (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, wait_ms) <= 0)
		return 0;
	ssize_t n = recvmsg(fd, &h, 0);
	cr_assert_gt(n, 0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	*ret_from = ntohl(from.sin_addr.s_addr);
	*ret_tos = c != NULL && c->cmsg_type == IP_TOS ? *(uint8_t *)CMSG_DATA(c) : -1;
	return (size_t)n;
}

Test(session_udp, source_and_dscp_reach_the_wire)
{
	unsigned port;
	uint8_t buf[2048];
	uint32_t from = 0;
	int tos = -1, fd = udp_peer(&port);
	open_url(true, "netflow9://127.0.0.1:%u?source=127.0.0.7&dscp=46", port);
	put(0);
	cr_expect_eq(stop(), 0);
	cr_expect_gt(take_datagram(fd, 2000, buf, sizeof(buf), &from, &tos), 20);
	cr_expect_eq(from, 0x7f000007);
	cr_expect_eq(tos, 46 << 2); /* RFC 2474 §3: the six bits above ECN */
	exporter_free(x);
	close(fd);
}

Test(session_udp, a_source_that_is_not_ours_is_refused)
{
	const char *urls[] = {"netflow9://127.0.0.1:2055?source=192.0.2.77"};
	const struct exporter_conf conf = {
		.outputs = urls, .outputs_count = 1, .workers = 1, .replay = true, .sampling_n = 1};
	cr_expect_neq(exporter_new(&conf, errbuf, sizeof(errbuf), &x), 0);
	cr_expect_not_null(strstr(errbuf, "source=192.0.2.77"), "%s", errbuf);
}

Test(session_udp, live_a_name_is_looked_up_beside_the_work)
{
	unsigned port;
	uint8_t buf[2048];
	uint32_t from = 0;
	int tos = -1, fd = udp_peer(&port);
	open_url(false, "ipfix://localhost:%u", port);
	put(0);
	cr_expect_gt(take_datagram(fd, 5000, buf, sizeof(buf), &from, &tos), 20);
	cr_expect_eq(be16(buf), 10);
	cr_expect_eq(be16(buf + 16), 2, "templates come first");
	cr_expect_eq(stop(), 0);
	struct output_stats s = stats(0);
	cr_expect_eq(s.records, 1);
	exporter_free(x);
	close(fd);
}

Test(session_udp, live_a_name_that_is_not_found_loses_its_records_counted)
{
	const char *urls[] = {"ipfix://no-such-host.invalid:4739", "null:"};
	open_urls(urls, 2, false);
	for (unsigned i = 0; i < 1000; i++)
		put(i);
	for (unsigned i = 0; i < 500 && stats(1).records < 1000; i++)
		usleep(10000);
	cr_expect_eq(stats(1).records, 1000);
	usleep(400000);
	/* what waits for a name is as old as it is, whatever the pace */
	cr_expect_gt(stats(0).queued, 900);
	cr_expect_gt(stats(0).lag_ns, 200 * NS_PER_MS);
	cr_expect_lt(stats(0).lag_ns, 30 * NS_PER_S);
	stop();
	struct output_stats s = stats(0);
	cr_expect_eq(s.records_in, 1000);
	cr_expect_eq(dropped(&s, "away"), 1000);
	expect_balance(&s);
	exporter_free(x);
}

Test(session_udp, live_a_burst_waits_for_the_pace_and_all_of_it_arrives)
{
	enum { N = 60000 };
	unsigned port;
	static uint8_t buf[65536];
	uint32_t from;
	int tos, fd = udp_peer(&port);
	uint64_t sequence_end = 0;
	open_url(false, "netflow5://127.0.0.1:%u?rate=50000", port);
	for (unsigned i = 0; i < N; i++)
		put(i);
	struct export_queue *q = exporter_queue(x, 0);
	export_queue_reserve(q)->kind = EXPORT_END;
	export_queue_commit(q);
	uint64_t records = 0;
	for (size_t n; (n = take_datagram(fd, 500, buf, sizeof(buf), &from, &tos)) != 0;) {
		records += be16(buf + 2); /* v5: count, then flow_sequence at 16 */
		sequence_end = be32(buf + 16) + be16(buf + 2);
	}
	cr_expect_eq(exporter_stop(x), 0);
	cr_expect_eq(records, N);
	cr_expect_eq(sequence_end, N);
	struct output_stats s = stats(0);
	cr_expect_eq(s.records, N);
	cr_expect_eq(s.records_dropped, 0);
	exporter_free(x);
	close(fd);
}

/* Of messages of one record each: how long 500 of them take at 1000 a second. */
static int64_t time_of_paced_syslog(void)
{
	unsigned port;
	int fd = udp_peer(&port);
	const int64_t begun = mono_now().ns;
	open_url(true, "syslog://127.0.0.1:%u?rate=1000", port);
	for (unsigned i = 0; i < 500; i++)
		put(i);
	cr_expect_eq(stop(), 0);
	const int64_t took = mono_now().ns - begun;
	cr_expect_eq(stats(0).records, 500);
	exporter_free(x);
	close(fd);
	return took;
}

Test(session_udp, the_pace_is_of_records_however_few_are_in_a_message)
{
	int64_t best = INT64_MAX;
	for (unsigned i = 0; i < 4 && best > 700 * NS_PER_MS; i++) {
		const int64_t took = time_of_paced_syslog();
		cr_expect_geq(took, 480 * NS_PER_MS, "%lld ns", (long long)took);
		best = took < best ? took : best;
	}
	cr_expect_leq(best, 700 * NS_PER_MS, "%lld ns", (long long)best);
}
