/* Pasted texts: A1111's three parts and what is odd about them, and the way back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "media/metadata.h"

static struct atl_arena arena;

static struct atl_recall read_text(const char *text)
{
	struct atl_recall r;
	struct atl_errinfo info = {0};
	assert_int_equal(atl_metadata_read_text(&arena, text, strlen(text), &r, &info), ATL_OK);
	return r;
}

static void test_three_parts(void **state)
{
	struct atl_recall r = read_text(
		"a red bicycle by a canal, <lora:foo:0.8>\n"
		"Negative prompt: blurry, text\n"
		"Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 41, Size: 832x1216, Model hash: "
		"abcdef1234, Model: base_v1, Version: v1.10.1");
	assert_string_equal(r.source, "a1111");
	assert_string_equal(r.prompt, "a red bicycle by a canal");
	assert_string_equal(r.negative_prompt, "blurry, text");
	assert_int_equal(r.steps, 20);
	assert_string_equal(r.sampler, "DPM++ 2M");
	assert_string_equal(r.scheduler, "Karras");
	assert_true(r.cfg_scale == 7);
	assert_int_equal(r.seed, 41);
	assert_int_equal(r.width, 832);
	assert_int_equal(r.height, 1216);
	assert_string_equal(r.model_hash, "abcdef1234");
	assert_string_equal(r.model, "base_v1");
	assert_string_equal(r.version, "v1.10.1");
	assert_int_equal(r.lora_count, 1);
	assert_string_equal(r.loras[0].name, "foo");
	assert_true(r.loras[0].weight == 0.8);
	assert_int_equal(r.clip_skip, INT64_MIN);
	assert_true(isnan(r.strength));
	assert_null(r.vae);
	assert_non_null(strstr(r.raw, "<lora:foo:0.8>"));
	assert_false(r.ai_marked);
}

static void test_lines(void **state)
{
	struct atl_recall r = read_text(
		"first\r\n  second \r\nNegative prompt: one\r\ntwo\r\n\r\nSteps: 1, Seed: 2, CFG scale: 3\r\n");
	assert_string_equal(r.prompt, "first\nsecond");
	assert_string_equal(r.negative_prompt, "one\ntwo");
	assert_int_equal(r.seed, 2);
	r = read_text("Negative prompt: ugly\nSteps: 1, Seed: -1, CFG scale: 3.5");
	assert_null(r.prompt);
	assert_string_equal(r.negative_prompt, "ugly");
	assert_int_equal(r.seed, -1);
	r = read_text("Steps: 4, Seed: 2, Size: 64x32");
	assert_null(r.prompt);
	assert_int_equal(r.steps, 4);
	/* two pairs are prompt */
	r = read_text("a\nNegative prompt: b\nSteps: 4, Seed: 2");
	assert_string_equal(r.negative_prompt, "b\nSteps: 4, Seed: 2");
	assert_int_equal(r.steps, INT64_MIN);
}

static void test_quoted_values(void **state)
{
	struct atl_recall r = read_text("a\nSteps: 4, Model: \"odd, name: \\\"x\\\"\", Seed: 2, VAE: \"v\\nw\", CFG scale: 2");
	assert_string_equal(r.model, "odd, name: \"x\"");
	assert_string_equal(r.vae, "v\nw");
	assert_true(r.cfg_scale == 2);
	/* a quote that does not close, or closes too early, is no quote */
	r = read_text("a\nSteps: 4, Model: \"odd, Seed: 2, CFG scale: 2");
	assert_string_equal(r.model, "\"odd");
	assert_int_equal(r.seed, 2);
	r = read_text("a\nSteps: 4, Model: \"odd\" name, Seed: 2, CFG scale: 2");
	assert_string_equal(r.model, "\"odd\" name");
}

