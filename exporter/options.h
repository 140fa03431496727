/*
 * Options records of v9 and IPFIX: how packets were sampled, what the metering and exporting
 * processes have to confess (RFC 7011 §4), names of interfaces. Export thread only.
 */
#ifndef WEIR_EXPORTER_OPTIONS_H
#define WEIR_EXPORTER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exporter.h"
#include "format/format.h"
#include "policy/told.h"

/* Totals of the session, which some records tell. */
struct options_totals {
	uint64_t messages;
	uint64_t octets;
	uint64_t flow_records;
};

/* What values are taken from. */
struct options_source {
	const struct exporter_conf *run;
	const struct export_books *books;
	const struct output_counters *counters;
	const struct options_totals *totals;
	struct told_sampling sampling;
	uint32_t domain;
};

/* One kind of options record; opaque outside options.c. */
struct options_row;

/* Row `index` that applies to the protocol, run and output, or NULL after the last. */
const struct options_row *options_get(unsigned index, bool v9, const struct options_source *source);

uint16_t options_template_id(const struct options_row *row);
/* Its records change while we run: worth saying once more at the end. */
bool options_is_total(const struct options_row *row);
/* Records of this kind (one, or one an interface), and the bytes of one. */
unsigned options_records(const struct options_row *row, const struct exporter_conf *run);
size_t options_record_len(const struct options_row *row);
/* Bytes of the template record, and the record itself. */
size_t options_template_len(const struct options_row *row);
void options_put_template(const struct options_row *row, uint8_t *p);
/* Record `index` of the kind. */
void options_put_record(const struct options_row *row, const struct options_source *source,
			unsigned index, uint8_t *p);

#endif
