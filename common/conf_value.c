/*
 * Values of the configuration as text. Each type is one row: a parser, a printer and the sentence
 * that says what would be right. The file and the command line share them, so a value means the
 * same in both and is refused with the same words.
 *
 * Numbers are read digit by digit, not by strtod and strtoull: "0.1" seconds is exactly 100000000
 * ns, and blanks, signs and overflow are refused instead of taken for something else.
 */
#include "conf_option.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_list.h"
#include "err.h"
#include "netset.h"

struct conf_name {
	uint32_t value;
	const char *name;
};

/* Names that stand for a value, used both ways; the first of a value is the one printed. */
static const struct conf_name key_names[] = {
	{KEY_PORTS, "ports"}, {KEY_TOS, "tos"}, {KEY_INTERFACE, "interface"},
	{KEY_VLAN, "vlan"},   {KEY_MAC, "mac"}, {0, NULL},
};

static const struct conf_name decap_names[] = {
	{DECAP_ERSPAN, "erspan"}, {DECAP_GRE, "gre"},
	{DECAP_VXLAN, "vxlan"},	  {DECAP_GENEVE, "geneve"},
	{DECAP_IPIP, "ipip"},	  {DECAP_GTPU, "gtpu"},
	{DECAP_TZSP, "tzsp"},	  {DECAP_L2TP, "l2tp"},
	{DECAP_TEREDO, "teredo"}, {0, NULL},
};

static const struct conf_name dedup_names[] = {
	{DEDUP_IGNORE_TTL, "ttl"},
	{DEDUP_IGNORE_CHECKSUM, "checksum"},
	{0, NULL},
};

static const struct conf_name sample_names[] = {
	{SAMPLING_SYSTEMATIC, "systematic"},
	{SAMPLING_RANDOM, "random"},
	{SAMPLING_FLOW, "flow"},
	{0, NULL},
};

static const struct conf_name bool_names[] = {{true, "yes"}, {false, "no"}, {0, NULL}};

static const struct conf_name stats_names[] = {
	{STATS_TEXT, "text"},
	{STATS_JSON, "json"},
	{STATS_NONE, "none"},
	{0, NULL},
};

static const struct conf_name level_names[] = {
	{LOG_LEVEL_ERROR, "error"},
	{LOG_LEVEL_WARN, "warn"},
	{LOG_LEVEL_INFO, "info"},
	{LOG_LEVEL_DEBUG, "debug"},
	{0, NULL},
};

/* Of the types whose values are names. */
static const struct conf_name *const names_of[CONF_TYPE_COUNT] = {
	[CONF_TYPE_BOOL] = bool_names,	     [CONF_TYPE_STATS] = stats_names,
	[CONF_TYPE_LEVEL] = level_names,     [CONF_TYPE_DECAPLIST] = decap_names,
	[CONF_TYPE_DEDUPLIST] = dedup_names,
};

/* In nanoseconds. */
static const struct conf_name time_units[] = {
	{NS_PER_S, "s"}, {NS_PER_MS, "ms"}, {NS_PER_US, "us"}, {0, NULL},
};

static const struct conf_name size_units[] = {
	{40, "TiB"}, {30, "GiB"}, {20, "MiB"}, {10, "KiB"}, {40, "T"},
	{30, "G"},   {20, "M"},	  {10, "K"},   {0, "B"},    {0, NULL},
};

/* The row that is called by the `len` characters at `text`, whatever their case, or NULL. */
static const struct conf_name *find_name(const struct conf_name *names, const char *text,
					 size_t len)
{
	for (; names->name != NULL; names++)
		if (strlen(names->name) == len && strncasecmp(names->name, text, len) == 0)
			return names;
	return NULL;
}

static const char *name_of(const struct conf_name *names, uint32_t value)
{
	while (names->name != NULL && names->value != value)
		names++;
	return names->name;
}

/* "a, b or c" */
static void print_names(const struct conf_name *names, const char *last, FILE *out)
{
	for (const struct conf_name *n = names; n->name != NULL; n++)
		fprintf(out, "%s%s", n == names ? "" : n[1].name == NULL ? last : ", ", n->name);
}

