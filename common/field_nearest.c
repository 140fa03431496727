/* "Did you mean ...?" of elements, reverse ones included. */
#include <string.h>

#include "field.h"
#include "nearest.h"

/* Considers an element; its name is made here, so the best is copied out. */
static void consider(struct nearest *n, struct field_ref ref, char *ret_name)
{
	char name[FIELD_NAME_MAX];
	const unsigned len = field_name(ref, name);
	nearest_consider(n, name);
	if (n->best == name)
		memcpy(ret_name, name, len + 1);
	n->best = n->best != NULL ? ret_name : NULL;
}

bool field_nearest(const char *word, size_t len, char *ret_name)
{
	char text[FIELD_NAME_MAX];
	struct nearest n;
	if (len == 0 || len >= sizeof(text))
		return false;
	memcpy(text, word, len);
	text[len] = '\0';
	nearest_begin(&n, text);
	for (unsigned id = 0; id < FIELD_COUNT; id++) {
		const unsigned directions = field_get(id)->stride != 0 ? FLOW_DIRS : 1;
		for (unsigned dir = 0; dir < directions; dir++)
			consider(&n, (struct field_ref){(uint8_t)id, dir == FLOW_REVERSE},
				 ret_name);
	}
	return n.best != NULL;
}
