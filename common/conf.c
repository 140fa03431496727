/*
 * The configuration: defaults, then the file, then the command line, each through the value parsers
 * of conf_value.c; then the checks that only the whole allows.
 *
 * Faults are collected, not printed where they are found: all are told in one go, those of the file
 * in the order of its lines. For that, each value remembers the line it came from.
 */
#include "conf.h"

#include <assert.h>
#include <getopt.h>
#include <pcap/pcap.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf_file.h"
#include "conf_option.h"
#include "err.h"
#include "secret.h"

enum {
	NETFLOW5_INTERVAL_MAX = 16383, /* 14 bits of the header */
	LINE_ARGS = 0		       /* "line" of what the command line gave */
};

struct fault {
	int line; /* of the file, or LINE_ARGS */
	char *text;
};

/* Where the values of an option came from. */
struct origin {
	bool set;
	int *line; /* one an item, for lists; else one */
	unsigned count;
};

/* An option of the command line, kept until the file has been read. */
struct setting {
	const struct conf_option *opt;
	const char *text;
};

struct loader {
	struct conf *conf;
	struct origin origin[CONF_OPT_COUNT];
	struct setting *settings;
	unsigned settings_count;
	struct fault *faults;
	unsigned faults_count;
	bool input_lost; /* an input was meant, but not understood */
	bool nomem;
};

/* ---- faults ------------------------------------------------------------------------------ */

static __attribute__((format(printf, 3, 4))) void add_fault(struct loader *l, int line,
							    const char *fmt, ...)
{
	struct fault *grown = realloc(l->faults, (l->faults_count + 1) * sizeof(*grown));
	if (grown == NULL) {
		l->nomem = true;
		return;
	}
	l->faults = grown;
	va_list ap;
	va_start(ap, fmt);
	char *text = NULL;
	int len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0) {
		l->nomem = true;
		return;
	}
	l->faults[l->faults_count++] = (struct fault){line, text};
}

/* The option as the user wrote it: a key in the file, a long option on the command line. */
static const char *dashes(int line)
{
	return line == LINE_ARGS ? "--" : "";
}

static void add_value_fault(struct loader *l, int line, const struct conf_option *opt,
			    const char *text)
{
	char *expects = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&expects, &size);
	if (out == NULL) {
		l->nomem = true;
		return;
	}
	conf_value_expects(opt, out);
	fclose(out);
	add_fault(l, line, "%s%s: \"%s\" is wrong, it takes %s", dashes(line), opt->name, text,
		  expects);
	free(expects);
}

/* File before command line, the file's in the order of its lines. */
static bool fault_before(const struct fault *a, const struct fault *b)
{
	return a->line != LINE_ARGS && (b->line == LINE_ARGS || a->line < b->line);
}

static void sort_faults(struct loader *l)
{
	for (unsigned i = 1; i < l->faults_count; i++) {
		struct fault f = l->faults[i];
		unsigned j = i;
		for (; j > 0 && fault_before(&f, &l->faults[j - 1]); j--)
			l->faults[j] = l->faults[j - 1];
		l->faults[j] = f;
	}
}

static void print_faults(struct loader *l, FILE *err)
{
	sort_faults(l);
	for (unsigned i = 0; i < l->faults_count; i++) {
		const struct fault *f = &l->faults[i];
		if (f->line == LINE_ARGS)
			fprintf(err, "weir: command line: %s\n", f->text);
		else
			fprintf(err, "weir: %s:%d: %s\n", l->conf->file, f->line, f->text);
	}
}

/* ---- values ------------------------------------------------------------------------------ */

static struct origin *origin_of(struct loader *l, const struct conf_option *opt)
{
	return &l->origin[opt - conf_options];
}

/* The line that gave item `index` of an option's value. */
static int line_of(struct loader *l, enum conf_option_id id, unsigned index)
{
	const struct origin *origin = &l->origin[id];
	return index < origin->count ? origin->line[index] : LINE_ARGS;
}

static bool is_source(const struct conf_option *opt)
{
	return opt == &conf_options[CONF_OPT_READ] || opt == &conf_options[CONF_OPT_INPUT];
}

