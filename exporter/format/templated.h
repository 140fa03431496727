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

/* What one protocol does its own way. */
struct dialect {
	enum template_wire wire;
	size_t header;	       /* bytes of the message header */
	uint16_t template_set; /* set ids */
	uint16_t options_set;

	/* Writes the header of a finished message of `len` bytes at the message's start and moves
	 * the sequence on. */
	void (*put_header)(struct templated *t, size_t len, struct pkt_time now);
};

struct templated {
	struct encoder base;
	const struct dialect *dialect;
	const struct url_spec *spec;
	struct options_source source;
	struct options_totals totals;
	struct field_list list;
	struct template_set set;
	struct message message;
	struct uptime uptime; /* v9 */
	uint32_t sequence;
	struct departure departure;
	int64_t refreshed_ns; /* clock at the last templates */
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
void templated_end(struct encoder *enc, struct pkt_time now, bool last);
void templated_abandon(struct encoder *enc);
void templated_close(struct encoder *enc);

#endif
