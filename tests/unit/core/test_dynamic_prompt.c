/* test_dynamic_prompt.c - choices, wildcards and LoRA inside prompts; the registry's files; prompts by rules. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "core/pictures/dynamic_prompt.h"
#include "core/pictures/enhance.h"
#include "core/pictures/style.h"

static struct atl_arena arena;

static int begin(void **state)
{
	atl_arena_init(&arena, 0);
	return 0;
}

static int end(void **state)
{
	atl_arena_finish(&arena);
	return 0;
}

static const char *wildcards(void *arg, const char *name)
{
	if (atl_str_eq(name, "animal"))
		return "# animals\ncat\n\ndog  \r\nowl";
	if (atl_str_eq(name, "nested"))
		return "{red|red} __animal__";
	if (atl_str_eq(name, "loop"))
		return "__loop__";
	if (atl_str_eq(name, "empty"))
		return "\n# nothing\n";
	return NULL;
}

static const char *expand(const char *prompt, uint64_t seed)
{
	const char *out = NULL;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_dynamic_expand(&arena, prompt, seed, wildcards, NULL, &out, &info);

	return err ? atl_arena_printf(&arena, "!%s", info.detail) : out;
}

static void plain_text_stays(void **state)
{
	static const char *const same[] = { "a red (cat:1.2), [old] <lora:x:1>", "snake_case and __ two", "a|b", "" };

	for (size_t i = 0; i < ATL_COUNT(same); i++)
		assert_string_equal(expand(same[i], 1), same[i]);
	assert_string_equal(expand("\\{a\\|b\\}", 1), "{a|b}");
}

static void a_choice_takes_each_part(void **state)
{
	unsigned seen = 0;

	for (uint64_t seed = 0; seed < 100; seed++) {
		const char *out = expand("a {red|green|blue} cat", seed);

		seen |= atl_str_eq(out, "a red cat") ? 1 : atl_str_eq(out, "a green cat") ? 2 : atl_str_eq(out, "a blue cat") ? 4 : 8;
		assert_string_equal(out, expand("a {red|green|blue} cat", seed));
	}
	assert_int_equal(seen, 7);
}

static void several_and_weighted(void **state)
{
	const char *two = expand("{2$$a|b|c}", 5), *joined = expand("{2$$ and $$a|b}", 5);
	unsigned heavy = 0;

	assert_int_equal(strlen(two), 4);
	assert_int_not_equal(two[0], two[3]);
	assert_non_null(strstr(joined, " and "));
	assert_int_equal(strlen(expand("{5$$a|b}", 5)), 4); /* no more than there are */
	for (uint64_t seed = 0; seed < 200; seed++)
		heavy += atl_str_eq(expand("{9::x|1::y}", seed), "x");
	assert_in_range(heavy, 150, 199);
	assert_string_equal(expand("{{a|a} b|{a|a} b}", 3), "a b");
	assert_string_equal(expand("{|}", 3), "");
}

static void wildcards_are_lines(void **state)
{
	unsigned seen = 0;

	for (uint64_t seed = 0; seed < 100; seed++) {
		const char *out = expand("__animal__!", seed);

		seen |= atl_str_eq(out, "cat!") ? 1 : atl_str_eq(out, "dog!") ? 2 : atl_str_eq(out, "owl!") ? 4 : 8;
	}
	assert_int_equal(seen, 7);
	assert_true(atl_str_starts(expand("__nested__", 1), "red "));
}

static void mistakes_are_said(void **state)
{
	assert_non_null(strstr(expand("{a|b", 1), "no closing"));
	assert_non_null(strstr(expand("a}", 1), "no opening"));
	assert_non_null(strstr(expand("__unknown__", 1), "no wildcard __unknown__"));
	assert_non_null(strstr(expand("__empty__", 1), "empty"));
	assert_non_null(strstr(expand("__loop__", 1), "deeply"));
}

