/*
 * Values as text. Numbers go two digits at a time; IPv6 as RFC 5952 says and inet_ntop writes it.
 * A text plan is a list of steps, run by a switch on the step's operation, like the binary one.
 */
#include "text.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "digits.h"
#include "wire.h"

char *text_uint(char *p, uint64_t v)
{
	if (v < 10000)
		return put_up_to_4(p, (uint32_t)v);
	if (v < 100000000)
		return put_digits4(put_up_to_4(p, (uint32_t)(v / 10000)), (uint32_t)(v % 10000));
	return put_digits8(text_uint(p, v / 100000000), (uint32_t)(v % 100000000));
}

/* With a dot behind each byte; the last is not counted. */
char *text_ip4(char *p, const uint8_t *addr)
{
	for (unsigned i = 0; i < 4; i++) {
		p = put_up_to_4(p, addr[i]);
		*p++ = '.';
	}
	return p - 1;
}

static const char hex_lower[] = "0123456789abcdef";
static const char hex_upper[] = "0123456789ABCDEF";

/* Four hex digits at once, one a byte, the leading zeros shifted out. */
static inline char *put_group(char *p, uint32_t v)
{
	const unsigned zeros = (v < 0x1000) + (v < 0x100) + (v < 0x10);
	const uint32_t nibbles =
		(v & 0xf000) << 12 | (v & 0x0f00) << 8 | (v & 0x00f0) << 4 | (v & 0x000f);
	const uint32_t letters = (nibbles + 0x06060606) >> 4 & 0x01010101;
	const uint32_t text =
		htobe32((nibbles + 0x30303030 + letters * ('a' - '9' - 1)) << 8 * zeros);
	memcpy(p, &text, sizeof(text));
	return p + 4 - zeros;
}

/* The longest run of two or more zero groups, the first of equals: *ret_from .. *ret_to. */
static inline void find_zeros(const uint16_t *group, unsigned *ret_from, unsigned *ret_to)
{
	unsigned zero = 0, begins = 0, length = 0;
	for (unsigned i = 0; i < 8; i++)
		zero |= (unsigned)(group[i] == 0) << i;
	for (; zero != 0; zero &= zero >> 1, length++)
		begins = zero; /* bits where a run of more than `length` begins */
	*ret_from = length >= 2 ? (unsigned)__builtin_ctz(begins) : 8;
	*ret_to = length >= 2 ? *ret_from + length : 8;
}

char *text_ip6(char *p, const uint8_t *addr)
{
	uint16_t group[8];
	for (unsigned i = 0; i < 8; i++)
		group[i] = be16(addr + 2 * i);
	unsigned from, to;
	find_zeros(group, &from, &to);
	/* ::a.b.c.d and ::ffff:a.b.c.d, RFC 5952 §5 */
	bool dotted = from == 0 && (to == 6 || (to == 5 && group[5] == 0xffff));
	unsigned groups = dotted ? 6 : 8;
	for (unsigned i = 0; i < groups; i++) {
		if (i == from) {
			*p++ = ':';
			i = to - 1;
			if (to == groups)
				*p++ = ':';
			continue;
		}
		if (i != 0)
			*p++ = ':';
		p = put_group(p, group[i]);
	}
	if (!dotted)
		return p;
	if (to != groups)
		*p++ = ':';
	return text_ip4(p, addr + 12);
}

static char *put_mac(char *p, const uint8_t *mac, char between, const char *hex)
{
	for (unsigned i = 0; i < 6; i++) {
		if (i != 0)
			*p++ = between;
		*p++ = hex[mac[i] >> 4];
		*p++ = hex[mac[i] & 15];
	}
	return p;
}

char *text_mac(char *p, const uint8_t *mac)
{
	return put_mac(p, mac, ':', hex_lower);
}

char *text_mac_ecs(char *p, const uint8_t *mac)
{
	return put_mac(p, mac, '-', hex_upper);
}

char *text_str(char *p, const char *s)
{
	size_t n = strlen(s);
	memcpy(p, s, n);
	return p + n;
}

const char *text_proto_name(unsigned ip_proto)
{
	static const char *const names[256] = {
		[0] = "hopopt", [1] = "icmp",	    [2] = "igmp",      [4] = "ipip",
		[6] = "tcp",	[8] = "egp",	    [17] = "udp",      [33] = "dccp",
		[41] = "ipv6",	[46] = "rsvp",	    [47] = "gre",      [50] = "esp",
		[51] = "ah",	[58] = "ipv6-icmp", [88] = "eigrp",    [89] = "ospf",
		[103] = "pim",	[108] = "ipcomp",   [112] = "vrrp",    [115] = "l2tp",
		[132] = "sctp", [135] = "mobility", [136] = "udplite", [137] = "mpls-in-ip",
		[139] = "hip",	[140] = "shim6",
	};
	return ip_proto < 256 ? names[ip_proto] : NULL;
}

