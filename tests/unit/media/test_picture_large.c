/* Pictures as large as they may be through the true atelier-decode: within its limits of memory and time, in every form. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "media/picture.h"
#include "support.h"

static struct atl_loop *loop;
static struct atl_pictures *decoder;

static void test_avatar(void **state)
{
	static const unsigned widths[] = {64};
	struct bytes in = save(two_halves(7000, 7000, 4), ".png[compression=1]");
	struct atl_arena arena;
	struct atl_picture picture;
	struct atl_errinfo info = {0};
	atl_arena_init(&arena, 0);
	if (atl_picture_decode(decoder, &arena, in.data, in.length, widths, 1, &picture, &info) != ATL_OK)
		fail_msg("%s", info.detail);
	assert_int_equal(picture.out_count, 2);
	assert_int_equal(picture.outs[0].width, ATL_PICTURE_KEEP_SIDE);
	assert_int_equal(picture.outs[0].height, ATL_PICTURE_KEEP_SIDE);
	assert_int_equal(picture.outs[1].width, 64);
	g_free(in.data);
	atl_arena_finish(&arena);
}

static void test_library(void **state)
{
	static const struct {
		int width, height, bands;
		const char *suffix;
		enum atl_picture_form keep;
		unsigned got_width, got_height;
	} rows[] = {{7000, 7000, 3, ".jpg[Q=60]", ATL_PICTURE_AS_AUTO, 7000, 7000},
		    {7000, 7000, 4, ".png[compression=1]", ATL_PICTURE_AS_AUTO, 7000, 7000},
		    {12000, 4000, 3, ".jpg[Q=60]", ATL_PICTURE_AS_PNG, 8192, 2731}};
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		static const unsigned widths[] = {512};
		struct bytes in = save(two_halves(rows[i].width, rows[i].height, rows[i].bands), rows[i].suffix);
		struct atl_arena arena;
		struct atl_picture p;
		struct atl_errinfo info = {0};
		struct atl_picture_options ask = {.keep = rows[i].keep, .widths = widths, .width_count = 1, .blurhash = true,
						  .raw = {.channels = 3, .width = 4096, .height = 4096, .cover = true}};
		atl_arena_init(&arena, (size_t)256 << 20);
		if (atl_picture_open(decoder, &arena, in.data, in.length, &ask, &p, &info) != ATL_OK)
			fail_msg("%s", info.detail);
		assert_int_equal(p.outs[0].width, rows[i].got_width);
		assert_int_equal(p.outs[0].height, rows[i].got_height);
		assert_int_equal(p.outs[1].width, 512);
		assert_non_null(p.raw);
		g_free(in.data);
		atl_arena_finish(&arena);
	}
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
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_avatar), cmocka_unit_test(test_library)};
	return cmocka_run_group_tests_name("picture_large", tests, setup, teardown);
}
