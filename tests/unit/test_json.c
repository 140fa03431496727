/* The JSON writer, against texts written by hand (RFC 8259). */
#include <criterion/criterion.h>
#include <math.h>

#include "json.h"

static void expect(struct json *j, const char *text)
{
	const char *got = json_text(j);
	cr_assert_not_null(got);
	cr_expect_str_eq(got, text);
	json_fini(j);
}

Test(json, empty_object_and_array)
{
	struct json j;
	json_init(&j);
	json_object_begin(&j, NULL);
	json_array_begin(&j, "a");
	json_array_end(&j);
	json_object_begin(&j, "o");
	json_object_end(&j);
	json_object_end(&j);
	expect(&j, "{\"a\":[],\"o\":{}}");
}

Test(json, commas_stand_between_values_at_every_depth)
{
	struct json j;
	json_init(&j);
	json_object_begin(&j, NULL);
	json_uint(&j, "a", 1);
	json_array_begin(&j, "b");
	json_uint(&j, NULL, 2);
	json_object_begin(&j, NULL);
	json_uint(&j, "c", 3);
	json_object_end(&j);
	json_uint(&j, NULL, 4);
	json_array_end(&j);
	json_bool(&j, "d", true);
	json_object_end(&j);
	expect(&j, "{\"a\":1,\"b\":[2,{\"c\":3},4],\"d\":true}");
}

Test(json, numbers_at_their_limits)
{
	struct json j;
	json_init(&j);
	json_array_begin(&j, NULL);
	json_uint(&j, NULL, UINT64_MAX);
	json_int(&j, NULL, INT64_MIN);
	json_double(&j, NULL, 0.25);
	json_double(&j, NULL, NAN);
	json_double(&j, NULL, INFINITY);
	json_null(&j, NULL);
	json_array_end(&j);
	expect(&j, "[18446744073709551615,-9223372036854775808,0.25,null,null,null]");
}

Test(json, strings_are_escaped)
{
	struct json j;
	json_init(&j);
	json_object_begin(&j, NULL);
	json_str(&j, "a\"b", "\\ \" \n\r\t\b\f \x01 \x1f \x7f é");
	json_str(&j, "n", NULL);
	json_object_end(&j);
	expect(&j, "{\"a\\\"b\":\"\\\\ \\\" \\n\\r\\t\\b\\f \\u0001 \\u001f \x7f é\",\"n\":null}");
}

Test(json, long_texts_make_the_buffer_grow)
{
	char text[5001];
	struct json j;
	for (unsigned i = 0; i < 5000; i++)
		text[i] = 'x';
	text[5000] = '\0';
	json_init(&j);
	json_str(&j, NULL, text);
	cr_assert_eq(j.len, 5002);
	cr_assert_not_null(json_text(&j));
	json_fini(&j);
}

Test(json, too_deep_is_an_error_that_sticks)
{
	struct json j;
	json_init(&j);
	for (unsigned i = 0; i <= JSON_DEPTH_MAX; i++)
		json_array_begin(&j, NULL);
	cr_expect_null(json_text(&j));
	json_fini(&j);
}

Test(json, closing_what_is_not_open_is_an_error)
{
	struct json j;
	json_init(&j);
	json_object_end(&j);
	cr_expect_null(json_text(&j));
	json_fini(&j);
}
