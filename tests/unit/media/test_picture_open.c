/* What may be asked of atelier-decode beside an avatar: forms, raw rows, masks, hashes; and how its children are kept. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/blurhash.h"
#include "media/phash.h"
#include "media/picture.h"
#include "support.h"

static struct atl_loop *loop;
static struct atl_pictures *decoder;

static struct bytes picture(int width, int height, int bands, const char *suffix)
{
	return save(two_halves(width, height, bands), suffix);
}

static void open_one(struct bytes in, const struct atl_picture_options *ask, struct atl_arena *arena, struct atl_picture *ret)
{
	struct atl_errinfo info = {0};
	if (atl_picture_open(decoder, arena, in.data, in.length, ask, ret, &info) != ATL_OK)
		fail_msg("%s", info.detail);
	g_free(in.data);
}

static void test_forms(void **state)
{
	static const struct {
		int bands;
		const char *suffix;
		enum atl_picture_form keep, got;
	} rows[] = {{3, ".jpg", ATL_PICTURE_AS_AUTO, ATL_PICTURE_AS_WEBP}, {4, ".png", ATL_PICTURE_AS_AUTO, ATL_PICTURE_AS_PNG},
		    {3, ".png", ATL_PICTURE_AS_AUTO, ATL_PICTURE_AS_WEBP}, {3, ".jpg", ATL_PICTURE_AS_PNG, ATL_PICTURE_AS_PNG},
		    {4, ".webp", ATL_PICTURE_AS_WEBP, ATL_PICTURE_AS_WEBP}};
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_arena arena;
		struct atl_picture p;
		struct atl_picture_options ask = {.keep = rows[i].keep};
		atl_arena_init(&arena, 0);
		open_one(picture(300, 200, rows[i].bands, rows[i].suffix), &ask, &arena, &p);
		assert_int_equal(p.out_count, 1);
		assert_int_equal(p.outs[0].form, rows[i].got);
		assert_int_equal(p.outs[0].width, 300);
		assert_int_equal(p.alpha, rows[i].bands == 4);
		assert_int_equal(atl_picture_sniff(p.outs[0].data, p.outs[0].length),
				 rows[i].got == ATL_PICTURE_AS_PNG ? ATL_PICTURE_PNG : ATL_PICTURE_WEBP);
		assert_string_equal(atl_picture_form_type(p.outs[0].form), rows[i].got == ATL_PICTURE_AS_PNG ? "image/png" : "image/webp");
		assert_null(p.raw);
		assert_string_equal(p.blurhash, "");
		atl_arena_finish(&arena);
	}
}

/* Thumbnails alone, of a file that is decoded at a fraction of its size. */
static void test_thumbs_only(void **state)
{
	static const char *const suffixes[] = {".jpg", ".webp", ".png", ".jpg[Q=90]"};
	static const unsigned widths[] = {400, 100};
	for (size_t i = 0; i < ATL_COUNT(suffixes); i++) {
		struct atl_arena arena;
		struct atl_picture p;
		struct atl_picture_options ask = {.widths = widths, .width_count = 2, .blurhash = true, .phash = true};
		atl_arena_init(&arena, 0);
		open_one(picture(3201, 1601, 3, suffixes[i]), &ask, &arena, &p);
		assert_int_equal(p.width, 3201);
		assert_int_equal(p.height, 1601);
		assert_int_equal(p.out_count, 2);
		assert_int_equal(p.outs[0].width, 400);
		assert_int_equal(p.outs[0].height, 200);
		assert_int_equal(p.outs[1].width, 100);
		assert_true(atl_blurhash_valid(p.blurhash));
		assert_true(atl_phash_distance(p.phash, 0) > 0);
		atl_arena_finish(&arena);
	}
}

