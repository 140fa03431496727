/*
 * The configuration: values of every type, lines and words of faults, the file against the command
 * line, and text that parses again to itself. Files are written to a temporary name; faults are
 * read from a memory stream.
 */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "conf_option.h"
#include "err.h"

enum { ARGS_MAX = 24 };

static struct conf conf;
static char *faults;
static char path[] = "/tmp/weir-test-conf-XXXXXX";

static void set_up(void)
{
	conf_init(&conf);
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	close(fd);
}

static void tear_down(void)
{
	conf_fini(&conf);
	free(faults);
	faults = NULL;
	unlink(path);
}

TestSuite(conf, .init = set_up, .fini = tear_down);

static void reset(void)
{
	conf_fini(&conf);
	conf_init(&conf);
}

static void write_file(const char *text)
{
	FILE *out = fopen(path, "w");
	cr_assert_not_null(out);
	fputs(text, out);
	fclose(out);
}

/* Loads with the arguments given, ended by NULL; what was written about it is in `faults`. */
static int load(const char *first, ...)
{
	char *argv[ARGS_MAX + 2] = {"weir"};
	int argc = 1;
	va_list ap;
	va_start(ap, first);
	for (const char *arg = first; arg != NULL; arg = va_arg(ap, const char *)) {
		cr_assert_lt(argc, ARGS_MAX);
		argv[argc++] = (char *)arg;
	}
	va_end(ap);
	size_t size;
	free(faults);
	FILE *err = open_memstream(&faults, &size);
	int ret = conf_from_args(&conf, argc, argv, err);
	fclose(err);
	return ret;
}

#define LOAD(...) load(__VA_ARGS__, NULL)

static int load_file(const char *text)
{
	write_file(text);
	return LOAD("--check", "-c", path);
}

static unsigned fault_count(void)
{
	unsigned n = 0;
	for (const char *p = faults; *p != '\0'; p++)
		n += *p == '\n';
	return n;
}

/* Is there a fault of that line (0: the command line) that begins with `text`? */
static bool has_fault(int line, const char *text)
{
	char start[512];
	if (line > 0)
		snprintf(start, sizeof(start), "weir: %s:%d: %s", path, line, text);
	else
		snprintf(start, sizeof(start), "weir: command line: %s", text);
	for (const char *p = faults; *p != '\0'; p = strchr(p, '\n') + 1)
		if (strncmp(p, start, strlen(start)) == 0)
			return true;
	return false;
}

#define ASSERT_FAULT(line, text)                                                                   \
	cr_assert(has_fault(line, text), "no fault of line %d \"%s\" in:\n%s", line, text, faults)

/* ---- values ------------------------------------------------------------------------------ */

struct value_case {
	const char *option;
	const char *text;
	const char *printed; /* NULL: refused */
};

