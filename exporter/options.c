/*
 * Options records, as a table: each row is a template with its scope, its fields and where their
 * values come from.
 *
 * Sampling is told several times over, because collectors read different things and keep the last
 * they read: (a) 34 and 35, (b) the v9 sampler or the PSAMP selector (RFC 5477), then the same
 * selector with nothing but 34, the one form nfcapd 1.7 scales by, and (c) the packets seen and
 * taken, from which the true rate follows even where a cap was at work. With flow sampling only (a)
 * and (c): totals may be scaled by it, the packets of a flow must not be. An output that samples
 * flows of its own (sample=) tells the product of both in (a), the packet sampler alone in (b), and
 * in (c) the packets of the flows it takes.
 *
 * Interface names: nfcapd takes 83 for a name table only with 10 as a plain field and at fixed
 * widths, and misreads a record that has 82 as well; hence one template each.
 */
#include "options.h"

#include <string.h>

#include "wire.h"

enum source {
	FROM_DOMAIN,
	FROM_ONE, /* ids of our one process and one sequence of selectors */
	FROM_SELECTOR,
	FROM_N,
	FROM_OVERALL_N,
	FROM_OVERALL,	  /* 35 */
	FROM_ALGORITHM,	  /* 49: 1 deterministic, 2 random */
	FROM_PSAMP,	  /* 304: 1 systematic, 4 probabilistic */
	FROM_SPACE,	  /* N - 1 */
	FROM_PROBABILITY, /* 1/N as float64 */
	FROM_OBSERVED,
	FROM_SELECTED,
	FROM_IGNORED,
	FROM_DROPPED,
	FROM_MESSAGES,
	FROM_OCTETS,
	FROM_FLOW_RECORDS,
	FROM_NOT_SENT,
	FROM_IF_INDEX,
	FROM_IF_DROPPED,
	FROM_IF_NAME,
	FROM_IF_DESCRIPTION,
};

struct options_field {
	uint16_t id;
	uint8_t len;
	uint8_t source; /* enum source */
};

enum { FIELDS_MAX = 6 };

struct options_row {
	uint16_t id;
	bool v9;
	bool total;
	bool per_interface;
	uint8_t sampling; /* SAMPLED of each mode it is for */
	uint8_t scopes;	  /* so many of the fields are scope */
	uint8_t count;
	struct options_field field[FIELDS_MAX];
};

#define SAMPLED(mode) (1u << SAMPLING_##mode)
#define EVERY_MODE    (SAMPLED(NONE) | SAMPLED(SYSTEMATIC) | SAMPLED(RANDOM) | SAMPLED(FLOW))
#define PACKET_MODES  (SAMPLED(NONE) | SAMPLED(SYSTEMATIC) | SAMPLED(RANDOM))

/* v9 scope type "System", RFC 3954 §6.1. */
#define V9_SYSTEM                                                                                  \
	{                                                                                          \
		1, 4, FROM_DOMAIN                                                                  \
	}
/* v9 scope type "Interface". */
#define V9_INTERFACE                                                                               \
	{                                                                                          \
		2, 4, FROM_IF_INDEX                                                                \
	}
#define DOMAIN                                                                                     \
	{                                                                                          \
		149, 4, FROM_DOMAIN                                                                \
	}
#define PROCESS                                                                                    \
	{                                                                                          \
		143, 4, FROM_ONE                                                                   \
	}
#define V9    true
#define IPFIX false
#define TOTAL .total = true

