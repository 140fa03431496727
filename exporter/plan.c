/*
 * The plan interpreter. Whoever runs a plan has seen to its plan->len bytes of room, once a
 * record; the stores themselves are unchecked. One switch a value, no function pointer (HAProxy
 * measured that, and took it out again); a function pointer a record, where there is one for the
 * whole of it (plan_default.c).
 */
#include "plan.h"

#include <assert.h>

#include "plan_step.h"

static void add(struct plan *plan, enum plan_op op, unsigned width, unsigned from)
{
	assert(plan->count < FIELD_LIST_MAX);
	plan->step[plan->count++] = (struct plan_step){
		.op = (uint8_t)op,
		.width = (uint8_t)width,
		.from = (uint16_t)from,
	};
	plan->len += width;
}

void plan_add(struct plan *plan, struct field_ref ref, unsigned width)
{
	const struct field *f = field_get(ref.id);
	const enum field_kind kind = f->kind;
	add(plan, plan_op_of(kind, f->size, width), width, plan_from(kind, field_offset(ref)));
}

void plan_add_zeros(struct plan *plan, unsigned width)
{
	add(plan, PLAN_ZERO, width, 0);
}

void plan_turn(const struct plan *plan, struct plan *ret_turned)
{
	struct plan turned = *plan;
	for (unsigned i = 0; i < turned.count; i++) {
		struct plan_step *step = &turned.step[i];
		step->op = (uint8_t)plan_turned_op(step->op, step->from);
		step->from = direction_turned_offset(step->from);
	}
	turned.whole = NULL;
	*ret_turned = turned;
}

uint8_t *plan_interpret(const struct plan *plan, const struct flow_record *r, int64_t boot_ms,
			uint8_t *p)
{
	const struct plan_step *end = plan->step + plan->count;
	for (const struct plan_step *step = plan->step; step < end; step++)
		p = plan_put(step->op, step->width, step->from, r, boot_ms, p);
	return p;
}
