/*
 * NetFlow v5: a fixed record, which is just another plan, behind a fixed header.
 *
 * What it cannot say: IPv6 (counted under "ipv6" and said once), counters above 32 bits (the
 * record becomes several, whose sums are right), interface numbers above 65535 (0, unknown), TCP
 * flags above 8 bits. Next hop, AS numbers and masks are not known and 0. The sequence counts
 * flow records. Records are one-way always.
 */
#include <stdlib.h>
#include <string.h>

#include "../departure.h"
#include "../plan.h"
#include "../policy/told.h"
#include "../uptime.h"
#include "err.h"
#include "format.h"
#include "log.h"
#include "wire.h"

enum {
	V5_VERSION = 5,
	V5_HEADER = 24,
	V5_RECORD = 48,
	V5_RECORDS_MAX = 30,
	V5_INTERVAL_MAX = (1 << 14) - 1,
	V5_ENGINE_MAX = 255,
};

/* THE record. FIELD_COUNT: nothing known, zeros. */
/* clang-format off */
static const struct {
	uint8_t field;
	uint8_t width;
} layout[] = {
	{FIELD_SRC_IP4, 4},
	{FIELD_DST_IP4, 4},
	{FIELD_COUNT, 4},        /* next hop */
	{FIELD_INGRESS, 2},
	{FIELD_EGRESS, 2},
	{FIELD_PACKETS, 4},
	{FIELD_OCTETS, 4},
	{FIELD_START_UPTIME, 4},
	{FIELD_END_UPTIME, 4},
	{FIELD_SRC_PORT, 2},
	{FIELD_DST_PORT, 2},
	{FIELD_COUNT, 1},        /* padding */
	{FIELD_TCP_FLAGS, 1},
	{FIELD_IP_PROTO, 1},
	{FIELD_TOS, 1},
	{FIELD_COUNT, 8},        /* AS numbers, masks, padding */
};
/* clang-format on */

struct netflow5 {
	struct encoder base;
	struct plan plan;
	struct uptime uptime;
	uint8_t *buf;	/* NULL: no message begun */
	unsigned count; /* records in it */
	unsigned per_message;
	struct departure departure;
	uint32_t sequence;
	uint16_t sampling; /* mode and interval */
	uint8_t engine;
	bool said_ipv6;
};

/* Mode in the two top bits (1 deterministic, 2 random), N in the other 14. */
static uint16_t sampling_field(const struct told_sampling *told)
{
	return (uint16_t)((told->overall_random ? 2u : 1u) << 14 | told->overall_n);
}

static int check(const struct encoder_conf *conf, struct errtext *e)
{
	const struct told_sampling told = told_sampling(conf->run, conf->spec->sample);
	int err = 0;
	if (told.overall_n > V5_INTERVAL_MAX)
		err = fail(e, ERR_USAGE, "NetFlow v5 announces sampling of 1/%d at most, not 1/%u",
			   V5_INTERVAL_MAX, told.overall_n);
	if (conf->spec->domain > V5_ENGINE_MAX)
		err = fail(e, ERR_USAGE, "domain=%u is wrong; a NetFlow v5 engine is 0 to %d",
			   conf->spec->domain, V5_ENGINE_MAX);
	if (conf->max_message < V5_HEADER + V5_RECORD)
		err = fail(e, ERR_USAGE, "messages of %zu bytes hold no record; take a larger mtu=",
			   conf->max_message);
	return err;
}

static int netflow5_open(const struct encoder_conf *conf, struct errtext *e,
			 struct encoder **ret_encoder)
{
	int err = check(conf, e);
	if (err != 0)
		return err;
	struct netflow5 *v5 = calloc(1, sizeof(*v5));
	if (v5 == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < sizeof(layout) / sizeof(layout[0]); i++) {
		const struct field_ref ref = {.id = layout[i].field};
		if (layout[i].field == FIELD_COUNT)
			plan_add_zeros(&v5->plan, layout[i].width);
		else
			plan_add(&v5->plan, ref, layout[i].width);
	}
	size_t room = (conf->max_message - V5_HEADER) / V5_RECORD;
	v5->per_message = room < V5_RECORDS_MAX ? (unsigned)room : V5_RECORDS_MAX;
	const struct told_sampling told = told_sampling(conf->run, conf->spec->sample);
	v5->sampling = sampling_field(&told);
	v5->engine = (uint8_t)conf->spec->domain;
	*ret_encoder = &v5->base;
	return 0;
}

static struct netflow5 *netflow5_of(struct encoder *enc)
{
	return (struct netflow5 *)enc;
}

