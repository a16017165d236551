/* The carriers: what is written reads back, what was there before is gone, pixels stay, odd files are survived. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "media/bytes.h"
#include "media/exif.h"
#include "media/jpeg_segment.h"
#include "media/metadata.h"
#include "media/png_chunk.h"
#include "media/webp_chunk.h"

#define SECRET "a secret of the old file"

static struct atl_arena arena;
static struct atl_buf file, out;

static int setup(void **state)
{
	atl_arena_init(&arena, 0);
	atl_buf_init(&file, 8 << 20);
	atl_buf_init(&out, 16 << 20);
	return 0;
}

static int teardown(void **state)
{
	atl_arena_finish(&arena);
	atl_buf_finish(&file);
	atl_buf_finish(&out);
	return 0;
}

/* ---- small files that are whole but for their pixels ---- */

static void old_exif(struct atl_buf *to)
{
	atl_exif_write(to, SECRET "\nSteps: 1, Seed: 2, Sampler: x", 6);
}

static void make_png(bool with_old)
{
	struct atl_buf exif;
	atl_buf_reset(&file);
	atl_buf_init(&exif, 4096);
	old_exif(&exif);
	atl_buf_add(&file, "\x89PNG\r\n\x1a\n", 8);
	atl_png_add(&file, "IHDR", "\0\0\0\1\0\0\0\1\10\2\0\0\0", 13);
	atl_png_add(&file, "gAMA", "\0\0\xb1\x8f", 4);
	if (with_old) {
		atl_png_add_text(&file, "Parameters", SECRET);
		atl_png_add_itxt(&file, "Comment", SECRET);
		atl_png_add(&file, "zTXt", "k\0\0" SECRET, sizeof "k\0\0" SECRET);
		atl_png_add(&file, "eXIf", exif.data, exif.length);
		atl_png_add(&file, "caBX", SECRET, sizeof SECRET);
		atl_png_add(&file, "zzZz", SECRET, sizeof SECRET);
	}
	atl_png_add(&file, "IDAT", "pixels", 6);
	if (with_old)
		atl_png_add_text(&file, "prompt", SECRET);
	atl_png_add(&file, "IEND", NULL, 0);
	if (with_old)
		atl_buf_adds(&file, SECRET);
	atl_buf_finish(&exif);
}

static void make_jpeg(bool with_old)
{
	struct atl_buf exif;
	atl_buf_reset(&file);
	atl_buf_init(&exif, 4096);
	old_exif(&exif);
	atl_buf_add(&file, "\xff\xd8", 2);
	assert_true(atl_jpeg_add(&file, 0xe0, "JFIF", 5, "\1\1\0\0\1\0\1\0\0", 9));
	if (with_old) {
		assert_true(atl_jpeg_add(&file, 0xe1, ATL_JPEG_EXIF, sizeof ATL_JPEG_EXIF, exif.data, exif.length));
		assert_true(atl_jpeg_add(&file, 0xe1, ATL_JPEG_XMP, sizeof ATL_JPEG_XMP, SECRET, sizeof SECRET));
		assert_true(atl_jpeg_add(&file, 0xeb, "JP", 2, SECRET, sizeof SECRET));
		assert_true(atl_jpeg_add(&file, 0xed, "Photoshop 3.0", 14, SECRET, sizeof SECRET));
		assert_true(atl_jpeg_add(&file, 0xe2, "MPF", 4, SECRET, sizeof SECRET));
		assert_true(atl_jpeg_add(&file, 0xfe, "", 0, SECRET, sizeof SECRET));
	}
	assert_true(atl_jpeg_add(&file, 0xe2, "ICC_PROFILE", 12, "\1\1colour", 8));
	atl_buf_add(&file, "\xff\xff", 2); /* fill bytes */
	assert_true(atl_jpeg_add(&file, 0xc2, "", 0, "\10\0\1\0\1\1\1\21\0", 9));
	assert_true(atl_jpeg_add(&file, 0xda, "", 0, "\1\1\0\0\0\0", 6));
	atl_buf_add(&file, "scan\xff\0one\xff\xd0rest", 15);
	if (with_old)
		assert_true(atl_jpeg_add(&file, 0xfe, "", 0, SECRET, sizeof SECRET));
	assert_true(atl_jpeg_add(&file, 0xda, "", 0, "\1\1\0\0\0\0", 6));
	atl_buf_add(&file, "scan two\xff\xd9", 10);
	if (with_old)
		atl_buf_adds(&file, SECRET);
	atl_buf_finish(&exif);
}

