/*
 * The first stage of plain packets (decode/plain.h), which nearly all are: from bytes to a place in
 * the batch with what is needed in registers. Anything that is not plain, late, or a matter of
 * counters other than METERED ends a run and is worker.c's.
 */
#include "worker_internal.h"

#include "own.h"
#include "short_cut.h"

/*
 * Who calls knows of a whole run whether there is anything to look for besides (`bare`: neither
 * wrappers nor own exports), so that the test is not made for each packet.
 */

static inline bool is_own(const struct worker *w, const struct plain_ends *ends)
{
	return w->conf.own != NULL &&
	       own_is_marked(w->conf.own, ends->ip_proto, (uint16_t)(ends->ports >> 16),
			     (uint16_t)ends->ports);
}

/* Fills `in` but for its times, number and link. `secret`: the worker's or a copy. */
static inline __attribute__((always_inline)) void
fill(const struct worker *w, const struct flow_secret *secret, const struct plain_link *link,
     bool ip6, const struct plain_ends *ends, struct flow_packet *in)
{
	plain_sum(link, ip6, &in->sum);
	const uint64_t hash = ip6 ? key_plain6(ends, w->key_rest, secret, &in->key, &in->side)
				  : key_plain4(ends, w->key_rest, secret, &in->key, &in->side);
	flow_index_place(&w->index, hash, in);
}

/* False when it is not for the short cut. */
static inline __attribute__((always_inline)) bool
admit_ip(const struct worker *w, const struct flow_secret *secret, const struct plain_link *link,
	 bool ip6, bool bare, struct flow_packet *in)
{
	struct plain_ends ends;
	if (!short_cut_takes(link, ip6, !bare && w->looks_into_udp, &ends) ||
	    (!bare && is_own(w, &ends)))
		return false;
	fill(w, secret, link, ip6, &ends, in);
	return true;
}

/* Behind a second tag; out of line, so that it takes no registers from the rest. */
static __attribute__((noinline)) bool admit_inner(const struct worker *w, struct plain_link link,
						  struct flow_packet *in)
{
	return plain_reach_ip(&link, &in->sum) &&
	       admit_ip(w, w->conf.secret, &link, link.ethertype == ETHERTYPE_IP6, false, in);
}

static inline __attribute__((always_inline)) bool
admit_plain(const struct worker *w, const struct flow_secret *secret, const struct raw_packet *raw,
	    bool bare, struct flow_packet *in)
{
	const struct plain_link link = plain_link(raw, &in->sum);
	in->macs = raw->data;
	in->ingress = raw->ingress;
	if (link.ethertype == ETHERTYPE_IP4)
		return admit_ip(w, secret, &link, false, bare, in);
	if (link.ethertype == ETHERTYPE_IP6)
		return admit_ip(w, secret, &link, true, bare, in);
	return admit_inner(w, link, in);
}

/* How far a run of packets that are plain and in order came. */
struct run {
	unsigned seen;
	int64_t clock_ns;
};

static inline __attribute__((always_inline)) void
run_all(const struct worker *w, const struct raw_packet *raws, unsigned n, bool bare,
	struct flow_packet *in, struct run *run)
{
	/* of a copy of its own the compiler knows that nothing changes it */
	const struct flow_secret secret = *w->conf.secret;
	const struct raw_packet *raw = raws, *const end = raws + n;
	const size_t ahead = w->ahead;
	int64_t clock_ns = run->clock_ns;
	for (uint64_t number = w->number + 1; raw < end; raw++, in++, number++) {
		const int64_t time_ns = raw->time.ns;
		packet_ask_ahead(raw, ahead);
		if (time_ns < clock_ns || !admit_plain(w, &secret, raw, bare, in))
			break;
		clock_ns = time_ns;
		in->time_ns = in->clock_ns = time_ns;
		in->number = number;
	}
	run->seen = (unsigned)(raw - raws);
	run->clock_ns = clock_ns;
}

unsigned worker_admit_plain(struct worker *w, const struct raw_packet *raws, unsigned n)
{
	struct run run = {.clock_ns = w->clock_ns};
	struct flow_packet *in = &w->batch[w->pending];
	if (!w->short_cut || w->samples || w->clock_ns == CLOCK_UNSET)
		return 0;
	if (w->looks_into_udp || w->conf.own != NULL)
		run_all(w, raws, n, false, in, &run);
	else
		run_all(w, raws, n, true, in, &run);
	w->clock_ns = run.clock_ns;
	w->number += run.seen;
	w->pending += run.seen;
	w->counters.v[COUNTER_METERED] += run.seen;
	w->counters.v[COUNTER_OBSERVED] += run.seen;
	return run.seen;
}

/* So many packets further on are asked for: another worker may have read them last. */
#define FETCH_AHEAD 16

/* A replay has no own exports. Who dealt them has seen that they are plain and in order, so they are
 * admitted, unless a program has changed the file meanwhile. */
unsigned worker_admit_dealt(struct worker *w, const struct hand *hand,
			    const struct hand_item *items, unsigned n, unsigned ahead)
{
	const struct flow_secret secret = *w->conf.secret;
	struct flow_packet *in = &w->batch[w->pending];
	unsigned i;
	for (i = 0; i < n && !items[i].is_any; i++, in++) {
		const struct hand_item *item = &items[i];
		const struct raw_packet raw = {
			.data = item->data,
			.caplen = item->caplen,
			.ingress = item->ingress,
			.linktype = LINKTYPE_ETHERNET,
		};
		if (i + FETCH_AHEAD < ahead) {
			__builtin_prefetch(items[i + FETCH_AHEAD].data);
			__builtin_prefetch(items[i + FETCH_AHEAD].data + PLAIN_MIN);
		}
		if (!admit_plain(w, &secret, &raw, true, in))
			break;
		in->time_ns = in->clock_ns = item->time_ns;
		in->number = hand->number + item->at + 1;
	}
	w->pending += i;
	w->counters.v[COUNTER_METERED] += i;
	return i;
}
