/*
 * AF_PACKET sockets as the ring uses them: one that carries packets in a ring of blocks shared with
 * the kernel (TPACKET_V3), and one that only counts. Whatever a socket has set on the port, the
 * kernel undoes when it is closed, by SIGKILL too.
 */
#ifndef WEIR_CAPTURE_RING_SOCKET_H
#define WEIR_CAPTURE_RING_SOCKET_H

#include "capture.h"
#include "cbpf.h"

/* A block is handed over when it is full, or this long after it was begun. */
#define RING_RETIRE_MS 8

/* What a handle asks for. */
struct ring_wish {
	const char *name;	   /* of the interface */
	int type;		   /* ARPHRD_ */
	unsigned mac_size;	   /* bytes of link header */
	uint64_t bytes;		   /* size of the ring */
	struct capture_team *team; /* joined where it has more than one worker */
	bool founds;		   /* makes the team's group, which the others join */
};

struct ring_socket {
	int fd;		/* -1: none */
	unsigned index; /* of the interface */
	uint8_t *map;	/* the blocks, one after the other */
	unsigned blocks;
	unsigned block_size;
	bool splits;	  /* super-packets are told apart (PACKET_VNET_HDR) */
	uint64_t packets; /* that passed the filter, lost ones too; as of ring_socket_count */
	uint64_t lost;
};

/* Opens, binds and joins the team; lets nothing in yet. 0; -ENETDOWN when the port is down; else an
 * error; all with a line in errbuf. */
int ring_socket_open(struct ring_socket *socket, const struct ring_wish *wish, char *errbuf,
		     unsigned errsize);

/* The same without a ring: what the program accepts is counted and let go. */
int ring_tally_open(struct ring_socket *socket, const struct ring_wish *wish, char *errbuf,
		    unsigned errsize);

/* From now on what `program` accepts comes in. -errno. */
int ring_socket_attach(const struct ring_socket *socket, const struct cbpf *program);

/* Adds what the kernel has counted since the last call. */
void ring_socket_count(struct ring_socket *socket);

/* The error that waits on the socket (ENETDOWN), and none any more; 0 without. */
int ring_socket_error(const struct ring_socket *socket);

/* Is it still bound to the interface of this name? Not when that was removed, or moved elsewhere,
 * even if it is back with the number that it had. */
bool ring_socket_is_bound(const struct ring_socket *socket, const char *name);

/* NULL map and fd -1 are fine. */
void ring_socket_close(struct ring_socket *socket);

#endif
