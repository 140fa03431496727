/*
 * A pcap-filter expression, run in user space over packets of any number of link types. libpcap
 * compiles it anew for each. One thread.
 */
#ifndef WEIR_CAPTURE_FILTER_H
#define WEIR_CAPTURE_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

struct bpf_program;
struct filter;

/* For the kernel: what libpcap makes of an expression for captures of its link type `dlt`, which
 * cbpf_filter makes fit for a socket; no instructions of NULL and "". `name` is the port's, for the
 * message. Returns 0, and the caller has to pcap_freecode(); ERR_NOMEM or ERR_USAGE with a line in
 * errbuf. */
int filter_compile(const char *expression, int dlt, const char *name, struct bpf_program *ret_code,
		   char *errbuf, unsigned errsize);

/* The expression is copied. Returns 0 or ERR_NOMEM. */
int filter_new(const char *expression, struct filter **ret_filter);
void filter_free(struct filter *filter);

/* Compiles for a link type before its first packet. Returns 0, or ERR_USAGE with a line in
 * errbuf. */
int filter_check(struct filter *filter, uint16_t linktype, bool swapped, char *errbuf,
		 unsigned errsize);

/* The two in one, for an input of one link type: no filter, which is NULL, for an `expression` of
 * NULL or "". Returns 0, ERR_NOMEM or ERR_USAGE with a line in errbuf. */
int filter_open(const char *expression, uint16_t linktype, struct filter **ret_filter, char *errbuf,
		unsigned errsize);

/* From now on filter_keep asks so far ahead: packet_ask_ahead. */
void filter_look_ahead(struct filter *filter, size_t ahead);

/* Keeps the packets that match, in order and without gaps; returns their number. A link type for
 * which the expression does not compile matches nothing, which is logged once. */
unsigned filter_keep(struct filter *filter, struct raw_packet *pkts, unsigned n);

#endif
