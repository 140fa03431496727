/*
 * The rows of options.def as the parts of the configuration see them: descriptors, value types,
 * nearest names. Private to common/ and to the tool that writes the manuals.
 */
#ifndef WEIR_CONF_OPTION_H
#define WEIR_CONF_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "conf.h"

enum conf_type {
	CONF_TYPE_BOOL,
	CONF_TYPE_UINT,
	CONF_TYPE_SECONDS,
	CONF_TYPE_SIZE,
	CONF_TYPE_DOUBLE,
	CONF_TYPE_STRING,
	CONF_TYPE_LIST,
	CONF_TYPE_NETS,
	CONF_TYPE_CPUS,
	CONF_TYPE_KEYLIST,
	CONF_TYPE_DECAPLIST,
	CONF_TYPE_DEDUPLIST,
	CONF_TYPE_SAMPLE,
	CONF_TYPE_TOSMASK,
	CONF_TYPE_STATS,
	CONF_TYPE_LEVEL,
	CONF_TYPE_COUNT
};

enum conf_option_id {
#define O(id, name, short_name, type, member, def, min, max, reload, arg, help, doc) CONF_OPT_##id,
#include "options.def"
	CONF_OPT_COUNT
};

enum conf_command_id {
#define A(id, name, short_name, action, arg, help) CONF_CMD_##id,
#include "options.def"
	CONF_CMD_COUNT
};

/* A row of options.def. */
struct conf_option {
	const char *name;
	int short_name; /* or 0 */
	enum conf_type type;
	size_t offset;	     /* of its member in struct conf */
	const char *def;     /* as text, or NULL: unset */
	double min, max;     /* for SECONDS and DOUBLE */
	uint64_t umin, umax; /* the same for whole numbers */
	const char *arg;
	const char *help;
	const char *doc;
};

/* What only the command line has. */
struct conf_command {
	const char *name;
	int short_name;
	enum conf_action action;
	const char *arg; /* or NULL: takes none */
	const char *help;
};

extern const struct conf_option conf_options[CONF_OPT_COUNT];
extern const struct conf_command conf_commands[CONF_CMD_COUNT];

/* The option's member of `conf`. */
static inline void *conf_member(struct conf *conf, const struct conf_option *opt)
{
	return (char *)conf + opt->offset;
}

static inline const void *conf_member_const(const struct conf *conf, const struct conf_option *opt)
{
	return (const char *)conf + opt->offset;
}

/* The option called `name`, or NULL. */
const struct conf_option *conf_option_find(const char *name);

/* The name of an option (with `commands`, or of a command) that `name` was probably meant to be, or
 * NULL. */
const char *conf_option_nearest(const char *name, bool commands);

/* Parses one value into a member: the one parser of the option's type, for the file and the command
 * line alike. A list grows by the value; everything else is replaced. 0, ERR_USAGE when the text is
 * not what conf_value_expects says (the member is untouched), ERR_NOMEM. */
int conf_value_parse(const struct conf_option *opt, const char *text, void *member);

/* Writes what would be right, as "seconds from 0.001 to 86400". */
void conf_value_expects(const struct conf_option *opt, FILE *out);

/* Writes the value as it stands right of the equal sign in a file. False, and nothing written, when
 * it is unset. */
bool conf_value_print(const struct conf_option *opt, const void *member, FILE *out);

/* A list grows by a copy of the text (ERR_NOMEM), or goes back to empty. */
int conf_list_add(struct conf_list *list, const char *text);
void conf_list_clear(struct conf_list *list);

/* Frees what the member owns and unsets it, where the type owns memory. */
void conf_value_clear(const struct conf_option *opt, void *member);

#endif
