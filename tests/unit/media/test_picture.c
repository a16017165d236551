/* Untrusted pictures through the true atelier-decode, and through a double that fails in every way. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "media/picture.h"
#include "support.h"

static struct atl_loop *loop;
static struct atl_pictures *decoder;

static enum atl_err decode(struct bytes in, struct atl_arena *arena, struct atl_picture *ret, struct atl_errinfo *info)
{
	static const unsigned widths[] = {64};
	return atl_picture_decode(decoder, arena, in.data, in.length, widths, 1, ret, info);
}

/* Red, green, blue, alpha (255 if there is none) of a result. */
static void pixel(const struct atl_picture_out *out, int x, int y, double rgba[4])
{
	VipsImage *image = NULL;
	double *values = NULL;
	int n = 0;
	assert_int_equal(vips_webpload_buffer((void *)out->data, out->length, &image, NULL), 0);
	assert_int_equal(vips_image_get_width(image), out->width);
	assert_int_equal(vips_image_get_height(image), out->height);
	assert_int_equal(vips_getpoint(image, &values, &n, x, y, NULL), 0);
	rgba[3] = 255;
	for (int i = 0; i < n && i < 4; i++)
		rgba[i] = values[i];
	g_free(values);
	g_object_unref(image);
}

static void expect_colour(const struct atl_picture_out *out, int x, int y, bool red)
{
	double c[4];
	pixel(out, x, y, c);
	if (!(red ? c[0] > 180 && c[2] < 80 : c[2] > 180 && c[0] < 80))
		fail_msg("at %d,%d: %.0f %.0f %.0f", x, y, c[0], c[1], c[2]);
}

static void good(struct bytes in, unsigned width, unsigned height, struct atl_arena *arena, struct atl_picture *ret)
{
	struct atl_errinfo info = {0};
	if (decode(in, arena, ret, &info) != ATL_OK)
		fail_msg("%s", info.detail);
	assert_int_equal(ret->out_count, 2);
	assert_int_equal(ret->outs[0].width, width);
	assert_int_equal(ret->outs[0].height, height);
	assert_int_equal(ret->outs[0].asked_width, 0);
	assert_int_equal(ret->outs[1].asked_width, 64);
	assert_int_equal(ret->outs[1].width, width < 64 ? width : 64);
	g_free(in.data);
}

static void bad(struct bytes in, const char *word)
{
	struct atl_arena arena;
	struct atl_picture picture;
	struct atl_errinfo info = {0};
	atl_arena_init(&arena, 0);
	assert_int_equal(decode(in, &arena, &picture, &info), ATL_ERR_PICTURE);
	if (!strstr(info.detail, word))
		fail_msg("\"%s\" lacks \"%s\"", info.detail, word);
	atl_arena_finish(&arena);
}

static void test_formats(void **state)
{
	static const struct {
		const char *suffix;
		enum atl_picture_kind kind;
	} rows[] = {{".jpg", ATL_PICTURE_JPEG},
		    {".png", ATL_PICTURE_PNG},
		    {".png[interlace]", ATL_PICTURE_PNG},
		    {".png[palette]", ATL_PICTURE_PNG},
		    {".webp", ATL_PICTURE_WEBP},
		    {".webp[lossless]", ATL_PICTURE_WEBP},
		    {".gif", ATL_PICTURE_GIF}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct atl_arena arena;
		struct atl_picture picture;
		atl_arena_init(&arena, 0);
		good(save(two_halves(200, 100, 3), rows[i].suffix), 200, 100, &arena, &picture);
		assert_int_equal(picture.kind, rows[i].kind);
		expect_colour(&picture.outs[0], 20, 50, true);
		expect_colour(&picture.outs[0], 180, 50, false);
		expect_colour(&picture.outs[1], 60, 16, false);
		atl_arena_finish(&arena);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		int width, height, kept_width, kept_height;
	} rows[] = {{1, 1, 1, 1}, {1, 300, 1, 300}, {2000, 1000, 1024, 512}, {1000, 2000, 512, 1024}, {6000, 4, 1024, 1}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct atl_arena arena;
		struct atl_picture picture;
		atl_arena_init(&arena, 0);
		good(save(two_halves(rows[i].width, rows[i].height, 3), ".png"), (unsigned)rows[i].kept_width,
		     (unsigned)rows[i].kept_height, &arena, &picture);
		atl_arena_finish(&arena);
	}
}

