/*
 * Live capture through libpcap: works wherever libpcap does, and is the yardstick for the faster
 * inputs.
 *
 * libpcap's ring is read without blocking; waiting is done here with poll(2), because how long
 * libpcap itself waits depends on kernel and driver. A packet of libpcap's lives until the next
 * one, so each is copied into the batch's memory, up to the snapshot length.
 *
 * The filter is the one of the other inputs, not pcap_setfilter()'s: live, libpcap means by `ip`
 * tagged frames too, which it does not in a capture. It runs in the kernel where libpcap reads a
 * packet socket that has the frame as it was; else here.
 *
 * An interface that goes away is waited for: `next` keeps returning 0 and tries to open it again
 * once a second, by the monotonic clock. A handle belongs to one thread.
 */
#include <net/if.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backend.h"
#include "cbpf.h"
#include "chunks.h"
#include "err.h"
#include "filter.h"
#include "iface.h"
#include "linktype.h"
#include "log.h"

/* Headers, with room for tunnels and IPv6 extensions. */
#define DEFAULT_SNAPLEN 256
#define MAX_SNAPLEN     262144
#define RING_BYTES      (16 << 20)
#define LINK_BYTES      64 /* more than a link header and two tags have */
#define POLL_MS         10
#define RETRY_NS        NS_PER_S
#define FINISH_NS       (4 * POLL_MS * NS_PER_MS)
#define FINISH_MOST_NS  NS_PER_S /* longer, at a port that does not fall silent */

struct pcap_live {
	struct capture base;
	pcap_t *pcap;            /* NULL while the interface is gone */
	char *name;              /* of the interface */
	char *expression;        /* of the filter; NULL without */
	struct filter *filter;   /* in user space, where the kernel cannot; else NULL */
	int snaplen;
	int64_t ns_per_tick;     /* of libpcap's tv_usec */
	struct raw_packet blank; /* what all packets have in common */
	struct chunks copies;
	struct mono_time retry;  /* not to be opened again before */
	uint64_t early;          /* at most so many packets came before the filter was in place ... */
	struct pkt_time placed; /* ... which was then */
	uint64_t received;
	uint64_t filtered;
	uint64_t merged;         /* packets longer than the interface carries */
	uint32_t longest;        /* frame that it does; UINT32_MAX unknown */
	uint64_t drops[CAPTURE_DROP_COUNT]; /* by handles that are closed */
	bool nowait;
	int64_t finish_ns;       /* monotonic: when to stop reading; 0 before capture_finish */
	bool ended;              /* that time has come, and what was there was read */

	/* The batch being filled by on_packet. */
	struct raw_packet *pkts;
	unsigned n;
};

