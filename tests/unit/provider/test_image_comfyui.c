/* test_image_comfyui.c - the ComfyUI service against the double (tests/system/comfyui_double.py): whole runs over real
 * sockets. Arguments: the Python program, the double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "base/str.h"
#include "net/fetch.h"
#include "provider/image_comfyui.h"

#define PNG_1X1                                                                                                        \
	"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0\x3a\x7e\x9b\x55\0\0\0\nIDATx\x9c\x63\0\0\0\2\0\1\x48\xaf\xa4\x71" \
	"\0\0\0\0IEND\xae\x42\x60\x82"

static const char *python, *double_path;
static struct atl_loop *loop;
static struct atl_guard guard;
static pid_t child;
static int child_in;
static char base_url[64];
static struct atl_arena arena;
static struct atl_errinfo info;

/* What a run told. */
static struct seen {
	size_t results, previews, notes, steps, queued;
	int64_t last_step, last_steps;
	char types[256], note[512], remote[64], first_type[32];
	size_t first_length;
	int64_t first_seed;
	const char *cancel_at; /* phase */
	bool cancel_at_remote;
	atomic_bool cancelled;
} seen;

static void on_progress(void *arg, const struct atl_image_progress *p)
{
	(void)arg;
	if (atl_str_eq(p->phase, "sampling")) {
		seen.steps++;
		seen.last_step = p->step;
		seen.last_steps = p->steps;
	}
	seen.queued += atl_str_eq(p->phase, "queued");
	if (atl_str_eq(p->phase, seen.cancel_at))
		atomic_store(&seen.cancelled, true);
}

static void on_preview(void *arg, int64_t index, const void *data, size_t length, const char *media_type)
{
	(void)arg;
	assert_int_equal(index, 0);
	assert_true(length > 8 && memcmp(data, "\x89PNG", 4) == 0);
	assert_string_equal(media_type, "image/png");
	seen.previews++;
}

static enum atl_err on_result(void *arg, const struct atl_image_result *r, struct atl_errinfo *i)
{
	(void)arg;
	(void)i;
	if (seen.results++ == 0) {
		atl_str_copy(seen.first_type, sizeof(seen.first_type), r->media_type);
		seen.first_length = r->length;
		seen.first_seed = r->seed;
	}
	return ATL_OK;
}

static void on_note(void *arg, const char *text)
{
	(void)arg;
	seen.notes++;
	atl_str_copy(seen.note, sizeof(seen.note), text);
}

static enum atl_err on_remote(void *arg, const char *id, struct atl_errinfo *i)
{
	(void)arg;
	atl_str_copy(seen.remote, sizeof(seen.remote), id);
	if (!seen.cancel_at_remote)
		return ATL_OK;
	atomic_store(&seen.cancelled, true);
	return atl_fail(i, ATL_ERR_CANCELLED, "It was stopped.");
}

static const struct atl_image_events EVENTS = { .progress = on_progress, .preview = on_preview, .result = on_result,
						.note = on_note, .remote = on_remote };

static struct atl_image_endpoint endpoint(void)
{
	return (struct atl_image_endpoint){ .kind = "comfyui", .name = "Studio", .base_url = base_url, .guard = &guard, .loop = loop };
}

static struct atl_image_request request(enum atl_image_task task, const char *prompt)
{
	return (struct atl_image_request){ .task = task, .model = "base-v1.5", .prompt = prompt, .negative_prompt = "",
		.width = ATL_IMAGE_UNSET, .height = ATL_IMAGE_UNSET, .steps = 3, .clip_skip = ATL_IMAGE_UNSET, .count = 1, .seed = 42,
		.subseed = ATL_IMAGE_UNSET, .cfg_scale = NAN, .guidance = NAN, .strength = NAN, .control_strength = NAN,
		.upscale_factor = NAN, .frames = ATL_IMAGE_UNSET, .fps = ATL_IMAGE_UNSET, .duration_s = ATL_IMAGE_UNSET,
		.previews = true };
}

static const struct atl_image_file PICTURE = { PNG_1X1, sizeof(PNG_1X1) - 1, "image/png", 100, 50 };

