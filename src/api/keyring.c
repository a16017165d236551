/* keyring.c - /api/v1/server/key: changing the master key while the server runs. Owners only. */
#include "api/api.h"
#include "core/server/keyring.h"

static bool is_owner(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };

	if (atl_api_identity(req)->role == ATL_ROLE_OWNER)
		return true;
	atl_api_fail(req, atl_fail(&info, ATL_ERR_FORBIDDEN, "Only an owner may change the master key."), &info);
	return false;
}

static void handle_get(struct atl_req *req)
{
	struct atl_key_state state;

	if (!is_owner(req))
		return;
	atl_key_state(atl_api_app(req), &state);
	atl_res_json(req, 200, &atl_key_state_desc, &state);
}

static void handle_rotate(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_key_state state;
	enum atl_err err;

	if (!is_owner(req))
		return;
	err = atl_key_rotate(atl_api_app(req), atl_api_identity(req), &state, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 202, &atl_key_state_desc, &state);
}

#define R(method_, path_, handler_, summary_) \
	.method = (method_), .path = "/api/v1/server/key" path_, .permission = "server.manage", .handler = (handler_), \
	.tag = "Server", .summary = (summary_), .out = &atl_key_state_desc

const struct atl_route atl_keyring_routes[] = {
	{ R(ATL_GET, "", handle_get, "Is the master key being changed? Owners only") },
	{ R(ATL_POST, "/rotate", handle_rotate, "Change the master key: every secret is sealed anew; owners only"), .status = 202 },
	{ .path = NULL },
};