static void test_same_hash_when_scaled(void **state)
{
	struct atl_arena arena;
	struct atl_picture a, b;
	struct atl_picture_options ask = {.blurhash = true, .phash = true};
	atl_arena_init(&arena, 0);
	open_one(picture(1200, 900, 3, ".jpg"), &ask, &arena, &a);
	open_one(picture(120, 90, 3, ".png"), &ask, &arena, &b);
	assert_true(atl_phash_distance(a.phash, b.phash) <= ATL_PHASH_NEAR);
	assert_memory_equal(a.blurhash, b.blurhash, 1);
	assert_int_equal(a.out_count, 0);
	atl_arena_finish(&arena);
}

static const unsigned char *at(const struct atl_picture *p, const struct atl_picture_raw_ask *raw, unsigned x, unsigned y)
{
	return p->raw + ((size_t)y * raw->width + x) * raw->channels;
}

static void test_raw(void **state)
{
	static const struct {
		unsigned width, height;
		bool cover;
	} rows[] = {{64, 64, true}, {64, 64, false}, {512, 96, true}, {96, 512, true}, {1, 1, true}, {333, 77, false}, {1000, 1000, true}};
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_arena arena;
		struct atl_picture p;
		struct atl_picture_options ask = {.raw = {.channels = 3, .width = rows[i].width, .height = rows[i].height, .cover = rows[i].cover}};
		atl_arena_init(&arena, 0);
		open_one(picture(301, 203, 3, ".png"), &ask, &arena, &p);
		assert_non_null(p.raw);
		if (rows[i].width > 8) {
			const unsigned char *left = at(&p, &ask.raw, 2, rows[i].height / 2);
			const unsigned char *right = at(&p, &ask.raw, rows[i].width - 3, rows[i].height / 2);
			assert_true(left[0] > 240 && left[1] < 15 && left[2] < 15);
			assert_true(right[2] > 240 && right[1] < 15 && right[0] < 15);
		}
		atl_arena_finish(&arena);
	}
}

/* Cover cuts the sides off; stretch keeps them. */
static void test_fit(void **state)
{
	struct atl_arena arena;
	struct atl_picture p;
	unsigned char pixels[400 * 100];
	struct bytes in = {0};
	memset(pixels, 0, sizeof pixels);
	for (int y = 0; y < 100; y++)
		memset(pixels + y * 400, 255, 100); /* the left quarter is white */
	VipsImage *image = vips_image_new_from_memory_copy(pixels, sizeof pixels, 400, 100, 1, VIPS_FORMAT_UCHAR);
	assert_int_equal(vips_image_write_to_buffer(image, ".png", &in.data, &in.length, NULL), 0);
	g_object_unref(image);
	atl_arena_init(&arena, 0);
	for (int cover = 0; cover < 2; cover++) {
		struct atl_picture_options ask = {.raw = {.channels = 1, .width = 100, .height = 100, .cover = cover}};
		struct atl_errinfo info = {0};
		assert_int_equal(atl_picture_open(decoder, &arena, in.data, in.length, &ask, &p, &info), ATL_OK);
		assert_int_equal(*at(&p, &ask.raw, 10, 50) > 128, !cover);
		assert_true(*at(&p, &ask.raw, 60, 50) < 10);
	}
	g_free(in.data);
	atl_arena_finish(&arena);
}

static void test_masks(void **state)
{
	struct atl_arena arena;
	struct atl_picture p;
	struct atl_picture_options ask = {.raw = {.channels = 1, .width = 128, .height = 128, .mask_from_alpha = true}};
	atl_arena_init(&arena, 0);
	open_one(picture(256, 256, 4, ".png"), &ask, &arena, &p);
	assert_int_equal(*at(&p, &ask.raw, 64, 5), 255); /* transparent: paint anew */
	assert_int_equal(*at(&p, &ask.raw, 64, 120), 0);
	/* no alpha channel: bright is what to paint; blue is darker than red */
	open_one(picture(256, 256, 3, ".png"), &ask, &arena, &p);
	assert_true(*at(&p, &ask.raw, 5, 64) > *at(&p, &ask.raw, 120, 64));
	/* what is transparent is white otherwise */
	ask.raw = (struct atl_picture_raw_ask){.channels = 3, .width = 128, .height = 128};
	open_one(picture(256, 256, 4, ".png"), &ask, &arena, &p);
	assert_memory_equal(at(&p, &ask.raw, 20, 5), "\xff\xff\xff", 3);
	assert_memory_equal(at(&p, &ask.raw, 20, 120), "\xff\x00\x00", 3);
	atl_arena_finish(&arena);
}

