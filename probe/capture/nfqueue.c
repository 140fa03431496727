/*
 * NFQUEUE: packets that a gateway's rule queues (iptables -j NFQUEUE, nft queue). Each is accepted
 * before it is metered, all of a receive by one verdict a queue, so weir costs the traffic as
 * little time as can be.
 *
 * Nothing is lost to the traffic on weir's account: the queue fails open, so what it has no room
 * for passes. That is lost to metering only; packets are numbered by queue, and the gaps are
 * counted as dropped. The queue is long and its socket's buffer is not, so an overrun shows as a
 * gap and not in the kernel's count of a full queue, which in a queue that fails open stays 0.
 * Until `start` and from `finish` on the queue has length 0: everything passes without us.
 *
 * Super-packets are cut into what will be on the wire by the kernel (no NFQA_CFG_F_GSO). Several
 * workers share a range of queues, which keeps flows whole as long as the rules spread packets over
 * it by the address pair (--queue-balance). A handle belongs to one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "err.h"
#include "filter.h"
#include "log.h"
#include "nfsock.h"
#include "spec.h"
#include "wire.h"

#define LINKTYPE_RAW	 101
#define DEFAULT_SNAPLEN	 256
#define MAX_SNAPLEN	 65531 /* the kernel's limit */
#define ATTRIBUTES_BYTES 1024  /* what comes with a packet */
#define QUEUE_LENGTH	 131072
#define POLL_MS		 10
#define TABLE		 "/proc/net/netfilter/nfnetlink_queue"
#define PACKET_TYPE	 (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)
#define TABLE_EVERY_NS	 NS_PER_S
#define ATTRIBUTES	 64 /* more than any version of the library knows */

/* One of the range's queues. */
struct queue {
	uint32_t last; /* id of the packet last received, 0: none yet */
	bool waits;    /* for a verdict up to `last` */
	bool ours;
};

struct nfqueue {
	struct capture base;
	struct nfsock *sock;
	char *spec;
	struct filter *filter; /* NULL without */
	struct raw_packet blank;
	struct spec_range range;
	uint32_t snaplen;
	bool nowait;
	bool finished;
	uint64_t received;
	uint64_t filtered;
	uint64_t missed; /* gaps in the ids */
	uint64_t full;	 /* by the kernel's table, as read last */
	struct mono_time table_read;
	struct queue queue[SPEC_QUEUES_MAX];
};

/* ---- opening ------------------------------------------------------------------------------- */

static struct queue *queue_of(struct nfqueue *nfq, uint16_t number)
{
	unsigned i = (unsigned)(number - nfq->range.first);
	return number >= nfq->range.first && number <= nfq->range.last && nfq->queue[i].ours
		       ? &nfq->queue[i]
		       : NULL;
}

static int explain(const struct nfqueue *nfq, uint16_t number, int err, char *errbuf,
		   unsigned errsize)
{
	uint32_t owner = nfsock_owner(TABLE, number);
	if (owner != 0)
		snprintf(errbuf, errsize,
			 "%s: queue %u is read by another program already (netlink port %u in %s)",
			 nfq->spec, number, owner, TABLE);
	else if (err == -EPERM)
		snprintf(
			errbuf, errsize,
			"%s: no permission for netfilter queues; run as root or with CAP_NET_ADMIN",
			nfq->spec);
	else if (err == -EINVAL || err == -EOPNOTSUPP)
		snprintf(errbuf, errsize,
			 "%s: this kernel has no netfilter queues; try: modprobe nfnetlink_queue",
			 nfq->spec);
	else
		snprintf(errbuf, errsize, "%s: queue %u: %s", nfq->spec, number, err_str(err));
	return err;
}

