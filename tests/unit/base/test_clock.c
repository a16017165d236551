/* RFC 3339 both ways, and the replaceable clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

static const struct {
	int64_t ms;
	const char *text;
} both_ways[] = {
	{ 0, "1970-01-01T00:00:00.000Z" },
	{ -1, "1969-12-31T23:59:59.999Z" },
	{ INT64_C(951782400000), "2000-02-29T00:00:00.000Z" },
	{ INT64_C(1709251199999), "2024-02-29T23:59:59.999Z" },
	{ INT64_C(4107542400000), "2100-03-01T00:00:00.000Z" },
	{ INT64_C(1767323045678), "2026-01-02T03:04:05.678Z" },
	{ INT64_C(253402300799999), "9999-12-31T23:59:59.999Z" },
	{ INT64_C(-62167219200000), "0000-01-01T00:00:00.000Z" },
};

static void test_both_ways(void **state)
{
	char text[ATL_RFC3339_SIZE];
	int64_t ms;

	for (size_t i = 0; i < ATL_COUNT(both_ways); i++) {
		atl_rfc3339_format(both_ways[i].ms, text);
		assert_string_equal(text, both_ways[i].text);
		assert_true(atl_rfc3339_parse(text, &ms));
		assert_true(ms == both_ways[i].ms);
	}
	/* Every day of 800 years comes back. */
	for (int64_t day = -146097; day < 146097; day++) {
		atl_rfc3339_format(day * 86400000, text);
		assert_true(atl_rfc3339_parse(text, &ms));
		assert_true(ms == day * 86400000);
	}
	atl_rfc3339_format(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999Z");
	atl_rfc3339_format(INT64_MIN, text);
	assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

static void test_accepted(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{ "1970-01-01T00:00:01Z", 1000 },
		{ "1970-01-01t00:00:01z", 1000 },
		{ "1970-01-01T00:00:00.5Z", 500 },
		{ "1970-01-01T00:00:00.123456789Z", 123 },
		{ "1970-01-01T01:00:00+01:00", 0 },
		{ "1969-12-31T18:30:00-05:30", 0 },
		{ "1970-01-01T00:00:00-00:00", 0 },
	};
	int64_t ms;

	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		assert_true(atl_rfc3339_parse(rows[i].text, &ms));
		assert_true(ms == rows[i].ms);
	}
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
		"", "2026", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04Z", "2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z", "2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
		"2026-01-01T00:00:60Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zx", "2026-01-01T00:00:00+24:00",
		"2026-01-01T00:00:00+0100", "2026-01-01T00:00:00+01:60", "2026-01-01 00:00:00Z", " 2026-01-01T00:00:00Z",
		"26-01-01T00:00:00Z", "2026-1-1T00:00:00Z", "+026-01-01T00:00:00Z", "2026-01-01T00:00:00,5Z",
	};
	int64_t ms = 77;

	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		assert_false(atl_rfc3339_parse(rows[i], &ms));
	assert_false(atl_rfc3339_parse(NULL, &ms));
	assert_true(ms == 77);
}

static int64_t noon(void)
{
	return 43200000;
}

static void test_clock(void **state)
{
	uint64_t before = atl_monotonic_us();

	assert_true(atl_now_ms() > INT64_C(1700000000000));
	atl_clock_set(noon);
	assert_true(atl_now_ms() == 43200000);
	atl_clock_set(NULL);
	assert_true(atl_now_ms() > INT64_C(1700000000000));
	assert_true(atl_monotonic_us() >= before);
	assert_true(atl_monotonic_ms() >= before / 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_both_ways), cmocka_unit_test(test_accepted),
					    cmocka_unit_test(test_refused), cmocka_unit_test(test_clock) };

	return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
