/* waiting.c - see waiting.h. */
#include "api/waiting.h"

#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/str.h"
#include "core/asset.h"
#include "os/pool.h"

#define SLICE_MS 1000
#define PICTURE_BASE64_MAX ((size_t)90 << 20)

static void resume(void *arg)
{
	struct atl_api_waited *waited = arg;

	atl_req_to_pool(waited->req, waited->done);
}

static bool has_ended(const struct atl_job *job)
{
	return atl_str_eq(job->state, "done") || atl_str_eq(job->state, "failed") || atl_str_eq(job->state, "cancelled");
}

/* In slices, so that a stopping server does not wait for a waiter. */
static void look(struct atl_api_waited *waited, unsigned timeout_ms)
{
	struct atl_req *req = waited->req;
	struct atl_app *app = atl_api_app(req);
	uint64_t end = atl_monotonic_ms() + timeout_ms, now;

	do {
		now = atl_monotonic_ms();
		waited->err = atl_job_wait(app, &req->arena, atl_api_user(req), waited->id,
					   now >= end ? 0 : end - now > SLICE_MS ? SLICE_MS : (unsigned)(end - now), &waited->job,
					   &waited->info);
	} while (!waited->err && !has_ended(&waited->job) && now < end && !atomic_load(&app->stopping));
}

/* In a thread of the room. */
static void wait_here(void *arg)
{
	struct atl_api_waited *waited = arg;

	look(waited, waited->timeout_ms);
	if (!atl_loop_post(waited->req->loop, resume, waited)) {
		/* the loop has ended, and the request with it */
	}
}

static void look_now(struct atl_req *req)
{
	struct atl_api_waited *waited = req->state;

	look(waited, 0);
	waited->done(req);
}

static void begin(struct atl_req *req)
{
	struct atl_api_waited *waited = req->state;
	struct atl_app *app = atl_api_app(req);

	if (!app->waiters || atl_pool_submit(app->waiters, wait_here, waited) != ATL_OK)
		atl_req_to_pool(req, look_now);
}

void atl_api_wait_job(struct atl_req *req, const char *job_id, unsigned timeout_ms, atl_handler done, void *arg)
{
	struct atl_api_waited *waited = ATL_ARENA_NEW(&req->arena, struct atl_api_waited);

	if (!waited) {
		atl_api_fail(req, ATL_ERR_NOMEM, NULL);
		return;
	}
	*waited = (struct atl_api_waited){ .req = req, .id = job_id, .timeout_ms = timeout_ms, .done = done, .arg = arg };
	req->state = waited;
	if (timeout_ms == 0)
		look_now(req);
	else
		atl_res_continue(req, begin);
}

/* ---- pictures ---- */

enum atl_err atl_api_take_bytes(struct atl_req *req, const char *field, const void *data, size_t length,
				const char **ret_id, struct atl_errinfo *info)
{
	struct atl_asset asset;
	enum atl_err err = atl_asset_upload(atl_api_app(req), atl_api_identity(req), &req->arena, data, length, false, &asset, info);

	if (err == ATL_ERR_PICTURE && info)
		atl_str_copy(info->field, sizeof(info->field), field);
	if (!err)
		*ret_id = asset.id;
	return err;
}

enum atl_err atl_api_take_picture(struct atl_req *req, const char *field, const char *text, const char **ret_id,
				  struct atl_errinfo *info)
{
	const char *comma = strncmp(text, "data:", 5) == 0 ? strchr(text, ',') : NULL;
	struct atl_buf data;
	enum atl_err err;

	if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0)
		return atl_fail_field(info, ATL_ERR_INVALID, field, "Send the picture itself as base64: addresses are not fetched.");
	text = comma ? comma + 1 : text;
	atl_buf_init(&data, PICTURE_BASE64_MAX);
	if (!*text || !atl_base64_decode(&data, ATL_BASE64_STANDARD, text, strlen(text)))
		err = atl_fail_field(info, ATL_ERR_INVALID, field, "is not base64");
	else
		err = atl_api_take_bytes(req, field, data.data, data.length, ret_id, info);
	atl_buf_finish(&data);
	return err;
}

enum atl_err atl_api_put_base64(struct atl_req *req, const struct atl_asset *asset, struct atl_buf *out,
				struct atl_errinfo *info)
{
	struct atl_arena arena;
	const void *data;
	size_t length;
	enum atl_err err;

	atl_arena_init(&arena, (size_t)600 << 20);
	err = atl_asset_read(atl_api_app(req), &arena, asset, &data, &length, info);
	if (!err) {
		atl_base64_encode(out, ATL_BASE64_STANDARD, data, length);
		err = atl_buf_err(out, info);
	}
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_api_job_error(const struct atl_job *job, struct atl_errinfo *info)
{
	enum atl_err err = ATL_ERR_UPSTREAM;

	if (atl_str_eq(job->state, "cancelled"))
		return atl_fail(info, ATL_ERR_CANCELLED, "The job was cancelled.");
	if (job->error_slug)
		for (int e = 1; e < ATL_ERR_COUNT; e++)
			if (atl_str_eq(atl_err_slug((enum atl_err)e), job->error_slug))
				err = (enum atl_err)e;
	return atl_fail(info, err, "%s", job->error_detail ? job->error_detail : atl_err_sentence(err));
}
