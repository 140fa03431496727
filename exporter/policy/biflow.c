/* The ends of a flow are put in order before they are hashed, so that who spoke first is nothing.
 */
#include "biflow.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "splitmix.h"

struct end {
	uint8_t address[16];
	uint16_t port;
};

struct ends {
	struct end low, high;
	uint16_t protocol; /* and the IP version */
};

_Static_assert(sizeof(struct ends) == 38, "hashed as it lies, without padding");

void biflow_secret_from_seed(struct biflow_secret *secret, uint64_t seed)
{
	uint64_t state = seed ^ 0x6269666c6f77; /* the flow table has secrets of its own */
	for (size_t at = 0; at < sizeof(secret->bytes); at += sizeof(uint64_t)) {
		const uint64_t v = splitmix64(&state);
		memcpy(secret->bytes + at, &v, sizeof(v));
	}
}

static struct end make_end(const uint8_t *address, uint16_t port)
{
	struct end end = {.port = port};
	memcpy(end.address, address, sizeof(end.address));
	return end;
}

uint64_t biflow_hash(const struct flow_record *r, const struct biflow_secret *secret)
{
	const struct end src = make_end(r->src, r->icmp_known ? 0 : r->sport);
	const struct end dst = make_end(r->dst, r->icmp_known ? 0 : r->dport);
	const bool in_order = memcmp(&src, &dst, sizeof(src)) <= 0;
	const struct ends ends = {
		.low = in_order ? src : dst,
		.high = in_order ? dst : src,
		.protocol = (uint16_t)(r->ip_version << 8 | r->ip_proto),
	};
	return XXH3_64bits_withSecret(&ends, sizeof(ends), secret->bytes, sizeof(secret->bytes));
}
