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
	uint8_t op;
	uint8_t width;	 /* bytes on the wire */
	uint16_t offset; /* of the member */
};

struct plan {
	struct plan_step step[FIELD_LIST_MAX];
	unsigned count;
	size_t len; /* bytes of a record */
};

/* Appends an element that takes `width` bytes on the wire. Widths an element cannot have are a
 * bug of the caller. */
void plan_add(struct plan *plan, struct field_ref ref, unsigned width);

/* Appends `width` (1 to 8) zero bytes. */
void plan_add_zeros(struct plan *plan, unsigned width);

/* Writes plan->len bytes at p; returns their end. `boot_ms` is what uptimes count from, in ms
 * since the epoch. */
uint8_t *plan_run(const struct plan *plan, const struct flow_record *r, int64_t boot_ms,
		  uint8_t *p);

#endif
