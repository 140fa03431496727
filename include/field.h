/*
 * Elements: the types of fields.def and the lookups everyone shares. Read-only data; any thread.
 */
#ifndef WEIR_FIELD_H
#define WEIR_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "flow.h"

enum field_id {
#define F(id, ...) FIELD_##id,
#include "fields.def"
	FIELD_COUNT
};

/* How a value is made of its member. */
enum field_kind {
	KIND_UINT,  /* unsigned member as it is */
	KIND_FLAGS, /* unsigned member, cut to the low bytes where the wire is narrower */
	KIND_ADDR4,
	KIND_ADDR6,
	KIND_MAC,
	KIND_TIME_S,	  /* dateTimeSeconds */
	KIND_TIME_MS,	  /* dateTimeMilliseconds */
	KIND_TIME_US,	  /* dateTimeMicroseconds: NTP format, RFC 7011 §6.1.9 */
	KIND_TIME_NS,	  /* dateTimeNanoseconds: NTP format, RFC 7011 §6.1.10 */
	KIND_TIME_UPTIME, /* ms since the boot of the message's header */
	KIND_DURATION_MS, /* member is first_ns; last_ns follows it */
	KIND_DURATION_US,
	KIND_HIGH_BYTE, /* of a 16-bit member */
	KIND_LOW_BYTE,
	KIND_SELECTOR, /* constant FIELD_SELECTOR_ID */
};

/* The one sampler of a run. */
#define FIELD_SELECTOR_ID 1

/* What a record has, besides what every record has. A field is known when its needs are met. */
enum field_needs {
	NEEDS_IP4 = 1 << 0,
	NEEDS_IP6 = 1 << 1,
	NEEDS_ICMP4 = 1 << 2, /* ICMP whose type was captured */
	NEEDS_ICMP6 = 1 << 3,
	NEEDS_VLAN = 1 << 4,
	NEEDS_CVLAN = 1 << 5,
	NEEDS_MAC = 1 << 6,
	NEEDS_REVERSE = 1 << 7, /* packets in the reverse direction */
	NEEDS_LOCAL = 1 << 8,	/* one end in a local network, the other not */
};

/* Shapes are below this. */
#define FIELD_SHAPES (1 << 9)

enum field_default {
	IN_TEXT = 1 << 0,
	IN_IPFIX = 1 << 1,
	IN_V9 = 1 << 2,
	REV_TOO = 1 << 3,		 /* the reverse is in the same lists */
	REV_ALWAYS = REV_TOO | (1 << 4), /* and 0 when nothing came back */
	IN_LOCAL = 1 << 5,		 /* IPFIX and v9, in runs with local networks */
};

/* How far the reverse direction's member lies behind. */
#define REV_NO	 0
#define REV_DIR	 sizeof(struct flow_dir)
#define REV_ICMP sizeof(uint16_t)

enum field_privacy {
	PRIV_NONE,
	PRIV_ADDRESS,
	PRIV_PORT,
	PRIV_MAC,
};

/* Enterprise number of reverse elements, RFC 5103 §6.1. */
#define FIELD_REVERSE_PEN 29305

struct field {
	const char *name;  /* IANA name */
	const char *ecs;   /* key with names=ecs, or NULL */
	const char *doc;   /* one sentence */
	uint32_t pen;	   /* private enterprise number, 0 IANA */
	uint16_t ipfix_id; /* 0: not in IPFIX */
	uint16_t v9_id;	   /* 0: not in NetFlow v9 */
	uint8_t len;	   /* bytes of the registry's type */
	uint8_t ipfix_len; /* bytes in IPFIX over a network */
	uint8_t v9_len;	   /* bytes in NetFlow v9 */
	uint8_t kind;	   /* enum field_kind */
	uint8_t size;	   /* bytes of the member */
	uint16_t needs;	   /* enum field_needs, all of them */
	uint8_t defaults;  /* enum field_default */
	uint8_t privacy;   /* enum field_privacy */
	uint16_t offset;   /* of the member in struct flow_record */
	uint16_t stride;   /* from there to the reverse direction's; 0: no reverse element */
};

/* An element as chosen: a row, or the reverse of it. */
struct field_ref {
	uint8_t id; /* enum field_id */
	bool reverse;
};

/* An element that only options records carry. */
struct option_element {
	const char *name;
	uint16_t id;
	uint8_t len;
	const char *doc;
};

#define FIELD_NAME_MAX 48

/* The row of an element. */
const struct field *field_get(enum field_id id);

/* Finds an element, or the reverse of a reversible one, by its name of `len` bytes. */
bool field_find(const char *name, size_t len, struct field_ref *ret_ref);

/* The element whose name is nearest to a word of `len` bytes that is none, into ret_name of
 * FIELD_NAME_MAX bytes. False: none is near. */
bool field_nearest(const char *word, size_t len, char *ret_name);

/* The name of a chosen element into buf of FIELD_NAME_MAX bytes; returns its length. */
unsigned field_name(struct field_ref ref, char *buf);

/* Where the value lies in a record, and the shape bits it needs. */
uint16_t field_offset(struct field_ref ref);
uint16_t field_needs(struct field_ref ref);

/* The rows of elements of options records; NULL name ends them. */
extern const struct option_element option_elements[];

/* `--list-fields`: a line an element. */
void field_list(FILE *out);

/* The shape bits of a record. */
static inline uint16_t flow_shape(const struct flow_record *r)
{
	unsigned s = r->ip_version == 6 ? NEEDS_IP6 : NEEDS_IP4;
	if (r->icmp_known)
		s |= r->ip_proto == 58 ? NEEDS_ICMP6 : NEEDS_ICMP4;
	if (r->vlan != FLOW_VLAN_NONE)
		s |= NEEDS_VLAN;
	if (r->cvlan != FLOW_VLAN_NONE)
		s |= NEEDS_CVLAN;
	static const uint8_t no_macs[12];
	_Static_assert(offsetof(struct flow_record, dst_mac) ==
			       offsetof(struct flow_record, src_mac) + sizeof(r->src_mac),
		       "the two MACs are compared as one");
	if (__builtin_memcmp((const char *)r + offsetof(struct flow_record, src_mac), no_macs,
			     sizeof(no_macs)) != 0)
		s |= NEEDS_MAC;
	if (r->dir[FLOW_REVERSE].packets != 0)
		s |= NEEDS_REVERSE;
	if (r->dir[FLOW_FORWARD].directed)
		s |= NEEDS_LOCAL;
	return (uint16_t)s;
}

#endif
