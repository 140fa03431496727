/*
 * Plans: a field list compiled into steps {operation, offset}; a binary record is made by running
 * them. Made at start, read by the export thread.
 */
#ifndef WEIR_EXPORTER_PLAN_H
#define WEIR_EXPORTER_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "fieldlist.h"

struct plan_step {
	uint8_t op;    /* enum plan_op, plan_step.h */
	uint8_t width; /* bytes on the wire */
	uint16_t from; /* offset of the member */
};

/* Writes a whole record at p; returns its end. */
typedef uint8_t *plan_whole_fn(const struct flow_record *r, int64_t boot_ms, uint8_t *p);

struct plan {
	struct plan_step step[FIELD_LIST_MAX];
	unsigned count;
	size_t len;	      /* bytes of a record */
	plan_whole_fn *whole; /* does what the steps do; NULL: run them */
};

/* Appends an element that takes `width` bytes on the wire. Widths an element cannot have are a
 * bug of the caller. */
void plan_add(struct plan *plan, struct field_ref ref, unsigned width);

/* Appends `width` (1 to 8) zero bytes. */
void plan_add_zeros(struct plan *plan, unsigned width);

/* The plan that makes, of a biflow, the record of its reverse half: what direction_apply would turn
 * needs no copy. The list has no reverse elements. */
void plan_turn(const struct plan *plan, struct plan *ret_turned);

/* What plan_run does where the list has no function of its own. */
uint8_t *plan_interpret(const struct plan *plan, const struct flow_record *r, int64_t boot_ms,
			uint8_t *p);

/* Writes plan->len bytes at p; returns their end. `boot_ms` is what uptimes count from, in ms
 * since the epoch. */
static inline uint8_t *plan_run(const struct plan *plan, const struct flow_record *r,
				int64_t boot_ms, uint8_t *p)
{
	return plan->whole != NULL ? plan->whole(r, boot_ms, p)
				   : plan_interpret(plan, r, boot_ms, p);
}

/* The function that makes records of this shape with a default list (IN_IPFIX, over a network, or
 * IN_V9), the selector at its end; `turned` as with plan_turn. NULL: there is none. */
plan_whole_fn *plan_default(enum field_default which, bool biflow, unsigned shape, bool turned);

#endif
