/* picture_estimate.c - how long and how dear: from what earlier jobs of the same model took (picture_times.h), and the price table. */
#include <string.h>

#include "core/pictures/picture_request.h"
#include "core/pictures/picture_times.h"

#define OFF(member) offsetof(struct atl_picture_estimate, member)
static const struct atl_json_field FIELDS[] = {
	{ "run_ms", ATL_JT_INT, OFF(run_ms), ATL_JF_REQUIRED, .doc = "0: not known" },
	{ "wait_ms", ATL_JT_INT, OFF(wait_ms), ATL_JF_REQUIRED, .doc = "until it begins" },
	{ "cost_micro_usd", ATL_JT_INT, OFF(cost_micro_usd), ATL_JF_REQUIRED, .doc = "millionths of a US dollar; 0: free or not known" },
	{ "notes", ATL_JT_STRS, OFF(notes), ATL_JF_REQUIRED, .doc = "what would be mapped or left out" },
};
const struct atl_json_desc atl_picture_estimate_desc = { "PictureEstimate", "Time and price of a job before it is asked for.",
	FIELDS, ATL_COUNT(FIELDS), sizeof(struct atl_picture_estimate), ATL_JSON_NO_PRESENT, false };

int64_t atl_picture_time_guess(struct atl_app *app, const char *model, int64_t width, int64_t height, int64_t steps,
			       int64_t count)
{
	double ms = atl_picture_times_ms(atl_picture_models_times(app->picture_models), model);

	return (int64_t)(ms * atl_picture_times_units(width, height, steps, count));
}

enum atl_err atl_picture_estimate(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				  const struct atl_picture_ask *ask, struct atl_picture_estimate *ret, struct atl_errinfo *info)
{
	struct atl_picture_request request;
	struct atl_picture_model model;
	struct atl_queue_status queue;
	struct atl_job_new job;
	struct atl_json *tree;
	struct atl_picture_estimate e = { 0 };
	int64_t width, height;
	enum atl_err err = atl_picture_prepare(app, who, arena, ATL_ENTRY_PICTURE, "web", ask, &job, info);

	if (!err)
		err = atl_json_parse(arena, job.request, strlen(job.request), &tree, info);
	if (!err)
		err = atl_picture_request_read(arena, tree, &request, info);
	if (!err)
		err = atl_picture_model_find(app, arena, job.model, &model, info);
	if (!err)
		err = atl_queue_status(app, who->user_id, &queue, info);
	if (err)
		return err;
	width = request.ask.width > 0 ? request.ask.width : 1024;
	height = request.ask.height > 0 ? request.ask.height : 1024;
	e.run_ms = atl_picture_time_guess(app, job.model, width, height, request.ask.steps > 0 ? request.ask.steps : 20, job.count);
	e.wait_ms = e.run_ms * queue.queued; /* as if the others were like this one */
	e.cost_micro_usd = atl_picture_model_price(&model, width, height, job.count,
						   request.ask.duration_s > 0 ? request.ask.duration_s : 0);
	e.notes = request.notes;
	*ret = e;
	return ATL_OK;
}
