/*
 * Networks as sorted ranges that do not overlap, one list a family, searched by halves: a list of
 * thousands, as a provider has, costs a dozen comparisons an address. A tree of prefix bits was
 * rejected: more code, and no faster where sets are small.
 */
#include "netset.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

enum { ADDR = 16, PREFIX_TEXT_MAX = 3 };

struct ranges {
	struct net *item;
	unsigned count;
};

struct netset {
	struct ranges four, six;
};

/* ---- reading ------------------------------------------------------------------------------- */

static bool read_address(const char *text, size_t len, struct net *net)
{
	char copy[INET6_ADDRSTRLEN];
	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	*net = (struct net){.version = memchr(text, ':', len) != NULL ? 6 : 4};
	return inet_pton(net->version == 6 ? AF_INET6 : AF_INET, copy, net->first) == 1;
}

/* Digits alone, at most `most`. */
static bool read_prefix(const char *text, size_t len, unsigned most, unsigned *ret_bits)
{
	unsigned bits = 0;
	if (len == 0 || len > PREFIX_TEXT_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		bits = bits * 10 + (unsigned)(text[i] - '0');
	}
	*ret_bits = bits;
	return bits <= most;
}

/* Sets the last address; false when the first has bits behind the prefix. */
static bool close_net(struct net *net, unsigned bits, unsigned all_bits)
{
	memcpy(net->last, net->first, ADDR);
	for (unsigned bit = bits; bit < all_bits; bit++) {
		const uint8_t mask = (uint8_t)(0x80 >> bit % 8);
		if (net->first[bit / 8] & mask)
			return false;
		net->last[bit / 8] |= mask;
	}
	return true;
}

int net_parse(const char *text, size_t len, struct net *ret_net)
{
	struct net net;
	const char *slash = memchr(text, '/', len);
	const size_t addr_len = slash != NULL ? (size_t)(slash - text) : len;
	if (!read_address(text, addr_len, &net))
		return ERR_USAGE;
	const unsigned all_bits = net.version == 6 ? 128 : 32;
	unsigned bits = all_bits;
	if (slash != NULL && !read_prefix(slash + 1, len - addr_len - 1, all_bits, &bits))
		return ERR_USAGE;
	if (!close_net(&net, bits, all_bits))
		return ERR_USAGE;
	*ret_net = net;
	return 0;
}

/* ---- the set ------------------------------------------------------------------------------- */

static int by_first(const void *a, const void *b)
{
	return memcmp(((const struct net *)a)->first, ((const struct net *)b)->first, ADDR);
}

/* Networks overlap only as one lies in another: the one that begins first is the outer. */
static void settle(struct ranges *r)
{
	unsigned kept = 0;
	qsort(r->item, r->count, sizeof(*r->item), by_first);
	for (unsigned i = 0; i < r->count; i++) {
		const struct net *n = &r->item[i];
		struct net *before = kept > 0 ? &r->item[kept - 1] : NULL;
		if (before == NULL || memcmp(n->first, before->last, ADDR) > 0)
			r->item[kept++] = *n;
		else if (memcmp(n->last, before->last, ADDR) > 0)
			memcpy(before->last, n->last, ADDR);
	}
	r->count = kept;
}

int netset_new(char *const *texts, unsigned count, struct netset **ret_set)
{
	struct netset *set = calloc(1, sizeof(*set));
	if (set == NULL)
		return ERR_NOMEM;
	set->four.item = calloc(count + 1, sizeof(struct net));
	set->six.item = calloc(count + 1, sizeof(struct net));
	int err = set->four.item == NULL || set->six.item == NULL ? ERR_NOMEM : 0;
	for (unsigned i = 0; i < count && err == 0; i++) {
		struct net net;
		err = net_parse(texts[i], strlen(texts[i]), &net);
		struct ranges *r = err == 0 && net.version == 6 ? &set->six : &set->four;
		if (err == 0)
			r->item[r->count++] = net;
	}
	if (err != 0) {
		netset_free(set);
		return err;
	}
	settle(&set->four);
	settle(&set->six);
	*ret_set = set;
	return 0;
}

void netset_free(struct netset *set)
{
	if (set == NULL)
		return;
	free(set->four.item);
	free(set->six.item);
	free(set);
}

bool netset_has(const struct netset *set, unsigned ip_version, const uint8_t *addr)
{
	const struct ranges *r = ip_version == 6 ? &set->six : &set->four;
	uint8_t wanted[ADDR] = {0};
	unsigned low = 0, high = r->count;
	memcpy(wanted, addr, ip_version == 6 ? 16 : 4);
	while (low < high) {
		const unsigned middle = low + (high - low) / 2;
		if (memcmp(wanted, r->item[middle].first, ADDR) < 0)
			high = middle;
		else if (memcmp(wanted, r->item[middle].last, ADDR) > 0)
			low = middle + 1;
		else
			return true;
	}
	return false;
}