/* Back to unset: what comes next replaces it. */
static void forget(struct loader *l, const struct conf_option *opt)
{
	struct origin *origin = origin_of(l, opt);
	conf_value_clear(opt, conf_member(l->conf, opt));
	free(origin->line);
	*origin = (struct origin){0};
}

static int set_value(struct loader *l, const struct conf_option *opt, int line, const char *text)
{
	struct origin *origin = origin_of(l, opt);
	int err = conf_value_parse(opt, text, conf_member(l->conf, opt));
	if (err == ERR_USAGE) {
		add_value_fault(l, line, opt, text);
		l->input_lost |= is_source(opt);
		return 0;
	}
	if (err != 0)
		return err;
	unsigned count = opt->type == CONF_TYPE_LIST ? origin->count + 1 : 1;
	int *grown = realloc(origin->line, count * sizeof(*grown));
	if (grown == NULL)
		return ERR_NOMEM;
	grown[count - 1] = line;
	origin->line = grown;
	origin->count = count;
	return 0;
}

/* ---- the file ---------------------------------------------------------------------------- */

static int on_file_value(void *arg, const struct conf_option *opt, int line, unsigned index,
			 const char *text)
{
	struct loader *l = arg;
	struct origin *origin = origin_of(l, opt);
	if (index == 0 && origin->set) {
		add_fault(l, line, "%s: set a second time%s", opt->name,
			  opt->type == CONF_TYPE_LIST ? ", use += to add to it or one {list}"
						      : ", keep one");
	}
	origin->set = true;
	return set_value(l, opt, line, text);
}

static int on_file_fault(void *arg, int line, const char *key, const char *text)
{
	struct loader *l = arg;
	l->input_lost = true;
	if (key == NULL) {
		add_fault(l, line,
			  "syntax: %s (a line is: key = value, key = \"value\" or key = "
			  "{\"value\", ...})",
			  text);
		return 0;
	}
	const char *nearest = conf_option_nearest(key, false);
	if (nearest != NULL)
		add_fault(l, line, "%s: unknown key, did you mean %s?", key, nearest);
	else
		add_fault(l, line, "%s: unknown key, probe.conf(5) and weir --help list them", key);
	return 0;
}

static int read_file(struct loader *l)
{
	static const struct conf_file_ops ops = {.value = on_file_value, .fault = on_file_fault};
	int err = conf_file_read(l->conf->file, &ops, l);
	if (err == 0 || err == ERR_NOMEM)
		return err;
	l->input_lost = true;
	add_fault(l, LINE_ARGS, "--config: \"%s\" cannot be read: %s, give a configuration file",
		  l->conf->file, err_str(err));
	return 0;
}

/* ---- the command line -------------------------------------------------------------------- */

enum {
	SHORT_MAX = 2 * (CONF_OPT_COUNT + CONF_CMD_COUNT) + 2,
	VAL_OPTION = 256,			  /* getopt's value of the first option */
	VAL_COMMAND = VAL_OPTION + CONF_OPT_COUNT /* and of the first command */
};

struct arg_tables {
	struct option longs[CONF_OPT_COUNT + CONF_CMD_COUNT + 1];
	char shorts[SHORT_MAX];
};

static void add_short(char **p, int short_name, bool has_arg)
{
	if (short_name == 0)
		return;
	*(*p)++ = (char)short_name;
	if (has_arg)
		*(*p)++ = ':';
}

static void make_tables(struct arg_tables *t)
{
	unsigned n = 0;
	char *p = t->shorts;
	*p++ = ':'; /* a missing value is told apart from an unknown option */
	for (int i = 0; i < CONF_OPT_COUNT; i++) {
		const struct conf_option *opt = &conf_options[i];
		t->longs[n++] = (struct option){opt->name, required_argument, NULL, VAL_OPTION + i};
		add_short(&p, opt->short_name, true);
	}
	for (int i = 0; i < CONF_CMD_COUNT; i++) {
		const struct conf_command *cmd = &conf_commands[i];
		int has_arg = cmd->arg != NULL ? required_argument : no_argument;
		t->longs[n++] = (struct option){cmd->name, has_arg, NULL, VAL_COMMAND + i};
		add_short(&p, cmd->short_name, cmd->arg != NULL);
	}
	t->longs[n] = (struct option){0};
	*p = '\0';
}

