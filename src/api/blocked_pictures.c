/* blocked_pictures.c - /api/v1/blocked-pictures: the list of pictures that may not come in, for moderators. */
#include "core/safety/blocked_picture.h"

#include "api/api.h"
#include "api/fields.h"
#include "media/picture.h"

#define REASON_MAX 200

static const struct atl_query_param add_params[] = {
	{ "reason", ATL_JT_STR, 1, REASON_MAX, NULL, "read by moderators" },
	{ 0 },
};

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_items items = { 0 };
	enum atl_err err = atl_blocked_list(atl_api_app(req), &req->arena, &items, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_blocked_desc, items.items, items.count, NULL);
}

static void handle_add(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_blocked blocked;
	const char *reason = atl_req_query(req, "reason");
	enum atl_err err = reason ? atl_blocked_add(atl_api_app(req), atl_api_identity(req), &req->arena, req->body,
						    req->body_length, reason, &blocked, &info)
				  : atl_fail_field(&info, ATL_ERR_INVALID, "reason", "is required");

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 201, &atl_blocked_desc, &blocked);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_blocked_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

#define MODERATE .permission = "moderate", .tag = "Moderation"
const struct atl_route atl_blocked_pictures_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/blocked-pictures", MODERATE, .handler = handle_list,
	  .summary = "Pictures that may not come in, the newest first", .out = &atl_blocked_desc, .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/blocked-pictures", MODERATE, .handler = handle_add,
	  .summary = "Block a picture: send its file as the body", .query = add_params, .out = &atl_blocked_desc, .status = 201,
	  .body_max = ATL_PICTURE_BYTES_MAX },
	{ .method = ATL_DELETE, .path = "/api/v1/blocked-pictures/{id}", MODERATE, .handler = handle_delete,
	  .summary = "Let it in again", .status = 204 },
	{ 0 },
};
