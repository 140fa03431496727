/* Can the file that an option names be read? Asked before a library does, whose reasons tell
 * neither option nor cure. */
#ifndef WEIR_EXPORTER_READABLE_H
#define WEIR_EXPORTER_READABLE_H

#include <stdbool.h>

#include "fail.h"

/* 0, or ERR_USAGE with the option (as the user writes it, "ca" for ca=), the path, the reason and
 * the cure in `e`. `dir_too`: a directory will do as well. Any thread. */
int readable_check(const char *option, const char *path, bool dir_too, struct errtext *e);

#endif
