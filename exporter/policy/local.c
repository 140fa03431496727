/*
 * Which way a direction leads, by its two ends. Where both are local or none is, "in" and "out"
 * have no meaning, and a guess would be summed with what is known: the element is not there then.
 */
#include "local.h"

enum { INGRESS = 0, EGRESS = 1 }; /* flowDirection, IPFIX element 61 */

void local_mark(const struct netset *local, struct flow_record *r)
{
	const bool from_local = netset_has(local, r->ip_version, r->src);
	const bool to_local = netset_has(local, r->ip_version, r->dst);
	const bool known = from_local != to_local;
	for (unsigned d = 0; d < FLOW_DIRS; d++)
		r->dir[d].directed = known;
	r->dir[FLOW_FORWARD].direction = known && from_local ? EGRESS : INGRESS;
	r->dir[FLOW_REVERSE].direction = known && to_local ? EGRESS : INGRESS;
}
