/* impersonation.c - working in another person's name: begin, end, and who did so in one's own.
 *
 * The session of whoever begins waits in a cookie of its own and is taken up again at the end, where it still holds.
 */
#include "api/api.h"
#include "api/fields.h"
#include "api/sign_in.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/people/impersonation.h"

#define BACK_COOKIE "atelier_back"
#define BACK_COOKIE_SECURE "__Host-atelier_back"

struct start_in {
	const char *why;
};
static const struct atl_json_field start_fields[] = {
	F_STR(struct start_in, why, ATL_JF_REQUIRED, 1, ATL_IMPERSONATION_WHY_MAX, "the person reads it"),
};
DESC(start_desc, struct start_in, "ImpersonationInput", start_fields);

static const char *session_cookie(const struct atl_req *req)
{
	return req->secure ? ATL_COOKIE_NAME_SECURE : ATL_COOKIE_NAME;
}

static const char *back_cookie(const struct atl_req *req)
{
	return req->secure ? BACK_COOKIE_SECURE : BACK_COOKIE;
}

static void handle_start(struct atl_req *req)
{
	const char *own = atl_req_cookie(req, session_cookie(req));
	struct atl_identity identity;
	char token[ATL_TOKEN_SIZE];
	struct atl_errinfo info = { 0 };
	struct start_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_impersonation_start(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), in.why,
					      atl_req_header(req, "User-Agent"), token, &identity, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_res_cookie(req, session_cookie(req), token, ATL_IMPERSONATION_MS / 1000, true);
	if (own)
		atl_res_cookie(req, back_cookie(req), own, ATL_IMPERSONATION_MS / 1000, true);
	atl_wipe(token, sizeof(token));
	atl_sign_in_answer(req, 201, &identity);
}

/* The session that waited, if it is that of whoever is behind this one. */
static bool take_up(struct atl_req *req, const char *by_user_id, struct atl_identity *ret)
{
	const char *own = atl_req_cookie(req, back_cookie(req));

	return own && atl_auth_lookup(atl_api_app(req), ATL_CHANNEL_COOKIE, own, ret, NULL) == ATL_OK &&
	       atl_str_eq(ret->user_id, by_user_id) && !ret->by_user_id[0];
}

static void handle_stop(struct atl_req *req)
{
	const struct atl_identity *who = atl_api_identity(req);
	struct atl_app *app = atl_api_app(req);
	struct atl_identity own;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_impersonation_stop(app, who, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	if (take_up(req, who->by_user_id, &own))
		atl_res_cookie(req, session_cookie(req), atl_req_cookie(req, back_cookie(req)), app->session_ttl_ms / 1000, true);
	else
		atl_res_cookie(req, session_cookie(req), "", 0, true);
	atl_res_cookie(req, back_cookie(req), "", 0, true);
	atl_res_empty(req, 204);
}

static void handle_list(struct atl_req *req)
{
	struct atl_impersonation *items;
	struct atl_errinfo info = { 0 };
	size_t count;
	enum atl_err err = atl_impersonation_list(atl_api_app(req), atl_api_user(req), &req->arena, &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_impersonation_desc, items, count, NULL);
}

const struct atl_route atl_impersonation_routes[] = {
	{ .method = ATL_POST, .path = "/api/v1/users/{id}/impersonate", .permission = "people.manage", .handler = handle_start,
	  .tag = "People", .summary = "Work in a person's name for up to an hour: a session of its own, each change audited",
	  .in = &start_desc, .out = &atl_sign_in_desc, .status = 201 },
	{ .method = ATL_DELETE, .path = "/api/v1/impersonation", .permission = "session", .handler = handle_stop, .tag = "People",
	  .summary = "End it, and go on with one's own session", .status = 204 },
	{ .method = ATL_GET, .path = "/api/v1/me/impersonations", .permission = "account.manage", .handler = handle_list,
	  .tag = "Access", .summary = "Who worked in one's name, when and why", .out = &atl_impersonation_desc, .out_list = true },
	{ .path = NULL },
};