/* Digits at *text, moved past. False without any, or past 2^64 - 1. */
static bool take_digits(const char **text, uint64_t *ret_value)
{
	const char *p = *text;
	uint64_t value = 0;
	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (unsigned)(*p - '0'), &value))
			return false;
	*text = p;
	*ret_value = value;
	return true;
}

/* ---- whole numbers ----------------------------------------------------------------------- */

static int parse_uint(const struct conf_option *opt, const char *text, void *member)
{
	uint64_t value;
	if (!take_digits(&text, &value) || *text != '\0' || value < opt->umin || value > opt->umax)
		return ERR_USAGE;
	*(uint64_t *)member = value;
	return 0;
}

static bool print_uint(const struct conf_option *opt, const void *member, FILE *out)
{
	(void)opt;
	fprintf(out, "%" PRIu64, *(const uint64_t *)member);
	return true;
}

static void expect_uint(const struct conf_option *opt, FILE *out)
{
	fprintf(out, "a whole number from %" PRIu64 " to %" PRIu64, opt->umin, opt->umax);
}

static int parse_size(const struct conf_option *opt, const char *text, void *member)
{
	uint64_t value;
	if (!take_digits(&text, &value))
		return ERR_USAGE;
	if (*text != '\0') {
		const struct conf_name *unit = find_name(size_units, text, strlen(text));
		if (unit == NULL || value > UINT64_MAX >> unit->value)
			return ERR_USAGE;
		value <<= unit->value;
	}
	if (value < opt->umin || value > opt->umax)
		return ERR_USAGE;
	*(uint64_t *)member = value;
	return 0;
}

static void put_size(uint64_t value, FILE *out)
{
	unsigned i = 0;
	while (size_units[i].value != 0 &&
	       (value == 0 || value % (UINT64_C(1) << size_units[i].value)))
		i++;
	fprintf(out, "%" PRIu64 "%s", value >> size_units[i].value,
		size_units[i].value != 0 ? size_units[i].name : "");
}

static bool print_size(const struct conf_option *opt, const void *member, FILE *out)
{
	(void)opt;
	put_size(*(const uint64_t *)member, out);
	return true;
}

static void expect_size(const struct conf_option *opt, FILE *out)
{
	fputs("bytes, or a number with KiB, MiB or GiB, from ", out);
	put_size(opt->umin, out);
	fputs(" to ", out);
	put_size(opt->umax, out);
}

static int parse_mask(const struct conf_option *opt, const char *text, void *member)
{
	uint64_t value = 0;
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		size_t digits = strspn(text + 2, "0123456789abcdefABCDEF");
		if (digits == 0 || digits > 8 || text[2 + digits] != '\0')
			return ERR_USAGE;
		value = strtoull(text + 2, NULL, 16);
	} else if (!take_digits(&text, &value) || *text != '\0') {
		return ERR_USAGE;
	}
	if (value > opt->umax)
		return ERR_USAGE;
	*(uint8_t *)member = (uint8_t)value;
	return 0;
}

static bool print_mask(const struct conf_option *opt, const void *member, FILE *out)
{
	(void)opt;
	fprintf(out, "0x%02x", *(const uint8_t *)member);
	return true;
}

static void expect_mask(const struct conf_option *opt, FILE *out)
{
	fprintf(out, "a mask from 0 to %" PRIu64 ", decimal or hexadecimal as %s", opt->umax,
		opt->def);
}

/* ---- decimals ---------------------------------------------------------------------------- */

/* A bound of options.def, which has milliseconds at most, in nanoseconds. */
static int64_t bound_ns(double s)
{
	return (int64_t)(s * 1000 + 0.5) * NS_PER_MS;
}

/* Nanoseconds of the unit behind a number; 0 when there is no such unit. */
static int64_t unit_ns(const char *number)
{
	const char *unit = number + strspn(number, "0123456789.");
	if (*unit == '\0')
		return NS_PER_S;
	const struct conf_name *name = find_name(time_units, unit, strlen(unit));
	return name != NULL ? name->value : 0;
}

