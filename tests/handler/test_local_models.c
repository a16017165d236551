/* Files that a person put into the models folder: what becomes a model, what is refused and in which words. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "core/pictures/picture_model.h"
#include "os/file.h"
#include "support.h"

#define CHECKPOINT "model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.conv_in.weight"

static void put(struct site *site, const char *name, const void *data, size_t length)
{
	char path[300];
	struct atl_errinfo info = { 0 };

	snprintf(path, sizeof(path), "%s/loras", site->models_dir);
	assert_int_equal(atl_dir_make(path, 0700, &info), ATL_OK);
	snprintf(path, sizeof(path), "%s/%s", site->models_dir, name);
	assert_int_equal(atl_file_write_atomic(path, data, length, 0600, &info), ATL_OK);
}

/* A safetensors file of three tensors of four bytes each; `kept` bytes of them are there. */
static void put_tensors(struct site *site, const char *name, const char *a, const char *b, const char *c, size_t kept)
{
	const char *names[] = { a, b, c };
	unsigned char file[2000] = { 0 };
	char header[1000] = "";
	size_t length = 0;

	for (size_t i = 0; i < 3; i++)
		length += (size_t)snprintf(header + length, sizeof(header) - length,
					   "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%zu,%zu]}", i ? ',' : '{',
					   names[i], 4 * i, 4 * i + 4);
	header[length++] = '}';
	file[0] = (unsigned char)length;
	file[1] = (unsigned char)(length >> 8);
	memcpy(file + 8, header, length);
	put(site, name, file, 8 + length + kept);
}

/* A GGUF without keys, as the picture library writes it, of three tensors of one F32 each. */
static void put_gguf(struct site *site, const char *name, const char *a, const char *b, const char *c)
{
	const char *names[] = { a, b, c };
	unsigned char file[1000] = "GGUF\3\0\0\0\3";
	size_t length = 24;

	for (size_t i = 0; i < 3; i++) {
		file[length] = (unsigned char)strlen(names[i]);
		memcpy(file + length + 8, names[i], strlen(names[i]));
		length += 8 + strlen(names[i]);
		file[length] = file[length + 4] = 1; /* one dimension, of 1; then type F32 */
		file[length + 16] = (unsigned char)(32 * i);
		length += 24;
	}
	put(site, name, file, (length + 31) / 32 * 32 + 68);
}

/* The member `what` of the model's entry as text; NULL: it is not listed. */
static const char *told(struct site *site, const char *id, const char *what)
{
	struct atl_req *req = expect(ask(site, &owner, "GET /api/v1/picture-models", NULL), 200);

	for (const struct atl_json *m = atl_json_get(json_of(req), "items")->child; m; m = m->next)
		if (atl_str_eq(atl_json_str(m, "id", ""), id))
			return fmt("%s", atl_json_str(m, what, "(not a text)"));
	return NULL;
}

static void expect_why(struct site *site, const char *id, const char *words)
{
	const char *why = told(site, id, "why");

	if (!why || !strstr(why, words))
		fail_msg("%s: %s", id, why ? why : "is not listed");
}

static void test_a_checkpoint_is_a_model_by_itself(void **state)
{
	struct site *site = *state;

	assert_null(told(site, "local/old", "name"));
	put_tensors(site, "old.safetensors", CHECKPOINT, "cond_stage_model.transformer.x", 12);
	put_tensors(site, "new one.v2.safetensors", CHECKPOINT, "conditioner.embedders.1.x", 12);
	put_gguf(site, "small.gguf", CHECKPOINT, "cond_stage_model.model.transformer.x");
	put_tensors(site, "half.safetensors", CHECKPOINT, "something", 12);
	put_tensors(site, "large4.safetensors", "body.0.rdb1.conv1.weight", "conv_first.weight", "x", 12);
	put(site, "notes.txt", "hello", 5);
	/* nothing is wrong with them; the test has no engine */
	expect_why(site, "local/old", "engine is not installed");
	expect_why(site, "local/new one.v2", "engine is not installed");
	expect_why(site, "local/small", "engine is not installed");
	assert_string_equal(told(site, "local/old", "name"), "old");
	assert_non_null(strstr(told(site, "local/old", "description"), "Diffusion 1"));
	assert_non_null(strstr(told(site, "local/new one.v2", "description"), "XL"));
	assert_non_null(strstr(told(site, "local/small", "description"), "Diffusion 2"));
	expect_why(site, "local/large4", "engine is not installed");
	assert_non_null(strstr(told(site, "local/large4", "description"), "upscaler"));
	assert_null(told(site, "local/half", "name")); /* no text encoder */
	assert_null(told(site, "local/notes", "name"));
	assert_null(told(site, "local/*sd1", "name"));
}

