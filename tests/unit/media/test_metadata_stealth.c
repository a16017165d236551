/* Texts hidden in pixels. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "media/stealth.h"

enum { WIDTH = 37, HEIGHT = 53 };
static unsigned char pixels[WIDTH * HEIGHT * 4];
static size_t at;

static void hide(const void *data, size_t length, bool colour)
{
	const unsigned char *p = data;
	for (size_t i = 0; i < length * 8; i++, at++) {
		size_t channels = colour ? 3 : 1, pixel = at / channels, x = pixel / HEIGHT, y = pixel % HEIGHT;
		unsigned char *byte = pixels + (y * WIDTH + x) * 4 + (colour ? at % 3 : 3);
		*byte = (unsigned char)((*byte & 0xfe) | (p[i / 8] >> (7 - i % 8) & 1));
	}
}

static void hide_text(const char *signature, const void *data, size_t length, bool colour)
{
	size_t bits = length * 8;
	const unsigned char size[4] = {(unsigned char)(bits >> 24), (unsigned char)(bits >> 16), (unsigned char)(bits >> 8),
				       (unsigned char)bits};
	memset(pixels, 0xff, sizeof pixels);
	at = 0;
	hide(signature, 15, colour);
	hide(size, 4, colour);
	hide(data, length < 60 ? length : 60, colour);
}

static enum atl_err read_pixels(struct atl_recall *r)
{
	static struct atl_arena arena;
	struct atl_errinfo info = {0};
	atl_arena_finish(&arena);
	atl_arena_init(&arena, 0);
	enum atl_err err = atl_stealth_read(&arena, pixels, WIDTH, HEIGHT, r, &info);
	if (err)
		atl_arena_finish(&arena);
	return err;
}

static const char text[] = "fox\nSteps: 1, Seed: 2, Sampler: \xc3\xa4\nSteps: 1, Seed: 2, Size: 3x4";

static void test_forms(void **state)
{
	static const struct {
		const char *signature;
		bool colour, packed;
	} forms[] = {{"stealth_pnginfo", false, false}, {"stealth_pngcomp", false, true},
		     {"stealth_rgbinfo", true, false}, {"stealth_rgbcomp", true, true}};
	for (size_t i = 0; i < ATL_COUNT(forms); i++) {
		char packed[256];
		const char *lines = "fox\nSteps: 1, Seed: 2, Size: 3x4";
		size_t length = strlen(lines);
		if (forms[i].packed) {
			struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
			length = libdeflate_gzip_compress(c, lines, length, packed, sizeof packed);
			libdeflate_free_compressor(c);
			assert_true(length > 0 && length <= 60);
		}
		hide_text(forms[i].signature, forms[i].packed ? packed : lines, length, forms[i].colour);
		struct atl_recall r;
		assert_int_equal(read_pixels(&r), ATL_OK);
		assert_string_equal(r.prompt, "fox");
		assert_int_equal(r.seed, 2);
	}
}

static void test_nothing_or_damaged(void **state)
{
	struct atl_recall r;
	memset(pixels, 0xff, sizeof pixels);
	assert_int_equal(read_pixels(&r), ATL_ERR_NOT_FOUND);
	hide_text("stealth_pnginfo", text, 0, false); /* no text */
	assert_int_equal(read_pixels(&r), ATL_ERR_NOT_FOUND);
	hide_text("stealth_pnginfo", text, 1 << 20, false); /* more than there are pixels */
	assert_int_equal(read_pixels(&r), ATL_ERR_NOT_FOUND);
	hide_text("stealth_pnginfo", text, 1 << 28, false); /* more than is allowed */
	assert_int_equal(read_pixels(&r), ATL_ERR_NOT_FOUND);
	hide_text("stealth_pngcomp", text, 60, false); /* not gzip */
	assert_int_equal(read_pixels(&r), ATL_ERR_NOT_FOUND);
	struct atl_arena arena;
	size_t length;
	atl_arena_init(&arena, 0);
	assert_null(atl_stealth_text(&arena, pixels, 0, 5, &length));
	assert_null(atl_stealth_text(&arena, pixels, 3, 3, &length));
	atl_arena_finish(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_nothing_or_damaged)};
	return cmocka_run_group_tests_name("metadata_stealth", tests, NULL, NULL);
}
