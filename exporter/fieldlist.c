/*
 * Field lists. What an output cannot carry is said at start, by name; nothing is left out in
 * silence. In IPFIX and v9 lists the reverse elements stand before the forward ones: nfcapd reads
 * most reverse elements as if they were forward, and what comes last wins.
 */
#include "fieldlist.h"

#include <string.h>

#include "err.h"

bool field_list_has(const struct field_list *list, struct field_ref ref)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->ref[i].id == ref.id && list->ref[i].reverse == ref.reverse)
			return true;
	return false;
}

static void add(struct field_list *list, unsigned id, bool reverse)
{
	const struct field_ref ref = {.id = (uint8_t)id, .reverse = reverse};
	if (!field_list_has(list, ref))
		list->ref[list->count++] = ref;
}

static void add_defaults(struct field_list *list, enum field_default which, bool reverse)
{
	for (unsigned id = 0; id < FIELD_COUNT; id++) {
		unsigned defaults = field_get(id)->defaults;
		if ((defaults & which) && (!reverse || (defaults & REV_TOO)))
			add(list, id, reverse);
	}
}

static void add_default_list(struct field_list *list, enum field_default which, bool biflow)
{
	bool reverse_first = which != IN_TEXT;
	if (biflow && reverse_first)
		add_defaults(list, which, true);
	add_defaults(list, which, false);
	if (biflow && !reverse_first)
		add_defaults(list, which, true);
}

bool field_list_is_default(const struct field_list *list, enum field_default which, bool biflow)
{
	struct field_list d = {.count = 0};
	add_default_list(&d, which, biflow);
	if (d.count != list->count)
		return false;
	for (unsigned i = 0; i < d.count; i++)
		if (d.ref[i].id != list->ref[i].id || d.ref[i].reverse != list->ref[i].reverse)
			return false;
	return true;
}

static bool names_default(const char *fields)
{
	static const char word[] = "default";
	while (fields != NULL) {
		const size_t len = strcspn(fields, ",");
		if (len == strlen(word) && memcmp(fields, word, len) == 0)
			return true;
		fields = fields[len] == ',' ? fields + len + 1 : NULL;
	}
	return false;
}

void field_list_add_local(const char *fields, struct field_list *list)
{
	if (fields == NULL || names_default(fields))
		add_defaults(list, IN_LOCAL, false);
}

/* Can the output carry it? NULL, or why not. */
static const char *refusal(struct field_ref ref, enum field_default which, bool biflow)
{
	const struct field *f = field_get(ref.id);
	if (ref.reverse && !biflow)
		return "a reverse element, which one-way records do not have (biflow=yes)";
	if (which == IN_V9 && f->v9_id == 0)
		return "not in NetFlow v9";
	if (which == IN_IPFIX && f->ipfix_id == 0)
		return "in NetFlow v9 only; take flowStartMilliseconds, flowEndMilliseconds";
	if (which == IN_TEXT && f->kind == KIND_TIME_UPTIME)
		return "in NetFlow v9 only; take flowStartNanoseconds, flowEndNanoseconds";
	return NULL;
}

static int add_named(struct field_list *list, const char *name, size_t len,
		     enum field_default which, bool biflow, struct errtext *e)
{
	static const char defaults[] = "default";
	if (len == strlen(defaults) && memcmp(name, defaults, len) == 0) {
		add_default_list(list, which, biflow);
		return 0;
	}
	struct field_ref ref;
	if (!field_find(name, len, &ref))
		return fail(e, ERR_USAGE,
			    "fields: there is no element \"%.*s\" (see --list-fields)", (int)len,
			    name);
	const char *why_not = refusal(ref, which, biflow);
	if (why_not != NULL)
		return fail(e, ERR_USAGE, "fields: %.*s is %s", (int)len, name, why_not);
	add(list, ref.id, ref.reverse);
	return 0;
}

int field_list_choose(const char *fields, enum field_default which, bool biflow, struct errtext *e,
		      struct field_list *ret_list)
{
	struct field_list list = {.count = 0};
	int err = 0;
	if (fields == NULL)
		add_default_list(&list, which, biflow);
	while (fields != NULL) {
		size_t len = strcspn(fields, ",");
		if (add_named(&list, fields, len, which, biflow, e) != 0)
			err = ERR_USAGE;
		fields = fields[len] == ',' ? fields + len + 1 : NULL;
	}
	if (err == 0)
		*ret_list = list;
	return err;
}
