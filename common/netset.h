/*
 * A set of networks: what the configuration calls local. Made at start, then read-only; any thread.
 */
#ifndef WEIR_NETSET_H
#define WEIR_NETSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netset;

/* A network as its first and last address; IPv4 in the first four bytes, the rest 0 in both. */
struct net {
	uint8_t first[16];
	uint8_t last[16];
	uint8_t version; /* 4 or 6 */
};

/* Reads `len` characters: an address, or one with / and the length of its prefix. ERR_USAGE when it
 * is neither, or when bits behind the prefix are set: a network was meant, and it is not clear
 * which. */
int net_parse(const char *text, size_t len, struct net *ret_net);

/* A set of `count` networks as text, which net_parse takes; they may overlap. ERR_NOMEM. */
int netset_new(char *const *texts, unsigned count, struct netset **ret_set);

/* NULL is fine. */
void netset_free(struct netset *set);

/* Is the address (4 or 16 bytes) in one of them? */
bool netset_has(const struct netset *set, unsigned ip_version, const uint8_t *addr);

#endif
