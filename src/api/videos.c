/* videos.c - /v1/videos in OpenAI's shape: create, look, and the file.
 *
 * A video is a job with the task txt2vid or img2vid; its id is the job's. Creating answers at once, the client polls.
 */
#include <string.h>

#include "api/asset_files.h"
#include "api/fields.h"
#include "api/form.h"
#include "api/waiting.h"
#include "base/str.h"
#include "core/people/rights.h"
#include "core/pictures/picture.h"

#define BODY_MAX ((size_t)96 << 20)
#define PROMPT_MAX ATL_PICTURE_PROMPT_MAX
#define CACHE "private, max-age=3600"
#define THUMBNAIL_WIDTH 512

/* Ours, and OpenAI's. */
static const char *const NAMES[] = { "init_asset", "input_reference", "width", "size", "height", "size", "duration_s", "seconds",
				     NULL };

struct video_in {
	const char *prompt, *model, *size, *seconds;
	const struct atl_json *input_reference;
};
static const struct atl_json_field video_fields[] = {
	F_STR(struct video_in, prompt, ATL_JF_REQUIRED, 1, PROMPT_MAX, NULL),
	F_STR(struct video_in, model, ATL_JF_NULLABLE, 0, 300, "a video model's id or name; the first that is ready unless told"),
	F_STR(struct video_in, size, ATL_JF_NULLABLE, 0, 20, "WIDTHxHEIGHT"),
	F_STR(struct video_in, seconds, ATL_JF_NULLABLE, 0, 4, NULL),
	F_ANY(struct video_in, input_reference, ATL_JF_NULLABLE, "{\"image_url\": a data: URL}, or a file of a form"),
};
DESC(video_in_desc, struct video_in, "VideoRequest", video_fields);

struct video_error {
	const char *code, *message;
};
static const struct atl_json_field error_fields[] = {
	F_STR(struct video_error, code, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct video_error, message, ATL_JF_REQUIRED, 0, 0, NULL),
};
DESC(error_desc, struct video_error, "VideoError", error_fields);

struct video {
	const char *id, *object, *status, *model, *prompt, *seconds, *size;
	int64_t created_at, progress;
	const struct video_error *error;
	const struct atl_json *completed_at, *expires_at;
};
static const char *const STATES[] = { "queued", "in_progress", "completed", "failed", NULL };
static const struct atl_json_field out_fields[] = {
	F_STR(struct video, id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct video, object, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct video, model, ATL_JF_REQUIRED, 0, 0, NULL),
	F_ENUM(struct video, status, ATL_JF_REQUIRED, STATES, NULL),
	F_INT(struct video, progress, ATL_JF_REQUIRED, 0, 100, "percent"),
	F_INT(struct video, created_at, ATL_JF_REQUIRED, 0, 0, "Unix seconds"),
	F_ANY(struct video, completed_at, ATL_JF_REQUIRED | ATL_JF_NULLABLE, "Unix seconds"),
	F_ANY(struct video, expires_at, ATL_JF_REQUIRED | ATL_JF_NULLABLE, "never"),
	F_STR(struct video, prompt, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, NULL),
	F_STR(struct video, seconds, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct video, size, ATL_JF_REQUIRED, 0, 0, NULL),
	F_OBJ(struct video, error, ATL_JF_REQUIRED | ATL_JF_NULLABLE, &error_desc, NULL),
};
DESC(video_desc, struct video, "Video", out_fields);

/* ---- a job as a video ---- */

static bool is_video(const struct atl_job *job)
{
	return atl_str_eq(job->task, "txt2vid") || atl_str_eq(job->task, "img2vid");
}

static const char *status_of(const struct atl_job *job)
{
	if (atl_str_eq(job->state, "done"))
		return job->assets.count ? "completed" : "failed";
	if (atl_str_eq(job->state, "failed") || atl_str_eq(job->state, "cancelled"))
		return "failed";
	return atl_str_eq(job->state, "queued") ? "queued" : "in_progress";
}

static int64_t progress_of(const struct atl_job *job, const char *status)
{
	if (atl_str_eq(status, "completed"))
		return 100;
	return job->steps > 0 && job->step < job->steps ? job->step * 100 / job->steps : 0;
}

