/* The rows of options.def as data, and the search for the name that was meant. */
#include "conf_option.h"

#include <string.h>

/* The C type that each type's parser writes: a row whose member differs does not compile. */
#define MEMBER_BOOL	 bool
#define MEMBER_UINT	 uint64_t
#define MEMBER_SECONDS	 int64_t
#define MEMBER_SIZE	 uint64_t
#define MEMBER_DOUBLE	 double
#define MEMBER_STRING	 char *
#define MEMBER_LIST	 struct conf_list
#define MEMBER_KEYLIST	 uint32_t
#define MEMBER_DECAPLIST uint32_t
#define MEMBER_DEDUPLIST uint32_t
#define MEMBER_SAMPLE	 struct conf_sample
#define MEMBER_TOSMASK	 uint8_t
#define MEMBER_STATS	 enum stats_format
#define MEMBER_LEVEL	 enum log_level

#define O(id, name, short_name, type, member, def, min, max, reload, arg, help, doc)               \
	_Static_assert(__builtin_types_compatible_p(__typeof__(((struct conf *)0)->member),        \
						    MEMBER_##type),                                \
		       "options.def: " name " has a member of another type");
#include "options.def"

const struct conf_option conf_options[CONF_OPT_COUNT] = {
#define O(id, name, short_name, type, member, def, min, max, reload, arg, help, doc)               \
	[CONF_OPT_##id] = {name,                                                                   \
			   short_name,                                                             \
			   CONF_TYPE_##type,                                                       \
			   offsetof(struct conf, member),                                          \
			   def,                                                                    \
			   (double)(min),                                                          \
			   (double)(max),                                                          \
			   (uint64_t)(min),                                                        \
			   (uint64_t)(max),                                                        \
			   arg,                                                                    \
			   help,                                                                   \
			   doc},
#include "options.def"
};

const struct conf_command conf_commands[CONF_CMD_COUNT] = {
#define A(id, name, short_name, action, arg, help)                                                 \
	[CONF_CMD_##id] = {name, short_name, action, arg, help},
#include "options.def"
};

const struct conf_option *conf_option_find(const char *name)
{
	for (unsigned i = 0; i < CONF_OPT_COUNT; i++)
		if (strcmp(conf_options[i].name, name) == 0)
			return &conf_options[i];
	return NULL;
}

enum { NAME_MAX_LEN = 31 };

/* Number of single-character edits between two names; names longer than any of ours are far. */
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

/* Keeps the nearer of `best` and `candidate`. A prefix of a name counts as near as one edit. */
static void consider(const char *name, const char *candidate, const char **best,
		     unsigned *best_dist)
{
	unsigned dist = edit_distance(name, candidate);
	size_t len = strlen(name);
	if (len >= 3 &&
	    (strncmp(name, candidate, len) == 0 ||
	     strncmp(name, candidate, strlen(candidate)) == 0) &&
	    dist > 1)
		dist = 1;
	if (dist < *best_dist) {
		*best_dist = dist;
		*best = candidate;
	}
}

const char *conf_option_nearest(const char *name, bool commands)
{
	/* A third of the name may be wrong (two letters of five, since two changed places are two
	 * edits), and never more than three letters. */
	size_t allowed = (strlen(name) + 1) / 3;
	unsigned best_dist = (unsigned)(allowed > 3 ? 3 : allowed) + 1;
	const char *best = NULL;
	for (unsigned i = 0; i < CONF_OPT_COUNT; i++)
		consider(name, conf_options[i].name, &best, &best_dist);
	for (unsigned i = 0; commands && i < CONF_CMD_COUNT; i++)
		consider(name, conf_commands[i].name, &best, &best_dist);
	return best;
}
