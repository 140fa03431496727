/*
 * Live capture from a ring of blocks shared with the kernel: AF_PACKET, TPACKET_V3. The default on
 * Linux.
 *
 * The kernel fills a block with packets and hands it over when it is full or 8 ms old; `next` hands
 * out pointers into the block and gives it back when the next batch is asked for, so nothing is
 * copied. The VLAN tag that the kernel keeps aside is put back into the frame, in the block, in
 * front of decode. A super-packet of segmentation offload is handed out as its segments (super.h).
 *
 * The filter and random sampling run in the kernel (cbpf.h). How many packets sampling left out is
 * known from a second socket, that has the same filter but no sampling and no room: all it does is
 * count.
 *
 * A port that goes down is waited for with the same socket; one that is removed with none, until
 * there is one of its name again. A handle belongs to one thread.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "backend.h"
#include "cbpf.h"
#include "err.h"
#include "filter.h"
#include "iface.h"
#include "linktype.h"
#include "log.h"
#include "ring_socket.h"
#include "super.h"

/* Headers, with room for tunnels and IPv6 extensions. */
#define DEFAULT_SNAPLEN 256
#define MAX_SNAPLEN	65536
#define DEFAULT_BYTES	(32u << 20)
#define POLL_MS		10
#define LOOK_NS		(200 * NS_PER_MS) /* for a port that is gone */
#define BATCH_MAX	64
#define AHEAD		6

/* After this no block is under way any more: it is retired once per period, and tried again when
 * the kernel is just writing to it. */
#define FINISH_NS (4 * RING_RETIRE_MS * NS_PER_MS)

enum { MACS_SIZE = 12, TAG_SIZE = 4, TPID_DEFAULT = 0x8100 };

struct ring {
	struct capture base;
	struct ring_socket socket;
	struct raw_packet blank; /* what all packets have in common */

	/* Where reading stands. */
	struct tpacket3_hdr *at; /* the next packet of the block */
	uint32_t left;		 /* packets left in it */
	unsigned block;		 /* its number */
	bool taken;		 /* it is ours, until the batch after its last */
	bool nowait;
	struct super super;	      /* being taken apart */
	uint8_t (*rooms)[SUPER_ROOM]; /* BATCH_MAX: headers of segments */
	struct filter *filter;	      /* in user space, where the kernel cannot; else NULL */

	uint64_t received;
	uint64_t filtered;
	uint64_t merged;
	uint64_t unfilled;  /* places of super-packets that were lost: in `lost`, too */
	uint64_t unsampled; /* by sockets that are closed; counted ones minus those let in */
	uint64_t lost;	    /* the same */

	char name[IF_NAMESIZE];
	struct ring_wish wish;
	int dlt;		   /* libpcap's link type */
	struct capture_team alone; /* where there is no team */
	struct cbpf *accept;	   /* what comes in */
	struct cbpf *tally_accept; /* what is counted; NULL without sampling */
	struct ring_socket tally;
	unsigned worker;
	unsigned group;	       /* joined last, as in capture_team.joined */
	bool open;	       /* the sockets let packets in */
	bool down;	       /* the port, or not all of the team are there yet */
	bool said;	       /* why the port cannot be had again */
	struct mono_time look; /* not to look for the port before */
	int64_t finish_ns;     /* when to stop reading; 0 before ring_finish */
};

static inline struct ring *ring_of(struct capture *capture)
{
	return (struct ring *)capture;
}

/* ---- programs ------------------------------------------------------------------------------- */

/* The kernel cannot run it: it is run here, and sampling too, which comes after. */
static int filter_here(struct ring *r, const char *filter, uint32_t snaplen)
{
	log_info("capture", "the filter is run in user space: interface=%s", r->name);
	cbpf_filter(r->accept, NULL, 0, snaplen);
	return filter_new(filter, &r->filter);
}

