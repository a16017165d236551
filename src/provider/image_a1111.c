/* image_a1111.c - AUTOMATIC1111, Forge and SD.Next over /sdapi/v1.
 *
 * The picture is the answer of one long POST; progress and previews are asked for meanwhile. The POST has a thread of
 * its own, so that every event comes on the run's thread. The server has one job at a time and no ids: what it tells of
 * is taken for ours, and after a restart a run cannot be found again.
 * Threads: the run's thread, and one for the POST that is joined before run() returns.
 * Limits:  A1111_ANSWER_MAX for an answer with all its pictures.
 */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/str.h"
#include "provider/a1111_names.h"
#include "provider/image_http.h"

#define A1111_ANSWER_MAX ((size_t)256 << 20)
#define POLL_MS 400
#define INTERRUPT_MS 5000 /* for the server to stop; then we hang up */
#define RUN_MS 1800000

/* control_type -> preprocessor and a word of the model's name */
static const struct {
	const char *type, *module, *word;
} CONTROLS[] = {
	{ "canny", "canny", "canny" }, { "depth", "none", "depth" }, { "pose", "none", "openpose" },
	{ "scribble", "none", "scribble" }, { "lineart", "none", "lineart" }, { "tile", "none", "tile" },
};

/* ---- what the server has ---- */

static enum atl_err get(const struct atl_image_run *run, struct atl_arena *arena, const char *path,
			const struct atl_json **ret, struct atl_errinfo *info)
{
	struct atl_image_ask ask = { .path = path, .repeatable = true, .auth = "Basic" };
	struct atl_json *root;
	enum atl_err err = atl_image_http_json(run, arena, &ask, &root, info);

	if (!err)
		*ret = root;
	return err;
}

/* The entry whose `key` is this name, whatever its case. */
static const struct atl_json *entry_named(const struct atl_json *list, const char *key, const char *name)
{
	for (const struct atl_json *m = list ? list->child : NULL; m; m = m->next)
		if (atl_str_ieq(atl_json_str(m, key, ""), name))
			return m;
	return NULL;
}

static enum atl_err find_model(const struct atl_image_run *run, struct atl_arena *arena, const char **ret_title,
			       struct atl_errinfo *info)
{
	const char *name = run->request->model;
	const struct atl_json *list, *found;
	enum atl_err err = get(run, arena, "/sdapi/v1/sd-models", &list, info);

	if (err)
		return err;
	found = entry_named(list, "title", name);
	if (!found)
		found = entry_named(list, "model_name", name);
	if (!found)
		return atl_fail(info, ATL_ERR_UPSTREAM_MODEL, "%s has no model %.200s. Put it into its models folder, or choose "
				"another.", run->endpoint->name, name);
	*ret_title = atl_json_str(found, "title", name);
	return ATL_OK;
}

static void note_missing(const struct atl_image_run *run, struct atl_arena *arena, const char *kind, const char *name)
{
	const char *whole = atl_arena_printf(arena, "The server has no %s %s; it took its own choice.", kind, name);

	if (whole)
		run->events->note(run->arg, whole);
}

/* Before 1.9 the scheduler was a part of the sampler's name. */
static enum atl_err write_method(const struct atl_image_run *run, struct atl_arena *arena, struct atl_jw *w,
				 struct atl_errinfo *info)
{
	const struct atl_image_request *q = run->request;
	const char *sampler = atl_a1111_name_at_server(atl_a1111_samplers, q->sampler);
	const char *scheduler = atl_a1111_name_at_server(atl_a1111_schedulers, q->scheduler), *joined;
	const struct atl_json *list, *found;
	enum atl_err err;

	if (q->scheduler && !scheduler)
		note_missing(run, arena, "scheduler", q->scheduler);
	if (q->sampler) {
		err = get(run, arena, "/sdapi/v1/samplers", &list, info);
		if (err)
			return err;
		joined = scheduler ? atl_arena_printf(arena, "%s %s", sampler ? sampler : q->sampler, scheduler) : NULL;
		found = joined ? entry_named(list, "name", joined) : NULL;
		if (found)
			scheduler = NULL;
		else
			found = entry_named(list, "name", sampler ? sampler : q->sampler);
		if (found)
			atl_jw_str(w, "sampler_name", atl_json_str(found, "name", ""));
		else
			note_missing(run, arena, "sampler", q->sampler);
	}
	if (scheduler)
		atl_jw_str(w, "scheduler", scheduler);
	return ATL_OK;
}

