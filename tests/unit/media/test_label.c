/* The visible label: where it is drawn, and that nothing else is touched. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/label.h"

static unsigned char *grey(unsigned width, unsigned height, unsigned bands)
{
	unsigned char *pixels = malloc((size_t)width * height * bands);
	assert_non_null(pixels);
	memset(pixels, 128, (size_t)width * height * bands);
	return pixels;
}

/* How many pixels of these columns and rows differ from the grey. */
static size_t changed(const unsigned char *pixels, unsigned width, unsigned bands, unsigned left, unsigned top, unsigned right,
		      unsigned bottom)
{
	size_t count = 0;
	for (unsigned y = top; y < bottom; y++)
		for (unsigned x = left; x < right; x++)
			count += pixels[((size_t)y * width + x) * bands] != 128;
	return count;
}

static void test_corner_alone(void **state)
{
	static const unsigned sizes[][3] = {{64, 48, 3}, {512, 512, 3}, {513, 2000, 4}, {3000, 1000, 3}};
	for (size_t i = 0; i < ATL_COUNT(sizes); i++) {
		unsigned width = sizes[i][0], height = sizes[i][1], bands = sizes[i][2];
		unsigned char *pixels = grey(width, height, bands);
		assert_true(atl_label_draw(pixels, width, height, bands));
		size_t all = changed(pixels, width, bands, 0, 0, width, height);
		assert_true(all > 300);
		assert_true(all < (size_t)width * height / 4);
		assert_int_equal(changed(pixels, width, bands, width / 3, height / 3, width, height), all);
		/* light letters on a dark ground */
		size_t light = 0, dark = 0;
		for (size_t p = 0; p < (size_t)width * height; p++) {
			light += pixels[p * bands] > 240;
			dark += pixels[p * bands] < 70;
		}
		assert_true(light > all / 20);
		assert_true(dark > all / 3);
		free(pixels);
	}
}

static void test_transparent_ground_is_seen(void **state)
{
	unsigned char *pixels = calloc(256 * 256, 4);
	size_t seen = 0;
	assert_non_null(pixels);
	assert_true(atl_label_draw(pixels, 256, 256, 4));
	for (size_t p = 0; p < 256 * 256; p++)
		seen += pixels[4 * p + 3] > 100;
	assert_true(seen > 200);
	free(pixels);
}

static void test_too_small(void **state)
{
	unsigned char *pixels = grey(400, 47, 3);
	assert_false(atl_label_draw(pixels, 400, 47, 3));
	assert_false(atl_label_draw(pixels, 100, 100, 1));
	assert_int_equal(changed(pixels, 400, 3, 0, 0, 400, 47), 0);
	free(pixels);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_corner_alone),
		cmocka_unit_test(test_transparent_ground_is_seen),
		cmocka_unit_test(test_too_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
