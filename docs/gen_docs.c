/*
 * gen_docs PART: writes a part of the documents that tables of the code own: options.def,
 * counters.def and fields.def. docs/gen.sh puts the parts where they belong.
 *
 * It links with the tables only, so the documents are made without libraries or a working probe.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "conf_option.h"
#include "counters.h"
#include "field.h"

enum { LINE_MAX_BYTES = 78 }; /* mandoc's lint wants less than 80 */

/* ---- manual pages ------------------------------------------------------------------------ */

/* A word as roff wants it: minus signs that can be copied, no accidental escape. */
static void put_word(const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '\\')
			fputs("\\e", stdout);
		else if (word[i] == '-')
			fputs("\\-", stdout);
		else
			putchar(word[i]);
	}
}

static size_t word_width(const char *word, size_t len)
{
	size_t width = len;
	for (size_t i = 0; i < len; i++)
		width += word[i] == '\\' || word[i] == '-';
	return width;
}

/* Running text: lines of less than 80 bytes, each sentence on a line of its own. */
static void put_text(const char *text)
{
	size_t column = 0;
	if (*text == '\0')
		return;
	while (*text != '\0') {
		size_t len = strcspn(text, " ");
		size_t width = word_width(text, len);
		bool sentence_ends = text[len - 1] == '.';
		if (column > 0 && column + 1 + width > LINE_MAX_BYTES) {
			putchar('\n');
			column = 0;
		}
		if (column > 0)
			putchar(' ');
		else if (*text == '.' || *text == '\'')
			fputs("\\&", stdout);
		put_word(text, len);
		column += (column > 0) + width;
		text += len;
		text += strspn(text, " ");
		if (sentence_ends && *text != '\0') {
			putchar('\n');
			column = 0;
		}
	}
	putchar('\n');
}

/* What the paragraph does not say: the range of a number, and the default. */
static void put_value(const struct conf_option *opt)
{
	bool number = opt->type == CONF_TYPE_UINT || opt->type == CONF_TYPE_SECONDS ||
		      opt->type == CONF_TYPE_SIZE || opt->type == CONF_TYPE_DOUBLE;
	char buf[512] = "";
	FILE *out = fmemopen(buf, sizeof(buf), "w");
	if (out == NULL)
		return;
	if (number) {
		fputs("Takes ", out);
		conf_value_expects(opt, out);
	}
	if (opt->def != NULL)
		fprintf(out, "%s%s%s", number ? "; " : "The default is ", opt->def,
			number ? " by default" : "");
	if (number || opt->def != NULL)
		fputc('.', out);
	fclose(out);
	put_text(buf);
}

static void put_flags(int short_name, const char *name, const char *arg)
{
	fputs(".It Fl ", stdout);
	if (short_name != 0)
		printf("%c , ", short_name);
	fputs("\\-", stdout);
	put_word(name, strlen(name));
	if (arg != NULL)
		printf(" Ar %s", arg);
	putchar('\n');
}

static void options_part(void)
{
	puts(".Bl -tag -width Ds");
	for (const struct conf_option *opt = conf_options; opt < conf_options + CONF_OPT_COUNT;
	     opt++) {
		put_flags(opt->short_name, opt->name, opt->arg);
		put_text(opt->doc);
		put_value(opt);
	}
	puts(".El");
}

static void commands_part(void)
{
	puts(".Bl -tag -width Ds");
	for (const struct conf_command *cmd = conf_commands; cmd < conf_commands + CONF_CMD_COUNT;
	     cmd++) {
		char text[256];
		put_flags(cmd->short_name, cmd->name, cmd->arg);
		snprintf(text, sizeof(text), "%c%s.", toupper((unsigned char)cmd->help[0]),
			 cmd->help + 1);
		put_text(text);
	}
	puts(".El");
}

static void keys_part(void)
{
	puts(".Bl -tag -width Ds");
	for (const struct conf_option *opt = conf_options; opt < conf_options + CONF_OPT_COUNT;
	     opt++) {
		fputs(".It Ic ", stdout);
		put_word(opt->name, strlen(opt->name));
		printf(" No = Ar %s%s\n", opt->arg,
		       opt->type == CONF_TYPE_LIST ? " Pq a list" : "");
		put_text(opt->doc);
		put_value(opt);
	}
	puts(".El");
}

