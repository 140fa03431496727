/*
 * The inside of the flow table, shared by table.c (finding and making flows), table_life.c (the
 * table as a whole), expiry.c (ending them) and record.c (what leaves).
 */
#ifndef WEIR_FLOW_TABLE_INTERNAL_H
#define WEIR_FLOW_TABLE_INTERNAL_H

#include "flow/table.h"
#include "timer_wheel.h"

#define ENTRY_NONE UINT32_MAX

enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
	PROTO_TCP = 6
};

/* State bits of an entry. HEARD and FIN come per direction: bit << dir. */
enum entry_state {
	STATE_FLIPPED = 1 << 0,  /* forward is side 1; the lowest bit, so that it turns a side */
	STATE_HELD = 1 << 1,     /* the entry is a flow */
	STATE_RECORD = 1 << 2,   /* its record has packets */
	STATE_LATE = 1 << 3,     /* last arrival is in rare.arrival_ns, else the greater last_ns */
	STATE_HEARD = 1 << 4,    /* and 1 << 5: the direction had a packet, its ToS is set */
	STATE_FIN = 1 << 6,      /* and 1 << 7: the direction had a FIN */
	STATE_RST = 1 << 8,
	STATE_CLOSED = 1 << 9,
	STATE_FILED = 1 << 10,   /* the wheel holds its number; survives its end and is inherited */
	STATE_FILED_CLOSING = 1 << 11, /* the wheel holds its number with WHEEL_CLOSING as well */
	STATE_WIDE = 1 << 12,    /* counters have upper bits, in rare */
	STATE_PLACE = STATE_FILED | STATE_FILED_CLOSING
};

/* Mark on a number in the wheel: filed for the end of a TCP linger. */
#define WHEEL_CLOSING (UINT32_C(1) << 31)

/*
 * A flow: the 16 bytes that a key of either family shares, and what each packet writes. What only
 * beginnings, ends and records need is in `origin`, the rest of an IPv6 key in `upper`.
 *
 * Packets and octets have 32 bits here and 16 more in `rare` while WIDE. Packets count in base 2^32 - 1 with
 * digits 1 to 2^32 - 1, so that 0 always means none; see entry_packets.
 */
struct entry {
	union {
		struct {
			uint32_t addr[2];
			uint16_t port[2];
			uint8_t ip_proto;
			uint8_t meta;
			uint8_t iface;
			uint8_t reserved;
		};
		uint64_t key_word[2];
	};
	/* from here members are per direction: 0 forward, 1 reverse */
	uint32_t packets[FLOW_DIRS];
	uint32_t octets[FLOW_DIRS];
	int64_t last_ns[FLOW_DIRS]; /* greatest packet time in the record */
	uint32_t tick;              /* no deadline is due before this tick (low 32 bits) */
	uint16_t tcp_flags[FLOW_DIRS];
	uint8_t ttl_min[FLOW_DIRS];
	uint8_t ttl_max[FLOW_DIRS];
	uint8_t tos[FLOW_DIRS];     /* whole byte of the record's first packet, once HEARD */
	uint16_t state;             /* enum entry_state */
};
_Static_assert(sizeof(struct entry) == 64, "an entry is a cache line");

/* How a flow and its record began, and how its connection ended. First what the first packet of a
 * direction writes, which so lies in one cache line in three cases of four. */
struct origin {
	int64_t first_ns[FLOW_DIRS]; /* least packet time in the record */
	uint16_t ingress[FLOW_DIRS]; /* 0 when it does not fit */
	uint16_t vlan, cvlan;
	int64_t record_ns;           /* arrival of the record's first packet */
	uint64_t id;                 /* free entries: number of the next free one */
	int64_t closed_ns;           /* arrival of the closing packet, while CLOSED */
};

/* What most flows never have: an array whose memory is not even there before somebody writes. Its
 * members mean something while the flow's state says so. */
struct rare {
	int64_t arrival_ns;               /* LATE: of the last packet */
	uint16_t packets_high[FLOW_DIRS]; /* WIDE */
	uint16_t octets_high[FLOW_DIRS];
};
_Static_assert(sizeof(struct origin) == 48 && sizeof(struct rare) == 16, "no holes");

/* The upper 96 bits of both IPv6 addresses; of IPv4 flows not even touched. */
struct upper {
	uint8_t side[2][12];
};

#define BUCKET_SLOTS 10
#define PROBE_MAX    16

/* One cache line of the index. A tag of 0 is an empty slot. */
struct bucket {
	uint16_t tag[BUCKET_SLOTS];
	uint16_t passed;  /* entries whose probe went on past this bucket */
	uint16_t reserved;
	uint32_t entry[BUCKET_SLOTS];
};
_Static_assert(sizeof(struct bucket) == FLOW_BUCKET_BYTES, "a bucket is a cache line");

