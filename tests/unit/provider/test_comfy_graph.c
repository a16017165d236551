/* test_comfy_graph.c - ComfyUI workflows: inputs found, values put in, bad graphs refused with a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "provider/comfy_graph.h"

static struct atl_arena arena;
static struct atl_errinfo info;

static int setup(void **state)
{
	(void)state;
	atl_arena_init(&arena, 0);
	memset(&info, 0, sizeof(info));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	atl_arena_finish(&arena);
	return 0;
}

#define CKPT "\"4\":{\"class_type\":\"CheckpointLoaderSimple\",\"inputs\":{\"ckpt_name\":\"base.safetensors\"}}"
#define TEXTS                                                                                                          \
	"\"6\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":\"a lighthouse\",\"clip\":[\"4\",1]}},"            \
	"\"7\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":\"blurry\",\"clip\":[\"4\",1]}}"
#define SIZE "\"5\":{\"class_type\":\"EmptyLatentImage\",\"inputs\":{\"width\":1024,\"height\":768,\"batch_size\":1}}"
#define SAMPLER(positive, negative, latent)                                                                            \
	"\"3\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":7,\"steps\":25,\"cfg\":6.5,\"sampler_name\":\"dpmpp_2m\"," \
	"\"scheduler\":\"karras\",\"denoise\":1.0,\"model\":[\"4\",0],\"positive\":" positive ",\"negative\":" negative     \
	",\"latent_image\":" latent "}}"
#define END                                                                                                            \
	"\"8\":{\"class_type\":\"VAEDecode\",\"inputs\":{\"samples\":[\"3\",0],\"vae\":[\"4\",2]}},"                       \
	"\"9\":{\"class_type\":\"SaveImage\",\"inputs\":{\"images\":[\"8\",0],\"filename_prefix\":\"x\"}}"
#define TXT2IMG "{" CKPT "," SIZE "," TEXTS "," SAMPLER("[\"6\",0]", "[\"7\",0]", "[\"5\",0]") "," END "}"

static struct atl_comfy_graph parsed(const char *text)
{
	struct atl_comfy_graph graph;
	enum atl_err err = atl_comfy_graph_parse(&arena, text, strlen(text), &graph, &info);

	if (err)
		print_error("%s\n", info.detail);
	assert_int_equal(err, ATL_OK);
	return graph;
}

/* The input's place is NODE.FIELD. */
static void assert_place(const struct atl_comfy_graph *graph, const char *name, const char *node, const char *field)
{
	const struct atl_comfy_input *input = atl_comfy_input_find(graph, name);

	if (!input)
		print_error("no input %s\n", name);
	assert_non_null(input);
	assert_string_equal(graph->nodes[input->node].id, node);
	assert_string_equal(input->field, field);
}

static void refused(const char *text, const char *why)
{
	struct atl_comfy_graph graph;

	assert_int_equal(atl_comfy_graph_parse(&arena, text, strlen(text), &graph, &info), ATL_ERR_INVALID);
	if (!strstr(info.detail, why))
		print_error("%s\n", info.detail);
	assert_non_null(strstr(info.detail, why));
}

static const struct atl_json *json(const char *text)
{
	struct atl_json *root;

	assert_int_equal(atl_json_parse(&arena, text, strlen(text), &root, &info), ATL_OK);
	return root;
}

static const struct atl_json *filled(const struct atl_comfy_graph *graph, const struct atl_comfy_value *values, size_t count,
				     const struct atl_comfy_lora *loras, size_t lora_count)
{
	struct atl_buf out;
	enum atl_err err;
	const struct atl_json *root;

	atl_buf_init(&out, 1 << 20);
	err = atl_comfy_graph_fill(graph, values, count, loras, lora_count, &out, &info);
	if (err)
		print_error("%s\n", info.detail);
	assert_int_equal(err, ATL_OK);
	root = json(out.data);
	atl_buf_finish(&out);
	return root;
}

static enum atl_err fill_error(const struct atl_comfy_graph *graph, const struct atl_comfy_value *values, size_t count)
{
	struct atl_buf out;
	enum atl_err err;

	atl_buf_init(&out, 1 << 20);
	err = atl_comfy_graph_fill(graph, values, count, NULL, 0, &out, &info);
	atl_buf_finish(&out);
	return err;
}