/* All in one message, so that the queue does not exist for a moment without failing open. */
static int bind_queue(struct nfqueue *nfq, uint16_t number)
{
	char buf[NFSOCK_REQUEST_SIZE];
	struct nlmsghdr *request = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, number);
	nfq_nlmsg_cfg_put_cmd(request, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
	nfq_nlmsg_cfg_put_params(request, NFQNL_COPY_PACKET, (int)nfq->snaplen);
	nfq_nlmsg_cfg_put_qmaxlen(request, 0);
	nfsock_put_u32(request, NFQA_CFG_FLAGS, NFQA_CFG_F_FAIL_OPEN);
	nfsock_put_u32(request, NFQA_CFG_MASK, NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_GSO);
	return nfsock_ask(nfq->sock, request);
}

/* The queues of this worker: every so manieth of the range. */
static int bind_queues(struct nfqueue *nfq, unsigned worker, unsigned workers, char *errbuf,
		       unsigned errsize)
{
	unsigned n = (unsigned)(nfq->range.last - nfq->range.first) + 1;
	for (unsigned i = worker; i < n; i += workers) {
		uint16_t number = (uint16_t)(nfq->range.first + i);
		int err = bind_queue(nfq, number);
		if (err != 0)
			return explain(nfq, number, err, errbuf, errsize);
		nfq->queue[i].ours = true;
	}
	return 0;
}

