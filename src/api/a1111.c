/* a1111.c - /sdapi/v1: lists, options, progress and interrupt in AUTOMATIC1111's shapes.
 *
 * Options belong to the user who sets them (preferences), not to the server: sd_model_checkpoint is the one that
 * counts, others are taken and forgotten.
 */
#include <stdlib.h>
#include <string.h>

#include "api/a1111_int.h"
#include "base/codec.h"
#include "base/str.h"
#include "core/people/rights.h"
#include "core/people/user.h"
#include "core/pictures/picture_engine.h"
#include "core/pictures/style.h"
#include "media/metadata.h"
#include "provider/a1111_names.h"

#define PREFERENCE "a1111_model"
#define OUT_MAX ((size_t)4 << 20)
#define JOBS_MAX 100

/* ---- models ---- */

const char *a1111_model(struct atl_req *req)
{
	struct atl_json *tree;
	const char *json;

	if (atl_user_preferences(atl_api_app(req), atl_api_user(req), &req->arena, &json, NULL) != ATL_OK ||
	    atl_json_parse(&req->arena, json, strlen(json), &tree, NULL) != ATL_OK)
		return NULL;
	return atl_json_str(tree, PREFERENCE, NULL);
}

static const char *title_of(struct atl_req *req, const struct atl_picture_model *model)
{
	return atl_arena_printf(&req->arena, "%s [%s]", model->name, model->id);
}

const char *a1111_model_find(struct atl_req *req, const char *title)
{
	const char *open = strrchr(title, '['), *id = title;
	struct atl_picture_model model;

	if (open && atl_str_ends(title, "]"))
		id = atl_arena_strndup(&req->arena, open + 1, strlen(open + 1) - 1);
	return id && atl_picture_model_find(atl_api_app(req), &req->arena, id, &model, NULL) == ATL_OK ? model.id : NULL;
}

static void send(struct atl_req *req, struct atl_buf *out)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_buf_err(out, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json_text(req, 200, out->data, out->length);
	atl_buf_finish(out);
}

