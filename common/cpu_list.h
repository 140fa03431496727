/* Lists of CPUs as text, "0,2-5"; the order counts. */
#ifndef WEIR_CPU_LIST_H
#define WEIR_CPU_LIST_H

#include <stdio.h>

#include "conf.h"

/* Fills `ret_cpus`; an empty text is an empty list. ERR_USAGE, ret_cpus untouched, for what is no
 * such list or has more than CONF_CPUS_MAX. */
int cpu_list_parse(const char *text, struct conf_cpus *ret_cpus);

/* The canonical text; runs are written as ranges. */
void cpu_list_print(const struct conf_cpus *cpus, FILE *out);

#endif
