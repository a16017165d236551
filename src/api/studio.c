/* studio.c - the studio contract: POST /generate, GET /generate/{task_id}, GET /health.
 *
 * One request, one answer: it waits up to ATL_STUDIO_WAIT_MS for the picture, or answers `queued` at once with
 * `Prefer: respond-async`. Modes that Atelier does not offer are refused by name.
 */
#include <math.h>
#include <string.h>

#include "api/fields.h"
#include "api/waiting.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/models/engine.h"
#include "core/pictures/picture.h"
#include "core/pictures/picture_engine.h"

#define ATL_STUDIO_WAIT_MS 180000
#define IMAGES_MAX 5
#define BODY_MAX ((size_t)96 << 20)
#define OUT_MAX ((size_t)64 << 20)

static const char *const MODES[] = { "free", "img2img", "inpaint", "edit", "upscale", "remove_background", "clothes_removal",
				     "face_swap", "nsfw_face", NULL };
static const char *const REFUSED[] = { "clothes_removal", "face_swap", "nsfw_face" };

/* Ours, and the contract's. */
static const char *const NAMES[] = { "init_asset", "images", "reference_assets", "images", "mask_asset", "mask", "task", "mode",
				     "steps", "extra_params.steps", "cfg_scale", "extra_params.cfg_scale", "seed",
				     "extra_params.seed", "sampler", "extra_params.sampler", "scheduler", "extra_params.scheduler",
				     "width", "extra_params.width", "height", "extra_params.height", "strength",
				     "extra_params.strength", "upscale_factor", "extra_params.upscale_factor",
				     "negative_prompt", "extra_params.negative_prompt", "model", "extra_params.model", NULL };

struct params_in {
	uint64_t present;
	int64_t steps, seed, width, height, count;
	double cfg_scale, strength, upscale_factor;
	const char *sampler, *scheduler, *negative_prompt, *model;
};
static const struct atl_json_field params_fields[] = {
	F_INT(struct params_in, steps, 0, 1, 150, NULL),
	F_NUM(struct params_in, cfg_scale, 0, 0, 30, NULL),
	F_INT(struct params_in, seed, 0, -1, 4294967295.0, "-1: random"),
	F_STR(struct params_in, sampler, 0, 1, 60, NULL),
	F_STR(struct params_in, scheduler, 0, 1, 60, NULL),
	F_INT(struct params_in, width, 0, 64, 4096, NULL),
	F_INT(struct params_in, height, 0, 64, 4096, NULL),
	F_NUM(struct params_in, strength, 0, 0, 1, NULL),
	F_NUM(struct params_in, upscale_factor, 0, 1, 8, NULL),
	F_STR(struct params_in, negative_prompt, 0, 0, ATL_PICTURE_PROMPT_MAX, NULL),
	F_STR(struct params_in, model, 0, 1, 300, NULL),
};
DESC_PATCH(params_desc, struct params_in, "StudioParams", params_fields);

struct generate_in {
	const char *mode, *prompt, *style, *mask;
	const struct params_in *extra_params;
	struct atl_strs images;
};
static const struct atl_json_field generate_fields[] = {
	F_ENUM(struct generate_in, mode, ATL_JF_REQUIRED, MODES, "the last three are not offered"),
	F_STR(struct generate_in, prompt, 0, 0, 4000, NULL),
	F_STR(struct generate_in, style, ATL_JF_NULLABLE, 0, 80, "chatgpt, lux, realism, anime or one of your own"),
	F_OBJ(struct generate_in, extra_params, ATL_JF_NULLABLE, &params_desc, NULL),
	{ .name = "images", .type = ATL_JT_STRS, .offset = offsetof(struct generate_in, images), .min = 0, .max = IMAGES_MAX,
	  .item_max = (unsigned)BODY_MAX, .doc = "base64; the first is what is changed" },
	{ .name = "mask", .type = ATL_JT_STR, .offset = offsetof(struct generate_in, mask), .flags = ATL_JF_NULLABLE,
	  .max = (double)BODY_MAX, .doc = "base64; white is painted anew" },
};
DESC(generate_desc, struct generate_in, "StudioRequest", generate_fields);

