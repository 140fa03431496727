/*
 * AF_XDP: packets of all queues of a port, taken by a program in the driver before the kernel makes
 * anything of them, and handed over where they lie in memory shared with it.
 *
 * Waiting is by naps while packets flow, by poll when they do not: a thread asleep in poll is woken
 * for each few packets, which costs more than a microsecond a packet; while it naps they gather
 * and nobody is woken. The longest wait is under 20 ms.
 *
 * The filter runs in user space, AF_XDP having none in the kernel. Packets get the clock's time
 * when their batch is looked at. What was taken the host does not get, hence the refusal of ports
 * that carry its address. A port that goes away, or whose number of queues changes, is opened anew
 * once a second until it works. A handle belongs to one thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "backend.h"
#include "err.h"
#include "filter.h"
#include "log.h"
#include "spec.h"
#include "xdp_port.h"
#include "xdp_prog.h"
#include "xdp_queue.h"

#define LINKTYPE_ETHERNET 1

/* Frames of all queues together, and what a queue gets of them. 8,192 are 8 ms at a million
 * packets a second. */
#define FRAMES_TOTAL 65536
#define FRAMES_MIN   2048
#define FRAMES_MAX   8192

/* The kernel keeps so much of a frame for itself; two VLAN tags make a header longer. */
#define FRAME_HEADROOM 256
#define FRAME_HEADERS  22

/* The first nap; each that brings nothing doubles the next. After the last, poll. */
#define NAP_NS	 (500 * NS_PER_US)
#define NAPS	 3
#define POLL_MS	 10
#define CHECK_NS NS_PER_S

/* From capture_finish until packets pass again. */
#define FINISH_NS (20 * NS_PER_MS)

struct capture_xdp {
	struct capture base;
	struct spec_port spec;
	struct xdp_port port;
	struct xdp_prog prog;
	struct xdp_queue **queue; /* NULLs when the port is gone */
	unsigned queues;	  /* open ones: 0 when the port is gone */
	int ready;		  /* epoll descriptor of all queues, -1: the port is gone */
	unsigned next;		  /* the queue to look at first */
	int promisc;		  /* descriptor, -1: none */
	struct filter *filter;	  /* NULL without */
	struct raw_packet blank;
	bool nowait;
	bool started;		/* packets are taken */
	int64_t finish_ns;	/* monotonic: when to take no more; 0 before capture_finish */
	bool finished;		/* no more are taken */
	struct mono_time check; /* is the port still there? Not before */
	uint64_t received;
	uint64_t filtered;
	uint64_t merged;  /* longer than the port's MTU */
	uint64_t dropped; /* by queues that are closed */
};

/* ---- opening ------------------------------------------------------------------------------- */

static unsigned frames_per_queue(unsigned queues)
{
	unsigned frames = FRAMES_MAX;
	while (frames > FRAMES_MIN && frames * queues > FRAMES_TOTAL)
		frames /= 2;
	return frames;
}

/* A queue that cannot be had. */
static int explain_queue(const struct capture_xdp *xdp, unsigned queue, int err, char *errbuf,
			 unsigned errsize)
{
	const char *name = xdp->spec.name;
	if (err == -EBUSY)
		snprintf(errbuf, errsize,
			 "%s: another program reads queue %u of this port by AF_XDP", name, queue);
	else if (err == -ENETDOWN)
		snprintf(errbuf, errsize, "%s: the interface is down; try: ip link set %s up", name,
			 name);
	else if (err == -EPERM)
		snprintf(errbuf, errsize,
			 "%s: no permission for AF_XDP; run as root or with CAP_NET_RAW", name);
	else if (err == -EAFNOSUPPORT)
		snprintf(errbuf, errsize,
			 "%s: this kernel has no AF_XDP (CONFIG_XDP_SOCKETS); try ring:%s", name,
			 name);
	else if (err == -ENOBUFS)
		snprintf(
			errbuf, errsize,
			"%s: too little memory may be locked; raise ulimit -l or give CAP_IPC_LOCK",
			name);
	else
		snprintf(errbuf, errsize, "%s: queue %u cannot be read by AF_XDP: %s; try ring:%s",
			 name, queue, strerror(-err), name);
	return err;
}

