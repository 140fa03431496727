/*
 * The flow record: where probe/ and exporter/ meet. Plain data; probe/ fills it when a record
 * ends (METERING.md §7), exporter/ turns it into messages. Neither side knows the other.
 *
 * A record is a biflow: dir[0] is forward (the initiator's direction), dir[1] reverse. A
 * direction without packets has all its members 0, except `ingress` and `egress`, which belong to
 * the flow.
 */
#ifndef WEIR_FLOW_H
#define WEIR_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "counters.h"
#include "tstamp.h"

enum {
	FLOW_FORWARD = 0,
	FLOW_REVERSE = 1,
	FLOW_DIRS = 2
};

/* flowEndReason, IPFIX element 136. */
enum flow_end {
	FLOW_END_IDLE = 1,      /* idle timeout */
	FLOW_END_ACTIVE = 2,    /* active timeout; the flow lives on */
	FLOW_END_DETECTED = 3,  /* TCP closed */
	FLOW_END_FORCED = 4,    /* end of replay, stop, time set back */
	FLOW_END_RESOURCES = 5, /* table full, or more than 8 flows of one 5-tuple */
	FLOW_END_COUNT
};

/* One direction's share of a record. */
struct flow_dir {
	uint64_t packets;    /* as sampled, never scaled */
	uint64_t octets;     /* IP octets, METERING.md §3 */
	int64_t first_ns;    /* least packet time, ns since the epoch */
	int64_t last_ns;     /* greatest packet time */
	uint32_t ingress;    /* physical input interface of the flow's first packet in this
	                      * direction; forward: the reverse's until it is heard; 0 unknown */
	uint32_t egress;     /* and where that packet left, where a gateway's queue tells; 0 unknown */
	uint16_t tcp_flags;  /* OR of the 9 TCP flags */
	uint8_t tos;         /* whole ToS byte of the direction's first packet in the record */
	uint8_t ttl_min;     /* least TTL or hop limit */
	uint8_t ttl_max;
	uint8_t direction;   /* flowDirection, element 61, when `directed`; the exporter's */
	bool directed;       /* exactly one end is in a local network; the probe leaves it false */
	uint8_t reserved[1];
};

#define FLOW_VLAN_NONE 0xffff

/* What a slot of the export queue holds. */
enum export_kind {
	EXPORT_RECORD, /* struct flow_record */
	EXPORT_TICK,   /* struct export_tick */
	EXPORT_END,    /* the worker's last item */
};

struct flow_record {
	uint8_t kind;           /* EXPORT_RECORD */
	uint8_t ip_version;     /* 4 or 6 */
	uint8_t ip_proto;       /* upper-layer protocol, METERING.md §4 */
	uint8_t end_reason;     /* enum flow_end */
	uint8_t biflow_direction; /* element 239: 1 initiator; 2 when source is not the initiator */
	bool icmp_known;        /* ICMP or ICMPv6 whose type was captured: icmp[] is valid */
	uint16_t sport;         /* forward: 0 for ICMP and where unknown */
	uint16_t dport;         /* forward: type * 256 + code for ICMP */
	uint16_t icmp[FLOW_DIRS]; /* type * 256 + code of each direction; [1] only for the pairs of §5 */
	uint16_t vlan;          /* outer 802.1Q id of the first packet or FLOW_VLAN_NONE */
	uint16_t cvlan;         /* inner (customer) id or FLOW_VLAN_NONE */
	uint8_t src[16];        /* forward source address; IPv4 in the first 4 bytes, rest 0 */
	uint8_t dst[16];
	uint8_t src_mac[6];     /* of the first packet, oriented forward; 0 where there is none */
	uint8_t dst_mac[6];
	uint32_t worker;        /* worker that metered it, from 0 */
	uint64_t flow_id;       /* the same for all records of one flow, unique in a run */
	struct pkt_time clock;  /* the packet clock when the record left the table */
	struct flow_dir dir[FLOW_DIRS];
};

/* Sent down the queue when the packet clock enters a new second, and last before EXPORT_END:
 * tells the exporter how late it is and the books so far. */
struct export_tick {
	uint8_t kind;           /* EXPORT_TICK */
	uint32_t worker;
	struct pkt_time clock;
	/* METERING.md §1, this worker's share of each: the sums over the workers are the books. In
	 * a replay worker 0 observes for all, and the others report 0. */
	uint64_t observed;
	uint64_t duplicate;
	uint64_t unsampled;
	uint64_t dropped;       /* packets the input lost */
	uint64_t malformed;     /* malformed and non-IP packets: "ignored" in RFC 7011 §4.2 */
	uint64_t non_ip;
	uint64_t metered;
};

union export_item {
	uint8_t kind; /* enum export_kind; shared first member */
	struct flow_record record;
	struct export_tick tick;
};

#endif
