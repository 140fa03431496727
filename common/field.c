/*
 * The element table, expanded from fields.def, and its lookups. Names are found by a walk: that
 * happens at start only. What the preprocessor can check (members fit the wire) it checks here;
 * that numbers are unique and agree with the registry is for the tests.
 */
#include "field.h"

#include <ctype.h>
#include <string.h>

#define MEMBER(member) (((const struct flow_record *)0)->member)

static const struct field fields[FIELD_COUNT] = {
#define F(id, name_, pen_, ipfix, v9, len_, ipfix_len_, v9_len_, kind_, member, rev, needs_,       \
	  defaults_, ecs_, priv, doc_)                                                             \
	[FIELD_##id] = {                                                                           \
		.name = #name_,                                                                    \
		.ecs = ecs_,                                                                       \
		.doc = doc_,                                                                       \
		.pen = pen_,                                                                       \
		.ipfix_id = ipfix,                                                                 \
		.v9_id = v9,                                                                       \
		.len = len_,                                                                       \
		.ipfix_len = ipfix_len_,                                                           \
		.v9_len = v9_len_,                                                                 \
		.kind = KIND_##kind_,                                                              \
		.size = sizeof(MEMBER(member)),                                                    \
		.needs = needs_,                                                                   \
		.defaults = defaults_,                                                             \
		.privacy = priv,                                                                   \
		.offset = offsetof(struct flow_record, member),                                    \
		.stride = rev,                                                                     \
	},
#include "fields.def"
};

/* An unsigned value goes out as wide as it is kept: nothing is cut by accident. */
#define F(id, name, pen, ipfix, v9, len, ipfix_len, v9_len, kind, member, ...)                     \
	_Static_assert(KIND_##kind != KIND_UINT || ((len) == sizeof(MEMBER(member)) &&             \
						    (ipfix_len) == (len) && (v9_len) == (len)),    \
		       #name ": member and wire differ in width");
#include "fields.def"

const struct option_element option_elements[] = {
#define O(name, number, len, doc) {#name, number, len, doc},
#include "fields.def"
	{NULL, 0, 0, NULL},
};

const struct field *field_get(enum field_id id)
{
	return &fields[id];
}

static const char reverse_prefix[] = "reverse";

unsigned field_name(struct field_ref ref, char *buf)
{
	const char *name = fields[ref.id].name;
	if (!ref.reverse)
		return (unsigned)snprintf(buf, FIELD_NAME_MAX, "%s", name);
	return (unsigned)snprintf(buf, FIELD_NAME_MAX, "%s%c%s", reverse_prefix,
				  toupper((unsigned char)name[0]), name + 1);
}

bool field_find(const char *name, size_t len, struct field_ref *ret_ref)
{
	for (unsigned id = 0; id < FIELD_COUNT; id++) {
		const unsigned directions = fields[id].stride != 0 ? FLOW_DIRS : 1;
		for (unsigned dir = 0; dir < directions; dir++) {
			const struct field_ref ref = {(uint8_t)id, dir == FLOW_REVERSE};
			char full[FIELD_NAME_MAX];
			if (field_name(ref, full) == len && memcmp(full, name, len) == 0) {
				*ret_ref = ref;
				return true;
			}
		}
	}
	return false;
}

uint16_t field_offset(struct field_ref ref)
{
	const struct field *f = &fields[ref.id];
	return (uint16_t)(f->offset + (ref.reverse ? f->stride : 0));
}

uint16_t field_needs(struct field_ref ref)
{
	const struct field *f = &fields[ref.id];
	bool always = (f->defaults & REV_ALWAYS) == REV_ALWAYS;
	return (uint16_t)(f->needs | (ref.reverse && !always ? NEEDS_REVERSE : 0));
}

static void list_number(FILE *out, unsigned number)
{
	if (number != 0)
		fprintf(out, "%5u ", number);
	else
		fprintf(out, "    - ");
}

void field_list(FILE *out)
{
	fprintf(out, "%-26s IPFIX    v9 what\n", "element");
	for (unsigned id = 0; id < FIELD_COUNT; id++) {
		const struct field *f = &fields[id];
		fprintf(out, "%-26s ", f->name);
		list_number(out, f->ipfix_id);
		list_number(out, f->v9_id);
		fprintf(out, "%s%s\n", f->doc, f->stride != 0 ? " (has a reverse element)" : "");
	}
}
