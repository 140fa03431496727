/*
 * A small JSON writer into a growing buffer: objects, arrays, the comma in between, escapes. For
 * statistics and status; flow records have a faster one of their own.
 *
 * Errors are sticky: without memory, or past JSON_DEPTH_MAX, everything later does nothing and
 * json_text returns NULL. Not thread safe; a writer belongs to one thread.
 */
#ifndef WEIR_JSON_H
#define WEIR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 16

struct json {
	char *buf;
	size_t len;
	size_t size;
	unsigned depth;
	bool first; /* nothing in the innermost object or array yet */
	bool bad;
};

void json_init(struct json *j);
void json_fini(struct json *j);

/* `key` is NULL inside an array and at the top. */
void json_object_begin(struct json *j, const char *key);
void json_object_end(struct json *j);
void json_array_begin(struct json *j, const char *key);
void json_array_end(struct json *j);
void json_uint(struct json *j, const char *key, uint64_t v);
void json_int(struct json *j, const char *key, int64_t v);
void json_double(struct json *j, const char *key, double v); /* not finite: null */
void json_bool(struct json *j, const char *key, bool v);
void json_null(struct json *j, const char *key);
void json_str(struct json *j, const char *key, const char *text); /* NULL: null */

/* The text so far, NUL-terminated, the writer's until json_fini; NULL after an error. */
const char *json_text(struct json *j);

#endif
