/* The nearest name, by edit distance. */
#include "nearest.h"

#include <stdbool.h>
#include <string.h>

enum { NAME_MAX_LEN = 63 };

/* Number of single-character edits between two names; very long names are far. */
static unsigned edit_distance(const char *a, const char *b)
{
	size_t a_len = strlen(a);
	size_t b_len = strlen(b);
	if (a_len > NAME_MAX_LEN || b_len > NAME_MAX_LEN)
		return NAME_MAX_LEN;
	unsigned row[NAME_MAX_LEN + 1];
	for (unsigned j = 0; j <= b_len; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b_len];
}

void nearest_begin(struct nearest *n, const char *name)
{
	/* A third of the name may be wrong (two letters of five, since two changed places are two
	 * edits), and never more than three letters. */
	size_t allowed = (strlen(name) + 1) / 3;
	*n = (struct nearest){.name = name, .distance = (unsigned)(allowed > 3 ? 3 : allowed) + 1};
}

/* A prefix of a name counts as near as one edit. */
void nearest_consider(struct nearest *n, const char *candidate)
{
	unsigned distance = edit_distance(n->name, candidate);
	size_t len = strlen(n->name);
	bool prefix = strncmp(n->name, candidate, len) == 0 ||
		      strncmp(n->name, candidate, strlen(candidate)) == 0;
	if (len >= 3 && prefix && distance > 1)
		distance = 1;
	if (distance < n->distance) {
		n->distance = distance;
		n->best = candidate;
	}
}
