/* assets.c - /api/v1/assets: the library. The bytes themselves: asset_files.c. */
#include "api/api.h"
#include "api/fields.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/pictures/asset.h"
#include "media/metadata.h"
#include "media/picture.h"
#include "os/file.h"

#define RECALL_BYTES_MAX ATL_PICTURE_LIBRARY_BYTES_MAX

static const char *const KINDS[] = {"picture", "video", NULL};

static const struct atl_query_param list_params[] = {
	ATL_API_PAGE_PARAMS,
	{"q", ATL_JT_STR, 0, 200, NULL, "words in prompt and title"},
	{"kind", ATL_JT_ENUM, 0, 0, KINDS, NULL},
	{"model", ATL_JT_STR, 0, 300, NULL, NULL},
	{"lora", ATL_JT_STR, 0, 300, NULL, NULL},
	{"tag", ATL_JT_STR, 0, 200, NULL, NULL},
	{"character_id", ATL_JT_STR, 0, 40, NULL, NULL},
	{"conversation_id", ATL_JT_STR, 0, 40, NULL, NULL},
	{"board_id", ATL_JT_STR, 0, 40, NULL, NULL},
	{"job_id", ATL_JT_STR, 0, 40, NULL, NULL},
	{"origin", ATL_JT_STR, 0, 20, NULL, "upload, generated"},
	{"task", ATL_JT_STR, 0, 40, NULL, "txt2img, inpaint, ..."},
	{"starred", ATL_JT_BOOL, 0, 0, NULL, "only the starred ones"},
	{"rating", ATL_JT_INT, 0, 5, NULL, "at least"},
	{"from", ATL_JT_STR, 0, 40, NULL, "made at or after this time"},
	{"to", ATL_JT_STR, 0, 40, NULL, "made before this time"},
	{"trash", ATL_JT_BOOL, 0, 0, NULL, "what is in the trash instead"},
	{0},
};
static const struct atl_query_param delete_params[] = {
	{"forever", ATL_JT_BOOL, 0, 0, NULL, "not to the trash: gone, with its file"},
	{0},
};
static const struct atl_query_param upload_params[] = {
	{"library", ATL_JT_BOOL, 0, 0, NULL, "false: an input of a generation, not listed"},
	{"parent", ATL_JT_STR, 1, 40, NULL, "one's own asset that this was made of: a canvas that was extended, for the lineage"},
	{0},
};
static const struct atl_query_param duplicates_params[] = {
	{"distance", ATL_JT_INT, 0, ATL_ASSET_DISTANCE_MAX, NULL, "bits in which look-alikes may differ; 6 unless told"},
	{0},
};

struct asset_in {
	uint64_t present;
	const char *title;
	bool starred;
	int64_t rating;
	struct atl_strs tags;
};
static const struct atl_json_field in_fields[] = {
	F_STR(struct asset_in, title, 0, 0, ATL_ASSET_TITLE_MAX, NULL),
	F_BOOL(struct asset_in, starred, 0, NULL),
	F_INT(struct asset_in, rating, 0, 0, 5, "0: none"),
	{.name = "tags", .type = ATL_JT_STRS, .offset = offsetof(struct asset_in, tags), .min = 0, .max = ATL_ASSET_TAGS_MAX,
	 .item_max = ATL_ASSET_TAG_MAX, .doc = "all of them"},
};
DESC_PATCH(in_desc, struct asset_in, "AssetInput", in_fields);

/* In the order of enum atl_asset_action; what ends an asset for good is not among them. */
static const char *const ACTIONS[] = {"delete", "restore", "star",  "unstar",  "rate",
				      "tag",	"untag",   "board", "unboard", NULL};