static int nfqueue_init(struct nfqueue *nfq, const struct capture_conf *conf, char *errbuf,
			unsigned errsize)
{
	uint32_t snaplen = conf->snaplen != 0 ? conf->snaplen : DEFAULT_SNAPLEN;
	nfq->base.ops = &capture_nfqueue_ops;
	nfq->snaplen = snaplen < MAX_SNAPLEN ? snaplen : MAX_SNAPLEN;
	nfq->nowait = conf->nowait;
	nfq->blank.iface = conf->iface;
	nfq->spec = strdup(conf->spec);
	if (nfq->spec == NULL) {
		snprintf(errbuf, errsize, "%s: %s", conf->spec, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	int err = spec_parse_range(conf->spec, SPEC_QUEUES_MAX, &nfq->range, errbuf, errsize);
	if (err == 0)
		err = filter_open(conf->filter, LINKTYPE_RAW, &nfq->filter, errbuf, errsize);
	if (err == 0)
		err = nfsock_open(conf->spec, nfq->snaplen + ATTRIBUTES_BYTES, &nfq->sock, errbuf,
				  errsize);
	if (err == 0)
		err = bind_queues(nfq, conf->worker, conf->team != NULL ? conf->team->workers : 1,
				  errbuf, errsize);
	return err;
}

static void nfqueue_close(struct capture *capture)
{
	struct nfqueue *nfq = (struct nfqueue *)capture;
	if (nfq == NULL)
		return;
	nfsock_close(nfq->sock);
	filter_free(nfq->filter);
	free(nfq->spec);
	free(nfq);
}

static int nfqueue_open(const struct capture_conf *conf, char *errbuf, unsigned errsize,
			struct capture **ret_capture)
{
	struct nfqueue *nfq = calloc(1, sizeof(*nfq));
	if (nfq == NULL) {
		snprintf(errbuf, errsize, "%s: %s", conf->spec, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	int err = nfqueue_init(nfq, conf, errbuf, errsize);
	if (err != 0) {
		nfqueue_close(&nfq->base);
		return err;
	}
	*ret_capture = &nfq->base;
	return 0;
}

static unsigned nfqueue_workers(const char *spec, unsigned wanted)
{
	char text[CAPTURE_ERRBUF_SIZE];
	struct spec_range range;
	if (spec_parse_range(spec, SPEC_QUEUES_MAX, &range, text, sizeof(text)) != 0)
		return 1;
	unsigned n = (unsigned)(range.last - range.first) + 1;
	if (wanted == 0)
		return 1; /* whether the rules keep both directions in one queue is not ours to know
			   */
	return wanted < n ? wanted : n;
}

/* ---- letting in and no more ---------------------------------------------------------------- */

static void set_lengths(struct nfqueue *nfq, uint32_t length)
{
	for (unsigned i = 0; i < SPEC_QUEUES_MAX; i++) {
		char buf[NFSOCK_REQUEST_SIZE];
		if (!nfq->queue[i].ours)
			continue;
		struct nlmsghdr *request =
			nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, nfq->range.first + i);
		nfq_nlmsg_cfg_put_qmaxlen(request, length);
		int err = nfsock_tell(nfq->sock, request, request->nlmsg_len);
		if (err != 0)
			log_warnx("capture", "the queue's length cannot be set: %s input=%s",
				  err_str(err), nfq->spec);
	}
}

static void nfqueue_start(struct capture *capture)
{
	set_lengths((struct nfqueue *)capture, QUEUE_LENGTH);
}

static void nfqueue_finish(struct capture *capture)
{
	struct nfqueue *nfq = (struct nfqueue *)capture;
	set_lengths(nfq, 0);
	nfq->finished = true;
}

static int nfqueue_fd(struct capture *capture)
{
	return nfsock_fd(((struct nfqueue *)capture)->sock);
}

/* ---- verdicts ------------------------------------------------------------------------------ */

static const struct nfqnl_msg_packet_hdr *packet_header(const struct nlmsghdr *message)
{
	const struct nlattr *attr = mnl_nlmsg_get_payload_offset(message, sizeof(struct nfgenmsg));
	const char *end = mnl_nlmsg_get_payload_tail(message);
	for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) == NFQA_PACKET_HDR &&
		    mnl_attr_get_payload_len(attr) >= sizeof(struct nfqnl_msg_packet_hdr))
			return mnl_attr_get_payload(attr);
	return NULL;
}

/* The queue's packets are numbered from 1, one by one, with those that found no room. */
static void note_id(struct nfqueue *nfq, struct queue *queue, uint32_t id)
{
	nfq->missed += id - queue->last - 1;
	queue->last = id;
	queue->waits = true;
}

static size_t put_verdict(char *at, uint16_t number, uint32_t id)
{
	struct nlmsghdr *message = nfq_nlmsg_put(at, NFQNL_MSG_VERDICT_BATCH, number);
	nfq_nlmsg_verdict_put(message, (int)id, NF_ACCEPT);
	return MNL_ALIGN(message->nlmsg_len);
}

/* Everything up to what was received last passes, in one system call for all queues. */
static void accept_all(struct nfqueue *nfq)
{
	char buf[SPEC_QUEUES_MAX * 64];
	size_t n = 0;
	for (unsigned i = 0; i < SPEC_QUEUES_MAX; i++) {
		struct queue *queue = &nfq->queue[i];
		if (!queue->waits)
			continue;
		queue->waits = false;
		n += put_verdict(buf + n, (uint16_t)(nfq->range.first + i), queue->last);
	}
	if (n > 0)
		(void)nfsock_tell(nfq->sock, buf, n); /* fails only when the queue is gone */
}

static void accept_received(struct nfqueue *nfq)
{
	const struct nlmsghdr *message;
	while ((message = nfsock_next(nfq->sock, PACKET_TYPE)) != NULL) {
		const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
		const struct nfqnl_msg_packet_hdr *packet = packet_header(message);
		struct queue *queue = queue_of(nfq, be16(&header->res_id));
		if (packet != NULL && queue != NULL)
			note_id(nfq, queue, be32(&packet->packet_id));
	}
	accept_all(nfq);
	nfsock_rewind(nfq->sock);
}

/* ---- packets ------------------------------------------------------------------------------- */

/* False when there is no packet in the message. nfq_nlmsg_parse has looked at lengths. */
static bool parse(const struct nfqueue *nfq, const struct nlmsghdr *message, struct pkt_time now,
		  struct raw_packet *pkt)
{
	struct nlattr *attr[ATTRIBUTES] = {NULL};
	if (nfq_nlmsg_parse(message, attr) < 0 || attr[NFQA_PACKET_HDR] == NULL ||
	    attr[NFQA_PAYLOAD] == NULL)
		return false;
	const struct nfqnl_msg_packet_hdr *header = mnl_attr_get_payload(attr[NFQA_PACKET_HDR]);
	*pkt = nfq->blank;
	pkt->data = mnl_attr_get_payload(attr[NFQA_PAYLOAD]);
	pkt->caplen = mnl_attr_get_payload_len(attr[NFQA_PAYLOAD]);
	uint32_t whole = nfsock_u32(attr[NFQA_CAP_LEN]);
	pkt->wirelen = whole > pkt->caplen ? whole : pkt->caplen;
	pkt->time = nfsock_time(attr[NFQA_TIMESTAMP], now);
	pkt->ingress = nfsock_u32(attr[NFQA_IFINDEX_INDEV]);
	pkt->egress = nfsock_u32(attr[NFQA_IFINDEX_OUTDEV]);
	pkt->linktype = nfsock_linktype(message, be16(&header->hw_protocol));
	return true;
}

/* Of what was received, up to `max` packets. */
static unsigned take(struct nfqueue *nfq, struct raw_packet *pkts, unsigned max)
{
	const struct nlmsghdr *message;
	struct pkt_time now = wall_now();
	unsigned n = 0;
	while (n < max && (message = nfsock_next(nfq->sock, PACKET_TYPE)) != NULL)
		n += parse(nfq, message, now, &pkts[n]);
	return n;
}

/* What came since; -errno. */
static int receive(struct nfqueue *nfq)
{
	int n = nfsock_receive(nfq->sock, NFSOCK_DATAGRAMS);
	if (n == 0 && !nfq->nowait && !nfq->finished) {
		nfsock_wait(nfq->sock, POLL_MS);
		n = nfsock_receive(nfq->sock, NFSOCK_DATAGRAMS);
	}
	if (n > 0)
		accept_received(nfq);
	return n;
}

static int nfqueue_next(struct capture *capture, struct raw_packet *pkts, unsigned max)
{
	struct nfqueue *nfq = (struct nfqueue *)capture;
	unsigned n = take(nfq, pkts, max);
	if (n == 0) {
		int got = receive(nfq);
		if (got == 0 && nfq->finished)
			return ERR_EOF;
		if (got < 0) {
			log_errorx("capture", "%s: input=%s", err_str(got), nfq->spec);
			return got;
		}
		n = take(nfq, pkts, max);
	}
	nfq->received += n;
	if (nfq->filter == NULL)
		return (int)n;
	unsigned kept = filter_keep(nfq->filter, pkts, n);
	nfq->filtered += n - kept;
	return (int)kept;
}

/* ---- totals -------------------------------------------------------------------------------- */

/* Of the kernel's table: packets that found one of our queues full, or no room in the socket of a
 * queue that does not fail open (the latter are gaps, too). */
static uint64_t read_table(struct nfqueue *nfq)
{
	FILE *file = fopen(TABLE, "re");
	unsigned number;
	uint64_t full, sum = 0;
	char line[256];
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "%u %*u %*u %*u %*u %" SCNu64, &number, &full) == 2 &&
		    number <= UINT16_MAX && queue_of(nfq, (uint16_t)number) != NULL)
			sum += full;
	fclose(file);
	return sum;
}

static void nfqueue_stats(struct capture *capture, struct capture_stats *ret_stats)
{
	struct nfqueue *nfq = (struct nfqueue *)capture;
	struct mono_time now = mono_now();
	if (now.ns - nfq->table_read.ns >= TABLE_EVERY_NS) {
		nfq->table_read = now;
		nfq->full = read_table(nfq);
	}
	*ret_stats = (struct capture_stats){
		.received = nfq->received,
		.filtered = nfq->filtered,
		.drops = {[CAPTURE_DROP_RING] = nfq->missed, [CAPTURE_DROP_KERNEL] = nfq->full},
	};
}

const struct capture_ops capture_nfqueue_ops = {
	.name = "nfqueue",
	.egress = true,
	.workers = nfqueue_workers,
	.open = nfqueue_open,
	.start = nfqueue_start,
	.next = nfqueue_next,
	.fd = nfqueue_fd,
	.finish = nfqueue_finish,
	.stats = nfqueue_stats,
	.close = nfqueue_close,
};
