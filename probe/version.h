/* `weir --version`. */
#ifndef WEIR_VERSION_H
#define WEIR_VERSION_H

#include <stdio.h>

/* Name and version, then the libraries built in. Main thread. */
void version_print(FILE *out);

#endif
