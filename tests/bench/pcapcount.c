/* What reading with libpcap costs: pcap_loop with a callback that counts packets and bytes. */
#include <pcap/pcap.h>
#include <stdint.h>
#include <stdio.h>

struct count {
	uint64_t packets, bytes;
};

static void on_packet(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct count *c = (struct count *)user;
	(void)bytes;
	c->packets++;
	c->bytes += h->len;
}

int main(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	struct count c = {0, 0};
	if (argc != 2) {
		fprintf(stderr, "usage: pcapcount FILE\n");
		return 2;
	}
	pcap_t *p = pcap_open_offline(argv[1], errbuf);
	if (p == NULL) {
		fprintf(stderr, "pcapcount: %s\n", errbuf);
		return 1;
	}
	if (pcap_loop(p, -1, on_packet, (u_char *)&c) != 0) {
		fprintf(stderr, "pcapcount: %s\n", pcap_geterr(p));
		return 1;
	}
	pcap_close(p);
	printf("{\"packets\": %llu, \"wire_bytes\": %llu}\n", (unsigned long long)c.packets,
	       (unsigned long long)c.bytes);
	return 0;
}