static void test_animation_facts(void **state)
{
	static const char *const suffixes[] = {".gif", ".webp"};
	for (size_t i = 0; i < ATL_COUNT(suffixes); i++) {
		struct atl_arena arena;
		struct atl_picture p;
		int delays[] = {100, 200, 300};
		struct bytes in = {0};
		static unsigned char pixels[80 * 180 * 3];
		for (size_t k = 0; k < sizeof pixels; k++)
			pixels[k] = (unsigned char)(k / (80 * 60 * 3) * 100); /* three frames that differ */
		VipsImage *copy = vips_image_new_from_memory_copy(pixels, sizeof pixels, 80, 180, 3, VIPS_FORMAT_UCHAR);
		copy->Type = VIPS_INTERPRETATION_sRGB;
		vips_image_set_int(copy, "page-height", 60);
		vips_image_set_array_int(copy, "delay", delays, 3);
		assert_int_equal(vips_image_write_to_buffer(copy, suffixes[i], &in.data, &in.length, NULL), 0);
		g_object_unref(copy);
		atl_arena_init(&arena, 0);
		open_one(in, &(struct atl_picture_options){.keep = ATL_PICTURE_AS_AUTO}, &arena, &p);
		assert_int_equal(p.height, 60);
		assert_int_equal(p.frames, 3);
		assert_int_equal(p.duration_ms, 600);
		atl_arena_finish(&arena);
	}
}

/* Bits run down the columns: one in each alpha, or three in each colour. */
static void hide(unsigned char *pixels, size_t side, unsigned bands, const char *text, size_t length)
{
	size_t per_pixel = bands == 4 ? 1 : 3;
	for (size_t i = 0; i < length * 8; i++) {
		size_t pixel = i / per_pixel;
		unsigned char *byte = pixels + (pixel % side * side + pixel / side) * bands + (bands == 4 ? 3 : i % 3);
		*byte = (unsigned char)((*byte & 0xfe) | ((unsigned char)text[i / 8] >> (7 - i % 8) & 1));
	}
}

static void test_stealth(void **state)
{
	static const char *const texts[] = {[3] = "stealth_rgbinfo\0\0\0\x28" "hello", [4] = "stealth_pnginfo\0\0\0\x28" "hello"};
	for (unsigned bands = 3; bands <= 4; bands++)
		for (int hidden = 0; hidden < 2; hidden++) {
			static unsigned char pixels[64 * 64 * 4];
			struct bytes in = {0};
			struct atl_arena arena;
			struct atl_picture p;
			memset(pixels, 200, sizeof pixels);
			if (hidden)
				hide(pixels, 64, bands, texts[bands], 24);
			VipsImage *image = vips_image_new_from_memory_copy(pixels, (size_t)64 * 64 * bands, 64, 64, (int)bands, VIPS_FORMAT_UCHAR);
			image->Type = VIPS_INTERPRETATION_sRGB;
			assert_int_equal(vips_image_write_to_buffer(image, ".png", &in.data, &in.length, NULL), 0);
			g_object_unref(image);
			atl_arena_init(&arena, 0);
			open_one(in, &(struct atl_picture_options){.stealth = true, .phash = true}, &arena, &p);
			assert_int_equal(p.stealth != NULL, hidden);
			if (hidden) {
				assert_int_equal(p.stealth_length, 5);
				assert_string_equal(p.stealth, "hello");
			}
			atl_arena_finish(&arena);
		}
}