/* Expected texts are written by hand from the manual's rules. */
static const struct value_case value_cases[] = {
	{"idle-timeout", "15", "15"},
	{"idle-timeout", "0.001", "0.001"},
	{"idle-timeout", "0.1", "0.1"},
	{"idle-timeout", "1.000000001", "1.000000001"},
	{"idle-timeout", "1.500000000000", "1.5"},
	{"idle-timeout", "86400", "86400"},
	{"idle-timeout", "86400.000000001", NULL},
	{"idle-timeout", "0.0009", NULL},
	{"idle-timeout", "0.0000000001", NULL},
	{"idle-timeout", "1.0000000001", NULL},
	{"idle-timeout", "", NULL},
	{"idle-timeout", "1.", NULL},
	{"idle-timeout", "-1", NULL},
	{"idle-timeout", "+1", NULL},
	{"idle-timeout", " 1", NULL},
	{"idle-timeout", "1s", "1"},
	{"idle-timeout", "1 s", NULL},
	{"idle-timeout", "1h", NULL},
	{"idle-timeout", "1.2.3", NULL},
	{"idle-timeout", "1ss", NULL},
	{"idle-timeout", "s", NULL},
	{"idle-timeout", "1.ms", NULL},
	{"idle-timeout", "1e2", NULL},
	{"idle-timeout", "99999999999999999999", NULL},
	{"idle-timeout", "9223372036.9", NULL},
	{"tcp-linger", "0", "0"},
	{"seed", "18446744073709551615", "18446744073709551615"},
	{"seed", "18446744073709551616", NULL},
	{"seed", "0x10", NULL},
	{"seed", "007", "7"},
	{"workers", "64", "64"},
	{"workers", "65", NULL},
	{"workers", "2,3", NULL},
	{"flows", "63", NULL},
	{"flows", "64", "64"},
	{"rate-cap", "1000000000", "1000000000"},
	{"memory", "0", "0"},
	{"memory", "64MiB", "64MiB"},
	{"memory", "64M", "64MiB"},
	{"memory", "67108864", "64MiB"},
	{"memory", "1024KiB", "1MiB"},
	{"memory", "1kib", "1KiB"},
	{"memory", "1000", "1000"},
	{"memory", "1TiB", "1TiB"},
	{"memory", "1025GiB", NULL},
	{"memory", "17179869184TiB", NULL},
	{"memory", "1 GiB", NULL},
	{"memory", "GiB", NULL},
	{"memory", "1MB", NULL},
	{"tos-mask", "0xfc", "0xfc"},
	{"tos-mask", "0XFF", "0xff"},
	{"tos-mask", "255", "0xff"},
	{"tos-mask", "0", "0x00"},
	{"tos-mask", "256", NULL},
	{"tos-mask", "0x100", NULL},
	{"tos-mask", "0x", NULL},
	{"tos-mask", "0x-1", NULL},
	{"tos-mask", "0xffffffffffffffffff", NULL},
	{"tos-mask", "fc", NULL},
	{"speed", "1", "1"},
	{"speed", "0.1", "0.1"},
	{"speed", "1000000", "1000000"},
	{"speed", "1e3", "1000"},
	{"speed", "0.00001", "1e-05"},
	{"speed", "nan", NULL},
	{"speed", "inf", NULL},
	{"speed", "0x1p3", NULL},
	{"speed", "-0", NULL},
	{"speed", "1000000.1", NULL},
	{"sample", "1", "1"},
	{"sample", "systematic:1", "1"},
	{"sample", "10", "\"systematic:10\""},
	{"sample", "random:1", "\"random:1\""},
	{"sample", "RANDOM:4294967295", "\"random:4294967295\""},
	{"sample", "flow:7", "\"flow:7\""},
	{"sample", "0", NULL},
	{"sample", "4294967296", NULL},
	{"sample", "random:", NULL},
	{"sample", ":5", NULL},
	{"sample", "every:5", NULL},
	{"sample", "1/10", NULL},
	{"key", "ports,tos,interface", "\"ports,tos,interface\""},
	{"key", "vlan", "\"ports,tos,interface,vlan\""},
	{"key", "+vlan,+mac", "\"ports,tos,interface,vlan,mac\""},
	{"key", "-ports", "\"-ports,tos,interface\""},
	{"key", " -tos , VLAN ", "\"ports,-tos,interface,vlan\""},
	{"key", "-interface,-tos,-ports", "\"-ports,-tos,-interface\""},
	{"key", "", NULL},
	{"key", "vlan,", NULL},
	{"key", "prots", NULL},
	{"key", "-", NULL},
	{"key", "--ports", NULL},
	{"decapsulate", "none", "\"none\""},
	{"decapsulate", "all", "\"all\""},
	{"decapsulate", "vxlan,GRE", "\"gre,vxlan\""},
	{"decapsulate", "erspan,gre,vxlan,geneve,ipip,gtpu,tzsp,l2tp,teredo", "\"all\""},
	{"decapsulate", "gre,none", NULL},
	{"decapsulate", "", NULL},
	{"decapsulate", "gre vxlan", NULL},
	{"stats", "json", "\"json\""},
	{"stats", "xml", NULL},
	{"log-level", "debug", "\"debug\""},
	{"log-level", "5", NULL},
	{"filter", "tcp port 80", "\"tcp port 80\""},
	{"output", "", NULL},
	{"output", "json:a\"b\\c$d\x1b\x7f", "{\"json:a\\\"b\\\\c\\$d\\x1b\\x7f\"}"},
};