/* THE table. The order is the order on the wire. Ids are from 512, away from data templates. */
/* clang-format off */
static const struct options_row rows[] = {
	{512, V9, .sampling = EVERY_MODE, .scopes = 1, .count = 3, .field = {
		V9_SYSTEM, {34, 4, FROM_OVERALL_N}, {35, 1, FROM_OVERALL}}},
	{513, V9, .sampling = PACKET_MODES, .scopes = 1, .count = 4, .field = {
		V9_SYSTEM, {48, 1, FROM_SELECTOR}, {49, 1, FROM_ALGORITHM}, {50, 4, FROM_N}}},
	{515, V9, .sampling = PACKET_MODES, .scopes = 1, .count = 3, .field = {
		V9_SYSTEM, {48, 1, FROM_SELECTOR}, {34, 4, FROM_N}}},
	{516, V9, TOTAL, .sampling = EVERY_MODE, .scopes = 1, .count = 4, .field = {
		V9_SYSTEM, {301, 8, FROM_ONE}, {318, 8, FROM_OBSERVED}, {319, 8, FROM_SELECTED}}},
	{517, V9, TOTAL, .sampling = EVERY_MODE, .scopes = 1, .count = 4, .field = {
		V9_SYSTEM, {41, 8, FROM_MESSAGES}, {42, 8, FROM_FLOW_RECORDS}, {40, 8, FROM_OCTETS}}},
	{518, V9, TOTAL, .sampling = EVERY_MODE, .scopes = 1, .count = 3, .field = {
		V9_SYSTEM, {164, 8, FROM_IGNORED}, {135, 8, FROM_DROPPED}}},
	{519, V9, TOTAL, .sampling = EVERY_MODE, .scopes = 1, .count = 2, .field = {
		V9_SYSTEM, {166, 8, FROM_NOT_SENT}}},
	{520, V9, .per_interface = true, .sampling = EVERY_MODE, .scopes = 1, .count = 3, .field = {
		V9_SYSTEM, {10, 4, FROM_IF_INDEX}, {82, 32, FROM_IF_NAME}}},
	{521, V9, .per_interface = true, .sampling = EVERY_MODE, .scopes = 1, .count = 3, .field = {
		V9_SYSTEM, {10, 4, FROM_IF_INDEX}, {83, 32, FROM_IF_DESCRIPTION}}},
	{522, V9, TOTAL, .per_interface = true, .sampling = EVERY_MODE, .scopes = 1, .count = 2, .field = {
		V9_INTERFACE, {135, 8, FROM_IF_DROPPED}}},

	{512, IPFIX, .sampling = EVERY_MODE, .scopes = 1, .count = 3, .field = {
		DOMAIN, {34, 4, FROM_OVERALL_N}, {35, 1, FROM_OVERALL}}},
	{513, IPFIX, .sampling = SAMPLED(NONE) | SAMPLED(SYSTEMATIC), .scopes = 1, .count = 4, .field = {
		{302, 8, FROM_SELECTOR}, {304, 2, FROM_PSAMP}, {305, 4, FROM_ONE}, {306, 4, FROM_SPACE}}},
	{514, IPFIX, .sampling = SAMPLED(RANDOM), .scopes = 1, .count = 3, .field = {
		{302, 8, FROM_SELECTOR}, {304, 2, FROM_PSAMP}, {311, 8, FROM_PROBABILITY}}},
	{515, IPFIX, .sampling = PACKET_MODES, .scopes = 1, .count = 2, .field = {
		{302, 8, FROM_SELECTOR}, {34, 4, FROM_N}}},
	{516, IPFIX, TOTAL, .sampling = EVERY_MODE, .scopes = 1, .count = 3, .field = {
		{301, 8, FROM_ONE}, {318, 8, FROM_OBSERVED}, {319, 8, FROM_SELECTED}}},
	/* RFC 7011 §4.1 to §4.3 */
	{517, IPFIX, TOTAL, .sampling = EVERY_MODE, .scopes = 2, .count = 5, .field = {
		DOMAIN, PROCESS, {41, 8, FROM_MESSAGES}, {42, 8, FROM_FLOW_RECORDS}, {40, 8, FROM_OCTETS}}},
	{518, IPFIX, TOTAL, .sampling = EVERY_MODE, .scopes = 2, .count = 4, .field = {
		DOMAIN, PROCESS, {164, 8, FROM_IGNORED}, {135, 8, FROM_DROPPED}}},
	{519, IPFIX, TOTAL, .sampling = EVERY_MODE, .scopes = 1, .count = 2, .field = {
		{144, 4, FROM_ONE}, {166, 8, FROM_NOT_SENT}}},
	{520, IPFIX, .per_interface = true, .sampling = EVERY_MODE, .scopes = 1, .count = 3, .field = {
		DOMAIN, {10, 4, FROM_IF_INDEX}, {82, 32, FROM_IF_NAME}}},
	{521, IPFIX, .per_interface = true, .sampling = EVERY_MODE, .scopes = 1, .count = 3, .field = {
		DOMAIN, {10, 4, FROM_IF_INDEX}, {83, 32, FROM_IF_DESCRIPTION}}},
	{522, IPFIX, TOTAL, .per_interface = true, .sampling = EVERY_MODE, .scopes = 2, .count = 3, .field = {
		DOMAIN, {10, 4, FROM_IF_INDEX}, {135, 8, FROM_IF_DROPPED}}},
};
/* clang-format on */

/* ---- rows ---- */

static bool applies(const struct options_row *row, bool v9, const struct options_source *source)
{
	return row->v9 == v9 && (row->sampling & (1u << source->sampling.mode)) != 0 &&
	       options_records(row, source->run) != 0;
}

const struct options_row *options_get(unsigned index, bool v9, const struct options_source *source)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (applies(&rows[i], v9, source) && index-- == 0)
			return &rows[i];
	return NULL;
}

uint16_t options_template_id(const struct options_row *row)
{
	return row->id;
}

bool options_is_total(const struct options_row *row)
{
	return row->total;
}

