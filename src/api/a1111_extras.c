/* a1111_extras.c - /sdapi/v1/extra-batch-images, a job for each picture; and interrogate, which nothing here can do.
 *
 * Pictures are answered in the order they were sent. When one of them fails the answer is its failure; the others are in
 * the library all the same.
 */
#include <string.h>

#include "api/a1111_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#define WAIT_MS 1800000
#define BATCH_MAX 16

/* Ours, and AUTOMATIC1111's. */
static const char *const NAMES[] = { "init_asset", "imageList", "upscale_factor", "upscaling_resize", "model", "upscaler_1", NULL };

struct batch {
	const char *ids[BATCH_MAX]; /* of the jobs */
	size_t count, at;
	uint64_t until_ms;
};

/* ---- the answer ---- */
static enum atl_err put_result(struct atl_req *req, const char *id, struct atl_buf *out, struct atl_errinfo *info)
{
	struct atl_job job;
	enum atl_err err = atl_job_get(atl_api_app(req), &req->arena, atl_api_user(req), id, &job, info);

	if (!err && !job.assets.count)
		err = atl_fail(info, ATL_ERR_UPSTREAM, "The engine made no picture.");
	atl_buf_addc(out, '"');
	if (!err)
		err = atl_api_put_base64(req, job.assets.items, out, info);
	atl_buf_addc(out, '"');
	return err;
}

static enum atl_err write_answer(struct atl_req *req, const struct batch *b, struct atl_buf *out, struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;

	atl_buf_adds(out, "{\"html_info\":\"\",\"images\":[");
	for (size_t i = 0; i < b->count && !err; i++) {
		if (i)
			atl_buf_addc(out, ',');
		err = put_result(req, b->ids[i], out, info);
	}
	atl_buf_adds(out, "]}");
	return err ? err : atl_buf_err(out, info);
}

static void answer(struct atl_req *req)
{
	const struct atl_api_waited *waited = req->state;
	struct batch *b = waited->arg;
	struct atl_errinfo info = waited->info;
	struct atl_buf out;
	uint64_t now = atl_monotonic_ms();
	enum atl_err err = waited->err;

	if (!err && (atl_str_eq(waited->job.state, "failed") || atl_str_eq(waited->job.state, "cancelled")))
		err = atl_api_job_error(&waited->job, &info);
	else if (!err && !atl_str_eq(waited->job.state, "done"))
		err = atl_fail(&info, ATL_ERR_UPSTREAM_TIMEOUT, "The pictures are not ready yet: the first that is missing is the job %s.",
			       waited->job.id);
	if (!err && ++b->at < b->count) {
		atl_api_wait_job(req, b->ids[b->at], b->until_ms > now ? (unsigned)(b->until_ms - now) : 0, answer, b);
		return;
	}
	atl_buf_init(&out, ATL_HTTP_OUT_MAX);
	if (!err)
		err = write_answer(req, b, &out, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json_text(req, 200, out.data, out.length);
	atl_buf_finish(&out);
}

/* ---- the request ---- */
static enum atl_err take_wish(struct atl_req *req, const struct atl_json *body, struct atl_picture_ask *ask, struct atl_errinfo *info)
{
	const struct atl_json *factor = atl_json_get(body, "upscaling_resize");
	const char *upscaler = atl_json_str(body, "upscaler_1", NULL), *model;

	atl_picture_ask_init(ask);
	ask->task = "upscale";
	if (factor && factor->kind != ATL_JSON_NULL && factor->kind != ATL_JSON_NUMBER)
		return atl_fail_field(info, ATL_ERR_INVALID, "upscaling_resize", "must be a number");
	if (factor && factor->kind == ATL_JSON_NUMBER)
		ask->upscale_factor = factor->number;
	model = atl_str_empty(upscaler) ? NULL : a1111_model_find(req, upscaler); /* an upscaler is a model here */
	ask->model = model ? model : a1111_model(req);
	return ATL_OK;
}

/* All pictures are taken before the first job is made: a broken one leaves nothing half done. */
static enum atl_err take_pictures(struct atl_req *req, const struct atl_json *list, const char **ids, size_t *ret_count,
				  struct atl_errinfo *info)
{
	size_t count = 0;
	enum atl_err err = ATL_OK;

	if (!list || list->kind != ATL_JSON_ARRAY || !list->count)
		return atl_fail_field(info, ATL_ERR_INVALID, "imageList", "is required");
	if (list->count > BATCH_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "imageList", "has more than %d pictures", BATCH_MAX);
	for (const struct atl_json *item = list->child; item && !err; item = item->next) {
		const char *data = atl_json_str(item, "data", NULL);

		err = atl_str_empty(data) ? atl_fail_field(info, ATL_ERR_INVALID, "imageList", "each item needs data: the picture as base64")
					  : atl_api_take_picture(req, "imageList", data, &ids[count++], info);
	}
	*ret_count = count;
	return err;
}

/* Nobody would fetch them. */
static void take_back(struct atl_req *req, const struct batch *b)
{
	struct atl_errinfo info = { 0 };
	struct atl_job job;

	for (size_t i = 0; i < b->count; i++)
		if (atl_job_cancel(atl_api_app(req), &req->arena, atl_api_user(req), b->ids[i], &job, &info) != ATL_OK)
			atl_debug("api", "%s: %s", b->ids[i], info.detail); /* it has ended already */
}

static enum atl_err submit(struct atl_req *req, struct batch *b, struct atl_errinfo *info)
{
	const char *pictures[BATCH_MAX];
	struct atl_picture_ask ask;
	struct atl_json *body;
	size_t count = 0;
	enum atl_err err = atl_req_tree_take(req, &body, info);

	if (!err && body->kind != ATL_JSON_OBJECT)
		err = atl_fail(info, ATL_ERR_INVALID, "The body must be a JSON object.");
	if (!err)
		err = take_wish(req, body, &ask, info);
	if (!err)
		err = take_pictures(req, atl_json_get(body, "imageList"), pictures, &count, info);
	for (size_t i = 0; !err && i < count; i++) {
		struct atl_job job;

		ask.init_asset = pictures[i];
		err = atl_picture_submit(atl_api_app(req), atl_api_identity(req), &req->arena, ATL_ENTRY_A1111, A1111_ORIGIN, &ask, &job,
					 info);
		if (!err)
			b->ids[b->count++] = job.id;
	}
	if (err)
		take_back(req, b);
	return err;
}

void a1111_extra_batch(struct atl_req *req)
{
	struct batch *b = ATL_ARENA_NEW(&req->arena, struct batch);
	struct atl_errinfo info = { 0 };
	enum atl_err err = b ? submit(req, b, &info) : atl_fail(&info, ATL_ERR_NOMEM, "request");

	if (err) {
		atl_api_name_field(&info, NAMES);
		atl_api_fail(req, err, &info);
		return;
	}
	b->until_ms = atl_monotonic_ms() + WAIT_MS;
	atl_api_wait_job(req, b->ids[0], WAIT_MS, answer, b);
}

/* An empty caption would be taken for an answer. */
void a1111_interrogate(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };

	atl_api_fail(req, atl_fail(&info, ATL_ERR_UNSUPPORTED, "Atelier has no model that describes a picture in words. What a picture "
							       "says about itself is at /sdapi/v1/png-info."), &info);
}
