/* a1111_generate.c - /sdapi/v1/txt2img, img2img and extra-single-image: pictures in AUTOMATIC1111's shapes.
 *
 * Clients send every field there is, so unknown ones are no error; what is known, wanted and cannot be done is told in
 * the answer's `info`.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/a1111_int.h"
#include "base/clock.h"
#include "base/str.h"
#include "provider/a1111_names.h"

#define WAIT_MS 1800000
#define STYLES_MAX 5
#define NOTES_MAX 16

/* Ours, and AUTOMATIC1111's. */
static const char *const NAMES[] = { "init_asset", "init_images", "mask_asset", "mask", "count", "batch_size", "sampler",
				     "sampler_name", "strength", "denoising_strength", "model", "override_settings",
				     "upscale_factor", "upscaling_resize", "style", "styles", NULL };

struct request {
	const struct atl_json *body;
	const char *notes[NOTES_MAX];
	size_t note_count;
	const char *sampler_label;
	bool single; /* extra-single-image: another shape */
};

static void note(struct request *r, const char *text)
{
	if (r->note_count < NOTES_MAX && text)
		r->notes[r->note_count++] = text;
}

static const struct atl_json *given(const struct request *r, const char *key)
{
	const struct atl_json *node = atl_json_get(r->body, key);

	return node && node->kind != ATL_JSON_NULL ? node : NULL;
}

static enum atl_err take_int(const struct request *r, const char *key, int64_t *ret, struct atl_errinfo *info)
{
	const struct atl_json *node = given(r, key);

	if (node && !atl_json_integer(node, ret))
		return atl_fail_field(info, ATL_ERR_INVALID, key, "must be a whole number");
	return ATL_OK;
}

static enum atl_err take_num(const struct request *r, const char *key, double *ret, struct atl_errinfo *info)
{
	const struct atl_json *node = given(r, key);

	if (node && node->kind != ATL_JSON_NUMBER)
		return atl_fail_field(info, ATL_ERR_INVALID, key, "must be a number");
	if (node)
		*ret = node->number;
	return ATL_OK;
}

static const char *text_of(const struct request *r, const char *key)
{
	const struct atl_json *node = given(r, key);

	return node && node->kind == ATL_JSON_STRING && *node->string ? node->string : NULL;
}

static void take_sampler(struct atl_req *req, struct request *r, struct atl_picture_ask *ask)
{
	const char *label = text_of(r, "sampler_name"), *schedule = text_of(r, "scheduler");

	if (!label)
		label = text_of(r, "sampler_index");
	r->sampler_label = label;
	if (label && !atl_a1111_sampler_find(&req->arena, label, &ask->sampler, &ask->scheduler))
		note(r, atl_arena_printf(&req->arena, "The sampler \"%s\" is not known here; the model's default was taken.", label));
	if (schedule && !atl_str_ieq(schedule, "automatic"))
		ask->scheduler = atl_a1111_scheduler_find(schedule);
}

/* Wanted, known, and not done here: said, not dropped in silence. */
static void note_left_out(struct request *r)
{
	static const struct {
		const char *key, *text;
	} SWITCHES[] = {
		{ "restore_faces", "restore_faces was left out: there is no face restoration here." },
		{ "tiling", "tiling was left out." },
		{ "enable_hr", "enable_hr was left out: upscale the result instead." },
	};

	for (size_t i = 0; i < ATL_COUNT(SWITCHES); i++)
		if (atl_json_bool(r->body, SWITCHES[i].key, false))
			note(r, SWITCHES[i].text);
}

static void take_styles(struct request *r, struct atl_picture_ask *ask)
{
	const struct atl_json *styles = given(r, "styles");

	if (styles && styles->kind == ATL_JSON_ARRAY && styles->child && styles->child->kind == ATL_JSON_STRING)
		ask->style = styles->child->string;
	if (styles && styles->count > 1)
		note(r, "Only the first style was applied.");
}

