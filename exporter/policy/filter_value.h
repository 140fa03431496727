/* Values of a filter: what an element's are like, and how they are written. For filter*.c only. */
#ifndef WEIR_EXPORTER_FILTER_VALUE_H
#define WEIR_EXPORTER_FILTER_VALUE_H

#include <stddef.h>

#include "filter_program.h"

enum filter_kind {
	VALUE_NUMBER,
	VALUE_TIME,
	VALUE_DURATION,
	VALUE_MAC,
	VALUE_IP4,
	VALUE_IP6,
};

/* What values an element has. */
struct filter_type {
	struct field_ref ref;
	const struct field *field;
	enum filter_kind kind;
	enum filter_load load;
	filter_value max;
	int64_t unit;	   /* of times and durations, ns */
	const char *wants; /* what a value of it looks like; NULL: it has none before encoding */
};

void filter_type_of(struct field_ref ref, struct filter_type *ret_type);

/* Has it an order that people would use (numbers and times, not addresses)? */
bool filter_type_is_ordered(const struct filter_type *type);

#define FILTER_WHY_SIZE 160

/* Reads a value of the type, or a prefix as 192.0.2.0/24: the range it stands for, and whether it
 * was a prefix. False with what is wrong in `why`. */
bool filter_value_read(const struct filter_type *type, const char *text, size_t len,
		       struct filter_range *ret_range, bool *ret_prefix, char *why);

#endif
