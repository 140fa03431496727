/* CPU affinity of workers. */
#include "pin.h"

#include "err.h"
#include "log.h"

int pin_check(const struct conf_cpus *cpus)
{
	cpu_set_t allowed;
	pin_remember(&allowed);
	for (unsigned i = 0; i < cpus->count; i++) {
		if (CPU_ISSET(cpus->cpu[i], &allowed))
			continue;
		log_errorx("startup", "cpus: weir cannot run on CPU %u; there are %d, from 0",
			   cpus->cpu[i], CPU_COUNT(&allowed));
		return ERR_USAGE;
	}
	return 0;
}

void pin_to_worker(const struct conf_cpus *cpus, unsigned worker)
{
	cpu_set_t set;
	if (cpus->count == 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpus->cpu[worker % cpus->count], &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		log_warn("startup", "cannot go to CPU %u", cpus->cpu[worker % cpus->count]);
}

void pin_remember(cpu_set_t *ret_before)
{
	CPU_ZERO(ret_before);
	(void)sched_getaffinity(0, sizeof(*ret_before), ret_before);
}

void pin_release(const cpu_set_t *before)
{
	(void)sched_setaffinity(0, sizeof(*before), before);
}