static enum atl_err take_common(struct atl_req *req, struct request *r, struct atl_picture_ask *ask, struct atl_errinfo *info)
{
	const struct atl_json *override = given(r, "override_settings");
	const char *model = atl_json_str(override, "sd_model_checkpoint", NULL);
	int64_t batch = 1, iterations = 1;
	enum atl_err err = take_int(r, "width", &ask->width, info);

	ask->prompt = text_of(r, "prompt");
	ask->negative_prompt = text_of(r, "negative_prompt");
	ask->no_expand = true; /* braces are text to these clients */
	if (!err)
		err = take_int(r, "height", &ask->height, info);
	if (!err)
		err = take_int(r, "steps", &ask->steps, info);
	if (!err)
		err = take_int(r, "seed", &ask->seed, info);
	if (!err)
		err = take_int(r, "batch_size", &batch, info);
	if (!err)
		err = take_int(r, "n_iter", &iterations, info);
	if (!err)
		err = take_num(r, "cfg_scale", &ask->cfg_scale, info);
	if (!err && given(r, "subseed_strength")) {
		err = take_num(r, "subseed_strength", &ask->subseed_strength, info);
		if (!err && ask->subseed_strength > 0)
			err = take_int(r, "subseed", &ask->subseed, info);
		else
			ask->subseed_strength = NAN;
	}
	if (!err && (batch < 1 || iterations < 1 || batch > ATL_IMAGE_COUNT_MAX || iterations > ATL_IMAGE_COUNT_MAX ||
		     batch * iterations > ATL_IMAGE_COUNT_MAX))
		err = atl_fail_field(info, ATL_ERR_INVALID, "batch_size", "batch_size times n_iter is at most %d", ATL_IMAGE_COUNT_MAX);
	if (err)
		return err;
	if (ask->steps < 1 && ask->steps != ATL_IMAGE_UNSET)
		ask->steps = ATL_IMAGE_UNSET;
	if (ask->subseed < 0)
		ask->subseed = ATL_IMAGE_UNSET;
	ask->count = batch * iterations;
	ask->model = model ? a1111_model_find(req, model) : a1111_model(req);
	if (model && !ask->model)
		return atl_fail_field(info, ATL_ERR_UPSTREAM_MODEL, "override_settings", "There is no model \"%s\".", model);
	take_sampler(req, r, ask);
	take_styles(r, ask);
	note_left_out(r);
	return ATL_OK;
}

/* ---- the answer ---- */

static void write_info(struct atl_jw *w, const struct request *r, const struct atl_job *job)
{
	const struct atl_json *q = job->request;
	const struct atl_asset *assets = job->assets.items;

	atl_jw_object(w, NULL);
	atl_jw_str(w, "prompt", atl_json_str(q, "prompt", ""));
	atl_jw_array(w, "all_prompts");
	for (size_t i = 0; i < job->assets.count; i++)
		atl_jw_str(w, NULL, assets[i].prompt);
	atl_jw_end_array(w);
	atl_jw_str(w, "negative_prompt", atl_json_str(q, "negative_prompt", ""));
	atl_jw_int(w, "seed", atl_json_int(q, "seed", 0));
	atl_jw_array(w, "all_seeds");
	for (size_t i = 0; i < job->assets.count; i++)
		atl_jw_int(w, NULL, assets[i].seed);
	atl_jw_end_array(w);
	atl_jw_int(w, "subseed", atl_json_int(q, "subseed", -1));
	atl_jw_num(w, "subseed_strength", atl_json_num(q, "subseed_strength", 0));
	atl_jw_int(w, "width", job->assets.count ? assets[0].width : atl_json_int(q, "width", 0));
	atl_jw_int(w, "height", job->assets.count ? assets[0].height : atl_json_int(q, "height", 0));
	atl_jw_str(w, "sampler_name", r->sampler_label ? r->sampler_label : atl_json_str(q, "sampler", ""));
	atl_jw_num(w, "cfg_scale", atl_json_num(q, "cfg_scale", 0));
	atl_jw_int(w, "steps", atl_json_int(q, "steps", 0));
	atl_jw_int(w, "batch_size", job->count);
	atl_jw_str(w, "sd_model_name", atl_json_str(q, "model_name", job->model));
	atl_jw_str(w, "job_id", job->id);
	atl_jw_array(w, "asset_ids");
	for (size_t i = 0; i < job->assets.count; i++)
		atl_jw_str(w, NULL, assets[i].id);
	atl_jw_end_array(w);
	atl_jw_array(w, "notes");
	for (size_t i = 0; i < r->note_count; i++)
		atl_jw_str(w, NULL, r->notes[i]);
	for (size_t i = 0; i < job->notes.count; i++)
		atl_jw_str(w, NULL, job->notes.items[i]);
	atl_jw_end_array(w);
	atl_jw_end_object(w);
}