static int parse_seconds(const struct conf_option *opt, const char *text, void *member)
{
	uint64_t whole;
	int64_t unit = unit_ns(text);
	if (unit == 0 || !take_digits(&text, &whole) || whole > (uint64_t)(INT64_MAX / unit - 1))
		return ERR_USAGE;
	int64_t ns = (int64_t)whole * unit;
	if (*text == '.') {
		int64_t digit_ns = unit / 10;
		if (!isdigit((unsigned char)*++text))
			return ERR_USAGE;
		for (; isdigit((unsigned char)*text); text++, digit_ns /= 10) {
			if (digit_ns == 0 && *text != '0')
				return ERR_USAGE; /* finer than a nanosecond */
			ns += (*text - '0') * digit_ns;
		}
	}
	/* a second dot is no digit either */
	if (*text == '.' || ns < bound_ns(opt->min) || ns > bound_ns(opt->max))
		return ERR_USAGE;
	*(int64_t *)member = ns;
	return 0;
}

static bool print_seconds(const struct conf_option *opt, const void *member, FILE *out)
{
	(void)opt;
	int64_t ns = *(const int64_t *)member;
	int64_t rest = ns % NS_PER_S;
	int decimals = 9;
	fprintf(out, "%lld", ns / NS_PER_S);
	if (rest == 0)
		return true;
	for (; rest % 10 == 0; rest /= 10)
		decimals--;
	fprintf(out, ".%0*" PRId64, decimals, rest);
	return true;
}

static void expect_seconds(const struct conf_option *opt, FILE *out)
{
	fprintf(out, "seconds from %g to %g, with decimals or a unit where needed as 0.5 or 500ms",
		opt->min, opt->max);
}

static int parse_double(const struct conf_option *opt, const char *text, void *member)
{
	/* strtod would also take blanks, signs, hexadecimal, "inf" and "nan". */
	size_t len = strspn(text, "0123456789.eE+-");
	if (text[len] != '\0' || !(isdigit((unsigned char)text[0]) || text[0] == '.'))
		return ERR_USAGE;
	char *end;
	double value = strtod(text, &end);
	if (*end != '\0' || !isfinite(value) || value < opt->min || value > opt->max)
		return ERR_USAGE;
	*(double *)member = value;
	return 0;
}

static bool print_double(const struct conf_option *opt, const void *member, FILE *out)
{
	(void)opt;
	double value = *(const double *)member;
	char text[40];
	int digits = 7; /* whole numbers of the range without an exponent */
	do
		snprintf(text, sizeof(text), "%.*g", digits, value);
	while (strtod(text, NULL) != value && digits++ < 17);
	fputs(text, out);
	return true;
}

static void expect_double(const struct conf_option *opt, FILE *out)
{
	fprintf(out, "a number from %.15g to %.15g, with decimals where needed as 0.5", opt->min,
		opt->max);
}

/* ---- text -------------------------------------------------------------------------------- */

/* A string in double quotes, such that libconfuse reads it back as it was: it would take ${...} for
 * an environment variable, and octal escapes swallow digits that follow. */
