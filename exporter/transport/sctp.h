/* SCTP for streams of IPFIX messages. */
#ifndef WEIR_EXPORTER_SCTP_H
#define WEIR_EXPORTER_SCTP_H

struct channel;
struct errtext;

/* Has the kernel SCTP? 0, or -errno with the cure in `e`. */
int sctp_check(struct errtext *e);

/* A channel (channel.h) over a connected one-to-one socket, which it owns from then on; what is
 * written begins with an IPFIX message, and each write takes one. NULL: no memory, the socket is
 * closed. */
struct channel *sctp_channel_new(int fd);

#endif
