/* jobs.c - /api/v1/jobs and /api/v1/queue: asking for pictures, watching, ordering and stopping what waits and runs. */
#include <math.h>

#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/job.h"
#include "core/picture.h"

/* ---- what is asked ---- */

struct job_in {
	uint64_t present;
	struct atl_picture_ask ask;
};
#define IN(member) offsetof(struct job_in, ask.member)
#define ASSET_DOC "id of one of your assets"

static const struct atl_json_field lora_fields[] = {
	F_STR(struct atl_picture_lora_in, name, ATL_JF_REQUIRED, 1, 200, NULL),
	F_NUM(struct atl_picture_lora_in, weight, ATL_JF_REQUIRED, -10, 10, NULL),
};
DESC(lora_desc, struct atl_picture_lora_in, "JobLora", lora_fields);

static const char *const tasks[] = {
#define TASK_X(name, text) text,
	ATL_IMAGE_TASK_LIST(TASK_X)
#undef TASK_X
	NULL
};

static const struct atl_json_field in_fields[] = {
	{ "task", ATL_JT_ENUM, IN(task), .values = tasks, .doc = "from what is given when left out" },
	{ "model", ATL_JT_STR, IN(model), .max = 300, .doc = "id of a picture model; the first that is ready when left out" },
	{ "prompt", ATL_JT_STR, IN(prompt), .max = ATL_PICTURE_PROMPT_MAX },
	{ "negative_prompt", ATL_JT_STR, IN(negative_prompt), .max = ATL_PICTURE_PROMPT_MAX },
	{ "width", ATL_JT_INT, IN(width), .min = 1, .max = 16384 },
	{ "height", ATL_JT_INT, IN(height), .min = 1, .max = 16384 },
	{ "steps", ATL_JT_INT, IN(steps), .min = 1, .max = 1000 },
	{ "cfg_scale", ATL_JT_NUM, IN(cfg_scale), .min = 0, .max = 100 },
	{ "guidance", ATL_JT_NUM, IN(guidance), .min = 0, .max = 100 },
	{ "seed", ATL_JT_INT, IN(seed), .min = -1, .max = 4294967295.0, .doc = "-1: chosen for you" },
	{ "subseed", ATL_JT_INT, IN(subseed), .min = -1, .max = 4294967295.0 },
	{ "subseed_strength", ATL_JT_NUM, IN(subseed_strength), .min = 0, .max = 1 },
	{ "clip_skip", ATL_JT_INT, IN(clip_skip), .min = 0, .max = 12 },
	{ "count", ATL_JT_INT, IN(count), .min = 1, .max = ATL_IMAGE_COUNT_MAX, .doc = "pictures" },
	{ "sampler", ATL_JT_STR, IN(sampler), .max = 60 },
	{ "scheduler", ATL_JT_STR, IN(scheduler), .max = 60 },
	{ "strength", ATL_JT_NUM, IN(strength), .min = 0, .max = 1, .doc = "how much of the input is replaced" },
	{ "loras", ATL_JT_LIST, IN(loras), .max = ATL_IMAGE_LORAS_MAX, .sub = &lora_desc },
	{ "init_asset", ATL_JT_STR, IN(init_asset), .max = 40, .doc = ASSET_DOC },
	{ "mask_asset", ATL_JT_STR, IN(mask_asset), .max = 40, .doc = ASSET_DOC ": white is painted anew" },
	{ "control_asset", ATL_JT_STR, IN(control_asset), .max = 40, .doc = ASSET_DOC },
	{ "reference_assets", ATL_JT_STRS, IN(reference_assets), .max = ATL_IMAGE_REFERENCES_MAX, .item_max = 40,
	  .doc = "ids of your assets" },
	{ "control_type", ATL_JT_STR, IN(control_type), .max = 60 },
	{ "control_strength", ATL_JT_NUM, IN(control_strength), .min = 0, .max = 2 },
	{ "upscale_factor", ATL_JT_NUM, IN(upscale_factor), .min = 1, .max = 8 },
	{ "upscaler", ATL_JT_STR, IN(upscaler), .max = 200 },
	{ "frames", ATL_JT_INT, IN(frames), .min = 1, .max = 2000 },
	{ "fps", ATL_JT_INT, IN(fps), .min = 1, .max = 120 },
	{ "duration_s", ATL_JT_INT, IN(duration_s), .min = 1, .max = 600 },
	{ "format", ATL_JT_STR, IN(format), .max = 20 },
	{ "quality", ATL_JT_STR, IN(quality), .max = 20 },
	{ "style", ATL_JT_STR, IN(style), .max = 200, .doc = "id or name of a style" },
	{ "character_id", ATL_JT_STR, IN(character_id), ATL_JF_NULLABLE, .max = 40, .doc = "its look applies" },
	{ "no_look", ATL_JT_BOOL, IN(no_look), .doc = "the character's look does not apply" },
	{ "conversation_id", ATL_JT_STR, IN(conversation_id), ATL_JF_NULLABLE, .max = 40 },
	{ "message_id", ATL_JT_STR, IN(message_id), ATL_JF_NULLABLE, .max = 40 },
	{ "board_id", ATL_JT_STR, IN(board_id), ATL_JF_NULLABLE, .max = 40 },
	{ "workflow_id", ATL_JT_STR, IN(workflow_id), ATL_JF_NULLABLE, .max = 40 },
	{ "inputs", ATL_JT_ANY, IN(inputs), .doc = "of the workflow: {\"name\": value}" },
	{ "extra", ATL_JT_ANY, IN(extra), .doc = "the service's own parameters" },
	{ "no_expand", ATL_JT_BOOL, IN(no_expand), .doc = "braces and __names__ stay as they are" },
	{ "priority", ATL_JT_INT, IN(priority), .min = -ATL_JOB_PRIORITY_MAX, .max = ATL_JOB_PRIORITY_MAX },
	{ "not_before", ATL_JT_TIME, IN(not_before), ATL_JF_NULLABLE },
	{ "depends_on", ATL_JT_STR, IN(depends_on), ATL_JF_NULLABLE, .max = 40,
	  .doc = "a job that must be done first; its first result is the init picture when none is given" },
	{ "webhook_url", ATL_JT_STR, IN(webhook_url), ATL_JF_NULLABLE, .max = 2000, .doc = "told when the job has ended" },
};
DESC_PATCH(in_desc, struct job_in, "JobInput", in_fields);

