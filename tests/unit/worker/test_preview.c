/* Previews of models that show only part of a picture's contrast. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "worker/preview.h"

static void test_half_becomes_all(void **state)
{
	unsigned char values[] = {64, 128, 191, 0, 255, 127};
	const unsigned char wanted[] = {1, 129, 255, 0, 255, 127};
	preview_spread(values, sizeof values, 0.5);
	assert_memory_equal(values, wanted, sizeof values);
}

static void test_nothing_to_do(void **state)
{
	unsigned char values[] = {3, 128, 250};
	const unsigned char same[] = {3, 128, 250};
	preview_spread(values, sizeof values, 0);
	preview_spread(values, sizeof values, 1);
	preview_spread(values, sizeof values, -2);
	assert_memory_equal(values, same, sizeof values);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_half_becomes_all), cmocka_unit_test(test_nothing_to_do)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
