/*
 * Values of a filter, by the kind of the element they are compared with. Numbers are read digit by
 * digit: signs, blanks and overflow are refused instead of taken for something else.
 */
#include "filter_value.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "../format/text.h"
#include "wire.h"

/* ---- types ---- */

static enum filter_load load_of_size(unsigned size)
{
	switch (size) {
	case 1:
		return LOAD_U8;
	case 2:
		return LOAD_U16;
	case 4:
		return LOAD_U32;
	default:
		return LOAD_U64;
	}
}

static filter_value max_of_bits(unsigned bits)
{
	return ~(filter_value)0 >> (128 - bits);
}

#define NUMBER_WANTS   "a number, as 443 or 0x1bb"
#define COUNT_WANTS    "a number, as 1500, 10k or 64MiB"
#define TIME_WANTS     "a time in UTC, as 2026-01-31T18:00:00Z"
#define DURATION_WANTS "a time span, as 500ms, 10s, 5min or 1h"

/* Kinds whose size does not depend on the element. KIND_TIME_UPTIME has no row: it counts from a
 * boot time that only a message has. */
static const struct kind_row {
	enum filter_kind kind;
	enum filter_load load;
	unsigned bits; /* of its values; 0: no row */
	int64_t unit;
	const char *wants;
} by_kind[] = {
	[KIND_ADDR4] = {VALUE_IP4, LOAD_IP4, 32, 1,
			"an IPv4 address or prefix, as 192.0.2.1 or 192.0.2.0/24"},
	[KIND_ADDR6] = {VALUE_IP6, LOAD_IP6, 128, 1,
			"an IPv6 address or prefix, as 2001:db8::1 or 2001:db8::/32"},
	[KIND_MAC] = {VALUE_MAC, LOAD_MAC, 48, 1, "a MAC address, as 00:00:5e:00:53:01"},
	[KIND_TIME_S] = {VALUE_TIME, LOAD_TIME, 63, NS_PER_S, TIME_WANTS},
	[KIND_TIME_MS] = {VALUE_TIME, LOAD_TIME, 63, NS_PER_MS, TIME_WANTS},
	[KIND_TIME_US] = {VALUE_TIME, LOAD_TIME, 63, NS_PER_US, TIME_WANTS},
	[KIND_TIME_NS] = {VALUE_TIME, LOAD_TIME, 63, 1, TIME_WANTS},
	[KIND_DURATION_MS] = {VALUE_DURATION, LOAD_DURATION, 63, NS_PER_MS, DURATION_WANTS},
	[KIND_DURATION_US] = {VALUE_DURATION, LOAD_DURATION, 63, NS_PER_US, DURATION_WANTS},
	[KIND_HIGH_BYTE] = {VALUE_NUMBER, LOAD_HIGH_BYTE, 8, 1, NUMBER_WANTS},
	[KIND_LOW_BYTE] = {VALUE_NUMBER, LOAD_LOW_BYTE, 8, 1, NUMBER_WANTS},
	[KIND_SELECTOR] = {VALUE_NUMBER, LOAD_SELECTOR, 64, 1, NUMBER_WANTS},
};

static struct kind_row row_of_number(unsigned size)
{
	return (struct kind_row){
		.kind = VALUE_NUMBER,
		.load = load_of_size(size),
		.bits = 8 * size,
		.unit = 1,
		.wants = size == 8 ? COUNT_WANTS : NUMBER_WANTS,
	};
}

void filter_type_of(struct field_ref ref, struct filter_type *ret_type)
{
	const struct field *f = field_get(ref.id);
	const struct kind_row row = f->kind == KIND_UINT || f->kind == KIND_FLAGS
					    ? row_of_number(f->size)
					    : by_kind[f->kind];
	*ret_type = (struct filter_type){.ref = ref, .field = f, .unit = 1};
	if (row.bits == 0)
		return;
	ret_type->kind = row.kind;
	ret_type->load = row.load;
	ret_type->max = max_of_bits(row.bits);
	ret_type->unit = row.unit;
	ret_type->wants = row.wants;
}

bool filter_type_is_ordered(const struct filter_type *type)
{
	return type->kind <= VALUE_DURATION;
}