static void check_value(const struct value_case *c)
{
	const struct conf_option *opt = conf_option_find(c->option);
	cr_assert_not_null(opt);
	int ret = conf_value_parse(opt, c->text, conf_member(&conf, opt));
	cr_assert_eq(ret, c->printed != NULL ? 0 : ERR_USAGE, "%s \"%s\": %d", c->option, c->text,
		     ret);
	if (c->printed == NULL)
		return;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	cr_assert(conf_value_print(opt, conf_member_const(&conf, opt), out));
	fclose(out);
	cr_assert_str_eq(text, c->printed, "%s \"%s\": %s, not %s", c->option, c->text, text,
			 c->printed);
	free(text);
}

Test(conf, value_is_taken_or_refused)
{
	for (unsigned i = 0; i < sizeof(value_cases) / sizeof(value_cases[0]); i++) {
		check_value(&value_cases[i]);
		reset();
	}
}

Test(conf, seconds_are_exact_nanoseconds)
{
	cr_assert_eq(LOAD("-r", "a", "--idle-timeout", "0.1", "--active-timeout=3.000000007"), 0);
	cr_assert_eq(conf.idle_timeout_ns, 100000000);
	cr_assert_eq(conf.active_timeout_ns, 3000000007);
	cr_assert_eq(LOAD("-r", "a", "--idle-timeout", "2.5ms", "--active-timeout=3S", "--dedup",
			  "1500us"),
		     0);
	cr_assert_eq(conf.idle_timeout_ns, 2500000);
	cr_assert_eq(conf.active_timeout_ns, 3 * NS_PER_S);
	cr_assert_eq(conf.dedup_ns, 1500000);
}

/* METERING.md names these. */
Test(conf, defaults_are_those_of_the_metering_rules)
{
	cr_assert_eq(conf.idle_timeout_ns, 15 * NS_PER_S);
	cr_assert_eq(conf.active_timeout_ns, 60 * NS_PER_S);
	cr_assert_eq(conf.tcp_linger_ns, 2 * NS_PER_S);
	cr_assert_eq(conf.tos_mask, 0xfc);
	cr_assert_eq(conf.key_flags, KEY_DEFAULT);
	cr_assert_eq(conf.decap_flags, 0);
	cr_assert_eq(conf.sample.mode, SAMPLING_NONE);
	cr_assert_eq(conf.sample.n, 1);
	cr_assert_eq(conf.action, CONF_RUN);
}

Test(conf, refused_value_leaves_the_old_one)
{
	cr_assert_eq(LOAD("-r", "a", "--idle-timeout", "x", "--key", "vlan,bad"), ERR_USAGE);
	cr_assert_eq(conf.idle_timeout_ns, 15 * NS_PER_S);
	cr_assert_eq(conf.key_flags, KEY_DEFAULT);
}

/* ---- lines ------------------------------------------------------------------------------- */

Test(conf, line_is_right_whatever_comments_stand_before)
{
	cr_assert_eq(load_file("#\n"
			       "# one\n"
			       "// two\n"
			       "/* three\n"
			       " * four */ idle-timeout = x\n"
			       "/**/ tcp-linger = y # \"no string\n"
			       "\n"
			       "seed = z // 'nor this\n"),
		     ERR_USAGE);
	ASSERT_FAULT(5, "idle-timeout: \"x\"");
	ASSERT_FAULT(6, "tcp-linger: \"y\"");
	ASSERT_FAULT(8, "seed: \"z\"");
	cr_assert_eq(fault_count(), 3, "%s", faults);
}

Test(conf, comment_signs_inside_strings_are_text)
{
	cr_assert_eq(load_file("read = \"a#b//c/*d*/\"\nread += 'e\\'#f'\nread += g//h\n"), 0, "%s",
		     faults);
	cr_assert_eq(conf.reads.count, 3);
	cr_assert_str_eq(conf.reads.item[0], "a#b//c/*d*/");
	cr_assert_str_eq(conf.reads.item[1], "e'#f");
	cr_assert_str_eq(conf.reads.item[2], "g//h");
}

Test(conf, line_is_right_after_strings_of_several_lines)
{
	cr_assert_eq(load_file("filter = \"tcp and \\\n port 80 and\n port 81\"\nseed = x\n"),
		     ERR_USAGE);
	ASSERT_FAULT(4, "seed: \"x\"");
	cr_assert_eq(fault_count(), 1, "%s", faults);
}

Test(conf, item_of_a_list_has_its_own_line)
{
	cr_assert_eq(load_file("read = {\"a\",\n \"-\",\n \"b\",\n \"-\"}\n"), ERR_USAGE);
	ASSERT_FAULT(4, "read: \"-\" given twice");
}