static int make_sampling(struct ring *r, const struct bpf_program *code, uint32_t n)
{
	r->tally_accept = malloc(sizeof(*r->tally_accept));
	if (r->tally_accept == NULL)
		return ERR_NOMEM;
	cbpf_filter(r->tally_accept, (const struct sock_filter *)code->bf_insns, code->bf_len, 1);
	cbpf_add_random(r->accept, n);
	return 0;
}

static int make_programs(struct ring *r, const struct capture_conf *conf, char *errbuf,
			 unsigned errsize)
{
	uint32_t snaplen = conf->snaplen != 0 ? conf->snaplen : DEFAULT_SNAPLEN;
	struct bpf_program code;
	r->accept = malloc(sizeof(*r->accept));
	if (r->accept == NULL)
		return ERR_NOMEM;
	if (snaplen > MAX_SNAPLEN)
		snaplen = MAX_SNAPLEN;
	int err = filter_compile(conf->filter, r->dlt, r->name, &code, errbuf, errsize);
	if (err != 0)
		return err;
	cbpf_filter(r->accept, (const struct sock_filter *)code.bf_insns, code.bf_len, snaplen);
	if (r->accept->bad)
		err = filter_here(r, conf->filter, snaplen);
	else if (conf->random_n > 1 && conf->random_n <= CBPF_RANDOM_MAX)
		err = make_sampling(r, &code, conf->random_n);
	pcap_freecode(&code);
	return err;
}

/* ---- opening -------------------------------------------------------------------------------- */

/* Reading begins with the first block. */
static void rewind_ring(struct ring *r)
{
	r->left = 0;
	r->block = 0;
	r->taken = false;
	r->super.taken = r->super.payload;
	r->blank.ingress = r->socket.index;
}

/* Both sockets, or none. */
static int attach(struct ring *r, char *errbuf, unsigned errsize)
{
	int err = ring_socket_open(&r->socket, &r->wish, errbuf, errsize);
	if (err == 0 && r->tally_accept != NULL)
		err = ring_tally_open(&r->tally, &r->wish, errbuf, errsize);
	if (err != 0) {
		ring_socket_close(&r->socket);
		ring_socket_close(&r->tally);
		return err;
	}
	rewind_ring(r);
	if (!r->socket.splits)
		log_warnx("capture", "this kernel does not tell super-packets apart: interface=%s",
			  r->name);
	return 0;
}

/* One after the other, so that each gets the packets that it had before. -EAGAIN while the one in
 * front has joined no newer group than ours. */
static int attach_in_turn(struct ring *r, char *errbuf, unsigned errsize)
{
	atomic_uint *joined = r->wish.team->joined;
	unsigned group = r->worker == 0 ? r->group + 1 : atomic_load(&joined[r->worker - 1]);
	if (group == 0 || group == r->group)
		return -EAGAIN;
	int err = attach(r, errbuf, errsize);
	if (err != 0)
		return err;
	r->group = group;
	atomic_store(&joined[r->worker], group);
	return 0;
}

static bool is_complete(const struct ring *r)
{
	for (unsigned i = 0; i < r->wish.team->workers; i++)
		if (atomic_load(&r->wish.team->joined[i]) != r->group)
			return false;
	return true;
}

/* When the whole team is there: as long as it is not, packets go to who is not to have them.
 * -EAGAIN before. */
static int let_in(struct ring *r)
{
	int err = 0;
	if (!is_complete(r))
		return -EAGAIN;
	if (r->tally_accept != NULL) /* first: it must not count less than comes in */
		err = ring_socket_attach(&r->tally, r->tally_accept);
	if (err == 0)
		err = ring_socket_attach(&r->socket, r->accept);
	r->open = err == 0;
	return err;
}

/* One of a team speaks for all. */
static bool speaks(const struct ring *r)
{
	return r->worker == 0;
}

/* Kinds of ports, and the link type of what they carry. */
static const struct {
	int arphrd;
	int dlt;
	bool bare; /* without link header */
} kinds[] = {
	{ARPHRD_ETHER, DLT_EN10MB, false},
	{ARPHRD_LOOPBACK, DLT_EN10MB, false},
	{ARPHRD_NONE, DLT_RAW, true},
	{ARPHRD_RAWIP, DLT_RAW, true},
};

