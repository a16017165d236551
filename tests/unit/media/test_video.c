/* Videos through the true atelier-decode: the poster frame, the facts, and files that are not what they say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/picture.h"

static struct atl_loop *loop;
static struct atl_pictures *decoder;

struct file {
	unsigned char data[16384];
	size_t length;
};

static void read_file(const char *name, struct file *ret)
{
	char path[1024];
	snprintf(path, sizeof path, "%s/%s", getenv("MEDIA_CASES"), name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	ret->length = fread(ret->data, 1, sizeof ret->data, f);
	fclose(f);
	assert_in_range(ret->length, 1000, sizeof ret->data - 1);
}

static enum atl_err open_file(const struct file *file, struct atl_arena *arena, struct atl_picture *ret,
			      struct atl_errinfo *info)
{
	static const unsigned widths[] = {48};
	struct atl_picture_options ask = {.owner = "usr_a", .keep = ATL_PICTURE_AS_AUTO, .widths = widths, .width_count = 1,
				      .blurhash = true, .phash = true, .raw = {.channels = 3, .width = 96, .height = 96}};
	return atl_picture_open(decoder, arena, file->data, file->length, &ask, ret, info);
}

static void expect_colour(const struct atl_picture *p, unsigned x, unsigned y, bool red)
{
	const unsigned char *c = p->raw + (y * 96 + x) * 3;
	if (!(red ? c[0] > 200 && c[2] < 60 : c[2] > 200 && c[0] < 60))
		fail_msg("at %u,%u: %u %u %u", x, y, c[0], c[1], c[2]);
}

static void test_posters(void **state)
{
	static const struct {
		const char *name;
		enum atl_picture_kind kind;
		unsigned width, height;
	} rows[] = {{"clip.mp4", ATL_PICTURE_MP4, 96, 64},
		    {"clip.webm", ATL_PICTURE_WEBM, 96, 64},
		    {"clip-vp8.webm", ATL_PICTURE_WEBM, 96, 64},
		    {"clip-turned.mp4", ATL_PICTURE_MP4, 64, 96}};
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_arena arena;
		struct atl_picture p;
		struct atl_errinfo info = {0};
		struct file file;
		read_file(rows[i].name, &file);
		atl_arena_init(&arena, 0);
		if (open_file(&file, &arena, &p, &info) != ATL_OK)
			fail_msg("%s: %s", rows[i].name, info.detail);
		assert_int_equal(p.kind, rows[i].kind);
		assert_int_equal(p.width, rows[i].width);
		assert_int_equal(p.height, rows[i].height);
		assert_in_range(p.duration_ms, 1950, 2100);
		assert_true(p.frames == 20 || (p.frames == 0 && p.kind == ATL_PICTURE_WEBM));
		assert_int_equal(p.out_count, 2);
		assert_int_equal(p.outs[0].form, ATL_PICTURE_AS_WEBP);
		assert_int_equal(p.outs[1].width, 48);
		assert_int_equal(strlen(p.blurhash), 28);
		bool turned = rows[i].height > rows[i].width; /* red is at the bottom then */
		expect_colour(&p, 10, turned ? 86 : 48, true);
		expect_colour(&p, 86, turned ? 10 : 48, false);
		atl_arena_finish(&arena);
	}
}

/* Cut at any place: a picture, or words. */
static void test_cut_short(void **state)
{
	static const char *const names[] = {"clip.mp4", "clip.webm", "clip-vp8.webm"};
	for (size_t i = 0; i < ATL_COUNT(names); i++) {
		struct file file;
		read_file(names[i], &file);
		size_t whole = file.length;
		for (file.length = 40; file.length < whole; file.length += whole / 23) {
			struct atl_arena arena;
			struct atl_picture p;
			struct atl_errinfo info = {0};
			atl_arena_init(&arena, 0);
			enum atl_err err = open_file(&file, &arena, &p, &info);
			assert_true(err == ATL_OK || (err == ATL_ERR_PICTURE && info.detail[0]));
			assert_true(err == ATL_ERR_PICTURE || file.length > 500);
			atl_arena_finish(&arena);
		}
	}
}

static void test_mislabelled(void **state)
{
	struct file file, other;
	struct atl_arena arena;
	struct atl_picture p;
	struct atl_errinfo info = {0};
	atl_arena_init(&arena, 0);
	/* a WebM file that starts like MP4, and the other way round */
	read_file("clip.webm", &file);
	memcpy(file.data, "\0\0\0\x18" "ftypisom\0\0\0\0isom", 20);
	assert_int_equal(open_file(&file, &arena, &p, &info), ATL_ERR_PICTURE);
	read_file("clip.mp4", &other);
	memcpy(other.data, "\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", 12);
	assert_int_equal(open_file(&other, &arena, &p, &info), ATL_ERR_PICTURE);
	/* a video is no avatar */
	read_file("clip.mp4", &file);
	assert_int_equal(atl_picture_decode(decoder, &arena, file.data, file.length, NULL, 0, &p, &info), ATL_ERR_PICTURE);
	assert_non_null(strstr(info.detail, "not a JPEG"));
	atl_arena_finish(&arena);
}

/* The frame at a share of the length, also far from any key frame: the light there is what the clip says. */
static void test_frame_at(void **state)
{
	static const char *const names[] = {"ramp.mp4", "ramp.webm"};
	static const unsigned points[] = {2, 35, 65, 95};
	for (size_t i = 0; i < ATL_COUNT(names); i++) {
		struct file file;
		read_file(names[i], &file);
		for (size_t k = 0; k < ATL_COUNT(points); k++) {
			struct atl_picture_options ask = {.owner = "usr_a", .raw = {.channels = 3, .width = 8, .height = 8},
							  .at_percent = points[k]};
			struct atl_arena arena;
			struct atl_picture p;
			struct atl_errinfo info = {0};
			atl_arena_init(&arena, 0);
			if (atl_picture_open(decoder, &arena, file.data, file.length, &ask, &p, &info) != ATL_OK)
				fail_msg("%s at %u: %s", names[i], points[k], info.detail);
			/* 40 frames, 5 of 219 steps of light each */
			int want = (int)(points[k] * 40 / 100 * 5 * 255 / 219);
			if (abs(p.raw[0] - want) > 14)
				fail_msg("%s at %u: %u instead of %d", names[i], points[k], p.raw[0], want);
			atl_arena_finish(&arena);
		}
	}
}

static int setup(void **state)
{
	struct atl_errinfo info = {0};
	if (atl_loop_create("pictures", &loop, &info) != ATL_OK)
		return -1;
	return atl_pictures_create(loop, getenv("ATELIER_DECODE"), &decoder, &info) == ATL_OK ? 0 : -1;
}

static int teardown(void **state)
{
	atl_pictures_destroy(decoder);
	atl_loop_stop(loop);
	atl_loop_destroy(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_posters), cmocka_unit_test(test_cut_short),
					   cmocka_unit_test(test_mislabelled), cmocka_unit_test(test_frame_at)};
	return cmocka_run_group_tests_name("video", tests, setup, teardown);
}
