/*
 * The plan interpreter. Whoever runs a plan has seen to its plan->len bytes of room, once a
 * record; the stores themselves are unchecked. One switch, no function pointer per value (HAProxy
 * measured that, and took it out again).
 */
#include "plan.h"

#include <assert.h>
#include <string.h>

#include "wire.h"

enum plan_op {
	PLAN_ZERO,
	PLAN_U8,
	PLAN_U16,
	PLAN_U32,
	PLAN_U64,
	PLAN_COPY4,
	PLAN_COPY6,
	PLAN_COPY16,
	PLAN_U16_LOW,  /* low byte of 16 bits: TCP flags without NS, ICMP code */
	PLAN_U16_HIGH, /* high byte: ICMP type */
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
};

/* ---- compiling ---- */

static void add(struct plan *plan, enum plan_op op, unsigned width, unsigned offset)
{
	assert(plan->count < FIELD_LIST_MAX);
	plan->step[plan->count++] = (struct plan_step){
		.op = (uint8_t)op,
		.width = (uint8_t)width,
		.offset = (uint16_t)offset,
	};
	plan->len += width;
}

/* The operation that brings an unsigned member of `size` bytes to `width`. */
static enum plan_op uint_op(unsigned size, unsigned width)
{
	static const struct {
		uint8_t size, width, op;
	} ops[] = {
		{1, 1, PLAN_U8},       {2, 2, PLAN_U16},     {4, 4, PLAN_U32},
		{8, 8, PLAN_U64},      {2, 1, PLAN_U16_LOW}, {4, 2, PLAN_U32_IN_2},
		{8, 4, PLAN_U64_IN_4},
	};
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (ops[i].size == size && ops[i].width == width)
			return ops[i].op;
	assert(!"no such width");
	return PLAN_ZERO;
}

static enum plan_op op_of(const struct field *f, unsigned width)
{
	switch ((enum field_kind)f->kind) {
	case KIND_UINT:
	case KIND_FLAGS:
		return uint_op(f->size, width);
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
		return PLAN_U16_HIGH;
	case KIND_LOW_BYTE:
		return PLAN_U16_LOW;
	case KIND_SELECTOR:
		return PLAN_SELECTOR;
	}
	return PLAN_ZERO;
}

void plan_add(struct plan *plan, struct field_ref ref, unsigned width)
{
	add(plan, op_of(field_get(ref.id), width), width, field_offset(ref));
}

void plan_add_zeros(struct plan *plan, unsigned width)
{
	add(plan, PLAN_ZERO, width, 0);
}

/* ---- running ---- */

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
static uint64_t ntp_time(uint64_t seconds, uint64_t part, uint64_t parts_per_s, uint64_t step)
{
	uint64_t fraction = ((part << 32) + parts_per_s - 1) / parts_per_s;
	fraction = (fraction + step - 1) / step * step;
	return (seconds + NTP_EPOCH) << 32 | fraction;
}

static uint64_t ntp_ns(uint64_t ns)
{
	return ntp_time(ns / NS_PER_S, ns % NS_PER_S, NS_PER_S, 1);
}

/* The low 11 bits of the fraction are less than a microsecond and sent as 0 (§6.1.9). */
static uint64_t ntp_us(uint64_t ns)
{
	return ntp_time(ns / NS_PER_S, ns % NS_PER_S / NS_PER_US, NS_PER_S / NS_PER_US, 1 << 11);
}

/* Never wraps: what the field cannot say stops at its end. */
static uint32_t uptime(int64_t ns, int64_t boot_ms)
{
	int64_t v = ns / NS_PER_MS - boot_ms;
	if (v < 0)
		return 0;
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/* last_ns follows first_ns; both reach the field in its unit or its greatest value. */
static uint32_t duration(const uint8_t *first, uint64_t unit_ns)
{
	uint64_t v = (le64(first + sizeof(int64_t)) - le64(first)) / unit_ns;
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static void put_selector(uint8_t *p, unsigned width)
{
	memset(p, 0, width);
	p[width - 1] = FIELD_SELECTOR_ID;
}

uint8_t *plan_run(const struct plan *plan, const struct flow_record *r, int64_t boot_ms, uint8_t *p)
{
	const struct plan_step *step = plan->step;
	const struct plan_step *end = step + plan->count;
	for (; step < end; p += step->width, step++) {
		const uint8_t *at = (const uint8_t *)r + step->offset;
		switch ((enum plan_op)step->op) {
		case PLAN_ZERO:
			memset(p, 0, step->width);
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
		case PLAN_U16_LOW:
			*p = (uint8_t)le16(at);
			break;
		case PLAN_U16_HIGH:
			*p = (uint8_t)(le16(at) >> 8);
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
			put_selector(p, step->width);
			break;
		}
	}
	return p;
}
