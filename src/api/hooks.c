/* hooks.c - /hooks: messages from services about what they were asked to do. No login: the address holds a secret and
 * the message is signed. Whoever is refused learns nothing about why.
 */
#include "api/api.h"
#include "base/clock.h"
#include "base/log.h"
#include "provider/image_fal_hook.h"

static void handle_fal(struct atl_req *req)
{
	const struct atl_fal_webhook message = {
		.request_id = atl_req_header(req, "X-Fal-Webhook-Request-Id"),
		.user_id = atl_req_header(req, "X-Fal-Webhook-User-Id"),
		.timestamp = atl_req_header(req, "X-Fal-Webhook-Timestamp"),
		.signature = atl_req_header(req, "X-Fal-Webhook-Signature"),
		.body = req->body, .length = req->body_length,
	};
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_fal_hook_take(atl_api_app(req)->fal_hooks, atl_req_param(req, "token"), &message, atl_now_ms(), &info);

	if (err && err != ATL_ERR_FORBIDDEN)
		atl_warn("hooks", "a message of fal could not be checked: %s %s", atl_err_name(err), info.detail);
	if (err)
		atl_res_error(req, ATL_ERR_NOT_FOUND, NULL);
	else
		atl_res_empty(req, 204);
}

const struct atl_route atl_hooks_routes[] = {
	{ .method = ATL_POST, .path = ATL_FAL_HOOK_PATH "/{token}", .permission = "public", .handler = handle_fal,
	  .tag = "Hooks", .summary = "fal says that a run has ended (signed by fal)", .status = 204 },
	{ .path = NULL },
};