static void loras_are_taken_out(void **state)
{
	struct atl_prompt_lora loras[ATL_DYNAMIC_LORAS_MAX];
	struct atl_errinfo info = { 0 };
	const char *out;
	size_t count = 0;

	assert_int_equal(atl_prompt_take_loras(&arena, "a cat, <lora:ink:0.5>, sitting <lora:fur>", &out, loras, &count, &info),
			 ATL_OK);
	assert_string_equal(out, "a cat, sitting");
	assert_int_equal(count, 2);
	assert_string_equal(loras[0].name, "ink");
	assert_true(fabs(loras[0].weight - 0.5) < 1e-9);
	assert_string_equal(loras[1].name, "fur");
	assert_true(fabs(loras[1].weight - 1) < 1e-9);
	count = 0;
	assert_int_equal(atl_prompt_take_loras(&arena, "<lora:x:many>", &out, loras, &count, &info), ATL_ERR_INVALID);
	assert_int_equal(atl_prompt_take_loras(&arena, "<lora::1>", &out, loras, &count, &info), ATL_ERR_INVALID);
	count = 0;
	assert_int_equal(atl_prompt_take_loras(&arena, "<lora:open", &out, loras, &count, &info), ATL_OK);
	assert_string_equal(out, "<lora:open");
}

static void scenes_are_what_is_seen(void **state)
{
	assert_string_equal(atl_enhance_scene_text(&arena, "*She smiles.* \"Hello there,\" she says, and walks to the **window**."),
			    "She smiles. she says, and walks to the window");
	assert_string_equal(atl_enhance_scene_text(&arena, "\"Only speech.\""), "");
	assert_true(strlen(atl_enhance_scene_text(&arena, "A long walk over the hill and far away. A long walk over the hill and far "
		"away. A long walk over the hill and far away. A long walk over the hill and far away. A long walk over the hill. A "
		"long walk over the hill and far away. A long walk over the hill and far away. A long walk over the hill. A long walk "
		"over the hill and far away. A long walk over the hill and far away. A long walk over the hill and far away. Again. A "
		"long walk over the hill and far away. A long walk over the hill and far away. And once more.")) <= ATL_ENHANCE_TEXT_MAX);
}

static void rules_add_words_once(void **state)
{
	const char *once = atl_enhance_by_rules(&arena, "a cat", "anime");

	assert_non_null(strstr(once, "cel shading"));
	assert_string_equal(atl_enhance_by_rules(&arena, once, "anime"), once);
	assert_true(atl_str_starts(atl_enhance_by_rules(&arena, "a cat", NULL), "a cat, "));
}

static void csv_rows_are_read(void **state)
{
	static const char text[] = "name,prompt,negative_prompt\r\n\"a, b\",\"say \"\"hi\"\"\nthere\",bad\nlast,one";
	const char *p = text, *fields[3];
	size_t count;

	assert_true(atl_csv_row(&arena, &p, text + strlen(text), fields, 3, &count));
	assert_int_equal(count, 3);
	assert_true(atl_csv_row(&arena, &p, text + strlen(text), fields, 3, &count));
	assert_string_equal(fields[0], "a, b");
	assert_string_equal(fields[1], "say \"hi\"\nthere");
	assert_true(atl_csv_row(&arena, &p, text + strlen(text), fields, 3, &count));
	assert_int_equal(count, 2);
	assert_string_equal(fields[1], "one");
	assert_false(atl_csv_row(&arena, &p, text + strlen(text), fields, 3, &count));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(plain_text_stays, begin, end),
		cmocka_unit_test_setup_teardown(a_choice_takes_each_part, begin, end),
		cmocka_unit_test_setup_teardown(several_and_weighted, begin, end),
		cmocka_unit_test_setup_teardown(wildcards_are_lines, begin, end),
		cmocka_unit_test_setup_teardown(mistakes_are_said, begin, end),
		cmocka_unit_test_setup_teardown(loras_are_taken_out, begin, end),
		cmocka_unit_test_setup_teardown(scenes_are_what_is_seen, begin, end),
		cmocka_unit_test_setup_teardown(rules_add_words_once, begin, end),
		cmocka_unit_test_setup_teardown(csv_rows_are_read, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
