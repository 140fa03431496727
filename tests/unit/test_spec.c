/* What follows the scheme of a live input. */
#include "capture/spec.h"

#include <criterion/criterion.h>
#include <string.h>

#include "err.h"

#define SIZE 200

/* ---- ranges -------------------------------------------------------------------------------- */

static const struct range_row {
	const char *spec;
	unsigned max;
	int first, last; /* -1: refused */
	const char *says;
} range_rows[] = {
	{"nfqueue:5", 64, 5, 5, NULL},
	{"nfqueue:5-8", 64, 5, 8, NULL},
	{"nfqueue:0-63", 64, 0, 63, NULL},
	{"nfqueue:7-7", 64, 7, 7, NULL},
	{"nfqueue:65535", 64, 65535, 65535, NULL},
	{"nfqueue:65472-65535", 64, 65472, 65535, NULL},
	{"nfqueue:007", 64, 7, 7, NULL},
	{"nflog:0", 1, 0, 0, NULL},
	{"nfqueue:0-64", 64, -1, -1, "more than 64"},
	{"nfqueue:0-65535", 64, -1, -1, "more than 64"},
	{"nfqueue:8-5", 64, -1, -1, "try nfqueue:0 or nfqueue:0-3"},
	{"nfqueue:", 64, -1, -1, "nfqueue:0"},
	{"nfqueue:65536", 64, -1, -1, "65536"},
	{"nfqueue:5-65536", 64, -1, -1, "65536"},
	{"nfqueue:4294967301", 64, -1, -1, "4294967301"},
	{"nfqueue:99999999999999999999999", 64, -1, -1, "no queue"},
	{"nfqueue:-5", 64, -1, -1, "no queue"},
	{"nfqueue:+5", 64, -1, -1, "no queue"},
	{"nfqueue: 5", 64, -1, -1, "no queue"},
	{"nfqueue:5 ", 64, -1, -1, "no queue"},
	{"nfqueue:5-", 64, -1, -1, "no queue"},
	{"nfqueue:5--8", 64, -1, -1, "no queue"},
	{"nfqueue:5-8-9", 64, -1, -1, "no queue"},
	{"nfqueue:0x5", 64, -1, -1, "no queue"},
	{"nfqueue:eth1", 64, -1, -1, "'eth1'"},
	{"nflog:5-6", 1, -1, -1, "no group"},
	{"nflog:x", 1, -1, -1, "try nflog:0"},
};

Test(spec, a_range_is_a_number_or_two)
{
	for (size_t i = 0; i < sizeof(range_rows) / sizeof(range_rows[0]); i++) {
		const struct range_row *row = &range_rows[i];
		struct spec_range range = {.first = 77, .last = 77};
		char text[SIZE] = "";
		int rc = spec_parse_range(row->spec, row->max, &range, text, sizeof(text));
		if (row->first >= 0) {
			cr_assert_eq(rc, 0, "%s: %s", row->spec, text);
			cr_assert_eq(range.first, row->first, "%s", row->spec);
			cr_assert_eq(range.last, row->last, "%s", row->spec);
			continue;
		}
		cr_assert_eq(rc, ERR_USAGE, "%s", row->spec);
		cr_assert_eq(range.first, 77, "%s: written on failure", row->spec);
		cr_assert(strncmp(text, row->spec, strlen(row->spec)) == 0, "%s", text);
		cr_assert_not_null(strstr(text, row->says), "%s", text);
		cr_assert_null(strchr(text, '\n'));
	}
}

/* ---- ports --------------------------------------------------------------------------------- */

static const struct port_row {
	const char *spec;
	const char *name; /* NULL: refused */
	bool force, generic, copy;
	const char *says;
} port_rows[] = {
	{"xdp:eth1", "eth1", false, false, false, NULL},
	{"xdp:eth1,force", "eth1", true, false, false, NULL},
	{"xdp:eth1,generic", "eth1", false, true, false, NULL},
	{"xdp:eth1,copy,generic,force", "eth1", true, true, true, NULL},
	{"xdp:eth1.100", "eth1.100", false, false, false, NULL},
	{"xdp:eth1:0", "eth1:0", false, false, false, NULL},
	{"xdp:abcdefghijklmno", "abcdefghijklmno", false, false, false, NULL},
	{"xdp:abcdefghijklmnop", NULL, false, false, false, "so long"},
	{"xdp:", NULL, false, false, false, "no interface"},
	{"xdp:,force", NULL, false, false, false, "no interface"},
	{"xdp:eth1,", NULL, false, false, false, "''"},
	{"xdp:eth1,forc", NULL, false, false, false, "'forc'"},
	{"xdp:eth1,forced", NULL, false, false, false, "'forced'"},
	{"xdp:eth1,Force", NULL, false, false, false, "force, generic, copy"},
	{"xdp:eth1,force,,copy", NULL, false, false, false, "''"},
};

Test(spec, a_port_is_a_name_and_options)
{
	for (size_t i = 0; i < sizeof(port_rows) / sizeof(port_rows[0]); i++) {
		const struct port_row *row = &port_rows[i];
		struct spec_port port = {.name = "before"};
		char text[SIZE] = "";
		int rc = spec_parse_port(row->spec, &port, text, sizeof(text));
		if (row->name != NULL) {
			cr_assert_eq(rc, 0, "%s: %s", row->spec, text);
			cr_assert_str_eq(port.name, row->name);
			cr_assert_eq(port.force, row->force, "%s", row->spec);
			cr_assert_eq(port.generic, row->generic, "%s", row->spec);
			cr_assert_eq(port.copy, row->copy, "%s", row->spec);
			continue;
		}
		cr_assert_eq(rc, ERR_USAGE, "%s", row->spec);
		cr_assert_str_eq(port.name, "before", "%s: written on failure", row->spec);
		cr_assert_not_null(strstr(text, row->says), "%s", text);
	}
}
