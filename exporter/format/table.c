/*
 * A table for people: one line a record, columns wide enough for IPv4 and for most of IPv6. A
 * cell that is too long pushes its line to the right rather than being cut. Nothing is held back to
 * measure columns: the table of a running probe appears as flows end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "format.h"
#include "text.h"

enum { LINE_MAX_BYTES = 512 };

struct table {
	struct encoder base;
	bool biflow;
};

/* A column's text for a record; what it writes has room for TEXT_VALUE_MAX * 2. */
typedef char *cell_fn(char *p, const struct flow_record *r);

/* "2023-11-14 22:13:18.251": RFC 3339 without T, micro- and nanoseconds and Z. */
static char *cell_start(char *p, const struct flow_record *r)
{
	enum { T_AT = 10, SHOWN = 23 };
	tstamp_rfc3339((struct pkt_time){r->dir[FLOW_FORWARD].first_ns}, p);
	p[T_AT] = ' ';
	return p + SHOWN;
}

/* From the first packet to the last, of either direction. */
static char *cell_duration(char *p, const struct flow_record *r)
{
	const struct flow_dir *fwd = &r->dir[FLOW_FORWARD], *rev = &r->dir[FLOW_REVERSE];
	int64_t first = fwd->first_ns, last = fwd->last_ns;
	if (rev->packets != 0 && rev->first_ns < first)
		first = rev->first_ns;
	if (rev->packets != 0 && rev->last_ns > last)
		last = rev->last_ns;
	uint64_t ms = (uint64_t)(last - first) / NS_PER_MS;
	p = text_uint(p, ms / 1000);
	*p++ = '.';
	for (unsigned unit = 100; unit != 0; unit /= 10)
		*p++ = (char)('0' + ms / unit % 10);
	return p;
}

static char *cell_proto(char *p, const struct flow_record *r)
{
	const char *name = text_proto_name(r->ip_proto);
	return name != NULL ? text_str(p, name) : text_uint(p, r->ip_proto);
}

static char *put_end(char *p, const struct flow_record *r, const uint8_t *addr, unsigned port)
{
	if (r->ip_version == 4) {
		p = text_ip4(p, addr);
	} else {
		*p++ = '[';
		p = text_ip6(p, addr);
		*p++ = ']';
	}
	*p++ = ':';
	return text_uint(p, port);
}

static char *cell_source(char *p, const struct flow_record *r)
{
	return put_end(p, r, r->src, r->sport);
}

static char *cell_arrow(char *p, const struct flow_record *r)
{
	(void)r;
	return text_str(p, "->");
}

/* ICMP's type and code stand where the port is, as "8.0". */
static char *cell_destination(char *p, const struct flow_record *r)
{
	if (!r->icmp_known)
		return put_end(p, r, r->dst, r->dport);
	p = put_end(p, r, r->dst, r->dport >> 8);
	*p++ = '.';
	return text_uint(p, r->dport & 0xff);
}

static char *cell_packets(char *p, const struct flow_record *r)
{
	return text_uint(p, r->dir[FLOW_FORWARD].packets);
}

static char *cell_octets(char *p, const struct flow_record *r)
{
	return text_uint(p, r->dir[FLOW_FORWARD].octets);
}

static char *cell_reverse_packets(char *p, const struct flow_record *r)
{
	return text_uint(p, r->dir[FLOW_REVERSE].packets);
}

static char *cell_reverse_octets(char *p, const struct flow_record *r)
{
	return text_uint(p, r->dir[FLOW_REVERSE].octets);
}

static char *put_flags(char *p, unsigned flags)
{
	static const char letters[] = "NCEUAPRSF";
	for (unsigned i = 0; i < 9; i++)
		*p++ = flags & (1u << (8 - i)) ? letters[i] : '.';
	return p;
}

static char *cell_flags(char *p, const struct flow_record *r)
{
	return put_flags(p, r->dir[FLOW_FORWARD].tcp_flags);
}

