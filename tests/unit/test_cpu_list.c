/* Lists of CPUs: text to numbers and back. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_list.h"
#include "err.h"

static void expect(const char *text, const char *printed, unsigned n, const uint16_t *cpus)
{
	struct conf_cpus got;
	char *back = NULL;
	size_t size;
	cr_assert_eq(cpu_list_parse(text, &got), 0, "%s", text);
	cr_assert_eq(got.count, n, "%s", text);
	cr_assert_eq(memcmp(got.cpu, cpus, n * sizeof(*cpus)), 0, "%s", text);
	FILE *out = open_memstream(&back, &size);
	cpu_list_print(&got, out);
	fclose(out);
	cr_assert_str_eq(back, printed);
	free(back);
}

Test(cpu_list, numbers_and_runs_in_their_order)
{
	expect("", "", 0, (const uint16_t[]){0});
	expect("0", "0", 1, (const uint16_t[]){0});
	expect("2,4-7", "2,4-7", 5, (const uint16_t[]){2, 4, 5, 6, 7});
	expect("3,2,1", "3,2,1", 3, (const uint16_t[]){3, 2, 1});
	expect("5,6,7,1023", "5-7,1023", 4, (const uint16_t[]){5, 6, 7, 1023});
	expect("1,1", "1,1", 2, (const uint16_t[]){1, 1});
}

Test(cpu_list, what_is_no_list_is_refused)
{
	static const char *const texts[] = {
		",",   "1,",	  ",1",	 "1,,2", "a",	  "1-",
		"-1",  "3-2",	  "1-b", "1024", "0-64",  " 1",
		"1 2", "0-63,64", "1;2", "+1",	 "1-2-3", "99999999999999999999"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct conf_cpus got = {.count = 9};
		cr_assert_eq(cpu_list_parse(texts[i], &got), ERR_USAGE, "%s", texts[i]);
		cr_assert_eq(got.count, 9);
	}
}