static void answer_video(struct atl_req *req, const struct atl_job *job)
{
	const char *status = status_of(job);
	struct atl_errinfo info = { 0 };
	struct atl_json finished = { .kind = ATL_JSON_NUMBER, .is_integer = true, .integer = job->finished_at / 1000,
				     .number = (double)(job->finished_at / 1000) };
	struct video_error error;
	struct video out = { .id = job->id, .object = "video", .model = job->model, .status = status, .prompt = job->prompt,
			     .progress = progress_of(job, status), .created_at = job->created_at / 1000 };

	if (job->finished_at)
		out.completed_at = &finished;
	out.seconds = atl_arena_printf(&req->arena, "%lld", (long long)atl_json_int(job->request, "duration_s", 0));
	out.size = atl_arena_printf(&req->arena, "%lldx%lld", (long long)atl_json_int(job->request, "width", 0),
				    (long long)atl_json_int(job->request, "height", 0));
	if (atl_str_eq(status, "failed")) {
		enum atl_err err = atl_api_job_error(job, &info);

		error = (struct video_error){ atl_err_slug(err), info.detail };
		out.error = &error;
	}
	if (out.seconds && out.size)
		atl_res_json(req, 200, &video_desc, &out);
	else
		atl_api_fail(req, ATL_ERR_NOMEM, NULL);
}

/* ---- create ---- */

static enum atl_err read_request(struct atl_req *req, struct atl_form *form, struct video_in *in, struct atl_errinfo *info)
{
	enum atl_err err;

	*form = (struct atl_form){ 0 };
	if (!atl_form_is(req))
		return atl_req_json_take(req, in, info);
	*in = (struct video_in){ 0 };
	err = atl_form_read(req, form, info);
	if (!err)
		err = atl_form_words(req, form, "prompt", PROMPT_MAX, &in->prompt, info);
	if (!err && atl_str_empty(in->prompt))
		err = atl_fail_field(info, ATL_ERR_INVALID, "prompt", "is required");
	if (!err)
		err = atl_form_words(req, form, "model", 300, &in->model, info);
	if (!err)
		err = atl_form_words(req, form, "size", 20, &in->size, info);
	if (!err)
		err = atl_form_words(req, form, "seconds", 4, &in->seconds, info);
	return err;
}

static enum atl_err take_reference(struct atl_req *req, const struct atl_form *form, const struct video_in *in,
				   struct atl_picture_ask *ask, struct atl_errinfo *info)
{
	const struct atl_part *part = atl_multipart_find(form->parts, form->count, "input_reference");
	const char *url = atl_json_str(in->input_reference, "image_url", NULL);

	if (!url)
		url = atl_form_text(req, form, "input_reference[image_url]");
	if (part && part->file_name)
		return atl_api_take_bytes(req, "input_reference", part->data, part->length, &ask->init_asset, info);
	if (url)
		return atl_api_take_picture(req, "input_reference", url, &ask->init_asset, info);
	return part || in->input_reference
		       ? atl_fail_field(info, ATL_ERR_INVALID, "input_reference", "must be a file or {\"image_url\": a data: URL}")
		       : ATL_OK;
}

static bool offers(const struct atl_picture_model *model, const char *task)
{
	for (size_t i = 0; i < model->tasks.count; i++)
		if (atl_str_eq(model->tasks.items[i], task))
			return true;
	return false;
}

/* The named model, or the first that is ready and does this. OpenAI's names stand for any where nobody offers them. */
static enum atl_err choose_model(struct atl_req *req, const char *wanted, struct atl_picture_ask *ask, struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_picture_model *items, named;
	size_t count;
	enum atl_err err;

	if (!atl_str_empty(wanted)) {
		err = atl_rights_picture_model(app, &req->arena, atl_api_identity(req), wanted, &named, info);
		if (err != ATL_ERR_UPSTREAM_MODEL || strncmp(wanted, "sora-2", 6) != 0) {
			ask->model = wanted;
			return err;
		}
	}
	err = atl_rights_picture_models(app, &req->arena, atl_api_identity(req), &items, &count, info);
	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		if (items[i].ready && offers(&items[i], ask->task)) {
			ask->model = items[i].id;
			return ATL_OK;
		}
	return atl_fail_field(info, ATL_ERR_NO_MODEL, "model", "No service that makes videos is set up.");
}