/* ---- the request ---- */

static void write_picture(struct atl_jw *w, struct atl_arena *arena, const char *key, const struct atl_image_file *file)
{
	const char *text = atl_image_base64(arena, file, false);

	if (text)
		atl_jw_str(w, key, text);
	else
		w->out->failed = true;
}

static void write_prompt(struct atl_jw *w, const struct atl_image_request *q)
{
	struct atl_buf prompt;

	atl_buf_init(&prompt, 1 << 20);
	atl_buf_adds(&prompt, q->prompt);
	for (size_t i = 0; i < q->lora_count; i++)
		atl_buf_addf(&prompt, " <lora:%s:%g>", q->loras[i].name, q->loras[i].weight);
	w->out->failed |= prompt.failed;
	atl_jw_strn(w, "prompt", prompt.data, prompt.length);
	atl_buf_finish(&prompt);
	if (*q->negative_prompt)
		atl_jw_str(w, "negative_prompt", q->negative_prompt);
}

static void write_int(struct atl_jw *w, const char *key, int64_t value)
{
	if (value != ATL_IMAGE_UNSET)
		atl_jw_int(w, key, value);
}

static void write_num(struct atl_jw *w, const char *key, double value)
{
	if (!isnan(value))
		atl_jw_num(w, key, value);
}

static enum atl_err write_control(const struct atl_image_run *run, struct atl_arena *arena, struct atl_jw *w,
				  struct atl_errinfo *info)
{
	const struct atl_image_request *q = run->request;
	const struct atl_json *root, *list;
	const char *model = NULL;
	size_t kind = 0;
	enum atl_err err;

	while (kind < ATL_COUNT(CONTROLS) && !atl_str_eq(CONTROLS[kind].type, q->control_type))
		kind++;
	if (kind == ATL_COUNT(CONTROLS))
		return atl_fail_field(info, ATL_ERR_UNSUPPORTED, "control_type", "%s takes canny, depth, pose, scribble, lineart "
				      "or tile.", run->endpoint->name);
	err = get(run, arena, "/controlnet/model_list", &root, info);
	if (err)
		return atl_fail_context(info, err, "%s needs its ControlNet extension for this", run->endpoint->name);
	list = atl_json_get(root, "model_list");
	for (const struct atl_json *m = list ? list->child : NULL; m && !model; m = m->next)
		if (m->kind == ATL_JSON_STRING && strstr(m->string, CONTROLS[kind].word))
			model = m->string;
	if (!model)
		return atl_fail(info, ATL_ERR_UPSTREAM_MODEL, "%s has no ControlNet model for %s.", run->endpoint->name,
				CONTROLS[kind].type);
	atl_jw_object(w, "alwayson_scripts");
	atl_jw_object(w, "controlnet");
	atl_jw_array(w, "args");
	atl_jw_object(w, NULL);
	atl_jw_bool(w, "enabled", true);
	atl_jw_str(w, "module", CONTROLS[kind].module);
	atl_jw_str(w, "model", model);
	write_num(w, "weight", q->control_strength);
	write_picture(w, arena, "image", &q->control);
	atl_jw_end_object(w);
	atl_jw_end_array(w);
	atl_jw_end_object(w);
	atl_jw_end_object(w);
	return ATL_OK;
}

static void write_init(struct atl_jw *w, struct atl_arena *arena, const struct atl_image_request *q)
{
	atl_jw_array(w, "init_images");
	write_picture(w, arena, NULL, &q->init);
	atl_jw_end_array(w);
	write_num(w, "denoising_strength", q->strength);
	if (!q->mask.data)
		return;
	write_picture(w, arena, "mask", &q->mask);
	atl_jw_int(w, "inpainting_fill", 1); /* begin with what is there */
	atl_jw_int(w, "inpainting_mask_invert", 0);
	atl_jw_bool(w, "inpaint_full_res", false);
	atl_jw_int(w, "mask_blur", 4);
}

