/* test_grid_axis.c - what people type as the values of an axis, and what a cell's request becomes by it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "core/jobs/grid_axis.h"

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

static const char *labels(enum atl_err err, const struct atl_grid_axis *axis, const struct atl_errinfo *info)
{
	const char *out = "";

	if (err)
		return atl_arena_printf(&arena, "!%s: %s", info->field, info->detail);
	for (size_t i = 0; i < axis->count; i++)
		out = atl_arena_printf(&arena, "%s%s%s", out, i ? "|" : "", axis->values[i].label);
	return out;
}

static const char *text(const char *parameter, const char *typed)
{
	struct atl_grid_axis_in in = { .parameter = parameter, .text = typed };
	struct atl_errinfo info = { 0 };
	struct atl_grid_axis axis = { 0 };

	return labels(atl_grid_axis_read(&arena, "x", &in, &axis, &info), &axis, &info);
}

static const char *list(const char *parameter, const char *json)
{
	struct atl_errinfo info = { 0 };
	struct atl_grid_axis axis = { 0 };
	struct atl_grid_axis_in in = { .parameter = parameter };
	struct atl_json *values;

	assert_int_equal(atl_json_parse(&arena, json, strlen(json), &values, &info), ATL_OK);
	in.values = values;
	return labels(atl_grid_axis_read(&arena, "y", &in, &axis, &info), &axis, &info);
}

static void numbers_and_ranges(void **state)
{
	static const struct {
		const char *parameter, *typed, *values;
	} CASES[] = {
		{ "steps", "20", "20" },
		{ "steps", "1, 2,30", "1|2|30" },
		{ "steps", "1-5", "1|2|3|4|5" },
		{ "steps", "1-10 (+3)", "1|4|7|10" },
		{ "steps", "1-10(3)", "1|4|7|10" },
		{ "steps", "10-5 (-3)", "10|7" },
		{ "steps", "3-1", "3|2|1" },
		{ "steps", "1-10 [5]", "1|3|5|7|10" },
		{ "steps", "1 - 3 , 20-22 (+2),40", "1|2|3|20|22|40" },
		{ "cfg_scale", "7.5", "7.5" },
		{ "cfg_scale", "1-2 (+0.25)", "1|1.25|1.5|1.75|2" },
		{ "cfg_scale", "0-1 (+0.1)", "0|0.1|0.2|0.3|0.4|0.5|0.6|0.7|0.8|0.9|1" },
		{ "strength", "0.0-1.0 [6]", "0|0.2|0.4|0.6|0.8|1" },
		{ "strength", "0.5-0.5 [1]", "0.5" },
		{ "cfg_scale", "3-1.5 (-0.5)", "3|2.5|2|1.5" },
		{ "lora_weight", "-1-1 [3]", "-1|0|1" },
		{ "seed", "4294967295, -1", "4294967295|-1" },
	};

	for (size_t i = 0; i < ATL_COUNT(CASES); i++)
		assert_string_equal(text(CASES[i].parameter, CASES[i].typed), CASES[i].values);
}

static void what_is_no_number_is_named(void **state)
{
	static const char *const NEITHER[] = { "abc", "1-", "-", "1-5 (+0)", "5-1 (+2)", "1-5 (-1)", "1-5 (+2", "1-5 [0]", "1-5 [2.5]",
					       "1-5 [3] 4", "1..5", "--5", "1e9", "1-2-3", "0x10" };

	for (size_t i = 0; i < ATL_COUNT(NEITHER); i++)
		assert_string_equal(text("steps", NEITHER[i]),
				    atl_arena_printf(&arena, "!x: \"%s\" is neither a number nor a range like 1-5, 1-10 (+3) or 1-10 [5].",
						     NEITHER[i]));
	assert_string_equal(text("steps", "1.5"), "!x: \"1.5\": whole numbers are needed here.");
	assert_string_equal(text("steps", "1-5 (+0.5)"), "!x: \"1-5 (+0.5)\": whole numbers are needed here.");
	assert_string_equal(text("steps", "0"), "!x: \"0\": steps is from 1 to 1000.");
	assert_string_equal(text("strength", "0-2"), "!x: \"0-2\": strength is from 0 to 1.");
	assert_string_equal(text("steps", " , ,"), "!x: The axis x has no values.");
	assert_string_equal(text("steps", ""), "!x: The axis x has no values.");
	assert_string_equal(text("seed", "1-100, 5"), "!x: The axis x has more than 100 values; a grid has 100 pictures at most.");
	assert_string_equal(text("seed", "1-4294967295"),
			    "!x: The axis x has more than 100 values; a grid has 100 pictures at most.");
	assert_string_equal(text("seed", "0-5 [1000000]"),
			    "!x: The axis x has more than 100 values; a grid has 100 pictures at most.");
	assert_string_equal(text("karma", "1"), "!x: \"karma\" cannot be an axis.");
}

static void texts_and_their_quotes(void **state)
{
	assert_string_equal(text("sampler", " euler a , dpm++2m,, lcm "), "euler a|dpm++2m|lcm");
	assert_string_equal(text("prompt", "cat, \"a dog, wet\" , \"say \"\"hi\"\"\""), "cat|a dog, wet|say \"hi\"");
	assert_string_equal(text("prompt", "cat, \"\""), "cat|");
	assert_string_equal(text("prompt", "\"\", cat"), "!x: The first value of prompt is what is searched; it cannot be empty.");
	assert_string_equal(text("prompt", "\"cat, dog"), "!x: The axis x has a quotation mark without its other.");
	assert_string_equal(text("prompt", "\"cat\" dog"), "!x: The axis x has text after a quotation mark; a comma belongs there.");
	assert_string_equal(text("style", "\"\", ink"), "|ink");
	assert_string_equal(text("sampler", "\"\""), "!x: A value of sampler is empty.");
	assert_string_equal(text("size", "512x768, 768x512"), "512x768|768x512");
	assert_string_equal(text("size", "512"), "!x: \"512\" is not a size like 512x768.");
}

static void lists(void **state)
{
	assert_string_equal(list("steps", "[1, 20, \"30\", \"40-42\"]"), "1|20|30|40|41|42");
	assert_string_equal(list("cfg_scale", "[1.5, 7]"), "1.5|7");
	assert_string_equal(list("prompt", "[\"a, b\", \"c\"]"), "a, b|c");
	assert_string_equal(list("steps", "[1.5]"), "!y: \"1.5\": whole numbers are needed here.");
	assert_string_equal(list("sampler", "[1]"), "!y: The axis y has a value of the wrong kind.");
	assert_string_equal(list("steps", "[null]"), "!y: The axis y has a value of the wrong kind.");
	assert_string_equal(list("steps", "[]"), "!y: The axis y has no values.");
	assert_string_equal(list("steps", "{\"a\":1}"), "!y: The values of the axis y must be a list.");
}

static void either_values_or_text(void **state)
{
	struct atl_grid_axis_in in = { .parameter = "steps" };
	struct atl_errinfo info = { 0 };
	struct atl_grid_axis axis;
	struct atl_json *values;

	assert_int_equal(atl_grid_axis_read(&arena, "z", &in, &axis, &info), ATL_ERR_INVALID);
	assert_int_equal(atl_json_parse(&arena, "[1]", 3, &values, &info), ATL_OK);
	in.values = values;
	in.text = "1";
	assert_int_equal(atl_grid_axis_read(&arena, "z", &in, &axis, &info), ATL_ERR_INVALID);
	assert_string_equal(info.field, "z");
	in.text = NULL;
	in.lora = "ink";
	assert_int_equal(atl_grid_axis_read(&arena, "z", &in, &axis, &info), ATL_ERR_INVALID);
	assert_string_equal(info.detail, "Only lora_weight takes a LoRA's name, not steps.");
}

static enum atl_err apply(struct atl_picture_ask *ask, const char *parameter, const char *typed, const char *lora, size_t index,
			  struct atl_errinfo *info)
{
	struct atl_grid_axis_in in = { .parameter = parameter, .text = typed, .lora = lora };
	struct atl_grid_axis axis;

	assert_int_equal(atl_grid_axis_read(&arena, "x", &in, &axis, info), ATL_OK);
	assert_true(index < axis.count);
	return atl_grid_axis_apply(&arena, "x", &axis, index, ask, info);
}

static void values_are_set(void **state)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_ask ask;

	atl_picture_ask_init(&ask);
	assert_int_equal(apply(&ask, "steps", "10,20", NULL, 1, &info), ATL_OK);
	assert_int_equal(ask.steps, 20);
	assert_int_equal(apply(&ask, "cfg_scale", "1-2 [3]", NULL, 1, &info), ATL_OK);
	assert_float_equal(ask.cfg_scale, 1.5, 1e-9);
	assert_int_equal(apply(&ask, "model", "a/b,c/d", NULL, 1, &info), ATL_OK);
	assert_string_equal(ask.model, "c/d");
	assert_int_equal(apply(&ask, "size", "512x768", NULL, 0, &info), ATL_OK);
	assert_int_equal(ask.width, 512);
	assert_int_equal(ask.height, 768);
	ask.style = "ink";
	assert_int_equal(apply(&ask, "style", "\"\",x", NULL, 0, &info), ATL_OK);
	assert_null(ask.style);
	assert_true(isnan(ask.strength));
}

static void prompt_is_searched_and_replaced(void **state)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_ask ask, before;

	atl_picture_ask_init(&ask);
	ask.prompt = "a cat beside a cat";
	ask.negative_prompt = "blurry cat";
	before = ask;
	assert_int_equal(apply(&ask, "prompt", "cat,old dog,\"\"", NULL, 0, &info), ATL_OK);
	assert_string_equal(ask.prompt, "a cat beside a cat");
	assert_int_equal(apply(&ask, "prompt", "cat,old dog,\"\"", NULL, 1, &info), ATL_OK);
	assert_string_equal(ask.prompt, "a old dog beside a old dog");
	assert_string_equal(ask.negative_prompt, "blurry old dog");
	ask = before;
	assert_int_equal(apply(&ask, "prompt", "cat,old dog,\"\"", NULL, 2, &info), ATL_OK);
	assert_string_equal(ask.prompt, "a  beside a ");
	ask = before;
	ask.negative_prompt = NULL;
	assert_int_equal(apply(&ask, "prompt", "a,aa", NULL, 1, &info), ATL_OK);
	assert_string_equal(ask.prompt, "aa caat beside aa caat");
	assert_null(ask.negative_prompt);
	assert_int_equal(apply(&ask, "prompt", "Horse,cow", NULL, 0, &info), ATL_ERR_INVALID);
	assert_string_equal(info.detail, "\"Horse\" is searched in the prompt and is not there.");
}

static void lora_weights(void **state)
{
	struct atl_picture_lora_in given[] = { { "ink", 1 }, { "wash", 0.5 } };
	const struct atl_picture_lora_in *loras;
	struct atl_errinfo info = { 0 };
	struct atl_picture_ask ask;

	atl_picture_ask_init(&ask);
	assert_int_equal(apply(&ask, "lora_weight", "0.2", NULL, 0, &info), ATL_ERR_INVALID);
	assert_string_equal(info.detail, "Say which LoRA the axis x means: the request has none.");
	ask.loras = (struct atl_items){ given, 2 };
	assert_int_equal(apply(&ask, "lora_weight", "0.2", NULL, 0, &info), ATL_ERR_INVALID);
	assert_string_equal(info.detail, "Say which LoRA the axis x means: the request has several.");
	assert_int_equal(apply(&ask, "lora_weight", "0.2", "wash", 0, &info), ATL_OK);
	loras = ask.loras.items;
	assert_int_equal(ask.loras.count, 2);
	assert_float_equal(loras[1].weight, 0.2, 1e-9);
	assert_float_equal(given[1].weight, 0.5, 1e-9); /* the request of the other cells stays */
	assert_int_equal(apply(&ask, "lora_weight", "0.7", "fog", 0, &info), ATL_OK);
	loras = ask.loras.items;
	assert_int_equal(ask.loras.count, 3);
	assert_string_equal(loras[2].name, "fog");
	ask.loras = (struct atl_items){ given, 1 };
	assert_int_equal(apply(&ask, "lora_weight", "0.3", NULL, 0, &info), ATL_OK);
	loras = ask.loras.items;
	assert_float_equal(loras[0].weight, 0.3, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(numbers_and_ranges, begin, end),
		cmocka_unit_test_setup_teardown(what_is_no_number_is_named, begin, end),
		cmocka_unit_test_setup_teardown(texts_and_their_quotes, begin, end),
		cmocka_unit_test_setup_teardown(lists, begin, end),
		cmocka_unit_test_setup_teardown(either_values_or_text, begin, end),
		cmocka_unit_test_setup_teardown(values_are_set, begin, end),
		cmocka_unit_test_setup_teardown(prompt_is_searched_and_replaced, begin, end),
		cmocka_unit_test_setup_teardown(lora_weights, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
