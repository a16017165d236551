/* jobs.c - /api/v1/jobs and /api/v1/queue: asking for pictures, watching, ordering and stopping what waits and runs. */
#include "api/api.h"
#include "api/fields.h"
#include "api/job_in.h"
#include "base/str.h"
#include "core/jobs/job.h"
#include "core/jobs/job_everybody.h"
#include "core/pictures/picture.h"

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

static void handle_submit(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_job job;
	struct atl_job_in in;
	enum atl_err err;

	if (!atl_api_idempotent_begin(req))
		return;
	err = atl_job_in_read(req, &in, &info);
	if (!err)
		err = atl_picture_submit(atl_api_app(req), atl_api_identity(req), &req->arena, ATL_ENTRY_PICTURE,
					 atl_job_in_origin(req), &in.ask, &job, &info);
	answer(req, err, 202, &job, &info);
	atl_api_idempotent_end(req);
}

static void handle_estimate(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_estimate estimate;
	struct atl_job_in in;
	enum atl_err err = atl_job_in_read(req, &in, &info);

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

	answer_queue(req, atl_queue_pause(atl_api_app(req), atl_api_identity(req), all, paused, &info), &info);
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

static void handle_everybody(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_job_glance *items;
	size_t count;
	enum atl_err err = atl_jobs_everybody(atl_api_app(req), &req->arena, &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_job_glance_desc, items, count, NULL);
}

static void handle_cancel_anybodys(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_job_cancel_anybodys(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"),
						   &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

#define TAG "Jobs"
#define USE .permission = "pictures.use", .tag = TAG
const struct atl_route atl_jobs_routes[] = {
	{ .method = ATL_POST, .path = "/api/v1/jobs", USE, .rate = ATL_CLASS_GENERATE, .handler = handle_submit, .summary = "Ask for pictures",
	  .in = &atl_job_in_desc, .out = &atl_job_desc, .status = 202, .body_max = ATL_JOB_REQUEST_MAX },
	{ .method = ATL_POST, .path = "/api/v1/jobs/estimate", USE, .handler = handle_estimate,
	  .summary = "How long would it take, and what would it cost?", .in = &atl_job_in_desc, .out = &atl_picture_estimate_desc,
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
	{ .method = ATL_POST, .path = "/api/v1/jobs/{id}/retry", USE, .rate = ATL_CLASS_GENERATE, .handler = handle_retry,
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
	{ .method = ATL_GET, .path = "/api/v1/queue/all/jobs", .permission = "jobs.manage", .tag = TAG, .handler = handle_everybody,
	  .summary = "Everybody's jobs that have not ended, without their prompts", .out = &atl_job_glance_desc, .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/queue/all/jobs/{id}/cancel", .permission = "jobs.manage", .tag = TAG,
	  .handler = handle_cancel_anybodys, .summary = "Cancel somebody's job", .status = 204 },
	{ 0 },
};
