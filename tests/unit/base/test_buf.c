/* The bounded buffer at its bounds, and the shared bytes across threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/buf.h"

static void test_grow(void **state)
{
	struct atl_buf buf;

	atl_buf_init(&buf, 100000);
	assert_string_equal(buf.data, "");
	for (int i = 0; i < 1000; i++) {
		atl_buf_addc(&buf, 'a');
		atl_buf_adds(&buf, "bc");
		atl_buf_addf(&buf, "%d", i % 10);
	}
	assert_int_equal(buf.length, 4000);
	assert_memory_equal(buf.data + 3996, "abc9", 5);
	assert_int_equal(atl_buf_err(&buf, NULL), ATL_OK);
	atl_buf_finish(&buf);
	assert_string_equal(buf.data, "");
	atl_buf_finish(&buf);
}

static void test_limit_sticks(void **state)
{
	struct atl_errinfo info = { 0 };
	struct atl_buf buf;

	atl_buf_init(&buf, 10);
	atl_buf_adds(&buf, "0123456789");
	assert_false(buf.failed);
	atl_buf_addc(&buf, 'x');
	assert_true(buf.failed);
	assert_string_equal(buf.data, "0123456789");
	assert_int_equal(atl_buf_err(&buf, &info), ATL_ERR_TOO_LARGE);
	assert_non_null(strstr(info.detail, "10 bytes"));
	atl_buf_consume(&buf, 5);
	assert_string_equal(buf.data, "56789");
	atl_buf_adds(&buf, "a"); /* would fit, but a hole must not appear */
	assert_string_equal(buf.data, "56789");
	assert_null(atl_buf_reserve(&buf, 1));
	atl_buf_reset(&buf);
	atl_buf_addf(&buf, "%s", "01234567890");
	assert_true(buf.failed);
	assert_string_equal(buf.data, "");
	atl_buf_reset(&buf);
	assert_null(atl_buf_reserve(&buf, SIZE_MAX));
	atl_buf_finish(&buf);

	atl_buf_init(&buf, 0);
	atl_buf_add(&buf, "", 0);
	assert_false(buf.failed);
	atl_buf_addc(&buf, 'x');
	assert_true(buf.failed);
	atl_buf_finish(&buf);
}

static void test_addf_long(void **state)
{
	struct atl_buf buf;

	for (int width = 254; width <= 258; width++) {
		atl_buf_init(&buf, 258);
		atl_buf_addf(&buf, "%*d", width, 7);
		assert_int_equal(buf.length, width);
		assert_int_equal(buf.data[width - 1], '7');
		atl_buf_finish(&buf);
	}
	atl_buf_init(&buf, 258);
	atl_buf_addf(&buf, "%*d", 259, 7);
	assert_true(buf.failed);
	assert_int_equal(buf.length, 0);
	atl_buf_finish(&buf);
}

static void test_consume_take(void **state)
{
	struct atl_buf buf;
	char *taken;

	atl_buf_init(&buf, 100);
	atl_buf_consume(&buf, 5);
	atl_buf_adds(&buf, "hello");
	atl_buf_consume(&buf, 2);
	assert_string_equal(buf.data, "llo");
	atl_buf_consume(&buf, 100);
	assert_string_equal(buf.data, "");
	atl_buf_add(&buf, "a\0b", 3);
	taken = atl_buf_take(&buf);
	assert_memory_equal(taken, "a\0b", 4);
	free(taken);
	assert_int_equal(buf.length, 0);
	assert_string_equal(buf.data, "");
	taken = atl_buf_take(&buf);
	assert_string_equal(taken, "");
	free(taken);
	atl_buf_adds(&buf, "again");
	assert_string_equal(buf.data, "again");
	atl_buf_finish(&buf);
}

static void test_reserve(void **state)
{
	struct atl_buf buf;
	char *room;

	atl_buf_init(&buf, 5000);
	atl_buf_adds(&buf, "ab");
	room = atl_buf_reserve(&buf, 4998);
	assert_non_null(room);
	memset(room, 'c', 4998);
	buf.length += 4998;
	buf.data[buf.length] = '\0';
	assert_int_equal(strlen(buf.data), 5000);
	assert_null(atl_buf_reserve(&buf, 1));
	atl_buf_finish(&buf);
}

static void *hold(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		struct atl_bytes *mine = atl_bytes_ref(arg);

		assert_int_equal(mine->length, 5);
		atl_bytes_unref(mine);
	}
	atl_bytes_unref(arg);
	return NULL;
}

static void test_bytes(void **state)
{
	struct atl_bytes *bytes = atl_bytes_create("event", 5);
	pthread_t threads[4];

	assert_string_equal(bytes->data, "event");
	for (size_t i = 0; i < ATL_COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hold, atl_bytes_ref(bytes)), 0);
	atl_bytes_unref(bytes); /* the last thread frees it; a leak or an early free is the sanitizer's to see */
	for (size_t i = 0; i < ATL_COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	bytes = atl_bytes_create(NULL, 0);
	assert_string_equal(bytes->data, "");
	atl_bytes_unref(bytes);
	atl_bytes_unref(NULL);
	assert_null(atl_bytes_create("x", SIZE_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_grow),	 cmocka_unit_test(test_limit_sticks),
					    cmocka_unit_test(test_addf_long),	 cmocka_unit_test(test_consume_take),
					    cmocka_unit_test(test_reserve),	 cmocka_unit_test(test_bytes) };

	return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
