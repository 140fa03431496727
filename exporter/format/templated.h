/*
 * What NetFlow v9 and IPFIX share: templates, options, data sets, refresh. A protocol adds its
 * message header, its set ids and its sequence rule.
 */
#ifndef WEIR_EXPORTER_TEMPLATED_H
#define WEIR_EXPORTER_TEMPLATED_H

#include "../departure.h"
#include "../message.h"
#include "../options.h"
#include "../template.h"
#include "../uptime.h"
#include "format.h"

struct templated;

/* A message in the making, or complete and not sent yet. */
struct draft {
	struct message message;
	struct uptime uptime; /* v9: the base of its records' times */
};

/* Messages of one template, which leave together: some that are complete, and behind them the one
 * in the making. In memory of their own. */
struct lane {
	struct draft *draft; /* lane_max of them, and as much memory */
	uint8_t *mem;
	unsigned complete;
};

/* What one protocol does its own way. */
struct dialect {
	enum template_wire wire;
	size_t header;	       /* bytes of the message header */
	uint16_t template_set; /* set ids */
	uint16_t options_set;

	/* Writes the header of a finished message of `len` bytes at the message's start and moves
	 * the sequence on. */
	void (*put_header)(struct templated *t, const struct draft *d, size_t len,
			   struct pkt_time now);
};

struct templated {
	struct encoder base;
	const struct dialect *dialect;
	const struct url_spec *spec;
	struct options_source source;
	struct options_totals totals;
	struct field_list list;
	struct template_set set;
	struct draft draft;   /* flow records are in it where there are no lanes */
	struct lane *lanes;   /* by template; NULL: there are none */
	unsigned lane_max;    /* messages of a lane */
	struct uptime uptime; /* v9: for the next message */
	uint32_t sequence;
	struct departure departure;  /* of all that waits */
	int64_t refreshed_ns;	     /* clock at the last templates */
	uint64_t refreshed_messages; /* messages sent by then */
};

static inline bool templated_v9(const struct templated *t)
{
	return t->dialect->wire == TEMPLATE_V9;
}

/* The operations of struct format_ops; a format's own `open` calls the first with its dialect. */
int templated_open(const struct encoder_conf *conf, const struct dialect *dialect,
		   struct errtext *e, struct encoder **ret_encoder);
bool templated_wants(const struct encoder *enc, struct field_ref ref);
void templated_begin(struct encoder *enc, struct pkt_time now);
void templated_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now);
void templated_record_turned(struct encoder *enc, const struct flow_record *r, struct pkt_time now);
void templated_advance(struct encoder *enc, struct pkt_time now);
void templated_push(struct encoder *enc, struct pkt_time now);
void templated_end(struct encoder *enc, struct pkt_time now, bool last);
void templated_abandon(struct encoder *enc);
void templated_close(struct encoder *enc);

#endif
