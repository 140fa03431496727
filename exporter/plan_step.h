/*
 * One value of a binary record: the operations that make it, and which one an element takes. The
 * interpreter (plan.c) runs them from a plan, the records of the default lists (plan_default.c)
 * with constants that the compiler folds.
 */
#ifndef WEIR_EXPORTER_PLAN_STEP_H
#define WEIR_EXPORTER_PLAN_STEP_H

#include <stddef.h>
#include <string.h>

#include "field.h"
#include "policy/split.h"
#include "wire.h"

/* Members are read as le16() and its like read them, so a member's low byte is its first. */
enum plan_op {
	PLAN_ZERO,
	PLAN_U8,
	PLAN_U16,
	PLAN_U32,
	PLAN_U64,
	PLAN_COPY4,
	PLAN_COPY6,
	PLAN_COPY16,
	PLAN_U32_IN_2, /* v5 ifIndex: 0, unknown, when it does not fit */
	PLAN_U64_IN_4, /* v5 counters: the caller has cut them to size */
	PLAN_TIME_S,
	PLAN_TIME_MS,
	PLAN_TIME_US,
	PLAN_TIME_NS,
	PLAN_UPTIME,
	PLAN_DURATION_MS,
	PLAN_DURATION_US,
	PLAN_SELECTOR,
	PLAN_TURNED_SPORT, /* of a turned record; the member is sport, dport, biflow_direction */
	PLAN_TURNED_DPORT,
	PLAN_TURNED_SIDE,
};

#define PLAN_INLINE static inline __attribute__((always_inline))

/* ---- which operation ---- */

/* Brings an unsigned member of `size` bytes to `width`. Other widths are a bug of the caller. */
PLAN_INLINE enum plan_op plan_uint_op(unsigned size, unsigned width)
{
	switch (size << 4 | width) {
	case 0x11:
	case 0x21:
		return PLAN_U8;
	case 0x22:
		return PLAN_U16;
	case 0x44:
		return PLAN_U32;
	case 0x42:
		return PLAN_U32_IN_2;
	case 0x88:
		return PLAN_U64;
	case 0x84:
		return PLAN_U64_IN_4;
	default:
		__builtin_trap();
	}
}

PLAN_INLINE enum plan_op plan_op_of(enum field_kind kind, unsigned size, unsigned width)
{
	switch (kind) {
	case KIND_UINT:
	case KIND_FLAGS:
		return plan_uint_op(size, width);
	case KIND_ADDR4:
		return PLAN_COPY4;
	case KIND_ADDR6:
		return PLAN_COPY16;
	case KIND_MAC:
		return PLAN_COPY6;
	case KIND_TIME_S:
		return PLAN_TIME_S;
	case KIND_TIME_MS:
		return PLAN_TIME_MS;
	case KIND_TIME_US:
		return PLAN_TIME_US;
	case KIND_TIME_NS:
		return PLAN_TIME_NS;
	case KIND_TIME_UPTIME:
		return PLAN_UPTIME;
	case KIND_DURATION_MS:
		return PLAN_DURATION_MS;
	case KIND_DURATION_US:
		return PLAN_DURATION_US;
	case KIND_HIGH_BYTE:
	case KIND_LOW_BYTE:
		return PLAN_U8;
	case KIND_SELECTOR:
		return PLAN_SELECTOR;
	}
	return PLAN_ZERO;
}

/* Where the operation finds the member. */
PLAN_INLINE uint16_t plan_from(enum field_kind kind, size_t offset)
{
	return (uint16_t)(offset + (kind == KIND_HIGH_BYTE));
}

/* The same value of the record as direction_apply would turn it. */
PLAN_INLINE enum plan_op plan_turned_op(enum plan_op op, uint16_t from)
{
	switch (from) {
	case offsetof(struct flow_record, sport):
		return PLAN_TURNED_SPORT;
	case offsetof(struct flow_record, dport):
		return PLAN_TURNED_DPORT;
	case offsetof(struct flow_record, biflow_direction):
		return PLAN_TURNED_SIDE;
	default:
		return op;
	}
}

/* ---- doing it ---- */