struct bulk_in {
	struct atl_strs ids;
	const char *action, *value;
};
static const struct atl_json_field bulk_fields[] = {
	{.name = "ids", .type = ATL_JT_STRS, .offset = offsetof(struct bulk_in, ids), .flags = ATL_JF_REQUIRED, .min = 1,
	 .max = ATL_ASSET_BULK_MAX, .item_max = 40},
	F_ENUM(struct bulk_in, action, ATL_JF_REQUIRED, ACTIONS, NULL),
	F_STR(struct bulk_in, value, ATL_JF_NULLABLE, 0, 200, "the rating, tag or board"),
};
DESC(bulk_desc, struct bulk_in, "AssetBulk", bulk_fields);
struct changed_out {
	int64_t changed;
};
static const struct atl_json_field changed_fields[] = {
	F_INT(struct changed_out, changed, ATL_JF_REQUIRED, 0, -1, NULL),
};
DESC(changed_desc, struct changed_out, "AssetsChanged", changed_fields);

struct items_out {
	struct atl_items items;
};
static const struct atl_json_field lineage_fields[] = {
	F_LIST(struct items_out, items, ATL_JF_REQUIRED, &atl_asset_relative_desc, NULL),
};
DESC(lineage_desc, struct items_out, "AssetLineage", lineage_fields);
struct groups_out {
	struct atl_items groups;
};
static const struct atl_json_field groups_fields[] = {
	F_LIST(struct groups_out, groups, ATL_JF_REQUIRED, &atl_asset_group_desc, NULL),
};
DESC(groups_desc, struct groups_out, "AssetDuplicates", groups_fields);

static bool truth(struct atl_req *req, const char *name)
{
	return atl_str_eq(atl_req_query(req, name), "true");
}

static void answer(struct atl_req *req, enum atl_err err, int status, const struct atl_asset *asset,
		   const struct atl_errinfo *info)
{
	if (err) {
		atl_api_fail(req, err, info);
		return;
	}
	atl_api_etag(req, asset->version);
	atl_res_json(req, status, &atl_asset_desc, asset);
}

/* ---- reading ---- */

static enum atl_err read_time(struct atl_req *req, const char *name, int64_t *ret, struct atl_errinfo *info)
{
	const char *text = atl_req_query(req, name);
	if (!text)
		return ATL_OK;
	return atl_rfc3339_parse(text, ret) ? ATL_OK
					 : atl_fail_field(info, ATL_ERR_INVALID, name, "must be a time: 2026-01-31T00:00:00Z");
}

static enum atl_err read_query(struct atl_req *req, struct atl_asset_query *ret, struct atl_errinfo *info)
{
	struct atl_page page;
	const char *rating = atl_req_query(req, "rating");
	enum atl_err err = atl_api_page(req, &page, info);
	if (err)
		return err;
	*ret = (struct atl_asset_query){.q = atl_req_query(req, "q"),
					.kind = atl_req_query(req, "kind"),
					.origin = atl_req_query(req, "origin"),
					.task = atl_req_query(req, "task"),
					.model = atl_req_query(req, "model"),
					.lora = atl_req_query(req, "lora"),
					.tag = atl_req_query(req, "tag"),
					.character_id = atl_req_query(req, "character_id"),
					.conversation_id = atl_req_query(req, "conversation_id"),
					.board_id = atl_req_query(req, "board_id"),
					.job_id = atl_req_query(req, "job_id"),
					.starred = truth(req, "starred"),
					.trash = truth(req, "trash"),
					.limit = page.limit};
	if (page.has_after) {
		ret->after_id = page.after_id;
		ret->after_key = page.after_key;
	}
	if (rating && !atl_str_i64(rating, 0, 5, &ret->rating))
		return atl_fail_field(info, ATL_ERR_INVALID, "rating", "must be from 0 to 5");
	err = read_time(req, "from", &ret->from_ms, info);
	return err ? err : read_time(req, "to", &ret->to_ms, info);
}

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_asset_query query;
	struct atl_items items = {0};
	int64_t key = 0;
	const char *next = NULL;
	enum atl_err err = read_query(req, &query, &info);
	if (!err)
		err = atl_asset_list(atl_api_app(req), &req->arena, atl_api_user(req), &query, &items, &key, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	if (items.count > (size_t)query.limit) {
		items.count = (size_t)query.limit;
		next = atl_api_cursor(req, key, ((const struct atl_asset *)items.items)[items.count - 1].id);
	}
	atl_api_list(req, &atl_asset_desc, items.items, items.count, next);
}

