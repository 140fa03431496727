/*
 * The configuration file. libconfuse reads it with a table made from options.def; every value is
 * taken as text, so that the one parser of its type (conf_value.c) serves the command line and the
 * file, with the same words for what is wrong.
 *
 * Three things that libconfuse 3.3 does not do are done around it:
 *  - its line numbers are wrong after a comment, so comments are blanked out beforehand;
 *  - an unknown key ends its reading. All faults are to be told in one go, so the key is added to
 *    the table as one to pass over and the text is read again;
 *  - an unterminated string is reported at the end of the file instead of where it began.
 *
 * A parser of our own was rejected: strings, escapes and lists are libconfuse's business.
 */
#include "conf_file.h"

#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

enum {
	FILE_SIZE_MAX = 1 << 20,
	UNKNOWN_MAX = 64 /* unknown keys told of; more are no configuration of ours */
};

/* A key that no option has: passed over in the next reading. */
struct unknown_key {
	char *name;
	int line;
};

struct file_reader {
	const struct conf_file_ops *ops;
	void *arg;
	bool silent;   /* a pass that only looks for unknown keys */
	int err;       /* what a callback returned */
	int form_line; /* a comment or string left open there; 0 none */
	const char *form_text;
	struct unknown_key unknown[UNKNOWN_MAX];
	unsigned unknown_count;
	bool found_unknown; /* in this pass */
	char *syntax_text;  /* the error that ended this pass, or NULL */
	int syntax_line;
};

/* libconfuse's callbacks have no argument of ours to find the reader by; reading is not reentrant
 * in any case, and this is NULL outside conf_file_read. */
static struct file_reader *current;

/* ---- comments ---------------------------------------------------------------------------- */

enum blank_state { IN_TEXT, IN_DOUBLE, IN_SINGLE, IN_LINE_COMMENT, IN_COMMENT };

/* Turns comments into blanks and keeps every newline. "//" begins a comment only at the start of a
 * word, so that an unquoted URL is one. Text after a comment or string that is never closed is
 * blanked too, and the place told. */
static void blank_comments(struct file_reader *r, char *text, size_t size)
{
	enum blank_state state = IN_TEXT;
	int line = 1;
	int open_line = 0;
	size_t open_at = 0;
	for (size_t i = 0; i < size; i++) {
		char c = text[i];
		char next = i + 1 < size ? text[i + 1] : '\0';
		bool word_start = i == 0 || isspace((unsigned char)text[i - 1]);
		if (c == '\n')
			line++;
		switch (state) {
		case IN_TEXT:
			if (c == '"' || c == '\'')
				state = c == '"' ? IN_DOUBLE : IN_SINGLE;
			else if (c == '#' || (c == '/' && next == '/' && word_start))
				state = IN_LINE_COMMENT;
			else if (c == '/' && next == '*')
				state = IN_COMMENT;
			if (state == IN_LINE_COMMENT || state == IN_COMMENT)
				text[i] = ' ';
			if (state == IN_COMMENT)
				text[++i] = ' ';
			open_line = line;
			open_at = i;
			break;
		case IN_DOUBLE:
		case IN_SINGLE:
			if (c == '\\' && next != '\0')
				line += text[++i] == '\n';
			else if (c == (state == IN_DOUBLE ? '"' : '\''))
				state = IN_TEXT;
			break;
		case IN_LINE_COMMENT:
			if (c == '\n')
				state = IN_TEXT;
			else
				text[i] = ' ';
			break;
		case IN_COMMENT:
			if (c == '*' && next == '/') {
				text[i] = text[i + 1] = ' ';
				i++;
				state = IN_TEXT;
			} else if (c != '\n') {
				text[i] = ' ';
			}
			break;
		}
	}
	if (state == IN_DOUBLE || state == IN_SINGLE) {
		r->form_line = open_line;
		r->form_text = "a quoted text begins here and does not end: close the quote";
		memset(text + open_at, ' ', size - open_at);
	} else if (state == IN_COMMENT) {
		r->form_line = open_line;
		r->form_text = "a comment begins here and does not end: close it with */";
	}
}

/* ---- libconfuse's callbacks -------------------------------------------------------------- */

static int on_value(cfg_t *cfg, cfg_opt_t *cfg_opt, const char *text, void *result)
{
	struct file_reader *r = current;
	const struct conf_option *opt = conf_option_find(cfg_opt->name);
	*(const char **)result = text;
	if (opt != NULL && !r->silent && r->err == 0)
		r->err = r->ops->value(r->arg, opt, cfg->line, cfg_opt->nvalues - 1, text);
	return r->err;
}