static void test_pickles_are_named_with_the_way_out(void **state)
{
	struct site *site = *state;

	put(site, "tempting.ckpt", "PK\3\4", 4);
	expect_why(site, "local/tempting", "tempting.ckpt is a pickle file");
	expect_why(site, "local/tempting", "Convert it to safetensors");
}

static void test_a_file_of_the_wrong_kind_is_told(void **state)
{
	struct site *site = *state;

	expect_why(site, "local/sd-turbo", "is not in the models folder");
	put_tensors(site, "sd_turbo.safetensors", "lora_unet_a.lora_up.weight", "lora_unet_a.lora_down.weight", "x", 12);
	expect_why(site, "local/sd-turbo", "sd_turbo.safetensors is a LoRA, not a picture model");
	put(site, "sd_turbo.safetensors", "<html>404</html>", 16);
	expect_why(site, "local/sd-turbo", "not a complete safetensors file");
	put(site, "sd_turbo.safetensors", "PK\3\4aaaaaaaaaa", 14);
	expect_why(site, "local/sd-turbo", "pickle");
	put_tensors(site, "sd_turbo.safetensors", CHECKPOINT, "cond_stage_model.model.transformer.x", 8);
	expect_why(site, "local/sd-turbo", "outside");
	/* mended: the answer that was kept is not used */
	put_tensors(site, "sd_turbo.safetensors", CHECKPOINT, "cond_stage_model.model.transformer.x", 12);
	expect_why(site, "local/sd-turbo", "engine is not installed");
	assert_null(told(site, "local/sd_turbo", "name")); /* not a second time */
	put(site, "flux1-schnell-q4_0.gguf", "GGUF\3\0\0\0", 8);
	put_tensors(site, "flux1-ae.safetensors", "control_model.input_hint_block.0.weight", "a", "b", 12);
	expect_why(site, "local/flux-schnell", "flux1-schnell-q4_0.gguf cannot be used");
	put_gguf(site, "flux1-schnell-q4_0.gguf", "double_blocks.0.a", "double_blocks.1.a", "x");
	expect_why(site, "local/flux-schnell", "flux1-ae.safetensors is a ControlNet, not an autoencoder");
}

static void expect_lora(struct site *site, const char *name, const char *words)
{
	struct atl_req *req = ask(site, &owner, "POST /api/v1/jobs",
				  fmt("{\"model\":\"local/mini\",\"prompt\":\"a\",\"loras\":[{\"name\":\"%s\",\"weight\":1}]}", name));

	if (!strstr(text_at(req, "detail"), words))
		fail_msg("%s: %s", name, text_at(req, "detail"));
}

static void test_a_lora_that_is_none_is_refused_by_name(void **state)
{
	struct site *site = *state;

	put_tensors(site, "loras/wrong.safetensors", CHECKPOINT, "cond_stage_model.transformer.x", 12);
	put(site, "loras/torn.safetensors", "\1\0", 2);
	put(site, "loras/old.pt", "PK\3\4", 4);
	put_tensors(site, "loras/right.safetensors", "lora_unet_a.lora_up.weight", "lora_unet_a.lora_down.weight", "x", 12);
	expect_lora(site, "absent", "There is no LoRA absent");
	expect_lora(site, "wrong", "wrong.safetensors is a picture model, not a LoRA");
	expect_lora(site, "torn", "torn.safetensors cannot be used");
	expect_lora(site, "old", "old.pt is a pickle file");
	expect_lora(site, "right", "atelier-mini"); /* its own files are missing here: the LoRA was not what is wrong */
}