static char *cell_reverse_flags(char *p, const struct flow_record *r)
{
	return put_flags(p, r->dir[FLOW_REVERSE].tcp_flags);
}

static char *cell_reason(char *p, const struct flow_record *r)
{
	static const char *const names[FLOW_END_COUNT] = {
		[FLOW_END_IDLE] = "idle",	    [FLOW_END_ACTIVE] = "active",
		[FLOW_END_DETECTED] = "closed",	    [FLOW_END_FORCED] = "forced",
		[FLOW_END_RESOURCES] = "resources",
	};
	bool known = r->end_reason < FLOW_END_COUNT && names[r->end_reason] != NULL;
	return text_str(p, known ? names[r->end_reason] : "?");
}

struct column {
	const char *title;
	cell_fn *cell;
	uint8_t width;
	bool right;   /* numbers */
	bool reverse; /* only in biflow tables */
};

/* THE table of the table. */
static const struct column columns[] = {
	{"Start (UTC)", cell_start, 23, false, false},
	{"Duration", cell_duration, 9, true, false},
	{"Proto", cell_proto, 9, false, false},
	{"Source", cell_source, 24, true, false},
	{"", cell_arrow, 2, false, false},
	{"Destination", cell_destination, 24, false, false},
	{"Packets", cell_packets, 8, true, false},
	{"Octets", cell_octets, 11, true, false},
	{"<-Packets", cell_reverse_packets, 9, true, true},
	{"<-Octets", cell_reverse_octets, 11, true, true},
	{"Flags", cell_flags, 9, false, false},
	{"<-Flags", cell_reverse_flags, 9, false, true},
	{"End", cell_reason, 0, false, false},
};

static char *put_spaces(char *p, size_t n)
{
	memset(p, ' ', n);
	return p + n;
}

static char *put_cell(char *p, const struct column *c, const char *text, size_t len)
{
	size_t pad = len < c->width ? c->width - len : 0;
	if (c->right)
		p = put_spaces(p, pad);
	memcpy(p, text, len);
	p += len;
	return c->right ? p : put_spaces(p, pad);
}

/* A line: the titles (NULL) or a record. */
static void put_line(struct table *table, const struct flow_record *r)
{
	struct transport *t = table->base.transport;
	char *start = (char *)t->ops->reserve(t, LINE_MAX_BYTES);
	char *p = start;
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		const struct column *c = &columns[i];
		char cell[2 * TEXT_VALUE_MAX];
		if (c->reverse && !table->biflow)
			continue;
		if (p != start)
			*p++ = ' ';
		char *end = r != NULL ? c->cell(cell, r) : text_str(cell, c->title);
		p = put_cell(p, c, cell, (size_t)(end - cell));
	}
	*p++ = '\n';
	t->ops->commit(t, (size_t)(p - start), r != NULL);
}

static int table_open(const struct encoder_conf *conf, struct errtext *e,
		      struct encoder **ret_encoder)
{
	(void)e;
	struct table *table = calloc(1, sizeof(*table));
	if (table == NULL)
		return ERR_NOMEM;
	table->biflow = conf->spec->biflow;
	*ret_encoder = &table->base;
	return 0;
}

/* Nothing that the probe would leave out unasked. */
static bool table_wants(const struct encoder *enc, struct field_ref ref)
{
	(void)enc;
	(void)ref;
	return false;
}

static void table_begin(struct encoder *enc, struct pkt_time now)
{
	(void)now;
	put_line((struct table *)enc, NULL);
}

static void table_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	(void)now;
	put_line((struct table *)enc, r);
}

static void table_close(struct encoder *enc)
{
	free(enc);
}

const struct format_ops table_format = {
	.name = "table",
	.open = table_open,
	.wants = table_wants,
	.begin = table_begin,
	.record = table_record,
	.close = table_close,
};
