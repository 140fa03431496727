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

/* ---- a replay that workers share --------------------------------------------------------------- */

/* Which worker's? */
static inline __attribute__((always_inline)) uint8_t
whose_ip(const struct worker *w, const struct plain_link *link, bool ip6, bool bare)
{
	const struct flow_secret *secret = w->conf.secret;
	struct plain_ends ends;
	if (!is_plain(w, link, ip6, bare, &ends))
		return WHOSE_ANYBODYS;
	const uint64_t share = ip6 ? key_share6(link->ip + IP6_SRC, link->ip + IP6_DST, secret)
				   : key_share4(link->ip + IP4_SRC, link->ip + IP4_DST, secret);
	return (uint8_t)worker_of_share(w, share);
}

static inline __attribute__((always_inline)) uint8_t
whose_packet(const struct worker *w, const struct raw_packet *raw, bool bare)
{
	struct packet_sum sum;
	struct plain_link link = plain_link(raw, &sum);
	if (link.ethertype == ETHERTYPE_IP4)
		return whose_ip(w, &link, false, bare);
	if (!plain_reach_ip(&link, &sum))
		return WHOSE_ANYBODYS;
	return whose_ip(w, &link, link.ethertype == ETHERTYPE_IP6, bare);
}

/* A packet that is earlier than one before it is each worker's to look at. */
static inline __attribute__((always_inline)) void
whose_packets(const struct worker *w, const struct raw_packet *raws, unsigned n, bool bare,
	      uint8_t *ret_whose)
{
	int64_t latest_ns = raws[0].time.ns;
	for (unsigned i = 0; i < n; i++) {
		const int64_t time_ns = raws[i].time.ns;
		const uint8_t whose = whose_packet(w, &raws[i], bare);
		ret_whose[i] = time_ns < latest_ns ? WHOSE_ANYBODYS : whose;
		latest_ns = time_ns < latest_ns ? latest_ns : time_ns;
	}
}

void worker_find_whose(struct worker *w, const struct raw_packet *raws, unsigned n)
{
	if (!w->shares || !w->short_cut || whose_board_get(w->conf.board, w->number, n, w->whose))
		return;
	if (w->looks_into_udp)
		whose_packets(w, raws, n, false, w->whose);
	else
		whose_packets(w, raws, n, true, w->whose);
	whose_board_put(w->conf.board, w->number, n, w->whose);
}

static inline __attribute__((always_inline)) void
admit_mine_ip(const struct worker *w, const struct plain_link *link, bool ip6, struct flow_packet *in)
{
	struct plain_ends ends;
	plain_ends(link, ip6, &ends);
	fill(w, w->conf.secret, link, ip6, &ends, in);
}

/* A packet known to be plain and this worker's. */
static inline void admit_mine(const struct worker *w, const struct raw_packet *raw,
			      struct flow_packet *in)
{
	struct plain_link link = plain_link(raw, &in->sum);
	in->macs = raw->data;
	in->ingress = raw->ingress;
	in->time_ns = in->clock_ns = raw->time.ns;
	plain_reach_ip(&link, &in->sum);
	if (link.ethertype == ETHERTYPE_IP4)
		admit_mine_ip(w, &link, false, in);
	else
		admit_mine_ip(w, &link, true, in);
}

/*
 * This worker's part of them. They are picked without a branch on whose a packet is, which cannot be
 * guessed, and admitted in a loop of their own. A replay has no own exports.
 */
static void run_share(const struct worker *w, const struct raw_packet *raws, const uint8_t *whose,
		      unsigned n, struct flow_packet *in, struct run *run)
{
	uint8_t mine[BATCH + 1];
	unsigned seen = 0, picked = 0;
	if (raws[0].time.ns < run->clock_ns)
		return;
	for (; seen < n && whose[seen] != WHOSE_ANYBODYS; seen++) {
		mine[picked] = (uint8_t)seen;
		picked += whose[seen] == w->conf.number;
	}
	for (unsigned k = 0; k < picked; k++) {
		admit_mine(w, &raws[mine[k]], &in[k]);
		in[k].number = w->number + 1 + mine[k];
	}
	run->seen = seen;
	run->metered = picked;
	if (seen > 0)
		run->clock_ns = raws[seen - 1].time.ns;
}

/* ---- the run ------------------------------------------------------------------------------------ */

unsigned worker_admit_plain(struct worker *w, const struct raw_packet *raws, const uint8_t *whose,
			    unsigned n)
{
	struct run run = {.clock_ns = w->clock_ns};
	struct flow_packet *in = &w->batch[w->pending];
	if (!w->short_cut || w->samples || w->clock_ns == INT64_MIN)
		return 0;
	if (w->shares)
		run_share(w, raws, whose, n, in, &run);
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
