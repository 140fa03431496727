/*
 * Compiling a filter: recursive descent, which writes the tests (filter_emit.h) as it reads them.
 * What a test leads to is not known before the text goes on; until then its two exits are links of
 * chains, one of the exits that are taken when the part is true and one of the others. "and" leads
 * the true chain of its left side to its right side, "or" the false chain, "not" swaps the two. So
 * every exit leads forward, and the program ends.
 *
 *     expression = and { "or" and }
 *     and        = not { "and" not }
 *     not        = "not" not | "(" expression ")" | comparison
 *     comparison = ELEMENT [ "&" value ] ( OP value | [ "not" ] "in" set ) | ELEMENT "&" value
 *     set        = item { "," item } | "{" item { "," item } "}"
 *     item       = value [ "-" value ]
 *     value      = WORD { "|" WORD }         (TCP flags)
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fail.h"
#include "err.h"
#include "filter_emit.h"
#include "filter_lex.h"
#include "filter_value.h"

struct compiler {
	const char *text;
	struct filter_token token; /* the next */
	struct flow_filter *filter;
	unsigned depth;
	bool biflow;
	struct errtext *e;
	int err;
};

/* ---- faults ---- */

enum { SHOWN_MAX = 72, SHOWN_BEFORE = 48 };

static void show_char(struct errtext *e, char c)
{
	const bool plain = (unsigned char)c >= ' ' && (unsigned char)c < 0x7f;
	errtext_add(e, "%c", plain ? c : '?');
}

/* The text, or so much of it around the place as fits a line, and a caret. */
static void show_place(const struct compiler *c, const char *at)
{
	const size_t len = strlen(c->text);
	const size_t place = (size_t)(at - c->text);
	const size_t from = len > SHOWN_MAX && place > SHOWN_BEFORE ? place - SHOWN_BEFORE : 0;
	const size_t to = len - from > SHOWN_MAX ? from + SHOWN_MAX : len;
	errtext_add(c->e, "\n    %s", from > 0 ? "..." : "");
	for (size_t i = from; i < to; i++)
		show_char(c->e, c->text[i]);
	errtext_add(c->e, "%s\n%*s^", to < len ? "..." : "",
		    (int)(4 + (from > 0 ? 3 : 0) + place - from), "");
}

/* The first fault ends the reading. */
static bool refuse(struct compiler *c, const char *at, const char *reason)
{
	if (c->err != 0)
		return false;
	c->err = fail(c->e, ERR_USAGE, "filter: %s", reason);
	show_place(c, at);
	return false;
}

static bool out_of_memory(struct compiler *c)
{
	c->err = ERR_NOMEM;
	return false;
}

static void next(struct compiler *c)
{
	c->token = filter_lex(c->token.at + c->token.len);
}

static bool at(const struct compiler *c, enum filter_token_kind kind)
{
	return c->token.kind == kind;
}

static bool accept(struct compiler *c, enum filter_token_kind kind)
{
	if (!at(c, kind))
		return false;
	next(c);
	return true;
}

static bool expect(struct compiler *c, enum filter_token_kind kind, const char *reason)
{
	return accept(c, kind) || refuse(c, c->token.at, reason);
}

/* ---- ranges ---- */

static bool add_range(struct compiler *c, struct filter_range range)
{
	return filter_add_range(c->filter, range) || out_of_memory(c);
}

static bool turn_ranges(struct compiler *c, struct filter_test *t, filter_value max)
{
	return filter_turn_ranges(c->filter, t, max) || out_of_memory(c);
}

/* ---- values ---- */

static bool read_word(struct compiler *c, const struct filter_type *type, const char *text,
		      size_t len, struct filter_range *ret_range, bool *ret_prefix)
{
	char why[FILTER_WHY_SIZE];
	return filter_value_read(type, text, len, ret_range, ret_prefix, why) ||
	       refuse(c, text, why);
}

static bool expect_word(struct compiler *c, const struct filter_type *type)
{
	char why[FILTER_WHY_SIZE];
	snprintf(why, sizeof(why), "expected %s", type->wants);
	return at(c, TOKEN_WORD) || refuse(c, c->token.at, why);
}

