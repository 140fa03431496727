/* Interfaces: by ioctl, by sysfs, and their counters by rtnetlink, which knows the namespace. */
#include "iface.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

void iface_list(char *buf, size_t size)
{
	struct if_nameindex *all = if_nameindex();
	size_t used = 0;
	buf[0] = '\0';
	for (const struct if_nameindex *one = all; all != NULL && one->if_index != 0; one++) {
		if (strlen(one->if_name) + 2 > size - used)
			continue;
		used += (size_t)snprintf(buf + used, size - used, " %s", one->if_name);
	}
	if_freenameindex(all);
}

/* ---- ioctl ---------------------------------------------------------------------------------- */

static int ask(const char *name, unsigned long what, struct ifreq *request)
{
	*request = (struct ifreq){.ifr_ifindex = 0};
	if (strlen(name) >= sizeof(request->ifr_name))
		return -ENODEV;
	strcpy(request->ifr_name, name);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int err = ioctl(fd, what, request) < 0 ? -errno : 0;
	close(fd);
	return err;
}

int iface_type(const char *name)
{
	struct ifreq request;
	int err = ask(name, SIOCGIFHWADDR, &request);
	return err != 0 ? err : request.ifr_hwaddr.sa_family;
}

bool iface_is_up(const char *name)
{
	struct ifreq request;
	return ask(name, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_UP;
}

unsigned iface_mtu(unsigned index)
{
	char name[IF_NAMESIZE];
	struct ifreq request;
	if (if_indextoname(index, name) == NULL || ask(name, SIOCGIFMTU, &request) != 0)
		return 0;
	return request.ifr_mtu > 0 ? (unsigned)request.ifr_mtu : 0;
}

/* ---- sysfs ---------------------------------------------------------------------------------- */

unsigned iface_queues(const char *name)
{
	char path[64 + IF_NAMESIZE];
	unsigned n = 0;
	snprintf(path, sizeof(path), "/sys/class/net/%.*s/queues", IF_NAMESIZE, name);
	DIR *dir = opendir(path);
	if (dir == NULL)
		return 1;
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
		n += strncmp(entry->d_name, "rx-", 3) == 0;
	closedir(dir);
	return n > 0 ? n : 1;
}

/* ---- procfs --------------------------------------------------------------------------------- */

uint64_t iface_backlog_dropped(void)
{
	char line[512];
	uint64_t sum = 0;
	unsigned dropped;
	FILE *file = fopen("/proc/net/softnet_stat", "re");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "%*x %x", &dropped) == 1)
			sum += dropped;
	fclose(file);
	return sum;
}

/* ---- rtnetlink ------------------------------------------------------------------------------ */

/* Asks for one interface; returns the size of the answer in `buf`, or -errno. */
static ssize_t ask_link(unsigned index, void *buf, size_t size)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = RTM_GETLINK,
			   .nlmsg_flags = NLM_F_REQUEST},
		.link = {.ifi_family = AF_UNSPEC, .ifi_index = (int)index},
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	ssize_t n = send(fd, &request, sizeof(request), 0);
	if (n > 0)
		n = recv(fd, buf, size, 0);
	if (n < 0)
		n = -errno;
	close(fd);
	return n;
}

static void take_counters(const struct rtattr *attribute, struct iface_counters *ret_counters)
{
	struct rtnl_link_stats64 s = {.rx_packets = 0};
	size_t size = RTA_PAYLOAD(attribute);
	memcpy(&s, RTA_DATA(attribute), size < sizeof(s) ? size : sizeof(s));
	*ret_counters = (struct iface_counters){
		.packets = s.rx_packets,
		.dropped = s.rx_dropped,
		.missed = s.rx_missed_errors + s.rx_fifo_errors + s.rx_over_errors,
	};
}

int iface_read(unsigned index, struct iface_counters *ret_counters)
{
	_Alignas(struct nlmsghdr) char buf[32768];
	ssize_t size = ask_link(index, buf, sizeof(buf));
	if (size < 0)
		return (int)size;
	const struct nlmsghdr *header = (const struct nlmsghdr *)buf;
	unsigned left = (unsigned)size;
	if (!NLMSG_OK(header, left) || header->nlmsg_type != RTM_NEWLINK)
		return -ENODEV;
	left = (unsigned)IFLA_PAYLOAD(header);
	for (const struct rtattr *attribute = IFLA_RTA((struct ifinfomsg *)NLMSG_DATA(header));
	     RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type == IFLA_STATS64) {
			take_counters(attribute, ret_counters);
			return 0;
		}
	return -ENODEV;
}