/* What was left out is the model's default, not zero. */
static enum atl_err read_ask(struct atl_req *req, struct job_in *in, struct atl_errinfo *info)
{
	enum atl_err err = atl_req_json(req, in, info);

	for (size_t i = 0; !err && i < ATL_COUNT(in_fields); i++) {
		char *at = (char *)in + in_fields[i].offset;

		if (in->present >> i & 1)
			continue;
		if (in_fields[i].type == ATL_JT_INT || in_fields[i].type == ATL_JT_TIME)
			*(int64_t *)(void *)at = ATL_IMAGE_UNSET;
		else if (in_fields[i].type == ATL_JT_NUM)
			*(double *)(void *)at = NAN;
	}
	return err;
}

/* ---- answers ---- */

static void answer(struct atl_req *req, enum atl_err err, int status, const struct atl_job *job,
		   const struct atl_errinfo *info)
{
	if (err) {
		atl_api_fail(req, err, info);
		return;
	}
	atl_api_etag(req, job->version);
	if (status == 202)
		atl_res_header(req, "Location", atl_arena_printf(&req->arena, "/api/v1/jobs/%s", job->id));
	atl_res_json(req, status, &atl_job_desc, job);
}

static const char *origin(const struct atl_req *req)
{
	return atl_api_identity(req)->channel == ATL_CHANNEL_COOKIE ? "web" : "api";
}

static void handle_submit(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_job job;
	struct job_in in;
	enum atl_err err;

	if (!atl_api_idempotent_begin(req))
		return;
	err = read_ask(req, &in, &info);
	if (!err)
		err = atl_picture_submit(atl_api_app(req), atl_api_identity(req), &req->arena, ATL_ENTRY_PICTURE, origin(req),
					 &in.ask, &job, &info);
	answer(req, err, 202, &job, &info);
	atl_api_idempotent_end(req);
}

static void handle_estimate(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_estimate estimate;
	struct job_in in;
	enum atl_err err = read_ask(req, &in, &info);

	if (!err)
		err = atl_picture_estimate(atl_api_app(req), atl_api_identity(req), &req->arena, &in.ask, &estimate, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &atl_picture_estimate_desc, &estimate);
}

/* ---- looking ---- */

