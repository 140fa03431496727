/*
 * A netlink socket to netfilter, as NFQUEUE and NFLOG inputs use it: requests that are answered,
 * and packets received many at a time into memory that stays as it is until the next receive.
 * One thread.
 */
#ifndef WEIR_CAPTURE_NFSOCK_H
#define WEIR_CAPTURE_NFSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"

/* Datagrams in one receive, at most. */
#define NFSOCK_DATAGRAMS 64

/* Room for any request we make. */
#define NFSOCK_REQUEST_SIZE 256

struct nfsock;
struct nlattr;
struct nlmsghdr;

/* Opens; each datagram may have `bytes`. 0, or -errno with a line in errbuf that begins with
 * `spec`. */
int nfsock_open(const char *spec, uint32_t bytes, struct nfsock **ret_sock, char *errbuf,
		unsigned errsize);
void nfsock_close(struct nfsock *sock);

int nfsock_fd(const struct nfsock *sock);

/* Sends a request and waits for the kernel's answer: 0 or -errno. What else arrives meanwhile is
 * let go. */
int nfsock_ask(struct nfsock *sock, struct nlmsghdr *request);

/* Sends `n` bytes of messages; nobody waits for an answer. 0 or -errno. */
int nfsock_tell(struct nfsock *sock, const void *messages, size_t n);

/* Takes the datagrams that are there, at most `max`, over those before; without waiting. Returns
 * their number, 0 when there are none, or -errno. */
int nfsock_receive(struct nfsock *sock, unsigned max);

/* The next message of type `type` (subsystem and message) that was received; NULL at the end. */
const struct nlmsghdr *nfsock_next(struct nfsock *sock, uint16_t type);

/* Begins again with the first message that was received. */
void nfsock_rewind(struct nfsock *sock);

/* Waits for something to be received, `ms` at most. */
void nfsock_wait(const struct nfsock *sock, int ms);

/* Adds a number, in network order, to a request. */
void nfsock_put_u16(struct nlmsghdr *request, uint16_t type, uint16_t value);
void nfsock_put_u32(struct nlmsghdr *request, uint16_t type, uint32_t value);

/* Link type of a packet by the protocol family of its message and the message's hardware
 * protocol. */
uint16_t nfsock_linktype(const struct nlmsghdr *message, uint16_t hw_protocol);

/* A number in network order, 0 without an attribute, whose length was looked at. */
uint32_t nfsock_u32(const struct nlattr *attr);

/* Seconds and microseconds, 8 bytes each, when the port got the packet; `now` where it is not said
 * or cannot be. */
struct pkt_time nfsock_time(const struct nlattr *attr, struct pkt_time now);

/* Netlink port that reads queue or group `number` by a table of /proc/net/netfilter, whose first
 * two columns are number and port; 0: nobody. */
uint32_t nfsock_owner(const char *path, uint16_t number);

#endif