Test(conf, file_without_newline_at_its_end_is_read)
{
	cr_assert_eq(load_file("seed = 5"), 0, "%s", faults);
	cr_assert_eq(conf.seed, 5);
	reset();
	cr_assert_eq(load_file("seed = x"), ERR_USAGE);
	ASSERT_FAULT(1, "seed: \"x\"");
	cr_assert_eq(fault_count(), 1, "%s", faults);
}

Test(conf, carriage_returns_are_blanks)
{
	cr_assert_eq(load_file("seed = 5\r\n# c\r\nworkers = 2\r\n"), 0, "%s", faults);
	cr_assert_eq(conf.seed, 5);
	cr_assert_eq(conf.workers, 2);
}

/* ---- all faults in one go ---------------------------------------------------------------- */

Test(conf, all_faults_are_told_in_one_go_by_line)
{
	write_file("idle-timout = 15\n"
		   "seed = x\n"
		   "bogus = {1, 2}\n"
		   "tos-mask = 0x1ff\n"
		   "empty = {}\n"
		   "log-level = loud\n");
	cr_assert_eq(LOAD("-c", path, "-r", "a", "--workers", "many", "--chekc"), ERR_USAGE);
	ASSERT_FAULT(1, "idle-timout: unknown key, did you mean idle-timeout?");
	ASSERT_FAULT(2, "seed: \"x\" is wrong, it takes a whole number from 0 to ");
	ASSERT_FAULT(3, "bogus: unknown key");
	ASSERT_FAULT(4, "tos-mask: \"0x1ff\" is wrong, it takes a mask from 0 to 255");
	ASSERT_FAULT(5, "empty: unknown key");
	ASSERT_FAULT(6, "log-level: \"loud\" is wrong, it takes error, warn, info or debug");
	ASSERT_FAULT(0, "--workers: \"many\" is wrong");
	ASSERT_FAULT(0, "--chekc: unknown option, did you mean --check?");
	cr_assert_eq(fault_count(), 8, "%s", faults);
	int line = 0;
	for (const char *p = faults; line < 6; p = strchr(p, '\n') + 1)
		cr_assert_eq(atoi(p + strlen("weir: ") + strlen(path) + 1), ++line, "%s", faults);
}

Test(conf, more_unknown_keys_than_are_counted_end_the_reading)
{
	char text[4096] = "";
	for (unsigned i = 0; i < 100; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "nokey%u = 1\n", i);
	cr_assert_eq(load_file(text), ERR_USAGE);
	cr_assert_eq(fault_count(), 65, "%s", faults);
}

Test(conf, syntax_error_ends_the_reading_and_keeps_earlier_faults)
{
	cr_assert_eq(load_file("seed = x\nworkers = 2, 3\nflows = y\n"), ERR_USAGE);
	ASSERT_FAULT(1, "seed: ");
	ASSERT_FAULT(2, "syntax: unexpected token ','");
	cr_assert_eq(fault_count(), 2, "%s", faults);
}

Test(conf, open_string_is_told_where_it_begins)
{
	cr_assert_eq(load_file("seed = x\nfilter = \"tcp\nworkers = 2\n\n"), ERR_USAGE);
	ASSERT_FAULT(1, "seed: ");
	ASSERT_FAULT(2, "syntax: a quoted text begins here");
	cr_assert_eq(fault_count(), 2, "%s", faults);
	reset();
	cr_assert_eq(load_file("seed = 1\n/* never\nclosed\n"), ERR_USAGE);
	ASSERT_FAULT(2, "syntax: a comment begins here");
	cr_assert_eq(fault_count(), 1, "%s", faults);
}

Test(conf, broken_files_are_faults_not_crashes)
{
	static const char *const broken[] = {
		"=",
		"{",
		"}",
		"seed",
		"seed =",
		"seed = {1}",
		"seed { }",
		"seed += 1",
		"(",
		"\"",
		"'",
		"/*",
		"/",
		"\\",
		"${",
		"seed = ${",
		"${WEIR_NO_SUCH_VARIABLE} = 1",
		"seed = \"\\",
		"seed = \"\\9\"",
		"\"\\\n",
		"seed = 'a\\",
		"read = {",
		"read = {,}",
		"read = {\"a\" \"b\"}",
		"a|b = 1",
		"= = =",
		"seed = \"${WEIR_NO_SUCH_VARIABLE}\"",
		"read = {{}}",
		"foo(1)",
		"foo { bar = 1 }",
	};
	for (unsigned i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		cr_assert_eq(load_file(broken[i]), ERR_USAGE, "taken: %s", broken[i]);
		cr_assert_geq(fault_count(), 1);
		reset();
	}
}

