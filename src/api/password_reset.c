/* password_reset.c - a new password by a one-time link, and the link that proves an address. */
#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/access/password_reset.h"
#include "core/access/throttle.h"

#define ASK_NAME "password-reset" /* of the throttle: every question counts, so that nobody floods a mailbox */
#define LINK_NAME "one-time-link"

struct ask_in {
	const char *email;
};
static const struct atl_json_field ask_fields[] = {
	F_STR(struct ask_in, email, ATL_JF_REQUIRED, 3, ATL_EMAIL_MAX, "of the account"),
};
DESC(ask_desc, struct ask_in, "PasswordResetAsk", ask_fields);

struct finish_in {
	const char *token, *password;
};
static const struct atl_json_field finish_fields[] = {
	F_STR(struct finish_in, token, ATL_JF_REQUIRED | ATL_JF_SECRET, 1, 100, "of the link"),
	F_STR(struct finish_in, password, ATL_JF_REQUIRED | ATL_JF_SECRET, ATL_PASSWORD_MIN, ATL_PASSWORD_MAX, NULL),
};
DESC(finish_desc, struct finish_in, "PasswordReset", finish_fields);

static const struct atl_json_field verify_fields[] = {
	F_STR(struct finish_in, token, ATL_JF_REQUIRED | ATL_JF_SECRET, 1, 100, "of the link"),
};
DESC(verify_desc, struct finish_in, "AddressProof", verify_fields);

struct link_out {
	const char *url;
	int64_t expires_at;
};
static const struct atl_json_field link_fields[] = {
	F_STR(struct link_out, url, ATL_JF_REQUIRED, 0, 0, "shown once; from the server's own address when public_url is set"),
	F_TIME(struct link_out, expires_at, ATL_JF_REQUIRED, NULL),
};
DESC(link_desc, struct link_out, "PasswordResetLink", link_fields);

/* The same answer for everybody. */
static void handle_ask(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_errinfo info = { 0 };
	struct ask_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_throttle_try(app->throttle, req->remote, ASK_NAME, NULL, &info);
	if (!err)
		err = atl_reset_ask(app, in.email, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 202);
}

static void use_link(struct atl_req *req, bool reset)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_errinfo info = { 0 };
	struct finish_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_throttle_try(app->throttle, req->remote, LINK_NAME, NULL, &info);
	if (!err)
		err = reset ? atl_reset_finish(app, in.token, in.password, req->remote, &info) :
			      atl_verify_finish(app, in.token, req->remote, &info);
	if (err != ATL_ERR_GONE && err != ATL_ERR_THROTTLED) /* a good link is no guess, and a bad password neither */
		atl_throttle_success(app->throttle, req->remote, LINK_NAME, NULL);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void handle_finish(struct atl_req *req)
{
	use_link(req, true);
}

static void handle_verify(struct atl_req *req)
{
	use_link(req, false);
}

static void handle_link(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct link_out out = { 0 };
	struct atl_errinfo info = { 0 };
	char token[ATL_TOKEN_SIZE];
	enum atl_err err = atl_reset_make(app, atl_api_identity(req), atl_req_param(req, "id"), token, &out.expires_at, &info);

	if (!err)
		out.url = atl_arena_printf(&req->arena, "%s/reset?token=%s", app->public_url ? app->public_url : "", token);
	if (!err && !out.url)
		err = atl_fail(&info, ATL_ERR_NOMEM, "make a link");
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 201, &link_desc, &out);
	atl_wipe(token, sizeof(token));
}

#define DOOR .permission = "public", .tag = "Access", .rate = ATL_CLASS_SIGN_IN
const struct atl_route atl_password_reset_routes[] = {
	{ .method = ATL_POST, .path = "/api/v1/password-reset", DOOR, .handler = handle_ask,
	  .summary = "Ask for a link to a new password by mail; the answer does not say whether somebody has that address",
	  .in = &ask_desc, .status = 202 },
	{ .method = ATL_POST, .path = "/api/v1/password-reset/finish", DOOR, .handler = handle_finish,
	  .summary = "Choose a new password with the link's token: every session ends", .in = &finish_desc, .status = 204 },
	{ .method = ATL_POST, .path = "/api/v1/sign-up/verify", DOOR, .handler = handle_verify,
	  .summary = "Show with the link's token that the address is one's own", .in = &verify_desc, .status = 204 },
	{ .method = ATL_POST, .path = "/api/v1/users/{id}/reset-link", .permission = "people.manage", .tag = "People",
	  .handler = handle_link, .summary = "Make a link for somebody who forgot the password; it works once, for an hour",
	  .out = &link_desc, .status = 201 },
	{ .path = NULL },
};
