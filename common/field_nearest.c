/*
 * "Did you mean ...?": the element whose name is nearest to a word that is none. First a name that
 * begins with the word, then the one with the fewest letters to change; case does not count.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "field.h"

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	const unsigned ab = a < b ? a : b;
	return ab < c ? ab : c;
}

/* Letters to insert, delete or change (Levenshtein); both are shorter than FIELD_NAME_MAX. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned row[FIELD_NAME_MAX + 1];
	for (unsigned j = 0; j <= b_len; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			const bool same = tolower((unsigned char)a[i - 1]) ==
					  tolower((unsigned char)b[j - 1]);
			const unsigned change = diagonal + !same;
			diagonal = row[j];
			row[j] = least(change, row[j] + 1, row[j - 1] + 1);
		}
	}
	return row[b_len];
}

bool field_nearest(const char *word, size_t len, char *ret_name)
{
	enum { BEGINNING_MIN = 4 };
	unsigned best = (unsigned)len / 3 + 1; /* as many letters may be wrong */
	bool found = false;
	if (len == 0 || len >= FIELD_NAME_MAX)
		return false;
	for (unsigned id = 0; id < FIELD_COUNT; id++) {
		for (unsigned dir = 0; dir <= (field_get(id)->stride != 0); dir++) {
			char name[FIELD_NAME_MAX];
			const struct field_ref ref = {(uint8_t)id, dir == FLOW_REVERSE};
			const unsigned name_len = field_name(ref, name);
			const bool begins = len >= BEGINNING_MIN && len <= name_len &&
					    strncasecmp(name, word, len) == 0;
			const unsigned far = begins ? 0 : distance(word, len, name, name_len);
			if (far < best) {
				best = far;
				found = true;
				memcpy(ret_name, name, name_len + 1);
			}
		}
	}
	return found;
}
