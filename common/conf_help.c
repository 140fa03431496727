/* `weir --help`, made from options.def: a screen of 80 columns. */
#include "conf_option.h"

enum { HELP_COLUMN = 26 };

static void put_row(int short_name, const char *name, const char *arg, const char *help, FILE *out)
{
	char left[HELP_COLUMN + 32];
	char shortcut[] = {'-', (char)short_name, ',', '\0'};
	snprintf(left, sizeof(left), "  %3s --%s %s", short_name != 0 ? shortcut : "", name,
		 arg != NULL ? arg : "");
	fprintf(out, "%-*s%s\n", HELP_COLUMN, left, help);
}

void conf_help(FILE *out)
{
	fputs("Usage: weir -r FILE... [-o URL]...    replay captures\n"
	      "       weir -i SPEC... [-o URL]...    watch live inputs until told to stop\n"
	      "       weir -c FILE [OPTION]...       the same from a file\n"
	      "Builds bidirectional flows from packets and sends them to collectors.\n\n",
	      out);
	for (const struct conf_option *opt = conf_options; opt < conf_options + CONF_OPT_COUNT;
	     opt++)
		put_row(opt->short_name, opt->name, opt->arg, opt->help, out);
	for (const struct conf_command *cmd = conf_commands; cmd < conf_commands + CONF_CMD_COUNT;
	     cmd++)
		put_row(cmd->short_name, cmd->name, cmd->arg, cmd->help, out);
	fputs("\nOutputs: netflow5://HOST:PORT netflow9://HOST:PORT ipfix://HOST:PORT\n"
	      "  ipfix-file:PATH json:PATH csv:PATH cbor:PATH table:PATH null:\n"
	      "  (- is standard output). Without -o: table:- on a terminal, else json:-.\n"
	      "Exit status: 0 done, 1 failed, 2 bad usage or configuration.\n"
	      "weir(8) tells the outputs' options, probe.conf(5) the configuration file.\n",
	      out);
}