/* The value of the long option that a short one stands for. */
static int long_val(int val)
{
	if (val >= VAL_OPTION)
		return val;
	for (int i = 0; i < CONF_OPT_COUNT; i++)
		if (conf_options[i].short_name == val)
			return VAL_OPTION + i;
	for (int i = 0; i < CONF_CMD_COUNT; i++)
		if (conf_commands[i].short_name == val)
			return VAL_COMMAND + i;
	return val;
}

static void unknown_option(struct loader *l, const char *arg)
{
	if (optopt >= VAL_OPTION) {
		add_fault(l, LINE_ARGS, "%s: takes no value", arg);
		return;
	}
	if (strncmp(arg, "--", 2) != 0) {
		add_fault(l, LINE_ARGS, "-%c: unknown option, weir --help lists them", optopt);
		return;
	}
	char name[64];
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
	const char *nearest = conf_option_nearest(name, true);
	if (nearest != NULL)
		add_fault(l, LINE_ARGS, "--%s: unknown option, did you mean --%s?", name, nearest);
	else
		add_fault(l, LINE_ARGS,
			  "--%s: unknown option or short for several, weir --help lists them",
			  name);
}

static void missing_value(struct loader *l, const char *arg)
{
	int val = long_val(optopt);
	const char *value = "value";
	if (val >= VAL_COMMAND)
		value = conf_commands[val - VAL_COMMAND].arg;
	else if (val >= VAL_OPTION)
		value = conf_options[val - VAL_OPTION].arg;
	add_fault(l, LINE_ARGS, "%s: its %s is missing", arg, value);
}

static void run_command(struct loader *l, const struct conf_command *cmd, const char *arg)
{
	struct conf *conf = l->conf;
	if (cmd->action == CONF_DOCTOR && conf_list_add(&conf->doctor, arg) != 0)
		l->nomem = true;
	if (cmd->action != CONF_RUN) {
		/* What asks to be told something goes before what checks or prints. */
		if (cmd->action > conf->action)
			conf->action = cmd->action;
		return;
	}
	if (conf->file != NULL) {
		add_fault(l, LINE_ARGS, "--%s: \"%s\" is a second file, give one", cmd->name, arg);
		return;
	}
	conf->file = strdup(arg);
	if (conf->file == NULL)
		l->nomem = true;
}

static void read_args(struct loader *l, int argc, char **argv)
{
	struct arg_tables tables = {0};
	make_tables(&tables);
	opterr = 0;
	optind = 0; /* glibc: begin anew, whoever used getopt before */
	for (;;) {
		int val = long_val(getopt_long(argc, argv, tables.shorts, tables.longs, NULL));
		if (val == -1)
			break;
		if (val == '?')
			unknown_option(l, argv[optind - 1]);
		else if (val == ':')
			missing_value(l, argv[optind - 1]);
		else if (val >= VAL_COMMAND)
			run_command(l, &conf_commands[val - VAL_COMMAND], optarg);
		else
			l->settings[l->settings_count++] =
				(struct setting){&conf_options[val - VAL_OPTION], optarg};
	}
	for (int i = optind; i < argc; i++)
		add_fault(l, LINE_ARGS, "\"%s\": not an option, to replay a capture give -r %s",
			  argv[i], argv[i]);
	l->input_lost = l->faults_count > 0;
}

/* Options beside a file win: a list replaces the file's, and either source replaces both kinds. */
static void forget_replaced(struct loader *l)
{
	for (unsigned i = 0; i < l->settings_count; i++) {
		const struct conf_option *opt = l->settings[i].opt;
		if (is_source(opt)) {
			forget(l, &conf_options[CONF_OPT_READ]);
			forget(l, &conf_options[CONF_OPT_INPUT]);
		} else if (opt->type == CONF_TYPE_LIST) {
			forget(l, opt);
		}
	}
}

static int apply_settings(struct loader *l)
{
	forget_replaced(l);
	for (unsigned i = 0; i < l->settings_count; i++) {
		int err = set_value(l, l->settings[i].opt, LINE_ARGS, l->settings[i].text);
		if (err != 0)
			return err;
	}
	return 0;
}

/* ---- the whole --------------------------------------------------------------------------- */

