/* From an entry to the flow record that leaves (METERING.md §7). */
#include <string.h>

#include "table_internal.h"

static inline void fill_address(const struct flow_table *t, uint32_t number, unsigned side,
				uint8_t out[16])
{
	const struct entry *e = &t->entry[number];
	if (__builtin_expect(e->meta & KEY_META_IPV6, 0)) {
		memcpy(out, t->upper[number].side[side], 12);
		memcpy(out + 12, &e->addr[side], 4);
	} else {
		memcpy(out, &e->addr[side], 4);
		memset(out + 4, 0, 12);
	}
}

static inline void fill_dir(const struct flow_table *t, uint32_t number, unsigned dir,
			    struct flow_dir *out)
{
	const struct entry *e = &t->entry[number];
	const uint32_t ingress = t->origin[number].ingress[dir];
	const uint32_t egress = t->egress != NULL ? t->egress[number][dir] : 0;
	if (e->packets[dir] == 0) {
		*out = (struct flow_dir){.ingress = ingress, .egress = egress};
		return;
	}
	out->packets = e->packets[dir];
	out->octets = e->octets[dir];
	if (__builtin_expect(e->state & STATE_WIDE, 0)) {
		out->packets = entry_packets(t, number, dir);
		out->octets = entry_octets(t, number, dir);
	}
	out->first_ns = t->origin[number].first_ns[dir];
	out->last_ns = e->last_ns[dir];
	out->ingress = ingress;
	out->egress = egress;
	out->tcp_flags = e->tcp_flags[dir];
	out->tos = e->tos[dir];
	out->ttl_min = e->ttl_min[dir];
	out->ttl_max = e->ttl_max[dir];
	out->direction = 0;
	out->directed = false;
	memset(out->reserved, 0, sizeof(out->reserved));
}

static inline void fill_key(const struct flow_table *t, uint32_t number, struct flow_record *out)
{
	const struct entry *e = &t->entry[number];
	unsigned forward = (e->state & STATE_FLIPPED) != 0;
	out->ip_version = e->meta & KEY_META_IPV6 ? 6 : 4;
	out->ip_proto = e->ip_proto;
	out->sport = e->port[forward];
	out->dport = e->port[forward ^ 1];
	out->icmp_known = (e->meta & KEY_META_ICMP) != 0;
	out->icmp[FLOW_FORWARD] = out->icmp_known ? out->dport : 0;
	out->icmp[FLOW_REVERSE] =
		e->meta & KEY_META_PAIR ? flow_key_icmp_reply(e->ip_proto, out->dport) : 0;
	fill_address(t, number, forward, out->src);
	fill_address(t, number, forward ^ 1, out->dst);
	out->vlan = t->origin[number].vlan;
	out->cvlan = t->origin[number].cvlan;
	if (t->mac != NULL) {
		memcpy(out->src_mac, t->mac[number][0], 6);
		memcpy(out->dst_mac, t->mac[number][1], 6);
	} else {
		memset(out->src_mac, 0, 6);
		memset(out->dst_mac, 0, 6);
	}
	out->flow_id = t->origin[number].id;
}

/* Empties the record; the flow keeps what METERING.md §6 says stays. */
static void reset(struct flow_table *t, uint32_t number)
{
	struct entry *e = &t->entry[number];
	for (unsigned d = 0; d < FLOW_DIRS; d++) {
		e->packets[d] = 0;
		e->octets[d] = 0;
		e->tcp_flags[d] = 0;
	}
	e->state &= (uint16_t)~(STATE_RECORD | STATE_WIDE);
}

/* The books of a record; `handed` is whether it left or was lost. */
static inline void count(struct flow_table *t, uint32_t number, enum flow_end reason, bool handed)
{
	static const enum counter_id by_reason[FLOW_END_COUNT] = {
		[FLOW_END_IDLE] = COUNTER_END_IDLE,
		[FLOW_END_ACTIVE] = COUNTER_END_ACTIVE,
		[FLOW_END_DETECTED] = COUNTER_END_DETECTED,
		[FLOW_END_FORCED] = COUNTER_END_FORCED,
		[FLOW_END_RESOURCES] = COUNTER_END_RESOURCES,
	};
	uint64_t *v = t->conf.counters->v;
	if (handed) {
		v[COUNTER_RECORDS]++;
		v[by_reason[reason]]++;
	} else {
		v[COUNTER_RECORDS_LOST]++;
	}
	v[COUNTER_RECORD_PACKETS] += entry_packets(t, number, 0) + entry_packets(t, number, 1);
	v[COUNTER_RECORD_OCTETS] += entry_octets(t, number, 0) + entry_octets(t, number, 1);
}

static inline void fill(const struct flow_table *t, uint32_t number, enum flow_end reason,
			int64_t clock_ns, struct flow_record *out)
{
	fill_dir(t, number, FLOW_FORWARD, &out->dir[FLOW_FORWARD]);
	fill_dir(t, number, FLOW_REVERSE, &out->dir[FLOW_REVERSE]);
	if (!(t->entry[number].state & STATE_HEARD << FLOW_FORWARD))
		out->dir[FLOW_FORWARD].ingress = out->dir[FLOW_REVERSE].ingress;
	out->kind = EXPORT_RECORD;
	out->end_reason = (uint8_t)reason;
	out->biflow_direction = 1;
	out->worker = t->conf.worker;
	out->clock = (struct pkt_time){clock_ns};
	fill_key(t, number, out);
}

void record_send(struct flow_table *t, uint32_t number, enum flow_end reason, int64_t clock_ns)
{
	const struct flow_sink *sink = &t->conf.sink;
	if (!(t->entry[number].state & STATE_RECORD))
		return;
	union export_item *item =
		sink->discard != NULL ? &t->nobodys : sink->reserve(sink->context);
	count(t, number, reason, item != NULL);
	if (item != NULL)
		fill(t, number, reason, clock_ns, &item->record);
	if (sink->discard != NULL)
		sink->discard(sink->context);
	else if (item != NULL)
		sink->commit(sink->context);
	reset(t, number);
}

uint64_t flow_table_held_packets(const struct flow_table *t)
{
	uint64_t sum = 0;
	for (uint32_t n = 0; n < t->high; n++)
		if (t->entry[n].state & STATE_HELD)
			sum += entry_packets(t, n, 0) + entry_packets(t, n, 1);
	return sum;
}