/* Slots per entry: at 60 % load nearly every flow sits in its home bucket. */
#define BUCKET_LOAD 6

/* Most victims that one search keeps. */
#define VICTIMS_MAX 48

/* A flow that may be ended to make room, as it was when it was looked at. */
struct victim {
	uint32_t number;
	int64_t arrival_ns;
	uint64_t hash; /* of its key, once it is chosen */
};

struct flow_table {
	struct flow_table_conf conf;
	struct bucket *bucket;
	struct entry *entry;
	struct origin *origin;
	struct upper *upper;
	struct rare *rare;
	uint8_t (*mac)[2][6];  /* by direction, or NULL */
	uint16_t (*egress)[FLOW_DIRS]; /* as origin.ingress, or NULL */
	bool full_key;         /* the key has more than addresses and ports */
	uint32_t buckets;
	uint32_t entries;
	uint32_t high;         /* entries ever used */
	uint32_t free;         /* list through origin.id */
	uint32_t hand;         /* where the next search for victims begins */
	uint32_t victims;      /* end of those found by the last search and not ended yet ... */
	uint32_t victims_from; /* ... and where they begin */
	struct victim victim[VICTIMS_MAX];
	uint32_t ahead;        /* entry that the next search will come to ... */
	uint32_t ahead_step;   /* ... so many of which each eviction fetches */
	uint32_t held;
	uint32_t openings;     /* first packets of a direction in the last batch */
	int64_t seen_ns;       /* the clock at the last packet or advance */
	struct timer_wheel wheel;
	union export_item nobodys; /* the last record that nobody reads */
};

/* Arrival of the flow's last packet. In order it is the last packet's own time. */
static inline int64_t entry_arrival(const struct flow_table *t, uint32_t number)
{
	const struct entry *e = &t->entry[number];
	if (e->state & STATE_LATE)
		return t->rare[number].arrival_ns;
	return e->last_ns[0] > e->last_ns[1] ? e->last_ns[0] : e->last_ns[1];
}

/* Could a deadline of the flow be due? One comparison for nearly every packet. Knows the clock only
 * within 18 years of the tick, which holds once the sweep has been at the clock. */
static inline bool may_be_due(const struct entry *e, int64_t clock_ns)
{
	return (int32_t)((uint32_t)flow_tick(clock_ns) - e->tick) >= 0;
}

/* Starts fetching what the end of a flow will touch, beside its entry. Its hash. table.c */
uint64_t entry_fetch_end(const struct flow_table *t, uint32_t number);

/* The hash of a flow's key. table.c */
uint64_t entry_hash(const struct flow_table *t, uint32_t number);

/* Takes a flow out of index and entries. Its record must have left. `hash`: of its key, or of a flow
 * that had its number before. table.c */
void table_remove(struct flow_table *t, uint32_t number, uint64_t hash);

/* Sends the entry's record, if it has packets, and empties it. record.c */
void record_send(struct flow_table *t, uint32_t number, enum flow_end reason, int64_t clock_ns);

enum settle_how {
	SETTLE_PACKET, /* for the flow a packet would join: active is due at its very instant */
	SETTLE_SWEEP,  /* for any other: a moment later, so that a deadline on the same instant can be
	                * seen first, whether or not somebody looked at that instant */
};

/* Does what is due on a flow, in the order of falling due. False when the flow has ended. expiry.c */
bool entry_settle(struct flow_table *t, uint32_t number, int64_t clock_ns, enum settle_how how);

/* Ends a flow now. expiry.c */
void entry_end(struct flow_table *t, uint32_t number, enum flow_end reason, int64_t clock_ns);

/* The wheel's part for a new flow, and for one that TCP has just closed. expiry.c */
void entry_file_new(struct flow_table *t, uint32_t number, int64_t clock_ns);
void entry_file_closing(struct flow_table *t, uint32_t number);

/* Packets of a direction in the record. */
static inline uint64_t entry_packets(const struct flow_table *t, uint32_t number, unsigned dir)
{
	const struct entry *e = &t->entry[number];
	const uint64_t high = e->state & STATE_WIDE ? t->rare[number].packets_high[dir] : 0;
	return high * UINT32_MAX + e->packets[dir];
}

/* The same of octets. */
static inline uint64_t entry_octets(const struct flow_table *t, uint32_t number, unsigned dir)
{
	const struct entry *e = &t->entry[number];
	const uint64_t high = e->state & STATE_WIDE ? t->rare[number].octets_high[dir] : 0;
	return high << 32 | e->octets[dir];
}

/* Makes room by ending a flow of little worth. expiry.c */
void table_evict(struct flow_table *t, int64_t clock_ns);

#endif