static void test_asks_refused(void **state)
{
	static const unsigned zero[] = {0}, many[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
	const struct atl_picture_options rows[] = {
		{.widths = zero, .width_count = 1},
		{.widths = many, .width_count = 9},
		{.keep_side = ATL_PICTURE_LIBRARY_SIDE + 1},
		{.quality = 101},
		{.raw = {.channels = 2, .width = 1, .height = 1}},
		{.raw = {.channels = 3, .width = 0, .height = 1}},
		{.raw = {.channels = 3, .width = 5000, .height = 5000}},
		{.raw = {.channels = 3, .width = 10, .height = 10, .mask_from_alpha = true}},
	};
	struct atl_arena arena;
	struct bytes in = picture(8, 8, 3, ".png");
	atl_arena_init(&arena, 0);
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_picture p;
		assert_int_equal(atl_picture_open(decoder, &arena, in.data, in.length, &rows[i], &p, NULL), ATL_ERR_INVALID);
	}
	g_free(in.data);
	atl_arena_finish(&arena);
}

/* ---- the children ---- */

static int own_children(int *pids, int max)
{
	int count = 0;
	char path[64];
	snprintf(path, sizeof path, "/proc/self/task");
	DIR *tasks = opendir(path);
	assert_non_null(tasks);
	for (struct dirent *e; (e = readdir(tasks));) {
		char line[64 + 256];
		snprintf(line, sizeof line, "/proc/self/task/%s/children", e->d_name);
		FILE *f = e->d_name[0] == '.' ? NULL : fopen(line, "r");
		for (int pid; f && count < max && fscanf(f, "%d", &pid) == 1;)
			pids[count++] = pid;
		if (f)
			fclose(f);
	}
	closedir(tasks);
	return count;
}

static void open_as(const char *owner)
{
	struct atl_arena arena;
	struct atl_picture p;
	atl_arena_init(&arena, 0);
	open_one(picture(20, 20, 3, ".png"), &(struct atl_picture_options){.owner = owner, .phash = true}, &arena, &p);
	atl_arena_finish(&arena);
}

static int only_child(void)
{
	int pids[4];
	assert_int_equal(own_children(pids, 4), 1);
	return pids[0];
}

/* The same child for the same owner, until it has served enough; another for another; none left for nobody. */
static void test_warm_children(void **state)
{
	int pids[8];
	open_as(NULL);
	assert_int_equal(own_children(pids, 8), 0);
	open_as("usr_a");
	int first = only_child();
	for (int i = 1; i < ATL_PICTURE_PER_CHILD - 1; i++) {
		open_as("usr_a");
		assert_int_equal(only_child(), first);
	}
	open_as("usr_a");
	assert_int_equal(own_children(pids, 8), 0); /* it has served enough */
	open_as("usr_a");
	int second = only_child();
	assert_true(second != first);
	/* a refusal in words does not end it */
	struct atl_picture p;
	struct atl_arena arena;
	struct atl_errinfo info = {0};
	atl_arena_init(&arena, 0);
	assert_int_equal(atl_picture_open(decoder, &arena, "\x89PNG\r\n\x1a\nxxxx", 12, &(struct atl_picture_options){.owner = "usr_a"}, &p, &info),
			 ATL_ERR_PICTURE);
	atl_arena_finish(&arena);
	assert_int_equal(only_child(), second);
	/* never another's */
	open_as("usr_b");
	assert_int_equal(own_children(pids, 8), 2);
	open_as("usr_c");
	assert_int_equal(own_children(pids, 8), 2);
	assert_true(pids[0] != second && pids[1] != second);
	/* killed while it waits: the next picture of its owner gets a new one */
	kill(pids[0], SIGKILL);
	kill(pids[1], SIGKILL);
	open_as("usr_b");
	open_as("usr_c");
	assert_true(own_children(pids, 8) <= 2);
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
	int pids[4];
	atl_pictures_destroy(decoder);
	int left = own_children(pids, 4);
	atl_loop_stop(loop);
	atl_loop_destroy(loop);
	vips_shutdown();
	return left;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_thumbs_only),
		cmocka_unit_test(test_same_hash_when_scaled),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_masks),
		cmocka_unit_test(test_animation_facts),
		cmocka_unit_test(test_stealth),
		cmocka_unit_test(test_asks_refused),
		cmocka_unit_test(test_warm_children),
	};
	return cmocka_run_group_tests_name("picture_open", tests, setup, teardown);
}