Test(conf, file_that_is_no_text_is_a_fault)
{
	FILE *out = fopen(path, "w");
	for (int i = 0; i < 4096; i++)
		fputc(i & 0xff, out);
	fclose(out);
	cr_assert_eq(LOAD("--check", "-c", path), ERR_USAGE);
}

Test(conf, file_that_cannot_be_read_is_named_with_the_reason)
{
	cr_assert_eq(LOAD("-c", "/no/such/file"), ERR_USAGE);
	ASSERT_FAULT(0, "--config: \"/no/such/file\" cannot be read: No such file or directory");
	cr_assert_eq(fault_count(), 1, "%s", faults);
	reset();
	cr_assert_eq(LOAD("-c", "/"), ERR_USAGE);
	ASSERT_FAULT(0, "--config: \"/\" cannot be read: Is a directory");
}

Test(conf, key_set_twice_is_a_fault)
{
	cr_assert_eq(load_file("seed = 1\nseed = 2\nread = a\nread += b\nread = {c, d}\n"),
		     ERR_USAGE);
	ASSERT_FAULT(2, "seed: set a second time, keep one");
	ASSERT_FAULT(5, "read: set a second time");
	cr_assert_eq(fault_count(), 2, "%s", faults);
}

/* ---- file and command line --------------------------------------------------------------- */

Test(conf, options_beside_the_file_win)
{
	write_file("seed = 1\nworkers = 3\noutput = {\"null:\", \"json:-\"}\nread = a\n");
	cr_assert_eq(LOAD("-c", path, "--seed", "9", "-o", "csv:-", "-o", "null:"), 0, "%s",
		     faults);
	cr_assert_eq(conf.seed, 9);
	cr_assert_eq(conf.workers, 3);
	cr_assert_eq(conf.outputs.count, 2);
	cr_assert_str_eq(conf.outputs.item[0], "csv:-");
	cr_assert_str_eq(conf.outputs.item[1], "null:");
	cr_assert_str_eq(conf.reads.item[0], "a");
	cr_assert_str_eq(conf.file, path);
}

Test(conf, capture_beside_the_file_replaces_its_live_input)
{
	write_file("input = eth1\n");
	cr_assert_eq(LOAD("-r", "a", "-c", path, "-r", "b"), 0, "%s", faults);
	cr_assert_eq(conf.inputs.count, 0);
	cr_assert_eq(conf.reads.count, 2);
	cr_assert_str_eq(conf.reads.item[0], "a");
	cr_assert_str_eq(conf.reads.item[1], "b");
}

Test(conf, last_of_a_repeated_option_wins)
{
	cr_assert_eq(LOAD("-r", "a", "--seed", "1", "--seed=2"), 0);
	cr_assert_eq(conf.seed, 2);
}

Test(conf, short_options_and_values_that_look_like_options)
{
	cr_assert_eq(LOAD("-ra", "-w2", "-s", "random:5", "--key", "-ports", "-o", "null:"), 0,
		     "%s", faults);
	cr_assert_str_eq(conf.reads.item[0], "a");
	cr_assert_eq(conf.workers, 2);
	cr_assert_eq(conf.sample.mode, SAMPLING_RANDOM);
	cr_assert_eq(conf.sample.n, 5);
	cr_assert_eq(conf.key_flags, KEY_TOS | KEY_INTERFACE);
}

Test(conf, bad_usage_is_told)
{
	cr_assert_eq(LOAD("-r", "a", "-Z", "--bogus", "--check=1", "b.pcap", "--seed"), ERR_USAGE);
	ASSERT_FAULT(0, "-Z: unknown option");
	ASSERT_FAULT(0, "--bogus: unknown option");
	ASSERT_FAULT(0, "--check=1: takes no value");
	ASSERT_FAULT(0, "\"b.pcap\": not an option, to replay a capture give -r b.pcap");
	ASSERT_FAULT(0, "--seed: its N is missing");
	cr_assert_eq(fault_count(), 5, "%s", faults);
	reset();
	cr_assert_eq(LOAD("-c", "/dev/null", "-c", "/dev/null"), ERR_USAGE);
	ASSERT_FAULT(0, "--config: \"/dev/null\" is a second file");
}

