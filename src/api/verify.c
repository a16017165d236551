/* verify.c - /api/v1/verify: a file in, whether this server made it out. */
#include "core/safety/verify.h"

#include "api/api.h"
#include "media/picture.h"

static void handle_verify(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_verify verify;
	enum atl_err err = atl_verify(atl_api_app(req), atl_api_identity(req), req->remote, &req->arena, req->body,
				      req->body_length, &verify, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_res_header(req, "Cache-Control", "private, no-store");
	atl_res_json(req, 200, &atl_verify_desc, &verify);
}

const struct atl_route atl_verify_routes[] = {
	{ .method = ATL_POST, .path = "/api/v1/verify", .permission = "public", .tag = "Moderation", .handler = handle_verify,
	  .summary = "Was this picture or video made here? Send the file as the body", .out = &atl_verify_desc,
	  .body_max = ATL_PICTURE_BYTES_MAX, .rate = ATL_CLASS_UPLOAD },
	{ 0 },
};