unsigned options_records(const struct options_row *row, const struct exporter_conf *run)
{
	return row->per_interface ? run->ifaces_count : 1;
}

size_t options_record_len(const struct options_row *row)
{
	size_t len = 0;
	for (unsigned i = 0; i < row->count; i++)
		len += row->field[i].len;
	return len;
}

/* ---- templates ---- */

enum {
	TEMPLATE_HEADER = 6, /* both protocols: id and two counts */
	SPEC_LEN = 4,
};

size_t options_template_len(const struct options_row *row)
{
	return TEMPLATE_HEADER + (size_t)row->count * SPEC_LEN;
}

/* v9 counts bytes of scope, then of the others; IPFIX fields in all, then those of the scope. */
void options_put_template(const struct options_row *row, uint8_t *p)
{
	struct wr w = wr_init(p, options_template_len(row));
	unsigned others = row->count - row->scopes;
	wr_u16(&w, row->id);
	wr_u16(&w, row->v9 ? row->scopes * SPEC_LEN : row->count);
	wr_u16(&w, row->v9 ? others * SPEC_LEN : row->scopes);
	for (unsigned i = 0; i < row->count; i++) {
		wr_u16(&w, row->field[i].id);
		wr_u16(&w, row->field[i].len);
	}
}

/* ---- values ---- */

static uint64_t not_sent(const struct output_counters *c)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		n += stat_get(&c->dropped[i]);
	return n;
}

/* Packets of flows that sample= left out are not selected. */
static uint64_t selected(const struct options_source *s)
{
	const uint64_t unsampled = stat_get(&s->counters->unsampled_packets);
	return s->books->selected > unsampled ? s->books->selected - unsampled : 0;
}

static bool is_random(enum sampling_mode mode)
{
	return mode == SAMPLING_RANDOM || mode == SAMPLING_FLOW;
}

static uint64_t probability(uint32_t n)
{
	const double p = 1.0 / (n != 0 ? n : 1);
	uint64_t bits;
	memcpy(&bits, &p, sizeof(bits));
	return bits;
}

static uint64_t dropped_at(const struct exporter_iface *iface)
{
	return iface->dropped != NULL ? atomic_load_explicit(iface->dropped, memory_order_relaxed) : 0;
}

static uint64_t number(enum source from, const struct options_source *s, unsigned index)
{
	const struct told_sampling *sampling = &s->sampling;
	switch (from) {
	case FROM_DOMAIN:
		return s->domain;
	case FROM_ONE:
		return 1;
	case FROM_SELECTOR:
		return FIELD_SELECTOR_ID;
	case FROM_N:
		return sampling->n;
	case FROM_OVERALL_N:
		return sampling->overall_n;
	case FROM_OVERALL:
		return sampling->overall_random ? 2 : 1;
	case FROM_ALGORITHM:
		return is_random(sampling->mode) ? 2 : 1;
	case FROM_PSAMP:
		return is_random(sampling->mode) ? 4 : 1;
	case FROM_SPACE:
		return sampling->n - 1;
	case FROM_PROBABILITY:
		return probability(sampling->n);
	case FROM_OBSERVED:
		return s->books->observed;
	case FROM_SELECTED:
		return selected(s);
	case FROM_IGNORED:
		return s->books->malformed;
	case FROM_DROPPED:
		return s->books->dropped;
	case FROM_MESSAGES:
		return s->totals->messages;
	case FROM_OCTETS:
		return s->totals->octets;
	case FROM_FLOW_RECORDS:
		return s->totals->flow_records;
	case FROM_NOT_SENT:
		return not_sent(s->counters);
	case FROM_IF_INDEX:
		return s->run->ifaces[index].index;
	case FROM_IF_DROPPED:
		return dropped_at(&s->run->ifaces[index]);
	case FROM_IF_NAME:
	case FROM_IF_DESCRIPTION:
		break;
	}
	return 0;
}

/* Cut to its width, filled with zeros. */
static void put_text(struct wr *w, const char *text, size_t len)
{
	size_t n = strnlen(text, len);
	wr_bytes(w, text, n);
	wr_zero(w, len - n);
}

void options_put_record(const struct options_row *row, const struct options_source *source,
			unsigned index, uint8_t *p)
{
	struct wr w = wr_init(p, options_record_len(row));
	for (unsigned i = 0; i < row->count; i++) {
		const struct options_field *f = &row->field[i];
		if (f->source == FROM_IF_NAME)
			put_text(&w, source->run->ifaces[index].name, f->len);
		else if (f->source == FROM_IF_DESCRIPTION)
			put_text(&w, source->run->ifaces[index].description, f->len);
		else
			wr_uint(&w, number(f->source, source, index), f->len);
	}
}
