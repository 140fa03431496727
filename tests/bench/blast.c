/*
 * A sender for live benchmarks: UDP in 60-byte frames of 65,536 flows in turn, at a fixed rate or
 * flat out, for some seconds; then says what it sent, as JSON.
 *
 *   blast packet LINK SECONDS PPS [FLOWS]   AF_PACKET, past the queueing discipline
 *   blast pass LINK SECONDS PPS             frames that LINK is made to receive: BPF_PROG_RUN in
 *                                           live-frames mode, XDP_PASS; several times as fast, since
 *                                           no second device is passed
 *   blast redirect LINK SECONDS PPS         the same, redirected out of LINK, for a peer that runs
 *                                           XDP
 *
 * PPS 0 is flat out. A flow is a source address, and a source port from the 65,537th on; it and the
 * identification add up to the same always, so the IP checksum stays right. SECONDS may be PACKETSp:
 * so many packets, as 3000000p.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	FRAME = 60,
	SRC = 28, /* low half of the source address */
	ID = 18,  /* what it lacks to 65535 */
	SPORT = 34,
	LOT = 64, /* frames of a sendmmsg */
	CHUNK = 4096,
	BATCH = 256, /* live frames that the kernel handles at once */
	LIVE_CHUNK = 65536
};

static uint8_t base[FRAME] = {
	2,    0, 0, 0,		0,  2, 2,   0,	 0,    0,  0, 1, 8, 0, /* Ethernet */
	0x45, 0, 0, FRAME - 14, 255, 255, 0, 0,	 64,   17, 0, 0,       /* IPv4 */
	10,   0, 0, 0,		10, 1, 0,   1,	 0x20, 0,  0, 9, 0, FRAME - 34,
	0,    0, /* addresses; UDP, no checksum */
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void set_ip_checksum(void)
{
	uint32_t sum = 0;
	for (int i = 14; i < 34; i += 2)
		sum += (uint32_t)base[i] << 8 | base[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	base[24] = (uint8_t)(~sum >> 8);
	base[25] = (uint8_t)~sum;
}

static uint64_t flows = 65536;

/* The k-th flow; the program below does the same for the flows that there are by default. */
static void set_flow(uint8_t *frame, uint64_t k)
{
	k %= flows;
	frame[SPORT] = (uint8_t)(0x20 + (k >> 24));
	frame[SPORT + 1] = (uint8_t)(k >> 16);
	frame[SRC] = (uint8_t)(k >> 8);
	frame[SRC + 1] = (uint8_t)k;
	frame[ID] = (uint8_t) ~(k >> 8);
	frame[ID + 1] = (uint8_t)~k;
}

/* ---- AF_PACKET ----------------------------------------------------------------------------- */

static uint8_t frames[LOT][FRAME];
static struct iovec iov[LOT];
static struct mmsghdr messages[LOT];

static int packet_open(const char *link)
{
	int s = socket(AF_PACKET, SOCK_RAW, 0), on = 1;
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(link)};
	if (s < 0 || a.sll_ifindex == 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) != 0)
		die(link);
	if (setsockopt(s, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) != 0)
		die("PACKET_QDISC_BYPASS");
	for (int i = 0; i < LOT; i++) {
		memcpy(frames[i], base, FRAME);
		iov[i] = (struct iovec){frames[i], FRAME};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	return s;
}

/* Sends up to n frames from flow number `first`; how many were. */
static uint64_t packet_send(int s, uint64_t first, uint64_t n)
{
	uint64_t done = 0;
	while (done < n) {
		unsigned lot = n - done < LOT ? (unsigned)(n - done) : LOT;
		for (unsigned i = 0; i < lot; i++)
			set_flow(frames[i], first + done + i);
		int sent = sendmmsg(s, messages, lot, 0);
		if (sent < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
			die("sendmmsg");
		done += sent > 0 ? (uint64_t)sent : 0;
	}
	return done;
}

/* ---- live frames --------------------------------------------------------------------------- */

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int make_counter(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
	int fd = bpf(BPF_MAP_CREATE, &attr);
	if (fd < 0)
		die("BPF_MAP_CREATE");
	return fd;
}

#define I(c, d, s, o, i)                                                                           \
	{                                                                                          \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                \
	}

/* flow = counter++; its four bytes; then PASS, or out of link `out`. */
static int load_program(unsigned out)
{
	struct bpf_insn code[] = {
		I(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
		I(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		I(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		I(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		I(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, make_counter()),
		I(0, 0, 0, 0, 0),
		I(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		I(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 14, 0), /* to the end */
		I(BPF_LDX | BPF_MEM | BPF_DW, 7, 0, 0, 0),
		I(BPF_ALU64 | BPF_MOV | BPF_X, 8, 7, 0, 0),
		I(BPF_ALU64 | BPF_ADD | BPF_K, 8, 0, 0, 1),
		I(BPF_STX | BPF_MEM | BPF_DW, 0, 8, 0, 0),
		I(BPF_LDX | BPF_MEM | BPF_W, 2, 6, 0, 0), /* data */
		I(BPF_LDX | BPF_MEM | BPF_W, 3, 6, 4, 0), /* data_end */
		I(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0),
		I(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, FRAME),
		I(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 5, 0), /* to the end */
		I(BPF_STX | BPF_MEM | BPF_B, 2, 7, SRC + 1, 0),
		I(BPF_ALU64 | BPF_MOV | BPF_X, 5, 7, 0, 0),
		I(BPF_ALU64 | BPF_XOR | BPF_K, 5, 0, 0, 255),
		I(BPF_STX | BPF_MEM | BPF_B, 2, 5, ID + 1, 0),
		I(BPF_ALU64 | BPF_RSH | BPF_K, 7, 0, 0, 8),
		I(BPF_STX | BPF_MEM | BPF_B, 2, 7, SRC, 0),
		I(BPF_ALU64 | BPF_XOR | BPF_K, 7, 0, 0, 255),
		I(BPF_STX | BPF_MEM | BPF_B, 2, 7, ID, 0),
		I(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, (int)out),
		I(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0),
		I(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS),
		I(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect),
		I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	unsigned n = sizeof(code) / sizeof(code[0]);
	const unsigned end = n - 5; /* r1 = out */
	code[7].off = (int16_t)(end - 8);
	code[16].off = (int16_t)(end - 17);
	if (out == 0) { /* no call */
		code[n - 2] = code[n - 1];
		n--;
	}
	static char log[16384];
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_XDP,
			       .insns = (uintptr_t)code,
			       .insn_cnt = n,
			       .license = (uintptr_t) "BSD",
			       .log_level = 1,
			       .log_buf = (uintptr_t)log,
			       .log_size = sizeof(log)};
	int fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0) {
		fputs(log, stderr);
		die("BPF_PROG_LOAD");
	}
	return fd;
}

static uint64_t live_send(int program, unsigned ingress, uint64_t n)
{
	struct xdp_md ctx = {.data_end = FRAME, .ingress_ifindex = ingress};
	union bpf_attr attr = {.test = {.prog_fd = (uint32_t)program,
					.data_size_in = FRAME,
					.data_in = (uintptr_t)base,
					.ctx_size_in = sizeof(ctx),
					.ctx_in = (uintptr_t)&ctx,
					.repeat = (uint32_t)n,
					.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
					.batch_size = BATCH}};
	while (bpf(BPF_PROG_TEST_RUN, &attr) != 0)
		if (errno != EINTR && errno != EAGAIN)
			die("BPF_PROG_RUN, live frames");
	return n;
}

/* ---- pace ---------------------------------------------------------------------------------- */

static void rest(double until)
{
	double left = until - now();
	if (left > 0)
		nanosleep(&(struct timespec){(time_t)left,
					     (long)((left - (double)(time_t)left) * 1e9)},
			  NULL);
}

int main(int argc, char **argv)
{
	int is_packet = argc > 1 && strcmp(argv[1], "packet") == 0;
	if (argc != 5 && !(argc == 6 && is_packet)) {
		fprintf(stderr, "usage: blast packet|pass|redirect LINK SECONDS PPS [FLOWS]\n");
		return 2;
	}
	if (argc == 6)
		flows = strtoull(argv[5], NULL, 10);
	unsigned index = if_nametoindex(argv[2]);
	int by_count = strchr(argv[3], 'p') != NULL;
	double seconds = by_count ? 3600 : atof(argv[3]), pps = atof(argv[4]);
	uint64_t most = by_count ? strtoull(argv[3], NULL, 10) : UINT64_MAX;
	set_ip_checksum();
	int fd = is_packet ? packet_open(argv[2])
			   : load_program(strcmp(argv[1], "redirect") == 0 ? index : 0);
	uint64_t sent = 0,
		 flat = is_packet ? CHUNK : LIVE_CHUNK; /* to begin a live run costs milliseconds */
	double start = now(), end = start + seconds;
	for (double t = start; t < end && sent < most; t = now()) {
		uint64_t due = pps > 0 ? (uint64_t)((t - start) * pps) - sent : flat;
		if (due > most - sent)
			due = most - sent;
		if (due > 0)
			sent += is_packet ? packet_send(fd, sent, due) : live_send(fd, index, due);
		if (pps > 0)
			rest(t + (is_packet ? 0.0005 : 0.002));
	}
	printf("{\"sent\": %llu, \"seconds\": %.6f}\n", (unsigned long long)sent, now() - start);
	return 0;
}