/* Number of the row, or -1. */
static int find_kind(int arphrd)
{
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].arphrd == arphrd)
			return (int)i;
	return -1;
}

bool ring_suits(const char *name)
{
	int type = iface_type(name);
	return type >= 0 && find_kind(type) >= 0;
}

static int check_type(struct ring *r, char *errbuf, unsigned errsize)
{
	int type = iface_type(r->name);
	int kind = find_kind(type);
	if (type < 0) /* opening says why */
		return 0;
	if (kind < 0) {
		snprintf(errbuf, errsize,
			 "%s: not an Ethernet port, which is all that ring: reads; "
			 "try pcap:%s",
			 r->name, r->name);
		return ERR_NOTSUP;
	}
	r->wish.type = type;
	r->wish.mac_size = kinds[kind].bare ? 0 : ETH_HLEN;
	r->dlt = kinds[kind].dlt;
	r->blank.linktype = linktype_from_dlt(r->dlt);
	return 0;
}

static void ring_free(struct ring *r)
{
	ring_socket_close(&r->socket);
	ring_socket_close(&r->tally);
	filter_free(r->filter);
	free(r->rooms);
	free(r->accept);
	free(r->tally_accept);
	free(r);
}

/* The interface is there, but not up: at the start as later, it is waited for. */
static int wait_for_port(struct ring *r)
{
	r->down = true;
	if (speaks(r))
		log_warnx("capture", "the interface is down, waiting for it: interface=%s",
			  r->name);
	return 0;
}

static int ring_init(struct ring *r, const struct capture_conf *conf, char *errbuf,
		     unsigned errsize)
{
	r->base.ops = &capture_ring_ops;
	r->socket.fd = r->tally.fd = -1;
	r->alone.workers = 1;
	r->wish.name = r->name;
	r->wish.bytes = conf->ring_size != 0 ? conf->ring_size : DEFAULT_BYTES;
	r->wish.team = conf->team != NULL ? conf->team : &r->alone;
	r->worker = conf->team != NULL ? conf->worker : 0;
	r->wish.founds = r->worker == 0;
	r->nowait = conf->nowait;
	r->blank.iface = conf->iface;
	if (strchr(conf->spec, ',') != NULL) {
		snprintf(errbuf, errsize, "%s: ring: has no options; try %.*s", conf->spec,
			 (int)strcspn(conf->spec, ","), conf->spec);
		return ERR_USAGE;
	}
	if (!capture_spec_interface(conf->spec, r->name, sizeof(r->name))) {
		snprintf(errbuf, errsize, "%s: names no interface; try ring:eth0", conf->spec);
		return ERR_USAGE;
	}
	snprintf(errbuf, errsize, "%s: %s", conf->spec, err_str(ERR_NOMEM));
	r->rooms = malloc(BATCH_MAX * sizeof(*r->rooms));
	if (r->rooms == NULL)
		return ERR_NOMEM;
	int err = check_type(r, errbuf, errsize);
	if (err == 0)
		err = make_programs(r, conf, errbuf, errsize);
	if (err == 0)
		err = attach_in_turn(r, errbuf, errsize);
	return err == -ENETDOWN || err == -EAGAIN ? wait_for_port(r) : err;
}

static int ring_open(const struct capture_conf *conf, char *errbuf, unsigned errsize,
		     struct capture **ret_capture)
{
	struct ring *r = calloc(1, sizeof(*r));
	if (r == NULL) {
		snprintf(errbuf, errsize, "%s: %s", conf->spec, err_str(ERR_NOMEM));
		return ERR_NOMEM;
	}
	int err = ring_init(r, conf, errbuf, errsize);
	if (err != 0) {
		ring_free(r);
		return err;
	}
	*ret_capture = &r->base;
	return 0;
}