static const char *const states[] = { "active", "ended", "queued", "leased", "running", "done", "failed", "cancelled", NULL };
static const struct atl_query_param list_params[] = {
	ATL_API_PAGE_PARAMS,
	{ "state", ATL_JT_ENUM, 0, 0, states, "active: queued, leased or running; ended: the others" },
	{ "task", ATL_JT_STR, 0, 40, NULL, NULL },
	{ "model", ATL_JT_STR, 0, 300, NULL, NULL },
	{ "character_id", ATL_JT_STR, 0, 40, NULL, NULL },
	{ "conversation_id", ATL_JT_STR, 0, 40, NULL, NULL },
	{ 0 },
};
static const struct atl_query_param preview_params[] = {
	{ "n", ATL_JT_INT, 0, 1e9, NULL, "the event's number, against caches" },
	{ 0 },
};

static enum atl_err read_state(struct atl_req *req, const char **ret, struct atl_errinfo *info)
{
	const char *state = atl_req_query(req, "state");

	*ret = atl_str_empty(state) ? NULL : state;
	for (size_t i = 0; *ret && states[i]; i++)
		if (atl_str_eq(states[i], state))
			return ATL_OK;
	return *ret ? atl_fail_field(info, ATL_ERR_INVALID, "state", "is not a state of jobs") : ATL_OK;
}

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_job_filter filter = { .task = atl_req_query(req, "task"), .model = atl_req_query(req, "model"),
					 .character_id = atl_req_query(req, "character_id"),
					 .conversation_id = atl_req_query(req, "conversation_id") };
	struct atl_page page;
	struct atl_job *items;
	const char *next = NULL;
	size_t count;
	enum atl_err err = atl_api_page(req, &page, &info);

	if (!err)
		err = read_state(req, &filter.state, &info);
	if (!err) {
		filter.after_id = page.has_after ? page.after_id : NULL;
		filter.limit = page.limit;
		err = atl_job_list(atl_api_app(req), &req->arena, atl_api_user(req), &filter, &items, &count, &info);
	}
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	if (count > (size_t)page.limit) {
		count = (size_t)page.limit;
		next = atl_api_cursor(req, 0, items[count - 1].id);
	}
	atl_api_list(req, &atl_job_desc, items, count, next);
}

static void handle_get(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_job job;
	enum atl_err err = atl_job_get(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), &job, &info);

	answer(req, err, 200, &job, &info);
}

static void handle_preview(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	const char *media_type = NULL;
	const void *data = NULL;
	size_t length = 0;
	int64_t index;
	enum atl_err err = ATL_OK;

	if (!atl_str_i64(atl_req_param(req, "index"), 0, ATL_IMAGE_COUNT_MAX - 1, &index))
		err = atl_fail(&info, ATL_ERR_NOT_FOUND, "There is no preview.");
	if (!err)
		err = atl_job_preview_get(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), index, &data,
					  &length, &media_type, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_res_header(req, "Cache-Control", "private, no-store");
	atl_res_body(req, 200, media_type, data, length);
}

/* ---- stopping, again, in another order ---- */

static void handle_cancel(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_job job;
	enum atl_err err =
		atl_job_cancel(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), &job, &info);

	answer(req, err, 200, &job, &info);
}

struct cancelled {
	int64_t cancelled;
};
static const struct atl_json_field cancelled_fields[] = {
	F_INT(struct cancelled, cancelled, ATL_JF_REQUIRED, 0, 0, "how many"),
};
DESC(cancelled_desc, struct cancelled, "JobsCancelled", cancelled_fields);

static void handle_cancel_all(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct cancelled out = { 0 };
	enum atl_err err = atl_job_cancel_all(atl_api_app(req), atl_api_user(req), &out.cancelled, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &cancelled_desc, &out);
}

static void handle_retry(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_job job;
	enum atl_err err;

	if (!atl_api_idempotent_begin(req))
		return;
	err = atl_job_retry(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"), &job, &info);
	answer(req, err, 202, &job, &info);
	atl_api_idempotent_end(req);
}

struct change_in {
	uint64_t present;
	int64_t priority, not_before;
	const char *before, *after;
};
static const struct atl_json_field change_fields[] = {
	F_INT(struct change_in, priority, 0, -ATL_JOB_PRIORITY_MAX, ATL_JOB_PRIORITY_MAX, "higher goes first"),
	F_TIME(struct change_in, not_before, ATL_JF_NULLABLE, "null: at once"),
	F_STR(struct change_in, before, 0, 1, 40, "just before this waiting job of yours"),
	F_STR(struct change_in, after, 0, 1, 40, "just after it"),
};
DESC_PATCH(change_desc, struct change_in, "JobChange", change_fields);

static void handle_patch(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_job_change change = { 0 };
	struct change_in in;
	struct atl_job job;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err) {
		change.priority = atl_json_has(&change_desc, &in, "priority") ? &in.priority : NULL;
		change.not_before = atl_json_has(&change_desc, &in, "not_before") ? &in.not_before : NULL;
		change.before = in.before;
		change.after = in.after;
		err = atl_job_change(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), &change, &job,
				     &info);
	}
	answer(req, err, 200, &job, &info);
}