Test(conf, help_version_and_fields_check_nothing)
{
	cr_assert_eq(LOAD("--help", "--bogus", "-r"), 0);
	cr_assert_eq(conf.action, CONF_HELP);
	cr_assert_str_empty(faults);
	cr_assert_eq(LOAD("--version", "-c", "/no/such/file"), 0);
	cr_assert_eq(conf.action, CONF_VERSION);
	cr_assert_eq(LOAD("--list-fields"), 0);
	cr_assert_eq(conf.action, CONF_LIST_FIELDS);
}

/* ---- the whole --------------------------------------------------------------------------- */

Test(conf, run_without_input_is_a_fault_with_the_cure)
{
	cr_assert_eq(load("--seed", "1", NULL), ERR_USAGE);
	ASSERT_FAULT(0, "no input: give a capture with -r FILE or a live input with -i SPEC");
}

Test(conf, check_and_print_need_no_input)
{
	cr_assert_eq(LOAD("--check"), 0, "%s", faults);
	cr_assert_eq(conf.action, CONF_CHECK);
	cr_assert_eq(LOAD("--print-config"), 0, "%s", faults);
	cr_assert_eq(conf.action, CONF_PRINT);
	cr_assert_eq(conf.outputs.count, 0, "a default output is not printed");
}

Test(conf, run_without_output_gets_one)
{
	cr_assert_eq(LOAD("-r", "a"), 0);
	cr_assert_eq(conf.outputs.count, 1);
	cr_assert_str_eq(conf.outputs.item[0], isatty(STDOUT_FILENO) ? "table:-" : "json:-");
}

Test(conf, captures_and_live_inputs_do_not_mix)
{
	cr_assert_eq(LOAD("-r", "a", "-i", "eth1"), ERR_USAGE);
	ASSERT_FAULT(0, "--read and --input together");
	reset();
	cr_assert_eq(load_file("read = a\ninput = eth1\n"), ERR_USAGE);
	ASSERT_FAULT(2, "read and input together");
}

Test(conf, standard_input_is_read_once_by_one_worker)
{
	cr_assert_eq(LOAD("-r", "-"), 0, "%s", faults);
	cr_assert_eq(conf.workers, 1);
	reset();
	cr_assert_eq(LOAD("-r", "-", "-r", "-", "-w", "2"), ERR_USAGE);
	ASSERT_FAULT(0, "--read: \"-\" given twice");
	ASSERT_FAULT(0, "--workers: standard input");
	cr_assert_eq(fault_count(), 2, "%s", faults);
}

Test(conf, live_input_has_no_speed)
{
	cr_assert_eq(LOAD("-i", "eth1", "--speed", "2"), ERR_USAGE);
	ASSERT_FAULT(0, "--speed: a live input has its own pace");
}

Test(conf, netflow5_announces_fourteen_bits_of_sampling)
{
	cr_assert_eq(LOAD("-r", "a", "-s", "16383", "-o", "netflow5://127.0.0.1:2055"), 0, "%s",
		     faults);
	reset();
	write_file("read = a\noutput = {\"null:\", \"netflow5://127.0.0.1:2055\"}\n"
		   "sample = random:16384\n");
	cr_assert_eq(LOAD("-c", path), ERR_USAGE);
	ASSERT_FAULT(3, "sample: 16384 is more than NetFlow v5 can announce (output 2, ");
	cr_assert_eq(fault_count(), 1, "%s", faults);
	reset();
	cr_assert_eq(LOAD("-r", "a", "-s", "16384", "-o", "netflow9://127.0.0.1:2055"), 0, "%s",
		     faults);
}

Test(conf, output_that_cannot_be_parsed_is_told_with_its_number)
{
	write_file("read = a\noutput = {\"null:\",\n\"no-such-scheme:x\"}\n");
	cr_assert_eq(LOAD("-c", path), ERR_USAGE);
	ASSERT_FAULT(3, "output 2: \"no-such-scheme:x\": ");
	cr_assert_eq(fault_count(), 1, "%s", faults);
}

