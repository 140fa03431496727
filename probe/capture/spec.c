/* Specifications of live inputs, from the text behind their scheme. */
#include "spec.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

const char *spec_argument(const char *spec)
{
	const char *colon = strchr(spec, ':');
	return colon != NULL ? colon + 1 : spec;
}

/* ---- ports --------------------------------------------------------------------------------- */

static const struct port_option {
	const char *name;
	size_t offset;
} port_options[] = {
	{"force", offsetof(struct spec_port, force)},
	{"generic", offsetof(struct spec_port, generic)},
	{"copy", offsetof(struct spec_port, copy)},
};

/* Sets the flag that `n` characters at `text` name; false when none is called so. */
static bool set_port_option(struct spec_port *port, const char *text, size_t n)
{
	for (size_t i = 0; i < sizeof(port_options) / sizeof(port_options[0]); i++) {
		const struct port_option *option = &port_options[i];
		if (strlen(option->name) == n && memcmp(option->name, text, n) == 0) {
			*(bool *)((char *)port + option->offset) = true;
			return true;
		}
	}
	return false;
}

int spec_parse_port(const char *spec, struct spec_port *ret_port, char *errbuf, unsigned errsize)
{
	const char *at = spec_argument(spec);
	size_t n = strcspn(at, ",");
	struct spec_port port = {.force = false};
	if (n == 0 || n >= sizeof(port.name)) {
		snprintf(errbuf, errsize, "%s: %s; try xdp:eth1", spec,
			 n == 0 ? "names no interface" : "no interface has a name so long");
		return ERR_USAGE;
	}
	memcpy(port.name, at, n);
	for (at += n; *at == ','; at += n) {
		at++;
		n = strcspn(at, ",");
		if (!set_port_option(&port, at, n)) {
			snprintf(errbuf, errsize,
				 "%s: '%.*s' is no option; there are force, generic, copy", spec,
				 (int)n, at);
			return ERR_USAGE;
		}
	}
	*ret_port = port;
	return 0;
}

/* ---- ranges -------------------------------------------------------------------------------- */

/* A decimal number of 16 bits and nothing but digits; moves *text behind it. */
static bool take_u16(const char **text, uint16_t *ret_number)
{
	char *end;
	if (!isdigit((unsigned char)**text))
		return false;
	unsigned long number = strtoul(*text, &end, 10);
	if (number > UINT16_MAX)
		return false;
	*text = end;
	*ret_number = (uint16_t)number;
	return true;
}

static bool take_range(const char *text, struct spec_range *range)
{
	if (!take_u16(&text, &range->first))
		return false;
	range->last = range->first;
	if (*text == '-') {
		text++;
		if (!take_u16(&text, &range->last))
			return false;
	}
	return *text == '\0' && range->first <= range->last;
}

int spec_parse_range(const char *spec, unsigned max, struct spec_range *ret_range, char *errbuf,
		     unsigned errsize)
{
	const char *argument = spec_argument(spec);
	int scheme = (int)(argument - spec);
	struct spec_range range = {.first = 0};
	bool sound = take_range(argument, &range);
	if (sound && (unsigned)(range.last - range.first) < max) {
		*ret_range = range;
		return 0;
	}
	if (sound && max > 1)
		snprintf(errbuf, errsize, "%s: more than %u queues; take a shorter range", spec,
			 max);
	else if (max > 1)
		snprintf(errbuf, errsize,
			 "%s: '%s' is no queue and no range of queues; try %.*s0 or %.*s0-3", spec,
			 argument, scheme, spec, scheme, spec);
	else
		snprintf(errbuf, errsize, "%s: '%s' is no group from 0 to 65535; try %.*s0", spec,
			 argument, scheme, spec);
	return ERR_USAGE;
}
