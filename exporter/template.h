/*
 * Templates of v9 and IPFIX: one for each shape a record can have, since no field may stand for
 * what is not known. A template is its field specifications as bytes, and the plan that makes the
 * records. Made at start, read by the export thread.
 */
#ifndef WEIR_EXPORTER_TEMPLATE_H
#define WEIR_EXPORTER_TEMPLATE_H

#include <stddef.h>
#include <stdint.h>

#include "fieldlist.h"
#include "plan.h"

/* Which numbers and widths the wire wants. */
enum template_wire {
	TEMPLATE_V9,
	TEMPLATE_IPFIX,	     /* over a network: reduced widths where collectors want them */
	TEMPLATE_IPFIX_FULL, /* files: the registry's widths */
};

struct template
{
	uint16_t id;
	uint16_t fields;
	uint16_t shape; /* the needs (enum field_needs) its fields may have */
	size_t spec_len;
	uint8_t spec[FIELD_LIST_MAX * 8]; /* field specifiers, RFC 7011 §3.2 */
	struct plan plan;
	struct plan turned; /* the same of a biflow's reverse half, where the list is one-way */
};

struct template_set {
	unsigned count;
	struct template *templates;
	uint8_t by_shape[FIELD_SHAPES]; /* index of the template for a record of that shape */
};

/* The first id of data templates; the next follow. */
#define TEMPLATE_FIRST_ID 256

/* All templates that the list needs. ERR_NOMEM. */
int template_set_make(const struct field_list *list, enum template_wire wire,
		      struct template_set *ret_set);
void template_set_free(struct template_set *set);

#endif
