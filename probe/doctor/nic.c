/*
 * What the NIC and its driver do to packets before anyone sees them: asked by the ethtool ioctl. A
 * driver that does not know a question has nothing to be told of.
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "doctor_internal.h"

/* The struct of an ethtool command at `data`; false when the driver does not answer. */
static bool ask(const struct patient *p, void *data)
{
	struct ifreq request = {.ifr_data = data};
	memcpy(request.ifr_name, p->port, strlen(p->port) + 1);
	return ioctl(p->fd, SIOCETHTOOL, &request) == 0;
}

/* The driver's word is fresher than IFF_RUNNING, which follows within a second. */
void check_carrier(struct patient *p)
{
	struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
	char cure[CURE_MAX];
	snprintf(cure, sizeof(cure), "ip -s link show %s", p->port);
	if (!(p->flags & IFF_UP))
		return;
	if (ask(p, &link) ? link.data != 0 : (p->flags & IFF_RUNNING) != 0)
		doctor_tell(p, VERDICT_OK, NULL, "has carrier");
	else
		doctor_tell(p, VERDICT_FAIL, cure,
			    "has no carrier: see to cable and mirror, then look again");
}

/* ---- offloads ------------------------------------------------------------------------------ */

/* A feature by the kernel's name, by ethtool -K's, and what it does to each reader. */
static const struct offload {
	const char *feature;
	const char *word;
	enum verdict ring, pcap, xdp;
	const char *harm;
} offloads[] = {
	{"rx-lro", "lro", VERDICT_FAIL, VERDICT_FAIL, VERDICT_FAIL,
	 "LRO is on: the hardware merges packets, and nobody knows how many there were"},
	{"rx-gro-hw", "rx-gro-hw", VERDICT_WARN, VERDICT_FAIL, VERDICT_WARN,
	 "hardware GRO is on: packets arrive merged"},
	{"rx-gro", "gro", VERDICT_WARN, VERDICT_FAIL, VERDICT_OK,
	 "GRO is on: packets arrive merged; ring: takes them apart again, pcap: counts them as "
	 "one"},
	{"rx-gro-list", "rx-gro-list", VERDICT_WARN, VERDICT_FAIL, VERDICT_OK,
	 "GRO lists are on: packets arrive merged"},
	{"rx-udp-gro-forwarding", "rx-udp-gro-forwarding", VERDICT_WARN, VERDICT_FAIL, VERDICT_OK,
	 "GRO of UDP is on: packets arrive merged"},
	{"rx-vlan-hw-parse", "rxvlan", VERDICT_OK, VERDICT_OK, VERDICT_FAIL,
	 "VLAN tags are taken off by the driver: xdp: does not see them"},
};

enum { OFFLOADS = sizeof(offloads) / sizeof(offloads[0]), FEATURES_MAX = 512 };

/* The kernel's names of features, ETH_GSTRING_LEN bytes each; their number, 0 without. */
static unsigned feature_names(const struct patient *p, struct ethtool_gstrings **ret_names)
{
	struct {
		struct ethtool_sset_info head;
		uint32_t count;
	} info = {.head = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = UINT64_C(1) << ETH_SS_FEATURES}};
	if (!ask(p, &info) || info.head.sset_mask == 0 || info.count > FEATURES_MAX)
		return 0;
	struct ethtool_gstrings *names =
		calloc(1, sizeof(*names) + (size_t)info.count * ETH_GSTRING_LEN);
	if (names == NULL)
		return 0;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = info.count;
	if (!ask(p, names)) {
		free(names);
		return 0;
	}
	*ret_names = names;
	return info.count;
}

/* Which of them are on, a bit each. */
static bool feature_states(const struct patient *p, unsigned count, uint32_t *ret_active)
{
	const unsigned blocks = (count + 31) / 32;
	struct ethtool_gfeatures *f =
		calloc(1, sizeof(*f) + blocks * sizeof(struct ethtool_get_features_block));
	if (f == NULL)
		return false;
	f->cmd = ETHTOOL_GFEATURES;
	f->size = blocks;
	bool known = ask(p, f);
	for (unsigned i = 0; known && i < blocks; i++)
		ret_active[i] = f->features[i].active;
	free(f);
	return known;
}

static enum verdict verdict_for(const struct offload *o, enum reader reader)
{
	switch (reader) {
	case READER_RING:
		return o->ring;
	case READER_PCAP:
		return o->pcap;
	case READER_XDP:
		return o->xdp;
	}
	return VERDICT_WARN;
}

static unsigned tell_offload(struct patient *p, const char *feature)
{
	char cure[CURE_MAX];
	for (unsigned i = 0; i < OFFLOADS; i++) {
		const struct offload *o = &offloads[i];
		const enum verdict verdict = verdict_for(o, p->reader);
		if (strncmp(o->feature, feature, ETH_GSTRING_LEN) != 0 || verdict == VERDICT_OK)
			continue;
		snprintf(cure, sizeof(cure), "ethtool -K %s %s off", p->port, o->word);
		doctor_tell(p, verdict, cure, "%s", o->harm);
		return 1;
	}
	return 0;
}