static void counters_part(void)
{
	puts(".Bl -tag -width Ds");
	for (unsigned i = 0; i < COUNTER_COUNT; i++) {
		const struct counter_info *c = counter_info(i);
		char text[256];
		int n = snprintf(text, sizeof(text), "%c%s", toupper((unsigned char)c->help[0]),
				 c->help + 1);
		if (c->parent >= 0)
			snprintf(text + n, sizeof(text) - n, "; part of %s",
				 counter_info((enum counter_id)c->parent)->name);
		printf(".It Va %s Pq %s\n", c->name, c->unit);
		strcat(text, ".");
		put_text(text);
	}
	puts(".El");
}

static void put_element(const char *name, unsigned ipfix, unsigned v9, const char *doc,
			bool reverse)
{
	char text[512];
	printf(".It Va %s Pq ", name);
	if (ipfix == 0)
		printf("v9 %u\n", v9);
	else if (v9 == 0)
		printf("%u\n", ipfix);
	else if (v9 == ipfix)
		printf("%u, v9 too\n", ipfix);
	else
		printf("%u, v9 %u\n", ipfix, v9);
	snprintf(text, sizeof(text), "%c%s.%s", toupper((unsigned char)doc[0]), doc + 1,
		 reverse ? " It has a reverse element." : "");
	put_text(text);
}

static void elements_part(void)
{
	puts(".Bl -tag -width Ds");
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		const struct field *f = field_get((enum field_id)i);
		put_element(f->name, f->ipfix_id, f->v9_id, f->doc, f->stride != 0);
	}
	puts(".El");
}

static void option_elements_part(void)
{
	puts(".Bl -tag -width Ds");
	for (const struct option_element *e = option_elements; e->name != NULL; e++)
		put_element(e->name, e->id, 0, e->doc, false);
	puts(".El");
}

/* ---- docs/ELEMENTS.md -------------------------------------------------------------------- */

static void put_number(unsigned number)
{
	if (number != 0)
		printf(" %u |", number);
	else
		printf(" |");
}

/* The outputs whose records have the element unless fields= says otherwise. */
static void put_defaults(const struct field *f)
{
	static const struct {
		unsigned flag;
		const char *name;
	} lists[] = {{IN_TEXT, "text"},
		     {IN_IPFIX, "IPFIX"},
		     {IN_V9, "v9"},
		     {IN_LOCAL, "IPFIX and v9 with local-networks"}};
	const char *separator = " ";
	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		if ((f->defaults & lists[i].flag) == 0)
			continue;
		printf("%s%s", separator, lists[i].name);
		separator = ", ";
	}
	printf(" |");
}

static void markdown_part(void)
{
	puts("# Elements\n\n"
	     "Made by `docs/gen.sh` from `include/fields.def`; do not edit. `weir --list-fields` "
	     "prints "
	     "the same names.\n\n"
	     "Names and numbers are those of the IANA IPFIX registry. An element with a reverse is "
	     "also "
	     "there for the other\ndirection of a biflow, as `reverse` and the name with its first "
	     "letter raised (RFC 5103, PEN 29305 on the wire).\n\"By default in\" names the "
	     "outputs "
	     "that have it without `fields=`: text is json, csv, cbor and table.\n\n"
	     "| element | IPFIX | NetFlow v9 | bytes | reverse | by default in | ECS name | "
	     "meaning |\n"
	     "| --- | --- | --- | --- | --- | --- | --- | --- |");
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		const struct field *f = field_get((enum field_id)i);
		printf("| `%s` |", f->name);
		put_number(f->ipfix_id);
		put_number(f->v9_id);
		printf(" %u | %s |", f->len, f->stride != 0 ? "yes" : "");
		put_defaults(f);
		if (f->ecs != NULL)
			printf(" `%s` |", f->ecs);
		else
			printf(" |");
		printf(" %s |\n", f->doc);
	}
	puts("\n## In options records\n\n"
	     "| element | number | bytes | meaning |\n| --- | --- | --- | --- |");
	for (const struct option_element *e = option_elements; e->name != NULL; e++)
		printf("| `%s` | %u | %u | %s |\n", e->name, e->id, e->len, e->doc);
}

/* ---- the parts --------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*write)(void);
} parts[] = {
	{"options", options_part},   {"commands", commands_part},
	{"keys", keys_part},	     {"counters", counters_part},
	{"elements", elements_part}, {"option-elements", option_elements_part},
	{"markdown", markdown_part},
};

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc == 2 && i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(parts[i].name, argv[1]) == 0) {
			parts[i].write();
			return ferror(stdout) != 0;
		}
	}
	fprintf(stderr, "usage: gen_docs PART, one of:");
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		fprintf(stderr, " %s", parts[i].name);
	fputc('\n', stderr);
	return 2;
}
