/* What the kernel tells of network interfaces: in this network namespace, any thread. */
#ifndef WEIR_CAPTURE_IFACE_H
#define WEIR_CAPTURE_IFACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The names of those that there are, each after a space, as many as fit. */
void iface_list(char *buf, size_t size);

/* ARPHRD_ type, or -errno. */
int iface_type(const char *name);

/* Is it there and up? */
bool iface_is_up(const char *name);

/* The longest packet that it carries, link header aside; 0 when that is not known. */
unsigned iface_mtu(unsigned index);

/* Receive queues in use, at least 1. */
unsigned iface_queues(const char *name);

/* Counters of an interface, since it was made. */
struct iface_counters {
	uint64_t packets; /* received */
	uint64_t dropped; /* received and dropped by driver or kernel; also such as no protocol took
			   */
	uint64_t missed;  /* not received for want of room in NIC or driver */
};

/* Packets that the machine's backlogs had no room for, of all interfaces; 0 where unknown. */
uint64_t iface_backlog_dropped(void);

/* One exchange with the kernel, for some drivers one with the device too. -errno. */
int iface_read(unsigned index, struct iface_counters *ret_counters);

#endif
