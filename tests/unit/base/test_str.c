/* Number limits, UTF-8 borders, cutting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static void test_compare(void **state)
{
	assert_true(atl_str_ieq("Content-TYPE", "content-type"));
	assert_false(atl_str_ieq("abc", "abcd"));
	assert_false(atl_str_ieq("[", "{")); /* differ by 0x20, but are no letters */
	assert_false(atl_str_ieq(NULL, NULL));
	assert_true(atl_str_starts("abc", ""));
	assert_false(atl_str_starts("ab", "abc"));
	assert_true(atl_str_ends("a.png", ".png"));
	assert_false(atl_str_ends("png", ".png"));
	assert_false(atl_str_ends(NULL, "x"));
	assert_true(atl_str_eq_secret("abc", "abc", 3));
	assert_false(atl_str_eq_secret("abc", "abd", 3));
	assert_true(atl_str_eq_secret("abc", "abd", 2));
}

static void test_i64(void **state)
{
	static const char *const bad[] = { "",	 "-",  "+1",   " 1",   "1 ",  "1x", "0x10", "--1", "1.0", "1e3",
					   "9223372036854775808", "-9223372036854775809", "99999999999999999999999" };
	int64_t value = 77;

	for (size_t i = 0; i < ATL_COUNT(bad); i++) {
		assert_false(atl_str_i64(bad[i], INT64_MIN, INT64_MAX, &value));
		assert_int_equal(value, 77);
	}
	assert_false(atl_str_i64(NULL, INT64_MIN, INT64_MAX, &value));
	assert_true(atl_str_i64("9223372036854775807", INT64_MIN, INT64_MAX, &value));
	assert_true(value == INT64_MAX);
	assert_true(atl_str_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &value));
	assert_true(value == INT64_MIN);
	assert_true(atl_str_i64("-0", 0, 10, &value));
	assert_int_equal(value, 0);
	assert_true(atl_str_i64("007", 0, 10, &value));
	assert_int_equal(value, 7);
	assert_false(atl_str_i64("11", 0, 10, &value));
	assert_false(atl_str_i64("-1", 0, 10, &value));
}

static void test_u64(void **state)
{
	uint64_t value = 77;

	assert_false(atl_str_u64("-1", UINT64_MAX, &value));
	assert_false(atl_str_u64("18446744073709551616", UINT64_MAX, &value));
	assert_false(atl_str_u64("256", 255, &value));
	assert_int_equal(value, 77);
	assert_true(atl_str_u64("18446744073709551615", UINT64_MAX, &value));
	assert_true(value == UINT64_MAX);
	assert_true(atl_str_u64("255", 255, &value));
}

static void test_double(void **state)
{
	static const char *const bad[] = { "",	  ".",	  "-",	"e5",  "1e",  "1e+", "0x1p3", "inf", "nan",
					   " 1",  "1 ",	  "1,5", "1e999", "-1e999", "1.2.3", "infinity" };
	double value = 77;

	for (size_t i = 0; i < ATL_COUNT(bad); i++) {
		assert_false(atl_str_double(bad[i], &value));
		assert_true(value == 77);
	}
	assert_true(atl_str_double("-1.5e3", &value) && value == -1500);
	assert_true(atl_str_double(".5", &value) && value == 0.5);
	assert_true(atl_str_double("5.", &value) && value == 5);
	assert_true(atl_str_double("1e-999", &value) && value == 0);
	assert_true(atl_str_double("0.1", &value) && value == 0.1);
}

static void test_size(void **state)
{
	static const char *const bad[] = { "", "K", "1KB", "-1", "1.5M", "1 K", "18446744073709551616", "17179869184G" };
	uint64_t value = 77;

	for (size_t i = 0; i < ATL_COUNT(bad); i++)
		assert_false(atl_str_size(bad[i], &value));
	assert_int_equal(value, 77);
	assert_true(atl_str_size("512", &value) && value == 512);
	assert_true(atl_str_size("64K", &value) && value == 65536);
	assert_true(atl_str_size("20m", &value) && value == 20u << 20);
	assert_true(atl_str_size("2G", &value) && value == UINT64_C(2) << 30);
	assert_true(atl_str_size("17179869183G", &value));
}

