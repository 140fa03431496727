/* Decode: from a raw packet to the view that is metered. */
#include "micro.h"

enum { PACKETS = 512 };

const struct micro_mode micro_modes[] = {
	{"ip4", "decode_packet, Ethernet, IPv4, TCP"},
	{"ip6", "decode_packet, Ethernet, IPv6, TCP"},
	{"vlan", "decode_packet, Ethernet, 802.1Q, IPv4, TCP"},
	{NULL, NULL},
};

static void step(void *arg, uint64_t n)
{
	const struct raw_packet *raws = arg;
	struct packet packet, train;
	for (uint64_t i = 0; i < n; i++) {
		if (decode_packet(0, &raws[i % PACKETS], &packet, &train).counter != COUNTER_METERED)
			micro_die("decode");
	}
}

void micro_run(const char *mode, uint64_t n, const char *workdir)
{
	(void)workdir;
	int ip6 = strcmp(mode, "ip6") == 0, vlan = strcmp(mode, "vlan") == 0;
	measured(step, micro_packets(PACKETS, ip6, vlan), n);
}