static inline void put16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put64(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof(v));
}

/* Seconds from 1900 to 1970. */
#define NTP_EPOCH UINT64_C(2208988800)

/* NTP format (RFC 7011 §6.1.9): the fraction is rounded up to `step`, so that a reader who
 * truncates gets the very nanosecond or microsecond back. */
static inline uint64_t ntp_time(uint64_t seconds, uint64_t part, uint64_t parts_per_s,
				uint64_t step)
{
	uint64_t fraction = ((part << 32) + parts_per_s - 1) / parts_per_s;
	fraction = (fraction + step - 1) / step * step;
	return (seconds + NTP_EPOCH) << 32 | fraction;
}

static inline uint64_t ntp_ns(uint64_t ns)
{
	return ntp_time(ns / NS_PER_S, ns % NS_PER_S, NS_PER_S, 1);
}

/* The low 11 bits of the fraction are less than a microsecond and sent as 0 (§6.1.9). */
static inline uint64_t ntp_us(uint64_t ns)
{
	return ntp_time(ns / NS_PER_S, ns % NS_PER_S / NS_PER_US, NS_PER_S / NS_PER_US, 1 << 11);
}

/* Never wraps: what the field cannot say stops at its end. */
static inline uint32_t uptime(int64_t ns, int64_t boot_ms)
{
	int64_t v = ns / NS_PER_MS - boot_ms;
	if (v < 0)
		return 0;
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/* last_ns follows first_ns; both reach the field in its unit or its greatest value. */
static inline uint32_t duration(const uint8_t *first, uint64_t unit_ns)
{
	uint64_t v = (le64(first + sizeof(int64_t)) - le64(first)) / unit_ns;
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static inline void put_selector(uint8_t *p, unsigned width)
{
	memset(p, 0, width);
	p[width - 1] = FIELD_SELECTOR_ID;
}

/* Writes a value at p, unchecked; returns its end. */
PLAN_INLINE uint8_t *plan_put(enum plan_op op, unsigned width, unsigned from,
			      const struct flow_record *r, int64_t boot_ms, uint8_t *p)
{
	const uint8_t *at = (const uint8_t *)r + from;
	switch (op) {
	case PLAN_ZERO:
		memset(p, 0, width);
		break;
	case PLAN_U8:
		*p = *at;
		break;
	case PLAN_U16:
		put16(p, le16(at));
		break;
	case PLAN_U32:
		put32(p, le32(at));
		break;
	case PLAN_U64:
		put64(p, le64(at));
		break;
	case PLAN_COPY4:
		memcpy(p, at, 4);
		break;
	case PLAN_COPY6:
		memcpy(p, at, 6);
		break;
	case PLAN_COPY16:
		memcpy(p, at, 16);
		break;
	case PLAN_U32_IN_2:
		put16(p, le32(at) > UINT16_MAX ? 0 : (uint16_t)le32(at));
		break;
	case PLAN_U64_IN_4:
		put32(p, (uint32_t)le64(at));
		break;
	case PLAN_TIME_S:
		put32(p, (uint32_t)(le64(at) / NS_PER_S));
		break;
	case PLAN_TIME_MS:
		put64(p, le64(at) / NS_PER_MS);
		break;
	case PLAN_TIME_US:
		put64(p, ntp_us(le64(at)));
		break;
	case PLAN_TIME_NS:
		put64(p, ntp_ns(le64(at)));
		break;
	case PLAN_UPTIME:
		put32(p, uptime((int64_t)le64(at), boot_ms));
		break;
	case PLAN_DURATION_MS:
		put32(p, duration(at, NS_PER_MS));
		break;
	case PLAN_DURATION_US:
		put32(p, duration(at, NS_PER_US));
		break;
	case PLAN_SELECTOR:
		put_selector(p, width);
		break;
	case PLAN_TURNED_SPORT:
		put16(p, direction_turned_sport(r));
		break;
	case PLAN_TURNED_DPORT:
		put16(p, direction_turned_dport(r));
		break;
	case PLAN_TURNED_SIDE:
		*p = direction_turned_side(r);
		break;
	}
	return p + width;
}

#endif
