/* What the machine lets us do, and how fast. */
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "doctor_internal.h"
#include "flow/table.h"

/* ---- rights -------------------------------------------------------------------------------- */

static uint64_t effective_capabilities(void)
{
	unsigned long long caps = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	fclose(f);
	return caps;
}

static bool has(uint64_t caps, unsigned bit)
{
	return caps >> bit & 1;
}

static void setcap_cure(const char *caps, char *cure)
{
	char self[256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	snprintf(cure, CURE_MAX, "setcap %s=ep %s", caps, self);
}

/* Locked memory matters to AF_XDP alone, and to kernels before 5.11. */
static void check_memlock(struct patient *p, uint64_t caps)
{
	struct rlimit limit;
	enum { ENOUGH = 64 << 20 };
	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur >= ENOUGH ||
	    has(caps, CAP_IPC_LOCK))
		return;
	doctor_tell(p, VERDICT_WARN, "ulimit -l unlimited",
		    "%llu bytes may be locked in memory, xdp: needs more on kernels before 5.11",
		    (unsigned long long)limit.rlim_cur);
}

void check_capabilities(struct patient *p)
{
	const uint64_t caps = effective_capabilities();
	char cure[CURE_MAX];
	setcap_cure("cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock", cure);
	if (!has(caps, CAP_NET_RAW))
		doctor_tell(p, VERDICT_FAIL, cure, "no right to read ports (CAP_NET_RAW)");
	else
		doctor_tell(p, VERDICT_OK, NULL, "ports may be read (CAP_NET_RAW)");
	if (!has(caps, CAP_NET_ADMIN))
		doctor_tell(p, VERDICT_WARN, cure,
			    "no CAP_NET_ADMIN: no xdp:, nfqueue: and nflog:, and buffers of the "
			    "system's size only");
	if (!has(caps, CAP_BPF) && !has(caps, CAP_SYS_ADMIN))
		doctor_tell(p, VERDICT_WARN, cure, "neither CAP_BPF nor CAP_SYS_ADMIN: no xdp:");
	check_memlock(p, caps);
}

/* ---- the kernel ---------------------------------------------------------------------------- */

static bool ring_version_is_there(void)
{
	const int version = TPACKET_V3;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno == EPERM; /* told of elsewhere */
	bool there = setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) == 0;
	close(fd);
	return there;
}

static bool xdp_is_there(void)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno == EPERM;
}

void check_kernel(struct patient *p)
{
	if (ring_version_is_there())
		doctor_tell(p, VERDICT_OK, NULL, "the kernel has packet rings (TPACKET_V3)");
	else
		doctor_tell(p, VERDICT_WARN, "modprobe af_packet",
			    "the kernel has no packet rings: -i pcap:PORT is what is left");
	if (xdp_is_there())
		doctor_tell(p, VERDICT_OK, NULL, "the kernel has AF_XDP");
	else
		doctor_tell(p, p->reader == READER_XDP ? VERDICT_FAIL : VERDICT_OK, NULL,
			    "the kernel has no AF_XDP, ring: is the best there is");
	if (access("/proc/net/netfilter/nfnetlink_queue", F_OK) == 0)
		doctor_tell(p, VERDICT_OK, NULL, "the kernel has packet queues (nfqueue)");
	else
		doctor_tell(p, VERDICT_OK, NULL,
			    "no packet queues are loaded, which nfqueue: alone needs");
}

void check_bpf_jit(struct patient *p)
{
	char word[16];
	if (!doctor_read_line("/proc/sys/net/core/bpf_jit_enable", word, sizeof(word)))
		return;
	if (word[0] == '0')
		doctor_tell(p, VERDICT_WARN, "sysctl -w net.core.bpf_jit_enable=1",
			    "filters are interpreted, several times slower than compiled");
	else
		doctor_tell(p, VERDICT_OK, NULL, "filters are compiled");
}

/* ---- memory -------------------------------------------------------------------------------- */

static uint64_t available_bytes(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");
	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	fclose(f);
	return kib << 10;
}

