/* Key and hash of a decoded packet; and the share that tells workers of a replay apart. */
#include "micro.h"

#include "conf.h"

enum { PACKETS = 512 };

const struct micro_mode micro_modes[] = {
	{"key4", "flow_key_make, IPv4"},
	{"key6", "flow_key_make, IPv6"},
	{"hash4", "flow_key_hash, IPv4"},
	{"hash6", "flow_key_hash, IPv6"},
	{"share", "flow_share, IPv4"},
	{NULL, NULL},
};

static struct packet packets[PACKETS];
static struct flow_key keys[PACKETS];
static struct flow_secret secret;
static volatile uint64_t result;

static void step_key(void *arg, uint64_t n)
{
	(void)arg;
	unsigned side = 0;
	for (uint64_t i = 0; i < n; i++)
		side += flow_key_make(&keys[i % PACKETS], &packets[i % PACKETS], 0, KEY_DEFAULT);
	result = side;
}

static void step_hash(void *arg, uint64_t n)
{
	(void)arg;
	uint64_t sum = 0;
	for (uint64_t i = 0; i < n; i++)
		sum += flow_key_hash(&keys[i % PACKETS], false, &secret);
	result = sum;
}

static void step_share(void *arg, uint64_t n)
{
	(void)arg;
	uint64_t sum = 0;
	for (uint64_t i = 0; i < n; i++)
		sum += flow_share(&packets[i % PACKETS], &secret);
	result = sum;
}

void micro_run(const char *mode, uint64_t n, const char *workdir)
{
	(void)workdir;
	const struct raw_packet *raws = micro_packets(PACKETS, strchr(mode, '6') != NULL, 0);
	flow_secret_from_seed(&secret, 1);
	for (unsigned i = 0; i < PACKETS; i++) {
		micro_decode(&raws[i], &packets[i]);
		flow_key_make(&keys[i], &packets[i], 0, KEY_DEFAULT);
	}
	measured(strncmp(mode, "key", 3) == 0 ? step_key
		 : strcmp(mode, "share") == 0 ? step_share
					      : step_hash,
		 NULL, n);
}