static enum atl_err run_with(const struct atl_image_request *q, const char *remote_id)
{
	struct atl_image_endpoint e = endpoint();
	struct atl_image_run run = { .endpoint = &e, .request = q, .events = &EVENTS, .remote_id = remote_id,
				     .cancelled = &seen.cancelled, .max_result_bytes = 1 << 20, .timeout_ms = 60000, .pause_max_ms = 20 };

	info = (struct atl_errinfo){ 0 };
	return atl_image_comfyui.run(&run, &arena, &info);
}

static void ok(enum atl_err err)
{
	if (err)
		print_error("%s: %s\n", atl_err_name(err), info.detail);
	assert_int_equal(err, ATL_OK);
}

/* What the double was asked, as JSON. */
static const struct atl_json *asked(const char *path)
{
	struct atl_fetch_result result;
	struct atl_json *root;
	char url[96];

	snprintf(url, sizeof(url), "%s/double", base_url);
	assert_int_equal(atl_fetch_sync(loop, &arena, &(struct atl_fetch_request){ .url = url, .guard = &guard }, &result, NULL), ATL_OK);
	assert_int_equal(atl_json_parse(&arena, result.body, result.body_length, &root, NULL), ATL_OK);
	return atl_json_path(root, path);
}

static const char *asked_text(const char *path)
{
	const struct atl_json *v = asked(path);

	return v && v->kind == ATL_JSON_STRING ? v->string : "";
}