static void put_quoted(const char *text, FILE *out)
{
	fputc('"', out);
	for (const char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;
		if (c == '"' || c == '\\' || c == '$')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static int parse_string(const struct conf_option *opt, const char *text, void *member)
{
	(void)opt;
	char *copy = NULL;
	if (text[0] != '\0' && (copy = strdup(text)) == NULL)
		return ERR_NOMEM;
	char **string = member;
	free(*string);
	*string = copy;
	return 0;
}

static bool print_string(const struct conf_option *opt, const void *member, FILE *out)
{
	(void)opt;
	const char *string = *(char *const *)member;
	if (string != NULL)
		put_quoted(string, out);
	return string != NULL;
}

static void clear_string(void *member)
{
	free(*(char **)member);
	*(char **)member = NULL;
}

static void expect_string(const struct conf_option *opt, FILE *out)
{
	(void)opt;
	fputs("text", out);
}

static int list_add(struct conf_list *list, const char *text, size_t len)
{
	char **item = realloc(list->item, (list->count + 1) * sizeof(*item));
	if (item == NULL)
		return ERR_NOMEM;
	list->item = item;
	if ((item[list->count] = strndup(text, len)) == NULL)
		return ERR_NOMEM;
	list->count++;
	return 0;
}

int conf_list_add(struct conf_list *list, const char *text)
{
	return list_add(list, text, strlen(text));
}

static int parse_list(const struct conf_option *opt, const char *text, void *member)
{
	(void)opt;
	return text[0] != '\0' ? conf_list_add(member, text) : ERR_USAGE;
}

static bool print_list(const struct conf_option *opt, const void *member, FILE *out)
{
	(void)opt;
	const struct conf_list *list = member;
	const char *separator = list->count > 1 ? "\n\t" : "";
	if (list->count == 0)
		return false;
	fputc('{', out);
	for (unsigned i = 0; i < list->count; i++) {
		fprintf(out, "%s%s", i > 0 ? "," : "", separator);
		put_quoted(list->item[i], out);
	}
	fputs(list->count > 1 ? "\n}" : "}", out);
	return true;
}

void conf_list_clear(struct conf_list *list)
{
	for (unsigned i = 0; i < list->count; i++)
		free(list->item[i]);
	free(list->item);
	*list = (struct conf_list){0};
}

static void clear_list(void *member)
{
	conf_list_clear(member);
}

static void expect_list(const struct conf_option *opt, FILE *out)
{
	fprintf(out, "a %s, not an empty text", opt->arg);
}

/* ---- names ------------------------------------------------------------------------------- */

/* The next item of a list with commas: *ret_item without the blanks around it, its length returned;
 * *text moves past it, to NULL after the last. */
static size_t next_item(const char **text, const char **ret_item)
{
	const char *item = *text + strspn(*text, " \t");
	size_t len = strcspn(item, ",");
	*text = item[len] == ',' ? item + len + 1 : NULL;
	while (len > 0 && isblank((unsigned char)item[len - 1]))
		len--;
	*ret_item = item;
	return len;
}

static int parse_key(const struct conf_option *opt, const char *text, void *member)
{
	(void)opt;
	uint32_t flags = KEY_DEFAULT;
	while (text != NULL) {
		const char *item;
		size_t len = next_item(&text, &item);
		bool drop = len > 0 && item[0] == '-';
		size_t sign = len > 0 && (drop || item[0] == '+');
		const struct conf_name *name = find_name(key_names, item + sign, len - sign);
		if (name == NULL)
			return ERR_USAGE;
		flags = drop ? flags & ~name->value : flags | name->value;
	}
	*(uint32_t *)member = flags;
	return 0;
}

static bool print_key(const struct conf_option *opt, const void *member, FILE *out)
{
	(void)opt;
	uint32_t flags = *(const uint32_t *)member;
	const char *separator = "\"";
	for (const struct conf_name *n = key_names; n->name != NULL; n++) {
		bool set = (flags & n->value) != 0;
		if (!set && (KEY_DEFAULT & n->value) == 0)
			continue;
		fprintf(out, "%s%s%s", separator, set ? "" : "-", n->name);
		separator = ",";
	}
	fputc('"', out);
	return true;
}

static void expect_key(const struct conf_option *opt, FILE *out)
{
	(void)opt;
	fputs("a list of ", out);
	print_names(key_names, " and ", out);
	fputs(" with commas between them, - before what is to go, as vlan,-tos", out);
}

static uint32_t all_flags(const struct conf_name *names)
{
	uint32_t all = 0;
	for (; names->name != NULL; names++)
		all |= names->value;
	return all;
}

static int parse_flags(const struct conf_option *opt, const char *text, void *member)
{
	const struct conf_name *names = names_of[opt->type];
	uint32_t flags = 0;
	if (strcasecmp(text, "all") == 0) {
		flags = all_flags(names);
	} else if (strcasecmp(text, "none") != 0) {
		while (text != NULL) {
			const char *item;
			size_t len = next_item(&text, &item);
			const struct conf_name *name = find_name(names, item, len);
			if (name == NULL)
				return ERR_USAGE;
			flags |= name->value;
		}
	}
	*(uint32_t *)member = flags;
	return 0;
}

static bool print_flags(const struct conf_option *opt, const void *member, FILE *out)
{
	const struct conf_name *names = names_of[opt->type];
	uint32_t flags = *(const uint32_t *)member;
	if (flags == 0 || flags == all_flags(names)) {
		fputs(flags == 0 ? "\"none\"" : "\"all\"", out);
		return true;
	}
	const char *separator = "\"";
	for (const struct conf_name *n = names; n->name != NULL; n++) {
		if ((flags & n->value) == 0)
			continue;
		fprintf(out, "%s%s", separator, n->name);
		separator = ",";
	}
	fputc('"', out);
	return true;
}

static void expect_flags(const struct conf_option *opt, FILE *out)
{
	fputs("none, all, or a list with commas of ", out);
	print_names(names_of[opt->type], ", ", out);
}

static int parse_sample(const struct conf_option *opt, const char *text, void *member)
{
	struct conf_sample sample = {.mode = SAMPLING_SYSTEMATIC};
	const char *colon = strchr(text, ':');
	if (colon != NULL) {
		const struct conf_name *mode =
			find_name(sample_names, text, (size_t)(colon - text));
		if (mode == NULL)
			return ERR_USAGE;
		sample.mode = (enum sampling_mode)mode->value;
		text = colon + 1;
	}
	uint64_t n;
	int err = parse_uint(opt, text, &n);
	if (err != 0)
		return err;
	sample.n = (uint32_t)n;
	if (n == 1 && sample.mode == SAMPLING_SYSTEMATIC)
		sample.mode = SAMPLING_NONE;
	*(struct conf_sample *)member = sample;
	return 0;
}

static bool print_sample(const struct conf_option *opt, const void *member, FILE *out)
{
	(void)opt;
	const struct conf_sample *sample = member;
	const char *mode = name_of(sample_names, sample->mode);
	if (mode == NULL)
		fprintf(out, "%" PRIu32, sample->n);
	else
		fprintf(out, "\"%s:%" PRIu32 "\"", mode, sample->n);
	return true;
}

static void expect_sample(const struct conf_option *opt, FILE *out)
{
	fprintf(out, "N, systematic:N, random:N or flow:N with N from %" PRIu64 " to %" PRIu64,
		opt->umin, opt->umax);
}

/* Enumerations are read and written as the unsigned int that holds them. */
_Static_assert(__builtin_types_compatible_p(enum stats_format, unsigned) &&
		       __builtin_types_compatible_p(enum log_level, unsigned),
	       "an enumeration is an unsigned int");

static int parse_name(const struct conf_option *opt, const char *text, void *member)
{
	const struct conf_name *name = find_name(names_of[opt->type], text, strlen(text));
	if (name == NULL)
		return ERR_USAGE;
	*(unsigned *)member = name->value;
	return 0;
}

static bool print_name(const struct conf_option *opt, const void *member, FILE *out)
{
	const char *name = name_of(names_of[opt->type], *(const unsigned *)member);
	if (name != NULL)
		fprintf(out, "\"%s\"", name);
	return name != NULL;
}

static void expect_name(const struct conf_option *opt, FILE *out)
{
	print_names(names_of[opt->type], " or ", out);
}

static int parse_bool(const struct conf_option *opt, const char *text, void *member)
{
	unsigned value;
	int err = parse_name(opt, text, &value);
	if (err == 0)
		*(bool *)member = value;
	return err;
}

static bool print_bool(const struct conf_option *opt, const void *member, FILE *out)
{
	const unsigned value = *(const bool *)member;
	return print_name(opt, &value, out);
}

/* ---- networks ---------------------------------------------------------------------------- */

static int add_net(struct conf_list *list, const char *text, size_t len)
{
	struct net net;
	int err = net_parse(text, len, &net);
	return err == 0 ? list_add(list, text, len) : err;
}

/* A list in one value: the whole of it replaces what was there. */
static int parse_nets(const struct conf_option *opt, const char *text, void *member)
{
	(void)opt;
	struct conf_list list = {0};
	int err = 0;
	if (*text == '\0')
		text = NULL;
	while (text != NULL && err == 0) {
		const char *item;
		size_t len = next_item(&text, &item);
		err = add_net(&list, item, len);
	}
	clear_list(err == 0 ? member : &list);
	if (err == 0)
		*(struct conf_list *)member = list;
	return err;
}

static bool print_nets(const struct conf_option *opt, const void *member, FILE *out)
{
	(void)opt;
	const struct conf_list *list = member;
	for (unsigned i = 0; i < list->count; i++)
		fprintf(out, "%s%s", i == 0 ? "\"" : ",", list->item[i]);
	if (list->count > 0)
		fputc('"', out);
	return list->count > 0;
}

static void expect_nets(const struct conf_option *opt, FILE *out)
{
	(void)opt;
	fputs("networks with commas between them, as 10.0.0.0/8,2001:db8::/32, all bits behind the "
	      "prefix 0",
	      out);
}

/* ---- CPUs --------------------------------------------------------------------------------- */

static int parse_cpus(const struct conf_option *opt, const char *text, void *member)
{
	(void)opt;
	return cpu_list_parse(text, member);
}

static bool print_cpus(const struct conf_option *opt, const void *member, FILE *out)
{
	(void)opt;
	const struct conf_cpus *cpus = member;
	if (cpus->count == 0)
		return false;
	fputc('"', out);
	cpu_list_print(cpus, out);
	fputc('"', out);
	return true;
}

static void expect_cpus(const struct conf_option *opt, FILE *out)
{
	(void)opt;
	fprintf(out, "numbers of CPUs with commas between them, as 2,4-7, at most %d", CONF_CPUS_MAX);
}

/* ---- the types --------------------------------------------------------------------------- */

static const struct {
	int (*parse)(const struct conf_option *opt, const char *text, void *member);
	bool (*print)(const struct conf_option *opt, const void *member, FILE *out);
	void (*expect)(const struct conf_option *opt, FILE *out);
	void (*clear)(void *member); /* or NULL: owns nothing */
} types[CONF_TYPE_COUNT] = {
	[CONF_TYPE_BOOL] = {parse_bool, print_bool, expect_name, NULL},
	[CONF_TYPE_UINT] = {parse_uint, print_uint, expect_uint, NULL},
	[CONF_TYPE_SECONDS] = {parse_seconds, print_seconds, expect_seconds, NULL},
	[CONF_TYPE_SIZE] = {parse_size, print_size, expect_size, NULL},
	[CONF_TYPE_DOUBLE] = {parse_double, print_double, expect_double, NULL},
	[CONF_TYPE_STRING] = {parse_string, print_string, expect_string, clear_string},
	[CONF_TYPE_LIST] = {parse_list, print_list, expect_list, clear_list},
	[CONF_TYPE_NETS] = {parse_nets, print_nets, expect_nets, clear_list},
	[CONF_TYPE_CPUS] = {parse_cpus, print_cpus, expect_cpus, NULL},
	[CONF_TYPE_KEYLIST] = {parse_key, print_key, expect_key, NULL},
	[CONF_TYPE_DECAPLIST] = {parse_flags, print_flags, expect_flags, NULL},
	[CONF_TYPE_DEDUPLIST] = {parse_flags, print_flags, expect_flags, NULL},
	[CONF_TYPE_SAMPLE] = {parse_sample, print_sample, expect_sample, NULL},
	[CONF_TYPE_TOSMASK] = {parse_mask, print_mask, expect_mask, NULL},
	[CONF_TYPE_STATS] = {parse_name, print_name, expect_name, NULL},
	[CONF_TYPE_LEVEL] = {parse_name, print_name, expect_name, NULL},
};

int conf_value_parse(const struct conf_option *opt, const char *text, void *member)
{
	return types[opt->type].parse(opt, text, member);
}

void conf_value_expects(const struct conf_option *opt, FILE *out)
{
	types[opt->type].expect(opt, out);
}

bool conf_value_print(const struct conf_option *opt, const void *member, FILE *out)
{
	return types[opt->type].print(opt, member, out);
}

void conf_value_clear(const struct conf_option *opt, void *member)
{
	if (types[opt->type].clear != NULL)
		types[opt->type].clear(member);
}