static void ring_start(struct capture *capture)
{
	struct ring *r = ring_of(capture);
	if (r->socket.fd < 0)
		return;
	int err = let_in(r);
	r->down = err != 0;
	if (err != 0 && err != -EAGAIN)
		log_warn("capture", "the kernel does not take the filter: interface=%s", r->name);
}

/* ---- packets -------------------------------------------------------------------------------- */

static struct tpacket_block_desc *block_of(const struct ring *r)
{
	return (struct tpacket_block_desc *)(r->socket.map +
					     (size_t)r->block * r->socket.block_size);
}

/* Begins with the next block, if the kernel has handed it over. */
static bool take_block(struct ring *r)
{
	struct tpacket_block_desc *block = block_of(r);
	if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
		return false;
	r->taken = true;
	r->left = block->hdr.bh1.num_pkts;
	r->at = (struct tpacket3_hdr *)((uint8_t *)block + block->hdr.bh1.offset_to_first_pkt);
	return true;
}

/* Gives the block back when all of it was handed out. */
static void give_back(struct ring *r)
{
	if (!r->taken || r->left > 0 || super_has_more(&r->super))
		return;
	__atomic_store_n(&block_of(r)->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	r->block = r->block + 1 < r->socket.blocks ? r->block + 1 : 0;
	r->taken = false;
}

/* The tag that the kernel keeps beside the frame goes where it was on the wire; in front of the
 * frame there is room (PACKET_RESERVE). */
static void put_tag_back(const struct tpacket3_hdr *h, struct raw_packet *pkt, uint8_t *frame)
{
	unsigned tpid =
		h->tp_status & TP_STATUS_VLAN_TPID_VALID ? h->hv1.tp_vlan_tpid : TPID_DEFAULT;
	unsigned tci = h->hv1.tp_vlan_tci;
	uint8_t *start = frame - TAG_SIZE;
	memmove(start, frame, MACS_SIZE);
	start[MACS_SIZE] = (uint8_t)(tpid >> 8);
	start[MACS_SIZE + 1] = (uint8_t)tpid;
	start[MACS_SIZE + 2] = (uint8_t)(tci >> 8);
	start[MACS_SIZE + 3] = (uint8_t)tci;
	pkt->data = start;
	pkt->caplen += TAG_SIZE;
	pkt->wirelen += TAG_SIZE;
}

/* The kernel joined several packets. False when they are to be taken as one. */
static bool begin_super(struct ring *r, const struct virtio_net_hdr *net, struct raw_packet *pkt)
{
	unsigned type = net->gso_type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN;
	if (super_begin(&r->super, pkt, (uint8_t *)pkt->data, type, net->gso_size))
		return true;
	r->super.taken = r->super.payload;
	*pkt = r->super.whole;
	r->merged++;
	return false;
}

/* A super-packet of a kind that a virtio header has no word for (UDP that a virtual machine leaves
 * to be fragmented, SCTP). Linux notices when it has given the packet its place in the block, lets
 * it go, counts it as dropped and leaves the place as it is: a packet of an earlier round, or part
 * of one, lies there. What was filled has TP_STATUS_USER; of what was not, Linux has written how
 * far it is to the next, and the bits of the tag. */
static __attribute__((noinline)) bool skip_unfilled(struct ring *r)
{
	r->unfilled++;
	return false;
}

/* Where a packet some way on will be if all have this one's size: its headers were written by
 * another CPU, and each waits for the one before. */
static inline void prefetch_ahead(const uint8_t *packet)
{
	__builtin_prefetch(packet);
	__builtin_prefetch(packet + 64);
	__builtin_prefetch(packet + 128);
}

/* The packet at r->at. False when it is a super-packet, whose segments are what to hand out, or
 * none. */
static inline bool read_packet(struct ring *r, struct raw_packet *pkt)
{
	struct tpacket3_hdr *h = r->at;
	uint8_t *frame = (uint8_t *)h + h->tp_mac;
	struct virtio_net_hdr net = {.gso_type = VIRTIO_NET_HDR_GSO_NONE};
	prefetch_ahead((const uint8_t *)h + (size_t)AHEAD * h->tp_next_offset);
	r->at = (struct tpacket3_hdr *)((uint8_t *)h + h->tp_next_offset);
	r->left--;
	if (__builtin_expect(!(h->tp_status & TP_STATUS_USER), 0))
		return skip_unfilled(r);
	if (r->socket.splits)
		memcpy(&net, frame - sizeof(net), sizeof(net));
	*pkt = r->blank;
	pkt->data = frame;
	pkt->caplen = h->tp_snaplen;
	pkt->wirelen = h->tp_len;
	pkt->time.ns = h->tp_sec * NS_PER_S + h->tp_nsec;
	if (h->tp_status & TP_STATUS_VLAN_VALID)
		put_tag_back(h, pkt, frame);
	return __builtin_expect(net.gso_type == VIRTIO_NET_HDR_GSO_NONE, 1) ||
	       !begin_super(r, &net, pkt);
}

/* Up to `max` packets of the block. */
static unsigned take_packets(struct ring *r, struct raw_packet *pkts, unsigned max)
{
	unsigned n = 0;
	while (n < max) {
		if (__builtin_expect(super_has_more(&r->super), 0)) {
			pkts[n] = super_next(&r->super, r->rooms[n]);
			n++;
		} else if (r->left == 0) {
			break;
		} else {
			n += read_packet(r, &pkts[n]);
		}
	}
	return n;
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* Remembers what closed sockets have counted. Leaves the team first: a group that nobody else is in
 * ends with the socket, and who still joins it would make it anew, alone. */
static void close_sockets(struct ring *r)
{
	atomic_store(&r->wish.team->joined[r->worker], 0);
	ring_socket_count(&r->socket);
	ring_socket_count(&r->tally);
	r->lost += r->socket.lost;
	if (r->tally.packets > r->socket.packets)
		r->unsampled += r->tally.packets - r->socket.packets;
	ring_socket_close(&r->socket);
	ring_socket_close(&r->tally);
	r->socket.packets = r->socket.lost = r->tally.packets = 0;
	r->open = false;
}

/* Why the port that is there cannot be had, once. */
static void say_why(struct ring *r, int err, const char *text)
{
	if (r->said || err == -ENODEV || err == -ENETDOWN)
		return;
	log_warnx("capture", "%s", text);
	r->said = true;
}

/* Not when the port was removed, or the team gathers anew. */
static bool has_good_sockets(const struct ring *r)
{
	return ring_socket_is_bound(&r->socket, r->name) &&
	       atomic_load(&r->wish.team->joined[0]) == r->group;
}

/* 0: packets come in again; -EAGAIN: as soon as the team is there. */
static int regain(struct ring *r)
{
	char text[CAPTURE_ERRBUF_SIZE];
	if (r->socket.fd >= 0 && !has_good_sockets(r))
		close_sockets(r);
	if (r->socket.fd < 0) {
		int err = attach_in_turn(r, text, sizeof(text));
		if (err != 0 && err != -EAGAIN)
			say_why(r, err, text);
		if (err != 0)
			return err;
	}
	if (!iface_is_up(r->name))
		return -ENETDOWN;
	return r->open ? 0 : let_in(r);
}

/* The port is up or there again, or is gone for good. At most five times a second, but at once when
 * it is the others that are waited for. */
static void look_for_port(struct ring *r)
{
	if (mono_now().ns < r->look.ns || r->finish_ns != 0)
		return;
	int err = regain(r);
	if (err != 0) {
		r->look.ns = err == -EAGAIN ? 0 : mono_now().ns + LOOK_NS;
		return;
	}
	r->down = r->said = false;
	if (speaks(r))
		log_warnx("capture", "the interface is back: interface=%s", r->name);
}

static void wait_for_packets(struct ring *r)
{
	struct pollfd pollfd = {.fd = r->down ? -1 : r->socket.fd, .events = POLLIN};
	if (poll(&pollfd, 1, r->nowait ? 0 : POLL_MS) <= 0 || !(pollfd.revents & POLLERR))
		return;
	if (ring_socket_error(&r->socket) != ENETDOWN)
		return;
	r->down = true;
	r->look.ns = mono_now().ns + LOOK_NS;
	if (speaks(r))
		log_warnx("capture", "the interface is lost, waiting for it: interface=%s",
			  r->name);
}

static bool has_block(struct ring *r)
{
	return r->socket.fd >= 0 && (r->left > 0 || super_has_more(&r->super) || take_block(r));
}

static int ring_next(struct capture *capture, struct raw_packet *pkts, unsigned max)
{
	struct ring *r = ring_of(capture);
	give_back(r);
	if (!has_block(r)) {
		if (r->finish_ns != 0 && mono_now().ns > r->finish_ns)
			return ERR_EOF;
		wait_for_packets(r);
		if (r->down)
			look_for_port(r);
		if (!has_block(r))
			return 0;
	}
	unsigned n = take_packets(r, pkts, max < BATCH_MAX ? max : BATCH_MAX);
	r->received += n;
	if (__builtin_expect(r->filter != NULL, 0)) {
		unsigned kept = filter_keep(r->filter, pkts, n);
		r->filtered += n - kept;
		n = kept;
	}
	return (int)n;
}

static int ring_fd(struct capture *capture)
{
	const struct ring *r = ring_of(capture);
	return r->down ? -1 : r->socket.fd;
}

/* ---- the end -------------------------------------------------------------------------------- */

/* What is not wanted any more is not let in; the block under way is handed over in its time. */
static void ring_finish(struct capture *capture)
{
	struct ring *r = ring_of(capture);
	struct cbpf nothing;
	cbpf_reject(&nothing);
	(void)ring_socket_attach(&r->socket, &nothing);
	(void)ring_socket_attach(&r->tally, &nothing);
	r->finish_ns = mono_now().ns + FINISH_NS;
}

static void ring_stats(struct capture *capture, struct capture_stats *ret_stats)
{
	struct ring *r = ring_of(capture);
	ring_socket_count(&r->socket); /* before the tally, which must not be behind */
	ring_socket_count(&r->tally);
	*ret_stats = (struct capture_stats){
		.received = r->received,
		.filtered = r->filtered,
		.unsampled = r->unsampled,
		.merged = r->merged,
		.sampled = r->tally_accept != NULL,
		.gone = r->down,
	};
	uint64_t lost = r->lost + r->socket.lost;
	ret_stats->drops[CAPTURE_DROP_SUPER] = r->unfilled;
	ret_stats->drops[CAPTURE_DROP_RING] = lost > r->unfilled ? lost - r->unfilled : 0;
	if (r->tally.packets > r->socket.packets)
		ret_stats->unsampled += r->tally.packets - r->socket.packets;
}

static void ring_close(struct capture *capture)
{
	if (capture != NULL)
		ring_free(ring_of(capture));
}

/* One for each receive queue that the port divides packets to, and that has a CPU. */
static unsigned ring_workers(const char *spec, unsigned wanted)
{
	char name[IF_NAMESIZE];
	if (wanted == 0) {
		if (!capture_spec_interface(spec, name, sizeof(name)))
			return 1;
		const unsigned queues = iface_queues(name), cpus = (unsigned)get_nprocs();
		wanted = queues < cpus ? queues : cpus;
	}
	return wanted < CAPTURE_TEAM_MAX ? wanted : CAPTURE_TEAM_MAX;
}

const struct capture_ops capture_ring_ops = {
	.name = "ring",
	.port = true,
	.workers = ring_workers,
	.open = ring_open,
	.start = ring_start,
	.next = ring_next,
	.fd = ring_fd,
	.finish = ring_finish,
	.stats = ring_stats,
	.close = ring_close,
};
