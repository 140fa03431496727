/*
 * The doctor: a table of checks for each port, one for the machine, and a line a finding:
 *
 *     ok    eth1: the link is up
 *     FAIL  eth1: LRO is on, packets are merged by the hardware  : ethtool -K eth1 lro off
 *
 * It asks the kernel itself (ioctl, /proc, /sys) and runs no programs: it must work on a bare
 * sensor, and say the same whatever versions of tools lie about. It changes nothing; what it prints
 * behind the colon can be run as it stands.
 */
#include "doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture.h"
#include "doctor/doctor_internal.h"
#include "err.h"

const struct check doctor_port_checks[] = {
	{"up", check_up},
	{"carrier", check_carrier},
	{"promiscuous", check_promiscuous},
	{"address", check_own_address},
	{"mtu", check_mtu},
	{"offloads", check_offloads},
	{"ring size", check_ring_size},
	{"queues", check_queues},
	{"numa", check_numa},
	{"drops", check_drops},
	{NULL, NULL},
};

const struct check doctor_host_checks[] = {
	{"capabilities", check_capabilities},
	{"kernel", check_kernel},
	{"bpf jit", check_bpf_jit},
	{"memory", check_memory},
	{"huge pages", check_huge_pages},
	{"governor", check_governor},
	{"irqbalance", check_irqbalance},
	{"backlog", check_backlog},
	{NULL, NULL},
};

void doctor_tell(struct patient *p, enum verdict verdict, const char *cure, const char *fmt, ...)
{
	static const char *const words[VERDICT_COUNT] = {"ok", "warn", "FAIL"};
	va_list ap;
	p->found[verdict]++;
	fprintf(p->out, "%-5s %s: ", words[verdict], p->port != NULL ? p->port : "machine");
	va_start(ap, fmt);
	vfprintf(p->out, fmt, ap);
	va_end(ap);
	if (cure != NULL)
		fprintf(p->out, "  : %s", cure);
	fputc('\n', p->out);
}

bool doctor_read_line(const char *path, char *buf, unsigned size)
{
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return false;
	bool read = fgets(buf, (int)size, f) != NULL;
	fclose(f);
	if (read)
		buf[strcspn(buf, "\n")] = '\0';
	return read;
}

static void examine(struct patient *p, const struct check *checks)
{
	for (; checks->name != NULL; checks++)
		checks->look(p);
}

static enum reader reader_of(const char *spec)
{
	if (strncmp(spec, "pcap:", 5) == 0)
		return READER_PCAP;
	return strncmp(spec, "xdp:", 4) == 0 ? READER_XDP : READER_RING;
}

static void examine_port(struct patient *p, const char *name)
{
	struct ifreq request = {0};
	p->port = name;
	p->index = if_nametoindex(name);
	if (p->index == 0) {
		doctor_tell(p, VERDICT_FAIL, "ip -br link",
			    "there is no such interface, choose one that is");
		return;
	}
	memcpy(request.ifr_name, name, strlen(name) + 1);
	p->flags =
		ioctl(p->fd, SIOCGIFFLAGS, &request) == 0 ? (unsigned short)request.ifr_flags : 0;
	examine(p, doctor_port_checks);
}

/* The ports of a specification, as "eth1", "ring:eth1" or "eth1+eth2". */
static int examine_spec(struct patient *p, const char *spec)
{
	char part[256], name[IF_NAMESIZE];
	unsigned ports = 0;
	p->reader = reader_of(spec);
	for (; capture_spec_part(spec, ports, part, sizeof(part)); ports++) {
		if (!capture_spec_interface(part, name, sizeof(name)))
			break;
		examine_port(p, name);
	}
	if (ports > 0)
		return 0;
	fprintf(stderr, "weir: --doctor: \"%s\" names no interface, give one as eth1\n", spec);
	return ERR_USAGE;
}

int doctor_run(const struct conf *conf, FILE *out)
{
	struct patient p = {.conf = conf, .out = out};
	int err = 0;
	p.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (p.fd < 0)
		return -errno;
	for (unsigned i = 0; i < conf->doctor.count && err == 0; i++)
		err = examine_spec(&p, conf->doctor.item[i]);
	p.port = NULL;
	if (err == 0)
		examine(&p, doctor_host_checks);
	close(p.fd);
	if (err == 0 && p.found[VERDICT_FAIL] > 0)
		err = ERR_IO;
	return err;
}