struct generated {
	const char *task_id, *status, *image, *error;
};
static const char *const STATES[] = { "done", "queued", "processing", "failed", NULL };
static const struct atl_json_field generated_fields[] = {
	F_STR(struct generated, task_id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_ENUM(struct generated, status, ATL_JF_REQUIRED, STATES, NULL),
	F_STR(struct generated, image, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "base64"),
	F_STR(struct generated, error, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, NULL),
};
DESC(generated_desc, struct generated, "StudioResult", generated_fields);

static const char *state_of(const struct atl_job *job)
{
	if (atl_str_eq(job->state, "done"))
		return job->assets.count ? "done" : "failed";
	if (atl_str_eq(job->state, "failed") || atl_str_eq(job->state, "cancelled"))
		return "failed";
	return atl_str_eq(job->state, "queued") ? "queued" : "processing";
}

static void answer_job(struct atl_req *req, const struct atl_job *job)
{
	struct atl_errinfo info = { 0 };
	const char *state = state_of(job);
	struct atl_buf out;
	struct atl_jw w;
	enum atl_err err = ATL_OK;

	if (atl_str_eq(state, "failed"))
		atl_api_job_error(job, &info);
	atl_buf_init(&out, OUT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "task_id", job->id);
	atl_jw_str(&w, "status", state);
	atl_jw_str(&w, "error", atl_str_eq(state, "failed") ? info.detail : NULL);
	if (atl_str_eq(state, "done")) { /* straight into the answer: never twice in memory */
		atl_buf_adds(&out, ",\"image\":\"");
		err = atl_api_put_base64(req, job->assets.items, &out, &info);
		atl_buf_addc(&out, '"');
	} else {
		atl_jw_null(&w, "image");
	}
	atl_jw_end_object(&w);
	if (!err)
		err = atl_buf_err(&out, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json_text(req, atl_str_eq(state, "done") || atl_str_eq(state, "failed") ? 200 : 202, out.data, out.length);
	atl_buf_finish(&out);
}

static void answer(struct atl_req *req)
{
	const struct atl_api_waited *waited = req->state;

	if (waited->err)
		atl_api_fail(req, waited->err, &waited->info);
	else
		answer_job(req, &waited->job);
}

static enum atl_err take_params(const struct params_in *in, struct atl_picture_ask *ask)
{
	if (!in)
		return ATL_OK;
	if (atl_json_has(&params_desc, in, "steps"))
		ask->steps = in->steps;
	if (atl_json_has(&params_desc, in, "cfg_scale"))
		ask->cfg_scale = in->cfg_scale;
	if (atl_json_has(&params_desc, in, "seed"))
		ask->seed = in->seed;
	if (atl_json_has(&params_desc, in, "width"))
		ask->width = in->width;
	if (atl_json_has(&params_desc, in, "height"))
		ask->height = in->height;
	if (atl_json_has(&params_desc, in, "strength"))
		ask->strength = in->strength;
	if (atl_json_has(&params_desc, in, "upscale_factor"))
		ask->upscale_factor = in->upscale_factor;
	ask->sampler = in->sampler;
	ask->scheduler = in->scheduler;
	ask->negative_prompt = in->negative_prompt;
	ask->model = in->model;
	return ATL_OK;
}

static enum atl_err take_images(struct atl_req *req, const struct generate_in *in, struct atl_picture_ask *ask,
				struct atl_errinfo *info)
{
	const char **more = ATL_ARENA_ARRAY(&req->arena, const char *, IMAGES_MAX);
	size_t count = 0;
	enum atl_err err = more ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "images");

	for (size_t i = 0; i < in->images.count && !err; i++) {
		const char *id = NULL;

		err = atl_api_take_picture(req, "images", in->images.items[i], &id, info);
		if (!err && i == 0)
			ask->init_asset = id;
		else if (!err)
			more[count++] = id;
	}
	if (!err && in->mask)
		err = atl_api_take_picture(req, "mask", in->mask, &ask->mask_asset, info);
	ask->reference_assets = (struct atl_strs){ more, count };
	return err;
}

static void handle_generate(struct atl_req *req)
{
	const char *prefer = atl_req_header(req, "Prefer");
	bool async = prefer && strstr(prefer, "respond-async");
	struct atl_errinfo info = { 0 };
	struct atl_picture_ask ask;
	struct generate_in in;
	struct atl_job job;
	enum atl_err err;

	if (!atl_api_idempotent_join(req))
		return;
	err = atl_req_json_take(req, &in, &info);
	for (size_t i = 0; !err && i < ATL_COUNT(REFUSED); i++)
		if (atl_str_eq(in.mode, REFUSED[i]))
			err = atl_fail(&info, ATL_ERR_MODE_NOT_OFFERED, "Atelier does not offer %s: undressing people, swapping faces and "
									"sexual scenes with a real person's face are never made here.",
				       in.mode);
	atl_picture_ask_init(&ask);
	if (!err)
		err = take_params(in.extra_params, &ask);
	if (!err) {
		/* the words are judged before any picture is stored */
		err = atl_policy_check_text(atl_api_app(req), ATL_ENTRY_STUDIO, atl_api_identity(req), in.prompt, &info);
	}
	if (!err && !atl_api_idempotent_found(req))
		err = take_images(req, &in, &ask, &info);
	if (!err) {
		ask.prompt = in.prompt;
		ask.style = atl_str_empty(in.style) ? NULL : in.style;
		ask.task = atl_str_eq(in.mode, "free") ? NULL : in.mode;
		err = atl_picture_submit(atl_api_app(req), atl_api_identity(req), &req->arena, ATL_ENTRY_STUDIO, "studio", &ask, &job,
					 &info);
	}
	if (err) {
		atl_api_name_field(&info, NAMES);
		atl_api_fail(req, err, &info);
		atl_api_idempotent_made(req);
		return;
	}
	atl_api_idempotent_made(req); /* the same request again waits for this job, too */
	if (async)
		atl_res_header(req, "Preference-Applied", "respond-async");
	atl_api_wait_job(req, job.id, async ? 0 : ATL_STUDIO_WAIT_MS, answer, NULL);
}

static void handle_task(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_job job;
	enum atl_err err = atl_job_get(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "task_id"), &job, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		answer_job(req, &job);
}

/* ---- health ---- */

struct engine_state {
	const char *name, *state;
};
static const struct atl_json_field engine_fields[] = {
	F_STR(struct engine_state, name, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct engine_state, state, ATL_JF_REQUIRED, 0, 0, NULL),
};
DESC(engine_desc, struct engine_state, "EngineState", engine_fields);
struct health {
	const char *status;
	bool gpu_available;
	int64_t timestamp;
	struct atl_items engines;
};
static const struct atl_json_field health_fields[] = {
	F_STR(struct health, status, ATL_JF_REQUIRED, 0, 0, "ok or degraded"),
	F_BOOL(struct health, gpu_available, ATL_JF_REQUIRED, NULL),
	F_TIME(struct health, timestamp, ATL_JF_REQUIRED, NULL),
	F_LIST(struct health, engines, ATL_JF_REQUIRED, &engine_desc, NULL),
};
DESC(health_desc, struct health, "Health", health_fields);

static void handle_health(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct engine_state engines[] = { { "chat", "not_installed" }, { "pictures", "not_installed" } };
	struct health out = { .status = "ok", .timestamp = atl_now_ms(), .engines = { engines, ATL_COUNT(engines) } };
	struct atl_picture_engine_status pictures;
	struct atl_engine_status chat;

	if (atl_engine_status(app->engine, &req->arena, &chat, NULL) == ATL_OK)
		engines[0].state = chat.state;
	if (atl_picture_engine_status(app->picture_engine, &req->arena, &pictures, NULL) == ATL_OK) {
		engines[1].state = pictures.state;
		out.gpu_available = pictures.backend && !atl_str_ieq(pictures.backend, "cpu");
	}
	for (size_t i = 0; i < ATL_COUNT(engines); i++)
		if (atl_str_eq(engines[i].state, "backoff"))
			out.status = "degraded";
	atl_res_json(req, 200, &health_desc, &out);
}

const struct atl_route atl_studio_routes[] = {
	{ .method = ATL_POST, .path = "/generate", .rate = ATL_CLASS_GENERATE, .permission = "pictures.use", .handler = handle_generate, .tag = "Studio",
	  .summary = "One picture; waits up to 180 s unless asked not to (Prefer: respond-async)", .in = &generate_desc,
	  .out = &generated_desc, .body_max = BODY_MAX },
	{ .method = ATL_GET, .path = "/generate/{task_id}", .permission = "pictures.use", .handler = handle_task,
	  .tag = "Studio", .summary = "State and result of a task", .out = &generated_desc },
	{ .method = ATL_GET, .path = "/health", .rate = ATL_CLASS_FREE, .permission = "public", .handler = handle_health, .tag = "Studio",
	  .summary = "Is it well, and is there a GPU", .out = &health_desc },
	{ .path = NULL },
};
