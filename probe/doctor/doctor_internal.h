/*
 * Checks: each is a small function that looks at one thing and tells what it found. Private to
 * probe/doctor.
 */
#ifndef WEIR_DOCTOR_INTERNAL_H
#define WEIR_DOCTOR_INTERNAL_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "conf.h"

enum verdict {
	VERDICT_OK,
	VERDICT_WARN, /* costs, or may cost, packets or time; what is counted is right */
	VERDICT_FAIL, /* falsifies what is counted */
	VERDICT_COUNT
};

/* Who would read the port: what harms one harms the other not. */
enum reader { READER_RING, READER_PCAP, READER_XDP };

struct patient {
	const struct conf *conf;
	FILE *out;
	const char *port; /* NULL: the machine */
	unsigned index;	  /* of the port */
	unsigned flags;	  /* IFF_ */
	enum reader reader;
	int fd; /* for ioctls */
	unsigned found[VERDICT_COUNT];
};

#define CURE_MAX 512

/* Tells a finding: what it is, and the command that mends it (NULL: there is none to give). */
void doctor_tell(struct patient *p, enum verdict verdict, const char *cure, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

struct check {
	const char *name;
	void (*look)(struct patient *p);
};

/* The checks of a port and of the machine; a NULL name ends them. */
extern const struct check doctor_port_checks[];
extern const struct check doctor_host_checks[];

/* doctor/port.c */
void check_up(struct patient *p);
void check_promiscuous(struct patient *p);
void check_own_address(struct patient *p);
void check_mtu(struct patient *p);
void check_drops(struct patient *p);

/* doctor/nic.c */
void check_carrier(struct patient *p);
void check_offloads(struct patient *p);
void check_ring_size(struct patient *p);
void check_queues(struct patient *p);
void check_numa(struct patient *p);

/* doctor/host.c */
void check_capabilities(struct patient *p);
void check_kernel(struct patient *p);
void check_bpf_jit(struct patient *p);
void check_memory(struct patient *p);
void check_huge_pages(struct patient *p);
void check_governor(struct patient *p);
void check_irqbalance(struct patient *p);
void check_backlog(struct patient *p);

/* Waits as long as a counter of losses is watched. */
void doctor_watch(void);

/* Tells what a counter of losses says: FAIL when it grew meanwhile. */
void doctor_tell_loss(struct patient *p, const char *what, uint64_t before, uint64_t after,
		      const char *cure);

/* The first line of a small file without its newline; false when it cannot be read. */
bool doctor_read_line(const char *path, char *buf, unsigned size);

#endif
