/* Blur hashes against texts made by other implementations; perceptual hashes against what people would say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "media/blurhash.h"
#include "media/phash.h"

#define SIDE 32

static void set(unsigned char *rgb, size_t width, size_t x, size_t y, unsigned r, unsigned g, unsigned b)
{
	unsigned char *p = rgb + (y * width + x) * 3;
	p[0] = (unsigned char)r;
	p[1] = (unsigned char)g;
	p[2] = (unsigned char)b;
}

/* The first three agree with the published JavaScript library; the rest, with negative extremes that it ignores, with
 * the C and Swift ones' definition. */
static void test_known(void **state)
{
	static unsigned char rgb[SIDE * SIDE * 3];
	char text[ATL_BLURHASH_LENGTH + 1];
	memset(rgb, 0, sizeof rgb);
	atl_blurhash(rgb, SIDE, SIDE, text);
	assert_string_equal(text, "L00000fQfQfQfQfQfQfQfQfQfQfQ");
	memset(rgb, 255, sizeof rgb);
	atl_blurhash(rgb, SIDE, SIDE, text);
	assert_string_equal(text, "L9TSUA~qfQ~q~qoffQoffQfQfQfQ");
	for (size_t y = 0; y < SIDE; y++)
		for (size_t x = 0; x < SIDE; x++)
			set(rgb, SIDE, x, y, x < 16 ? 255 : 0, 0, x < 16 ? 0 : 255);
	atl_blurhash(rgb, SIDE, SIDE, text);
	assert_string_equal(text, "L~LjfL|TsRJro3n~jsa}fQfQfQfQ");
	for (size_t y = 0; y < SIDE; y++)
		for (size_t x = 0; x < SIDE; x++)
			set(rgb, SIDE, x, y, (unsigned)x * 8, (unsigned)y * 8, 128);
	atl_blurhash(rgb, SIDE, SIDE, text);
	assert_string_equal(text, "LxH2cX2swxX8l}WDjte;gJfjfQfj");
	for (size_t y = 0; y < 13; y++)
		for (size_t x = 0; x < 20; x++)
			set(rgb, 20, x, y, (unsigned)(x * 37), (unsigned)(y * 91), (unsigned)(x * y * 13));
	atl_blurhash(rgb, 20, 13, text);
	assert_string_equal(text, "LCFPc~GLA:B{*WW7WrW8dre+fTe,");
}

static void test_valid(void **state)
{
	assert_true(atl_blurhash_valid("LxH2cX2swxX8l}WDjte;gJfjfQfj"));
	assert_true(atl_blurhash_valid("00OZZy")); /* one component */
	assert_false(atl_blurhash_valid(""));
	assert_false(atl_blurhash_valid("LxH2cX2swxX8l}WDjte;gJfjfQf"));
	assert_false(atl_blurhash_valid("LxH2cX2swxX8l}WDjte;gJfjfQfjj"));
	assert_false(atl_blurhash_valid("LxH2cX2swxX8l}WDjte;gJfjfQf\""));
	assert_false(atl_blurhash_valid("LxH2cX2swxX8l}WDjte;gJfjfQf<"));
	assert_false(atl_blurhash_valid("~~~~~~"));
}

/* A scene of a few discs, the same for the same seed. */
static void scene(unsigned char *rgb, unsigned seed, double gain, int noise)
{
	unsigned random = seed * 2654435761u + 1;
	double cx[4], cy[4], size[4], tone[4];
	for (int i = 0; i < 4; i++) {
		random = random * 1664525u + 1013904223u;
		cx[i] = random >> 27;
		cy[i] = random >> 19 & 31;
		size[i] = 3 + (random >> 12 & 7);
		tone[i] = i & 1 ? -90 : 90;
	}
	for (size_t y = 0; y < SIDE; y++)
		for (size_t x = 0; x < SIDE; x++) {
			double value = 120;
			for (int i = 0; i < 4; i++) {
				double dx = (double)x - cx[i], dy = (double)y - cy[i];
				value += dx * dx + dy * dy < size[i] * size[i] ? tone[i] : 0;
			}
			random = random * 1664525u + 1013904223u;
			value = value * gain + (noise ? (int)(random >> 24) % (2 * noise + 1) - noise : 0);
			unsigned v = value < 0 ? 0 : value > 255 ? 255 : (unsigned)value;
			set(rgb, SIDE, x, y, v, v * 9 / 10, v);
		}
}

static void test_phash(void **state)
{
	static unsigned char a[SIDE * SIDE * 3], b[SIDE * SIDE * 3];
	for (unsigned seed = 1; seed <= 40; seed++) {
		scene(a, seed, 1, 0);
		uint64_t hash = atl_phash(a);
		assert_int_equal(hash, atl_phash(a));
		scene(b, seed, 0.9, 0); /* darker */
		assert_true(atl_phash_distance(hash, atl_phash(b)) <= ATL_PHASH_NEAR);
		scene(b, seed, 1, 2); /* noisier: what is left of a sensor's noise after scaling down */
		assert_true(atl_phash_distance(hash, atl_phash(b)) <= ATL_PHASH_NEAR);
		for (unsigned other = seed + 1; other <= 40; other++) {
			scene(b, other, 1, 0);
			assert_true(atl_phash_distance(hash, atl_phash(b)) > ATL_PHASH_NEAR);
		}
	}
	/* no contrast: only whether it is bright */
	memset(a, 0, sizeof a);
	assert_int_equal(atl_phash(a), 0);
	memset(a, 255, sizeof a);
	assert_int_equal(atl_phash(a), 1);
	assert_int_equal(atl_phash_distance(0, UINT64_MAX), 64);
	assert_int_equal(atl_phash_distance(0x8000000000000001u, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_known), cmocka_unit_test(test_valid),
					   cmocka_unit_test(test_phash)};
	return cmocka_run_group_tests_name("blurhash", tests, NULL, NULL);
}
