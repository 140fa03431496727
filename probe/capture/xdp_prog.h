/*
 * The program at a port that gives packets of queue N to the AF_XDP socket of queue N, and lets
 * those of a queue without a socket go their way. One thread.
 */
#ifndef WEIR_CAPTURE_XDP_PROG_H
#define WEIR_CAPTURE_XDP_PROG_H

#include <stdbool.h>

struct xdp_prog {
	int map; /* queue number to socket; -1: none */
	int code;
	int link; /* keeps the program at the port; the kernel takes it off with the last descriptor
		   */
	bool native; /* run by the driver, not by the generic hook behind it */
};

#define XDP_PROG_NONE ((struct xdp_prog){.map = -1, .code = -1, .link = -1})

/* Loads the program for queues below `queues` and attaches it, in the driver unless it cannot or
 * `generic` is set. Until sockets are added, everything passes. Returns 0 or -errno with a line in
 * errbuf that begins with `name`; nothing is left behind then. */
int xdp_prog_attach(struct xdp_prog *prog, const char *name, unsigned ifindex, unsigned queues,
		    bool generic, char *errbuf, unsigned errsize);

/* From now on the queue's packets go to that socket. -errno. */
int xdp_prog_add(const struct xdp_prog *prog, unsigned queue, int socket);

/* From now on the queue's packets pass. */
void xdp_prog_remove(const struct xdp_prog *prog, unsigned queue);

/* Takes it off; fine on XDP_PROG_NONE. */
void xdp_prog_detach(struct xdp_prog *prog);

#endif
