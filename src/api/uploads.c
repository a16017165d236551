/* uploads.c - /api/v1/uploads: large files in pieces, gone on with after a break. */
#include "core/pictures/upload.h"

#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"

struct upload_in {
	int64_t size_bytes;
};
static const struct atl_json_field in_fields[] = {
	F_INT(struct upload_in, size_bytes, ATL_JF_REQUIRED, 1, -1, "of the whole file"),
};
DESC(in_desc, struct upload_in, "UploadInput", in_fields);

static const struct atl_query_param finish_params[] = {
	{"library", ATL_JT_BOOL, 0, 0, NULL, "false: an input of a generation, not listed"},
	{0},
};

static void answer(struct atl_req *req, enum atl_err err, int status, const struct atl_upload *upload,
		   const struct atl_errinfo *info)
{
	if (err) {
		atl_api_fail(req, err, info);
		return;
	}
	atl_res_header(req, "Upload-Offset", atl_arena_printf(&req->arena, "%lld", (long long)upload->received_bytes));
	atl_res_json(req, status, &atl_upload_desc, upload);
}

static void handle_create(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct upload_in in;
	struct atl_upload upload;
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err)
		err = atl_upload_create(atl_api_app(req), atl_api_identity(req), &req->arena, in.size_bytes, &upload, &info);
	if (!err)
		atl_res_header(req, "Location", atl_arena_printf(&req->arena, "/api/v1/uploads/%s", upload.id));
	answer(req, err, 201, &upload, &info);
}

static void handle_get(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_upload upload;
	enum atl_err err = atl_upload_get(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"),
					  &upload, &info);
	answer(req, err, 200, &upload, &info);
}

static void handle_piece(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_upload upload;
	const char *text = atl_req_header(req, "Upload-Offset"), *id = atl_req_param(req, "id");
	struct atl_app *app = atl_api_app(req);
	int64_t offset = 0;
	enum atl_err err = atl_upload_get(app, &req->arena, atl_api_user(req), id, &upload, &info);
	if (!err && (!text || !atl_str_i64(text, 0, INT64_MAX, &offset)))
		err = atl_fail_field(&info, ATL_ERR_INVALID, "Upload-Offset", "Say at which byte the piece begins.");
	if (!err && (!req->body_path || !req->body_file_bytes))
		err = atl_fail(&info, ATL_ERR_INVALID, "Send the piece as the body.");
	if (!err)
		err = atl_upload_append(app, &req->arena, atl_api_user(req), id, offset, req->body_path, &upload, &info);
	answer(req, err, 200, &upload, &info);
}

static void handle_finish(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_asset asset;
	bool library = !atl_str_eq(atl_req_query(req, "library"), "false");
	enum atl_err err = atl_upload_finish(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"),
					     library, &asset, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_res_header(req, "Location", atl_arena_printf(&req->arena, "/api/v1/assets/%s", asset.id));
	atl_api_etag(req, asset.version);
	atl_res_json(req, 201, &atl_asset_desc, &asset);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	enum atl_err err = atl_upload_delete(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

#define TAG "Library"
#define ROUTE(m, p, h, words) .method = m, .path = "/api/v1/uploads" p, .permission = "pictures.use", .handler = h, \
	.tag = TAG, .summary = words

const struct atl_route atl_uploads_routes[] = {
	{ROUTE(ATL_POST, "", handle_create, "Begin an upload in pieces"), .feature = "uploads", .in = &in_desc, .out = &atl_upload_desc,
	 .status = 201},
	{ROUTE(ATL_GET, "/{id}", handle_get, "How much of it is there"), .out = &atl_upload_desc},
	{ROUTE(ATL_PATCH, "/{id}", handle_piece, "The next piece; Upload-Offset says where it begins"),
	 .flags = ATL_ROUTE_UPLOAD, .out = &atl_upload_desc, .body_max = ATL_UPLOAD_PIECE_MAX},
	{ROUTE(ATL_POST, "/{id}/finish", handle_finish, "All is there: it becomes an asset"), .out = &atl_asset_desc,
	 .status = 201, .query = finish_params},
	{ROUTE(ATL_DELETE, "/{id}", handle_delete, "Give it up"), .status = 204},
	{0},
};