static void test_orientation(void **state)
{
	struct atl_arena arena;
	struct atl_picture picture;
	VipsImage *image = two_halves(200, 100, 3);
	vips_image_set_int(image, "orientation", 6); /* to be turned a quarter clockwise */
	vips_image_set_string(image, "exif-ifd0-ImageDescription", "secret place (secret place, ASCII, 13 components, 13 bytes)");
	atl_arena_init(&arena, 0);
	struct bytes file = save(image, ".jpg");
	assert_non_null(memmem(file.data, file.length, "secret place", 12));
	good(file, 100, 200, &arena, &picture);
	expect_colour(&picture.outs[0], 50, 20, true);
	expect_colour(&picture.outs[0], 50, 180, false);
	/* nothing that the file told is left, and nobody turns the result a second time */
	VipsImage *kept = NULL;
	for (size_t i = 0; i < picture.out_count; i++) {
		assert_null(memmem(picture.outs[i].data, picture.outs[i].length, "secret", 6));
		assert_int_equal(vips_webpload_buffer((void *)picture.outs[i].data, picture.outs[i].length, &kept, NULL), 0);
		assert_int_equal(vips_image_get_orientation(kept), 1);
		g_object_unref(kept);
	}
	atl_arena_finish(&arena);
}

static void test_alpha(void **state)
{
	static const char *const suffixes[] = {".png", ".webp", ".gif"};
	for (size_t i = 0; i < 3; i++) {
		struct atl_arena arena;
		struct atl_picture picture;
		double c[4];
		atl_arena_init(&arena, 0);
		good(save(two_halves(100, 100, 4), suffixes[i]), 100, 100, &arena, &picture);
		pixel(&picture.outs[0], 20, 10, c);
		assert_true(c[3] < 20);
		pixel(&picture.outs[0], 20, 90, c);
		assert_true(c[3] > 235 && c[0] > 180);
		atl_arena_finish(&arena);
	}
}

static void test_animation(void **state)
{
	static const char *const suffixes[] = {".gif", ".webp"};
	for (size_t i = 0; i < 2; i++) {
		struct atl_arena arena;
		struct atl_picture picture;
		VipsImage *frames = two_halves(80, 180, 3);
		vips_image_set_int(frames, "page-height", 60);
		atl_arena_init(&arena, 0);
		good(save(frames, suffixes[i]), 80, 60, &arena, &picture);
		expect_colour(&picture.outs[0], 10, 30, true);
		atl_arena_finish(&arena);
	}
}

