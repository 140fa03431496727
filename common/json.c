/*
 * JSON text (RFC 8259), written front to back. The only state is "was there a value before me",
 * since closing an object or array always leaves a value behind. Bytes of 0x80 and above pass
 * through: what we write is UTF-8 already.
 */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_init(struct json *j)
{
	*j = (struct json){.first = true};
}

void json_fini(struct json *j)
{
	free(j->buf);
	*j = (struct json){.bad = true};
}

/* Room for `n` more characters and a NUL. */
static bool make_room(struct json *j, size_t n)
{
	if (j->bad)
		return false;
	if (j->size - j->len > n)
		return true;
	size_t size = (j->size + n + 1) * 2;
	char *buf = realloc(j->buf, size);
	if (buf == NULL) {
		j->bad = true;
		return false;
	}
	j->buf = buf;
	j->size = size;
	return true;
}

static void put(struct json *j, const char *text, size_t n)
{
	if (!make_room(j, n))
		return;
	memcpy(j->buf + j->len, text, n);
	j->len += n;
}

static void put_text(struct json *j, const char *text)
{
	put(j, text, strlen(text));
}

static void put_escaped(struct json *j, unsigned char c)
{
	static const char short_for[] = "\b\t\n\f\r\"\\";
	static const char letter[] = "btnfr\"\\";
	const char *at = c != '\0' ? strchr(short_for, c) : NULL;
	char seq[8];
	if (at != NULL)
		snprintf(seq, sizeof(seq), "\\%c", letter[at - short_for]);
	else if (c < 0x20)
		snprintf(seq, sizeof(seq), "\\u%04x", c);
	else
		snprintf(seq, sizeof(seq), "%c", c);
	put_text(j, seq);
}

static void put_string(struct json *j, const char *text)
{
	put(j, "\"", 1);
	for (; *text != '\0'; text++)
		put_escaped(j, (unsigned char)*text);
	put(j, "\"", 1);
}

/* What goes before every value: the comma and the key. */
static void begin_value(struct json *j, const char *key)
{
	if (!j->first)
		put(j, ",", 1);
	j->first = false;
	if (key != NULL) {
		put_string(j, key);
		put(j, ":", 1);
	}
}

static void begin_nested(struct json *j, const char *key, const char *bracket)
{
	begin_value(j, key);
	if (j->depth == JSON_DEPTH_MAX)
		j->bad = true;
	j->depth++;
	put_text(j, bracket);
	j->first = true;
}

static void end_nested(struct json *j, const char *bracket)
{
	if (j->depth == 0)
		j->bad = true;
	else
		j->depth--;
	put_text(j, bracket);
	j->first = false;
}

void json_object_begin(struct json *j, const char *key)
{
	begin_nested(j, key, "{");
}

void json_object_end(struct json *j)
{
	end_nested(j, "}");
}

void json_array_begin(struct json *j, const char *key)
{
	begin_nested(j, key, "[");
}

void json_array_end(struct json *j)
{
	end_nested(j, "]");
}

void json_uint(struct json *j, const char *key, uint64_t v)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, v);
	begin_value(j, key);
	put_text(j, text);
}

void json_int(struct json *j, const char *key, int64_t v)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, v);
	begin_value(j, key);
	put_text(j, text);
}

void json_double(struct json *j, const char *key, double v)
{
	char text[40] = "null";
	if (isfinite(v))
		snprintf(text, sizeof(text), "%.15g", v);
	begin_value(j, key);
	put_text(j, text);
}

void json_bool(struct json *j, const char *key, bool v)
{
	begin_value(j, key);
	put_text(j, v ? "true" : "false");
}

void json_null(struct json *j, const char *key)
{
	begin_value(j, key);
	put_text(j, "null");
}

void json_str(struct json *j, const char *key, const char *text)
{
	if (text == NULL) {
		json_null(j, key);
		return;
	}
	begin_value(j, key);
	put_string(j, text);
}

const char *json_text(struct json *j)
{
	if (!make_room(j, 0))
		return NULL;
	j->buf[j->len] = '\0';
	return j->buf;
}