static const char *interface_of(const char *spec)
{
	return strncmp(spec, "pcap:", 5) == 0 ? spec + 5 : spec;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Why an interface cannot be opened, and the cure. Returns the code for it. */
static int explain(const char *name, int status, const char *message, char *errbuf,
		   unsigned errsize)
{
	char names[256];
	switch (status) {
	case PCAP_ERROR_NO_SUCH_DEVICE:
		iface_list(names, sizeof(names));
		snprintf(errbuf, errsize, "%s: no such interface; there are:%s", name, names);
		return -ENODEV;
	case PCAP_ERROR_PERM_DENIED:
	case PCAP_ERROR_PROMISC_PERM_DENIED:
		snprintf(errbuf, errsize,
			 "%s: no permission to capture; run as root or with CAP_NET_RAW", name);
		return -EPERM;
	case PCAP_ERROR_IFACE_NOT_UP:
		snprintf(errbuf, errsize, "%s: the interface is down; try: ip link set %s up", name,
			 name);
		return -ENETDOWN;
	default:
		snprintf(errbuf, errsize, "%s: %s", name,
			 message[0] != '\0' ? message : pcap_statustostr(status));
		return ERR_IO;
	}
}

static int activate(const struct pcap_live *live, pcap_t *pcap, char *errbuf, unsigned errsize)
{
	pcap_set_snaplen(pcap, live->snaplen);
	pcap_set_promisc(pcap, 1);
	pcap_set_immediate_mode(pcap, 0);
	pcap_set_timeout(pcap, POLL_MS);
	pcap_set_buffer_size(pcap, RING_BYTES);
	/* Where it cannot be had, microseconds it is: asked for again below. */
	(void)pcap_set_tstamp_precision(pcap, PCAP_TSTAMP_PRECISION_NANO);
	int status = pcap_activate(pcap);
	if (status < 0)
		return explain(live->name, status, pcap_geterr(pcap), errbuf, errsize);
	if (status > 0)
		log_warnx("capture", "libpcap: %s interface=%s",
			  status == PCAP_WARNING ? pcap_geterr(pcap) : pcap_statustostr(status),
			  live->name);
	return 0;
}

/* Does the kernel see the frames that we get, but for a VLAN tag that it keeps beside? Not where
 * libpcap makes up a header ("any"), nor where it reads something else than a port. */
static bool is_plain_port(pcap_t *pcap)
{
	int domain = -1, fd = pcap_get_selectable_fd(pcap), dlt = pcap_datalink(pcap);
	socklen_t size = sizeof(domain);
	return dlt != DLT_LINUX_SLL && dlt != DLT_LINUX_SLL2 &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_PACKET;
}

/* Packets that the socket has got before they are let go by their number and their time; the one
 * alone would not do where libpcap leaves out what it has counted (lo), nor the other when the
 * clock is set. */
static bool place_filter(struct pcap_live *live, pcap_t *pcap, const struct bpf_program *code)
{
	struct cbpf accept;
	struct pcap_stat stat;
	cbpf_filter(&accept, (const struct sock_filter *)code->bf_insns, code->bf_len,
		    (uint32_t)live->snaplen);
	struct sock_fprog program = {.len = (unsigned short)accept.n, .filter = accept.insn};
	if (accept.bad || setsockopt(pcap_get_selectable_fd(pcap), SOL_SOCKET, SO_ATTACH_FILTER,
				     &program, sizeof(program)) < 0)
		return false;
	live->placed = wall_now();
	live->early = code->bf_len > 0 && pcap_stats(pcap, &stat) == 0 ? stat.ps_recv : 0;
	return true;
}

static int set_filter(struct pcap_live *live, pcap_t *pcap, char *errbuf, unsigned errsize)
{
	struct bpf_program code;
	int dlt = pcap_datalink(pcap);
	int err = filter_compile(live->expression, dlt, live->name, &code, errbuf, errsize);
	if (err != 0)
		return err;
	bool placed = is_plain_port(pcap) && place_filter(live, pcap, &code);
	pcap_freecode(&code);
	if (placed || live->filter != NULL)
		return 0;
	return filter_open(live->expression, linktype_from_dlt(dlt), &live->filter, errbuf,
			   errsize);
}

/* Activates the interface and takes note of what it is. */
static int live_attach(struct pcap_live *live, char *errbuf, unsigned errsize)
{
	char message[PCAP_ERRBUF_SIZE] = "";
	pcap_t *pcap = pcap_create(live->name, message);
	if (pcap == NULL)
		return explain(live->name, PCAP_ERROR, message, errbuf, errsize);
	int rc = activate(live, pcap, errbuf, errsize);
	if (rc == 0)
		rc = set_filter(live, pcap, errbuf, errsize);
	if (rc == 0 && pcap_setnonblock(pcap, 1, message) != 0)
		rc = explain(live->name, PCAP_ERROR, message, errbuf, errsize);
	if (rc < 0) {
		pcap_close(pcap);
		return rc;
	}
	bool nano = pcap_get_tstamp_precision(pcap) == PCAP_TSTAMP_PRECISION_NANO;
	live->ns_per_tick = nano ? 1 : NS_PER_US;
	live->blank.ingress = if_nametoindex(live->name);
	live->blank.linktype = linktype_from_dlt(pcap_datalink(pcap));
	unsigned mtu = iface_mtu(live->blank.ingress);
	live->longest = mtu != 0 ? mtu + LINK_BYTES : UINT32_MAX;
	live->pcap = pcap;
	return 0;
}

static void live_free(struct pcap_live *live)
{
	if (live->pcap != NULL)
		pcap_close(live->pcap);
	chunks_fini(&live->copies);
	filter_free(live->filter);
	free(live->name);
	free(live->expression);
	free(live);
}

static int live_init(struct pcap_live *live, const struct capture_conf *conf, char *errbuf,
		     unsigned errsize)
{
	bool filtered = conf->filter != NULL && conf->filter[0] != '\0';
	live->base.ops = &capture_pcap_live_ops;
	live->name = strdup(interface_of(conf->spec));
	live->expression = filtered ? strdup(conf->filter) : NULL;
	live->blank.iface = conf->iface;
	live->nowait = conf->nowait;
	uint32_t snaplen = conf->snaplen != 0 ? conf->snaplen : DEFAULT_SNAPLEN;
	live->snaplen = (int)(snaplen < MAX_SNAPLEN ? snaplen : MAX_SNAPLEN);
	if (live->name == NULL || (filtered && live->expression == NULL)) {
		snprintf(errbuf, errsize, "%s: %s", conf->spec, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	if (live->name[0] == '\0') {
		snprintf(errbuf, errsize, "%s: names no interface; try pcap:eth0", conf->spec);
		return ERR_USAGE;
	}
	return live_attach(live, errbuf, errsize);
}

static int live_open(const struct capture_conf *conf, char *errbuf, unsigned errsize,
		     struct capture **ret_capture)
{
	struct pcap_live *live = calloc(1, sizeof(*live));
	if (live == NULL) {
		snprintf(errbuf, errsize, "%s: %s", conf->spec, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	int rc = live_init(live, conf, errbuf, errsize);
	if (rc < 0) {
		live_free(live);
		return rc;
	}
	*ret_capture = &live->base;
	return 0;
}

/* ---- packets ------------------------------------------------------------------------------- */

/* Adds what a handle has lost. What the port has lost (ps_ifdrop) is counted for all inputs alike. */
static void add_drops(pcap_t *pcap, uint64_t drops[CAPTURE_DROP_COUNT])
{
	struct pcap_stat stat;
	if (pcap == NULL || pcap_stats(pcap, &stat) != 0)
		return;
	drops[CAPTURE_DROP_RING] += stat.ps_drop;
}

/* The interface is gone, or as good as. */
static void live_lose(struct pcap_live *live)
{
	log_warnx("capture", "interface lost, trying again once a second: %s interface=%s",
		  pcap_geterr(live->pcap), live->name);
	add_drops(live->pcap, live->drops);
	pcap_close(live->pcap);
	live->pcap = NULL;
	live->retry.ns = mono_now().ns + RETRY_NS;
}

static void live_retry(struct pcap_live *live)
{
	char message[CAPTURE_ERRBUF_SIZE];
	if (mono_now().ns < live->retry.ns)
		return;
	live->retry.ns = mono_now().ns + RETRY_NS;
	if (live_attach(live, message, sizeof(message)) == 0)
		log_warnx("capture", "interface is back: interface=%s", live->name);
}

static bool is_early(struct pcap_live *live, int64_t ns)
{
	if (live->early == 0)
		return false;
	live->early--;
	return ns < live->placed.ns;
}

static void on_packet(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	struct pcap_live *live = (struct pcap_live *)user;
	struct raw_packet *pkt = &live->pkts[live->n];
	uint32_t caplen = header->caplen < MAX_SNAPLEN ? header->caplen : MAX_SNAPLEN;
	int64_t ns = header->ts.tv_sec * NS_PER_S + header->ts.tv_usec * live->ns_per_tick;
	if (is_early(live, ns))
		return;
	*pkt = live->blank;
	pkt->data = chunks_copy(&live->copies, data, caplen);
	pkt->caplen = pkt->data != NULL ? caplen : 0;
	pkt->wirelen = header->len > caplen ? header->len : caplen;
	live->merged += header->len > live->longest;
	pkt->time.ns = ns > 0 ? ns : 0;
	live->n++;
}

/* Waits for packets, or for the interface, at most POLL_MS. */
static void live_wait(const struct pcap_live *live)
{
	int fd = live->pcap != NULL ? pcap_get_selectable_fd(live->pcap) : -1;
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	(void)poll(&pollfd, 1, POLL_MS);
}

/* Adds what is there to the batch, up to `max` packets in all. */
static void live_fill(struct pcap_live *live, unsigned max)
{
	if (live->pcap == NULL)
		live_retry(live);
	if (live->pcap == NULL)
		return;
	int got = pcap_dispatch(live->pcap, (int)(max - live->n), on_packet, (u_char *)live);
	if (got < 0 && got != PCAP_ERROR_BREAK)
		live_lose(live);
}

static int live_next(struct capture *capture, struct raw_packet *pkts, unsigned max)
{
	struct pcap_live *live = (struct pcap_live *)capture;
	if (max == 0) /* to libpcap, 0 packets are all there are */
		return 0;
	int64_t late_ns = live->finish_ns != 0 ? mono_now().ns - live->finish_ns : 0;
	if (live->ended || late_ns > FINISH_MOST_NS)
		return ERR_EOF;
	chunks_recycle(&live->copies, NULL);
	live->pkts = pkts;
	live->n = 0;
	live_fill(live, max);
	if (live->n == 0 && !live->nowait) {
		live_wait(live);
		live_fill(live, max);
	}
	live->ended = late_ns > 0 && live->n == 0;
	live->received += live->n;
	if (live->filter == NULL)
		return (int)live->n;
	unsigned kept = filter_keep(live->filter, pkts, live->n);
	live->filtered += live->n - kept;
	return (int)kept;
}

static int live_fd(struct capture *capture)
{
	const struct pcap_live *live = (const struct pcap_live *)capture;
	return live->pcap != NULL ? pcap_get_selectable_fd(live->pcap) : -1;
}

/* libpcap lets go of a block that is not full only after its timeout. */
static void live_finish(struct capture *capture)
{
	struct pcap_live *live = (struct pcap_live *)capture;
	live->finish_ns = mono_now().ns + FINISH_NS;
}

static void live_stats(struct capture *capture, struct capture_stats *ret_stats)
{
	const struct pcap_live *live = (const struct pcap_live *)capture;
	*ret_stats = (struct capture_stats){
		.received = live->received,
		.filtered = live->filtered,
		.merged = live->merged,
		.gone = live->pcap == NULL,
	};
	memcpy(ret_stats->drops, live->drops, sizeof(live->drops));
	add_drops(live->pcap, ret_stats->drops);
}

static void live_close(struct capture *capture)
{
	if (capture != NULL)
		live_free((struct pcap_live *)capture);
}

const struct capture_ops capture_pcap_live_ops = {
	.name = "pcap",
	.port = true,
	.open = live_open,
	.next = live_next,
	.fd = live_fd,
	.finish = live_finish,
	.stats = live_stats,
	.close = live_close,
};