static bool netflow5_wants(const struct encoder *enc, struct field_ref ref)
{
	(void)enc;
	for (size_t i = 0; i < sizeof(layout) / sizeof(layout[0]); i++)
		if (layout[i].field == ref.id && !ref.reverse)
			return true;
	return false;
}

static void flush(struct netflow5 *v5, struct pkt_time now)
{
	if (v5->buf == NULL)
		return;
	const struct uptime_header h =
		uptime_header(&v5->uptime, departure_time(&v5->departure, now), false);
	struct transport *t = v5->base.transport;
	struct wr w = wr_init(v5->buf, V5_HEADER);
	wr_u16(&w, V5_VERSION);
	wr_u16(&w, v5->count);
	wr_u32(&w, h.uptime_ms);
	wr_u32(&w, h.seconds);
	wr_u32(&w, h.ns);
	wr_u32(&w, v5->sequence);
	wr_u8(&w, 0); /* engine type */
	wr_u8(&w, v5->engine);
	wr_u16(&w, v5->sampling);
	v5->sequence += v5->count;
	t->ops->commit(t, V5_HEADER + (size_t)v5->count * V5_RECORD, v5->count);
	v5->buf = NULL;
	v5->count = 0;
	v5->departure = (struct departure){0};
	v5->base.due_ns = DUE_NEVER;
}

static void begin_message(struct netflow5 *v5)
{
	struct transport *t = v5->base.transport;
	v5->buf = t->ops->reserve(t, V5_HEADER + (size_t)v5->per_message * V5_RECORD);
}

static void put_record(struct netflow5 *v5, const struct flow_record *r, struct pkt_time now)
{
	if (v5->buf == NULL)
		uptime_begin(&v5->uptime, now);
	if (!uptime_reaches(&v5->uptime, &r->dir[FLOW_FORWARD])) {
		flush(v5, now);
		uptime_move(&v5->uptime, &r->dir[FLOW_FORWARD]);
	}
	if (v5->buf == NULL)
		begin_message(v5);
	plan_run(&v5->plan, r, uptime_boot_ms(&v5->uptime),
		 v5->buf + V5_HEADER + (size_t)v5->count * V5_RECORD);
	departure_note(&v5->departure, now);
	v5->base.due_ns = departure_due_ns(&v5->departure);
	if (++v5->count == v5->per_message)
		flush(v5, now);
}

/* Part `i` of `parts` equal ones, the first of which take what is left over. */
static uint64_t share(uint64_t total, uint64_t i, uint64_t parts)
{
	return total / parts + (i < total % parts);
}

static void put_in_parts(struct netflow5 *v5, const struct flow_record *r, uint64_t parts,
			 struct pkt_time now)
{
	struct flow_record part = *r;
	for (uint64_t i = 0; i < parts; i++) {
		part.dir[FLOW_FORWARD].packets = share(r->dir[FLOW_FORWARD].packets, i, parts);
		part.dir[FLOW_FORWARD].octets = share(r->dir[FLOW_FORWARD].octets, i, parts);
		put_record(v5, &part, now);
	}
}

static void drop_ipv6(struct netflow5 *v5)
{
	stat_add(&v5->base.counters->dropped[DROP_IPV6], 1);
	if (!v5->said_ipv6)
		log_warnx("output",
			  "NetFlow v5 cannot carry IPv6: such records are counted, not sent");
	v5->said_ipv6 = true;
}

static void netflow5_record(struct encoder *enc, const struct flow_record *r, struct pkt_time now)
{
	struct netflow5 *v5 = netflow5_of(enc);
	if (r->ip_version != 4) {
		drop_ipv6(v5);
		return;
	}
	const struct flow_dir *d = &r->dir[FLOW_FORWARD];
	uint64_t most = d->octets > d->packets ? d->octets : d->packets;
	if (most <= UINT32_MAX)
		put_record(v5, r, now);
	else
		put_in_parts(v5, r, (most - 1) / UINT32_MAX + 1, now);
}

static void netflow5_advance(struct encoder *enc, struct pkt_time now)
{
	flush(netflow5_of(enc), now);
}

static void netflow5_end(struct encoder *enc, struct pkt_time now, bool last)
{
	(void)last;
	flush(netflow5_of(enc), now);
}

static void netflow5_close(struct encoder *enc)
{
	free(enc);
}

const struct format_ops netflow5_format = {
	.name = "netflow5",
	.open = netflow5_open,
	.wants = netflow5_wants,
	.record = netflow5_record,
	.advance = netflow5_advance,
	.end = netflow5_end,
	.close = netflow5_close,
	.split_only = true,
};
