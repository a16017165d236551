/* privacy.c - /api/v1/me/delete: what a person decides about all that is theirs. */
#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/throttle.h"
#include "core/user.h"
#include "core/user_admin.h"

struct proof_in {
	const char *password;
};
static const struct atl_json_field proof_fields[] = {
	F_STR(struct proof_in, password, ATL_JF_REQUIRED, 1, ATL_PASSWORD_MAX, "an account without one: its name, to show that it is meant"),
};
DESC(proof_desc, struct proof_in, "DeleteAccount", proof_fields);

/* A session alone may be somebody's who found the screen unlocked: the password shows who it is. */
static enum atl_err check_proof(struct atl_req *req, const char *password, struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	const struct atl_identity *identity = atl_api_identity(req);
	struct atl_user user;
	enum atl_err err = atl_user_get(app, identity->user_id, &req->arena, &user, info);

	if (!err && !identity->session_id[0])
		err = atl_fail(info, ATL_ERR_FORBIDDEN, "An account is deleted from a browser's session.");
	if (!err)
		err = atl_throttle_try(app->throttle, req->remote, user.name, identity->session_id, info);
	if (err)
		return err;
	if (atl_str_eq(user.password_hash, ATL_USER_NO_PASSWORD) ? !atl_str_eq(password, user.name)
								 : !atl_password_verify(user.password_hash, password))
		return atl_fail_field(info, ATL_ERR_CREDENTIALS, "password", "The password is wrong.");
	atl_throttle_success(app->throttle, req->remote, user.name, identity->session_id);
	return ATL_OK;
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct proof_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = check_proof(req, in.password, &info);
	if (!err)
		err = atl_user_delete_own(atl_api_app(req), atl_api_identity(req), &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

const struct atl_route atl_privacy_routes[] = {
	{ .method = ATL_POST, .path = "/api/v1/me/delete", .permission = "account.manage", .tag = "Account", .handler = handle_delete,
	  .summary = "Delete one's account with everything in it", .in = &proof_desc, .status = 204 },
	{ .path = NULL },
};