/* ---- the queue ---- */

static void answer_queue(struct atl_req *req, enum atl_err err, struct atl_errinfo *info)
{
	struct atl_queue_status status;

	if (!err)
		err = atl_queue_status(atl_api_app(req), atl_api_user(req), &status, info);
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json(req, 200, &atl_queue_status_desc, &status);
}

static void handle_queue(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };

	answer_queue(req, ATL_OK, &info);
}

static void set_paused(struct atl_req *req, bool all, bool paused)
{
	struct atl_errinfo info = { 0 };

	answer_queue(req, atl_queue_pause(atl_api_app(req), atl_api_user(req), all, paused, &info), &info);
}

static void handle_pause(struct atl_req *req)
{
	set_paused(req, false, true);
}

static void handle_resume(struct atl_req *req)
{
	set_paused(req, false, false);
}

static void handle_pause_all(struct atl_req *req)
{
	set_paused(req, true, true);
}

static void handle_resume_all(struct atl_req *req)
{
	set_paused(req, true, false);
}

#define TAG "Jobs"
#define USE .permission = "pictures.use", .tag = TAG
const struct atl_route atl_jobs_routes[] = {
	{ .method = ATL_POST, .path = "/api/v1/jobs", USE, .handler = handle_submit, .summary = "Ask for pictures",
	  .in = &in_desc, .out = &atl_job_desc, .status = 202, .body_max = ATL_JOB_REQUEST_MAX },
	{ .method = ATL_POST, .path = "/api/v1/jobs/estimate", USE, .handler = handle_estimate,
	  .summary = "How long would it take, and what would it cost?", .in = &in_desc, .out = &atl_picture_estimate_desc,
	  .body_max = ATL_JOB_REQUEST_MAX },
	{ .method = ATL_GET, .path = "/api/v1/jobs", USE, .handler = handle_list, .summary = "List jobs, newest first",
	  .out = &atl_job_desc, .out_list = true, .query = list_params },
	{ .method = ATL_POST, .path = "/api/v1/jobs/cancel", USE, .handler = handle_cancel_all,
	  .summary = "Cancel all your jobs", .out = &cancelled_desc },
	{ .method = ATL_GET, .path = "/api/v1/jobs/{id}", USE, .handler = handle_get, .summary = "One job",
	  .out = &atl_job_desc },
	{ .method = ATL_PATCH, .path = "/api/v1/jobs/{id}", USE, .handler = handle_patch,
	  .summary = "Change the order of a waiting job", .in = &change_desc, .out = &atl_job_desc },
	{ .method = ATL_POST, .path = "/api/v1/jobs/{id}/cancel", USE, .handler = handle_cancel, .summary = "Cancel a job",
	  .out = &atl_job_desc },
	{ .method = ATL_POST, .path = "/api/v1/jobs/{id}/retry", USE, .handler = handle_retry,
	  .summary = "The same once more, as a new job", .out = &atl_job_desc, .status = 202 },
	{ .method = ATL_GET, .path = "/api/v1/jobs/{id}/previews/{index}", USE, .handler = handle_preview,
	  .summary = "The last preview of a running job's picture", .out_type = "image/png|image/jpeg|image/webp",
	  .query = preview_params },
	{ .method = ATL_GET, .path = "/api/v1/queue", USE, .handler = handle_queue, .summary = "How many wait and run",
	  .out = &atl_queue_status_desc },
	{ .method = ATL_POST, .path = "/api/v1/queue/pause", USE, .handler = handle_pause,
	  .summary = "Start none of your jobs for now", .out = &atl_queue_status_desc },
	{ .method = ATL_POST, .path = "/api/v1/queue/resume", USE, .handler = handle_resume,
	  .summary = "Go on with your jobs", .out = &atl_queue_status_desc },
	{ .method = ATL_POST, .path = "/api/v1/queue/all/pause", .permission = "jobs.manage", .tag = TAG,
	  .handler = handle_pause_all, .summary = "Start nobody's jobs for now", .out = &atl_queue_status_desc },
	{ .method = ATL_POST, .path = "/api/v1/queue/all/resume", .permission = "jobs.manage", .tag = TAG,
	  .handler = handle_resume_all, .summary = "Go on with everybody's jobs", .out = &atl_queue_status_desc },
	{ 0 },
};
