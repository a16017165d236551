/* picture_review.c - /api/v1/moderation/pictures: what the picture check holds, for whoever moderates. */
#include "api/api.h"
#include "api/asset_files.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/pictures/asset.h"
#include "core/safety/picture_check.h"

static const char *const DECISIONS[] = { "release", "remove", NULL };

static const struct atl_query_param file_params[] = {
	{"width", ATL_JT_INT, 0, 512, NULL, "a thumbnail of this width: 64, 128, 256 or 512"},
	{0},
};

struct decision {
	const char *decision;
};
static const struct atl_json_field decision_fields[] = {
	F_ENUM(struct decision, decision, ATL_JF_REQUIRED, DECISIONS,
	       "release: its owner sees it after a click; remove: it is deleted for good"),
};
DESC(decision_desc, struct decision, "HeldPictureDecision", decision_fields);

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_items held;
	enum atl_err err = atl_picture_held_list(atl_api_app(req), &req->arena, &held, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_picture_held_desc, held.items, held.count, NULL);
}

static void handle_file(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_asset asset;
	int64_t width = 0;
	enum atl_err err = atl_picture_held_get(atl_api_app(req), &req->arena, atl_req_param(req, "id"), &asset, &info);

	if (!err)
		err = atl_api_asset_width(req, &width, &info);
	if (!err) {
		asset.check = NULL; /* shut for everybody but here */
		err = atl_api_send_asset(req, &asset, width, false, false, "private, no-store", &info);
	}
	if (err)
		atl_api_fail(req, err, &info);
}

static void handle_decide(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct decision in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_picture_held_decide(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"),
					      atl_str_eq(in.decision, "release"), &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

#define MODERATE .permission = "moderate", .tag = "Moderation"
const struct atl_route atl_picture_review_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/moderation/pictures", MODERATE, .handler = handle_list,
	  .summary = "Pictures held by the picture check, the oldest first", .out = &atl_picture_held_desc, .out_list = true },
	{ .method = ATL_GET, .path = "/api/v1/moderation/pictures/{id}/file", MODERATE, .handler = handle_file,
	  .summary = "The file of a held picture", .out_type = "image/webp|image/png|image/jpeg|image/gif|video/mp4|video/webm",
	  .query = file_params },
	{ .method = ATL_POST, .path = "/api/v1/moderation/pictures/{id}", MODERATE, .handler = handle_decide,
	  .summary = "Release or remove a held picture", .in = &decision_desc, .status = 204 },
	{ .path = NULL },
};