static void put_crc(unsigned char *chunk, size_t length)
{
	uint32_t crc = 0xffffffffu;
	for (size_t i = 4; i < 8 + length; i++) {
		crc ^= chunk[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	crc = ~crc;
	for (int i = 0; i < 4; i++)
		chunk[8 + length + (size_t)i] = (unsigned char)(crc >> (24 - 8 * i));
}

/* The header's size is a lie; its check sum is right. */
static struct bytes with_png_size(struct bytes png, uint32_t width, uint32_t height)
{
	unsigned char *bytes = png.data;
	for (int i = 0; i < 4; i++) {
		bytes[16 + i] = (unsigned char)(width >> (24 - 8 * i));
		bytes[20 + i] = (unsigned char)(height >> (24 - 8 * i));
	}
	put_crc(bytes + 8, 13);
	return png;
}

static void test_bombs(void **state)
{
	struct bytes png = save(two_halves(64, 64, 3), ".png");
	bad(with_png_size(png, 60000, 60000), "pixels");
	bad(with_png_size(png, 7000, 7000), "damaged"); /* allowed size, but the pixels are not there */
	bad(with_png_size(png, 0x7fffffff, 0x7fffffff), "");
	bad(with_png_size(png, 0, 10), "");
	g_free(png.data);
	/* small file, many pixels */
	VipsImage *black = NULL;
	assert_int_equal(vips_black(&black, 9000, 9000, NULL), 0);
	struct bytes bomb = save(black, ".png[compression=9]");
	assert_true(bomb.length < 200000);
	bad(bomb, "pixels");
	g_free(bomb.data);
}

static void test_cut_short(void **state)
{
	static const char *const suffixes[] = {".jpg", ".png", ".webp", ".gif"};
	for (size_t i = 0; i < 4; i++) {
		struct bytes in = save(two_halves(100, 80, 3), suffixes[i]);
		for (size_t length = 12; length < in.length * 3 / 4; length += in.length / 12 + 1)
			bad((struct bytes){in.data, length}, "");
		g_free(in.data);
	}
}

/* Whatever is done to the bytes: a picture or a refusal in words, and the next one works. One owner's pictures: a new
 * process for each would be nearly all of the time this takes. */
static void test_flipped_bytes(void **state)
{
	static const char *const suffixes[] = {".jpg", ".png", ".webp", ".gif"};
	static const unsigned widths[] = {64};
	const struct atl_picture_options ask = {
		.owner = "usr_a", .keep = ATL_PICTURE_AS_WEBP, .keep_side = ATL_PICTURE_KEEP_SIDE, .widths = widths, .width_count = 1};
	uint32_t random = 12345;
	for (size_t i = 0; i < 4; i++) {
		struct bytes in = save(two_halves(40, 30, 4), suffixes[i]);
		for (int run = 0; run < 60; run++) {
			struct atl_arena arena;
			struct atl_picture picture;
			struct atl_errinfo info = {0};
			random = random * 1664525u + 1013904223u;
			size_t at = 12 + (random >> 8) % (in.length - 12);
			unsigned char *byte = (unsigned char *)in.data + at, before = *byte;
			*byte ^= (unsigned char)(1u << (random >> 5 & 7));
			atl_arena_init(&arena, 0);
			enum atl_err err = atl_picture_open(decoder, &arena, in.data, in.length, &ask, &picture, &info);
			assert_true(err == ATL_OK || err == ATL_ERR_PICTURE);
			assert_true(err == ATL_OK || info.detail[0]);
			*byte = before;
			atl_arena_finish(&arena);
		}
		struct atl_arena arena;
		struct atl_picture picture;
		atl_arena_init(&arena, 0);
		good(in, 40, 30, &arena, &picture);
		atl_arena_finish(&arena);
	}
}

static void test_wrong_type(void **state)
{
	struct bytes jpg = save(two_halves(40, 30, 3), ".jpg");
	memcpy(jpg.data, "\x89PNG\r\n\x1a\n", 8);
	bad(jpg, "PNG");
	g_free(jpg.data);
	bad((struct bytes){(unsigned char *)"<svg onload=\"x\"/>", 17}, "not a JPEG");
	bad((struct bytes){(unsigned char *)"", 0}, "not a JPEG");
	struct atl_arena arena;
	struct atl_picture picture;
	struct atl_errinfo info = {0};
	atl_arena_init(&arena, 0);
	static char large[ATL_PICTURE_BYTES_MAX + 1];
	assert_int_equal(decode((struct bytes){(unsigned char *)large, sizeof large}, &arena, &picture, &info),
			 ATL_ERR_TOO_LARGE);
	atl_arena_finish(&arena);
}

/* A decoder that dies, lies or hangs costs this picture and nothing else. */
static void test_bad_decoder(void **state)
{
	static const char kinds[] = "kgtmfersbdxh";
	struct atl_pictures *true_one = decoder;
	struct atl_errinfo info = {0};
	assert_int_equal(atl_pictures_create(loop, getenv("DECODE_DOUBLE"), &decoder, &info), ATL_OK);
	for (size_t i = 0; kinds[i]; i++) {
		atl_pictures_set_timeout(decoder, kinds[i] == 'h' ? 2000 : 60000); /* a child that works may be slow */
		unsigned char png[] = "\x89PNG\r\n\x1a\n?";
		png[8] = (unsigned char)kinds[i];
		bad((struct bytes){png, 9}, kinds[i] == 'h' ? "longer than 2 s" : "");
	}
	atl_pictures_destroy(decoder);
	assert_int_equal(atl_pictures_create(loop, "/nonexistent/decoder", &decoder, &info), ATL_OK);
	struct atl_arena arena;
	struct atl_picture picture;
	unsigned char png[] = "\x89PNG\r\n\x1a\n?";
	atl_arena_init(&arena, 0);
	assert_int_equal(decode((struct bytes){png, 9}, &arena, &picture, &info), ATL_ERR_INTERNAL);
	atl_pictures_destroy(decoder);
	decoder = true_one;
	good(save(two_halves(10, 10, 3), ".png"), 10, 10, &arena, &picture);
	atl_arena_finish(&arena);
}

static int setup(void **state)
{
	struct atl_errinfo info = {0};
	if (VIPS_INIT("test") != 0 || atl_loop_create("pictures", &loop, &info) != ATL_OK)
		return -1;
	return atl_pictures_create(loop, getenv("ATELIER_DECODE"), &decoder, &info) == ATL_OK ? 0 : -1;
}

static int teardown(void **state)
{
	atl_pictures_destroy(decoder);
	atl_loop_stop(loop);
	atl_loop_destroy(loop);
	vips_shutdown();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),	   cmocka_unit_test(test_sizes),	 cmocka_unit_test(test_orientation),
		cmocka_unit_test(test_alpha),	   cmocka_unit_test(test_animation),	 cmocka_unit_test(test_bombs),
		cmocka_unit_test(test_cut_short),  cmocka_unit_test(test_wrong_type),	 cmocka_unit_test(test_bad_decoder),
		cmocka_unit_test(test_flipped_bytes),
	};
	return cmocka_run_group_tests_name("picture", tests, setup, teardown);
}
