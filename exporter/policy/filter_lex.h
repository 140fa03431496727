/* Words and signs of a filter's text. For filter*.c only. */
#ifndef WEIR_EXPORTER_FILTER_LEX_H
#define WEIR_EXPORTER_FILTER_LEX_H

#include <stddef.h>

enum filter_token_kind {
	TOKEN_END,
	TOKEN_WORD, /* an element, a number, an address, a time */
	TOKEN_AND,
	TOKEN_OR,
	TOKEN_NOT,
	TOKEN_IN,
	TOKEN_EQ, /* = and == */
	TOKEN_NE,
	TOKEN_LT,
	TOKEN_LE,
	TOKEN_GT,
	TOKEN_GE,
	TOKEN_MASK,
	TOKEN_PIPE,
	TOKEN_DASH,
	TOKEN_COMMA,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_BRACE_OPEN,
	TOKEN_BRACE_CLOSE,
	TOKEN_UNKNOWN,
};

struct filter_token {
	enum filter_token_kind kind;
	const char *at;
	size_t len;
};

/* The next token at or after `text`. At the end of the text: TOKEN_END, again and again. */
struct filter_token filter_lex(const char *text);

#endif
