/*
 * Several ports as one input ("eth1+eth2"): the two directions of a tap, or the links of a bundle.
 *
 * One worker reads them all, and packets are handed out in the order of their times: who spoke
 * first decides a flow's direction. A port that has nothing to show may yet have an earlier packet
 * on its way (a block is some milliseconds old when it comes), so the others' packets wait until
 * they are HOLD_NS old; where all ports have some, none waits. A handle belongs to one thread.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "err.h"

#define PORT_BATCH 64
#define HOLD_NS	   (15 * NS_PER_MS)
#define POLL_MS	   10
#define SPEC_SIZE  256

/* A port and what it has shown. */
struct port {
	struct capture *capture;
	bool ended;
	unsigned n;    /* packets shown */
	unsigned next; /* the first that was not handed out */
	struct raw_packet pkts[PORT_BATCH];
};

struct joined {
	struct capture base;
	unsigned count;
	struct port ports[CAPTURE_PARTS_MAX];
};

static inline struct joined *joined_of(struct capture *capture)
{
	return (struct joined *)capture;
}

/* ---- opening -------------------------------------------------------------------------------- */

static void joined_close(struct capture *capture)
{
	struct joined *j = joined_of(capture);
	if (j == NULL)
		return;
	for (unsigned i = 0; i < j->count; i++)
		capture_close(j->ports[i].capture);
	free(j);
}

/* A port as an input of its own, that does not wait and leaves sampling to who reads them all. */
static int open_port(struct joined *j, const struct capture_conf *conf, const char *spec,
		     char *errbuf, unsigned errsize)
{
	struct capture_conf one = *conf;
	one.spec = spec;
	one.team = NULL;
	one.random_n = 0;
	one.nowait = true;
	struct capture *capture;
	int err = capture_open(&one, errbuf, errsize, &capture);
	if (err != 0)
		return err;
	j->ports[j->count++].capture = capture;
	if (capture->ops->fd == NULL) {
		snprintf(errbuf, errsize,
			 "%s: cannot be joined with others; give it an -i of its own", spec);
		return ERR_NOTSUP;
	}
	return 0;
}

/* Is it one of those that are open? Its packets would come twice. */
static bool is_named_before(const struct joined *j, const char *joined_spec, const char *spec)
{
	char other[SPEC_SIZE];
	for (unsigned i = 0; i < j->count; i++)
		if (capture_spec_part(joined_spec, i, other, sizeof(other)) &&
		    strcmp(other, spec) == 0)
			return true;
	return false;
}

static int open_ports(struct joined *j, const struct capture_conf *conf, char *errbuf,
		      unsigned errsize)
{
	char spec[SPEC_SIZE];
	int err = 0;
	while (err == 0 && capture_spec_part(conf->spec, j->count, spec, sizeof(spec))) {
		if (j->count == CAPTURE_PARTS_MAX) {
			snprintf(errbuf, errsize, "%s: more than %d ports; join fewer", conf->spec,
				 CAPTURE_PARTS_MAX);
			return ERR_USAGE;
		}
		if (is_named_before(j, conf->spec, spec)) {
			snprintf(errbuf, errsize, "%s: names %s twice; name each once", conf->spec,
				 spec);
			return ERR_USAGE;
		}
		err = open_port(j, conf, spec, errbuf, errsize);
	}
	if (err == 0 && j->count < 2) {
		snprintf(errbuf, errsize, "%s: names no two interfaces; try eth1+eth2", conf->spec);
		err = ERR_USAGE;
	}
	return err;
}

