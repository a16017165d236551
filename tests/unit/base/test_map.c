/* The map under growth, full collisions and removal while visiting; the list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"

static void test_put_get(void **state)
{
	static int a, b;
	struct atl_map map;
	void *old = &a;

	atl_map_init(&map);
	assert_null(atl_map_get(&map, "x"));
	assert_null(atl_map_remove(&map, "x"));
	assert_int_equal(atl_map_put(&map, "x", &a, &old), ATL_OK);
	assert_null(old);
	assert_int_equal(atl_map_put(&map, "", &b, NULL), ATL_OK);
	assert_ptr_equal(atl_map_get(&map, "x"), &a);
	assert_ptr_equal(atl_map_get(&map, ""), &b);
	assert_int_equal(atl_map_put(&map, "x", &b, &old), ATL_OK);
	assert_ptr_equal(old, &a);
	assert_int_equal(map.count, 2);
	assert_ptr_equal(atl_map_remove(&map, "x"), &b);
	assert_null(atl_map_remove(&map, "x"));
	assert_null(atl_map_get(&map, "x"));
	assert_int_equal(map.count, 1);
	atl_map_finish(&map);
	atl_map_finish(&map);
}

/* 5,000 keys in and every other one out: many share buckets on the way, and the map grows ten times. */
static void test_many(void **state)
{
	static int values[5000];
	struct atl_map map;
	char key[32];

	atl_map_init(&map);
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		assert_int_equal(atl_map_put(&map, key, &values[i], NULL), ATL_OK);
	}
	for (int i = 0; i < 5000; i += 2) {
		snprintf(key, sizeof(key), "key-%d", i);
		assert_ptr_equal(atl_map_remove(&map, key), &values[i]);
	}
	assert_int_equal(map.count, 2500);
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		assert_ptr_equal(atl_map_get(&map, key), i % 2 ? &values[i] : NULL);
	}
	atl_map_finish(&map);
}

/* Sixteen buckets and sixteen keys: some bucket holds several, whichever one is taken out first. */
static void test_chains(void **state)
{
	static int values[16];
	struct atl_map map;
	char key[16];

	for (int first = 0; first < 16; first++) {
		atl_map_init(&map);
		for (int i = 0; i < 16; i++) {
			snprintf(key, sizeof(key), "%d", i);
			assert_int_equal(atl_map_put(&map, key, &values[i], NULL), ATL_OK);
		}
		for (int i = 0; i < 16; i++) {
			snprintf(key, sizeof(key), "%d", (first + i) % 16);
			assert_ptr_equal(atl_map_remove(&map, key), &values[(first + i) % 16]);
			assert_int_equal(map.count, 15 - i);
		}
		atl_map_finish(&map);
	}
}

static void test_seeds_differ(void **state)
{
	struct atl_map one, two;

	atl_map_init(&one);
	atl_map_init(&two);
	assert_memory_not_equal(one.seed, two.seed, sizeof(one.seed));
	atl_map_finish(&one);
	atl_map_finish(&two);
}

struct visit {
	struct atl_map *map;
	int seen, removed;
};

static void remove_odd(const char *key, void *value, void *arg)
{
	struct visit *visit = arg;

	visit->seen++;
	if (*(int *)value % 2) {
		assert_ptr_equal(atl_map_remove(visit->map, key), value);
		visit->removed++;
	}
}

static void test_remove_while_visiting(void **state)
{
	static int values[300];
	struct atl_map map;
	struct visit visit = { .map = &map };
	char key[16];

	atl_map_init(&map);
	atl_map_each(&map, remove_odd, &visit);
	for (int i = 0; i < 300; i++) {
		values[i] = i;
		snprintf(key, sizeof(key), "%d", i);
		assert_int_equal(atl_map_put(&map, key, &values[i], NULL), ATL_OK);
	}
	atl_map_each(&map, remove_odd, &visit);
	assert_int_equal(visit.seen, 300);
	assert_int_equal(visit.removed, 150);
	assert_int_equal(map.count, 150);
	assert_null(atl_map_get(&map, "299"));
	assert_ptr_equal(atl_map_get(&map, "298"), &values[298]);
	atl_map_finish(&map);
}

struct item {
	int number;
	struct atl_list node;
};

static void test_list(void **state)
{
	struct item items[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };
	struct atl_list head;
	int sum = 0;

	atl_list_init(&head);
	assert_true(atl_list_empty(&head));
	for (int i = 0; i < 3; i++)
		atl_list_append(&head, &items[i].node);
	for (struct atl_list *node = head.next; node != &head; node = node->next)
		sum = sum * 10 + ATL_LIST_ITEM(node, struct item, node)->number;
	assert_int_equal(sum, 12);
	atl_list_remove(&items[1].node);
	atl_list_remove(&items[1].node);
	assert_ptr_equal(items[0].node.next, &items[2].node);
	assert_ptr_equal(items[2].node.prev, &items[0].node);
	atl_list_remove(&items[0].node);
	atl_list_remove(&items[2].node);
	assert_true(atl_list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_put_get),	 cmocka_unit_test(test_many),
					    cmocka_unit_test(test_chains),	 cmocka_unit_test(test_seeds_differ),
					    cmocka_unit_test(test_remove_while_visiting),
					    cmocka_unit_test(test_list) };

	return cmocka_run_group_tests_name("base/map", tests, NULL, NULL);
}
