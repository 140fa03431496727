/*
 * Words take all that addresses, times and ranges are written with, so that the element's type can
 * say what a word means. A dash at the end of a word is not part of it ("80- 90").
 */
#include "filter_lex.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *text;
	enum filter_token_kind kind;
} signs[] = {
	/* the longer first */
	{"&&", TOKEN_AND},	 {"||", TOKEN_OR},	   {"==", TOKEN_EQ},  {"!=", TOKEN_NE},
	{"<=", TOKEN_LE},	 {">=", TOKEN_GE},	   {"=", TOKEN_EQ},   {"<", TOKEN_LT},
	{">", TOKEN_GT},	 {"!", TOKEN_NOT},	   {"&", TOKEN_MASK}, {"|", TOKEN_PIPE},
	{"-", TOKEN_DASH},	 {",", TOKEN_COMMA},	   {"(", TOKEN_OPEN}, {")", TOKEN_CLOSE},
	{"{", TOKEN_BRACE_OPEN}, {"}", TOKEN_BRACE_CLOSE},
};

static const struct {
	const char *text;
	enum filter_token_kind kind;
} keywords[] = {
	{"and", TOKEN_AND},
	{"or", TOKEN_OR},
	{"not", TOKEN_NOT},
	{"in", TOKEN_IN},
};

static size_t word_len(const char *text)
{
	size_t n = 0;
	while (isalnum((unsigned char)text[n]) || (text[n] != '\0' && strchr(".:/_-", text[n])))
		n++;
	while (n > 0 && text[n - 1] == '-')
		n--;
	return n;
}

static struct filter_token word(const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (strlen(keywords[i].text) == len &&
		    strncasecmp(keywords[i].text, text, len) == 0)
			return (struct filter_token){keywords[i].kind, text, len};
	return (struct filter_token){TOKEN_WORD, text, len};
}

struct filter_token filter_lex(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	if (*text == '\0')
		return (struct filter_token){TOKEN_END, text, 0};
	const size_t len = *text == '-' ? 0 : word_len(text);
	if (len > 0)
		return word(text, len);
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		if (strncmp(signs[i].text, text, strlen(signs[i].text)) == 0)
			return (struct filter_token){signs[i].kind, text, strlen(signs[i].text)};
	return (struct filter_token){TOKEN_UNKNOWN, text, 1};
}