static enum atl_err write_generate(const struct atl_image_run *run, struct atl_arena *arena, struct atl_buf *out,
				   struct atl_errinfo *info)
{
	const struct atl_image_request *q = run->request;
	int64_t width = q->width, height = q->height;
	const char *model = NULL;
	struct atl_jw w;
	enum atl_err err = *q->model ? find_model(run, arena, &model, info) : ATL_OK;

	if (err)
		return err;
	if (width == ATL_IMAGE_UNSET && height == ATL_IMAGE_UNSET && q->init.width > 0) {
		width = q->init.width;
		height = q->init.height;
	}
	atl_jw_init(&w, out);
	atl_jw_object(&w, NULL);
	write_prompt(&w, q);
	write_int(&w, "seed", q->seed);
	if (q->subseed_strength > 0) {
		write_int(&w, "subseed", q->subseed);
		atl_jw_num(&w, "subseed_strength", q->subseed_strength);
	}
	write_int(&w, "steps", q->steps);
	write_num(&w, "cfg_scale", q->cfg_scale);
	write_num(&w, "distilled_cfg_scale", q->guidance); /* Forge */
	write_int(&w, "width", width);
	write_int(&w, "height", height);
	atl_jw_int(&w, "batch_size", q->count > 0 ? q->count : 1);
	err = write_method(run, arena, &w, info);
	atl_jw_object(&w, "override_settings");
	if (model)
		atl_jw_str(&w, "sd_model_checkpoint", model);
	write_int(&w, "CLIP_stop_at_last_layers", q->clip_skip);
	atl_jw_end_object(&w);
	atl_jw_bool(&w, "send_images", true);
	atl_jw_bool(&w, "save_images", false);
	if (q->task != ATL_IMAGE_TXT2IMG)
		write_init(&w, arena, q);
	if (!err && q->control.data)
		err = write_control(run, arena, &w, info);
	atl_jw_end_object(&w);
	return err ? err : atl_buf_err(out, info);
}

static enum atl_err write_upscale(const struct atl_image_run *run, struct atl_arena *arena, struct atl_buf *out,
				  struct atl_errinfo *info)
{
	const struct atl_image_request *q = run->request;
	const struct atl_json *list, *found = NULL;
	struct atl_jw w;
	enum atl_err err = get(run, arena, "/sdapi/v1/upscalers", &list, info);

	if (err)
		return err;
	if (q->upscaler)
		found = entry_named(list, "name", q->upscaler);
	else
		for (const struct atl_json *m = list->child; m && !found; m = m->next)
			if (*atl_json_str(m, "model_name", "")) /* the others are plain resizing */
				found = m;
	if (!found)
		return atl_fail_field(info, ATL_ERR_UPSTREAM_MODEL, "upscaler", "%s has no upscaler %s.", run->endpoint->name,
				      q->upscaler ? q->upscaler : "with a model");
	atl_jw_init(&w, out);
	atl_jw_object(&w, NULL);
	atl_jw_int(&w, "resize_mode", 0);
	atl_jw_num(&w, "upscaling_resize", isnan(q->upscale_factor) ? 2 : q->upscale_factor);
	atl_jw_str(&w, "upscaler_1", atl_json_str(found, "name", ""));
	write_picture(&w, arena, "image", &q->init);
	atl_jw_end_object(&w);
	return atl_buf_err(out, info);
}

/* ---- the long POST and what is seen meanwhile ---- */

struct post {
	/* set before the start */
	struct atl_image_run run; /* with a flag of its own: hung up only when the server does not stop by itself */
	struct atl_image_ask ask;
	struct atl_arena arena;
	atomic_bool hang_up;
	/* the thread's, until `done` */
	struct atl_json *answer;
	enum atl_err err;
	struct atl_errinfo info;
	atomic_bool done;
};

static void *post_main(void *arg)
{
	struct post *post = arg;

	post->err = atl_image_http_json(&post->run, &post->arena, &post->ask, &post->answer, &post->info);
	atomic_store(&post->done, true);
	return NULL;
}

