/* The invisible mark: found where it is, also cut, halved and in noise; not found with another key or without it; never
 * stronger than said. JPEG and a corpus: tests/bench/watermark.py. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/watermark.h"

#define SIDE 384

static const unsigned char KEY[ATL_WATERMARK_KEY_SIZE] = {1, 2, 3}, OTHER[ATL_WATERMARK_KEY_SIZE] = {1, 2, 4};

/* 0 flat, 1 a ramp, 2 hills with noise, 3 a checkerboard */
static unsigned char *draw(unsigned kind)
{
	unsigned char *rgb = malloc(SIDE * SIDE * 3);
	uint32_t noise = 1;
	assert_non_null(rgb);
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			noise = noise * 1664525u + 1013904223u;
			double v = kind == 0   ? 128
				   : kind == 1 ? x * 255.0 / SIDE
				   : kind == 2 ? 128 + 60 * sin(x / 31.0) * cos(y / 23.0) + (double)(noise >> 28) - 8
					       : ((x / 40 + y / 40) & 1 ? 250 : 20);
			for (int c = 0; c < 3; c++)
				rgb[(y * SIDE + x) * 3 + c] = (unsigned char)v;
		}
	return rgb;
}

static unsigned char *marked(unsigned kind)
{
	unsigned char *rgb = draw(kind);
	assert_int_equal(atl_watermark_embed(rgb, SIDE, SIDE, KEY, NULL), ATL_OK);
	return rgb;
}

/* The part of it from (left, top), each side `factor` times smaller, grey. */
static struct atl_watermark_found look(const unsigned char *rgb, size_t left, size_t top, size_t width, size_t height,
				       size_t factor, const unsigned char *key)
{
	struct atl_watermark_found found;
	size_t w = width / factor, h = height / factor;
	unsigned char *grey = malloc(w * h);
	assert_non_null(grey);
	for (size_t y = 0; y < h; y++)
		for (size_t x = 0; x < w; x++) {
			unsigned sum = 0;
			for (size_t j = 0; j < factor; j++)
				for (size_t i = 0; i < factor; i++)
					sum += rgb[((top + y * factor + j) * SIDE + left + x * factor + i) * 3 + 1];
			grey[y * w + x] = (unsigned char)(sum / (factor * factor));
		}
	assert_int_equal(atl_watermark_find(grey, w, h, key, false, &found, NULL), ATL_OK);
	free(grey);
	return found;
}

static void test_found(void **state)
{
	for (unsigned kind = 0; kind < 4; kind++) {
		unsigned char *rgb = marked(kind);
		struct atl_watermark_found found = look(rgb, 0, 0, SIDE, SIDE, 1, KEY);
		assert_true(found.found && found.score >= found.threshold);
		assert_true(fabs(found.scale - 1) < 1e-9);
		assert_true(look(rgb, 37, 41, SIDE - 41, SIDE - 41, 1, KEY).found); /* a fifth of it is gone */
		found = look(rgb, 0, 0, SIDE, SIDE, 2, KEY);
		assert_true(found.found);
		assert_true(fabs(found.scale - 0.5) < 1e-9);
		free(rgb);
	}
}

static void test_not_found(void **state)
{
	for (unsigned kind = 0; kind < 4; kind++) {
		unsigned char *rgb = draw(kind);
		assert_false(look(rgb, 0, 0, SIDE, SIDE, 1, KEY).found);
		free(rgb);
		rgb = marked(kind);
		assert_false(look(rgb, 0, 0, SIDE, SIDE, 1, OTHER).found);
		free(rgb);
	}
}

/* The threshold is the bound in the header; and what keys that have nothing to do with a picture reach is as the bound's
 * theory says: a mean cosine whose square, times the number of waves, is about the logarithm of the tries. */
static void test_false_alarm(void **state)
{
	unsigned char *rgb = draw(2), key[ATL_WATERMARK_KEY_SIZE] = {0};
	double best = 0, threshold = 0;
	for (unsigned i = 0; i < 12; i++) {
		key[5] = (unsigned char)i;
		struct atl_watermark_found found = look(rgb, 0, 0, SIDE, SIDE, 1, key);
		best = found.score > best ? found.score : best;
		threshold = found.threshold;
		assert_false(found.found);
	}
	free(rgb);
	/* threshold^2 * K = log(tries / rate); 12 keys with 2 views, 10 scales and all offsets are 4e6 tries */
	double waves = log(ATL_WATERMARK_TRIES / ATL_WATERMARK_FALSE_ALARM) / (threshold * threshold);
	assert_true(waves > 900 && waves < 1100);
	assert_true(best * best * waves < log(12 * 2 * 10 * 128.0 * 128) + 3);
}

static void test_never_strong(void **state)
{
	for (unsigned kind = 0; kind < 4; kind++) {
		unsigned char *before = draw(kind), *after = marked(kind);
		double sum = 0;
		for (size_t i = 0; i < SIDE * SIDE * 3; i++)
			sum += (double)(after[i] - before[i]) * (after[i] - before[i]);
		assert_true(sum > 0);
		assert_true(10 * log10(255.0 * 255 / (sum / (SIDE * SIDE * 3))) >= 40);
		free(before);
		free(after);
	}
}

static void test_small_ones(void **state)
{
	unsigned char rgb[100 * 100 * 3], copy[sizeof rgb];
	struct atl_watermark_found found;
	memset(rgb, 90, sizeof rgb);
	memcpy(copy, rgb, sizeof rgb);
	assert_int_equal(atl_watermark_embed(rgb, 100, 100, KEY, NULL), ATL_OK);
	assert_memory_equal(rgb, copy, sizeof rgb);
	for (size_t side = 1; side < 70; side += 3) {
		assert_int_equal(atl_watermark_find(rgb, side, side, KEY, false, &found, NULL), ATL_OK);
		assert_false(found.found);
	}
}

/* Another scale than the usual ones, by the thorough search alone. */
static void test_thorough(void **state)
{
	unsigned char *rgb = marked(2);
	size_t side = SIDE * 10 / 11;
	unsigned char *grey = malloc(side * side);
	struct atl_watermark_found found;
	assert_non_null(grey);
	for (size_t y = 0; y < side; y++)
		for (size_t x = 0; x < side; x++) {
			double fx = (double)x * 1.1, fy = (double)y * 1.1;
			size_t ix = (size_t)fx, iy = (size_t)fy;
			double a = fx - (double)ix, b = fy - (double)iy;
			const unsigned char *p = rgb + (iy * SIDE + ix) * 3, *q = p + SIDE * 3;
			grey[y * side + x] = (unsigned char)((p[0] * (1 - a) + p[3] * a) * (1 - b) + (q[0] * (1 - a) + q[3] * a) * b + 0.5);
		}
	assert_int_equal(atl_watermark_find(grey, side, side, KEY, true, &found, NULL), ATL_OK);
	assert_true(found.found);
	assert_true(fabs(found.scale - 1 / 1.1) < 0.04); /* the first near enough ends the search */
	free(grey);
	free(rgb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),	     cmocka_unit_test(test_not_found),  cmocka_unit_test(test_false_alarm),
		cmocka_unit_test(test_never_strong), cmocka_unit_test(test_small_ones), cmocka_unit_test(test_thorough),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
