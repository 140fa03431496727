/* What stands behind the scheme of a live input, taken apart: "eth1,force" and "5-8". Pure. */
#ifndef WEIR_CAPTURE_SPEC_H
#define WEIR_CAPTURE_SPEC_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

/* Queues that one input reads at most. */
#define SPEC_QUEUES_MAX 64

/* The text behind the first colon; all of it where there is none. Points into `spec`. */
const char *spec_argument(const char *spec);

/* A port and how to take it. */
struct spec_port {
	char name[IFNAMSIZ];
	bool force;   /* though the host itself is reached through it */
	bool generic; /* not the driver's own XDP */
	bool copy;    /* not zero-copy */
};

/* "xdp:eth1,force,generic,copy". Returns 0, or ERR_USAGE with a line in errbuf. */
int spec_parse_port(const char *spec, struct spec_port *ret_port, char *errbuf, unsigned errsize);

/* Netfilter queues or groups first..last, both meant. */
struct spec_range {
	uint16_t first;
	uint16_t last;
};

/* "nfqueue:5-8", "nfqueue:5"; at most `max` of them. Returns 0, or ERR_USAGE with a line in
 * errbuf. */
int spec_parse_range(const char *spec, unsigned max, struct spec_range *ret_range, char *errbuf,
		     unsigned errsize);

#endif
