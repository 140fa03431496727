/* Questions to the kernel by ioctl, getifaddrs and sysfs. */
#include "xdp_port.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"

/* A VLAN of a bond of a port is three. */
#define STACK_DEPTH 8

/* ---- facts --------------------------------------------------------------------------------- */

static int ask(int fd, const char *name, unsigned long request, struct ifreq *ret_answer)
{
	*ret_answer = (struct ifreq){.ifr_flags = 0};
	snprintf(ret_answer->ifr_name, sizeof(ret_answer->ifr_name), "%s", name);
	return ioctl(fd, request, ret_answer) == 0 ? 0 : -errno;
}

static int ask_driver(int fd, const char *name, void *question)
{
	struct ifreq request = {.ifr_data = question};
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(fd, SIOCETHTOOL, &request) == 0 ? 0 : -errno;
}

/* A driver that does not say has one. */
static unsigned count_queues(int fd, const char *name)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	if (ask_driver(fd, name, &channels) != 0)
		return 1;
	unsigned n = channels.rx_count + channels.combined_count;
	return n == 0 ? 1 : n;
}

static bool takes_vlan(int fd, const char *name)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	return ask_driver(fd, name, &flags) == 0 && (flags.data & ETH_FLAG_RXVLAN) != 0;
}

static int look(int fd, const char *name, struct xdp_port *port, char *errbuf, unsigned errsize)
{
	struct ifreq answer;
	int err = ask(fd, name, SIOCGIFHWADDR, &answer);
	if (err != 0) {
		snprintf(errbuf, errsize, "%s: %s; see: ip link", name,
			 err == -ENODEV ? "no such interface" : strerror(-err));
		return err;
	}
	if (answer.ifr_hwaddr.sa_family != ARPHRD_ETHER &&
	    answer.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK) {
		snprintf(errbuf, errsize, "%s: xdp takes Ethernet ports only; try pcap:%s", name,
			 name);
		return ERR_NOTSUP;
	}
	err = ask(fd, name, SIOCGIFMTU, &answer);
	port->mtu = err == 0 ? (unsigned)answer.ifr_mtu : 1500;
	port->up = ask(fd, name, SIOCGIFFLAGS, &answer) == 0 && (answer.ifr_flags & IFF_UP) != 0;
	port->ifindex = if_nametoindex(name);
	port->queues = count_queues(fd, name);
	port->takes_vlan = takes_vlan(fd, name);
	return 0;
}

int xdp_port_look(const char *name, struct xdp_port *ret_port, char *errbuf, unsigned errsize)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		int err = -errno;
		snprintf(errbuf, errsize, "%s: %s", name, strerror(-err));
		return err;
	}
	int err = look(fd, name, ret_port, errbuf, errsize);
	close(fd);
	return err;
}

/* ---- the host ------------------------------------------------------------------------------ */

/* Does `upper` stand upon `name`, over at most `depth` others? The kernel shows it as links
 * upper_NAME. */
static bool stands_upon(const char *upper, const char *name, unsigned depth)
{
	char path[64 + IFNAMSIZ];
	bool found = false;
	if (strcmp(upper, name) == 0)
		return true;
	snprintf(path, sizeof(path), "/sys/class/net/%s", name);
	DIR *dir = depth > 0 ? opendir(path) : NULL;
	if (dir == NULL)
		return false;
	for (const struct dirent *one; !found && (one = readdir(dir)) != NULL;)
		if (strncmp(one->d_name, "upper_", 6) == 0)
			found = stands_upon(upper, one->d_name + 6, depth - 1);
	closedir(dir);
	return found;
}

/* An address by which others reach the host, as text; false for those that do not count. */
static bool is_host_address(const struct sockaddr *address, char *text, size_t size)
{
	if (address == NULL)
		return false;
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;
		return inet_ntop(AF_INET, &in->sin_addr, text, (socklen_t)size) != NULL;
	}
	if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)address;
		return !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) &&
		       inet_ntop(AF_INET6, &in6->sin6_addr, text, (socklen_t)size) != NULL;
	}
	return false;
}

bool xdp_port_is_host(const char *name, char *text, size_t size)
{
	struct ifaddrs *all;
	char address[INET6_ADDRSTRLEN];
	bool found = false;
	if (getifaddrs(&all) != 0)
		return false;
	for (const struct ifaddrs *one = all; one != NULL && !found; one = one->ifa_next) {
		found = is_host_address(one->ifa_addr, address, sizeof(address)) &&
			stands_upon(one->ifa_name, name, STACK_DEPTH);
		if (found && strcmp(one->ifa_name, name) == 0)
			snprintf(text, size, "%s", address);
		else if (found)
			snprintf(text, size, "%s on %s", address, one->ifa_name);
	}
	freeifaddrs(all);
	return found;
}

/* ---- promiscuous --------------------------------------------------------------------------- */

int xdp_port_promiscuous(unsigned ifindex)
{
	const struct packet_mreq request = {.mr_ifindex = (int)ifindex,
					    .mr_type = PACKET_MR_PROMISC};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* 0: receives nothing itself */
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)) != 0) {
		int err = -errno;
		close(fd);
		return err;
	}
	return fd;
}