Test(conf, filter_is_compiled)
{
	cr_assert_eq(LOAD("-r", "a", "-f", "tcp prt 80"), ERR_USAGE);
	ASSERT_FAULT(0, "--filter: \"tcp prt 80\": ");
	reset();
	cr_assert_eq(LOAD("-r", "a", "-f", "wlan type mgt"), 0, "%s", faults);
	reset();
	cr_assert_eq(LOAD("-r", "a", "-f", ""), 0, "%s", faults);
	cr_assert_null(conf.filter);
}

/* ---- text -------------------------------------------------------------------------------- */

static char *print_to_text(const struct conf *c)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	conf_print(c, out);
	fclose(out);
	return text;
}

/* The fixed point: what was printed reads back to what prints the same. */
static void assert_prints_to_itself(void)
{
	char *first = print_to_text(&conf);
	reset();
	cr_assert_eq(load_file(first), 0, "%s\n%s", first, faults);
	char *second = print_to_text(&conf);
	cr_assert_str_eq(first, second);
	free(first);
	free(second);
}

Test(conf, defaults_print_to_themselves)
{
	assert_prints_to_itself();
}

Test(conf, values_of_every_type_print_to_themselves)
{
	cr_assert_eq(LOAD("--print-config", "-r", "a b\t$HOME ${HOME} \"\\x41 \n#", "-r", "'/*",
			  "-o", "json:%Y/%m.json?rotate=300", "-f", "tcp and port 80", "-s",
			  "flow:9", "--idle-timeout", "0.123456789", "--key", "-tos,mac",
			  "--decapsulate", "gtpu,erspan", "--memory", "1536KiB", "--speed",
			  "0.3333333333333333", "--stats", "none"),
		     0, "%s", faults);
	assert_prints_to_itself();
	cr_assert_str_eq(conf.reads.item[0], "a b\t$HOME ${HOME} \"\\x41 \n#");
	cr_assert_eq(conf.idle_timeout_ns, 123456789);
	cr_assert_eq(conf.speed, 0.3333333333333333);
}

/* Random bytes in a text and random numbers survive the way through a file. */
Test(conf, random_configurations_print_to_themselves)
{
	srand(1);
	for (unsigned round = 0; round < 300; round++) {
		char text[64];
		unsigned len = 1 + (unsigned)rand() % 60;
		for (unsigned i = 0; i < len; i++)
			text[i] = (char)(1 + rand() % 255);
		text[len] = '\0';
		char seconds[32];
		snprintf(seconds, sizeof(seconds), "%d.%09d", 1 + rand() % 86000,
			 rand() % 1000000000);
		char speed[32];
		snprintf(speed, sizeof(speed), "%.17g", (double)rand() / 1e5);
		char memory[32];
		snprintf(memory, sizeof(memory), "%d", rand());
		reset();
		cr_assert_eq(LOAD("--print-config", "-r", text, "--idle-timeout", seconds,
				  "--speed", speed, "--memory", memory),
			     0, "%s", faults);
		assert_prints_to_itself();
		cr_assert_str_eq(conf.reads.item[0], text);
	}
}

Test(conf, doctor_takes_ports_and_needs_no_input)
{
	cr_assert_eq(LOAD("--doctor", "eth1", "--flows", "99", "--doctor=ring:eth2+eth3"), 0);
	cr_assert_eq(conf.action, CONF_DOCTOR);
	cr_assert_eq(conf.doctor.count, 2);
	cr_expect_str_eq(conf.doctor.item[0], "eth1");
	cr_expect_str_eq(conf.doctor.item[1], "ring:eth2+eth3");
	cr_expect_eq(conf.flows, 99);
	cr_expect_eq(conf.outputs.count, 0);
}

Test(conf, help_fits_a_screen)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	conf_help(out);
	fclose(out);
	unsigned lines = 0;
	for (const char *p = text; *p != '\0'; lines++) {
		size_t len = strcspn(p, "\n");
		cr_assert_leq(len, 80, "%.*s", (int)len, p);
		p += len + 1;
	}
	cr_assert_leq(lines, 45);
	for (unsigned i = 0; i < CONF_OPT_COUNT; i++)
		cr_assert_not_null(strstr(text, conf_options[i].name));
	free(text);
}
