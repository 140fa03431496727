/*
 * NFLOG: packets that a rule logs (iptables -j NFLOG, nft log group). They are copies; nobody
 * waits for us.
 *
 * The kernel collects packets in one datagram until there are enough or 10 ms have gone by. It
 * numbers them by group, and the gaps are counted as dropped. A super-packet comes as it is,
 * without a word of its segments: it is longer than its interface carries, and is counted as merged.
 * A handle belongs to one thread.
 */
#include <libmnl/libmnl.h>
#include <libnetfilter_log/libnetfilter_log.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "err.h"
#include "filter.h"
#include "iface.h"
#include "log.h"
#include "nfsock.h"
#include "spec.h"
#include "wire.h"

#define LINKTYPE_RAW	101
#define DEFAULT_SNAPLEN 256
#define MAX_SNAPLEN	65531 /* the kernel's limit */
#define DATAGRAM_BYTES	32768 /* the kernel's collection; one larger packet comes alone */
#define PACKETS		64    /* of a collection */
#define COLLECT_CS	1     /* hundredths of a second */
#define DATAGRAMS	8     /* of a receive */
#define POLL_MS		10
#define FINISH_NS	(3 * POLL_MS * NS_PER_MS)
#define TABLE		"/proc/net/netfilter/nfnetlink_log"
#define PACKET_TYPE	(NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET)
#define USUAL_MTU	1500  /* shorter packets are asked nothing */
#define ATTRIBUTES	64 /* more than any version of the library knows */

enum { IP4_SIZE = 20, IP6_SIZE = 40 };

struct nflog {
	struct capture base;
	struct nfsock *sock;
	char *spec;
	struct filter *filter; /* NULL without */
	struct raw_packet blank;
	uint16_t group;
	uint32_t snaplen;
	uint32_t next; /* the number expected */
	bool numbered; /* one has been seen */
	bool nowait;
	int64_t finish_ns; /* monotonic: when to stop reading; 0 before capture_finish */
	uint64_t received;
	uint64_t filtered;
	uint64_t missed; /* gaps in the numbers */
	uint64_t merged; /* packets longer than their interface's MTU */
	uint32_t mtu;	 /* of interface mtu_of, 0 unknown */
	uint32_t mtu_of; /* 0 none yet */
};

/* ---- opening ------------------------------------------------------------------------------- */

static int explain(const struct nflog *nflog, int err, char *errbuf, unsigned errsize)
{
	uint32_t owner = nfsock_owner(TABLE, nflog->group);
	if (owner != 0)
		snprintf(errbuf, errsize,
			 "%s: the group is read by another program already (netlink port %u in %s)",
			 nflog->spec, owner, TABLE);
	else if (err == -EPERM)
		snprintf(errbuf, errsize,
			 "%s: no permission for netfilter logs; run as root or with CAP_NET_ADMIN",
			 nflog->spec);
	else if (err == -EINVAL || err == -EOPNOTSUPP)
		snprintf(errbuf, errsize,
			 "%s: this kernel has no netfilter logs; try: modprobe nfnetlink_log",
			 nflog->spec);
	else
		snprintf(errbuf, errsize, "%s: %s", nflog->spec, err_str(err));
	return err;
}

static int bind_group(struct nflog *nflog, char *errbuf, unsigned errsize)
{
	char buf[NFSOCK_REQUEST_SIZE];
	struct nlmsghdr *request =
		nflog_nlmsg_put_header(buf, NFULNL_MSG_CONFIG, AF_UNSPEC, nflog->group);
	nflog_attr_put_cfg_cmd(request, NFULNL_CFG_CMD_BIND);
	nflog_attr_put_cfg_mode(request, NFULNL_COPY_PACKET, nflog->snaplen);
	nfsock_put_u32(request, NFULA_CFG_NLBUFSIZ, DATAGRAM_BYTES);
	nfsock_put_u32(request, NFULA_CFG_TIMEOUT, COLLECT_CS);
	nfsock_put_u32(request, NFULA_CFG_QTHRESH, PACKETS);
	nfsock_put_u16(request, NFULA_CFG_FLAGS, NFULNL_CFG_F_SEQ);
	int err = nfsock_ask(nflog->sock, request);
	return err == 0 ? 0 : explain(nflog, err, errbuf, errsize);
}

