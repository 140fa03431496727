/*
 * Reading the configuration file: libconfuse behind one call that hands over each value with its
 * line. Private to common/.
 */
#ifndef WEIR_CONF_FILE_H
#define WEIR_CONF_FILE_H

#include "conf_option.h"

/* What the reader of a file calls, in the order of the file. */
struct conf_file_ops {
	/* A value of an option. `index` counts the values of one assignment from 0; `append` is set
	 * for += . Returns 0 or ERR_NOMEM, which ends the reading. */
	int (*value)(void *arg, const struct conf_option *opt, int line, unsigned index,
		     const char *text);
	/* A fault in the file's form: an unknown key (`key` is its name), or the syntax error that
	 * ended the reading (`key` is NULL). */
	int (*fault)(void *arg, int line, const char *key, const char *text);
};

/* Reads the file. 0 when it was read, whatever its faults; -errno when it cannot be read. Not
 * reentrant: libconfuse's lexer is global. */
int conf_file_read(const char *path, const struct conf_file_ops *ops, void *arg);

#endif