/* An expression is good when it compiles for a link type that inputs have: some of its words are
 * meant for one of them only. Inputs compile it again for their own. */
static void check_filter(struct loader *l)
{
	static const int link_types[] = {DLT_EN10MB, DLT_IEEE802_11_RADIO, DLT_RAW, DLT_LINUX_SLL,
					 DLT_PPP,    DLT_FRELAY,	   DLT_NULL};
	const char *filter = l->conf->filter;
	if (filter == NULL)
		return;
	char reason[PCAP_ERRBUF_SIZE] = "out of memory";
	for (unsigned i = 0; i < sizeof(link_types) / sizeof(link_types[0]); i++) {
		pcap_t *pcap = pcap_open_dead(link_types[i], 65535);
		if (pcap == NULL)
			continue;
		struct bpf_program program;
		bool good = pcap_compile(pcap, &program, filter, 0, PCAP_NETMASK_UNKNOWN) == 0;
		if (good)
			pcap_freecode(&program);
		else if (i == 0)
			snprintf(reason, sizeof(reason), "%s", pcap_geterr(pcap));
		pcap_close(pcap);
		if (good)
			return;
	}
	int line = line_of(l, CONF_OPT_FILTER, 0);
	add_fault(l, line, "%sfilter: \"%s\": %s, pcap-filter(7) says how to write one",
		  dashes(line), filter, reason);
}

static void check_inputs(struct loader *l)
{
	struct conf *conf = l->conf;
	if (conf->reads.count == 0 && conf->inputs.count == 0 && conf->action == CONF_RUN &&
	    !l->input_lost)
		add_fault(l, LINE_ARGS,
			  "no input: give a capture with -r FILE or a live input with -i SPEC, as "
			  "-i eth1");
	if (conf->reads.count > 0 && conf->inputs.count > 0) {
		int line = line_of(l, CONF_OPT_INPUT, 0);
		add_fault(l, line,
			  "%sread and %sinput together: a run replays captures or watches live "
			  "inputs, leave one out",
			  dashes(line), dashes(line));
	}
	unsigned from_stdin = 0;
	for (unsigned i = 0; i < conf->reads.count; i++) {
		if (strcmp(conf->reads.item[i], "-") != 0 || ++from_stdin != 2)
			continue;
		int line = line_of(l, CONF_OPT_READ, i);
		add_fault(l, line, "%sread: \"-\" given twice, standard input can be read once",
			  dashes(line));
	}
	if (from_stdin > 0 && conf->workers > 1) {
		int line = line_of(l, CONF_OPT_WORKERS, 0);
		add_fault(l, line,
			  "%sworkers: standard input can be read by one worker only, take 1",
			  dashes(line));
	}
	if (from_stdin > 0)
		conf->workers = 1;
	if (conf->speed > 0 && conf->inputs.count > 0) {
		int line = line_of(l, CONF_OPT_SPEED, 0);
		add_fault(l, line, "%sspeed: a live input has its own pace, leave it out",
			  dashes(line));
	}
}

static void add_output_fault(struct loader *l, unsigned index, const char *reason)
{
	char named[512];
	char *url = secret_cut(l->conf->outputs.item[index]);
	/* The exporter's line may begin with the output's name; so does ours. */
	snprintf(named, sizeof(named), "output \"%s\": ", url != NULL ? url : "");
	if (strncmp(reason, named, strlen(named)) == 0)
		reason += strlen(named);
	add_fault(l, line_of(l, CONF_OPT_OUTPUT, index), "output %u: \"%s\": %s", index + 1,
		  url != NULL ? url : "", reason);
	free(url);
}

static void check_output(struct loader *l, const struct exporter_conf *run, unsigned index)
{
	const char *url = l->conf->outputs.item[index];
	char text[1024] = "";
	int err = exporter_check_output(run, url, text, sizeof(text));
	if (err == 0)
		err = exporter_check_together(run, index, text, sizeof(text));
	if (err != 0)
		add_output_fault(l, index, text[0] != '\0' ? text : err_str(err));
}

/* NetFlow v5 announces N in 14 bits. Told once and for the option to change, instead of by each
 * output. True when N is too wide. */
