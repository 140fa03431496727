/*
 * Opening, in an order that leaves no gap: the socket listens to no protocol until it is bound, and
 * lets nothing through until it is told to (ring_socket_attach), when it and its whole team have
 * joined the fanout group. So no packet comes to two workers, or to one that is not to have it. The
 * kernel deals by a socket's place in the group, which is the order of joining.
 */
#include "ring_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "iface.h"
#include "log.h"

#define BLOCK_SIZE   (1u << 18)
#define BLOCKS_MIN   4
#define FRAME_SIZE   2048 /* in TPACKET_V3 frames have the size they need */
#define TAG_SIZE     4
#define TALLY_RCVBUF 1 /* the kernel takes its own least */

#define NEW_GROUP (-1)

/* ---- options -------------------------------------------------------------------------------- */

static int set_option(int fd, int option, const void *value, socklen_t size)
{
	return setsockopt(fd, SOL_PACKET, option, value, size) < 0 ? -errno : 0;
}

static int set_int(int fd, int option, int value)
{
	return set_option(fd, option, &value, sizeof(value));
}

int ring_socket_attach(const struct ring_socket *s, const struct cbpf *program)
{
	struct sock_fprog code = {
		.len = (unsigned short)program->n,
		.filter = (struct sock_filter *)program->insn,
	};
	if (s->fd < 0)
		return -EBADF;
	return setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &code, sizeof(code)) < 0 ? -errno
											: 0;
}

static int attach_nothing(const struct ring_socket *s)
{
	struct cbpf nothing;
	cbpf_reject(&nothing);
	return ring_socket_attach(s, &nothing);
}

static void be_promiscuous(const struct ring_socket *s, const char *name)
{
	struct packet_mreq member = {.mr_ifindex = (int)s->index, .mr_type = PACKET_MR_PROMISC};
	if (set_option(s->fd, PACKET_ADD_MEMBERSHIP, &member, sizeof(member)) != 0)
		log_warn("capture", "the port takes only what is sent to it: interface=%s", name);
}

/* ---- the ring ------------------------------------------------------------------------------- */

/* Asks for as many blocks as are wished for, and fewer as long as memory is short. */
static int make_blocks(struct ring_socket *s, uint64_t bytes)
{
	uint64_t wanted = bytes / BLOCK_SIZE;
	unsigned blocks = wanted > UINT16_MAX ? UINT16_MAX : (unsigned)wanted;
	for (blocks = blocks < BLOCKS_MIN ? BLOCKS_MIN : blocks;; blocks /= 2) {
		struct tpacket_req3 req = {
			.tp_block_size = BLOCK_SIZE,
			.tp_block_nr = blocks,
			.tp_frame_size = FRAME_SIZE,
			.tp_frame_nr = blocks * (BLOCK_SIZE / FRAME_SIZE),
			.tp_retire_blk_tov = RING_RETIRE_MS,
		};
		int err = set_option(s->fd, PACKET_RX_RING, &req, sizeof(req));
		if (err == 0) {
			s->blocks = blocks;
			s->block_size = BLOCK_SIZE;
			return 0;
		}
		if (err != -ENOMEM || blocks / 2 < BLOCKS_MIN)
			return err;
	}
}