enum webp { SIMPLE, LOSSLESS, EXTENDED, ANIMATED };

static void make_webp(enum webp kind, bool with_old)
{
	static const struct atl_webp_canvas canvas = {.width = 100000, .height = 7, .alpha = true};
	struct atl_buf exif;
	atl_buf_reset(&file);
	atl_buf_init(&exif, 4096);
	old_exif(&exif);
	atl_buf_add(&file, "RIFF\0\0\0\0WEBP", 12);
	if (kind >= EXTENDED) {
		atl_webp_add_vp8x(&file, ATL_WEBP_ALPHA | ATL_WEBP_ICC | (kind == ANIMATED ? ATL_WEBP_ANIM : 0U), &canvas);
		atl_webp_add(&file, "ICCP", "colour!", 7);
	}
	if (kind == ANIMATED) {
		atl_webp_add(&file, "ANIM", "\0\0\0\0\0\0", 6);
		atl_webp_add(&file, "ANMF", "one frame", 9);
	} else if (kind == LOSSLESS) {
		atl_webp_add(&file, "VP8L", "\x2f\x1f\xc0\x0f\x10pixels", 11);
	} else {
		if (kind == EXTENDED)
			atl_webp_add(&file, "ALPH", "alpha", 5);
		atl_webp_add(&file, "VP8 ", "\x30\1\0\x9d\1\x2a\x40\1\xf0\0pixels", 16);
	}
	if (with_old) {
		atl_webp_add(&file, "EXIF", exif.data, exif.length);
		atl_webp_add(&file, "XMP ", SECRET, sizeof SECRET);
		atl_webp_add(&file, "C2PA", SECRET, sizeof SECRET);
		atl_webp_add(&file, "what", SECRET, sizeof SECRET);
	}
	for (unsigned i = 0; i < 4; i++)
		file.data[4 + i] = (char)((file.length - 8) >> 8 * i);
	if (with_old)
		atl_buf_adds(&file, SECRET);
	atl_buf_finish(&exif);
}

static void make_file(unsigned which, bool with_old)
{
	if (which == 0)
		make_png(with_old);
	else if (which == 1)
		make_jpeg(with_old);
	else
		make_webp((enum webp)(which - 2), with_old);
}
#define FILE_KINDS 6U

static struct atl_recall write_and_read(const struct atl_metadata_out *m)
{
	struct atl_recall r;
	struct atl_errinfo info = {0};
	atl_buf_reset(&out);
	assert_int_equal(atl_metadata_write(file.data, file.length, m, &out, &info), ATL_OK);
	assert_int_equal(atl_metadata_read(&arena, out.data, out.length, &r, &info), ATL_OK);
	return r;
}

static bool contains(const struct atl_buf *buf, const void *part, size_t length)
{
	return memmem(buf->data, buf->length, part, length) != NULL;
}

/* ---- tests ---- */

static void test_round_trip(void **state)
{
	struct atl_recall r, back;
	atl_recall_init(&r);
	r.prompt = "ein \"Rad\" & <b>ände</b>,\nzwei Räder 🚲";
	r.negative_prompt = "blurry";
	r.steps = 20;
	r.seed = 41;
	r.width = 832;
	r.height = 1216;
	r.cfg_scale = 7.5;
	r.model = "base";
	struct atl_metadata_out m = {.parameters = atl_metadata_parameters(&arena, &r),
				     .atelier = atl_metadata_json(&arena, &r)};
	for (unsigned which = 0; which < FILE_KINDS; which++)
		for (unsigned ours = 0; ours < 2; ours++) {
			struct atl_metadata_out part = m;
			if (!ours)
				part.atelier = NULL;
			make_file(which, true);
			back = write_and_read(&part);
			assert_string_equal(back.source, ours ? "atelier" : "a1111");
			assert_string_equal(back.prompt, r.prompt);
			assert_string_equal(back.negative_prompt, r.negative_prompt);
			assert_string_equal(back.model, "base");
			assert_true(back.steps == 20 && back.seed == 41 && back.width == 832 && back.height == 1216);
			assert_true(back.cfg_scale == 7.5 && back.ai_marked);
			assert_string_equal(back.raw, m.parameters);
			if (ours)
				assert_string_equal(back.atelier, m.atelier);
		}
}