/* ---- steps ---- */

static enum text_op uint_op(unsigned size)
{
	switch (size) {
	case 1:
		return TEXT_U8;
	case 2:
		return TEXT_U16;
	case 4:
		return TEXT_U32;
	default:
		assert(size == 8);
		return TEXT_U64;
	}
}

struct text_step text_step_make(struct field_ref ref)
{
	static const struct {
		uint8_t op;
		bool quoted;
	} by_kind[] = {
		[KIND_ADDR4] = {TEXT_IP4, true},
		[KIND_ADDR6] = {TEXT_IP6, true},
		[KIND_MAC] = {TEXT_MAC, true},
		[KIND_TIME_S] = {TEXT_TIME_S, false},
		[KIND_TIME_MS] = {TEXT_TIME_MS, false},
		[KIND_TIME_US] = {TEXT_TIME_US, false},
		[KIND_TIME_NS] = {TEXT_TIME_NS, true},
		[KIND_DURATION_MS] = {TEXT_DURATION_MS, false},
		[KIND_DURATION_US] = {TEXT_DURATION_US, false},
		[KIND_HIGH_BYTE] = {TEXT_HIGH_BYTE, false},
		[KIND_LOW_BYTE] = {TEXT_LOW_BYTE, false},
		[KIND_SELECTOR] = {TEXT_SELECTOR, false},
	};
	const struct field *f = field_get(ref.id);
	struct text_step step = {.needs = field_needs(ref), .offset = field_offset(ref)};
	if (f->kind == KIND_UINT || f->kind == KIND_FLAGS) {
		step.op = uint_op(f->size);
	} else {
		assert(f->kind != KIND_TIME_UPTIME);
		step.op = by_kind[f->kind].op;
		step.quoted = by_kind[f->kind].quoted;
	}
	return step;
}

static uint64_t load(const void *p, unsigned size)
{
	uint64_t v = 0;
	memcpy(&v, p, size);
	return v;
}

/* last_ns follows first_ns. */
static uint64_t duration_ns(const void *first)
{
	int64_t t[2];
	memcpy(t, first, sizeof(t));
	return (uint64_t)(t[1] - t[0]);
}

uint64_t text_number(const struct text_step *step, const struct flow_record *r)
{
	const char *at = (const char *)r + step->offset;
	switch ((enum text_op)step->op) {
	case TEXT_U8:
		return load(at, 1);
	case TEXT_U16:
		return load(at, 2);
	case TEXT_U32:
		return load(at, 4);
	case TEXT_U64:
		return load(at, 8);
	case TEXT_TIME_S:
		return load(at, 8) / NS_PER_S;
	case TEXT_TIME_MS:
		return load(at, 8) / NS_PER_MS;
	case TEXT_TIME_US:
		return load(at, 8) / NS_PER_US;
	case TEXT_DURATION_MS:
		return duration_ns(at) / NS_PER_MS;
	case TEXT_DURATION_US:
		return duration_ns(at) / NS_PER_US;
	case TEXT_HIGH_BYTE:
		return load(at, 2) >> 8;
	case TEXT_LOW_BYTE:
		return load(at, 2) & 0xff;
	case TEXT_SELECTOR:
		return FIELD_SELECTOR_ID;
	default:
		return 0;
	}
}

static char *put_proto(char *p, unsigned ip_proto)
{
	const char *name = text_proto_name(ip_proto);
	return name != NULL ? text_str(p, name) : text_uint(p, ip_proto);
}

char *text_value(char *p, const struct text_step *step, const struct flow_record *r)
{
	const uint8_t *at = (const uint8_t *)r + step->offset;
	switch ((enum text_op)step->op) {
	case TEXT_U8:
		return put_up_to_4(p, *at);
	case TEXT_U16:
		return text_uint(p, load(at, 2));
	case TEXT_U32:
		return text_uint(p, load(at, 4));
	case TEXT_U64:
		return text_uint(p, load(at, 8));
	case TEXT_IP4:
		return text_ip4(p, at);
	case TEXT_IP6:
		return text_ip6(p, at);
	case TEXT_MAC:
		return text_mac(p, at);
	case TEXT_ECS_MAC:
		return text_mac_ecs(p, at);
	case TEXT_TIME_NS:
		return p + tstamp_rfc3339((struct pkt_time){(int64_t)load(at, 8)}, p);
	case TEXT_ECS_PROTO:
		return put_proto(p, *at);
	case TEXT_ECS_VERSION:
		return text_str(p, *at == 6 ? "ipv6" : "ipv4");
	default:
		return text_uint(p, text_number(step, r));
	}
}
