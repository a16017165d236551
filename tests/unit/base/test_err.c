/* The error table is sane, and details arrive as written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/str.h"

static void test_table(void **state)
{
	for (int i = 1; i < ATL_ERR_COUNT; i++) {
		const char *slug = atl_err_slug(i), *sentence = atl_err_sentence(i);

		assert_true(slug[0] >= 'a' && slug[0] <= 'z');
		assert_int_equal(strspn(slug, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(slug));
		assert_null(strstr(slug, "__"));
		assert_int_not_equal(slug[strlen(slug) - 1], '_');
		assert_in_range(atl_err_status(i), 400, 599);
		assert_true(sentence[0] >= 'A' && sentence[0] <= 'Z');
		assert_int_equal(sentence[strlen(sentence) - 1], '.');
		assert_true(atl_str_starts(atl_err_name(i), "ATL_ERR_"));
		for (int j = 1; j < i; j++)
			assert_string_not_equal(slug, atl_err_slug(j));
	}
	assert_int_equal(atl_err_status(ATL_OK), 200);
	assert_string_equal(atl_err_slug(ATL_ERR_NOMEM), "out_of_memory");
	assert_true(atl_err_retryable(ATL_ERR_DB_BUSY));
	assert_false(atl_err_retryable(ATL_ERR_INVALID));
}

static void test_out_of_table(void **state)
{
	assert_string_equal(atl_err_slug((enum atl_err)9999), "internal");
	assert_string_equal(atl_err_slug((enum atl_err)-1), "internal");
	assert_int_equal(atl_err_status(ATL_ERR_COUNT), 500);
}

static void test_fail(void **state)
{
	struct atl_errinfo info = { 0 };

	assert_int_equal(atl_fail(NULL, ATL_ERR_IO, "x"), ATL_ERR_IO);
	assert_int_equal(atl_fail_field(NULL, ATL_ERR_IO, "f", "x"), ATL_ERR_IO);
	assert_int_equal(atl_fail_context(NULL, ATL_ERR_IO, "x"), ATL_ERR_IO);
	assert_int_equal(atl_fail_field(&info, ATL_ERR_INVALID, "a.b", "bad %d", 7), ATL_ERR_INVALID);
	assert_int_equal(info.code, ATL_ERR_INVALID);
	assert_string_equal(info.field, "a.b");
	assert_string_equal(info.detail, "bad 7");
	assert_int_equal(atl_fail_context(&info, ATL_ERR_DB, "lease %s", "job"), ATL_ERR_DB);
	assert_string_equal(info.detail, "lease job: bad 7");
	assert_string_equal(info.field, "a.b");
	assert_int_equal(info.code, ATL_ERR_DB);
	/* The arguments may be the old content. */
	assert_int_equal(atl_fail_field(&info, ATL_ERR_IO, info.field, "<%s>", info.detail), ATL_ERR_IO);
	assert_string_equal(info.detail, "<lease job: bad 7>");
	assert_string_equal(info.field, "a.b");
	assert_int_equal(atl_fail(&info, ATL_ERR_IO, "plain"), ATL_ERR_IO);
	assert_string_equal(info.field, "");
}

static void test_cut(void **state)
{
	struct atl_errinfo info = { 0 };
	char text[1200];

	for (size_t i = 0; i + 3 < sizeof(text); i += 3)
		memcpy(text + i, "\xE2\x82\xAC", 4);
	assert_int_equal(atl_fail(&info, ATL_ERR_IO, "%s", text), ATL_ERR_IO);
	assert_int_equal(strlen(info.detail), 510); /* 170 whole characters, not 511 bytes */
	assert_true(atl_utf8_valid(info.detail, strlen(info.detail)));
	assert_int_equal(atl_fail_context(&info, ATL_ERR_IO, "front"), ATL_ERR_IO);
	assert_true(atl_str_starts(info.detail, "front: \xE2\x82\xAC"));
	assert_true(strlen(info.detail) < ATL_ERRINFO_DETAIL_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_table), cmocka_unit_test(test_out_of_table),
					    cmocka_unit_test(test_fail), cmocka_unit_test(test_cut) };

	return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
