/* The rows of options.def as data, and the search for the one that was meant. */
#include "conf_option.h"

#include <string.h>

#include "nearest.h"

/* The C type that each type's parser writes: a row whose member differs does not compile. */
#define MEMBER_BOOL	 bool
#define MEMBER_UINT	 uint64_t
#define MEMBER_SECONDS	 int64_t
#define MEMBER_SIZE	 uint64_t
#define MEMBER_DOUBLE	 double
#define MEMBER_STRING	 char *
#define MEMBER_LIST	 struct conf_list
#define MEMBER_NETS	 struct conf_list
#define MEMBER_CPUS	 struct conf_cpus
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

const char *conf_option_nearest(const char *name, bool commands)
{
	struct nearest n;
	nearest_begin(&n, name);
	for (unsigned i = 0; i < CONF_OPT_COUNT; i++)
		nearest_consider(&n, conf_options[i].name);
	for (unsigned i = 0; commands && i < CONF_CMD_COUNT; i++)
		nearest_consider(&n, conf_commands[i].name);
	return n.best;
}