static void handle_models(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_model *items;
	struct atl_buf out;
	struct atl_jw w;
	size_t count;
	enum atl_err err = atl_rights_picture_models(atl_api_app(req), &req->arena, atl_api_identity(req), &items, &count, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_buf_init(&out, OUT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_array(&w, NULL);
	for (size_t i = 0; i < count; i++) {
		if (!items[i].ready || atl_str_eq(items[i].kind, "video"))
			continue;
		atl_jw_object(&w, NULL);
		atl_jw_str(&w, "title", title_of(req, &items[i]));
		atl_jw_str(&w, "model_name", items[i].name);
		atl_jw_null(&w, "hash");
		atl_jw_null(&w, "sha256");
		atl_jw_str(&w, "filename", items[i].id);
		atl_jw_null(&w, "config");
		atl_jw_end_object(&w);
	}
	atl_jw_end_array(&w);
	send(req, &out);
}

static void handle_options(struct atl_req *req)
{
	struct atl_picture_model model;
	struct atl_buf out;
	struct atl_jw w;
	bool found = atl_rights_picture_model(atl_api_app(req), &req->arena, atl_api_identity(req), a1111_model(req), &model, NULL) == ATL_OK;

	atl_buf_init(&out, OUT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "sd_model_checkpoint", found ? title_of(req, &model) : "");
	atl_jw_null(&w, "sd_checkpoint_hash");
	atl_jw_str(&w, "sd_vae", "Automatic");
	atl_jw_str(&w, "samples_format", "png");
	atl_jw_int(&w, "CLIP_stop_at_last_layers", 1);
	atl_jw_bool(&w, "save_images_add_number", true);
	atl_jw_end_object(&w);
	send(req, &out);
}

/* The whole preferences object again, with this one member changed. */
static enum atl_err keep_model(struct atl_req *req, const char *id, struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_json *tree = NULL;
	struct atl_buf out;
	struct atl_jw w;
	const char *json;
	enum atl_err err = atl_user_preferences(app, atl_api_user(req), &req->arena, &json, info);

	if (!err)
		err = atl_json_parse(&req->arena, json, strlen(json), &tree, info);
	if (err)
		return err;
	atl_buf_init(&out, OUT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	for (const struct atl_json *m = tree->child; m; m = m->next)
		if (!atl_str_eq(m->key, PREFERENCE))
			atl_jw_tree(&w, m->key, m);
	atl_jw_str(&w, PREFERENCE, id);
	atl_jw_end_object(&w);
	err = atl_buf_err(&out, info);
	if (!err)
		err = atl_user_set_preferences(app, atl_api_user(req), out.data, info);
	atl_buf_finish(&out);
	return err;
}

static void handle_set_options(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_json *body;
	const char *title, *id;
	enum atl_err err = atl_req_tree_take(req, &body, &info);

	title = err ? NULL : atl_json_str(body, "sd_model_checkpoint", NULL);
	if (!err && !atl_str_empty(title)) {
		id = a1111_model_find(req, title);
		err = id ? atl_rights_model(atl_api_identity(req), id, &info)
			 : atl_fail_field(&info, ATL_ERR_UPSTREAM_MODEL, "sd_model_checkpoint", "There is no model \"%s\".", title);
		if (!err)
			err = keep_model(req, id, &info);
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json_text(req, 200, "null", 4);
}

/* ---- lists ---- */

static void name_list(struct atl_req *req, const struct atl_a1111_name *names, bool scheduler)
{
	struct atl_buf out;
	struct atl_jw w;

	atl_buf_init(&out, OUT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_array(&w, NULL);
	for (; names->ours; names++) {
		atl_jw_object(&w, NULL);
		atl_jw_str(&w, "name", scheduler ? names->ours : names->label);
		if (scheduler)
			atl_jw_str(&w, "label", names->label);
		atl_jw_array(&w, "aliases");
		atl_jw_str(&w, NULL, names->ours);
		atl_jw_end_array(&w);
		if (scheduler) {
			atl_jw_num(&w, "default_rho", -1);
			atl_jw_bool(&w, "need_inner_model", false);
		} else {
			atl_jw_object(&w, "options");
			atl_jw_end_object(&w);
		}
		atl_jw_end_object(&w);
	}
	atl_jw_end_array(&w);
	send(req, &out);
}

static void handle_samplers(struct atl_req *req)
{
	name_list(req, atl_a1111_samplers, false);
}

static void handle_schedulers(struct atl_req *req)
{
	name_list(req, atl_a1111_schedulers, true);
}

static bool offers(const struct atl_picture_model *model, const char *task)
{
	for (size_t i = 0; i < model->tasks.count; i++)
		if (atl_str_eq(model->tasks.items[i], task))
			return true;
	return false;
}

static void handle_upscalers(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_model *items;
	struct atl_buf out;
	struct atl_jw w;
	size_t count;
	enum atl_err err = atl_rights_picture_models(atl_api_app(req), &req->arena, atl_api_identity(req), &items, &count, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_buf_init(&out, OUT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_array(&w, NULL);
	for (size_t i = 0; i < count; i++) {
		if (!items[i].ready || !offers(&items[i], "upscale"))
			continue;
		atl_jw_object(&w, NULL);
		atl_jw_str(&w, "name", title_of(req, &items[i]));
		atl_jw_str(&w, "model_name", items[i].name);
		atl_jw_null(&w, "model_path");
		atl_jw_null(&w, "model_url");
		atl_jw_int(&w, "scale", 4);
		atl_jw_end_object(&w);
	}
	atl_jw_end_array(&w);
	send(req, &out);
}

static void handle_styles(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_style *items;
	struct atl_buf out;
	struct atl_jw w;
	size_t count;
	enum atl_err err = atl_style_list(atl_api_app(req), &req->arena, atl_api_user(req), &items, &count, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_buf_init(&out, OUT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_array(&w, NULL);
	for (size_t i = 0; i < count; i++) {
		atl_jw_object(&w, NULL);
		atl_jw_str(&w, "name", items[i].name);
		atl_jw_str(&w, "prompt", items[i].prompt);
		atl_jw_str(&w, "negative_prompt", items[i].negative_prompt);
		atl_jw_end_object(&w);
	}
	atl_jw_end_array(&w);
	send(req, &out);
}

static void handle_loras(struct atl_req *req)
{
	struct atl_strs names;
	struct atl_errinfo info = { 0 };
	struct atl_buf out;
	struct atl_jw w;
	enum atl_err err = atl_picture_lora_list(atl_api_app(req), &req->arena, &names, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_buf_init(&out, OUT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_array(&w, NULL);
	for (size_t i = 0; i < names.count; i++) {
		atl_jw_object(&w, NULL);
		atl_jw_str(&w, "name", names.items[i]);
		atl_jw_str(&w, "alias", names.items[i]);
		atl_jw_str(&w, "path", names.items[i]);
		atl_jw_object(&w, "metadata");
		atl_jw_end_object(&w);
		atl_jw_end_object(&w);
	}
	atl_jw_end_array(&w);
	send(req, &out);
}

static void handle_empty_list(struct atl_req *req)
{
	atl_res_json_text(req, 200, "[]", 2);
}

static void handle_embeddings(struct atl_req *req)
{
	static const char text[] = "{\"loaded\":{},\"skipped\":{}}";

	atl_res_json_text(req, 200, text, sizeof(text) - 1);
}

static void handle_scripts(struct atl_req *req)
{
	static const char text[] = "{\"txt2img\":[],\"img2img\":[]}";

	atl_res_json_text(req, 200, text, sizeof(text) - 1);
}

static void handle_object(struct atl_req *req)
{
	atl_res_json_text(req, 200, "{}", 2);
}

static void handle_memory(struct atl_req *req)
{
	struct atl_picture_engine_status status = { 0 };
	struct atl_buf out;

	if (atl_picture_engine_status(atl_api_app(req)->picture_engine, &req->arena, &status, NULL) != ATL_OK)
		status.memory_bytes = 0;
	atl_buf_init(&out, OUT_MAX);
	atl_buf_addf(&out, "{\"ram\":{\"used\":%lld},\"cuda\":{}}", (long long)status.memory_bytes);
	send(req, &out);
}

/* ---- what runs ---- */

static enum atl_err active_jobs(struct atl_req *req, struct atl_job **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct atl_job_filter filter = { .state = "active", .limit = JOBS_MAX };

	return atl_job_list(atl_api_app(req), &req->arena, atl_api_user(req), &filter, ret, ret_count, info);
}

static void put_preview(struct atl_req *req, const struct atl_job *job, struct atl_buf *out)
{
	const void *data;
	const char *type;
	size_t length;

	if (!job || !job->preview ||
	    atl_job_preview_get(atl_api_app(req), &req->arena, atl_api_user(req), job->id, job->done_count, &data, &length, &type,
				NULL) != ATL_OK) {
		atl_buf_adds(out, "null");
		return;
	}
	atl_buf_addc(out, '"');
	atl_base64_encode(out, ATL_BASE64_STANDARD, data, length);
	atl_buf_addc(out, '"');
}

static void handle_progress(struct atl_req *req)
{
	const struct atl_job *running = NULL;
	struct atl_errinfo info = { 0 };
	struct atl_job *jobs;
	struct atl_buf out;
	double progress = 0;
	size_t count, waiting = 0;
	enum atl_err err = active_jobs(req, &jobs, &count, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		waiting += atl_str_eq(jobs[i].origin, A1111_ORIGIN);
		if (atl_str_eq(jobs[i].origin, A1111_ORIGIN) && atl_str_eq(jobs[i].state, "running"))
			running = &jobs[i];
	}
	if (running && running->count > 0)
		progress = ((double)running->done_count +
			    (running->steps > 0 ? (double)running->step / (double)running->steps : 0)) / (double)running->count;
	atl_buf_init(&out, ATL_HTTP_OUT_MAX);
	atl_buf_addf(&out, "{\"progress\":%.4f,\"eta_relative\":%.1f,\"state\":{\"skipped\":false,\"interrupted\":false,\"job\":\"%s\","
			   "\"job_count\":%zu,\"job_timestamp\":\"\",\"job_no\":0,\"sampling_step\":%lld,\"sampling_steps\":%lld},"
			   "\"textinfo\":null,\"current_image\":",
		     progress > 1 ? 1.0 : progress, running ? (double)running->left_ms / 1000.0 : 0.0, running ? running->id : "",
		     waiting, running ? (long long)running->step : 0, running ? (long long)running->steps : 0);
	put_preview(req, running, &out);
	atl_buf_addc(&out, '}');
	send(req, &out);
}

/* Ends what this client's user has running through this API. */
static void handle_interrupt(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_job *jobs, ended;
	size_t count;
	enum atl_err err = active_jobs(req, &jobs, &count, &info);

	for (size_t i = 0; i < count && !err; i++)
		if (atl_str_eq(jobs[i].origin, A1111_ORIGIN) && !atl_str_eq(jobs[i].state, "queued")) {
			err = atl_job_cancel(atl_api_app(req), &req->arena, atl_api_user(req), jobs[i].id, &ended, &info);
			if (err == ATL_ERR_CONFLICT) /* it has ended meanwhile */
				err = ATL_OK;
		}
	if (err)
		atl_api_fail(req, err, &info);
	else
		handle_object(req);
}

static void handle_png_info(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_recall recall;
	struct atl_json *body;
	struct atl_buf out;
	struct atl_jw w;
	const char *text, *comma;
	size_t length = 0;
	enum atl_err err = atl_req_tree_take(req, &body, &info);

	atl_buf_init(&out, OUT_MAX);
	text = err ? "" : atl_json_str(body, "image", "");
	comma = strncmp(text, "data:", 5) == 0 ? strchr(text, ',') : NULL;
	text = comma ? comma + 1 : text;
	if (!err && (!*text || !atl_base64_decode_in_place(ATL_BASE64_STANDARD, (char *)(uintptr_t)text, strlen(text), &length)))
		err = atl_fail_field(&info, ATL_ERR_INVALID, "image", "is not base64");
	if (!err) {
		err = atl_metadata_read(&req->arena, text, length, &recall, &info);
		if (err == ATL_ERR_NOT_FOUND) {
			recall = (struct atl_recall){ 0 };
			err = ATL_OK;
		}
	}
	if (!err) {
		const char *raw = recall.source ? (recall.raw ? recall.raw : atl_metadata_parameters(&req->arena, &recall)) : "";

		atl_jw_init(&w, &out);
		atl_jw_object(&w, NULL);
		atl_jw_str(&w, "info", raw);
		atl_jw_object(&w, "items");
		atl_jw_str(&w, "parameters", raw);
		atl_jw_end_object(&w);
		atl_jw_object(&w, "parameters");
		atl_jw_end_object(&w);
		atl_jw_end_object(&w);
		err = atl_buf_err(&out, &info);
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json_text(req, 200, out.data, out.length);
	atl_buf_finish(&out);
}

#define ROW(m, p, h, words) .method = m, .path = "/sdapi/v1/" p, .permission = "pictures.use", .handler = h, \
	.tag = "AUTOMATIC1111", .summary = words, .body_max = A1111_BODY_MAX
#define SD(m, p, h, words) { ROW(m, p, h, words) }
#define MAKE(p, h, words) { ROW(ATL_POST, p, h, words), .rate = ATL_CLASS_GENERATE }

const struct atl_route atl_a1111_routes[] = {
	MAKE("txt2img", a1111_txt2img, "Pictures from words"),
	MAKE("img2img", a1111_img2img, "Pictures from pictures, with or without a mask"),
	MAKE("extra-single-image", a1111_extra_single, "Upscale a picture"),
	MAKE("extra-batch-images", a1111_extra_batch, "Upscale up to 16 pictures"),
	SD(ATL_POST, "interrogate", a1111_interrogate, "Words for a picture: not offered, and says so"),
	SD(ATL_POST, "png-info", handle_png_info, "What a picture says about how it was made"),
	SD(ATL_GET, "progress", handle_progress, "How far the running picture is"),
	SD(ATL_POST, "interrupt", handle_interrupt, "End what runs"),
	SD(ATL_POST, "skip", handle_interrupt, "End what runs"),
	SD(ATL_GET, "options", handle_options, "The chosen model"),
	SD(ATL_POST, "options", handle_set_options, "Choose a model (sd_model_checkpoint)"),
	SD(ATL_GET, "samplers", handle_samplers, "Samplers"),
	SD(ATL_GET, "schedulers", handle_schedulers, "Schedules"),
	SD(ATL_GET, "upscalers", handle_upscalers, "Upscalers"),
	SD(ATL_GET, "sd-models", handle_models, "Models that are ready"),
	SD(ATL_GET, "loras", handle_loras, "LoRA on this machine"),
	SD(ATL_GET, "prompt-styles", handle_styles, "Styles"),
	SD(ATL_GET, "embeddings", handle_embeddings, "None"),
	SD(ATL_GET, "sd-vae", handle_empty_list, "None to choose"),
	SD(ATL_GET, "hypernetworks", handle_empty_list, "None"),
	SD(ATL_GET, "face-restorers", handle_empty_list, "None"),
	SD(ATL_GET, "realesrgan-models", handle_empty_list, "None"),
	SD(ATL_GET, "latent-upscale-modes", handle_empty_list, "None"),
	SD(ATL_GET, "scripts", handle_scripts, "None"),
	SD(ATL_GET, "cmd-flags", handle_object, "None"),
	SD(ATL_POST, "refresh-checkpoints", handle_object, "Nothing to do: lists are always fresh"),
	SD(ATL_POST, "refresh-loras", handle_object, "Nothing to do: lists are always fresh"),
	SD(ATL_GET, "memory", handle_memory, "Memory of the local engine"),
	{ .path = NULL },
};