static void handle_get(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_asset asset;
	enum atl_err err = atl_asset_get(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"),
					 &asset, &info);
	answer(req, err, 200, &asset, &info);
}

static void handle_details(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_asset_details details;
	enum atl_err err = atl_asset_details(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"),
					     &details, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_api_etag(req, details.asset->version);
	atl_res_json(req, 200, &atl_asset_details_desc, &details);
}

static void handle_credentials(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_asset_credentials found;
	enum atl_err err = atl_asset_credentials(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"),
						 &found, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &atl_asset_credentials_desc, &found);
}

static void handle_lineage(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct items_out out = {0};
	enum atl_err err = atl_asset_lineage(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"),
					     &out.items, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &lineage_desc, &out);
}

static void handle_facets(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_asset_facets facets;
	enum atl_err err = atl_asset_facets(atl_api_app(req), &req->arena, atl_api_user(req), &facets, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &atl_asset_facets_desc, &facets);
}

static void handle_duplicates(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct groups_out out = {0};
	const char *text = atl_req_query(req, "distance");
	int64_t distance = 6;
	enum atl_err err = ATL_OK;
	if (text && !atl_str_i64(text, 0, ATL_ASSET_DISTANCE_MAX, &distance))
		err = atl_fail_field(&info, ATL_ERR_INVALID, "distance", "must be from 0 to %d", ATL_ASSET_DISTANCE_MAX);
	if (!err)
		err = atl_asset_duplicates(atl_api_app(req), &req->arena, atl_api_user(req), distance, &out.groups, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &groups_desc, &out);
}

/* ---- changing ---- */

static void handle_patch(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct asset_in in;
	struct atl_asset_change change = {0};
	struct atl_asset asset;
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err)
		err = atl_api_wanted_version(req, &change.wanted_version, &info);
	if (!err) {
		change.title = atl_json_has(&in_desc, &in, "title") ? in.title : NULL;
		change.starred = atl_json_has(&in_desc, &in, "starred") ? &in.starred : NULL;
		change.rating = atl_json_has(&in_desc, &in, "rating") ? &in.rating : NULL;
		change.tags = atl_json_has(&in_desc, &in, "tags") ? &in.tags : NULL;
		err = atl_asset_update(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), &change,
				       &asset, &info);
	}
	answer(req, err, 200, &asset, &info);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_app *app = atl_api_app(req);
	const char *user_id = atl_api_user(req), *id = atl_req_param(req, "id");
	enum atl_err err = truth(req, "forever") ? atl_asset_delete_forever(app, &req->arena, user_id, id, &info)
						 : atl_asset_delete(app, &req->arena, user_id, id, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void handle_restore(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_asset asset;
	enum atl_err err = atl_asset_restore(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"),
					     &asset, &info);
	answer(req, err, 200, &asset, &info);
}

static void handle_bulk(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct bulk_in in;
	struct changed_out out = {0};
	size_t action = 0;
	enum atl_err err = atl_req_json(req, &in, &info);
	while (!err && ACTIONS[action] && !atl_str_eq(ACTIONS[action], in.action))
		action++;
	if (!err)
		err = atl_asset_bulk(atl_api_app(req), &req->arena, atl_api_user(req), (enum atl_asset_action)action, &in.ids,
				     in.value, &out.changed, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &changed_desc, &out);
}

/* ---- files in ---- */

static void handle_upload(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_asset asset;
	bool library = !atl_str_eq(atl_req_query(req, "library"), "false");
	enum atl_err err = ATL_OK;
	if (!req->body_path || !req->body_file_bytes)
		err = atl_fail(&info, ATL_ERR_INVALID, "Send the file as the body.");
	if (!err)
		err = atl_asset_upload_file(atl_api_app(req), atl_api_identity(req), &req->arena, req->body_path, library,
					    atl_req_query(req, "parent"), &asset, &info);
	if (!err)
		atl_res_header(req, "Location", atl_arena_printf(&req->arena, "/api/v1/assets/%s", asset.id));
	answer(req, err, 201, &asset, &info);
}

static void handle_recall(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_recall recall;
	struct atl_buf data;
	const char *json = NULL, *type = atl_req_header(req, "Content-Type");
	enum atl_err err = ATL_OK;
	atl_buf_init(&data, RECALL_BYTES_MAX + 1);
	if (!req->body_path || !req->body_file_bytes)
		err = atl_fail(&info, ATL_ERR_INVALID, "Send a picture or text as the body.");
	if (!err)
		err = atl_file_read(req->body_path, RECALL_BYTES_MAX, &data, &info);
	if (!err && type && atl_str_starts(type, "text/plain"))
		err = atl_metadata_read_text(&req->arena, data.data, data.length, &recall, &info);
	else if (!err)
		err = atl_metadata_read(&req->arena, data.data, data.length, &recall, &info);
	atl_buf_finish(&data);
	if (!err && !recall.source)
		err = atl_fail(&info, ATL_ERR_NOT_FOUND, "The picture says only that a machine made it, not how.");
	if (!err && !(json = atl_metadata_json(&req->arena, &recall)))
		err = atl_fail(&info, ATL_ERR_NOMEM, "recall");
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json_text(req, 200, json, strlen(json));
}

#define TAG "Library"
#define ROUTE(m, p, h, words) .method = m, .path = "/api/v1/assets" p, .permission = "pictures.use", .handler = h, \
	.tag = TAG, .summary = words

const struct atl_route atl_assets_routes[] = {
	{ROUTE(ATL_GET, "", handle_list, "The library, newest first"), .out = &atl_asset_desc, .out_list = true,
	 .query = list_params},
	{ROUTE(ATL_POST, "", handle_upload, "Upload a picture or video: the body is the file"), .out = &atl_asset_desc,
	 .feature = "uploads", .status = 201, .flags = ATL_ROUTE_UPLOAD, .body_max = (size_t)ATL_ASSET_VIDEO_BYTES_MAX, .query = upload_params},
	{ROUTE(ATL_POST, "/bulk", handle_bulk, "Change many at once"), .in = &bulk_desc, .out = &changed_desc},
	{ROUTE(ATL_POST, "/recall", handle_recall, "Read how a picture was made, from its file or from pasted text"),
	 .flags = ATL_ROUTE_UPLOAD, .body_max = RECALL_BYTES_MAX, .out_type = "application/json"},
	{ROUTE(ATL_GET, "/facets", handle_facets, "What the library can be filtered by"), .out = &atl_asset_facets_desc},
	{ROUTE(ATL_GET, "/duplicates", handle_duplicates, "Pictures that look alike"), .out = &groups_desc,
	 .query = duplicates_params},
	{ROUTE(ATL_GET, "/{id}", handle_get, "One asset"), .out = &atl_asset_desc},
	{ROUTE(ATL_PATCH, "/{id}", handle_patch, "Title, star, rating, tags"), .in = &in_desc, .out = &atl_asset_desc},
	{ROUTE(ATL_DELETE, "/{id}", handle_delete, "To the trash, or gone for good"), .status = 204,
	 .query = delete_params},
	{ROUTE(ATL_POST, "/{id}/restore", handle_restore, "Out of the trash"), .out = &atl_asset_desc},
	{ROUTE(ATL_GET, "/{id}/details", handle_details, "With parameters, tags and boards"),
	 .out = &atl_asset_details_desc},
	{ROUTE(ATL_GET, "/{id}/credentials", handle_credentials, "Content Credentials: who signed it, and whether it is unchanged"),
	 .out = &atl_asset_credentials_desc},
	{ROUTE(ATL_GET, "/{id}/lineage", handle_lineage, "What it was made from, and what was made of it"),
	 .out = &lineage_desc},
	{0},
};