static void test_old_samplers(void **state)
{
	static const struct {
		const char *written, *sampler, *scheduler;
	} rows[] = {
		{"DPM++ 2M Karras", "DPM++ 2M", "Karras"},
		{"DPM++ 2M SDE Exponential", "DPM++ 2M SDE", "Exponential"},
		{"DPM2 a Karras", "DPM2 a", "Karras"},
		{"Euler a", "Euler a", NULL},
		{"Karras", "Karras", NULL},
		{"DPM++ 2M Karras, Schedule type: Automatic", "DPM++ 2M Karras", "Automatic"},
	};
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_recall r = read_text(atl_arena_printf(&arena, "a\nSteps: 4, Sampler: %s, Seed: 2", rows[i].written));
		assert_string_equal(r.sampler, rows[i].sampler);
		if (rows[i].scheduler)
			assert_string_equal(r.scheduler, rows[i].scheduler);
		else
			assert_null(r.scheduler);
	}
}

static void test_loras(void **state)
{
	static const struct {
		const char *prompt, *left, *name;
		double weight;
	} rows[] = {
		{"<lora:a:0.5> cat", "cat", "a", 0.5},
		{"cat, <lora:a:0.5>, dog", "cat, dog", "a", 0.5},
		{"<lora:a:1>, cat", "cat", "a", 1},
		{"cat <lora:a> dog", "cat  dog", "a", 1},
		{"cat,<lora:sub/a.safetensors:0.7:0.2>", "cat", "a", 0.7},
		{"cat <lyco:a:te=0.1:unet=0.9>", "cat", "a", 0.9},
		{"cat <lora:a:many>", "cat", "a", 1},
		{"cat\n<lora:a:-1>\ndog", "cat\n\ndog", "a", -1},
		{"cat <lora:a:0.5", "cat <lora:a:0.5", NULL, 0},
		{"cat <lora::0.5>", "cat <lora::0.5>", NULL, 0},
		{"x <love> <l", "x <love> <l", NULL, 0},
	};
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_recall r = read_text(atl_arena_printf(&arena, "%s\nSteps: 4, Seed: 1, CFG scale: 2", rows[i].prompt));
		assert_string_equal(r.prompt, rows[i].left);
		assert_int_equal(r.lora_count, rows[i].name != NULL);
		if (rows[i].name) {
			assert_string_equal(r.loras[0].name, rows[i].name);
			assert_true(r.loras[0].weight == rows[i].weight);
		}
	}
	struct atl_recall r = read_text("<lora:a:0.5>\nSteps: 4, Seed: 1, Lora hashes: \"a: 12ab, b: 34cd\", CFG scale: 2");
	assert_null(r.prompt);
	assert_int_equal(r.lora_count, 2);
	assert_string_equal(r.loras[1].name, "b");
	assert_true(r.loras[0].weight == 0.5 && r.loras[1].weight == 1);
}

static void test_lora_limit(void **state)
{
	struct atl_buf text;
	atl_buf_init(&text, 100000);
	for (int i = 0; i < 50; i++)
		atl_buf_addf(&text, "<lora:n%d:1>", i);
	atl_buf_adds(&text, "\nSteps: 4, Seed: 1, CFG scale: 2");
	struct atl_recall r = read_text(text.data);
	assert_int_equal(r.lora_count, ATL_METADATA_LORAS_MAX);
	assert_true(atl_str_starts(r.prompt, "<lora:n32:1>"));
	atl_buf_finish(&text);
}

static void test_sdcpp_tail(void **state)
{
	struct atl_recall r = read_text("a cat\nSteps: 20, CFG scale: 7.000000, Guidance: 3.500000, Seed: 42, Size: 512x512, "
					"Model: sd.safetensors, Sampler: euler_a, Version: stable-diffusion.cpp, SDCPP: "
					"{\"prompt\": \"x, Seed: 1, Steps: 2\", \"n\": [1, 2]}");
	assert_string_equal(r.prompt, "a cat");
	assert_int_equal(r.seed, 42);
	assert_int_equal(r.steps, 20);
	assert_string_equal(r.model, "sd");
	assert_string_equal(r.version, "stable-diffusion.cpp");
	/* broken JSON is just text */
	r = read_text("a cat SDCPP: {\nSteps: 20, CFG scale: 7, Seed: 42, SDCPP: {x}");
	assert_string_equal(r.prompt, "a cat SDCPP: {");
	assert_int_equal(r.seed, 42);
}

