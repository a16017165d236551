/* privacy.c - /api/v1/me/delete and exports: what a person decides about all that is theirs, and who manages people for them. */
#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/access/throttle.h"
#include "core/people/export.h"
#include "core/people/user.h"
#include "core/people/user_admin.h"

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

/* ---- exports: one's own, or those of the account in the path ---- */

static const char *whose(struct atl_req *req)
{
	const char *id = atl_req_param(req, "id");

	return id ? id : atl_api_user(req);
}

static void handle_exports(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_export *items;
	size_t count;
	enum atl_err err = atl_export_list(atl_api_app(req), atl_api_identity(req), whose(req), &req->arena, &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_export_desc, items, count, NULL);
}

static void handle_export(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_export made;
	const char *id = atl_req_param(req, "id"), *location;
	enum atl_err err = atl_export_start(atl_api_app(req), atl_api_identity(req), whose(req), &req->arena, &made, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	location = id ? atl_arena_printf(&req->arena, "/api/v1/users/%s/exports", id) : "/api/v1/me/exports";
	if (location)
		atl_res_header(req, "Location", location);
	atl_res_json(req, 202, &atl_export_desc, &made);
}

static void handle_export_file(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	const char *path, *id = atl_req_param(req, "export"), *disposition;
	enum atl_err err = atl_export_file(atl_api_app(req), atl_api_identity(req), whose(req), id, &req->arena, &path, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	disposition = atl_arena_printf(&req->arena, "attachment; filename=\"atelier-%s.zip\"", id);
	if (disposition)
		atl_res_header(req, "Content-Disposition", disposition);
	atl_res_file(req, path, "application/zip", NULL, "private, no-store");
}

#define ACCOUNT .permission = "account.manage", .tag = "Account"
#define MANAGE .permission = "people.manage", .tag = "People"
const struct atl_route atl_privacy_routes[] = {
	{ .method = ATL_POST, .path = "/api/v1/me/delete", ACCOUNT, .handler = handle_delete,
	  .summary = "Delete one's account with everything in it", .in = &proof_desc, .status = 204 },
	{ .method = ATL_GET, .path = "/api/v1/me/exports", ACCOUNT, .handler = handle_exports,
	  .summary = "Exports of one's account, newest first", .out = &atl_export_desc, .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/me/exports", ACCOUNT, .handler = handle_export,
	  .summary = "Write everything that is one's into a ZIP file; kept for a day", .out = &atl_export_desc, .status = 202 },
	{ .method = ATL_GET, .path = "/api/v1/me/exports/{export}/file", ACCOUNT, .handler = handle_export_file,
	  .summary = "Download an export", .out_type = "application/zip" },
	{ .method = ATL_GET, .path = "/api/v1/users/{id}/exports", MANAGE, .handler = handle_exports,
	  .summary = "Exports of an account", .out = &atl_export_desc, .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/users/{id}/exports", MANAGE, .handler = handle_export,
	  .summary = "Write everything that is a person's into a ZIP file; the person sees that", .out = &atl_export_desc, .status = 202 },
	{ .method = ATL_GET, .path = "/api/v1/users/{id}/exports/{export}/file", MANAGE, .handler = handle_export_file,
	  .summary = "Download an account's export", .out_type = "application/zip" },
	{ .path = NULL },
};
