/*
 * Error codes of weir's libraries: functions that can fail return 0 or a negative `enum err`.
 * Codes that have an errno twin equal -errno, so a system call's failure passes through as it is.
 */
#ifndef WEIR_ERR_H
#define WEIR_ERR_H

#include <errno.h>

enum err {
	ERR_OK = 0,
#define E(name, value, text) ERR_##name = (value),
#include "errors.def"
#undef E
};

/* A short English text for a negative error code (ours or -errno). Static storage or the C
 * library's; never NULL. Any thread. */
const char *err_str(int err);

#endif
