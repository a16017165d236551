/* What bytes claim to be. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "media/sniff.h"

static void test_table(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		enum atl_picture_kind kind;
	} rows[] = {
		{"\xff\xd8\xff\xe0", 4, ATL_PICTURE_JPEG},
		{"\xff\xd8\xff", 3, ATL_PICTURE_JPEG},
		{"\xff\xd8", 2, ATL_PICTURE_UNKNOWN},
		{"\x89PNG\r\n\x1a\n", 8, ATL_PICTURE_PNG},
		{"\x89PNG\r\n\x1a", 7, ATL_PICTURE_UNKNOWN},
		{"\x89PNG\n\n\x1a\n", 8, ATL_PICTURE_UNKNOWN},
		{"RIFF\0\0\0\0WEBPVP8 ", 16, ATL_PICTURE_WEBP},
		{"RIFF\0\0\0\0WEBP", 12, ATL_PICTURE_WEBP},
		{"RIFF\0\0\0\0WEB", 11, ATL_PICTURE_UNKNOWN},
		{"RIFF\0\0\0\0WAVEfmt ", 16, ATL_PICTURE_UNKNOWN},
		{"GIF87a", 6, ATL_PICTURE_GIF},
		{"GIF89a", 6, ATL_PICTURE_GIF},
		{"\0\0\0\x20" "ftypisom", 12, ATL_PICTURE_MP4},
		{"\0\0\0\x18" "ftypmp42", 12, ATL_PICTURE_MP4},
		{"\0\0\0\x18" "ftypdash", 12, ATL_PICTURE_MP4},
		{"\0\0\0\x18" "ftypM4A ", 12, ATL_PICTURE_UNKNOWN},
		{"\0\0\0\x18" "ftypavif", 12, ATL_PICTURE_UNKNOWN},
		{"\0\0\0\x18" "ftyphei", 11, ATL_PICTURE_UNKNOWN},
		{"\0\0\0\x18" "ftypis", 10, ATL_PICTURE_UNKNOWN},
		{"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", 12, ATL_PICTURE_WEBM},
		{"\x1a\x45\xdf\xa3\x9f\x42\x82\x84web", 11, ATL_PICTURE_UNKNOWN},
		{"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", 16, ATL_PICTURE_UNKNOWN},
		{"<svg/>", 6, ATL_PICTURE_UNKNOWN},
		{"II*\0", 4, ATL_PICTURE_UNKNOWN},
		{"", 0, ATL_PICTURE_UNKNOWN},
	};
	for (size_t i = 0; i < ATL_COUNT(rows); i++)
		assert_int_equal(atl_picture_sniff(rows[i].bytes, rows[i].length), rows[i].kind);
}

static void test_types(void **state)
{
	assert_string_equal(atl_picture_type(ATL_PICTURE_JPEG), "image/jpeg");
	assert_string_equal(atl_picture_type(ATL_PICTURE_PNG), "image/png");
	assert_string_equal(atl_picture_type(ATL_PICTURE_WEBP), "image/webp");
	assert_string_equal(atl_picture_type(ATL_PICTURE_GIF), "image/gif");
	assert_string_equal(atl_picture_type(ATL_PICTURE_MP4), "video/mp4");
	assert_string_equal(atl_picture_type(ATL_PICTURE_WEBM), "video/webm");
	for (enum atl_picture_kind kind = ATL_PICTURE_UNKNOWN; kind <= ATL_PICTURE_WEBM; kind++)
		assert_int_equal(atl_picture_is_video(kind), kind >= ATL_PICTURE_MP4);
	assert_string_equal(atl_picture_type(ATL_PICTURE_UNKNOWN), "application/octet-stream");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_types)};
	return cmocka_run_group_tests_name("sniff", tests, NULL, NULL);
}
