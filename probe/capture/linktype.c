/*
 * Numbers below 104 or so were given by each system as it liked; LINKTYPE_ numbers are what files
 * agreed on. libpcap maps between the two but does not let others ask, hence these rows.
 */
#include "linktype.h"

#include <pcap/dlt.h>
#include <stddef.h>

struct alias {
	int from;
	uint16_t linktype;
};

/* Raw IP as most systems and as OpenBSD numbered it. */
static const struct alias file_aliases[] = {{12, 101}, {14, 101}};

static const struct alias dlt_aliases[] = {
	{DLT_ATM_RFC1483, 100}, {DLT_RAW, 101},      {DLT_SLIP_BSDOS, 102},
	{DLT_PPP_BSDOS, 103},   {DLT_ATM_CLIP, 106},
};

static uint16_t find_alias(const struct alias *aliases, size_t n, int from)
{
	for (size_t i = 0; i < n; i++)
		if (aliases[i].from == from)
			return aliases[i].linktype;
	return (uint16_t)from;
}

uint16_t linktype_from_file(uint32_t network)
{
	return find_alias(file_aliases, sizeof(file_aliases) / sizeof(file_aliases[0]),
			  (uint16_t)network);
}

uint16_t linktype_from_dlt(int dlt)
{
	return find_alias(dlt_aliases, sizeof(dlt_aliases) / sizeof(dlt_aliases[0]), dlt);
}