/* ---- numbers ---- */

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* Decimal, or hexadecimal after 0x. Returns what follows the digits; NULL: none, or too many. */
static const char *read_digits(const char *text, uint64_t *ret_value)
{
	unsigned base = 10;
	if (text[0] == '0' && (text[1] | 0x20) == 'x') {
		base = 16;
		text += 2;
	}
	const char *start = text;
	uint64_t v = 0;
	for (unsigned digit; (digit = (unsigned)digit_of(*text)) < base; text++)
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit, &v))
			return NULL;
	*ret_value = v;
	return text != start ? text : NULL;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit count_units[] = {
	{"", 1},
	{"k", 1000},
	{"M", 1000000},
	{"G", 1000000000},
	{"T", UINT64_C(1000000000000)},
	{"KiB", UINT64_C(1) << 10},
	{"MiB", UINT64_C(1) << 20},
	{"GiB", UINT64_C(1) << 30},
	{"TiB", UINT64_C(1) << 40},
	{NULL, 0},
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit duration_units[] = {
	{"ns", 1},
	{"us", NS_PER_US},
	{"ms", NS_PER_MS},
	{"s", NS_PER_S},
	{"min", 60 * NS_PER_S},
	{"h", 3600 * NS_PER_S},
	{"d", 86400 * NS_PER_S},
	{NULL, 0},
};

static bool read_in_units(const char *text, const struct unit *units, uint64_t *ret_value)
{
	uint64_t v;
	const char *rest = read_digits(text, &v);
	for (; rest != NULL && units->name != NULL; units++)
		if (strcmp(rest, units->name) == 0)
			return !__builtin_mul_overflow(v, units->factor, ret_value);
	return false;
}

static bool read_protocol(const char *text, uint64_t *ret_value)
{
	for (unsigned proto = 0; proto < 256; proto++) {
		const char *name = text_proto_name(proto);
		if (name != NULL && strcasecmp(name, text) == 0) {
			*ret_value = proto;
			return true;
		}
	}
	return false;
}

static bool read_tcp_flag(const char *text, uint64_t *ret_value)
{
	static const char *const names[] = {"fin", "syn", "rst", "psh", "ack",
					    "urg", "ece", "cwr", "ns"};
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcasecmp(names[i], text) == 0) {
			*ret_value = UINT64_C(1) << i;
			return true;
		}
	}
	return false;
}

static bool read_number(const struct filter_type *type, const char *text, filter_value *ret_value)
{
	uint64_t v;
	const struct unit *units = type->field->size == 8 ? count_units : no_units;
	const bool named = (type->ref.id == FIELD_IP_PROTO && read_protocol(text, &v)) ||
			   (type->field->kind == KIND_FLAGS && read_tcp_flag(text, &v));
	if (!named && !read_in_units(text, units, &v))
		return false;
	*ret_value = v;
	return true;
}

/* ---- times ---- */

/* Exactly `n` digits, then `after` unless that is 0. */
static bool take_digits(const char **text, unsigned n, char after, int *ret_value)
{
	int v = 0;
	for (unsigned i = 0; i < n; i++) {
		const int digit = digit_of(**text);
		if (digit > 9)
			return false;
		v = v * 10 + digit;
		(*text)++;
	}
	*ret_value = v;
	if (after != 0 && *(*text)++ != after)
		return false;
	return true;
}

/* ".5" and the like, up to nine decimals. */
static bool take_fraction(const char **text, int64_t *ret_ns)
{
	int64_t weight = NS_PER_S;
	*ret_ns = 0;
	if (**text != '.')
		return true;
	for ((*text)++; digit_of(**text) <= 9; (*text)++) {
		weight /= 10;
		if (weight == 0)
			return false;
		*ret_ns += digit_of(**text) * weight;
	}
	return weight != NS_PER_S;
}

/* RFC 3339 in UTC: a date, or a date and a time of day to the minute, second, or finer. */
static bool read_date(const char *text, int64_t *ret_ns)
{
	struct tm tm = {0};
	int64_t fraction = 0;
	if (!take_digits(&text, 4, '-', &tm.tm_year) || !take_digits(&text, 2, '-', &tm.tm_mon) ||
	    !take_digits(&text, 2, 0, &tm.tm_mday))
		return false;
	if (*text == 'T') {
		text++;
		if (!take_digits(&text, 2, ':', &tm.tm_hour) ||
		    !take_digits(&text, 2, 0, &tm.tm_min))
			return false;
		if (*text == ':') {
			text++;
			if (!take_digits(&text, 2, 0, &tm.tm_sec) ||
			    !take_fraction(&text, &fraction))
				return false;
		}
		text += *text == 'Z';
	}
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	struct tm same = tm;
	const int64_t seconds = timegm(&same);
	/* timegm makes the first of March out of the 29th of February */
	if (*text != '\0' || seconds < 0 || seconds >= PKT_TIME_MAX / NS_PER_S ||
	    same.tm_mday != tm.tm_mday || same.tm_hour != tm.tm_hour || same.tm_min != tm.tm_min ||
	    same.tm_sec != tm.tm_sec || same.tm_mon != tm.tm_mon)
		return false;
	*ret_ns = seconds * NS_PER_S + fraction;
	return true;
}

