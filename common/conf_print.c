/* The configuration as canonical text: what --print-config shows. It parses again to itself. */
#include "conf_option.h"

#include <stdlib.h>

void conf_print(const struct conf *conf, FILE *out)
{
	fputs("# weir: the configuration as it is in force; see probe.conf(5)\n", out);
	for (const struct conf_option *opt = conf_options; opt < conf_options + CONF_OPT_COUNT;
	     opt++) {
		const void *member = conf_member_const(conf, opt);
		/* Whether there is a value shows only when it is printed, after its key. */
		char *text = NULL;
		size_t size = 0;
		FILE *value = open_memstream(&text, &size);
		bool set = value != NULL && conf_value_print(opt, member, value);
		if (value != NULL)
			fclose(value);
		if (set)
			fprintf(out, "%s = %s\n", opt->name, text);
		else
			fprintf(out, "# %s =\n", opt->name);
		free(text);
	}
}