/* libconfuse's own words, in one of two senses: an unknown key, or a syntax error. */
static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	struct file_reader *r = current;
	char *text = NULL;
	if (vasprintf(&text, fmt, ap) < 0) {
		r->err = ERR_NOMEM;
		return;
	}
	static const char no_such[] = "no such option '";
	size_t len = strlen(text);
	if (strncmp(text, no_such, strlen(no_such)) == 0 && r->unknown_count < UNKNOWN_MAX) {
		text[len - 1] = '\0'; /* the closing quote */
		memmove(text, text + strlen(no_such), len - strlen(no_such));
		r->unknown[r->unknown_count++] = (struct unknown_key){text, cfg->line};
		r->found_unknown = true;
		return;
	}
	free(r->syntax_text);
	r->syntax_text = text;
	r->syntax_line = cfg->line;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* One pass over the text. */
static int read_pass(struct file_reader *r, char *text, size_t size)
{
	cfg_opt_t opts[CONF_OPT_COUNT + UNKNOWN_MAX + 1];
	unsigned n = 0;
	for (unsigned i = 0; i < CONF_OPT_COUNT; i++)
		opts[n++] = conf_options[i].type == CONF_TYPE_LIST
				    ? (cfg_opt_t)CFG_STR_LIST_CB(conf_options[i].name, NULL,
								 CFGF_NODEFAULT, on_value)
				    : (cfg_opt_t)CFG_STR_CB(conf_options[i].name, NULL,
							    CFGF_NODEFAULT, on_value);
	for (unsigned i = 0; i < r->unknown_count; i++)
		opts[n++] = (cfg_opt_t)CFG_STR_LIST_CB(r->unknown[i].name, NULL, CFGF_NODEFAULT,
						       on_value);
	opts[n] = (cfg_opt_t)CFG_END();

	free(r->syntax_text);
	r->syntax_text = NULL;
	r->found_unknown = false;
	FILE *in = fmemopen(text, size, "r");
	if (in == NULL)
		return -errno;
	cfg_t *cfg = cfg_init(opts, CFGF_NONE);
	if (cfg == NULL) {
		fclose(in);
		return ERR_NOMEM;
	}
	cfg_set_error_function(cfg, on_error);
	int ret = cfg_parse_fp(cfg, in);
	if (ret != CFG_SUCCESS && !r->found_unknown && r->syntax_text == NULL && r->err == 0) {
		/* libconfuse has no words for a key that is empty, as an unset ${VARIABLE} is */
		r->syntax_line = cfg->line;
		r->syntax_text = strdup("there is no key here");
		r->err = r->syntax_text != NULL ? 0 : ERR_NOMEM;
	}
	cfg_free(cfg);
	fclose(in);
	return r->err;
}

static int tell_faults(struct file_reader *r)
{
	int err = 0;
	for (unsigned i = 0; i < r->unknown_count && err == 0; i++)
		err = r->ops->fault(r->arg, r->unknown[i].line, r->unknown[i].name, NULL);
	if (err != 0)
		return err;
	if (r->form_line != 0)
		return r->ops->fault(r->arg, r->form_line, NULL, r->form_text);
	if (r->syntax_text != NULL)
		return r->ops->fault(r->arg, r->syntax_line, NULL, r->syntax_text);
	return 0;
}

/* The whole file as text, the caller's to free. */
static int read_text(const char *path, char **ret_text, size_t *ret_size)
{
	FILE *in = fopen(path, "re");
	if (in == NULL)
		return -errno;
	char *text = malloc(FILE_SIZE_MAX + 1);
	if (text == NULL) {
		fclose(in);
		return ERR_NOMEM;
	}
	size_t size = fread(text, 1, FILE_SIZE_MAX + 1, in);
	int err = ferror(in) ? ERR_IO : size > FILE_SIZE_MAX ? -EFBIG : 0;
	if (err == ERR_IO && errno != 0)
		err = -errno;
	fclose(in);
	if (err != 0) {
		free(text);
		return err;
	}
	*ret_text = text;
	*ret_size = size;
	return 0;
}

int conf_file_read(const char *path, const struct conf_file_ops *ops, void *arg)
{
	char *text = NULL;
	size_t size = 0;
	int err = read_text(path, &text, &size);
	if (err != 0)
		return err;
	struct file_reader r = {.ops = ops, .arg = arg, .silent = true};
	for (size_t i = 0; i < size; i++)
		if (text[i] == '\0')
			text[i] = '?'; /* no text file: will not parse, and be told so */
	blank_comments(&r, text, size);
	current = &r;
	do
		err = size > 0 ? read_pass(&r, text, size) : 0;
	while (err == 0 && r.found_unknown);
	if (err == 0 && size > 0) {
		r.silent = false;
		err = read_pass(&r, text, size);
	}
	current = NULL;
	if (err == 0)
		err = tell_faults(&r);
	for (unsigned i = 0; i < r.unknown_count; i++)
		free(r.unknown[i].name);
	free(r.syntax_text);
	free(text);
	return err;
}