static void test_only_the_mark(void **state)
{
	for (unsigned which = 0; which < FILE_KINDS; which++)
		for (unsigned composite = 0; composite < 2; composite++) {
			make_file(which, true);
			struct atl_recall r = write_and_read(&(struct atl_metadata_out){.composite = composite});
			assert_null(r.source);
			assert_null(r.raw);
			assert_true(r.ai_marked);
			const char *term = composite ? "/compositeWithTrainedAlgorithmicMedia\"" : "/trainedAlgorithmicMedia\"";
			assert_true(contains(&out, term, strlen(term)));
		}
}

static void test_old_is_gone(void **state)
{
	char wide[2 * sizeof SECRET];
	for (size_t i = 0; i < sizeof SECRET; i++)
		wide[2 * i] = 0, wide[2 * i + 1] = SECRET[i];
	for (unsigned which = 0; which < FILE_KINDS; which++) {
		make_file(which, true);
		assert_true(contains(&file, SECRET, sizeof SECRET - 1));
		assert_true(contains(&file, wide, sizeof wide - 2));
		(void)write_and_read(&(struct atl_metadata_out){.parameters = "x\nSteps: 1, Seed: 2, Sampler: y"});
		assert_false(contains(&out, SECRET, sizeof SECRET - 1));
		assert_false(contains(&out, wide, sizeof wide - 2));
		/* written again: nothing is there twice */
		struct atl_buf once = out;
		atl_buf_init(&out, 16 << 20);
		atl_buf_reset(&file);
		atl_buf_add(&file, once.data, once.length);
		(void)write_and_read(&(struct atl_metadata_out){.parameters = "x\nSteps: 1, Seed: 2, Sampler: y"});
		assert_int_equal(out.length, once.length);
		assert_memory_equal(out.data, once.data, once.length);
		atl_buf_finish(&once);
	}
}

static void test_what_stays(void **state)
{
	static const struct {
		const char *part;
		size_t length;
	} parts[FILE_KINDS][3] = {
		{{"gAMA\0\0\xb1\x8f", 8}, {"IDATpixels", 10}, {"IEND\xae\x42\x60\x82", 8}},
		{{"JFIF\0\1\1", 7}, {"ICC_PROFILE\0\1\1colour", 20}, {"scan\xff\0one\xff\xd0rest\xff\xda", 17}},
		{{"VP8X\x0a\0\0\0\x0c\0\0\0\x3f\1\0\xef\0\0", 18}, {"VP8 \x10\0\0\0", 8}, {"pixels", 6}},
		{{"VP8X\x0a\0\0\0\x1c\0\0\0\x1f\0\0\x3f\0\0", 18}, {"VP8L\x0b\0\0\0", 8}, {"pixels\0", 7}},
		{{"VP8X\x0a\0\0\0\x3c\0\0\0\x9f\x86\1\6\0\0", 18}, {"ICCP\7\0\0\0colour!\0ALPH", 20}, {"pixels", 6}},
		{{"VP8X\x0a\0\0\0\x3e\0\0\0\x9f\x86\1\6\0\0", 18}, {"ANIM", 4}, {"ANMF\x09\0\0\0one frame\0EXIF", 22}},
	};
	for (unsigned which = 0; which < FILE_KINDS; which++) {
		make_file(which, true);
		(void)write_and_read(&(struct atl_metadata_out){.parameters = "x\nSteps: 1, Seed: 2, Sampler: y"});
		for (size_t i = 0; i < 3; i++)
			if (!contains(&out, parts[which][i].part, parts[which][i].length))
				fail_msg("file %u lacks part %zu", which, i);
		if (which >= 2)
			assert_int_equal(atl_le32((const uint8_t *)out.data + 4), out.length - 8);
		/* turned by Exif before, turned now */
		const char *tiff = memmem(out.data, out.length, "MM\0*", 4);
		assert_non_null(tiff);
		assert_int_equal(atl_exif_orientation(tiff, out.length - (size_t)(tiff - out.data)), 6);
		make_file(which, false);
		(void)write_and_read(&(struct atl_metadata_out){0});
		assert_false(contains(&out, "MM\0*", 4));
	}
}