/* What its entry says of previews reaches the engine with the paths of its files. */
static void test_mini_previews(void **state)
{
	struct site *site = *state;
	struct atl_picture_model model;
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	const char *mini, *other;

	atl_arena_init(&arena, 0);
	assert_ok(atl_picture_model_find(&site->app, &arena, "local/mini", &model, &info), &info);
	mini = atl_picture_model_remote(&site->app, &arena, &model);
	assert_non_null(strstr(mini, "/atelier-mini.gguf\""));
	assert_non_null(strstr(mini, "\"preview_contrast\":0.5"));
	assert_ok(atl_picture_model_find(&site->app, &arena, "local/sd-turbo", &model, &info), &info);
	other = atl_picture_model_remote(&site->app, &arena, &model);
	assert_null(strstr(other, "preview_contrast"));
	atl_arena_finish(&arena);
}

/* The entry of the model that comes with Atelier: what the page shows of it, and what it refuses. */
static void test_mini_says_what_to_try(void **state)
{
	struct site *site = *state;
	struct atl_req *req = expect(ask(site, &owner, "GET /api/v1/picture-models", NULL), 200);
	const struct atl_json *mini = NULL, *other = NULL;

	for (const struct atl_json *m = atl_json_get(json_of(req), "items")->child; m; m = m->next) {
		mini = atl_str_eq(atl_json_str(m, "id", ""), "local/mini") ? m : mini;
		other = atl_str_eq(atl_json_str(m, "id", ""), "local/sd-turbo") ? m : other;
	}
	assert_true(mini && other);
	assert_true(atl_json_bool(mini, "starter", false));
	assert_int_equal(atl_json_get(mini, "samples")->count, 4);
	assert_string_equal(atl_json_get(mini, "samples")->child->string, "a red apple");
	assert_int_equal(atl_json_get(other, "samples")->count, 0);
	assert_non_null(strstr(atl_json_str(mini, "description", ""), "not for scenes, people or text"));
	assert_int_equal(atl_json_get(mini, "sizes")->count, 2);
	req = expect(ask(site, &owner, "POST /api/v1/jobs", "{\"model\":\"local/mini\",\"prompt\":\"a\",\"steps\":51}"), 400);
	assert_string_equal(text_at(req, "field"), "steps");
	req = expect(ask(site, &owner, "POST /api/v1/jobs", "{\"model\":\"local/mini\",\"prompt\":\"a\",\"width\":7}"), 400);
	assert_string_equal(text_at(req, "field"), "width");
}

/* Samples of an operator's entry are kept and told. */
static void test_samples_of_an_own_entry(void **state)
{
	struct site *site = *state;
	static const char entry[] = "{\"id\":\"local/own\",\"provider_kind\":\"local\",\"remote_id\":\"own\",\"name\":\"Own\","
				    "\"description\":\"\",\"kind\":\"picture\",\"safety\":\"general\",\"tasks\":[\"txt2img\"],"
				    "\"samples\":[%s],\"files\":{\"model\":{\"file\":\"own.gguf\"}}}";
	const char *nine = "\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"";
	struct atl_req *req;

	req = ask(site, &owner, "POST /api/v1/picture-entries", fmt(entry, nine));
	expect(req, 400);
	assert_string_equal(text_at(req, "field"), "samples");
	expect(ask(site, &owner, "POST /api/v1/picture-entries", fmt(entry, "\"a <b>boat</b>\"")), 201);
	req = expect(ask(site, &owner, "GET /api/v1/picture-models", NULL), 200);
	for (const struct atl_json *m = atl_json_get(json_of(req), "items")->child; m; m = m->next)
		if (atl_str_eq(atl_json_str(m, "id", ""), "local/own")) {
			assert_string_equal(atl_json_get(m, "samples")->child->string, "a <b>boat</b>");
			return;
		}
	fail_msg("the entry is not listed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_checkpoint_is_a_model_by_itself),
		cmocka_unit_test(test_pickles_are_named_with_the_way_out),
		cmocka_unit_test(test_a_file_of_the_wrong_kind_is_told),
		cmocka_unit_test(test_a_lora_that_is_none_is_refused_by_name),
		cmocka_unit_test(test_mini_previews),
		cmocka_unit_test(test_mini_says_what_to_try),
		cmocka_unit_test(test_samples_of_an_own_entry),
	};

	return cmocka_run_group_tests_name("local models", tests, site_setup, site_teardown);
}
