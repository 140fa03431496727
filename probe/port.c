/*
 * What was lost before a worker saw it.
 *
 * An interface's rx_dropped is no count of losses: the kernel counts there too what no protocol
 * wanted, as frames with two VLAN tags, though we have metered them. But a full backlog counts a
 * packet there and in softnet_stat as well, so the lesser of the two is what the backlog lost on
 * this port, at most. rx_dropped itself is shown beside it, and not called lost.
 */
#include "port.h"

#include <stdlib.h>

#include "err.h"
#include "log.h"
#include "probe.h"

/* ---- making --------------------------------------------------------------------------------- */

static unsigned count_parts(const struct probe *p)
{
	char spec[sizeof(p->ports->spec)];
	unsigned n = 0;
	for (unsigned i = 0; i < p->inputs_count; i++)
		for (unsigned part = 0;
		     capture_spec_part(p->inputs[i].spec, part, spec, sizeof(spec)); part++)
			n++;
	return n;
}

static void begin_port(struct port *port)
{
	if (!capture_spec_interface(port->spec, port->name, sizeof(port->name)))
		port->name[0] = '\0';
	port->index = if_nametoindex(port->name);
	port->seen_backlog = iface_backlog_dropped();
	if (port->index != 0)
		(void)iface_read(port->index, &port->seen);
}

int ports_make(struct probe *p)
{
	p->ports = calloc(count_parts(p) + 1, sizeof(*p->ports));
	if (p->ports == NULL)
		return ERR_NOMEM;
	for (unsigned i = 0; i < p->inputs_count; i++) {
		struct port port = {.input = &p->inputs[i]};
		while (capture_spec_part(port.input->spec, port.part, port.spec,
					 sizeof(port.spec))) {
			p->ports[p->ports_count] = port;
			begin_port(&p->ports[p->ports_count++]);
			port.part++;
		}
	}
	return 0;
}

void ports_free(struct probe *p)
{
	free(p->ports);
}

/* ---- counting ------------------------------------------------------------------------------- */

static uint64_t grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/* The port's own counters. An interface that was made anew begins from 0. */
static void read_interface(struct port *port)
{
	struct iface_counters now;
	uint64_t backlog = iface_backlog_dropped();
	unsigned index = if_nametoindex(port->name);
	if (index == 0 || iface_read(index, &now) != 0)
		return;
	if (index != port->index)
		port->seen = (struct iface_counters){.packets = 0};
	uint64_t dropped = grown(now.dropped, port->seen.dropped);
	uint64_t late = grown(backlog, port->seen_backlog);
	port->missed += grown(now.missed, port->seen.missed);
	port->interface_dropped += dropped;
	port->backlog += dropped < late ? dropped : late;
	port->index = index;
	port->seen = now;
	port->seen_backlog = backlog;
}

static void sum_workers(const struct probe *p, struct port *port)
{
	const struct live_input *input = port->input;
	port->stats = (struct capture_stats){.received = 0};
	for (unsigned i = 0; i < input->team.workers; i++) {
		struct capture_stats s;
		if (input->first_worker + i >= p->workers)
			break;
		worker_part(p->worker[input->first_worker + i], port->part, &s);
		capture_stats_add(&port->stats, &s);
	}
	port->stats.drops[CAPTURE_DROP_KERNEL] += port->backlog;
	port->stats.drops[CAPTURE_DROP_NIC] += port->missed;
}

/* ---- saying --------------------------------------------------------------------------------- */

static void say(const struct port *port, enum drop_news news)
{
	const uint64_t *drops = port->stats.drops;
	const struct drop_watch *w = &port->watch;
	switch (news) {
	case DROP_NO_NEWS:
		break;
	case DROP_BEGINS:
	case DROP_GOES_ON:
		log_warnx("drops",
			  "packets are %slost: input=%s lost=%llu ring=%llu super=%llu "
			  "kernel=%llu nic=%llu",
			  news == DROP_GOES_ON ? "still being " : "", port->spec,
			  (unsigned long long)(w->total - w->before),
			  (unsigned long long)drops[CAPTURE_DROP_RING],
			  (unsigned long long)drops[CAPTURE_DROP_SUPER],
			  (unsigned long long)drops[CAPTURE_DROP_KERNEL],
			  (unsigned long long)drops[CAPTURE_DROP_NIC]);
		break;
	case DROP_ENDED:
		log_warnx("drops", "no more packets are lost: input=%s lost=%llu seconds=%.1f",
			  port->spec, (unsigned long long)(w->total - w->before),
			  (double)(w->last.ns - w->began.ns) / (double)NS_PER_S);
		break;
	}
}

/* Super-packets that no one could take apart make too few packets. */
static void say_merged(struct port *port)
{
	if (port->stats.merged == 0 || port->merged_said)
		return;
	port->merged_said = true;
	log_warnx("capture",
		  "super-packets of unknown make are counted as one packet each; "
		  "try: ethtool -K %s gro off lro off",
		  port->name[0] != '\0' ? port->name : "IFACE");
}

static void say_lost_supers(struct port *port)
{
	if (port->stats.drops[CAPTURE_DROP_SUPER] == 0 || port->supers_said)
		return;
	port->supers_said = true;
	log_warnx("capture",
		  "super-packets are lost that the kernel cannot tell a ring of; turn offloads off "
		  "where they come from, or try: -i pcap:%s",
		  port->name);
}

static void look_at(struct probe *p, struct port *port, bool quietly)
{
	if (port->name[0] != '\0')
		read_interface(port);
	sum_workers(p, port);
	uint64_t dropped = capture_dropped(&port->stats);
	atomic_store_explicit(&port->dropped, dropped, memory_order_relaxed);
	if (quietly)
		return;
	say(port, drop_watch_step(&port->watch, mono_now(), dropped));
	say_merged(port);
	say_lost_supers(port);
}

/* What workers cannot see is added to the first one's drops. */
static void tell_worker(struct probe *p, struct live_input *input)
{
	uint64_t lost = 0;
	for (unsigned i = 0; i < p->ports_count; i++)
		if (p->ports[i].input == input)
			lost += p->ports[i].backlog + p->ports[i].missed;
	atomic_store_explicit(&input->lost_outside, lost, memory_order_relaxed);
}

void ports_look(struct probe *p, bool quietly)
{
	for (unsigned i = 0; i < p->ports_count; i++)
		look_at(p, &p->ports[i], quietly);
	for (unsigned i = 0; i < p->inputs_count; i++)
		tell_worker(p, &p->inputs[i]);
}

void ports_sum(struct probe *p)
{
	for (unsigned i = 0; i < p->ports_count; i++)
		sum_workers(p, &p->ports[i]);
}
