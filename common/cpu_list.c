/* CPUs as text. */
#include "cpu_list.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "err.h"

/* Greatest number of a CPU: the kernel's sets have so many. */
#define CPU_MAX 1023

static bool take_cpu(const char **text, unsigned *ret_cpu)
{
	char *end;
	if (!isdigit((unsigned char)**text))
		return false;
	unsigned long cpu = strtoul(*text, &end, 10);
	if (cpu > CPU_MAX)
		return false;
	*text = end;
	*ret_cpu = (unsigned)cpu;
	return true;
}

/* "2" or "2-5" */
static bool take_run(const char **text, struct conf_cpus *cpus)
{
	unsigned first, last;
	if (!take_cpu(text, &first))
		return false;
	last = first;
	if (**text == '-') {
		(*text)++;
		if (!take_cpu(text, &last))
			return false;
	}
	if (last < first || last - first >= CONF_CPUS_MAX - cpus->count)
		return false;
	for (unsigned cpu = first; cpu <= last; cpu++)
		cpus->cpu[cpus->count++] = (uint16_t)cpu;
	return true;
}

int cpu_list_parse(const char *text, struct conf_cpus *ret_cpus)
{
	struct conf_cpus cpus = {.count = 0};
	while (*text != '\0') {
		if (cpus.count == CONF_CPUS_MAX || !take_run(&text, &cpus))
			return ERR_USAGE;
		if (*text == '\0')
			break;
		if (*text++ != ',' || *text == '\0')
			return ERR_USAGE;
	}
	*ret_cpus = cpus;
	return 0;
}

void cpu_list_print(const struct conf_cpus *cpus, FILE *out)
{
	for (unsigned i = 0; i < cpus->count;) {
		unsigned n = 1;
		while (i + n < cpus->count && cpus->cpu[i + n] == cpus->cpu[i] + n)
			n++;
		fprintf(out, "%s%u", i == 0 ? "" : ",", cpus->cpu[i]);
		if (n > 1)
			fprintf(out, "-%u", cpus->cpu[i + n - 1]);
		i += n;
	}
}
