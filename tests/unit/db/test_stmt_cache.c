/* test_stmt_cache.c - finding by address and by text, eviction, statements in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "db/stmt_cache.h"

static int drops;
static int64_t dropped;

static void drop(struct atl_stmt *stmt, void *arg)
{
	assert_ptr_equal(arg, &drops);
	drops++;
	dropped = stmt->number;
}

static struct atl_stmt_cache cache;

static int setup(void **state)
{
	drops = 0;
	atl_stmt_cache_init(&cache, drop, &drops);
	return 0;
}

static int teardown(void **state)
{
	int before = drops, left = cache.count;

	atl_stmt_cache_finish(&cache);
	return drops - before == left ? 0 : -1;
}

static void finds_by_address_and_by_text(void **state)
{
	char a[] = "SELECT 1", b[] = "SELECT 1", c[] = "SELECT 2";
	struct atl_stmt *stmt = atl_stmt_cache_add(&cache, "", a);

	assert_non_null(stmt);
	assert_ptr_equal(atl_stmt_cache_find(&cache, "", a), stmt);
	assert_ptr_equal(atl_stmt_cache_find(&cache, "", b), stmt);
	assert_ptr_equal(atl_stmt_cache_find(&cache, "", b), stmt);
	assert_null(atl_stmt_cache_find(&cache, "", c));
	assert_null(atl_stmt_cache_find(&cache, "i", a));
}

static void an_address_with_another_text_is_not_found(void **state)
{
	char text[] = "SELECT 1";

	assert_non_null(atl_stmt_cache_add(&cache, "is", text));
	text[7] = '2';
	assert_null(atl_stmt_cache_find(&cache, "is", text));
}

static void kinds_and_text_do_not_run_together(void **state)
{
	assert_non_null(atl_stmt_cache_add(&cache, "i", "s:SELECT"));
	assert_null(atl_stmt_cache_find(&cache, "i:s", "SELECT"));
	assert_null(atl_stmt_cache_find(&cache, "is", ":SELECT"));
}

static struct atl_stmt *add_numbered(int number)
{
	char sql[32];
	struct atl_stmt *stmt;

	snprintf(sql, sizeof(sql), "SELECT %d", number);
	stmt = atl_stmt_cache_add(&cache, "", sql);
	if (stmt)
		stmt->number = number;
	return stmt;
}

static struct atl_stmt *find_numbered(int number)
{
	char sql[32];

	snprintf(sql, sizeof(sql), "SELECT %d", number);
	return atl_stmt_cache_find(&cache, "", sql);
}

static void the_longest_unused_goes(void **state)
{
	for (int i = 0; i < ATL_STMT_CACHE_MAX; i++)
		assert_non_null(add_numbered(i));
	assert_non_null(find_numbered(0)); /* used again */
	find_numbered(1)->busy = true;
	find_numbered(2)->used = 0;
	find_numbered(1)->used = 0;
	assert_non_null(find_numbered(2));
	find_numbered(1)->used = 0;
	assert_non_null(add_numbered(1000));
	assert_int_equal(drops, 1);
	assert_int_equal(dropped, 3);
	assert_null(find_numbered(3));
	for (int i = 0; i < ATL_STMT_CACHE_MAX; i++)
		if (i != 3)
			assert_int_equal(find_numbered(i)->number, i);
	assert_int_equal(find_numbered(1000)->number, 1000);
	assert_int_equal(cache.count, ATL_STMT_CACHE_MAX);
}

static void all_busy_means_no_room(void **state)
{
	for (int i = 0; i < ATL_STMT_CACHE_MAX; i++)
		add_numbered(i)->busy = true;
	assert_null(add_numbered(1000));
	assert_int_equal(drops, 0);
}

static void a_removed_one_is_gone(void **state)
{
	struct atl_stmt *stmt = add_numbered(1);

	add_numbered(2);
	atl_stmt_cache_remove(&cache, stmt);
	assert_int_equal(dropped, 1);
	assert_null(find_numbered(1));
	assert_int_equal(find_numbered(2)->number, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_by_address_and_by_text, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_with_another_text_is_not_found, setup, teardown),
		cmocka_unit_test_setup_teardown(kinds_and_text_do_not_run_together, setup, teardown),
		cmocka_unit_test_setup_teardown(the_longest_unused_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(all_busy_means_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(a_removed_one_is_gone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