/* One value; TCP flags may be several. */
static bool parse_value(struct compiler *c, const struct filter_type *type, filter_value *ret_value)
{
	filter_value value = 0;
	do {
		struct filter_range range;
		bool prefix;
		const struct filter_token word = c->token;
		if (!expect_word(c, type) ||
		    !read_word(c, type, word.at, word.len, &range, &prefix))
			return false;
		if (prefix)
			return refuse(c, word.at, "a prefix is a set of addresses: write in");
		value |= range.lo;
		next(c);
	} while (type->field->kind == KIND_FLAGS && accept(c, TOKEN_PIPE));
	*ret_value = value;
	return true;
}

/* "a-b" in one word: the dash at which both sides are values (times have dashes of their own). */
static const char *find_dash(const struct filter_type *type, const char *text, size_t len)
{
	char why[FILTER_WHY_SIZE];
	struct filter_type any = *type;
	struct filter_range range;
	bool prefix;
	any.max = ~(filter_value)0; /* one that is too large is told later */
	for (size_t i = 1; i + 1 < len; i++)
		if (text[i] == '-' && filter_value_read(&any, text, i, &range, &prefix, why) &&
		    filter_value_read(&any, text + i + 1, len - i - 1, &range, &prefix, why))
			return text + i;
	return NULL;
}

static bool parse_item_end(struct compiler *c, const struct filter_type *type,
			   struct filter_range *range, const char *text, size_t len)
{
	struct filter_range last;
	bool prefix;
	if (!read_word(c, type, text, len, &last, &prefix))
		return false;
	if (prefix)
		return refuse(c, text, "a range is from one address to another, not a prefix");
	if (last.lo < range->lo)
		return refuse(c, text, "the range ends before it begins");
	range->hi = last.hi;
	return true;
}

static bool parse_item(struct compiler *c, const struct filter_type *type)
{
	const struct filter_token word = c->token;
	struct filter_range range;
	bool prefix;
	if (!expect_word(c, type))
		return false;
	const char *dash = find_dash(type, word.at, word.len);
	const size_t len = dash != NULL ? (size_t)(dash - word.at) : word.len;
	if (!read_word(c, type, word.at, len, &range, &prefix))
		return false;
	next(c);
	if (dash != NULL) {
		if (!parse_item_end(c, type, &range, dash + 1, word.len - len - 1))
			return false;
	} else if (!prefix && accept(c, TOKEN_DASH)) {
		const struct filter_token end = c->token;
		if (!expect_word(c, type) || !parse_item_end(c, type, &range, end.at, end.len))
			return false;
		next(c);
	}
	return add_range(c, range);
}

static bool parse_set(struct compiler *c, const struct filter_type *type)
{
	const bool braces = accept(c, TOKEN_BRACE_OPEN);
	do {
		if (!parse_item(c, type))
			return false;
	} while (accept(c, TOKEN_COMMA));
	return !braces || expect(c, TOKEN_BRACE_CLOSE, "expected , or }");
}

/* ---- comparisons ---- */

static const char *element_fault(const struct compiler *c, struct field_ref ref)
{
	if (ref.reverse && !c->biflow)
		return "a reverse element, which one-way records do not have (biflow=yes)";
	if (field_get(ref.id)->kind == KIND_TIME_UPTIME)
		return "known only in a message; take flowStartMilliseconds, flowEndMilliseconds";
	return NULL;
}

static bool unknown_element(struct compiler *c)
{
	const struct filter_token *t = &c->token;
	char nearest[FIELD_NAME_MAX];
	char why[FILTER_WHY_SIZE];
	const int shown = t->len < FIELD_NAME_MAX ? (int)t->len : FIELD_NAME_MAX;
	if (field_nearest(t->at, t->len, nearest))
		snprintf(why, sizeof(why), "unknown element '%.*s' (did you mean %s?)", shown,
			 t->at, nearest);
	else
		snprintf(why, sizeof(why), "unknown element '%.*s' (see --list-fields)", shown,
			 t->at);
	return refuse(c, t->at, why);
}

