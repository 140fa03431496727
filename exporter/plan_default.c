/*
 * Records of the default lists, each in one function: fields.def expanded with the list, the shape
 * and the direction as constants, so that a value is a load and a store. That takes a third of the
 * instructions of the interpreter, at some hundred bytes of code a shape; the rarer shapes (ICMP)
 * and lists of one's own are left to it.
 *
 * The rows are visited in the order of field_list_choose: reverse elements first.
 */
#include "plan.h"
#include "plan_step.h"

#define MEMBER_SIZE(member) sizeof(((const struct flow_record *)0)->member)

/* What a function is made for. */
struct made_for {
	enum field_default which;
	bool biflow;
	unsigned shape;
	bool turned;
};

/* Is an element of a row in the list, and known in this shape? As add_defaults, field_needs. */
PLAN_INLINE bool is_on(struct made_for m, unsigned needs, unsigned defaults, bool reverse)
{
	if (!(defaults & m.which) || (reverse && !(defaults & REV_TOO)))
		return false;
	if (reverse && (defaults & REV_ALWAYS) != REV_ALWAYS)
		needs |= NEEDS_REVERSE;
	return (needs & ~m.shape) == 0;
}

PLAN_INLINE uint8_t *put(struct made_for m, enum field_kind kind, unsigned size, unsigned width,
			 size_t offset, const struct flow_record *r, int64_t boot_ms, uint8_t *p)
{
	enum plan_op op = plan_op_of(kind, size, width);
	uint16_t from = plan_from(kind, offset);
	if (m.turned) {
		op = plan_turned_op(op, from);
		from = direction_turned_offset(from);
	}
	return plan_put(op, width, from, r, boot_ms, p);
}

PLAN_INLINE uint8_t *put_rows(struct made_for m, bool reverse, const struct flow_record *r,
			      int64_t boot_ms, uint8_t *p)
{
#define F(id, name, pen, ipfix, v9, len, ipfix_len, v9_len, kind, member, rev, needs, defaults,    \
	  ...)                                                                                     \
	if (is_on(m, needs, defaults, reverse))                                                    \
		p = put(m, KIND_##kind, MEMBER_SIZE(member),                                       \
			m.which == IN_V9 ? (v9_len) : (ipfix_len),                                 \
			offsetof(struct flow_record, member) + (reverse ? (rev) : 0), r, boot_ms,  \
			p);
#include "fields.def"
	return p;
}

PLAN_INLINE uint8_t *put_record(struct made_for m, const struct flow_record *r, int64_t boot_ms,
				uint8_t *p)
{
	if (m.biflow)
		p = put_rows(m, true, r, boot_ms, p);
	return put_rows(m, false, r, boot_ms, p);
}

/* X(name, which, biflow, shape, turned) */
#define SHAPES(X, list, which, biflow, more, turned)                                               \
	X(list##_ip4, which, biflow, NEEDS_IP4 | (more), turned)                                   \
	X(list##_ip6, which, biflow, NEEDS_IP6 | (more), turned)                                   \
	X(list##_ip4_vlan, which, biflow, NEEDS_IP4 | NEEDS_VLAN | (more), turned)                 \
	X(list##_ip6_vlan, which, biflow, NEEDS_IP6 | NEEDS_VLAN | (more), turned)
#define ALL(X)                                                                                     \
	SHAPES(X, ipfix, IN_IPFIX, false, 0, false)                                                \
	SHAPES(X, ipfix_turned, IN_IPFIX, false, 0, true)                                          \
	SHAPES(X, biflow, IN_IPFIX, true, 0, false)                                                \
	SHAPES(X, biflow_answered, IN_IPFIX, true, NEEDS_REVERSE, false)                           \
	SHAPES(X, v9, IN_V9, false, 0, false)                                                      \
	SHAPES(X, v9_turned, IN_V9, false, 0, true)

#define X(name, which, biflow, shape, turned)                                                      \
	static uint8_t *name(const struct flow_record *r, int64_t boot_ms, uint8_t *p)             \
	{                                                                                          \
		const struct made_for m = {which, biflow, shape, turned};                          \
		return put_record(m, r, boot_ms, p);                                               \
	}
ALL(X)
#undef X

plan_whole_fn *plan_default(enum field_default which, bool biflow, unsigned shape, bool turned)
{
	static const struct {
		struct made_for m;
		plan_whole_fn *whole;
	} rows[] = {
#define X(name, which_, biflow_, shape_, turned_) {{which_, biflow_, shape_, turned_}, name},
		ALL(X)
#undef X
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct made_for *m = &rows[i].m;
		if (m->which == which && m->biflow == biflow && m->shape == shape &&
		    m->turned == turned)
			return rows[i].whole;
	}
	return NULL;
}
