/* What AF_XDP has to know of a port before it takes the port's packets. One thread. */
#ifndef WEIR_CAPTURE_XDP_PORT_H
#define WEIR_CAPTURE_XDP_PORT_H

#include <stdbool.h>
#include <stddef.h>

struct xdp_port {
	unsigned ifindex;
	unsigned queues; /* that receive, at least 1 */
	unsigned mtu;
	bool up;
	bool takes_vlan; /* the first VLAN tag may be taken out of frames before XDP sees them */
};

/* Asks the kernel. 0, or -errno (-ENODEV: no such port) or ERR_NOTSUP (not Ethernet), with a line
 * in errbuf. */
int xdp_port_look(const char *name, struct xdp_port *ret_port, char *errbuf, unsigned errsize);

/* Is the host itself reached through this port? Then the address is put into `text`, as
 * "10.0.0.1" or "10.0.0.1 on br0" when it is of something that stands upon the port (bridge, bond,
 * VLAN). The link-local address that every IPv6 port has is not meant. */
bool xdp_port_is_host(const char *name, char *text, size_t size);

/* A descriptor as long as which the port takes frames for all addresses; -errno. */
int xdp_port_promiscuous(unsigned ifindex);

#endif
