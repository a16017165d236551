/* The arena: alignment, limits, large pieces, reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

static void test_alloc(void **state)
{
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	assert_null(arena.head);
	for (size_t size = 0; size < 3000; size += 7) {
		unsigned char *data = atl_arena_alloc(&arena, size);

		assert_non_null(data);
		assert_int_equal((uintptr_t)data % 16, 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(data[i], 0);
		memset(data, 0xAA, size);
	}
	atl_arena_finish(&arena);
	assert_int_equal(arena.used_bytes, 0);
}

static void test_zeroed_again_after_reset(void **state)
{
	struct atl_arena arena;
	char *data;

	atl_arena_init(&arena, 0);
	memset(atl_arena_alloc(&arena, 100), 0xAA, 100);
	atl_arena_reset(&arena);
	assert_int_equal(arena.used_bytes, 0);
	data = atl_arena_alloc(&arena, 100);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(data[i], 0);
	atl_arena_finish(&arena);
}

static void test_limit(void **state)
{
	struct atl_arena arena;

	atl_arena_init(&arena, 1024);
	assert_null(atl_arena_alloc(&arena, 1025));
	assert_null(atl_arena_alloc(&arena, SIZE_MAX));
	assert_null(atl_arena_alloc(&arena, SIZE_MAX - 8));
	assert_null(ATL_ARENA_ARRAY(&arena, uint64_t, SIZE_MAX / 4));
	assert_null(atl_arena_strndup(&arena, "x", SIZE_MAX));
	assert_int_equal(arena.used_bytes, 0);
	assert_non_null(atl_arena_alloc(&arena, 1024));
	assert_null(atl_arena_alloc(&arena, 0));
	assert_null(atl_arena_printf(&arena, "%d", 1));
	atl_arena_reset(&arena);
	assert_non_null(atl_arena_alloc(&arena, 1000));
	assert_null(atl_arena_alloc(&arena, 17));
	assert_non_null(atl_arena_alloc(&arena, 16));
	atl_arena_finish(&arena);
}

static void test_large_keeps_head(void **state)
{
	struct atl_arena arena;
	char *first, *after;

	atl_arena_init(&arena, 0);
	first = atl_arena_alloc(&arena, 16);
	assert_non_null(atl_arena_alloc(&arena, 5 << 20));
	after = atl_arena_alloc(&arena, 16);
	assert_ptr_equal(after, first + 16);
	atl_arena_reset(&arena);
	assert_non_null(atl_arena_alloc(&arena, 16));
	atl_arena_finish(&arena);

	atl_arena_init(&arena, 0);
	assert_non_null(atl_arena_alloc(&arena, 5 << 20));
	atl_arena_reset(&arena);
	assert_null(arena.head); /* an unusually large block is given back */
	atl_arena_finish(&arena);
}

static void test_text(void **state)
{
	char wide[601], *printed;
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	assert_null(atl_arena_strdup(&arena, NULL));
	assert_string_equal(atl_arena_strdup(&arena, ""), "");
	assert_string_equal(atl_arena_strndup(&arena, "abcdef", 3), "abc");
	assert_string_equal(atl_arena_printf(&arena, "%s-%d", "a", 5), "a-5");
	memset(wide, 'w', 600);
	wide[600] = '\0';
	for (int cut = 254; cut <= 257; cut++) {
		printed = atl_arena_printf(&arena, "%.*s", cut, wide);
		assert_int_equal(strlen(printed), cut);
	}
	assert_string_equal(atl_arena_printf(&arena, "%s", wide), wide);
	atl_arena_finish(&arena);
}

static void test_owned(void **state)
{
	struct atl_arena arena;
	char *first = malloc(100), *second = malloc(100);

	(void)state;
	atl_arena_init(&arena, 1000);
	assert_ptr_equal(atl_arena_own(&arena, first, 600), first); /* also in an empty one */
	assert_int_equal(arena.used_bytes, 600);
	assert_non_null(atl_arena_strdup(&arena, "x"));
	assert_null(atl_arena_own(&arena, second, 600)); /* does not fit: freed at once */
	assert_null(atl_arena_alloc(&arena, 400));
	atl_arena_reset(&arena);
	assert_int_equal(arena.used_bytes, 0);
	assert_non_null(atl_arena_own(&arena, malloc(1), 1));
	atl_arena_finish(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_alloc), cmocka_unit_test(test_zeroed_again_after_reset),
					    cmocka_unit_test(test_limit), cmocka_unit_test(test_large_keeps_head),
					    cmocka_unit_test(test_text),
					    cmocka_unit_test(test_owned) };

	return cmocka_run_group_tests_name("base/arena", tests, NULL, NULL);
}
