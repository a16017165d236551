/* Our PNG files, read back by another's decoder: every shape, every kind of content, every refusal. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

#include "media/encode.h"
#include "media/sniff.h"

static uint32_t random_state = 7;

static uint8_t random_byte(void)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (uint8_t)(random_state >> 24);
}

enum content { FLAT, RAMP, NOISE, PHOTO, CONTENTS };

static void fill(uint8_t *pixels, size_t width, size_t height, unsigned channels, enum content content)
{
	for (size_t y = 0; y < height; y++)
		for (size_t x = 0; x < width; x++)
			for (unsigned c = 0; c < channels; c++) {
				uint8_t value = 200;
				if (content == RAMP)
					value = (uint8_t)(x * 3 + y * 5 + c * 40);
				else if (content == NOISE)
					value = random_byte();
				else if (content == PHOTO)
					value = (uint8_t)(x / 2 + y / 3 + (random_byte() & 7));
				pixels[(y * width + x) * channels + c] = value;
			}
}

static void expect_same(const struct atl_buf *png, const uint8_t *pixels, size_t width, size_t height, unsigned channels)
{
	VipsImage *image = NULL;
	size_t length = 0;
	assert_int_equal(vips_pngload_buffer(png->data, png->length, &image, "fail-on", VIPS_FAIL_ON_WARNING, NULL), 0);
	assert_int_equal(vips_image_get_width(image), width);
	assert_int_equal(vips_image_get_height(image), height);
	assert_int_equal(vips_image_get_bands(image), channels);
	assert_int_equal(vips_image_get_format(image), VIPS_FORMAT_UCHAR);
	void *back = vips_image_write_to_memory(image, &length);
	assert_non_null(back);
	assert_int_equal(length, width * height * channels);
	assert_memory_equal(back, pixels, length);
	g_free(back);
	g_object_unref(image);
}

static void round_trip(size_t width, size_t height, unsigned channels, enum content content)
{
	struct atl_errinfo info = {0};
	struct atl_buf out;
	uint8_t *pixels = malloc(width * height * channels);
	assert_non_null(pixels);
	fill(pixels, width, height, channels, content);
	atl_buf_init(&out, (size_t)64 << 20);
	atl_buf_adds(&out, "before");
	if (atl_png_encode(pixels, width, height, channels, &out, &info) != ATL_OK)
		fail_msg("%zu x %zu x %u: %s", width, height, channels, info.detail);
	assert_memory_equal(out.data, "before", 6);
	atl_buf_consume(&out, 6);
	assert_int_equal(atl_picture_sniff(out.data, out.length), ATL_PICTURE_PNG);
	expect_same(&out, pixels, width, height, channels);
	atl_buf_finish(&out);
	free(pixels);
}

static void test_round_trips(void **state)
{
	static const size_t sizes[][2] = {{1, 1},  {2, 1},   {1, 2},    {3, 3},	   {7, 5},     {15, 16},
					  {17, 9}, {255, 3}, {257, 64}, {1000, 2}, {1024, 300}};
	static const unsigned channels[] = {1, 3, 4};
	for (size_t s = 0; s < ATL_COUNT(sizes); s++)
		for (size_t c = 0; c < ATL_COUNT(channels); c++)
			for (enum content content = FLAT; content < CONTENTS; content++)
				round_trip(sizes[s][0], sizes[s][1], channels[c], content);
}

static void test_extremes(void **state)
{
	round_trip(ATL_ENCODE_SIDE_MAX, 1, 4, NOISE);
	round_trip(1, ATL_ENCODE_SIDE_MAX, 1, RAMP);
}

/* A sum of differences that is as large as can be must not wrap round and look cheap. */
static void test_filter_choice(void **state)
{
	enum { SIDE = 512 };
	struct atl_buf out;
	uint8_t *pixels = malloc(SIDE * SIDE);
	assert_non_null(pixels);
	for (size_t y = 0; y < SIDE; y++)
		for (size_t x = 0; x < SIDE; x++)
			pixels[y * SIDE + x] = y & 1 ? 128 : 0; /* Up: 128 everywhere; Sub: 0 nearly everywhere */
	atl_buf_init(&out, 1 << 20);
	assert_int_equal(atl_png_encode(pixels, SIDE, SIDE, 1, &out, NULL), ATL_OK);
	expect_same(&out, pixels, SIDE, SIDE, 1);
	assert_true(out.length < 2500);
	atl_buf_finish(&out);
	free(pixels);
}

static void test_refusals(void **state)
{
	static const struct {
		size_t width, height;
		unsigned channels;
	} rows[] = {{0, 1, 3}, {1, 0, 3}, {ATL_ENCODE_SIDE_MAX + 1, 1, 1}, {1, ATL_ENCODE_SIDE_MAX + 1, 1},
		    {1, 1, 0}, {1, 1, 2}, {1, 1, 5}};
	uint8_t pixels[3 * 40 * 40];
	struct atl_errinfo info = {0};
	struct atl_buf out;
	atl_buf_init(&out, 1 << 20);
	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		assert_int_equal(atl_png_encode(pixels, rows[i].width, rows[i].height, rows[i].channels, &out, &info),
				 ATL_ERR_INVALID);
	assert_int_equal(out.length, 0);
	atl_buf_finish(&out);
	/* whatever the buffer holds: the file, whole, or a refusal and nothing */
	fill(pixels, 40, 40, 3, NOISE);
	for (size_t max = 1; max < 6000; max += 97) {
		atl_buf_init(&out, max);
		enum atl_err err = atl_png_encode(pixels, 40, 40, 3, &out, &info);
		assert_true(err == ATL_OK || err == ATL_ERR_TOO_LARGE);
		if (err == ATL_OK)
			expect_same(&out, pixels, 40, 40, 3);
		else
			assert_int_equal(out.length, 0);
		assert_int_equal(err == ATL_OK, max > 4900);
		atl_buf_finish(&out);
	}
}

static int setup(void **state)
{
	return VIPS_INIT("test");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_filter_choice),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests_name("png_encode", tests, setup, NULL);
}