static void interrupt(const struct atl_image_run *run, struct atl_arena *arena)
{
	atomic_bool no = false;
	struct atl_image_run own = *run;
	struct atl_image_answer answer;
	struct atl_image_ask ask = { .method = "POST", .path = "/sdapi/v1/interrupt", .auth = "Basic", .body = "{}",
				     .body_length = 2, .total_ms = INTERRUPT_MS };

	own.cancelled = &no;
	(void)!atl_image_http(&own, arena, &ask, &answer, NULL);
}

/* Progress is a courtesy: what cannot be read is skipped. */
static void look(const struct atl_image_run *run, int64_t *last_step)
{
	const char *path = run->request->previews ? "/sdapi/v1/progress?skip_current_image=false"
						  : "/sdapi/v1/progress?skip_current_image=true";
	const struct atl_json *root, *state;
	struct atl_image_file preview;
	struct atl_arena arena;
	const char *picture;
	int64_t step, steps;

	atl_arena_init(&arena, 0);
	if (get(run, &arena, path, &root, NULL))
		goto out;
	state = atl_json_get(root, "state");
	step = atl_json_int(state, "sampling_step", 0);
	steps = atl_json_int(state, "sampling_steps", 0);
	if (steps <= 0 || step < 0 || step > steps || step == *last_step)
		goto out;
	*last_step = step;
	run->events->progress(run->arg, &(struct atl_image_progress){ .phase = "sampling", .step = step, .steps = steps,
		.left_ms = fmin(fmax(atl_json_num(root, "eta_relative", 0), 0), 86400) * 1000, .queue_position = -1 });
	picture = atl_json_str(root, "current_image", NULL);
	if (picture && run->request->previews && !atl_image_unbase64(&arena, picture, &preview, NULL))
		run->events->preview(run->arg, 0, preview.data, preview.length, preview.media_type);
out:
	atl_arena_finish(&arena);
}

/* Until the POST has ended, watched from here. */
static enum atl_err watch(const struct atl_image_run *run, struct post *post, struct atl_arena *arena,
			  bool progress, struct atl_errinfo *info)
{
	int64_t last_step = 0;
	pthread_t thread;
	bool stopped = false;

	if (pthread_create(&thread, NULL, post_main, post))
		return atl_fail(info, ATL_ERR_NOMEM, "no thread for the request");
	while (!atomic_load(&post->done) && !stopped) {
		stopped = !atl_image_wait(run, POLL_MS);
		if (!stopped && progress && !atomic_load(&post->done))
			look(run, &last_step);
	}
	if (stopped) {
		interrupt(run, arena);
		/* the server is told; its answer would only be the unfinished picture */
		atomic_store(&post->hang_up, true);
	}
	pthread_join(thread, NULL);
	if (stopped)
		return atl_fail(info, ATL_ERR_CANCELLED, "It was stopped.");
	if (post->err && strstr(post->info.detail, "OutOfMemory"))
		return atl_fail(info, post->err, "%s ran out of memory. Choose a smaller size or fewer pictures.",
				run->endpoint->name);
	if (post->err && info)
		*info = post->info;
	return post->err;
}

/* ---- results ---- */

static enum atl_err give(const struct atl_image_run *run, struct atl_arena *arena, const char *base64, int64_t index,
			 int64_t seed, struct atl_errinfo *info)
{
	struct atl_image_file file;
	enum atl_err err = atl_image_unbase64(arena, base64, &file, info);

	if (!err && file.length > run->max_result_bytes)
		err = atl_fail(info, ATL_ERR_TOO_LARGE, "The picture is larger than allowed.");
	return err ? err : run->events->result(run->arg, &(struct atl_image_result){ .index = index, .data = file.data,
		.length = file.length, .media_type = file.media_type, .seed = seed }, info);
}

/* `info` is JSON inside a string: the seeds, and whether a grid of all comes first. */
static enum atl_err give_all(const struct atl_image_run *run, struct post *post, struct atl_errinfo *info)
{
	const struct atl_json *images = atl_json_get(post->answer, "images"), *seeds;
	const char *text = atl_json_str(post->answer, "info", "{}");
	const char *single = atl_json_str(post->answer, "image", NULL);
	int64_t first = 0, index = 0, seed, count = run->request->count > 0 ? run->request->count : 1;
	struct atl_json *details = NULL;
	enum atl_err err = ATL_OK;