static bool parse_element(struct compiler *c, struct filter_type *ret_type)
{
	struct field_ref ref;
	if (!at(c, TOKEN_WORD))
		return refuse(c, c->token.at, "expected an element, not or (");
	if (!field_find(c->token.at, c->token.len, &ref))
		return unknown_element(c);
	const char *fault = element_fault(c, ref);
	if (fault != NULL) {
		char why[FILTER_WHY_SIZE];
		snprintf(why, sizeof(why), "%.*s is %s", (int)c->token.len, c->token.at, fault);
		return refuse(c, c->token.at, why);
	}
	filter_type_of(ref, ret_type);
	next(c);
	return true;
}

static bool parse_mask(struct compiler *c, const struct filter_type *type, struct filter_test *t)
{
	const char *place = c->token.at;
	filter_value mask;
	next(c);
	if (type->kind != VALUE_NUMBER)
		return refuse(c, place, "& is for numbers");
	if (!parse_value(c, type, &mask))
		return false;
	t->mask = (uint64_t)mask;
	return true;
}

/* `op value` as ranges. */
static bool parse_comparison(struct compiler *c, const struct filter_type *type,
			     enum filter_token_kind op, struct filter_range *ret_range)
{
	const char *place = c->token.at;
	filter_value v;
	next(c);
	if (op != TOKEN_EQ && op != TOKEN_NE && !filter_type_is_ordered(type))
		return refuse(c, place, "addresses have no order: take ==, != or in");
	if (!parse_value(c, type, &v))
		return false;
	if ((op == TOKEN_LT && v == 0) || (op == TOKEN_GT && v == type->max))
		return refuse(c, place, "this can never be true");
	switch (op) {
	case TOKEN_LT:
		*ret_range = (struct filter_range){0, v - 1};
		break;
	case TOKEN_LE:
		*ret_range = (struct filter_range){0, v};
		break;
	case TOKEN_GT:
		*ret_range = (struct filter_range){v + 1, type->max};
		break;
	case TOKEN_GE:
		*ret_range = (struct filter_range){v, type->max};
		break;
	default:
		*ret_range = (struct filter_range){v, v};
	}
	return true;
}

static bool parse_condition(struct compiler *c, const struct filter_type *type,
			    struct filter_test *t, bool *ret_turned)
{
	const char *place = c->token.at;
	const enum filter_token_kind op = c->token.kind;
	*ret_turned = op == TOKEN_NE || op == TOKEN_NOT;
	if (op >= TOKEN_EQ && op <= TOKEN_GE) {
		struct filter_range range = {0, 0};
		return parse_comparison(c, type, op, &range) && add_range(c, range);
	}
	if (op == TOKEN_NOT)
		next(c);
	if (accept(c, TOKEN_IN))
		return parse_set(c, type);
	if (op != TOKEN_NOT && t->mask != UINT64_MAX) /* some of the bits */
		return add_range(c, (struct filter_range){1, UINT64_MAX});
	return refuse(c, place, "expected ==, !=, <, <=, >, >=, & or in");
}

/* Bits that the mask takes away cannot be asked for. */
static bool mask_fits(struct compiler *c, const struct filter_test *t, const char *place)
{
	if (t->mask == UINT64_MAX)
		return true;
	if (t->mask == 0)
		return refuse(c, place, "& 0 leaves nothing to compare");
	for (uint32_t i = t->first; i < t->first + t->count; i++)
		if (c->filter->range[i].lo == c->filter->range[i].hi &&
		    (c->filter->range[i].lo & ~(filter_value)t->mask) != 0)
			return refuse(c, place, "the value has bits that the mask takes away");
	return true;
}

