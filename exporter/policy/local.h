/* flowDirection: into or out of the local networks (METERING.md §7). */
#ifndef WEIR_EXPORTER_LOCAL_H
#define WEIR_EXPORTER_LOCAL_H

#include "flow.h"
#include "netset.h"

/* Says on both directions of a record whether they lead in or out; on neither when both ends are
 * local, or none. Before any output sees it: an anonymised address tells nothing any more. */
void local_mark(const struct netset *local, struct flow_record *record);

#endif
