/* Bodies of multipart/form-data: what browsers and the official clients send, and what nobody should. */
#include "net/multipart.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#define TYPE "multipart/form-data; boundary=edge"
#define PART "Content-Disposition: form-data; name=\"a\"\r\n\r\n"

static struct atl_arena arena;
static struct atl_part *parts;
static size_t count;

static enum atl_err parse_n(const char *type, const char *body, size_t length)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_multipart_parse(&arena, type, body, length, &parts, &count, &info);

	if (err)
		assert_string_not_equal(info.detail, "");
	return err;
}

static enum atl_err parse(const char *type, const char *body)
{
	return parse_n(type, body, strlen(body));
}

static bool is(const char *name, const char *data)
{
	const struct atl_part *part = atl_multipart_find(parts, count, name);

	return part && part->length == strlen(data) && memcmp(part->data, data, part->length) == 0;
}

static void test_values_and_files(void **state)
{
	assert_int_equal(parse(TYPE, "--edge\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na lighthouse\r\n"
				     "--edge\r\ncontent-type: image/png\r\ncontent-disposition: form-data; name=image; filename=\"a \\\"b\\\".png\"\r\n\r\n"
				     "\x89PNG\r\n--edg\r\n--edge\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--edge--\r\n"),
			 ATL_OK);
	assert_int_equal(count, 3);
	assert_true(is("prompt", "a lighthouse") && is("image", "\x89PNG\r\n--edg") && is("empty", ""));
	assert_null(parts[0].file_name);
	assert_null(parts[0].type);
	assert_string_equal(parts[1].file_name, "a \"b\".png");
	assert_string_equal(parts[1].type, "image/png");
	assert_null(atl_multipart_find(parts, count, "other"));
}

static void test_binary_data_and_preamble(void **state)
{
	static const char body[] = "ignored\r\n--edge\r\n" PART "\0\r\n\0--edge\0\r\n--edge--";

	assert_int_equal(parse_n("multipart/form-data;charset=x; BOUNDARY=\"edge\"", body, sizeof(body) - 1), ATL_OK);
	assert_int_equal(count, 1);
	assert_int_equal(parts[0].length, 11);
	assert_memory_equal(parts[0].data, "\0\r\n\0--edge\0", 11);
}

/* A quoted name may hold what looks like another parameter. */
static void test_parameters_inside_of_quotes(void **state)
{
	assert_int_equal(parse(TYPE, "--edge\r\nContent-Disposition: form-data; name=\"x; filename=\\\"y\"\r\n\r\n1\r\n--edge--\r\n"), ATL_OK);
	assert_string_equal(parts[0].name, "x; filename=\"y");
	assert_null(parts[0].file_name);
	assert_int_equal(parse(TYPE, "--edge\r\nContent-Disposition: form-data; filename=\"; name=z\"; name=\"real\"\r\n\r\n1\r\n--edge--\r\n"),
			 ATL_OK);
	assert_string_equal(parts[0].name, "real");
	assert_string_equal(parts[0].file_name, "; name=z");
}

static void test_wrong_types(void **state)
{
	assert_int_equal(parse(NULL, "--edge--"), ATL_ERR_MEDIA_TYPE);
	assert_int_equal(parse("application/json", "{}"), ATL_ERR_MEDIA_TYPE);
	assert_int_equal(parse("multipart/form-datax; boundary=edge", "--edge--"), ATL_ERR_MEDIA_TYPE);
	assert_int_equal(parse("multipart/form-data", "--edge--"), ATL_ERR_INVALID);
	assert_int_equal(parse("multipart/form-data; boundary=", "----"), ATL_ERR_INVALID);
	assert_int_equal(parse("multipart/form-data; boundary=\"edge", "--edge--"), ATL_ERR_INVALID);
	assert_int_equal(parse("multipart/form-data; boundary=0123456789012345678901234567890123456789012345678901234567890123456789x", ""),
			 ATL_ERR_INVALID);
}

static void test_broken_bodies(void **state)
{
	static const char *const bodies[] = {
		"", "--edge", "--edge\r\n", "--edgy\r\n" PART "x\r\n--edgy--", "x--edge--",
		"--edge\r\n" PART, "--edge\r\n" PART "x", "--edge\r\n" PART "x\r\n", "--edge\r\n" PART "x--edge--",
		"--edge\r\n" PART "x\r\n--edge", "--edge\r\n" PART "x\r\n--edge-", "--edge\r\n" PART "x\r\n--edgeX",
		"--edge\n" PART "x\r\n--edge--", "--edge\r\nContent-Disposition: form-data; name=\"a\"\r\nx\r\n--edge--",
		"--edge\r\n\r\nx\r\n--edge--", "--edge\r\nContent-Disposition: form-data\r\n\r\nx\r\n--edge--",
		"--edge\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--edge--",
		"--edge\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\nx\r\n--edge--",
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)
		if (parse(TYPE, bodies[i]) != ATL_ERR_INVALID)
			fail_msg("%zu was taken: %s", i, bodies[i]);
	assert_int_equal(parse(TYPE, "--edge--\r\n"), ATL_OK); /* a form without fields */
	assert_int_equal(count, 0);
}

/* Every cut of a body is told, and nothing beyond the cut is read (the sanitizer looks). */
static void test_every_cut(void **state)
{
	static const char body[] = "--edge\r\n" PART "value\r\n--edge\r\nContent-Disposition: form-data; name=\"b\"; filename=\"c\"\r\n"
				   "Content-Type: x/y\r\n\r\n\r\n--edge--";

	for (size_t length = 0; length < sizeof(body) - 1; length++) {
		char *copy = test_malloc(length + 1);

		memcpy(copy, body, length);
		copy[length] = '\0';
		assert_int_equal(parse_n(TYPE, copy, length), ATL_ERR_INVALID);
		test_free(copy);
	}
	assert_int_equal(parse_n(TYPE, body, sizeof(body) - 1), ATL_OK);
}

static void test_limits(void **state)
{
	static char body[512 * 1024];
	size_t at = 0;

	for (int i = 0; i < ATL_MULTIPART_PARTS_MAX; i++)
		at += (size_t)sprintf(body + at, "--edge\r\n" PART "x\r\n");
	sprintf(body + at, "--edge--");
	assert_int_equal(parse(TYPE, body), ATL_OK);
	assert_int_equal(count, ATL_MULTIPART_PARTS_MAX);
	sprintf(body + at, "--edge\r\n" PART "x\r\n--edge--");
	assert_int_equal(parse(TYPE, body), ATL_ERR_INVALID);
	at = (size_t)sprintf(body, "--edge\r\nX: ");
	memset(body + at, 'x', ATL_MULTIPART_HEAD_MAX);
	sprintf(body + at + ATL_MULTIPART_HEAD_MAX, "\r\n" PART "x\r\n--edge--");
	assert_int_equal(parse(TYPE, body), ATL_ERR_INVALID);
}

static int setup(void **state)
{
	atl_arena_init(&arena, (size_t)64 << 20);
	return 0;
}

static int teardown(void **state)
{
	atl_arena_finish(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_and_files),
		cmocka_unit_test(test_binary_data_and_preamble),
		cmocka_unit_test(test_parameters_inside_of_quotes),
		cmocka_unit_test(test_wrong_types),
		cmocka_unit_test(test_broken_bodies),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