static void test_odd_values(void **state)
{
	struct atl_recall r = read_text(
		"a\nSteps: many, Seed: 99999999999999999999999, CFG scale: nan, Size: 0x5, Clip skip: 2.0");
	assert_int_equal(r.steps, INT64_MIN);
	assert_int_equal(r.seed, INT64_MIN);
	assert_true(isnan(r.cfg_scale));
	assert_int_equal(r.width, INT64_MIN);
	assert_int_equal(r.clip_skip, 2);
	r = read_text("{a|b} cat\nSteps: 1, Seed: 2, CFG scale: 3");
	assert_string_equal(r.prompt, "{a|b} cat");
}

static void test_nothing(void **state)
{
	static const char *const texts[] = {"", " \n ", "just some words", "{}", "[1]", "{\"a\":1}", "a: b, c: d"};
	for (size_t i = 0; i < ATL_COUNT(texts); i++) {
		struct atl_recall r = {.steps = 77};
		struct atl_errinfo info = {0};
		assert_int_equal(atl_metadata_read_text(&arena, texts[i], strlen(texts[i]), &r, &info), ATL_ERR_NOT_FOUND);
		assert_true(info.detail[0]);
		assert_int_equal(r.steps, 77);
	}
}

static void same_text(const char *a, const char *b)
{
	if (a && b)
		assert_string_equal(a, b);
	else
		assert_true(a == b);
}

static void test_way_back(void **state)
{
	struct atl_recall_lora loras[] = {{"foo", 0.8}, {"bar", -1}};
	struct atl_recall r;
	atl_recall_init(&r);
	assert_string_equal(atl_metadata_parameters(&arena, &r), "Version: Atelier");
	assert_string_equal(atl_metadata_json(&arena, &r), "{}");
	r.source = "atelier";
	r.prompt = "ein Fahrrad,\nzwei Räder 🚲";
	r.negative_prompt = "blurry";
	r.model = "a, \"b\": c";
	r.sampler = "DPM++ 2M";
	r.scheduler = "Karras";
	r.steps = 20;
	r.seed = INT64_MAX;
	r.width = 832;
	r.height = 1216;
	r.cfg_scale = 7.5;
	r.strength = 0.1;
	r.loras = loras;
	r.lora_count = 2;
	const char *text = atl_metadata_parameters(&arena, &r);
	assert_string_equal(text, "ein Fahrrad,\nzwei Räder 🚲, <lora:foo:0.8>, <lora:bar:-1>\nNegative prompt: blurry\n"
				  "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, "
				  "Seed: 9223372036854775807, Size: 832x1216, Model: \"a, \\\"b\\\": c\", "
				  "Denoising strength: 0.1, Version: Atelier");
	const char *json = atl_metadata_json(&arena, &r);
	for (int i = 0; i < 2; i++) {
		struct atl_recall back = read_text(i ? json : text);
		assert_string_equal(back.source, i ? "atelier" : "a1111");
		same_text(back.prompt, r.prompt);
		same_text(back.negative_prompt, r.negative_prompt);
		same_text(back.model, r.model);
		same_text(back.sampler, r.sampler);
		same_text(back.scheduler, r.scheduler);
		assert_true(back.steps == r.steps && back.seed == r.seed && back.width == r.width && back.height == r.height);
		assert_true(back.cfg_scale == 7.5 && back.strength == 0.1);
		assert_int_equal(back.lora_count, 2);
		assert_string_equal(back.loras[1].name, "bar");
		assert_true(back.loras[1].weight == -1);
	}
}

static int setup(void **state)
{
	atl_arena_init(&arena, 0);
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
		cmocka_unit_test_setup_teardown(test_three_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quoted_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_samplers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loras, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lora_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sdcpp_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_way_back, setup, teardown),
	};
	return cmocka_run_group_tests_name("metadata_text", tests, NULL, NULL);
}
