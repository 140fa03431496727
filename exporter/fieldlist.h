/* Which elements an output puts on a record, in order: its default list or `fields=`. */
#ifndef WEIR_EXPORTER_FIELDLIST_H
#define WEIR_EXPORTER_FIELDLIST_H

#include <stdbool.h>

#include "fail.h"
#include "field.h"
#include "url.h"

#define FIELD_LIST_MAX (2 * FIELD_COUNT)

struct field_list {
	struct field_ref ref[FIELD_LIST_MAX];
	unsigned count;
};

/* The list of an output: `which` (one of IN_TEXT, IN_IPFIX, IN_V9) is its default list; reverse
 * elements come with `biflow`. In `fields=` the word "default" stands for that list. ERR_USAGE
 * with the reasons in `e`. */
int field_list_choose(const char *fields, enum field_default which, bool biflow, struct errtext *e,
		      struct field_list *ret_list);

/* Appends what the default lists of IPFIX and v9 have besides in runs with local networks, where
 * `fields` asks for the default list. Before anything else is appended. */
void field_list_add_local(const char *fields, struct field_list *list);

/* Is it that default list, without changes? */
bool field_list_is_default(const struct field_list *list, enum field_default which, bool biflow);

bool field_list_has(const struct field_list *list, struct field_ref ref);

#endif