static enum atl_err write_answer(struct atl_req *req, const struct request *r, const struct atl_job *job, struct atl_buf *out,
				 struct atl_errinfo *info)
{
	const struct atl_asset *assets = job->assets.items;
	struct atl_buf text;
	struct atl_jw w;
	enum atl_err err = ATL_OK;

	if (r->single) {
		atl_buf_adds(out, "{\"html_info\":\"\",\"image\":\"");
		err = job->assets.count ? atl_api_put_base64(req, &assets[0], out, info)
					: atl_fail(info, ATL_ERR_UPSTREAM, "The engine made no picture.");
		atl_buf_adds(out, "\"}");
		return err;
	}
	atl_buf_adds(out, "{\"images\":[");
	for (size_t i = 0; i < job->assets.count && !err; i++) {
		atl_buf_adds(out, i ? ",\"" : "\"");
		err = atl_api_put_base64(req, &assets[i], out, info);
		atl_buf_addc(out, '"');
	}
	atl_buf_adds(out, "],\"parameters\":");
	atl_jw_init(&w, out);
	atl_jw_tree(&w, NULL, job->request);
	atl_buf_init(&text, (size_t)1 << 20);
	atl_jw_init(&w, &text);
	write_info(&w, r, job);
	atl_buf_adds(out, ",\"info\":");
	atl_jw_init(&w, out);
	atl_jw_strn(&w, NULL, text.data, text.length);
	atl_buf_addc(out, '}');
	atl_buf_finish(&text);
	return err;
}