static int joined_open(const struct capture_conf *conf, char *errbuf, unsigned errsize,
		       struct capture **ret_capture)
{
	struct joined *j = calloc(1, sizeof(*j));
	if (j == NULL) {
		snprintf(errbuf, errsize, "%s: %s", conf->spec, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	j->base.ops = &capture_joined_ops;
	int err = open_ports(j, conf, errbuf, errsize);
	if (err != 0) {
		joined_close(&j->base);
		return err;
	}
	*ret_capture = &j->base;
	return 0;
}

static void joined_start(struct capture *capture)
{
	struct joined *j = joined_of(capture);
	for (unsigned i = 0; i < j->count; i++)
		capture_start(j->ports[i].capture);
}

/* ---- packets -------------------------------------------------------------------------------- */

static inline bool is_empty(const struct port *p)
{
	return p->next == p->n;
}

static inline int64_t head_ns(const struct port *p)
{
	return p->pkts[p->next].time.ns;
}

/* Asks the ports whose packets have all been handed out. 0, or an error. */
static int refill(struct joined *j)
{
	for (unsigned i = 0; i < j->count; i++) {
		struct port *p = &j->ports[i];
		if (!is_empty(p) || p->ended)
			continue;
		int n = capture_next(p->capture, p->pkts, PORT_BATCH);
		if (n < 0 && n != ERR_EOF)
			return n;
		p->ended = n == ERR_EOF;
		p->n = n > 0 ? (unsigned)n : 0;
		p->next = 0;
	}
	return 0;
}

/* The port with the earliest packet; NULL when all are empty. */
static struct port *earliest(struct joined *j)
{
	struct port *first = NULL;
	for (unsigned i = 0; i < j->count; i++) {
		struct port *p = &j->ports[i];
		if (!is_empty(p) && (first == NULL || head_ns(p) < head_ns(first)))
			first = p;
	}
	return first;
}

/* Packets up to this time need not wait for ports that are empty. When the clock was set back, all
 * that seems to come from far ahead need not either. */
static bool is_due(int64_t time_ns, int64_t now_ns)
{
	return time_ns <= now_ns - HOLD_NS || time_ns > now_ns + HOLD_NS;
}

/* Could a port that is empty still show an earlier packet? */
static bool has_silent(const struct joined *j)
{
	for (unsigned i = 0; i < j->count; i++)
		if (is_empty(&j->ports[i]) && !j->ports[i].ended)
			return true;
	return false;
}

static bool has_ended(const struct joined *j)
{
	for (unsigned i = 0; i < j->count; i++)
		if (!is_empty(&j->ports[i]) || !j->ports[i].ended)
			return false;
	return true;
}

/* In order of time, until a port that gave some has no more: it is asked in the next call, since
 * what it gave must last for this one. */
static unsigned merge(struct joined *j, struct raw_packet *pkts, unsigned max)
{
	bool silent = has_silent(j);
	int64_t now_ns = silent ? wall_now().ns : 0;
	unsigned n = 0;
	while (n < max) {
		struct port *p = earliest(j);
		if (p == NULL || (silent && !is_due(head_ns(p), now_ns)))
			break;
		pkts[n++] = p->pkts[p->next++];
		if (is_empty(p))
			break;
	}
	return n;
}

/* Waits for those that have nothing, at most until what the others have is due. */
static void wait_for_silent(struct joined *j)
{
	struct pollfd fds[CAPTURE_PARTS_MAX];
	unsigned n = 0;
	int wait_ms = POLL_MS;
	const struct port *p = earliest(j);
	if (p != NULL) {
		int64_t left_ns = head_ns(p) + HOLD_NS - wall_now().ns;
		wait_ms = left_ns <= 0 ? 0 : (int)(left_ns / NS_PER_MS) + 1;
	}
	for (unsigned i = 0; i < j->count; i++)
		if (is_empty(&j->ports[i]))
			fds[n++] = (struct pollfd){.fd = capture_fd(j->ports[i].capture),
						   .events = POLLIN};
	(void)poll(fds, n, wait_ms < POLL_MS ? wait_ms : POLL_MS);
}

static int joined_next(struct capture *capture, struct raw_packet *pkts, unsigned max)
{
	struct joined *j = joined_of(capture);
	int err = refill(j);
	if (err != 0)
		return err;
	unsigned n = merge(j, pkts, max);
	if (n > 0)
		return (int)n;
	if (has_ended(j))
		return ERR_EOF;
	wait_for_silent(j);
	err = refill(j);
	return err != 0 ? err : (int)merge(j, pkts, max);
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void joined_finish(struct capture *capture)
{
	struct joined *j = joined_of(capture);
	for (unsigned i = 0; i < j->count; i++)
		j->ports[i].ended |= !capture_finish(j->ports[i].capture);
}

static void joined_stats(struct capture *capture, struct capture_stats *ret_stats)
{
	const struct joined *j = joined_of(capture);
	*ret_stats = (struct capture_stats){.received = 0};
	for (unsigned i = 0; i < j->count; i++) {
		struct capture_stats s;
		capture_stats(j->ports[i].capture, &s);
		capture_stats_add(ret_stats, &s);
	}
}

static struct capture *joined_part(struct capture *capture, unsigned number)
{
	struct joined *j = joined_of(capture);
	return number < j->count ? j->ports[number].capture : NULL;
}

const struct capture_ops capture_joined_ops = {
	.name = "joined",
	.port = true,
	.open = joined_open,
	.start = joined_start,
	.next = joined_next,
	.finish = joined_finish,
	.stats = joined_stats,
	.part = joined_part,
	.close = joined_close,
};
