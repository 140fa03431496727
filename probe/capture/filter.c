/*
 * User-space BPF, a program for each {link type, byte order} met.
 *
 * libpcap is asked to compile for a capture file that consists of a header only, not for a
 * pcap_open_dead() handle: so it maps link types as it does for files, and it knows the byte order
 * that the address family of a NULL header is in.
 */
#include "filter.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "log.h"
#include "wire.h"

/* Link types with a program of their own; what comes after matches nothing. Captures have one to
 * three; thousands are an attack. */
#define FILTER_PROGRAMS 64

/* What a match returns, that is, "all of it"; libpcap's own maximum. */
#define FILTER_SNAPLEN 262144

struct program {
	uint16_t linktype;
	bool swapped;
	bool compiled;
	struct bpf_program code;
};

struct filter {
	char *expression;
	size_t ahead; /* packet_ask_ahead */
	unsigned n;
	const struct program *last; /* the one of the packet before */
	struct program programs[FILTER_PROGRAMS];
};

int filter_new(const char *expression, struct filter **ret_filter)
{
	struct filter *filter = calloc(1, sizeof(*filter));
	if (filter == NULL)
		return ERR_NOMEM;
	filter->expression = strdup(expression);
	if (filter->expression == NULL) {
		free(filter);
		return ERR_NOMEM;
	}
	*ret_filter = filter;
	return 0;
}

void filter_look_ahead(struct filter *filter, size_t ahead)
{
	filter->ahead = ahead;
}

void filter_free(struct filter *filter)
{
	if (filter == NULL)
		return;
	for (unsigned i = 0; i < filter->n; i++)
		if (filter->programs[i].compiled)
			pcap_freecode(&filter->programs[i].code);
	free(filter->expression);
	free(filter);
}

/* ---- compiling ----------------------------------------------------------------------------- */

#define PCAP_HEADER_SIZE 24

static void put16(struct wr *w, uint16_t v, bool big)
{
	wr_u16(w, big ? v : __builtin_bswap16(v));
}

static void put32(struct wr *w, uint32_t v, bool big)
{
	wr_u32(w, big ? v : __builtin_bswap32(v));
}

/* A pcap file without packets. */
static void write_pcap_header(struct wr *w, uint16_t linktype, bool big)
{
	put32(w, 0xa1b2c3d4, big);
	put16(w, 2, big);
	put16(w, 4, big);
	wr_zero(w, 8);
	put32(w, FILTER_SNAPLEN, big);
	put32(w, linktype, big);
}

static pcap_t *open_header(uint16_t linktype, bool swapped, char *message)
{
	uint8_t header[PCAP_HEADER_SIZE];
	struct wr w = wr_init(header, sizeof(header));
	write_pcap_header(&w, linktype, swapped);
	FILE *file = fmemopen(header, sizeof(header), "r");
	if (file == NULL)
		return NULL;
	pcap_t *pcap = pcap_fopen_offline(file, message);
	if (pcap == NULL)
		fclose(file);
	return pcap;
}

/* Compiles; `message` (PCAP_ERRBUF_SIZE) says why not. */
static bool program_compile(struct program *program, const char *expression, char *message)
{
	snprintf(message, PCAP_ERRBUF_SIZE, "out of memory");
	pcap_t *pcap = open_header(program->linktype, program->swapped, message);
	if (pcap == NULL)
		return false;
	int status = pcap_compile(pcap, &program->code, expression, 1, PCAP_NETMASK_UNKNOWN);
	if (status != 0)
		snprintf(message, PCAP_ERRBUF_SIZE, "%s", pcap_geterr(pcap));
	pcap_close(pcap);
	return status == 0;
}

static const struct program *program_find(const struct filter *filter, uint16_t linktype,
					  bool swapped)
{
	for (unsigned i = 0; i < filter->n; i++) {
		const struct program *program = &filter->programs[i];
		if (program->linktype == linktype && program->swapped == swapped)
			return program;
	}
	return NULL;
}

static const struct program *program_add(struct filter *filter, uint16_t linktype, bool swapped,
					 char *message)
{
	struct program *program = &filter->programs[filter->n];
	*program = (struct program){.linktype = linktype, .swapped = swapped};
	program->compiled = program_compile(program, filter->expression, message);
	filter->n++;
	return program;
}

int filter_check(struct filter *filter, uint16_t linktype, bool swapped, char *errbuf,
		 unsigned errsize)
{
	char message[PCAP_ERRBUF_SIZE];
	if (program_find(filter, linktype, swapped) != NULL ||
	    program_add(filter, linktype, swapped, message)->compiled)
		return 0;
	snprintf(errbuf, errsize, "filter '%s' does not fit link type %u: %s", filter->expression,
		 linktype, message);
	return ERR_USAGE;
}

int filter_open(const char *expression, uint16_t linktype, struct filter **ret_filter, char *errbuf,
		unsigned errsize)
{
	struct filter *filter = NULL;
	if (expression == NULL || expression[0] == '\0') {
		*ret_filter = NULL;
		return 0;
	}
	int err = filter_new(expression, &filter);
	if (err != 0)
		snprintf(errbuf, errsize, "%s", err_str(err));
	else
		err = filter_check(filter, linktype, false, errbuf, errsize);
	if (err != 0) {
		filter_free(filter);
		return err;
	}
	*ret_filter = filter;
	return 0;
}

int filter_compile(const char *expression, int dlt, const char *name, struct bpf_program *ret_code,
		   char *errbuf, unsigned errsize)
{
	*ret_code = (struct bpf_program){.bf_len = 0};
	if (expression == NULL || expression[0] == '\0')
		return 0;
	pcap_t *pcap = pcap_open_dead(dlt, FILTER_SNAPLEN);
	if (pcap == NULL) {
		snprintf(errbuf, errsize, "%s: %s", name, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	int status = pcap_compile(pcap, ret_code, expression, 1, PCAP_NETMASK_UNKNOWN);
	if (status != 0)
		snprintf(errbuf, errsize, "filter '%s' does not fit %s: %s", expression, name,
			 pcap_geterr(pcap));
	pcap_close(pcap);
	return status == 0 ? 0 : ERR_USAGE;
}

/* ---- running ------------------------------------------------------------------------------- */

/* The program for a packet, compiled when it is the first of its kind; NULL when there are too
 * many kinds. */
static const struct program *filter_program(struct filter *filter, const struct raw_packet *pkt)
{
	const struct program *program = program_find(filter, pkt->linktype, pkt->swapped);
	if (program != NULL || filter->n == FILTER_PROGRAMS)
		return program;
	char message[PCAP_ERRBUF_SIZE];
	program = program_add(filter, pkt->linktype, pkt->swapped, message);
	if (!program->compiled)
		log_warnx("capture", "filter matches nothing on this link type: %s linktype=%u",
			  message, pkt->linktype);
	return program;
}

static bool filter_match(struct filter *filter, const struct raw_packet *pkt)
{
	const struct program *program = filter->last;
	if (program == NULL || program->linktype != pkt->linktype ||
	    program->swapped != pkt->swapped) {
		program = filter_program(filter, pkt);
		filter->last = program;
	}
	return program != NULL && program->compiled &&
	       bpf_filter(program->code.bf_insns, pkt->data, pkt->wirelen, pkt->caplen) != 0;
}

unsigned filter_keep(struct filter *filter, struct raw_packet *pkts, unsigned n)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < n; i++) {
		packet_ask_ahead(&pkts[i], filter->ahead);
		if (filter_match(filter, &pkts[i]))
			pkts[kept++] = pkts[i];
	}
	return kept;
}