static int make_ring(struct ring_socket *s, const struct ring_wish *wish)
{
	int err = set_int(s->fd, PACKET_VERSION, TPACKET_V3);
	if (err == 0) /* room to put a VLAN tag back */
		err = set_int(s->fd, PACKET_RESERVE, TAG_SIZE);
	if (err != 0)
		return err;
	s->splits = set_int(s->fd, PACKET_VNET_HDR, 1) == 0;
	err = make_blocks(s, wish->bytes);
	if (err != 0)
		return err;
	if ((uint64_t)s->blocks * s->block_size < wish->bytes / 2)
		log_warnx("capture",
			  "memory is short, the ring has %u blocks of 256 KiB only interface=%s",
			  s->blocks, wish->name);
	void *map = mmap(NULL, (size_t)s->blocks * s->block_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED, s->fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	s->map = map;
	return 0;
}

/* ---- port and team -------------------------------------------------------------------------- */

static int bind_port(const struct ring_socket *s)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)s->index,
	};
	return bind(s->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

/* Joins group `id`, or a new one of the kernel's choice for NEW_GROUP. Returns its id, or -errno. */
static int join_group(const struct ring_socket *s, int id)
{
	unsigned flags = id < 0 ? PACKET_FANOUT_FLAG_UNIQUEID : 0;
	unsigned request = (PACKET_FANOUT_CBPF | flags) << 16 | (id < 0 ? 0 : (unsigned)id);
	int err = set_int(s->fd, PACKET_FANOUT, (int)request);
	if (err != 0 || id >= 0)
		return err != 0 ? err : id;
	socklen_t size = sizeof(request);
	if (getsockopt(s->fd, SOL_PACKET, PACKET_FANOUT, &request, &size) < 0)
		return -errno;
	return (int)(request & UINT16_MAX);
}

static int set_hash(const struct ring_socket *s, const struct ring_wish *wish)
{
	struct cbpf program;
	cbpf_fanout(&program, wish->mac_size, wish->team->key);
	struct sock_fprog code = {.len = (unsigned short)program.n, .filter = program.insn};
	return set_option(s->fd, PACKET_FANOUT_DATA, &code, sizeof(code));
}

static int join_team(const struct ring_socket *s, const struct ring_wish *wish, atomic_int *group)
{
	int id = join_group(s, wish->founds ? NEW_GROUP : atomic_load(group));
	if (id < 0)
		return id;
	if (wish->founds)
		atomic_store(group, id);
	return set_hash(s, wish);
}

/* ---- open and close ------------------------------------------------------------------------- */

/* What both kinds have in common, once they are set up. */
static int take_port(struct ring_socket *s, const struct ring_wish *wish, atomic_int *group)
{
	int err = bind_port(s);
	if (err == 0 && wish->team->workers > 1)
		err = join_team(s, wish, group);
	if (err == 0 && wish->type == ARPHRD_LOOPBACK) /* else each packet is seen twice */
		err = set_int(s->fd, PACKET_IGNORE_OUTGOING, 1);
	return err;
}

static int explain(int err, const struct ring_wish *wish, char *errbuf, unsigned errsize)
{
	char names[256];
	switch (err) {
	case -ENODEV:
	case -ENXIO:
		iface_list(names, sizeof(names));
		snprintf(errbuf, errsize, "%s: no such interface; there are:%s", wish->name, names);
		break;
	case -EPERM:
	case -EACCES:
		snprintf(errbuf, errsize,
			 "%s: no permission to capture; run as root or with CAP_NET_RAW",
			 wish->name);
		break;
	case -ENOMEM:
		snprintf(errbuf, errsize, "%s: no memory for the ring; give a smaller --ring-size",
			 wish->name);
		break;
	case -ENETDOWN:
		snprintf(errbuf, errsize, "%s: the interface is down; try: ip link set %s up",
			 wish->name, wish->name);
		break;
	default:
		snprintf(errbuf, errsize, "%s: %s", wish->name, strerror(-err));
	}
	return err;
}

static int begin(struct ring_socket *s, const struct ring_wish *wish)
{
	*s = (struct ring_socket){.fd = -1};
	s->index = if_nametoindex(wish->name);
	if (s->index == 0)
		return -ENODEV;
	if (!iface_is_up(wish->name))
		return -ENETDOWN;
	s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	return s->fd < 0 ? -errno : attach_nothing(s);
}

int ring_socket_open(struct ring_socket *s, const struct ring_wish *wish, char *errbuf,
		     unsigned errsize)
{
	int err = begin(s, wish);
	if (err == 0)
		err = make_ring(s, wish);
	if (err == 0)
		err = take_port(s, wish, &wish->team->group);
	if (err == 0) {
		be_promiscuous(s, wish->name);
		return 0;
	}
	ring_socket_close(s);
	return explain(err, wish, errbuf, errsize);
}

int ring_tally_open(struct ring_socket *s, const struct ring_wish *wish, char *errbuf,
		    unsigned errsize)
{
	const int room = TALLY_RCVBUF;
	int err = begin(s, wish);
	if (err == 0 && setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) < 0)
		err = -errno;
	if (err == 0)
		err = take_port(s, wish, &wish->team->tally_group);
	if (err == 0)
		return 0;
	ring_socket_close(s);
	return explain(err, wish, errbuf, errsize);
}

void ring_socket_count(struct ring_socket *s)
{
	struct tpacket_stats_v3 stats = {.tp_packets = 0};
	socklen_t size = sizeof(stats);
	if (s->fd < 0 || getsockopt(s->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0)
		return;
	s->packets += stats.tp_packets;
	s->lost += stats.tp_drops;
}

int ring_socket_error(const struct ring_socket *s)
{
	int err = 0;
	socklen_t size = sizeof(err);
	if (s->fd < 0 || getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0)
		return 0;
	return err;
}

bool ring_socket_is_bound(const struct ring_socket *s, const char *name)
{
	struct sockaddr_ll address;
	socklen_t size = sizeof(address);
	return getsockname(s->fd, (struct sockaddr *)&address, &size) == 0 &&
	       address.sll_ifindex == (int)s->index && if_nametoindex(name) == s->index;
}

void ring_socket_close(struct ring_socket *s)
{
	if (s->map != NULL)
		munmap(s->map, (size_t)s->blocks * s->block_size);
	if (s->fd >= 0)
		close(s->fd);
	s->map = NULL;
	s->fd = -1;
}
