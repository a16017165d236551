/* grids.c - /api/v1/grids: one picture varied along up to three axes. */
#include "core/jobs/grid.h"

#include "api/fields.h"
#include "api/job_in.h"

static const struct atl_json_field axis_fields[] = {
	F_ENUM(struct atl_grid_axis_in, parameter, ATL_JF_REQUIRED, atl_grid_parameters,
	       "prompt: the first value is searched in the prompts, each value stands in its place"),
	F_ANY(struct atl_grid_axis_in, values, 0, "list of texts and numbers"),
	F_STR(struct atl_grid_axis_in, text, 0, 1, ATL_GRID_TEXT_MAX,
	      "instead of values: separated by commas; numbers also as 1-5, 1-10 (+3), 0-1 [5]"),
	F_STR(struct atl_grid_axis_in, lora, ATL_JF_NULLABLE, 0, 200, "of lora_weight: which one"),
};
DESC(axis_desc, struct atl_grid_axis_in, "GridAxisInput", axis_fields);

struct grid_in {
	const void *request;	/* struct atl_job_in */
	const void *x, *y, *z; /* struct atl_grid_axis_in */
};
static const struct atl_json_field in_fields[] = {
	F_OBJ(struct grid_in, request, ATL_JF_REQUIRED, &atl_job_in_desc, "as of a job; its count is 1"),
	F_OBJ(struct grid_in, x, ATL_JF_REQUIRED, &axis_desc, "columns"),
	F_OBJ(struct grid_in, y, ATL_JF_NULLABLE, &axis_desc, "rows"),
	F_OBJ(struct grid_in, z, ATL_JF_NULLABLE, &axis_desc, "tables below each other"),
};
DESC(in_desc, struct grid_in, "GridInput", in_fields);

static void answer(struct atl_req *req, enum atl_err err, int status, const struct atl_grid *grid, const struct atl_errinfo *info)
{
	if (err) {
		atl_api_fail(req, err, info);
		return;
	}
	if (status == 202)
		atl_res_header(req, "Location", atl_arena_printf(&req->arena, "/api/v1/grids/%s", grid->id));
	atl_res_json(req, status, &atl_grid_desc, grid);
}

static void handle_create(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_grid grid;
	struct grid_in in;
	struct atl_job_in request;
	enum atl_err err;

	if (!atl_api_idempotent_begin(req))
		return;
	err = atl_req_json(req, &in, &info);
	if (!err) {
		struct atl_grid_ask ask = { .request = &request.ask, .axes = { in.x, in.y, in.z } };

		request = *(const struct atl_job_in *)in.request;
		atl_job_in_settle(&request);
		err = atl_grid_create(atl_api_app(req), atl_api_identity(req), &req->arena, atl_job_in_origin(req), &ask, &grid,
				      &info);
	}
	answer(req, err, 202, &grid, &info);
	atl_api_idempotent_end(req);
}

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_page page;
	struct atl_grid *items;
	const char *next = NULL;
	size_t count;
	enum atl_err err = atl_api_page(req, &page, &info);

	if (!err)
		err = atl_grid_list(atl_api_app(req), &req->arena, atl_api_user(req), page.has_after ? page.after_id : NULL,
				    page.limit, &items, &count, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	if (count > (size_t)page.limit) {
		count = (size_t)page.limit;
		next = atl_api_cursor(req, 0, items[count - 1].id);
	}
	atl_api_list(req, &atl_grid_desc, items, count, next);
}

static void handle_get(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_grid grid;
	enum atl_err err = atl_grid_get(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), &grid, &info);

	answer(req, err, 200, &grid, &info);
}

static void handle_cancel(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_grid grid;
	enum atl_err err =
		atl_grid_cancel(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), &grid, &info);

	answer(req, err, 200, &grid, &info);
}

static void handle_retry(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_grid grid;
	enum atl_err err;

	if (!atl_api_idempotent_begin(req))
		return;
	err = atl_grid_retry(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"), &grid, &info);
	answer(req, err, 202, &grid, &info);
	atl_api_idempotent_end(req);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_grid_delete(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

#define USE .permission = "pictures.use", .tag = "Grids"
const struct atl_route atl_grids_routes[] = {
	{ .method = ATL_POST, .path = "/api/v1/grids", USE, .rate = ATL_CLASS_GENERATE, .handler = handle_create,
	  .summary = "Ask for a picture varied along up to three axes", .in = &in_desc, .out = &atl_grid_desc, .status = 202,
	  .body_max = ATL_JOB_REQUEST_MAX },
	{ .method = ATL_GET, .path = "/api/v1/grids", USE, .handler = handle_list,
	  .summary = "List grids, newest first, without their cells", .out = &atl_grid_desc, .out_list = true,
	  .query = atl_api_page_params },
	{ .method = ATL_GET, .path = "/api/v1/grids/{id}", USE, .handler = handle_get, .summary = "One grid with its cells",
	  .out = &atl_grid_desc },
	{ .method = ATL_POST, .path = "/api/v1/grids/{id}/cancel", USE, .handler = handle_cancel,
	  .summary = "Cancel what waits and runs of a grid", .out = &atl_grid_desc },
	{ .method = ATL_POST, .path = "/api/v1/grids/{id}/retry", USE, .rate = ATL_CLASS_GENERATE, .handler = handle_retry,
	  .summary = "Ask once more for the cells that failed or were cancelled", .out = &atl_grid_desc, .status = 202 },
	{ .method = ATL_DELETE, .path = "/api/v1/grids/{id}", USE, .handler = handle_delete,
	  .summary = "Cancel likewise and forget the grid; its pictures stay", .status = 204 },
	{ 0 },
};