static int group_init(struct nflog *nflog, const struct capture_conf *conf, char *errbuf,
		      unsigned errsize)
{
	struct spec_range group;
	uint32_t snaplen = conf->snaplen != 0 ? conf->snaplen : DEFAULT_SNAPLEN;
	nflog->base.ops = &capture_nflog_ops;
	nflog->snaplen = snaplen < MAX_SNAPLEN ? snaplen : MAX_SNAPLEN;
	nflog->nowait = conf->nowait;
	nflog->blank.iface = conf->iface;
	nflog->spec = strdup(conf->spec);
	if (nflog->spec == NULL) {
		snprintf(errbuf, errsize, "%s: %s", conf->spec, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	int err = spec_parse_range(conf->spec, 1, &group, errbuf, errsize);
	if (err != 0)
		return err;
	nflog->group = group.first;
	err = filter_open(conf->filter, LINKTYPE_RAW, &nflog->filter, errbuf, errsize);
	if (err == 0)
		err = nfsock_open(conf->spec, DATAGRAM_BYTES + 2 * nflog->snaplen, &nflog->sock,
				  errbuf, errsize);
	return err == 0 ? bind_group(nflog, errbuf, errsize) : err;
}

static void group_close(struct capture *capture)
{
	struct nflog *nflog = (struct nflog *)capture;
	if (nflog == NULL)
		return;
	nfsock_close(nflog->sock);
	filter_free(nflog->filter);
	free(nflog->spec);
	free(nflog);
}

static int group_open(const struct capture_conf *conf, char *errbuf, unsigned errsize,
		      struct capture **ret_capture)
{
	struct nflog *nflog = calloc(1, sizeof(*nflog));
	if (nflog == NULL) {
		snprintf(errbuf, errsize, "%s: %s", conf->spec, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	int err = group_init(nflog, conf, errbuf, errsize);
	if (err != 0) {
		group_close(&nflog->base);
		return err;
	}
	*ret_capture = &nflog->base;
	return 0;
}

static int group_fd(struct capture *capture)
{
	return nfsock_fd(((struct nflog *)capture)->sock);
}

/* What the kernel is still collecting comes within its time. */
static void group_finish(struct capture *capture)
{
	((struct nflog *)capture)->finish_ns = mono_now().ns + FINISH_NS;
}

/* ---- packets ------------------------------------------------------------------------------- */

static void note_number(struct nflog *nflog, uint32_t number)
{
	if (nflog->numbered)
		nflog->missed += number - nflog->next;
	nflog->numbered = true;
	nflog->next = number + 1;
}

/* By the IP header; what has outgrown its field is as long as can be. */
static uint32_t ip_length(const struct raw_packet *pkt)
{
	const uint8_t *ip = pkt->data;
	uint32_t length;
	if (pkt->caplen >= IP4_SIZE && ip[0] >> 4 == 4) {
		length = be16(ip + 2);
		return length != 0 ? length : UINT32_MAX;
	}
	if (pkt->caplen < IP6_SIZE || ip[0] >> 4 != 6)
		return 0;
	length = be16(ip + 4);
	return length == 0 && ip[6] == IPPROTO_HOPOPTS ? UINT32_MAX : IP6_SIZE + length;
}

/* No interface carries it as it is: it was joined of several, or will be cut. */
static bool is_merged(struct nflog *nflog, const struct raw_packet *pkt)
{
	uint32_t length = ip_length(pkt);
	uint32_t index = pkt->ingress != 0 ? pkt->ingress : pkt->egress;
	if (length <= USUAL_MTU)
		return false;
	if (index != nflog->mtu_of) {
		nflog->mtu_of = index;
		nflog->mtu = iface_mtu(index);
	}
	return nflog->mtu != 0 && length > nflog->mtu;
}

/* False when there is no packet in the message. nflog_nlmsg_parse has looked at lengths. */
static bool parse(struct nflog *nflog, const struct nlmsghdr *message, struct pkt_time now,
		  struct raw_packet *pkt)
{
	struct nlattr *attr[ATTRIBUTES] = {NULL};
	if (nflog_nlmsg_parse(message, attr) < 0)
		return false;
	if (attr[NFULA_SEQ] != NULL)
		note_number(nflog, nfsock_u32(attr[NFULA_SEQ]));
	if (attr[NFULA_PACKET_HDR] == NULL || attr[NFULA_PAYLOAD] == NULL)
		return false;
	const struct nfulnl_msg_packet_hdr *header = mnl_attr_get_payload(attr[NFULA_PACKET_HDR]);
	*pkt = nflog->blank;
	pkt->data = mnl_attr_get_payload(attr[NFULA_PAYLOAD]);
	pkt->caplen = mnl_attr_get_payload_len(attr[NFULA_PAYLOAD]);
	pkt->wirelen = pkt->caplen;
	pkt->time = nfsock_time(attr[NFULA_TIMESTAMP], now);
	pkt->ingress = nfsock_u32(attr[NFULA_IFINDEX_INDEV]);
	pkt->egress = nfsock_u32(attr[NFULA_IFINDEX_OUTDEV]);
	pkt->linktype = nfsock_linktype(message, be16(&header->hw_protocol));
	nflog->merged += pkt->linktype == LINKTYPE_RAW && is_merged(nflog, pkt);
	return true;
}

/* Of what was received, up to `max` packets. */
static unsigned take(struct nflog *nflog, struct raw_packet *pkts, unsigned max)
{
	const struct nlmsghdr *message;
	struct pkt_time now = wall_now();
	unsigned n = 0;
	while (n < max && (message = nfsock_next(nflog->sock, PACKET_TYPE)) != NULL)
		n += parse(nflog, message, now, &pkts[n]);
	return n;
}

/* What came since; -errno. */
static int receive(struct nflog *nflog)
{
	int n = nfsock_receive(nflog->sock, DATAGRAMS);
	if (n != 0 || nflog->nowait)
		return n;
	nfsock_wait(nflog->sock, POLL_MS);
	return nfsock_receive(nflog->sock, DATAGRAMS);
}

static int group_next(struct capture *capture, struct raw_packet *pkts, unsigned max)
{
	struct nflog *nflog = (struct nflog *)capture;
	unsigned n = take(nflog, pkts, max);
	if (nflog->finish_ns != 0 && mono_now().ns > nflog->finish_ns && n == 0)
		return ERR_EOF;
	if (n == 0) {
		int got = receive(nflog);
		if (got < 0) {
			log_errorx("capture", "%s: input=%s", err_str(got), nflog->spec);
			return got;
		}
		n = take(nflog, pkts, max);
	}
	nflog->received += n;
	if (nflog->filter == NULL)
		return (int)n;
	unsigned kept = filter_keep(nflog->filter, pkts, n);
	nflog->filtered += n - kept;
	return (int)kept;
}

static void group_stats(struct capture *capture, struct capture_stats *ret_stats)
{
	const struct nflog *nflog = (const struct nflog *)capture;
	*ret_stats = (struct capture_stats){
		.received = nflog->received,
		.filtered = nflog->filtered,
		.merged = nflog->merged,
		.drops = {[CAPTURE_DROP_RING] = nflog->missed},
	};
}

const struct capture_ops capture_nflog_ops = {
	.name = "nflog",
	.egress = true,
	.open = group_open,
	.next = group_next,
	.fd = group_fd,
	.finish = group_finish,
	.stats = group_stats,
	.close = group_close,
};
