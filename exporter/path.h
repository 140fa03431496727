/* Do two outputs write one file? Asked before anything is opened. Start-up only. */
#ifndef WEIR_EXPORTER_PATH_H
#define WEIR_EXPORTER_PATH_H

#include <stdbool.h>

/* However the two are spelled, and through links; "-" is standard output. Neither has to exist. */
bool path_same(const char *a, const char *b);

#endif
