/* What a port is to the kernel: up, with carrier, promiscuous, without an address, without losses.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "doctor_internal.h"
#include "tstamp.h"

enum {
	ETHERNET_MTU = 1500,
	WRAPPED_MTU = 1600, /* a whole frame in ERSPAN, VXLAN ... */
	SNAPLEN = 256,
	DROPS_WATCHED_MS = 500
};

void check_up(struct patient *p)
{
	char cure[CURE_MAX];
	snprintf(cure, sizeof(cure), "ip link set %s up", p->port);
	if (p->flags & IFF_UP)
		doctor_tell(p, VERDICT_OK, NULL, "is up");
	else
		doctor_tell(p, VERDICT_FAIL, cure, "is down, nothing can arrive");
}

/* Asks for it and lets go at once: that is what a live input does. */
static bool can_be_promiscuous(const struct patient *p)
{
	const struct packet_mreq request = {.mr_ifindex = (int)p->index,
					    .mr_type = PACKET_MR_PROMISC};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bool can =
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)) == 0;
	close(fd);
	return can;
}

void check_promiscuous(struct patient *p)
{
	char cure[CURE_MAX];
	snprintf(cure, sizeof(cure), "ip link set %s promisc on", p->port);
	if (p->flags & IFF_PROMISC)
		doctor_tell(p, VERDICT_OK, NULL, "is promiscuous");
	else if (can_be_promiscuous(p))
		doctor_tell(p, VERDICT_OK, NULL,
			    "can be made promiscuous, an input does so itself");
	else
		doctor_tell(p, VERDICT_FAIL, cure,
			    "cannot be made promiscuous by us, others' packets are not seen");
}

/* ---- addresses ----------------------------------------------------------------------------- */

static void tell_address(struct patient *p, const struct ifaddrs *one)
{
	char text[INET6_ADDRSTRLEN], cure[CURE_MAX];
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)one->ifa_addr;
	const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)one->ifa_addr;
	const bool is_six = one->ifa_addr->sa_family == AF_INET6;
	inet_ntop(one->ifa_addr->sa_family,
		  is_six ? (const void *)&six->sin6_addr : (const void *)&four->sin_addr, text,
		  sizeof(text));
	if (is_six && IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr)) {
		snprintf(cure, sizeof(cure), "sysctl -w net.ipv6.conf.%s.disable_ipv6=1", p->port);
		doctor_tell(p, VERDICT_WARN, cure, "speaks IPv6 itself (%s), which is metered too",
			    text);
		return;
	}
	snprintf(cure, sizeof(cure), "ip addr flush dev %s", p->port);
	doctor_tell(
		p, VERDICT_WARN, cure,
		"carries this host's address %s: its own talk is metered too, and xdp: would cut "
		"it off",
		text);
}

void check_own_address(struct patient *p)
{
	struct ifaddrs *all;
	unsigned found = 0;
	if (getifaddrs(&all) != 0)
		return;
	for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
		if (one->ifa_addr == NULL || strcmp(one->ifa_name, p->port) != 0 ||
		    (one->ifa_addr->sa_family != AF_INET && one->ifa_addr->sa_family != AF_INET6))
			continue;
		tell_address(p, one);
		found++;
	}
	freeifaddrs(all);
	if (found == 0)
		doctor_tell(p, VERDICT_OK, NULL, "carries no address of this host");
}

/* ---- sizes --------------------------------------------------------------------------------- */

void check_mtu(struct patient *p)
{
	const int wanted = p->conf->decap_flags != 0 ? WRAPPED_MTU : ETHERNET_MTU;
	struct ifreq request = {0};
	char cure[CURE_MAX];
	memcpy(request.ifr_name, p->port, strlen(p->port) + 1);
	if (ioctl(p->fd, SIOCGIFMTU, &request) != 0)
		return;
	snprintf(cure, sizeof(cure), "ip link set %s mtu %d", p->port, wanted);
	if (request.ifr_mtu < wanted)
		doctor_tell(p, VERDICT_WARN, cure,
			    "MTU %d: many a NIC drops longer packets before they are counted",
			    request.ifr_mtu);
	else
		doctor_tell(p, VERDICT_OK, NULL,
			    "MTU %d; the first %d bytes of a packet are looked at", request.ifr_mtu,
			    SNAPLEN);
}

/* ---- losses -------------------------------------------------------------------------------- */

struct losses {
	uint64_t nic;	  /* missed, overrun: no room in the NIC's rings */
	uint64_t dropped; /* by the kernel's receive path */
};

static struct losses read_losses(const char *port)
{
	struct losses l = {.nic = 0};
	struct ifaddrs *all;
	if (getifaddrs(&all) != 0)
		return l;
	for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
		const struct rtnl_link_stats *s = one->ifa_data;
		if (s == NULL || one->ifa_addr == NULL || one->ifa_addr->sa_family != AF_PACKET ||
		    strcmp(one->ifa_name, port) != 0)
			continue;
		l.nic = (uint64_t)s->rx_missed_errors + s->rx_fifo_errors + s->rx_over_errors;
		l.dropped = s->rx_dropped;
	}
	freeifaddrs(all);
	return l;
}

void doctor_watch(void)
{
	const struct timespec pause = {.tv_nsec = DROPS_WATCHED_MS * NS_PER_MS};
	nanosleep(&pause, NULL);
}

void doctor_tell_loss(struct patient *p, const char *what, uint64_t before, uint64_t after,
		      const char *cure)
{
	if (after > before)
		doctor_tell(p, VERDICT_FAIL, cure, "%s: %llu packets lost, %llu of them just now",
			    what, (unsigned long long)after, (unsigned long long)(after - before));
	else if (after > 0)
		doctor_tell(p, VERDICT_WARN, cure,
			    "%s: %llu packets lost since it came up, none just now", what,
			    (unsigned long long)after);
	else
		doctor_tell(p, VERDICT_OK, NULL, "%s: no packets lost", what);
}

/* Takes all packets of the port as an input does, promiscuous, and throws them away: without
 * somebody who wants them, the kernel counts those of unknown protocols as dropped. -1 when it may
 * not. */
static int listen_at(const struct patient *p)
{
	const struct sockaddr_ll here = {.sll_family = AF_PACKET,
					 .sll_protocol = htons(ETH_P_ALL),
					 .sll_ifindex = (int)p->index};
	const struct packet_mreq promisc = {.mr_ifindex = (int)p->index,
					    .mr_type = PACKET_MR_PROMISC};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc));
	if (bind(fd, (const struct sockaddr *)&here, sizeof(here)) == 0)
		return fd;
	close(fd);
	return -1;
}

void check_drops(struct patient *p)
{
	char cure[CURE_MAX];
	int fd = listen_at(p);
	const struct losses before = read_losses(p->port);
	doctor_watch();
	const struct losses after = read_losses(p->port);
	if (fd >= 0)
		close(fd);
	snprintf(cure, sizeof(cure), "ethtool -S %s", p->port);
	doctor_tell_loss(p, "NIC", before.nic, after.nic, cure);
	snprintf(cure, sizeof(cure), "ip -s -s link show %s", p->port);
	doctor_tell_loss(p, "receive path", before.dropped, after.dropped, cure);
}