void check_memory(struct patient *p)
{
	enum { MIB = 1 << 20 };
	const uint64_t each = flow_table_bytes_per_flow((p->conf->key_flags & KEY_MAC) != 0, false);
	const uint64_t flows = p->conf->memory > 0 ? p->conf->memory / each : p->conf->flows;
	const uint64_t needed = flows * each, there = available_bytes();
	char cure[CURE_MAX];
	snprintf(cure, sizeof(cure), "weir --flows %llu",
		 (unsigned long long)(there / 5 * 2 / each));
	if (there == 0)
		return;
	const enum verdict verdict = needed > there	  ? VERDICT_FAIL
				     : needed > there / 2 ? VERDICT_WARN
							  : VERDICT_OK;
	doctor_tell(p, verdict, verdict == VERDICT_OK ? NULL : cure,
		    "%llu flows take %llu MiB of %llu MiB that are free", (unsigned long long)flows,
		    (unsigned long long)needed / MIB, (unsigned long long)there / MIB);
}

void check_huge_pages(struct patient *p)
{
	static const char file[] = "/sys/kernel/mm/transparent_hugepage/enabled";
	char line[64], cure[CURE_MAX];
	snprintf(cure, sizeof(cure), "echo madvise > %s", file);
	if (!doctor_read_line(file, line, sizeof(line)))
		doctor_tell(p, VERDICT_OK, NULL, "the kernel has no transparent huge pages");
	else if (strstr(line, "[never]") != NULL)
		doctor_tell(p, VERDICT_WARN, cure,
			    "huge pages are off: a large table costs more a packet");
	else
		doctor_tell(p, VERDICT_OK, NULL, "huge pages are given to who asks");
}

/* ---- losses -------------------------------------------------------------------------------- */

/* Packets that found the queue of their CPU full, on any port. */
static uint64_t read_backlog(void)
{
	uint64_t sum = 0;
	unsigned processed, dropped;
	FILE *f = fopen("/proc/net/softnet_stat", "re");
	if (f == NULL)
		return 0;
	while (fscanf(f, "%x %x %*[^\n]", &processed, &dropped) == 2)
		sum += dropped;
	fclose(f);
	return sum;
}

void check_backlog(struct patient *p)
{
	const uint64_t before = read_backlog();
	doctor_watch();
	doctor_tell_loss(p, "queues of the CPUs", before, read_backlog(),
			 "sysctl -w net.core.netdev_max_backlog=65536");
}

/* ---- CPUs ---------------------------------------------------------------------------------- */

void check_governor(struct patient *p)
{
	static const char cure[] =
		"for f in /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; "
		"do echo performance > $f; done";
	char path[96], word[32];
	const long cpus = sysconf(_SC_NPROCESSORS_CONF);
	for (long i = 0; i < cpus; i++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/cpu/cpu%ld/cpufreq/scaling_governor", i);
		if (!doctor_read_line(path, word, sizeof(word)) || strcmp(word, "performance") == 0)
			continue;
		doctor_tell(
			p, VERDICT_WARN, cure,
			"CPU %ld runs as fast as \"%s\" thinks it should: it wakes too late for a "
			"burst",
			i, word);
		return;
	}
	doctor_tell(p, VERDICT_OK, NULL, "no CPU is held back by a governor");
}

/* Is a process of this name running? */
static bool is_running(const char *name)
{
	char path[300], word[64];
	bool found = false;
	DIR *proc = opendir("/proc");
	if (proc == NULL)
		return false;
	for (const struct dirent *e; !found && (e = readdir(proc)) != NULL;) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		found = doctor_read_line(path, word, sizeof(word)) && strcmp(word, name) == 0;
	}
	closedir(proc);
	return found;
}

void check_irqbalance(struct patient *p)
{
	if (is_running("irqbalance"))
		doctor_tell(p, VERDICT_WARN, "systemctl stop irqbalance",
			    "irqbalance moves the NIC's interrupts among CPUs while packets come");
	else
		doctor_tell(p, VERDICT_OK, NULL, "interrupts stay where they are");
}
