/*
 * A packet on its way through the probe: what an input hands over (struct raw_packet) and what
 * decode makes of it (struct packet). Both point into the input's memory; nothing is copied.
 */
#ifndef WEIR_PACKET_H
#define WEIR_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "counters.h"
#include "tstamp.h"

/* As captured. Valid until the input's next batch, or until it is closed (capture_lasts). */
struct raw_packet {
	const uint8_t *data;
	struct pkt_time time; /* or PKT_TIME_NONE */
	uint32_t caplen;      /* bytes at data */
	uint32_t wirelen;     /* length on the wire; caplen when the input does not know */
	uint32_t ingress;     /* physical interface: pcapng interface number + 1, ifIndex live */
	uint32_t egress;      /* ifIndex it leaves by, where a gateway's queue knows it; 0 unknown */
	uint16_t linktype;    /* LINKTYPE_ value of the file format (tcpdump.org registry) */
	bool swapped;         /* host-order fields inside (NULL, NFLOG) are big endian */
	uint8_t iface;        /* logical interface, part of the key; 0 in a replay */
};

/*
 * Packets of a capture file lie one behind the other. Who looks at them in turn asks, with each, for
 * what lies so many bytes behind it, which is more than a few dozen small packets. Readers do not:
 * asked for a batch at once, memory would keep the reader waiting with nothing else to do.
 */
#define PACKET_AHEAD 6144

/* `ahead`: PACKET_AHEAD, or 0 where packets come from a port. */
static inline void packet_ask_ahead(const struct raw_packet *raw, size_t ahead)
{
	const uintptr_t at = (uintptr_t)raw->data + ahead; /* of no object, as it may be */
	__builtin_prefetch((const void *)at);
	__builtin_prefetch((const void *)(at + 64));
}

enum packet_flag {
	PACKET_FRAG_FIRST = 1 << 0, /* offset 0 and more to come */
	PACKET_FRAG_LATER = 1 << 1, /* offset > 0: no transport header here */
	PACKET_PORTS = 1 << 2,      /* sport, dport (or ICMP type and code) were captured */
	PACKET_TCP_FLAGS = 1 << 3,  /* tcp_flags were captured */
	PACKET_MACS = 1 << 4,       /* `macs` is valid */
};

/* What a packet adds to its flow, besides itself. */
struct packet_sum {
	uint64_t octets;      /* METERING.md §3 */
	union {
		struct {
			uint16_t vlan;  /* outer 802.1Q or 802.1ad id, FLOW_VLAN_NONE without */
			uint16_t cvlan; /* the next one in */
		};
		uint32_t tags; /* both as one word */
	};
	uint16_t tcp_flags;   /* NS and the low eight; 0 unless TCP */
	uint8_t tos;
	uint8_t ttl;
};

/* The decoded view. Its initial state is all zeros. */
struct packet {
	const uint8_t *src;   /* source address: 4 or 16 bytes in the captured bytes */
	const uint8_t *dst;
	const uint8_t *macs;  /* destination then source MAC, 12 bytes, of the outermost Ethernet or
	                       * 802.11 header; NULL unless PACKET_MACS; for 802.11 points into `mac_store` */
	uint64_t octets;      /* METERING.md §3 */
	uint32_t frag_id;     /* IP identification when a fragment */
	uint16_t sport;       /* host order; ICMP: 0 */
	uint16_t dport;       /* ICMP: type * 256 + code */
	uint16_t tcp_flags;   /* NS and the low eight */
	uint16_t vlan;        /* outer 802.1Q or 802.1ad id, FLOW_VLAN_NONE without */
	uint16_t cvlan;       /* the next one in */
	uint8_t ip_version;   /* 4 or 6 */
	uint8_t ip_proto;     /* upper-layer protocol */
	uint8_t tos;
	uint8_t ttl;
	uint8_t flags;        /* enum packet_flag */
	uint8_t mac_store[12];
};

/* Is the upper-layer protocol ICMP of the packet's own IP version? 58 in IPv4 and 1 in IPv6 are
 * protocols like any other. */
static inline bool packet_is_icmp(const struct packet *p)
{
	return p->ip_proto == (p->ip_version == 6 ? 58 : 1);
}

/* What decode made of a packet. */
struct fate {
	uint8_t counter; /* COUNTER_METERED, or the finest row: its parent is counted by the caller */
	uint8_t note;    /* a row to count besides (COUNTER_DECAP_FAILED ...), or COUNTER_COUNT */
};

#endif