static void port_close(struct capture_xdp *xdp)
{
	for (unsigned i = 0; i < xdp->queues; i++) {
		xdp->dropped += xdp_queue_dropped(xdp->queue[i]);
		xdp_queue_close(xdp->queue[i]);
	}
	xdp_prog_detach(&xdp->prog);
	if (xdp->promisc >= 0)
		close(xdp->promisc);
	if (xdp->ready >= 0)
		close(xdp->ready);
	free(xdp->queue);
	xdp->queue = NULL;
	xdp->queues = 0;
	xdp->promisc = -1;
	xdp->ready = -1;
}

/* The next queue. */
static int open_queue(struct capture_xdp *xdp, const struct xdp_queue_conf *conf)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct xdp_queue **queue = &xdp->queue[xdp->queues];
	int err = xdp_queue_open(conf, queue);
	if (err != 0)
		return err;
	xdp->queues++;
	return epoll_ctl(xdp->ready, EPOLL_CTL_ADD, xdp_queue_fd(*queue), &event) == 0 ? 0 : -errno;
}

static int open_queues(struct capture_xdp *xdp, char *errbuf, unsigned errsize)
{
	unsigned n = xdp->port.queues;
	struct xdp_queue_conf conf = {
		.name = xdp->spec.name,
		.frames = frames_per_queue(n),
		.frame_bytes = xdp->port.mtu + FRAME_HEADERS + FRAME_HEADROOM <= 2048 ? 2048 : 4096,
		.copy = xdp->spec.copy || !xdp->prog.native,
		.pieces = true,
	};
	xdp->queue = calloc(n, sizeof(*xdp->queue));
	xdp->ready = epoll_create1(EPOLL_CLOEXEC);
	if (xdp->queue == NULL || xdp->ready < 0)
		return explain_queue(xdp, 0, ERR_NOMEM, errbuf, errsize);
	for (unsigned i = 0; i < n; i++) {
		conf.queue = i;
		int err = open_queue(xdp, &conf);
		if (err != 0)
			return explain_queue(xdp, i, err, errbuf, errsize);
	}
	return 0;
}

static int refuse_host(const struct capture_xdp *xdp, char *errbuf, unsigned errsize)
{
	const char *name = xdp->spec.name;
	char address[96];
	if (xdp->spec.force || !xdp_port_is_host(name, address, sizeof(address)))
		return 0;
	snprintf(errbuf, errsize,
		 "%s: has the host's own address %s, and what xdp takes the host no longer gets; "
		 "use ring:%s, or xdp:%s,force if that is meant",
		 name, address, name, name);
	return ERR_USAGE;
}

static void say_how(const struct capture_xdp *xdp)
{
	log_info("capture", "xdp: interface=%s mode=%s copy=%s queues=%u", xdp->spec.name,
		 xdp->prog.native ? "native" : "generic",
		 xdp_queue_is_zero_copy(xdp->queue[0]) ? "no" : "yes", xdp->queues);
	if (xdp->port.takes_vlan)
		log_warnx(
			"capture",
			"the port may take VLAN tags off before XDP sees them, cure: ethtool -K %s "
			"rxvlan off",
			xdp->spec.name);
}

/* The port from the beginning; on failure as if it had not been touched. */
static int port_open(struct capture_xdp *xdp, char *errbuf, unsigned errsize)
{
	const char *name = xdp->spec.name;
	int err = xdp_port_look(name, &xdp->port, errbuf, errsize);
	if (err == 0 && !xdp->port.up)
		err = explain_queue(xdp, 0, -ENETDOWN, errbuf, errsize);
	if (err == 0)
		err = refuse_host(xdp, errbuf, errsize);
	if (err == 0)
		err = xdp_prog_attach(&xdp->prog, name, xdp->port.ifindex, xdp->port.queues,
				      xdp->spec.generic, errbuf, errsize);
	if (err == 0)
		err = open_queues(xdp, errbuf, errsize);
	if (err != 0) {
		port_close(xdp);
		return err;
	}
	xdp->promisc = xdp_port_promiscuous(xdp->port.ifindex);
	if (xdp->promisc < 0)
		log_warnx("capture", "only frames for this host will come: %s interface=%s",
			  err_str(xdp->promisc), name);
	xdp->blank.ingress = xdp->port.ifindex;
	xdp->check.ns = mono_now().ns + CHECK_NS;
	return 0;
}