void check_offloads(struct patient *p)
{
	uint32_t active[FEATURES_MAX / 32] = {0};
	struct ethtool_gstrings *names = NULL;
	unsigned told = 0;
	const unsigned count = feature_names(p, &names);
	if (count == 0 || !feature_states(p, count, active)) {
		doctor_tell(p, VERDICT_OK, NULL, "its driver tells of no offloads");
		free(names);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		if (active[i / 32] >> i % 32 & 1)
			told += tell_offload(p, (const char *)names->data +
							(size_t)i * ETH_GSTRING_LEN);
	free(names);
	if (told == 0)
		doctor_tell(p, VERDICT_OK, NULL,
			    "no offload changes packets before they are counted");
}

/* ---- rings and queues ---------------------------------------------------------------------- */

void check_ring_size(struct patient *p)
{
	struct ethtool_ringparam ring = {.cmd = ETHTOOL_GRINGPARAM};
	char cure[CURE_MAX];
	if (!ask(p, &ring) || ring.rx_max_pending == 0) {
		doctor_tell(p, VERDICT_OK, NULL, "its driver has no ring to size");
		return;
	}
	snprintf(cure, sizeof(cure), "ethtool -G %s rx %u", p->port, ring.rx_max_pending);
	if (ring.rx_pending < ring.rx_max_pending)
		doctor_tell(p, VERDICT_WARN, cure,
			    "ring of %u frames, %u would outlast a longer burst", ring.rx_pending,
			    ring.rx_max_pending);
	else
		doctor_tell(p, VERDICT_OK, NULL, "ring of %u frames, the most there is",
			    ring.rx_pending);
}

/* A Toeplitz key that repeats every two bytes gives both directions of a flow the same queue. */
static bool is_symmetric(const uint8_t *key, unsigned size)
{
	for (unsigned i = 2; i < size; i++)
		if (key[i] != key[i - 2])
			return false;
	return true;
}

static void symmetric_cure(const struct patient *p, unsigned key_size, unsigned queues, char *cure)
{
	int n = snprintf(cure, CURE_MAX, "ethtool -X %s hkey ", p->port);
	for (unsigned i = 0; i < key_size && n > 0 && n < CURE_MAX - 32; i++)
		n += snprintf(cure + n, (size_t)(CURE_MAX - n), "%s%s", i > 0 ? ":" : "",
			      i % 2 == 0 ? "6d" : "5a");
	if (n > 0 && n < CURE_MAX)
		snprintf(cure + n, (size_t)(CURE_MAX - n), " equal %u", queues);
}

static void tell_hash(struct patient *p, unsigned queues)
{
	enum { KEY_MAX = 128, TABLE_MAX = 4096 };
	struct ethtool_rxfh sizes = {.cmd = ETHTOOL_GRSSH};
	char cure[CURE_MAX];
	if (!ask(p, &sizes) || sizes.key_size == 0 || sizes.key_size > KEY_MAX ||
	    sizes.indir_size > TABLE_MAX) {
		doctor_tell(p, VERDICT_OK, NULL, "%u queues, its driver tells of no hash key",
			    queues);
		return;
	}
	const size_t table = sizes.indir_size * sizeof(uint32_t);
	struct ethtool_rxfh *rss = calloc(1, sizeof(*rss) + table + sizes.key_size);
	if (rss == NULL)
		return;
	*rss = (struct ethtool_rxfh){
		.cmd = ETHTOOL_GRSSH, .indir_size = sizes.indir_size, .key_size = sizes.key_size};
	bool known = ask(p, rss);
	const uint8_t *key = (const uint8_t *)rss->rss_config + table;
	symmetric_cure(p, sizes.key_size, queues, cure);
	if (known && is_symmetric(key, sizes.key_size))
		doctor_tell(p, VERDICT_OK, NULL, "%u queues, and both directions of a flow in one",
			    queues);
	else
		doctor_tell(
			p, p->reader == READER_XDP ? VERDICT_FAIL : VERDICT_WARN, cure,
			"%u queues, and the two directions of a flow in different ones: answers "
			"can overtake questions",
			queues);
	free(rss);
}

void check_queues(struct patient *p)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	if (!ask(p, &channels)) {
		doctor_tell(p, VERDICT_OK, NULL, "its driver tells of no queues");
		return;
	}
	const unsigned queues = channels.combined_count + channels.rx_count;
	if (queues > 1)
		tell_hash(p, queues);
	else
		doctor_tell(p, VERDICT_OK, NULL, "one queue, packets stay in order");
}

void check_numa(struct patient *p)
{
	char path[128], node[16], online[64], cpus[128] = "";
	snprintf(path, sizeof(path), "/sys/class/net/%s/device/numa_node", p->port);
	if (!doctor_read_line(path, node, sizeof(node)) || atoi(node) < 0 ||
	    !doctor_read_line("/sys/devices/system/node/online", online, sizeof(online)) ||
	    strcmp(online, "0") == 0) {
		doctor_tell(p, VERDICT_OK, NULL, "is as near to each CPU as to any");
		return;
	}
	char cure[CURE_MAX];
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%s/cpulist", node);
	(void)doctor_read_line(path, cpus, sizeof(cpus));
	snprintf(cure, sizeof(cure), "taskset -c %s weir -i %s", cpus, p->port);
	doctor_tell(p, VERDICT_WARN, cure, "hangs on NUMA node %s of %s: run on its CPUs", node,
		    online);
}
