/*
 * The first stage of plain packets (decode/plain.h), which nearly all are: from bytes to a place in
 * the batch with what is needed in registers. Anything that is not plain, late, or a matter of
 * counters other than METERED ends a run and is worker.c's.
 */
#include "worker_internal.h"

#include "flow/key_plain.h"
#include "own.h"

/*
 * Who calls knows of a whole run whether there is anything to look for besides (`bare`: neither
 * wrappers nor own exports), so that the test is not made for each packet.
 */

/* Is it plain, and has it two sides? */
static inline __attribute__((always_inline)) bool
is_plain(const struct worker *w, const struct plain_link *link, bool ip6, bool bare,
	 struct plain_ends *ret_ends)
{
	if (!plain_is_ip(link, ip6))
		return false;
	plain_ends(link, ip6, ret_ends);
	/* the addresses of a wrapper do not tell whose it is */
	if (!bare && w->looks_into_udp && ret_ends->ip_proto != IP_PROTO_TCP)
		return false;
	return __builtin_expect(!key_is_twin(ret_ends, ip6), 1);
}

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
	if (!is_plain(w, link, ip6, bare, &ends) || (!bare && is_own(w, &ends)))
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
	unsigned metered; /* of them: this worker's, in the batch from `pending` on */
	int64_t clock_ns;
};

/* All are this worker's. */
static inline __attribute__((always_inline)) void
run_all(const struct worker *w, const struct raw_packet *raws, unsigned n, bool bare,
	struct flow_packet *in, struct run *run)
{
	/* of a copy of its own the compiler knows that nothing changes it */
	const struct flow_secret secret = *w->conf.secret;
	const struct raw_packet *raw = raws, *const end = raws + n;
	int64_t clock_ns = run->clock_ns;
	for (uint64_t number = w->number + 1; raw < end; raw++, in++, number++) {
		const int64_t time_ns = raw->time.ns;
		if (time_ns < clock_ns || !admit_plain(w, &secret, raw, bare, in))
			break;
		clock_ns = time_ns;
		in->time_ns = in->clock_ns = time_ns;
		in->number = number;
	}
	run->seen = run->metered = (unsigned)(raw - raws);
	run->clock_ns = clock_ns;
}

/* A plain packet of this worker's. */
struct pick {
	struct plain_link link;
	const struct raw_packet *raw;
	struct packet_sum sum; /* what the link said */
};

/* Is it for the short cut? Then also whose it is. */
static inline __attribute__((always_inline)) bool
pick_ip(const struct worker *w, const struct plain_link *link, bool ip6, bool bare, bool *ret_mine)
{
	const struct flow_secret *secret = w->conf.secret;
	struct plain_ends ends;
	if (!is_plain(w, link, ip6, bare, &ends))
		return false;
	*ret_mine = worker_owns(w, ip6 ? key_share6(link->ip + IP6_SRC, link->ip + IP6_DST, secret)
				       : key_share4(link->ip + IP4_SRC, link->ip + IP4_DST, secret));
	return true;
}

static inline __attribute__((always_inline)) bool
pick_plain(const struct worker *w, const struct raw_packet *raw, bool bare, struct pick *pick,
	   bool *ret_mine)
{
	pick->raw = raw;
	pick->link = plain_link(raw, &pick->sum);
	if (pick->link.ethertype == ETHERTYPE_IP4)
		return pick_ip(w, &pick->link, false, bare, ret_mine);
	if (!plain_reach_ip(&pick->link, &pick->sum))
		return false;
	return pick_ip(w, &pick->link, pick->link.ethertype == ETHERTYPE_IP6, bare, ret_mine);
}

static inline __attribute__((always_inline)) void
admit_pick_ip(const struct worker *w, const struct pick *pick, bool ip6, struct flow_packet *in)
{
	struct plain_ends ends;
	plain_ends(&pick->link, ip6, &ends);
	fill(w, w->conf.secret, &pick->link, ip6, &ends, in);
}

static inline void admit_pick(const struct worker *w, const struct pick *pick,
			      struct flow_packet *in)
{
	const struct raw_packet *raw = pick->raw;
	in->sum.tags = pick->sum.tags;
	in->macs = raw->data;
	in->ingress = raw->ingress;
	in->time_ns = in->clock_ns = raw->time.ns;
	if (pick->link.ethertype == ETHERTYPE_IP4)
		admit_pick_ip(w, pick, false, in);
	else
		admit_pick_ip(w, pick, true, in);
}

/*
 * This worker's part of them. At first only the addresses are looked at, and no branch depends on
 * whose a packet is, which cannot be guessed; those picked are admitted in a loop of their own. A
 * replay has no own exports.
 */
static inline __attribute__((always_inline)) void
run_share(const struct worker *w, const struct raw_packet *raws, unsigned n, bool bare,
	  struct flow_packet *in, struct run *run)
{
	struct pick picks[BATCH + 1], *pick = picks;
	int64_t clock_ns = run->clock_ns;
	for (run->seen = 0; run->seen < n; run->seen++) {
		const struct raw_packet *raw = &raws[run->seen];
		bool mine;
		if (raw->time.ns < clock_ns || !pick_plain(w, raw, bare, pick, &mine))
			break;
		clock_ns = raw->time.ns;
		pick += mine;
	}
	for (const struct pick *p = picks; p < pick; p++, in++) {
		admit_pick(w, p, in);
		in->number = w->number + 1 + (uint64_t)(p->raw - raws);
	}
	run->metered = (unsigned)(pick - picks);
	run->clock_ns = clock_ns;
}

unsigned worker_admit_plain(struct worker *w, const struct raw_packet *raws, unsigned n)
{
	struct run run = {.clock_ns = w->clock_ns};
	struct flow_packet *in = &w->batch[w->pending];
	if (!w->short_cut || w->samples || w->clock_ns == INT64_MIN)
		return 0;
	if (w->shares && w->looks_into_udp)
		run_share(w, raws, n, false, in, &run);
	else if (w->shares)
		run_share(w, raws, n, true, in, &run);
	else if (w->looks_into_udp || w->conf.own != NULL)
		run_all(w, raws, n, false, in, &run);
	else
		run_all(w, raws, n, true, in, &run);
	w->clock_ns = run.clock_ns;
	w->number += run.seen;
	w->pending += run.metered;
	w->counters.v[COUNTER_METERED] += run.metered;
	w->counters.v[COUNTER_OBSERVED] += w->speaks ? run.seen : 0;
	return run.seen;
}
