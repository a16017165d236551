/* Notes of videos: taken out in place, everything else byte for byte as it was; broken boxes harm nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "media/video_scrub.h"
#include "os/file.h"

static char folder[] = "/tmp/atl-scrub-XXXXXX";
static char path[64];

static int setup(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/film", folder);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return rmdir(folder);
}

static void box(struct atl_buf *out, const char *type, const void *data, size_t length)
{
	const unsigned char size[4] = {0, 0, (unsigned char)((length + 8) >> 8), (unsigned char)(length + 8)};
	atl_buf_add(out, size, 4);
	atl_buf_add(out, type, 4);
	atl_buf_add(out, data, length);
}

static struct atl_buf scrubbed(const struct atl_buf *film)
{
	struct atl_buf out;
	struct atl_errinfo info = {0};
	atl_buf_init(&out, 65536);
	assert_int_equal(atl_file_write_atomic(path, film->data, film->length, 0600, &info), ATL_OK);
	assert_int_equal(atl_video_scrub(path, &info), ATL_OK);
	assert_int_equal(atl_file_read(path, 65536, &out, &info), ATL_OK);
	assert_int_equal(out.length, film->length);
	return out;
}

static bool has(const struct atl_buf *buf, const char *text)
{
	return memmem(buf->data, buf->length, text, strlen(text)) != NULL;
}

static void test_notes_go(void **state)
{
	struct atl_buf film, moov, trak, after;
	atl_buf_init(&film, 65536);
	atl_buf_init(&moov, 65536);
	atl_buf_init(&trak, 65536);
	box(&trak, "tkhd", "head", 4);
	box(&trak, "udta", "name", 4);
	box(&moov, "mvhd", "udta is only text here", 22);
	box(&moov, "trak", trak.data, trak.length);
	box(&moov, "udta", "\xa9xyz+48.85+002.35/", 18);
	box(&moov, "meta", "phone", 5);
	box(&film, "ftyp", "isom", 4);
	box(&film, "moov", moov.data, moov.length);
	box(&film, "uuid", "xmp", 3);
	box(&film, "mdat", "meta udta uuid", 14);
	after = scrubbed(&film);
	assert_false(has(&after, "udta\xa9"));
	assert_false(has(&after, "udtaname"));
	assert_false(has(&after, "metaphone"));
	assert_false(has(&after, "uuidxmp"));
	assert_true(has(&after, "freephone"));
	assert_true(has(&after, "udta is only text here"));
	assert_true(has(&after, "mdatmeta udta uuid"));
	/* a second time changes nothing */
	struct atl_buf again = scrubbed(&after);
	assert_memory_equal(again.data, after.data, after.length);
	atl_buf_finish(&again);
	atl_buf_finish(&after);
	atl_buf_finish(&trak);
	atl_buf_finish(&moov);
	atl_buf_finish(&film);
}

static void test_broken(void **state)
{
	static const struct {
		const char *data;
		size_t length;
	} rows[] = {
		{"", 0}, {"x", 1}, {"\0\0\0\x08" "ftyp", 8}, {"\0\0\0\x08" "ftyp\xff\xff\xff\xff" "udta", 16},
		{"\0\0\0\x08" "ftyp\0\0\0\x01" "moov\0\0", 18}, {"\0\0\0\x08" "ftyp\0\0\0\x07" "udta", 16},
		{"\0\0\0\x08" "ftyp\0\0\0\x01" "moov\xff\xff\xff\xff\xff\xff\xff\xff", 24}, {"\x1a\x45\xdf\xa3udtaudta", 12},
	};
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_buf film, after;
		atl_buf_init(&film, 65536);
		atl_buf_add(&film, rows[i].data, rows[i].length);
		after = scrubbed(&film);
		assert_memory_equal(after.data, film.data, film.length);
		atl_buf_finish(&after);
		atl_buf_finish(&film);
	}
	assert_int_equal(atl_video_scrub("/nonexistent/film", NULL), ATL_ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_notes_go), cmocka_unit_test(test_broken)};
	return cmocka_run_group_tests_name("video_scrub", tests, setup, teardown);
}