/* A plain number counts the element's own unit. */
static bool read_time(const struct filter_type *type, const char *text, filter_value *ret_value)
{
	uint64_t v = 0;
	int64_t ns = 0;
	const bool plain = read_in_units(text, no_units, &v) &&
			   !__builtin_mul_overflow(v, (uint64_t)type->unit, &v);
	const bool other = type->kind == VALUE_TIME ? read_date(text, &ns)
						    : read_in_units(text, duration_units, &v);
	*ret_value = other && type->kind == VALUE_TIME ? (uint64_t)ns : v;
	return plain || other;
}

/* ---- addresses ---- */

static bool read_mac(const char *text, filter_value *ret_value)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < 6; i++) {
		const int high = digit_of(text[0]);
		const int low = high < 16 ? digit_of(text[1]) : 99;
		if (low > 15 || text[2] != (i < 5 ? ':' : '\0'))
			return false;
		v = v << 8 | (uint64_t)(high << 4 | low);
		text += 3;
	}
	*ret_value = v;
	return true;
}

static bool read_address(enum filter_kind kind, const char *text, filter_value *ret_value)
{
	uint8_t a[16];
	if (inet_pton(kind == VALUE_IP4 ? AF_INET : AF_INET6, text, a) != 1)
		return false;
	*ret_value = kind == VALUE_IP4 ? be32(a) : (filter_value)be64(a) << 64 | be64(a + 8);
	return true;
}

/* The length behind a '/': `host` is the mask of the bits that may be anything. */
static bool read_prefix_len(enum filter_kind kind, const char *text, filter_value *ret_host)
{
	const unsigned bits = kind == VALUE_IP4 ? 32 : 128;
	uint64_t len;
	if (!read_in_units(text, no_units, &len) || len > bits)
		return false;
	*ret_host = len == bits ? 0 : max_of_bits(bits - (unsigned)len);
	return true;
}

static bool read_prefix(const struct filter_type *type, char *text, char *slash,
			struct filter_range *ret_range, char *why)
{
	filter_value address, host;
	*slash = '\0';
	if (!read_address(type->kind, text, &address)) {
		snprintf(why, FILTER_WHY_SIZE, "%s wants %s", type->field->name, type->wants);
		return false;
	}
	if (!read_prefix_len(type->kind, slash + 1, &host)) {
		snprintf(why, FILTER_WHY_SIZE, "a prefix length is 0 to %d",
			 type->kind == VALUE_IP4 ? 32 : 128);
		return false;
	}
	if ((address & host) != 0) {
		snprintf(why, FILTER_WHY_SIZE, "%s has bits behind its prefix length of %s", text,
			 slash + 1);
		return false;
	}
	*ret_range = (struct filter_range){address, address | host};
	return true;
}

/* ---- any ---- */

static bool read_one(const struct filter_type *type, const char *text, filter_value *ret_value)
{
	switch (type->kind) {
	case VALUE_NUMBER:
		return read_number(type, text, ret_value);
	case VALUE_TIME:
	case VALUE_DURATION:
		return read_time(type, text, ret_value);
	case VALUE_MAC:
		return read_mac(text, ret_value);
	case VALUE_IP4:
	case VALUE_IP6:
		return read_address(type->kind, text, ret_value);
	}
	return false;
}

/* What was written, where an address of the other family was meant. */
static bool is_other_family(const struct filter_type *type, const char *text)
{
	filter_value ignored;
	return (type->kind == VALUE_IP4 && read_address(VALUE_IP6, text, &ignored)) ||
	       (type->kind == VALUE_IP6 && read_address(VALUE_IP4, text, &ignored));
}

static void explain(const struct filter_type *type, const char *text, char *why)
{
	char name[FIELD_NAME_MAX];
	field_name(type->ref, name);
	if (is_other_family(type, text))
		snprintf(why, FILTER_WHY_SIZE, "%s is IPv%d, %s is not", text,
			 type->kind == VALUE_IP4 ? 6 : 4, name);
	else
		snprintf(why, FILTER_WHY_SIZE, "%s wants %s", name, type->wants);
}

bool filter_value_read(const struct filter_type *type, const char *text, size_t len,
		       struct filter_range *ret_range, bool *ret_prefix, char *why)
{
	char copy[64];
	if (len >= sizeof(copy)) {
		explain(type, "", why);
		return false;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	char *slash = type->kind >= VALUE_IP4 ? strchr(copy, '/') : NULL;
	*ret_prefix = slash != NULL;
	if (slash != NULL)
		return read_prefix(type, copy, slash, ret_range, why);
	filter_value v;
	if (!read_one(type, copy, &v)) {
		explain(type, copy, why);
		return false;
	}
	if (v > type->max) {
		snprintf(why, FILTER_WHY_SIZE, "%s is more than %s can be, %llu", copy,
			 type->field->name, (unsigned long long)type->max);
		return false;
	}
	*ret_range = (struct filter_range){v, v};
	return true;
}