static bool parse_test(struct compiler *c, struct filter_part *ret_part)
{
	struct flow_filter *f = c->filter;
	const char *place = c->token.at;
	struct filter_type type;
	bool turned;
	if (!parse_element(c, &type))
		return false;
	struct filter_test t = {
		.ref = type.ref,
		.load = (uint8_t)type.load,
		.needs = field_needs(type.ref),
		.offset = field_offset(type.ref),
		.first = f->ranges,
		.mask = UINT64_MAX,
		.unit = type.unit,
	};
	if ((at(c, TOKEN_MASK) && !parse_mask(c, &type, &t)) ||
	    !parse_condition(c, &type, &t, &turned))
		return false;
	filter_tidy_ranges(f, &t);
	if (!mask_fits(c, &t, place) || (turned && !turn_ranges(c, &t, type.max)))
		return false;
	if (f->tests == FILTER_TESTS_MAX)
		return refuse(c, place, "more than 1024 comparisons: a list after in is one");
	f->test[f->tests] = t;
	const uint16_t link = (uint16_t)(1 + 2 * f->tests++);
	*ret_part = (struct filter_part){.yes = link, .no = (uint16_t)(link + 1)};
	return true;
}

/* ---- and, or, not ---- */

static bool parse_or(struct compiler *c, struct filter_part *ret_part);

static bool parse_inner(struct compiler *c, struct filter_part *ret_part)
{
	if (accept(c, TOKEN_OPEN))
		return parse_or(c, ret_part) && expect(c, TOKEN_CLOSE, "expected and, or or )");
	return parse_test(c, ret_part);
}

static bool parse_not(struct compiler *c, struct filter_part *ret_part)
{
	bool turned = false;
	if (++c->depth > FILTER_DEPTH_MAX)
		return refuse(c, c->token.at, "more than 32 parentheses within one another");
	while (accept(c, TOKEN_NOT))
		turned = !turned;
	if (!parse_inner(c, ret_part))
		return false;
	if (turned)
		*ret_part = (struct filter_part){.yes = ret_part->no, .no = ret_part->yes};
	c->depth--;
	return true;
}

static bool parse_and(struct compiler *c, struct filter_part *ret_part)
{
	struct filter_part left, right;
	if (!parse_not(c, &left))
		return false;
	while (accept(c, TOKEN_AND)) {
		filter_lead(c->filter, left.yes, c->filter->tests);
		if (!parse_not(c, &right))
			return false;
		left = (struct filter_part){.yes = right.yes,
					    .no = filter_join(c->filter, left.no, right.no)};
	}
	*ret_part = left;
	return true;
}

static bool parse_or(struct compiler *c, struct filter_part *ret_part)
{
	struct filter_part left, right;
	if (!parse_and(c, &left))
		return false;
	while (accept(c, TOKEN_OR)) {
		filter_lead(c->filter, left.no, c->filter->tests);
		if (!parse_and(c, &right))
			return false;
		left = (struct filter_part){.yes = filter_join(c->filter, left.yes, right.yes),
					    .no = right.no};
	}
	*ret_part = left;
	return true;
}

/* ---- all ---- */

static bool leads_forward(const struct flow_filter *f)
{
	for (uint32_t i = 0; i < f->tests; i++)
		if (f->test[i].on_true <= i || f->test[i].on_false <= i)
			return false;
	return true;
}

static bool parse_all(struct compiler *c)
{
	struct filter_part all;
	if (at(c, TOKEN_END))
		return refuse(c, c->token.at, "the expression is empty");
	if (!parse_or(c, &all))
		return false;
	if (!at(c, TOKEN_END))
		return refuse(c, c->token.at, "expected and, or, or the end");
	filter_lead(c->filter, all.yes, FILTER_PASS);
	filter_lead(c->filter, all.no, FILTER_FAIL);
	assert(leads_forward(c->filter));
	return true;
}

int flow_filter_compile(const char *text, bool biflow, struct errtext *e,
			struct flow_filter **ret_filter)
{
	struct flow_filter *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return ERR_NOMEM;
	struct compiler c = {
		.text = text, .token = filter_lex(text), .filter = f, .biflow = biflow, .e = e};
	f->test = calloc(FILTER_TESTS_MAX, sizeof(*f->test));
	if (f->test == NULL)
		c.err = ERR_NOMEM;
	else
		parse_all(&c);
	if (c.err != 0) {
		flow_filter_free(f);
		return c.err;
	}
	*ret_filter = f;
	return 0;
}