static int fresh(void **state)
{
	int in[2], out[2], port = 0;
	char line[16] = "";

	(void)state;
	seen = (struct seen){ 0 };
	atl_arena_init(&arena, 0);
	assert_int_equal(pipe(in) | pipe(out), 0);
	child = fork();
	if (child == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		execlp(python, python, double_path, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	child_in = in[1];
	for (size_t n = 0; n < sizeof(line) - 1 && read(out[0], line + n, 1) == 1 && line[n] != '\n'; n++)
		;
	close(out[0]);
	port = atoi(line);
	assert_true(port > 0);
	snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d", port);
	return 0;
}

static int done(void **state)
{
	(void)state;
	close(child_in);
	waitpid(child, NULL, 0);
	atl_arena_finish(&arena);
	return 0;
}

/* ---- messages ---- */

static void reads_messages(void **state)
{
	struct comfy_event e;
	static const char preview[] = "\0\0\0\1\0\0\0\1JPEG", unknown[] = "\0\0\0\2\0\0\0\1xx",
			  meta[] = "\0\0\0\4\0\0\0\x2d{\"prompt_id\":\"p\",\"image_type\":\"image/jpeg\"}  JPEG";

	(void)state;
#define TEXT(json) (e = comfy_event_text(&arena, json, strlen(json))).kind
	assert_int_equal(TEXT("{\"type\":\"executing\",\"data\":{\"node\":null,\"prompt_id\":\"p\"}}"), COMFY_DONE);
	assert_int_equal(TEXT("{\"type\":\"executing\",\"data\":{\"node\":\"3\",\"prompt_id\":\"p\"}}"), COMFY_NODE);
	assert_string_equal(e.node, "3");
	assert_int_equal(TEXT("{\"type\":\"progress\",\"data\":{\"value\":2,\"max\":5}}"), COMFY_PROGRESS);
	assert_int_equal(e.value, 2);
	assert_null(e.prompt_id);
	assert_int_equal(TEXT("{\"type\":\"execution_error\",\"data\":null}"), COMFY_FAILED);
	assert_string_equal(e.message, "");
	assert_int_equal(TEXT("[1"), COMFY_OTHER);
	assert_int_equal(TEXT("{\"type\":7}"), COMFY_OTHER);
	e = comfy_event_binary(&arena, preview, sizeof(preview) - 1);
	assert_int_equal(e.kind, COMFY_PREVIEW);
	assert_int_equal(e.length, 4);
	assert_string_equal(e.media_type, "image/jpeg");
	e = comfy_event_binary(&arena, meta, sizeof(meta) - 1);
	assert_int_equal(e.kind, COMFY_PREVIEW);
	assert_string_equal(e.prompt_id, "p");
	assert_int_equal(e.length, 4);
	assert_int_equal(comfy_event_binary(&arena, unknown, sizeof(unknown) - 1).kind, COMFY_OTHER);
	assert_int_equal(comfy_event_binary(&arena, preview, 7).kind, COMFY_OTHER);
	assert_int_equal(comfy_event_binary(&arena, "\0\0\0\4\xff\xff\xff\xff{}", 10).kind, COMFY_OTHER);
}

/* ---- runs ---- */

static void makes_a_picture(void **state)
{
	struct atl_image_request q = request(ATL_IMAGE_TXT2IMG, "a lighthouse");
	struct atl_image_lora lora = { "ink", NULL, 0.7 };

	(void)state;
	q.clip_skip = 2;
	q.width = 512;
	q.height = 768;
	q.count = 2;
	q.cfg_scale = 5;
	q.sampler = "dpm++2m";
	q.scheduler = "karras";
	q.loras = &lora;
	q.lora_count = 1;
	ok(run_with(&q, NULL));
	assert_int_equal(seen.results, 2);
	assert_string_equal(seen.first_type, "image/png");
	assert_int_equal(seen.first_seed, 42);
	assert_int_equal(seen.steps, 3);
	assert_int_equal(seen.last_step, 3);
	assert_int_equal(seen.last_steps, 3);
	assert_int_equal(seen.previews, 3);
	assert_int_equal(seen.notes, 0);
	assert_string_equal(asked_text("prompts.0.checkpoint.inputs.ckpt_name"), "sd/base-v1.5.safetensors");
	assert_string_equal(asked_text("prompts.0.positive.inputs.text"), "a lighthouse");
	assert_int_equal(asked("prompts.0.latent.inputs.height")->integer, 768);
	assert_int_equal(asked("prompts.0.sampler.inputs.seed")->integer, 42);
	assert_string_equal(asked_text("prompts.0.sampler.inputs.sampler_name"), "dpmpp_2m");
	assert_string_equal(asked_text("prompts.0.sampler.inputs.model.0"), "checkpoint-lora-1");
	assert_string_equal(asked_text("prompts.0.checkpoint-lora-1.inputs.lora_name"), "styles/ink.safetensors");
	assert_int_equal(asked("prompts.0.clip.inputs.stop_at_clip_layer")->integer, -2);
	assert_string_equal(asked_text("prompts.0.clip.inputs.clip.0"), "checkpoint-lora-1");
	assert_string_equal(asked_text("bodies.0.prompt_id"), seen.remote);
	assert_string_equal(asked_text("bodies.0.extra_data.preview_method"), "auto");
}

static void runs_every_built_in_workflow(void **state)
{
	static const struct {
		enum atl_image_task task;
		const char *control, *extra, *node, *want; /* the node whose first input must be `want` */
	} rows[] = {
		{ ATL_IMAGE_IMG2IMG, NULL, NULL, "image.inputs.image", "atelier-" },
		{ ATL_IMAGE_INPAINT, NULL, NULL, "mask.inputs.image", "atelier-" },
		{ ATL_IMAGE_TXT2IMG, "canny", NULL, "net.inputs.control_net_name", "control_canny.pth" },
		{ ATL_IMAGE_TXT2IMG, "pose", NULL, "net.inputs.control_net_name", "control_openpose.pth" },
		{ ATL_IMAGE_TXT2IMG, NULL, "{\"refiner_model\":\"sdxl_refiner_1.0\"}", "refiner.inputs.ckpt_name", "sdxl_refiner" },
		{ ATL_IMAGE_UPSCALE, NULL, NULL, "model.inputs.model_name", "4x-sharp.pth" },
		{ ATL_IMAGE_TXT2VID, NULL, NULL, "vae.inputs.vae_name", "wan_2.1_vae" },
		{ ATL_IMAGE_IMG2VID, NULL, NULL, "checkpoint.inputs.ckpt_name", "svd.safetensors" },
	};

	(void)state;
	for (size_t i = 0; i < ATL_COUNT(rows); i++) {
		struct atl_image_request q = request(rows[i].task, "");
		bool video = rows[i].task == ATL_IMAGE_TXT2VID || rows[i].task == ATL_IMAGE_IMG2VID;
		char path[96];

		seen = (struct seen){ 0 };
		q.model = rows[i].task == ATL_IMAGE_TXT2VID || rows[i].task == ATL_IMAGE_UPSCALE ? "" :
			  rows[i].task == ATL_IMAGE_IMG2VID ? "svd" : "base-v1.5";
		q.control_type = rows[i].control;
		if (rows[i].control)
			q.control = PICTURE;
		else if (rows[i].task != ATL_IMAGE_TXT2IMG && rows[i].task != ATL_IMAGE_TXT2VID)
			q.init = PICTURE;
		if (rows[i].task == ATL_IMAGE_INPAINT)
			q.mask = PICTURE;
		q.upscale_factor = 2;
		if (rows[i].task == ATL_IMAGE_UPSCALE)
			q.steps = ATL_IMAGE_UNSET;
		q.extra = rows[i].extra;
		ok(run_with(&q, NULL));
		assert_int_equal(seen.results, 1);
		assert_string_equal(seen.first_type, video ? "video/mp4" : "image/png");
		if (seen.notes)
			print_error("%zu: %s\n", i, seen.note);
		assert_int_equal(seen.notes, 0);
		snprintf(path, sizeof(path), "prompts.%zu.%s", i, rows[i].node);
		if (!strstr(asked_text(path), rows[i].want))
			print_error("%s: %s\n", path, asked_text(path));
		assert_non_null(strstr(asked_text(path), rows[i].want));
	}
	assert_int_equal(asked("prompts.4.refine.inputs.start_at_step")->integer, 2); /* of 3 steps */
	assert_int_equal(asked("prompts.5.size.inputs.width")->integer, 200);
}

#define OWN                                                                                                            \
	"{\"1\":{\"class_type\":\"LoadImage\",\"inputs\":{\"image\":\"{{photo}}\"}},"                                     \
	"\"2\":{\"class_type\":\"ImageInvert\",\"inputs\":{\"image\":[\"1\",0]}},"                                         \
	"\"3\":{\"class_type\":\"PreviewImage\",\"inputs\":{\"images\":[\"2\",0]}}}"

static void runs_a_workflow_of_the_user(void **state)
{
	struct atl_image_request q = request(ATL_IMAGE_WORKFLOW, "left out");
	struct atl_image_input input = { "photo", "{\"reference\":0}" };

	(void)state;
	q.model = "workflow"; /* the registry's entry for a workflow as it is */
	q.workflow = OWN;
	q.inputs = &input;
	q.input_count = 1;
	q.references = &PICTURE;
	q.reference_count = 1;
	q.steps = ATL_IMAGE_UNSET;
	ok(run_with(&q, NULL));
	assert_int_equal(seen.results, 1); /* of a preview node: there is no other */
	assert_int_equal(asked("uploads.0.bytes")->integer, (int64_t)PICTURE.length);
	assert_string_equal(asked_text("prompts.0.1.inputs.image"), asked_text("uploads.0.name"));
	assert_int_equal(seen.notes, 1);
	assert_non_null(strstr(seen.note, "prompt"));
	input.value = "{\"reference\":1}";
	assert_int_equal(run_with(&q, NULL), ATL_ERR_INVALID);
	assert_string_equal(info.field, "inputs.photo");
}

/* LoadImage alone: the mask is the picture's alpha. */
static void puts_a_mask_into_the_picture(void **state)
{
	struct atl_image_request q = request(ATL_IMAGE_WORKFLOW, "");

	(void)state;
	q.workflow = "{\"1\":{\"class_type\":\"LoadImage\",\"inputs\":{\"image\":\"example.png\"}},"
		     "\"2\":{\"class_type\":\"SaveImage\",\"inputs\":{\"images\":[\"1\",0],\"filename_prefix\":\"a\"}}}";
	q.steps = ATL_IMAGE_UNSET;
	q.init = q.mask = q.mask_alpha = PICTURE;
	ok(run_with(&q, NULL));
	assert_int_equal(seen.notes, 0);
	assert_int_equal(asked("uploads")->count, 2);
	assert_string_equal(asked_text("uploads.1.original"), asked_text("uploads.0.name"));
	assert_string_equal(asked_text("prompts.0.1.inputs.image"), asked_text("uploads.1.name"));
	assert_non_null(strstr(asked_text("uploads.1.name"), "masked-"));
}

static void names_what_is_missing(void **state)
{
	struct atl_image_endpoint e = endpoint();
	struct atl_image_request q = request(ATL_IMAGE_WORKFLOW, "");

	(void)state;
	q.workflow = "{\"1\":{\"class_type\":\"MagicNode\",\"inputs\":{}},\"2\":{\"class_type\":\"VAELoader\",\"inputs\":"
		     "{\"vae_name\":\"lost.pt\"}}}";
	assert_int_equal(atl_image_comfyui.check(&e, &q, &arena, &info), ATL_ERR_UNSUPPORTED);
	assert_non_null(strstr(info.detail, "MagicNode"));
	assert_non_null(strstr(info.detail, "lost.pt"));
	q.workflow = "{\"1\":{\"class_type\":\"PartnerImage\",\"inputs\":{\"prompt\":\"x\"}}}";
	assert_int_equal(atl_image_comfyui.check(&e, &q, &arena, &info), ATL_ERR_UNSUPPORTED);
	assert_non_null(strstr(info.detail, "another company"));
	q = request(ATL_IMAGE_TXT2IMG, "x");
	q.model = "nowhere";
	assert_int_equal(atl_image_comfyui.check(&e, &q, &arena, &info), ATL_ERR_UPSTREAM_MODEL);
	assert_non_null(strstr(info.detail, "nowhere"));
	q.model = "";
	ok(atl_image_comfyui.check(&e, &q, &arena, &info)); /* the first there is */
	q = request(ATL_IMAGE_TXT2IMG, "x");
	q.control = PICTURE;
	q.control_type = "depth"; /* the double has no such ControlNet */
	assert_int_equal(atl_image_comfyui.check(&e, &q, &arena, &info), ATL_ERR_UPSTREAM_MODEL);
	assert_non_null(strstr(info.detail, "control_model"));
	assert_int_equal(asked("prompts")->count, 0);
	assert_int_equal(asked("uploads")->count, 0);
}

static void tells_the_servers_errors(void **state)
{
	struct atl_image_request q = request(ATL_IMAGE_TXT2IMG, "fail");

	(void)state;
	assert_int_equal(run_with(&q, NULL), ATL_ERR_UPSTREAM);
	assert_non_null(strstr(info.detail, "KSampler: the sampler broke"));
	q.prompt = "oom";
	assert_int_equal(run_with(&q, NULL), ATL_ERR_UPSTREAM);
	assert_non_null(strstr(info.detail, "smaller size"));
	q.prompt = "forget"; /* as a restart would */
	assert_int_equal(run_with(&q, NULL), ATL_ERR_UPSTREAM);
	assert_non_null(strstr(info.detail, "no longer knows"));
	q = request(ATL_IMAGE_WORKFLOW, "");
	q.workflow = "{\"1\":{\"class_type\":\"EmptyLatentImage\",\"inputs\":{\"width\":64}}}";
	assert_int_equal(run_with(&q, NULL), ATL_ERR_INVALID);
	assert_non_null(strstr(info.detail, "no outputs"));
	q.workflow = "{\"1\":{\"class_type\":\"SaveImage\",\"inputs\":{\"filename_prefix\":\"a\"}}}";
	assert_int_equal(run_with(&q, NULL), ATL_ERR_INVALID);
	assert_non_null(strstr(info.detail, "SaveImage: Required input is missing (images)"));
	assert_int_equal(seen.results, 0);
}

static void ignores_others_and_survives_a_lost_socket(void **state)
{
	struct atl_image_request q = request(ATL_IMAGE_TXT2IMG, "foreign preview4");

	(void)state;
	ok(run_with(&q, NULL));
	assert_int_equal(seen.steps, 3);
	assert_int_equal(seen.last_steps, 3);
	assert_int_equal(seen.previews, 3);
	seen = (struct seen){ 0 };
	q.prompt = "drop";
	ok(run_with(&q, NULL));
	assert_int_equal(seen.results, 1);
	/* The same job once more by its id: nothing is queued. */
	char id[64];
	atl_str_copy(id, sizeof(id), seen.remote);
	seen = (struct seen){ 0 };
	ok(run_with(&q, id));
	assert_int_equal(seen.results, 1);
	assert_int_equal(asked("prompts")->count, 2);
}

static void cancels_at_the_server(void **state)
{
	struct atl_image_request q = request(ATL_IMAGE_TXT2IMG, "wait");

	(void)state;
	seen.cancel_at = "loading";
	assert_int_equal(run_with(&q, NULL), ATL_ERR_CANCELLED);
	assert_string_equal(asked_text("interrupts.0"), seen.remote);
	assert_string_equal(asked_text("deletes.0"), seen.remote);
	assert_int_equal(seen.results, 0);
	/* between its acceptance and the first event */
	seen = (struct seen){ .cancel_at_remote = true };
	assert_int_equal(run_with(&q, NULL), ATL_ERR_CANCELLED);
	assert_string_equal(asked_text("deletes.1"), seen.remote);
}

static void lists_models(void **state)
{
	struct atl_image_endpoint e = endpoint();
	struct atl_image_model *models;
	size_t count;

	(void)state;
	ok(atl_image_comfyui.models(&e, &arena, &models, &count, &info));
	assert_int_equal(count, 4);
	assert_string_equal(models[0].id, "sd/base-v1.5.safetensors");
	assert_null(models[0].tasks); /* the registry knows */
	assert_string_equal(models[2].tasks, "img2vid");
	assert_string_equal(models[3].tasks, "txt2vid workflow");
}

/* What may not be reached is not, over the socket as over HTTP. */
static void obeys_the_guard(void **state)
{
	struct atl_image_request q = request(ATL_IMAGE_TXT2IMG, "x");
	struct atl_guard closed;

	(void)state;
	assert_int_equal(atl_guard_init(&closed, NULL, NULL), ATL_OK);
	struct atl_image_endpoint e = endpoint();
	e.guard = &closed;
	struct atl_image_run run = { .endpoint = &e, .request = &q, .events = &EVENTS, .cancelled = &seen.cancelled,
				     .max_result_bytes = 1 << 20, .timeout_ms = 60000, .pause_max_ms = 20 };
	assert_int_equal(atl_image_comfyui.run(&run, &arena, &info), ATL_ERR_OUTBOUND);
	atl_guard_finish(&closed);
}

int main(int argc, char **argv)
{
	static const char *const ALLOW[] = { "127.0.0.1", NULL };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_messages, fresh, done),
		cmocka_unit_test_setup_teardown(makes_a_picture, fresh, done),
		cmocka_unit_test_setup_teardown(runs_every_built_in_workflow, fresh, done),
		cmocka_unit_test_setup_teardown(runs_a_workflow_of_the_user, fresh, done),
		cmocka_unit_test_setup_teardown(puts_a_mask_into_the_picture, fresh, done),
		cmocka_unit_test_setup_teardown(names_what_is_missing, fresh, done),
		cmocka_unit_test_setup_teardown(tells_the_servers_errors, fresh, done),
		cmocka_unit_test_setup_teardown(ignores_others_and_survives_a_lost_socket, fresh, done),
		cmocka_unit_test_setup_teardown(cancels_at_the_server, fresh, done),
		cmocka_unit_test_setup_teardown(lists_models, fresh, done),
		cmocka_unit_test_setup_teardown(obeys_the_guard, fresh, done),
	};
	int failed;

	if (argc != 3)
		return 2;
	python = argv[1];
	double_path = argv[2];
	if (atl_crypto_init() || atl_fetch_global_init() || atl_guard_init(&guard, ALLOW, NULL) || atl_loop_create("test", &loop, NULL))
		return 1;
	failed = cmocka_run_group_tests_name("comfyui", tests, NULL, NULL);
	atl_loop_destroy(loop);
	atl_guard_finish(&guard);
	atl_fetch_global_finish();
	return failed;
}