static void test_png_keeps_latin1(void **state)
{
	static const struct {
		const char *text, *type;
	} rows[] = {{"caf\xc3\xa9\nSteps: 1, Seed: 2, Sampler: y", "tEXtparameters"},
		    {"\xc3\x83\xc2\xa9\nSteps: 1, Seed: 2, Sampler: y", "iTXtparameters"}, /* its Latin-1 is UTF-8 too */
		    {"\xe2\x82\xac\nSteps: 1, Seed: 2, Sampler: y", "iTXtparameters"}};
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		make_png(false);
		struct atl_recall r = write_and_read(&(struct atl_metadata_out){.parameters = rows[i].text});
		assert_string_equal(r.raw, rows[i].text);
		assert_true(contains(&out, rows[i].type, strlen(rows[i].type)));
	}
}

static void test_too_long_for_a_segment(void **state)
{
	char *text = atl_arena_alloc(&arena, 70001), *json = atl_arena_alloc(&arena, 70100);
	memset(text, 'a', 70000);
	memcpy(json, "{\"prompt\":\"", 11);
	memset(json + 11, 'b', 70000);
	memcpy(json + 70011, "\"}", 2);
	for (unsigned which = 0; which < FILE_KINDS; which++) {
		make_file(which, true);
		struct atl_recall r = write_and_read(&(struct atl_metadata_out){.parameters = text, .atelier = json});
		assert_true(r.ai_marked);
		if (which == 1)
			assert_null(r.source);
		else
			assert_int_equal(strlen(r.prompt), 70000);
	}
	char *longer = atl_arena_alloc(&arena, ATL_METADATA_TEXT_MAX + 2);
	memset(longer, 'a', ATL_METADATA_TEXT_MAX + 1);
	struct atl_errinfo info = {0};
	make_png(false);
	const struct atl_metadata_out too_long = {.atelier = longer};
	assert_int_equal(atl_metadata_write(file.data, file.length, &too_long, &out, &info), ATL_ERR_TOO_LARGE);
}

static void test_exif_comments(void **state)
{
	static const struct {
		const char *comment;
		size_t length;
	} rows[] = {
		{"UNICODE\0\xfe\xff\0h\0i", 14}, {"UNICODE\0\0h\0i", 12}, {"UNICODE\0h\0i\0", 12},
		{"UNICODE\0\xff\xfeh\0i\0", 14}, {"ASCII\0\0\0hi\0\0", 12}, {"\0\0\0\0\0\0\0\0hi", 10},
	};
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_texts *texts = ATL_ARENA_NEW(&arena, struct atl_texts);
		struct atl_buf tiff;
		atl_buf_init(&tiff, 4096);
		atl_buf_add(&tiff, "Exif\0\0II*\0\x08\0\0\0\1\0\x86\x92\7\0", 20);
		atl_buf_add_le32(&tiff, (uint32_t)rows[i].length);
		atl_buf_add_le32(&tiff, 26);
		atl_buf_add_le32(&tiff, 0);
		atl_buf_add(&tiff, rows[i].comment, rows[i].length);
		atl_exif_read(&arena, tiff.data, tiff.length, texts);
		assert_int_equal(texts->count, 1);
		assert_string_equal(texts->items[0].text, "hi");
		atl_buf_finish(&tiff);
	}
}

static void add_ztxt(const char *key, size_t zeros)
{
	size_t room = zeros / 100 + 4096;
	char *text = calloc(1, zeros), *packed = malloc(room);
	memset(text, 'a', zeros);
	struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
	size_t length = libdeflate_zlib_compress(c, text, zeros, packed, room);
	libdeflate_free_compressor(c);
	assert_true(length > 0);
	struct atl_buf data;
	atl_buf_init(&data, 8 << 20);
	atl_buf_add(&data, key, strlen(key) + 1);
	atl_buf_addc(&data, 0);
	atl_buf_add(&data, packed, length);
	atl_png_add(&file, "zTXt", data.data, data.length);
	atl_buf_finish(&data);
	free(text);
	free(packed);
}

