/* Ids: shape, order within a millisecond, with the clock going back, and across threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/clock.h"
#include "base/id.h"

static int64_t frozen = INT64_C(1767323045678);
static int64_t frozen_now(void)
{
	return frozen;
}

static int tear_down(void **state)
{
	atl_clock_set(NULL);
	return 0;
}

/* Runs first: the clock of this test lies in the past, and ids never go back. */
static void test_order(void **state)
{
	char id[ATL_ID_SIZE], last[ATL_ID_SIZE] = "";
	int64_t ms;

	atl_clock_set(frozen_now);
	for (int i = 0; i < 70000; i++) { /* more than two random bytes can count */
		atl_id_new("chr", id);
		assert_true(strcmp(last, id) < 0);
		memcpy(last, id, sizeof(id));
	}
	assert_true(atl_id_time_ms(id, &ms));
	assert_true(ms == frozen);
	frozen -= 5000;
	atl_id_new("chr", id);
	assert_true(strcmp(last, id) < 0);
	assert_true(atl_id_time_ms(id, &ms));
	assert_true(ms == frozen + 5000);
	frozen += 5001;
	memcpy(last, id, sizeof(id));
	atl_id_new("chr", id);
	assert_true(strcmp(last, id) < 0);
	assert_true(atl_id_time_ms(id, &ms));
	assert_true(ms == frozen);
}

static void test_valid(void **state)
{
	static const char *const bad[] = {
		"",
		"chr",
		"chr_",
		"chr_01J9Z3",
		"chr_01J9Z3AAAAAAAAAAAAAAAAAAAAA",
		"cnv_01J9Z3AAAAAAAAAAAAAAAAAAAA",
		"chr-01J9Z3AAAAAAAAAAAAAAAAAAAA",
		"chr_01j9z3aaaaaaaaaaaaaaaaaaaa",
		"chr_81J9Z3AAAAAAAAAAAAAAAAAAAA",
		"chr_01J9Z3AAAAAAAAAAAAAAAAAAAI",
		"chr_01J9Z3AAAAAAAAAAAAAAAAAAAU",
		"chr_01J9Z3AAAAAAAAAAAAAAAAAA' ",
	};
	char id[ATL_ID_SIZE];
	int64_t ms = 77;

	for (size_t i = 0; i < ATL_COUNT(bad); i++)
		assert_false(atl_id_valid(bad[i], "chr"));
	assert_false(atl_id_valid(NULL, "chr"));
	assert_false(atl_id_time_ms("chr_01J9", &ms));
	assert_false(atl_id_time_ms("ch", &ms));
	assert_int_equal(ms, 77);
	assert_true(atl_id_valid("chr_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "chr"));
	assert_true(atl_id_time_ms("xyz_7ZZZZZZZZZ0000000000000000", &ms));
	assert_true(ms == INT64_C(0xFFFFFFFFFFFF));
	assert_true(atl_id_time_ms("xyz_01ARZ3NDEKTSV4RRFFQ69G5FAV", &ms)); /* the specification's example */
	assert_true(ms == INT64_C(1469922850259));
	for (int i = 0; i < 1000; i++) {
		atl_id_new("msg", id);
		assert_int_equal(strlen(id), ATL_ID_SIZE - 1);
		assert_true(atl_id_valid(id, "msg"));
		assert_false(atl_id_valid(id, "chr"));
	}
}

enum { PER_THREAD = 3000 };
struct batch {
	char ids[PER_THREAD][ATL_ID_SIZE];
};

static void *make(void *arg)
{
	struct batch *batch = arg;

	for (int i = 0; i < PER_THREAD; i++)
		atl_id_new("job", batch->ids[i]);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void test_threads(void **state)
{
	static struct batch batches[4];
	pthread_t threads[4];
	const char(*all)[ATL_ID_SIZE] = (const char(*)[ATL_ID_SIZE])batches;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make, &batches[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 4; i++)
		for (int j = 1; j < PER_THREAD; j++)
			assert_true(strcmp(batches[i].ids[j - 1], batches[i].ids[j]) < 0);
	qsort(batches, 4 * PER_THREAD, ATL_ID_SIZE, compare);
	for (int i = 1; i < 4 * PER_THREAD; i++)
		assert_string_not_equal(all[i - 1], all[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(test_order, tear_down),
					    cmocka_unit_test(test_valid), cmocka_unit_test(test_threads) };

	return cmocka_run_group_tests_name("base/id", tests, NULL, NULL);
}