static void answer(struct atl_req *req)
{
	const struct atl_api_waited *waited = req->state;
	const struct request *r = waited->arg;
	const struct atl_job *job = &waited->job;
	struct atl_errinfo info = waited->info;
	struct atl_buf out;
	enum atl_err err = waited->err;

	/* A1111 answers an interrupted run with what there is */
	if (!err && (atl_str_eq(job->state, "failed") || (atl_str_eq(job->state, "cancelled") && r->single)))
		err = atl_api_job_error(job, &info);
	if (!err && !atl_str_eq(job->state, "done") && !atl_str_eq(job->state, "cancelled"))
		err = atl_fail(&info, ATL_ERR_UPSTREAM_TIMEOUT, "The picture is not ready yet: it is the job %s.", job->id);
	atl_buf_init(&out, ATL_HTTP_OUT_MAX);
	if (!err)
		err = write_answer(req, r, job, &out, &info);
	if (!err)
		err = atl_buf_err(&out, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json_text(req, 200, out.data, out.length);
	atl_buf_finish(&out);
}

static void finish(struct atl_req *req, struct request *r, struct atl_picture_ask *ask, enum atl_err err,
		   struct atl_errinfo *info)
{
	struct atl_job job;

	if (!err)
		err = atl_picture_submit(atl_api_app(req), atl_api_identity(req), &req->arena, ATL_ENTRY_A1111, A1111_ORIGIN, ask, &job,
					 info);
	atl_api_name_field(info, NAMES);
	if (err)
		atl_api_fail(req, err, info);
	atl_api_idempotent_made(req);
	if (!err)
		atl_api_wait_job(req, job.id, WAIT_MS, answer, r);
}

static enum atl_err begin(struct atl_req *req, struct request **ret, struct atl_picture_ask *ask, struct atl_errinfo *info)
{
	struct request *r = ATL_ARENA_NEW(&req->arena, struct request);
	struct atl_json *body;
	enum atl_err err = r ? atl_req_tree_take(req, &body, info) : atl_fail(info, ATL_ERR_NOMEM, "request");

	atl_picture_ask_init(ask);
	if (err)
		return err;
	if (body->kind != ATL_JSON_OBJECT)
		return atl_fail(info, ATL_ERR_INVALID, "The body must be a JSON object.");
	r->body = body;
	*ret = r;
	return ATL_OK;
}

/* Words are judged before a picture is stored. */
static enum atl_err check_words(struct atl_req *req, const struct atl_picture_ask *ask, struct atl_errinfo *info)
{
	return atl_policy_check_text(atl_api_app(req), ATL_ENTRY_A1111, atl_api_identity(req), ask->prompt, info);
}

void a1111_txt2img(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_ask ask;
	struct request *r = NULL;
	enum atl_err err;

	if (!atl_api_idempotent_join(req))
		return;
	err = begin(req, &r, &ask, &info);
	if (!err)
		err = take_common(req, r, &ask, &info);
	ask.task = "txt2img";
	finish(req, r, &ask, err, &info);
}

static enum atl_err take_pictures(struct atl_req *req, struct request *r, struct atl_picture_ask *ask, struct atl_errinfo *info)
{
	const struct atl_json *images = given(r, "init_images");
	enum atl_err err;

	if (!images || images->kind != ATL_JSON_ARRAY || !images->child || images->child->kind != ATL_JSON_STRING)
		return atl_fail_field(info, ATL_ERR_INVALID, "init_images", "is required");
	err = atl_api_take_picture(req, "init_images", images->child->string, &ask->init_asset, info);
	if (images->count > 1)
		note(r, "Only the first of init_images was taken.");
	if (!err && text_of(r, "mask"))
		err = atl_api_take_picture(req, "mask", text_of(r, "mask"), &ask->mask_asset, info);
	return err;
}

void a1111_img2img(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_ask ask;
	struct request *r = NULL;
	enum atl_err err;

	if (!atl_api_idempotent_join(req))
		return;
	err = begin(req, &r, &ask, &info);
	if (!err)
		err = take_common(req, r, &ask, &info);
	if (!err)
		err = take_num(r, "denoising_strength", &ask.strength, &info);
	if (!err)
		err = check_words(req, &ask, &info);
	if (!err && !atl_api_idempotent_found(req))
		err = take_pictures(req, r, &ask, &info);
	if (!err && atl_json_int(r->body, "inpainting_mask_invert", 0) == 1)
		note(r, "inpainting_mask_invert was left out: send the mask with white where it is painted anew.");
	ask.task = ask.mask_asset ? "inpaint" : "img2img";
	finish(req, r, &ask, err, &info);
}

void a1111_extra_single(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_ask ask;
	struct request *r = NULL;
	enum atl_err err;

	if (!atl_api_idempotent_join(req))
		return;
	err = begin(req, &r, &ask, &info);
	if (!err) {
		r->single = true;
		ask.task = "upscale";
		ask.model = a1111_model(req);
		err = take_num(r, "upscaling_resize", &ask.upscale_factor, &info);
	}
	if (!err && !text_of(r, "image"))
		err = atl_fail_field(&info, ATL_ERR_INVALID, "image", "is required");
	if (!err && !atl_api_idempotent_found(req))
		err = atl_api_take_picture(req, "image", text_of(r, "image"), &ask.init_asset, &info);
	if (!err && text_of(r, "upscaler_1")) {
		/* an upscaler is a model here */
		const char *model = a1111_model_find(req, text_of(r, "upscaler_1"));

		if (model)
			ask.model = model;
	}
	finish(req, r, &ask, err, &info);
}