static void test_compressed(void **state)
{
	struct atl_errinfo info = {0};
	struct atl_recall r;
	make_png(false);
	add_ztxt("parameters", ATL_METADATA_TEXT_MAX);
	assert_int_equal(atl_metadata_read(&arena, file.data, file.length, &r, &info), ATL_OK);
	assert_int_equal(strlen(r.raw), ATL_METADATA_TEXT_MAX);
	/* one byte more is left out, and what follows is read */
	make_png(false);
	add_ztxt("parameters", ATL_METADATA_TEXT_MAX + 1);
	atl_png_add_text(&file, "parameters", "x\nSteps: 1, Seed: 2, Sampler: y");
	assert_int_equal(atl_metadata_read(&arena, file.data, file.length, &r, &info), ATL_OK);
	assert_int_equal(r.seed, 2);
	/* a file full of bombs is given up */
	make_png(false);
	for (int i = 0; i < 200; i++)
		add_ztxt("parameters", 3 << 20);
	atl_png_add_text(&file, "parameters", "x\nSteps: 1, Seed: 2, Sampler: y");
	assert_int_equal(atl_metadata_read(&arena, file.data, file.length, &r, &info), ATL_ERR_NOT_FOUND);
}

static void test_cut_and_altered(void **state)
{
	static const struct atl_metadata_out m = {.parameters = "x\nSteps: 1, Seed: 2, Sampler: y", .atelier = "{}"};
	struct atl_recall r;
	struct atl_errinfo info = {0};
	for (unsigned which = 0; which < FILE_KINDS; which++) {
		make_file(which, false);
		(void)write_and_read(&m);
		size_t whole = out.length;
		char *copy = malloc(whole);
		for (size_t cut = 0; cut < whole; cut++) {
			char *exact = malloc(cut ? cut : 1); /* so that a read past the end is seen */
			memcpy(exact, out.data, cut);
			enum atl_err err = atl_metadata_read(&arena, exact, cut, &r, &info);
			assert_true(err == ATL_OK || err == ATL_ERR_NOT_FOUND || err == ATL_ERR_PICTURE);
			atl_buf_reset(&file);
			assert_int_equal(atl_metadata_write(exact, cut, &m, &file, &info), ATL_ERR_PICTURE);
			free(exact);
			memcpy(copy, out.data, whole);
			copy[cut] = (char)~copy[cut];
			err = atl_metadata_read(&arena, copy, whole, &r, &info);
			assert_true(err == ATL_OK || err == ATL_ERR_NOT_FOUND || err == ATL_ERR_PICTURE);
			atl_buf_reset(&file);
			err = atl_metadata_write(copy, whole, &m, &file, &info);
			assert_true(err == ATL_OK || err == ATL_ERR_PICTURE);
			atl_arena_reset(&arena);
		}
		free(copy);
	}
}

static void test_other_kinds(void **state)
{
	static const char *const files[] = {"", "GIF89a....", "<svg/>", "\x89PNG"};
	for (size_t i = 0; i < ATL_COUNT(files); i++) {
		struct atl_recall r;
		struct atl_errinfo info = {0};
		assert_int_equal(atl_metadata_read(&arena, files[i], strlen(files[i]), &r, &info), ATL_ERR_PICTURE);
		assert_int_equal(atl_metadata_write(files[i], strlen(files[i]), &(struct atl_metadata_out){0}, &out, &info),
				 ATL_ERR_PICTURE);
	}
	struct atl_recall r;
	struct atl_errinfo info = {0};
	make_png(false);
	assert_int_equal(atl_metadata_read(&arena, file.data, file.length, &r, &info), ATL_ERR_NOT_FOUND);
	/* JSON of a tool that nobody here knows is no prompt */
	atl_png_add_text(&file, "parameters", "{\"prompt\": \"x\", \"odd\": NaN}");
	assert_int_equal(atl_metadata_read(&arena, file.data, file.length, &r, &info), ATL_ERR_NOT_FOUND);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),	TEST(test_only_the_mark),	   TEST(test_old_is_gone),
		TEST(test_what_stays),	TEST(test_png_keeps_latin1),	   TEST(test_too_long_for_a_segment),
		TEST(test_exif_comments), TEST(test_compressed),		   TEST(test_cut_and_altered),
		TEST(test_other_kinds),
	};
	return cmocka_run_group_tests_name("metadata_file", tests, NULL, NULL);
}
