/*
 * The least that a live meter costs: counts what a port receives, through a TPACKET_V3 ring of the
 *size given, looking at each packet's header and adding up lengths. Prints "ready", then as JSON on
 *SIGINT what it had and what the kernel dropped for want of room.
 *
 *	ringcount LINK MIB
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { BLOCK = 1 << 20, RETIRE_MS = 8, POLL_MS = 50 };

struct totals {
	uint64_t packets, bytes;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint8_t *open_ring(int s, const char *link, unsigned blocks)
{
	int version = TPACKET_V3;
	struct tpacket_req3 req = {.tp_block_size = BLOCK,
				   .tp_block_nr = blocks,
				   .tp_frame_size = 2048,
				   .tp_frame_nr = blocks * (BLOCK / 2048),
				   .tp_retire_blk_tov = RETIRE_MS};
	if (setsockopt(s, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) != 0 ||
	    setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) != 0)
		die("PACKET_RX_RING");
	uint8_t *ring = mmap(NULL, (size_t)blocks * BLOCK, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_POPULATE, s, 0);
	if (ring == MAP_FAILED)
		die("mmap");
	struct sockaddr_ll a = {.sll_family = AF_PACKET,
				.sll_protocol = htons(ETH_P_ALL),
				.sll_ifindex = (int)if_nametoindex(link)};
	if (a.sll_ifindex == 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) != 0)
		die(link);
	return ring;
}

static void take(struct totals *t, const struct tpacket_block_desc *block)
{
	const uint8_t *at = (const uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;
	for (unsigned i = 0; i < block->hdr.bh1.num_pkts; i++) {
		const struct tpacket3_hdr *h = (const struct tpacket3_hdr *)at;
		t->packets++;
		t->bytes += h->tp_len;
		at += h->tp_next_offset;
	}
}

int main(int argc, char **argv)
{
	if (argc != 3 || atoi(argv[2]) < 1) {
		fprintf(stderr, "usage: ringcount LINK MIB\n");
		return 2;
	}
	unsigned blocks = (unsigned)atoi(argv[2]), next = 0;
	int s = socket(AF_PACKET, SOCK_RAW, 0);
	if (s < 0)
		die("socket");
	uint8_t *ring = open_ring(s, argv[1], blocks);
	sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
	printf("ready\n");
	fflush(stdout);
	struct totals t = {0, 0};
	struct pollfd fd = {.fd = s, .events = POLLIN};
	for (;;) {
		struct tpacket_block_desc *block =
			(struct tpacket_block_desc *)(ring + (size_t)next * BLOCK);
		_Atomic uint32_t *status = (_Atomic uint32_t *)&block->hdr.bh1.block_status;
		if (atomic_load_explicit(status, memory_order_acquire) & TP_STATUS_USER) {
			take(&t, block);
			atomic_store_explicit(status, TP_STATUS_KERNEL, memory_order_release);
			next = (next + 1) % blocks;
		} else if (poll(&fd, 1, POLL_MS) == 0 && stop) {
			break;
		}
	}
	struct tpacket_stats_v3 stats;
	socklen_t len = sizeof(stats);
	if (getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &stats, &len) != 0)
		die("PACKET_STATISTICS");
	printf("{\"packets\": %llu, \"bytes\": %llu, \"dropped\": %u}\n",
	       (unsigned long long)t.packets, (unsigned long long)t.bytes, stats.tp_drops);
	return 0;
}