static void xdp_close(struct capture *capture)
{
	struct capture_xdp *xdp = (struct capture_xdp *)capture;
	if (xdp == NULL)
		return;
	port_close(xdp);
	filter_free(xdp->filter);
	free(xdp);
}

static int xdp_open(const struct capture_conf *conf, char *errbuf, unsigned errsize,
		    struct capture **ret_capture)
{
	struct capture_xdp *xdp = calloc(1, sizeof(*xdp));
	if (xdp == NULL) {
		snprintf(errbuf, errsize, "%s: %s", conf->spec, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	xdp->base.ops = &capture_xdp_ops;
	xdp->prog = XDP_PROG_NONE;
	xdp->promisc = -1;
	xdp->ready = -1;
	xdp->nowait = conf->nowait;
	xdp->blank.linktype = LINKTYPE_ETHERNET;
	xdp->blank.iface = conf->iface;
	int err = spec_parse_port(conf->spec, &xdp->spec, errbuf, errsize);
	if (err == 0)
		err = filter_open(conf->filter, LINKTYPE_ETHERNET, &xdp->filter, errbuf, errsize);
	if (err == 0)
		err = port_open(xdp, errbuf, errsize);
	if (err != 0) {
		xdp_close(&xdp->base);
		return err;
	}
	say_how(xdp);
	*ret_capture = &xdp->base;
	return 0;
}

/* ---- taking and no more -------------------------------------------------------------------- */

static void port_start(struct capture_xdp *xdp)
{
	for (unsigned i = 0; i < xdp->queues; i++) {
		int err = xdp_prog_add(&xdp->prog, i, xdp_queue_fd(xdp->queue[i]));
		if (err != 0)
			log_errorx("capture", "queue %u is not watched: %s interface=%s", i,
				   err_str(err), xdp->spec.name);
	}
}

static void xdp_start(struct capture *capture)
{
	struct capture_xdp *xdp = (struct capture_xdp *)capture;
	xdp->started = true;
	port_start(xdp);
}

/* What has been sent may still be on its way through the driver. */
static void xdp_finish(struct capture *capture)
{
	((struct capture_xdp *)capture)->finish_ns = mono_now().ns + FINISH_NS;
}

static void stop_if_time(struct capture_xdp *xdp)
{
	if (xdp->finished || mono_now().ns < xdp->finish_ns)
		return;
	for (unsigned i = 0; i < xdp->queues; i++)
		xdp_prog_remove(&xdp->prog, i);
	xdp->finished = true;
}

static int xdp_fd(struct capture *capture)
{
	return ((struct capture_xdp *)capture)->ready;
}

/* ---- a port that goes and comes ------------------------------------------------------------ */

/* Is the port open still the one of that name, with as many queues? It is another when it was moved
 * to a namespace and back, though it kept its number. */
static bool port_is_same(const struct capture_xdp *xdp)
{
	char text[CAPTURE_ERRBUF_SIZE];
	struct xdp_port now;
	return xdp_queue_is_bound(xdp->queue[0]) &&
	       xdp_port_look(xdp->spec.name, &now, text, sizeof(text)) == 0 &&
	       now.ifindex == xdp->port.ifindex && now.queues == xdp->port.queues;
}

/* Once a second, in a pause. */
static void check_port(struct capture_xdp *xdp)
{
	char text[CAPTURE_ERRBUF_SIZE];
	if (mono_now().ns < xdp->check.ns)
		return;
	xdp->check.ns = mono_now().ns + CHECK_NS;
	if (xdp->queues > 0 && !port_is_same(xdp)) {
		log_warnx("capture", "interface lost, trying again once a second: interface=%s",
			  xdp->spec.name);
		port_close(xdp);
	}
	if (xdp->queues == 0 && port_open(xdp, text, sizeof(text)) == 0) {
		port_start(xdp);
		log_warnx("capture", "interface is back: interface=%s", xdp->spec.name);
		say_how(xdp);
	}
}

/* ---- packets ------------------------------------------------------------------------------- */

/* What is there now, of all queues, each queue first in its turn. */
static unsigned take(struct capture_xdp *xdp, struct raw_packet *pkts, unsigned max)
{
	unsigned n = 0;
	for (unsigned i = 0; i < xdp->queues && n < max; i++) {
		unsigned at = (xdp->next + i) % xdp->queues;
		n += xdp_queue_take(xdp->queue[at], &xdp->blank, pkts + n, max - n);
	}
	xdp->next++;
	return n;
}

static void give_back(struct capture_xdp *xdp)
{
	for (unsigned i = 0; i < xdp->queues; i++)
		xdp_queue_give_back(xdp->queue[i]);
}

static void wait_ready(const struct capture_xdp *xdp)
{
	struct pollfd pollfd = {.fd = xdp->ready, .events = POLLIN};
	(void)poll(&pollfd, 1, POLL_MS);
}

/* Waits until packets are there; 0 when none came. */
static unsigned wait_and_take(struct capture_xdp *xdp, struct raw_packet *pkts, unsigned max)
{
	unsigned n = 0;
	if (xdp->nowait) {
		check_port(xdp);
		return 0;
	}
	for (unsigned nap = 0; nap < NAPS && n == 0; nap++) {
		nanosleep(&(struct timespec){0, NAP_NS << nap}, NULL);
		n = take(xdp, pkts, max);
	}
	if (n > 0 || xdp->finished)
		return n;
	check_port(xdp);
	wait_ready(xdp);
	return take(xdp, pkts, max);
}

/* Super-packets: the generic hook sees them whole, and does not know of how many segments. */
static uint64_t count_merged(const struct capture_xdp *xdp, const struct raw_packet *pkts,
			     unsigned n)
{
	uint32_t longest = xdp->port.mtu + FRAME_HEADERS;
	uint64_t merged = 0;
	for (unsigned i = 0; i < n; i++)
		merged += pkts[i].wirelen > longest;
	return merged;
}

static int xdp_next(struct capture *capture, struct raw_packet *pkts, unsigned max)
{
	struct capture_xdp *xdp = (struct capture_xdp *)capture;
	give_back(xdp);
	if (xdp->finish_ns != 0)
		stop_if_time(xdp);
	unsigned n = take(xdp, pkts, max);
	if (n == 0)
		n = wait_and_take(xdp, pkts, max);
	if (n == 0 && xdp->finished)
		return ERR_EOF;
	struct pkt_time now = wall_now();
	for (unsigned i = 0; i < n; i++)
		pkts[i].time = now;
	xdp->received += n;
	if (!xdp->prog.native)
		xdp->merged += count_merged(xdp, pkts, n);
	if (xdp->filter == NULL)
		return (int)n;
	unsigned kept = filter_keep(xdp->filter, pkts, n);
	xdp->filtered += n - kept;
	return (int)kept;
}

static void xdp_stats(struct capture *capture, struct capture_stats *ret_stats)
{
	const struct capture_xdp *xdp = (const struct capture_xdp *)capture;
	*ret_stats = (struct capture_stats){
		.received = xdp->received,
		.filtered = xdp->filtered,
		.merged = xdp->merged,
		.drops = {[CAPTURE_DROP_RING] = xdp->dropped},
		.gone = xdp->queues == 0,
	};
	for (unsigned i = 0; i < xdp->queues; i++)
		ret_stats->drops[CAPTURE_DROP_RING] += xdp_queue_dropped(xdp->queue[i]);
}

const struct capture_ops capture_xdp_ops = {
	.name = "xdp",
	.port = true,
	.open = xdp_open,
	.start = xdp_start,
	.next = xdp_next,
	.fd = xdp_fd,
	.finish = xdp_finish,
	.stats = xdp_stats,
	.close = xdp_close,
};