static void finds_the_usual(void **state)
{
	struct atl_comfy_graph g = parsed(TXT2IMG);

	(void)state;
	assert_int_equal(g.node_count, 7);
	assert_place(&g, "prompt", "6", "text");
	assert_place(&g, "negative_prompt", "7", "text");
	assert_place(&g, "seed", "3", "seed");
	assert_place(&g, "steps", "3", "steps");
	assert_place(&g, "cfg_scale", "3", "cfg");
	assert_place(&g, "sampler", "3", "sampler_name");
	assert_place(&g, "scheduler", "3", "scheduler");
	assert_place(&g, "width", "5", "width");
	assert_place(&g, "height", "5", "height");
	assert_place(&g, "count", "5", "batch_size");
	assert_place(&g, "model", "4", "ckpt_name");
	assert_null(atl_comfy_input_find(&g, "strength")); /* from noise there is nothing to keep */
	assert_int_equal(g.input_count, 11);
}

static void follows_control_lora_and_pictures(void **state)
{
	struct atl_comfy_graph g = parsed(
		"{" CKPT "," TEXTS "," SAMPLER("[\"20\",0]", "[\"20\",1]", "[\"13\",0]") "," END ","
		"\"10\":{\"class_type\":\"LoadImage\",\"inputs\":{\"image\":\"photo.png\"}},"
		"\"11\":{\"class_type\":\"LoadImage\",\"inputs\":{\"image\":\"pose.png\"}},"
		"\"12\":{\"class_type\":\"LoadImageMask\",\"inputs\":{\"image\":\"m.png\",\"channel\":\"red\"}},"
		"\"14\":{\"class_type\":\"VAEEncode\",\"inputs\":{\"pixels\":[\"10\",0],\"vae\":[\"4\",2]}},"
		"\"13\":{\"class_type\":\"SetLatentNoiseMask\",\"inputs\":{\"samples\":[\"14\",0],\"mask\":[\"12\",0]}},"
		"\"21\":{\"class_type\":\"ControlNetLoader\",\"inputs\":{\"control_net_name\":\"pose.pth\"}},"
		"\"20\":{\"class_type\":\"ControlNetApplyAdvanced\",\"inputs\":{\"positive\":[\"6\",0],\"negative\":[\"7\",0],"
		"\"control_net\":[\"21\",0],\"image\":[\"11\",0],\"strength\":0.8}}}");

	(void)state;
	assert_place(&g, "prompt", "6", "text");
	assert_place(&g, "negative_prompt", "7", "text");
	assert_place(&g, "image", "10", "image");
	assert_place(&g, "control_image", "11", "image");
	assert_place(&g, "mask", "12", "image");
	assert_place(&g, "strength", "3", "denoise");
	assert_place(&g, "control_model", "21", "control_net_name");
	assert_place(&g, "control_strength", "20", "strength");
	assert_int_equal(atl_comfy_input_find(&g, "image")->type, ATL_COMFY_IMAGE);
}

