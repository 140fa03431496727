/*
 * Classic BPF for the kernel: the programs that a ring is run with. Pure: no socket, no state.
 *
 * A program is a value. Each function below replaces what `ret` held; one that does not fit (or
 * cannot be said in classic BPF) leaves `bad` set, as wire.h's cursors do.
 */
#ifndef WEIR_CAPTURE_CBPF_H
#define WEIR_CAPTURE_CBPF_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

struct cbpf {
	unsigned n;
	bool bad;
	struct sock_filter insn[BPF_MAXINSNS];
};

/* Lets nothing through. */
void cbpf_reject(struct cbpf *ret);

/*
 * What a socket accepts: `code` as pcap_compile made it for an Ethernet capture, n = 0 for
 * everything; each packet cut to `snaplen`, which is not 0. The kernel takes the outermost VLAN
 * tag out of a frame before a program sees it; this one decides as if the tag were still there,
 * as on a capture file. `bad` where that cannot be said: filter in user space instead.
 */
void cbpf_filter(struct cbpf *ret, const struct sock_filter *code, unsigned n, uint32_t snaplen);

/* Greatest N of random:N that is left to the kernel: its threshold has 32 bits, and 1/N should be
 * met to a few millionths. */
#define CBPF_RANDOM_MAX 16384

/* Puts in front of a program: take 1/n of the packets at random. */
void cbpf_add_random(struct cbpf *program, uint32_t n);

/*
 * Which member of a fanout group a packet goes to: a hash of the address pair, the same for both
 * directions and, ports being left alone, for all fragments. Looks through VLAN tags, those in the
 * frame as well as those that the kernel took out, PPPoE and MPLS. All that carries no IP goes to
 * one member. `key` makes the hash unpredictable. `mac_size`: bytes of link header that the port's
 * outgoing frames begin with, 14 on Ethernet.
 */
void cbpf_fanout(struct cbpf *ret, unsigned mac_size, uint32_t key);

#endif