static void handle_create(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_errinfo info = { 0 };
	struct atl_picture_ask ask;
	struct video_in in;
	struct atl_form form;
	struct atl_job job;
	enum atl_err err;

	if (!atl_api_idempotent_join(req))
		return;
	err = read_request(req, &form, &in, &info);
	atl_picture_ask_init(&ask);
	if (!err && !atl_str_empty(in.size) && !atl_picture_size(&req->arena, in.size, &ask.width, &ask.height))
		err = atl_fail_field(&info, ATL_ERR_INVALID, "size", "must be WIDTHxHEIGHT");
	if (!err && !atl_str_empty(in.seconds) && !atl_str_i64(in.seconds, 1, 3600, &ask.duration_s))
		err = atl_fail_field(&info, ATL_ERR_INVALID, "seconds", "must be a whole number from 1 to 3600");
	/* the words are judged before any picture is stored */
	if (!err)
		err = atl_policy_check_text(app, ATL_ENTRY_OPENAI_PICTURE, atl_api_identity(req), in.prompt, &info);
	if (!err && !atl_api_idempotent_found(req))
		err = take_reference(req, &form, &in, &ask, &info);
	ask.task = ask.init_asset ? "img2vid" : "txt2vid";
	if (!err)
		err = choose_model(req, in.model, &ask, &info);
	if (!err) {
		ask.prompt = in.prompt;
		ask.no_expand = true;
		err = atl_picture_submit(app, atl_api_identity(req), &req->arena, ATL_ENTRY_OPENAI_PICTURE, "openai", &ask, &job, &info);
	}
	atl_api_name_field(&info, NAMES);
	if (err)
		atl_api_fail(req, err, &info);
	else
		answer_video(req, &job);
	atl_api_idempotent_made(req);
}

/* ---- look ---- */

static enum atl_err find(struct atl_req *req, struct atl_job *ret, struct atl_errinfo *info)
{
	enum atl_err err = atl_job_get(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), ret, info);

	return !err && !is_video(ret) ? atl_fail(info, ATL_ERR_NOT_FOUND, "There is no video %s.", ret->id) : err;
}

static void handle_get(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_job job;
	enum atl_err err = find(req, &job, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		answer_video(req, &job);
}

static const char *const VARIANTS[] = { "video", "thumbnail", NULL };
static const struct atl_query_param content_params[] = {
	{ "variant", ATL_JT_ENUM, 0, 0, VARIANTS, "video unless told" },
	{ 0 },
};

static void handle_content(struct atl_req *req)
{
	const char *variant = atl_req_query(req, "variant");
	bool thumbnail = atl_str_eq(variant, "thumbnail");
	struct atl_errinfo info = { 0 };
	struct atl_job job;
	enum atl_err err = ATL_OK;

	if (variant && !thumbnail && !atl_str_eq(variant, "video"))
		err = atl_fail_field(&info, ATL_ERR_INVALID, "variant", "must be one of: video, thumbnail");
	if (!err)
		err = find(req, &job, &info);
	if (!err && atl_str_eq(status_of(&job), "failed"))
		err = atl_api_job_error(&job, &info);
	else if (!err && !atl_str_eq(job.state, "done"))
		err = atl_fail(&info, ATL_ERR_CONFLICT, "The video is not ready yet.");
	if (!err)
		err = atl_api_send_asset(req, job.assets.items, thumbnail ? THUMBNAIL_WIDTH : 0, false, false, CACHE, &info);
	if (err)
		atl_api_fail(req, err, &info);
}

#define VIDEOS(m, p, h, words) .method = m, .path = "/v1/videos" p, .permission = "pictures.use", .handler = h, \
	.flags = ATL_ROUTE_PROBLEM_OPENAI, .tag = "OpenAI", .summary = words

const struct atl_route atl_videos_routes[] = {
	{ VIDEOS(ATL_POST, "", handle_create, "A video from words, or from a picture (JSON or multipart/form-data)"), .rate = ATL_CLASS_GENERATE, .feature = "videos",
	  .in = &video_in_desc, .out = &video_desc, .body_max = BODY_MAX },
	{ VIDEOS(ATL_GET, "/{id}", handle_get, "State of a video"), .out = &video_desc },
	{ VIDEOS(ATL_GET, "/{id}/content", handle_content, "The file of a finished video"), .query = content_params,
	  .out_type = "video/mp4|video/webm|image/webp|image/png" },
	{ .path = NULL },
};