static bool check_sample(struct loader *l)
{
	const struct conf *conf = l->conf;
	if (conf->sample.n <= NETFLOW5_INTERVAL_MAX)
		return false;
	for (unsigned i = 0; i < conf->outputs.count; i++) {
		const char *url = conf->outputs.item[i];
		if (strncmp(url, "netflow5:", strlen("netflow5:")) != 0)
			continue;
		int line = line_of(l, CONF_OPT_SAMPLE, 0);
		add_fault(
			l, line,
			"%ssample: %u is more than NetFlow v5 can announce (output %u, %s), take N "
			"up to %d, or netflow9://",
			dashes(line), conf->sample.n, i + 1, url, NETFLOW5_INTERVAL_MAX);
		return true;
	}
	return false;
}

static void check_outputs(struct loader *l)
{
	const struct conf *conf = l->conf;
	bool too_wide = check_sample(l);
	const struct exporter_conf run = {
		.outputs = (const char *const *)conf->outputs.item,
		.outputs_count = conf->outputs.count,
		.workers = 1,
		.replay = conf->inputs.count == 0,
		.sampling = too_wide ? SAMPLING_NONE : conf->sample.mode,
		.sampling_n = too_wide ? 1 : conf->sample.n,
		.seed = conf->seed,
		.key_has_tos = (conf->key_flags & KEY_TOS) != 0 && conf->tos_mask != 0,
	};
	for (unsigned i = 0; i < conf->outputs.count; i++)
		check_output(l, &run, i);
}

static int default_output(struct loader *l)
{
	const struct conf_option *opt = &conf_options[CONF_OPT_OUTPUT];
	if (l->conf->outputs.count > 0 || l->conf->action != CONF_RUN)
		return 0;
	return conf_value_parse(opt, isatty(STDOUT_FILENO) ? "table:-" : "json:-",
				conf_member(l->conf, opt));
}

/* ---- for everyone ------------------------------------------------------------------------ */

void conf_init(struct conf *conf)
{
	*conf = (struct conf){.action = CONF_RUN};
	for (const struct conf_option *opt = conf_options; opt < conf_options + CONF_OPT_COUNT;
	     opt++) {
		if (opt->def == NULL)
			continue;
		int err = conf_value_parse(opt, opt->def, conf_member(conf, opt));
		assert(err == 0 && "options.def: a default its own parser refuses");
		(void)err;
	}
}

void conf_fini(struct conf *conf)
{
	for (const struct conf_option *opt = conf_options; opt < conf_options + CONF_OPT_COUNT;
	     opt++)
		conf_value_clear(opt, conf_member(conf, opt));
	conf_list_clear(&conf->doctor);
	free(conf->file);
	conf->file = NULL;
}

static int load(struct loader *l, int argc, char **argv)
{
	read_args(l, argc, argv);
	if (l->conf->action >= CONF_HELP) {
		while (l->faults_count > 0)
			free(l->faults[--l->faults_count].text);
		return 0;
	}
	int err = l->conf->file != NULL ? read_file(l) : 0;
	if (err == 0)
		err = apply_settings(l);
	if (err != 0)
		return err;
	check_filter(l);
	check_inputs(l);
	check_outputs(l);
	return default_output(l);
}

int conf_from_args(struct conf *conf, int argc, char **argv, FILE *err)
{
	struct loader l = {.conf = conf};
	/* A setting is at least one letter of an argument: as many as there are letters is enough.
	 */
	size_t letters = 1;
	for (int i = 0; i < argc; i++)
		letters += strlen(argv[i]);
	l.settings = calloc(letters, sizeof(*l.settings));
	int ret = l.settings != NULL ? load(&l, argc, argv) : ERR_NOMEM;
	if (ret == 0 && l.nomem)
		ret = ERR_NOMEM;
	if (ret == 0 && l.faults_count > 0)
		ret = ERR_USAGE;
	print_faults(&l, err);
	if (ret == ERR_NOMEM)
		fprintf(err, "weir: %s\n", err_str(ret));
	for (unsigned i = 0; i < l.faults_count; i++)
		free(l.faults[i].text);
	for (unsigned i = 0; i < CONF_OPT_COUNT; i++)
		free(l.origin[i].line);
	free(l.faults);
	free(l.settings);
	return ret;
}