	if (single)
		return give(run, &post->arena, single, 0, ATL_IMAGE_UNSET, info);
	if (atl_json_parse(&post->arena, text, strlen(text), &details, NULL))
		details = NULL;
	first = atl_json_int(details, "index_of_first_image", 0) > 0 ? 1 : 0;
	seeds = atl_json_get(details, "all_seeds");
	for (const struct atl_json *m = images ? images->child : NULL; m && !err && index - first < count; m = m->next, index++) {
		const struct atl_json *told = atl_json_at(seeds, (size_t)(index - first));

		if (index < first)
			continue;
		if (m->kind != ATL_JSON_STRING)
			return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s sent something else than pictures.", run->endpoint->name);
		seed = ATL_IMAGE_UNSET;
		if (!told || !atl_json_integer(told, &seed))
			seed = run->request->seed + index - first;
		err = give(run, &post->arena, m->string, index - first, seed, info);
	}
	if (!err && index <= first)
		err = atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s sent no picture.", run->endpoint->name);
	return err;
}

static enum atl_err a1111_run(const struct atl_image_run *run, struct atl_arena *arena, struct atl_errinfo *info)
{
	const struct atl_image_request *q = run->request;
	bool upscale = q->task == ATL_IMAGE_UPSCALE;
	struct post post = { .run = *run };
	struct atl_buf body;
	enum atl_err err;

	if (q->task != ATL_IMAGE_TXT2IMG && !q->init.data)
		return atl_fail_field(info, ATL_ERR_INVALID, "init", "A picture to begin with is needed.");
	atl_buf_init(&body, A1111_ANSWER_MAX);
	atl_arena_init(&post.arena, A1111_ANSWER_MAX * 3);
	err = upscale ? write_upscale(run, arena, &body, info) : write_generate(run, arena, &body, info);
	if (!err) {
		post.run.cancelled = &post.hang_up;
		post.ask = (struct atl_image_ask){ .method = "POST", .auth = "Basic", .body = body.data, .body_length = body.length,
			.max_bytes = A1111_ANSWER_MAX, .first_byte_ms = run->timeout_ms ? run->timeout_ms : RUN_MS,
			.total_ms = run->timeout_ms ? run->timeout_ms : RUN_MS };
		post.ask.path = upscale ? "/sdapi/v1/extra-single-image" :
				q->task == ATL_IMAGE_TXT2IMG ? "/sdapi/v1/txt2img" : "/sdapi/v1/img2img";
		err = watch(run, &post, arena, !upscale, info);
	}
	if (!err)
		err = give_all(run, &post, info);
	atl_arena_finish(&post.arena);
	atl_buf_finish(&body);
	return err;
}

static enum atl_err a1111_models(const struct atl_image_endpoint *endpoint, struct atl_arena *arena,
				 struct atl_image_model **ret, size_t *ret_count, struct atl_errinfo *info)
{
	atomic_bool cancelled = false;
	struct atl_image_request request = { .prompt = "" };
	struct atl_image_run run = { .endpoint = endpoint, .request = &request, .cancelled = &cancelled };
	const struct atl_json *list;
	struct atl_image_model *models;
	size_t count = 0;
	enum atl_err err = get(&run, arena, "/sdapi/v1/sd-models", &list, info);

	if (err)
		return err;
	models = ATL_ARENA_ARRAY(arena, struct atl_image_model, list->count + 1);
	if (!models)
		return ATL_ERR_NOMEM;
	for (const struct atl_json *m = list->child; m; m = m->next) {
		const char *name = atl_json_str(m, "model_name", NULL);

		if (name)
			models[count++] = (struct atl_image_model){ name, name, NULL };
	}
	*ret = models;
	*ret_count = count;
	return ATL_OK;
}

const struct atl_image_ops atl_image_a1111 = {
	.kind = "a1111", .resumable = false, .costs = false, .cancels = true, .needs_key = false, .previews = true, .concurrency = 1,
	.tasks = 1u << ATL_IMAGE_TXT2IMG | 1u << ATL_IMAGE_IMG2IMG | 1u << ATL_IMAGE_INPAINT | 1u << ATL_IMAGE_UPSCALE,
	.run = a1111_run, .models = a1111_models,
};