static void test_utf8_valid(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} rows[] = {
		{ "", true },
		{ "plain ascii longer than eight bytes", true },
		{ "\xC3\xA9", true },
		{ "\xE2\x82\xAC", true },
		{ "\xF0\x9F\x98\x80", true },
		{ "\xF4\x8F\xBF\xBF", true },	      /* U+10FFFF */
		{ "\xEF\xBF\xBF", true },	      /* U+FFFF is a noncharacter, but valid */
		{ "\xED\x9F\xBF", true },	      /* U+D7FF */
		{ "\xEE\x80\x80", true },	      /* U+E000 */
		{ "\xF4\x90\x80\x80", false },	      /* beyond U+10FFFF */
		{ "\xF5\x80\x80\x80", false },
		{ "\xC0\x80", false },		      /* overlong NUL */
		{ "\xC1\xBF", false },		      /* overlong */
		{ "\xE0\x9F\xBF", false },	      /* overlong */
		{ "\xF0\x8F\xBF\xBF", false },	      /* overlong */
		{ "\xED\xA0\x80", false },	      /* surrogate */
		{ "\xED\xBF\xBF", false },	      /* surrogate */
		{ "\x80", false },
		{ "\xFF", false },
		{ "\xFE", false },
		{ "\xC3", false },
		{ "\xE2\x82", false },
		{ "\xF0\x9F\x98", false },
		{ "\xC3\x28", false },
		{ "\xE2\x28\xA1", false },
		{ "12345678\xC3", false },
		{ "1234567\x80xxxxxxxxxxx", false },
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		assert_int_equal(atl_utf8_valid(rows[i].text, strlen(rows[i].text)), rows[i].valid);
	assert_true(atl_utf8_valid("a\0b", 3));
	assert_int_equal(atl_utf8_char("", 0), 0);
	assert_int_equal(atl_utf8_char("a", 1), 1);
	assert_int_equal(atl_utf8_char("\xE2\x82\xAC", 2), 0);
	assert_int_equal(atl_utf8_char("\xE2\x82\xAC", 3), 3);
}

static void test_utf8_incomplete(void **state)
{
	static const struct {
		const char *text;
		size_t missing;
	} rows[] = {
		{ "", 0 },	   { "a", 0 },		  { "a\xC3", 1 },	       { "a\xC3\xA9", 0 },
		{ "\xE2", 1 },	   { "\xE2\x82", 2 },	  { "\xE2\x82\xAC", 0 },       { "x\xF0", 1 },
		{ "\xF0\x9F", 2 }, { "\xF0\x9F\x98", 3 }, { "\xF0\x9F\x98\x80", 0 },   { "\xED\xA0", 0 },
		{ "\xE0\x80", 0 }, { "\xFF", 0 },	  { "\x80", 0 },	       { "\x80\x80\x80\x80", 0 },
	};

	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		assert_int_equal(atl_utf8_incomplete(rows[i].text, strlen(rows[i].text)), rows[i].missing);
}

static void test_utf8_cut(void **state)
{
	const char *text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"; /* borders at 0 1 3 6 10 */
	static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10 };

	for (size_t max = 0; max < ATL_COUNT(want); max++)
		assert_int_equal(atl_utf8_cut(text, 10, max), want[max]);
	assert_int_equal(atl_utf8_cut("\x80\x80\x80\x80\x80\x80", 6, 5), 5);
	assert_int_equal(atl_utf8_count(text, 10), 4);
}

static void test_copy(void **state)
{
	char out[6];

	assert_true(atl_str_copy(out, sizeof(out), "12345"));
	assert_string_equal(out, "12345");
	assert_false(atl_str_copy(out, sizeof(out), "123456"));
	assert_string_equal(out, "12345");
	assert_false(atl_str_copy(out, sizeof(out), "1234\xC3\xA9"));
	assert_string_equal(out, "1234");
	assert_true(atl_str_copy(out, sizeof(out), NULL));
	assert_string_equal(out, "");
	assert_false(atl_str_copy(out, 1, "a"));
	assert_string_equal(out, "");
	assert_false(atl_str_copy(NULL, 0, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_compare),	   cmocka_unit_test(test_i64),
					    cmocka_unit_test(test_u64),		   cmocka_unit_test(test_double),
					    cmocka_unit_test(test_size),	   cmocka_unit_test(test_utf8_valid),
					    cmocka_unit_test(test_utf8_incomplete), cmocka_unit_test(test_utf8_cut),
					    cmocka_unit_test(test_copy) };

	return cmocka_run_group_tests_name("base/str", tests, NULL, NULL);
}