/* FLUX: guider, noise, sampler and sigmas are nodes of their own; a LoRA behind a LoRA; the prompt in a primitive. */
static void follows_the_custom_sampler(void **state)
{
	struct atl_comfy_graph g = parsed(
		"{\"1\":{\"class_type\":\"UNETLoader\",\"inputs\":{\"unet_name\":\"flux.safetensors\",\"weight_dtype\":\"default\"}},"
		"\"2\":{\"class_type\":\"LoraLoaderModelOnly\",\"inputs\":{\"lora_name\":\"a\",\"strength_model\":1.0,\"model\":[\"1\",0]}},"
		"\"3\":{\"class_type\":\"LoraLoaderModelOnly\",\"inputs\":{\"lora_name\":\"b\",\"strength_model\":1.0,\"model\":[\"2\",0]}},"
		"\"4\":{\"class_type\":\"PrimitiveString\",\"inputs\":{\"value\":\"a cat\"}},"
		"\"5\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":[\"4\",0]}},"
		"\"6\":{\"class_type\":\"FluxGuidance\",\"inputs\":{\"conditioning\":[\"5\",0],\"guidance\":3.5}},"
		"\"7\":{\"class_type\":\"BasicGuider\",\"inputs\":{\"model\":[\"3\",0],\"conditioning\":[\"6\",0]}},"
		"\"8\":{\"class_type\":\"RandomNoise\",\"inputs\":{\"noise_seed\":1}},"
		"\"9\":{\"class_type\":\"KSamplerSelect\",\"inputs\":{\"sampler_name\":\"euler\"}},"
		"\"10\":{\"class_type\":\"BasicScheduler\",\"inputs\":{\"model\":[\"3\",0],\"scheduler\":\"simple\",\"steps\":20,\"denoise\":1}},"
		"\"11\":{\"class_type\":\"EmptySD3LatentImage\",\"inputs\":{\"width\":64,\"height\":64,\"batch_size\":1}},"
		"\"12\":{\"class_type\":\"SamplerCustomAdvanced\",\"inputs\":{\"noise\":[\"8\",0],\"guider\":[\"7\",0],\"sampler\":[\"9\",0],"
		"\"sigmas\":[\"10\",0],\"latent_image\":[\"11\",0]}}}");

	(void)state;
	assert_place(&g, "prompt", "4", "value");
	assert_place(&g, "seed", "8", "noise_seed");
	assert_place(&g, "sampler", "9", "sampler_name");
	assert_place(&g, "steps", "10", "steps");
	assert_place(&g, "guidance", "6", "guidance");
	assert_place(&g, "model", "1", "unet_name");
	assert_place(&g, "lora", "3", "lora_name");
	assert_place(&g, "lora_2", "2", "lora_name");
	assert_place(&g, "lora_weight_2", "2", "strength_model");
	assert_null(atl_comfy_input_find(&g, "negative_prompt"));
}

static void shares_equal_values_and_numbers_others(void **state)
{
	struct atl_comfy_graph g = parsed(
		"{" CKPT "," SIZE "," TEXTS "," SAMPLER("[\"6\",0]", "[\"7\",0]", "[\"5\",0]") ","
		"\"1\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":7,\"steps\":10,\"cfg\":6.5,\"denoise\":0.5,\"model\":[\"4\",0],"
		"\"positive\":[\"6\",0],\"negative\":[\"7\",0],\"latent_image\":[\"3\",0]}}}");
	struct atl_comfy_value values[] = { { "seed", json("99") }, { "steps", json("30") } };
	const struct atl_json *out = filled(&g, values, 2, NULL, 0);

	(void)state;
	assert_place(&g, "steps", "3", "steps"); /* the first sampler in order of work, not of ids */
	assert_place(&g, "steps_2", "1", "steps");
	assert_place(&g, "strength", "1", "denoise");
	assert_int_equal(atl_json_int(atl_json_path(out, "1.inputs"), "seed", 0), 99);
	assert_int_equal(atl_json_int(atl_json_path(out, "3.inputs"), "seed", 0), 99);
	assert_int_equal(atl_json_int(atl_json_path(out, "3.inputs"), "steps", 0), 30);
	assert_int_equal(atl_json_int(atl_json_path(out, "1.inputs"), "steps", 0), 10);
}

static void marks_win(void **state)
{
	struct atl_comfy_graph g = parsed(
		"{\"1\":{\"class_type\":\"LoadImage\",\"inputs\":{\"image\":\"{{photo}}\"}},"
		"\"2\":{\"class_type\":\"Blur\",\"inputs\":{\"image\":[\"1\",0],\"radius\":3,\"sigma\":1.5},"
		"\"_meta\":{\"title\":\"atelier:blur=radius, soft=sigma\"}},"
		"\"3\":{\"class_type\":\"Note\",\"inputs\":{\"text\":\"a {{prompt}}, {{light:at dusk}}!\"}},"
		"\"4\":{\"class_type\":\"Number\",\"inputs\":{\"value\":\"{{steps:12}}\"}}}");
	struct atl_comfy_value values[] = { { "photo", json("\"a (1).png\"") }, { "prompt", json("\"cat \\\"x\\\" {{light}}\"") },
					    { "blur", json("8") } };
	const struct atl_json *out = filled(&g, values, 3, NULL, 0);

	(void)state;
	assert_int_equal(atl_comfy_input_find(&g, "photo")->type, ATL_COMFY_IMAGE);
	assert_int_equal(atl_comfy_input_find(&g, "steps")->type, ATL_COMFY_INTEGER);
	assert_string_equal(atl_json_str(atl_json_path(out, "1.inputs"), "image", ""), "a (1).png");
	/* what a person writes is no placeholder */
	assert_string_equal(atl_json_str(atl_json_path(out, "3.inputs"), "text", ""), "a cat \"x\" {{light}}, at dusk!");
	assert_int_equal(atl_json_int(atl_json_path(out, "2.inputs"), "radius", 0), 8);
	assert_int_equal(atl_json_int(atl_json_path(out, "4.inputs"), "value", 0), 12);
}

static void says_which_value_is_wrong(void **state)
{
	struct atl_comfy_graph g = parsed("{\"1\":{\"class_type\":\"A\",\"inputs\":{\"x\":\"{{steps}}\"}}}");

	(void)state;
	assert_int_equal(fill_error(&g, NULL, 0), ATL_ERR_INVALID);
	assert_string_equal(info.field, "inputs.steps");
	assert_int_equal(fill_error(&g, &(struct atl_comfy_value){ "steps", json("\"5\"") }, 1), ATL_ERR_INVALID);
	assert_string_equal(info.field, "inputs.steps");
	assert_int_equal(fill_error(&g, &(struct atl_comfy_value){ "nothing", json("5") }, 1), ATL_ERR_INVALID);
	assert_string_equal(info.field, "inputs.nothing");
	assert_int_equal(fill_error(&g, &(struct atl_comfy_value){ "steps", json("5") }, 1), ATL_OK);
}

static void puts_loras_behind_the_loader(void **state)
{
	struct atl_comfy_graph g = parsed(TXT2IMG);
	struct atl_comfy_lora loras[] = { { "one.safetensors", 0.5 }, { "two.safetensors", 1 } };
	const struct atl_json *out = filled(&g, NULL, 0, loras, 2);

	(void)state;
	assert_string_equal(atl_json_path(out, "3.inputs.model.0")->string, "4-lora-2");
	assert_string_equal(atl_json_path(out, "6.inputs.clip.0")->string, "4-lora-2");
	assert_int_equal(atl_json_path(out, "6.inputs.clip.1")->integer, 1);
	assert_string_equal(atl_json_path(out, "8.inputs.vae.0")->string, "4"); /* a LoRA has no decoder */
	assert_string_equal(atl_json_path(out, "4-lora-2.inputs.model.0")->string, "4-lora-1");
	assert_string_equal(atl_json_path(out, "4-lora-1.inputs.model.0")->string, "4");
	assert_string_equal(atl_json_path(out, "4-lora-1.inputs.lora_name")->string, "one.safetensors");
}

static void refuses_bad_graphs(void **state)
{
	(void)state;
	refused("[]", "JSON object");
	refused("{}", "1 to");
	refused("{\"nodes\":[],\"links\":[]}", "Export (API)");
	refused("{\"1\":{\"inputs\":{}}}", "class_type");
	refused("{\"1\":{\"class_type\":\"A\"}}", "inputs");
	refused("{\"1\":{\"class_type\":\"A\",\"inputs\":{\"x\":[\"2\",0]}}}", "not there");
	refused("{\"1\":{\"class_type\":\"A\",\"inputs\":{\"x\":[\"2\",0]}},\"2\":{\"class_type\":\"B\",\"inputs\":{\"y\":[\"1\",0]}}}",
		"circle");
	refused("{\"1\":{\"class_type\":\"A\",\"inputs\":{\"x\":\"{{a}}\",\"x\":3}}}", "twice");
	refused("{\"1\":{\"class_type\":\"A\",\"inputs\":{\"x\":\"{{Not Ok}}\"}}}", "no name");
	refused("{\"1\":{\"class_type\":\"A\",\"inputs\":{\"x\":\"{{steps:many}}\"}}}", "no number");
	refused("{\"1\":{\"class_type\":\"A\",\"inputs\":{\"x\":1},\"_meta\":{\"title\":\"atelier:a=y\"}}}", "names no value");
}

static void writes_the_form(void **state)
{
	struct atl_buf out;
	const struct atl_json *root;

	(void)state;
	atl_buf_init(&out, 1 << 20);
	/* also as what /prompt takes */
	assert_int_equal(atl_comfy_workflow_inputs(&arena, "{\"prompt\":" TXT2IMG "}", strlen(TXT2IMG) + 11, &out, &info), ATL_OK);
	root = json(out.data);
	assert_int_equal(atl_json_get(root, "items")->count, 11);
	assert_string_equal(atl_json_path(root, "items.0.name")->string, "prompt");
	assert_string_equal(atl_json_path(root, "items.0.default")->string, "a lighthouse");
	assert_string_equal(atl_json_path(root, "items.0.places.0.class_type")->string, "CLIPTextEncode");
	assert_int_equal(atl_json_get(root, "classes")->count, 6);
	atl_buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_the_usual, setup, teardown),
		cmocka_unit_test_setup_teardown(follows_control_lora_and_pictures, setup, teardown),
		cmocka_unit_test_setup_teardown(follows_the_custom_sampler, setup, teardown),
		cmocka_unit_test_setup_teardown(shares_equal_values_and_numbers_others, setup, teardown),
		cmocka_unit_test_setup_teardown(marks_win, setup, teardown),
		cmocka_unit_test_setup_teardown(says_which_value_is_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(puts_loras_behind_the_loader, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_bad_graphs, setup, teardown),
		cmocka_unit_test_setup_teardown(writes_the_form, setup, teardown),
	};

	return cmocka_run_group_tests_name("comfy_graph", tests, NULL, NULL);
}
