/* oidc.c - sign-in through services: the way out and back, one's links, and the owner's list of services. */
#include <string.h>

#include "api/api.h"
#include "api/fields.h"
#include "api/sign_in.h"
#include "base/str.h"
#include "core/access/login_provider.h"
#include "core/access/oidc.h"
#include "core/people/user.h"

#define BROWSER_COOKIE "atelier_login"
#define BROWSER_COOKIE_SECURE "__Host-atelier_login"

/* ---- what goes in and out ---- */

static const struct atl_json_field offer_fields[] = {
	F_STR(struct atl_login_provider, id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_login_provider, preset, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_login_provider, name, ATL_JF_REQUIRED, 0, 0, "for the button"),
	F_BOOL(struct atl_login_provider, takes_new, ATL_JF_REQUIRED, "who is new may get an account through it"),
};
DESC(offer_desc, struct atl_login_provider, "SignInOffer", offer_fields);

static const struct atl_json_field rule_fields[] = {
	F_STR(struct atl_role_rule, claim, ATL_JF_REQUIRED, 1, ATL_LOGIN_CLAIM_MAX, "name, or path with dots: realm_access.roles"),
	F_STR(struct atl_role_rule, value, ATL_JF_REQUIRED, 1, ATL_LOGIN_CLAIM_MAX, "what it is, or what is in the list"),
	F_STR(struct atl_role_rule, role, ATL_JF_REQUIRED, 1, ATL_ID_SIZE, "a built-in role's name or a custom one's id; never owner"),
};
DESC(rule_desc, struct atl_role_rule, "RoleRule", rule_fields);

static const struct atl_json_field provider_fields[] = {
	F_STR(struct atl_login_provider, id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_ENUM(struct atl_login_provider, preset, ATL_JF_REQUIRED, atl_login_presets, NULL),
	F_STR(struct atl_login_provider, name, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_login_provider, issuer, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_login_provider, client_id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_BOOL(struct atl_login_provider, has_secret, ATL_JF_REQUIRED, "it is never given back"),
	F_ENUM(struct atl_login_provider, new_people, ATL_JF_REQUIRED, atl_login_new_people,
	       "who is new: none is let in, as the sign-up rules say, or all get an account"),
	F_STRS(struct atl_login_provider, domains, ATL_JF_REQUIRED, 0, ATL_LOGIN_DOMAINS_MAX,
	       "only people of these domains pass; Google tells the domain in hd, others by the verified address"),
	F_LIST(struct atl_login_provider, role_rules, ATL_JF_REQUIRED, &rule_desc, "applied at each sign-in; the first that fits counts"),
	F_BOOL(struct atl_login_provider, enabled, ATL_JF_REQUIRED, NULL),
	F_TIME(struct atl_login_provider, created_at, ATL_JF_REQUIRED, NULL),
	F_TIME(struct atl_login_provider, updated_at, ATL_JF_REQUIRED, NULL),
};
DESC(provider_desc, struct atl_login_provider, "LoginProvider", provider_fields);

struct provider_in {
	uint64_t present;
	const char *preset, *name, *issuer, *client_id, *secret, *new_people;
	struct atl_strs domains;
	struct atl_items role_rules;
	bool enabled;
};
static const struct atl_json_field provider_in_fields[] = {
	F_ENUM(struct provider_in, preset, ATL_JF_REQUIRED, atl_login_presets, NULL),
	F_STR(struct provider_in, name, 0, 1, ATL_LOGIN_NAME_MAX, "the preset's unless told"),
	F_STR(struct provider_in, issuer, 0, 1, ATL_LOGIN_TEXT_MAX, "to the letter as the service calls itself; google, github and discord know it"),
	F_STR(struct provider_in, client_id, ATL_JF_REQUIRED, 1, ATL_LOGIN_TEXT_MAX, NULL),
	F_STR(struct provider_in, secret, ATL_JF_SECRET, 0, ATL_LOGIN_TEXT_MAX, NULL),
	F_ENUM(struct provider_in, new_people, 0, atl_login_new_people, NULL),
	F_STRS(struct provider_in, domains, 0, 0, ATL_LOGIN_DOMAINS_MAX, NULL),
	F_LIST(struct provider_in, role_rules, 0, &rule_desc, NULL),
	F_BOOL(struct provider_in, enabled, 0, NULL),
};
DESC_PATCH(provider_in_desc, struct provider_in, "LoginProviderInput", provider_in_fields);

static const struct atl_json_field provider_patch_fields[] = {
	F_STR(struct provider_in, name, 0, 1, ATL_LOGIN_NAME_MAX, NULL),
	F_STR(struct provider_in, issuer, 0, 1, ATL_LOGIN_TEXT_MAX, "another one needs the secret again"),
	F_STR(struct provider_in, client_id, 0, 1, ATL_LOGIN_TEXT_MAX, NULL),
	F_STR(struct provider_in, secret, ATL_JF_SECRET, 0, ATL_LOGIN_TEXT_MAX, "\"\" removes it"),
	F_ENUM(struct provider_in, new_people, 0, atl_login_new_people, NULL),
	F_STRS(struct provider_in, domains, 0, 0, ATL_LOGIN_DOMAINS_MAX, NULL),
	F_LIST(struct provider_in, role_rules, 0, &rule_desc, NULL),
	F_BOOL(struct provider_in, enabled, 0, NULL),
};
DESC_PATCH(provider_patch_desc, struct provider_in, "LoginProviderPatch", provider_patch_fields);

static const struct atl_json_field link_fields[] = {
	F_STR(struct atl_oidc_link, id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_oidc_link, name, ATL_JF_REQUIRED, 0, 0, "of the service"),
	F_STR(struct atl_oidc_link, issuer, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_oidc_link, label, ATL_JF_REQUIRED, 0, 0, "address or name there, when it was linked"),
	F_TIME(struct atl_oidc_link, created_at, ATL_JF_REQUIRED, NULL),
	F_TIME(struct atl_oidc_link, last_used_at, ATL_JF_REQUIRED | ATL_JF_NULLABLE, NULL),
};
DESC(link_desc, struct atl_oidc_link, "ExternalLogin", link_fields);

struct linking_in {
	const char *provider_id;
};
static const struct atl_json_field linking_fields[] = {
	F_STR(struct linking_in, provider_id, ATL_JF_REQUIRED, 1, ATL_ID_SIZE, NULL),
};
DESC(linking_desc, struct linking_in, "ExternalLoginStart", linking_fields);

struct way_out {
	const char *url;
};
static const struct atl_json_field way_fields[] = {
	F_STR(struct way_out, url, ATL_JF_REQUIRED, 0, 0, "where the browser goes now"),
};
DESC(way_desc, struct way_out, "ExternalLoginWay", way_fields);

/* ---- out and back ---- */

static const char *redirect_uri(struct atl_req *req)
{
	const struct atl_app *app = atl_api_app(req);
	const char *host = atl_req_header(req, "Host");

	if (!atl_str_empty(app->public_url))
		return atl_arena_printf(&req->arena, "%s/login/callback", app->public_url);
	return atl_arena_printf(&req->arena, "%s://%s/login/callback", req->secure ? "https" : "http", host ? host : "");
}

static const char *cookie_name(const struct atl_req *req)
{
	return req->secure ? BROWSER_COOKIE_SECURE : BROWSER_COOKIE;
}

/* This browser's token: the one it has, so that two tabs do not end each other's way. */
static const char *browser_token(struct atl_req *req)
{
	const char *sent = atl_req_cookie(req, cookie_name(req));
	char token[ATL_TOKEN_SIZE];

	if (!sent || strlen(sent) != ATL_TOKEN_SIZE - 1) {
		atl_token_new(token);
		sent = atl_arena_strdup(&req->arena, token);
	}
	if (sent)
		atl_res_cookie(req, cookie_name(req), sent, ATL_OIDC_ATTEMPT_MS / 1000, true);
	return sent;
}

static enum atl_err begin(struct atl_req *req, const char *provider_id, const struct atl_identity *linking,
			  const char **ret_url, struct atl_errinfo *info)
{
	struct atl_oidc_start start = { .provider_id = provider_id, .remote = req->remote, .redirect_uri = redirect_uri(req),
					.browser = browser_token(req), .linking = linking,
					.invitation = linking ? NULL : atl_req_query(req, "invitation") };

	if (!start.redirect_uri || !start.browser)
		return atl_fail(info, ATL_ERR_NOMEM, "begin a sign-in");
	return atl_oidc_start(atl_api_app(req), &req->arena, &start, ret_url, info);
}

/* The page says it in words; the address never carries a sentence that somebody else could have written. */
static const char *outcome_of(enum atl_err err, const struct atl_errinfo *info)
{
	if (err == ATL_ERR_FORBIDDEN && info->field[0])
		return info->field; /* "domain", "sign_up" of atl_oidc_finish(), "waiting" of enter() */
	switch (err) {
	case ATL_ERR_GONE: return "stale";
	case ATL_ERR_CANCELLED: return "cancelled";
	case ATL_ERR_UNPROCESSABLE: return "refused";
	case ATL_ERR_CREDENTIALS: return "client";
	case ATL_ERR_FORBIDDEN: return "unknown";
	case ATL_ERR_CONFLICT: return "taken";
	case ATL_ERR_NOT_FOUND: return "off";
	case ATL_ERR_THROTTLED: return "busy";
	case ATL_ERR_AUTH: return "closed"; /* of enter() */
	case ATL_ERR_SECOND_FACTOR: return "second";
	default: return "unreachable";
	}
}

static void go(struct atl_req *req, const char *where)
{
	atl_res_header(req, "Location", where);
	atl_res_empty(req, 303);
}

static void go_wrong(struct atl_req *req, const char *outcome)
{
	const char *where = atl_arena_printf(&req->arena, "/?login=%s", outcome);

	go(req, where ? where : "/");
}

static const struct atl_query_param start_params[] = {
	{ "invitation", ATL_JT_STR, 0, 100, NULL, "token of an invitation link, for who is new" },
	{ NULL },
};

static void handle_start(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	const char *url;
	enum atl_err err = begin(req, atl_req_param(req, "id"), NULL, &url, &info);

	if (err)
		go_wrong(req, outcome_of(err, &info));
	else
		go(req, url);
}

static enum atl_err enter(struct atl_req *req, const char *user_id, struct atl_errinfo *info)
{
	struct atl_identity identity;
	struct atl_user user;
	enum atl_err err = atl_user_get(atl_api_app(req), user_id, &req->arena, &user, info);

	if (!err && user.waiting_since)
		return atl_fail_field(info, ATL_ERR_FORBIDDEN, "waiting", "The account waits until an administrator approves it.");
	if (!err && atl_user_may_enter(&user, info) != ATL_OK)
		err = ATL_ERR_AUTH;
	if (err || atl_sign_in_second(req, user_id, &err, info))
		return err;
	return atl_sign_in_open(req, user_id, &identity, info);
}

static void handle_callback(struct atl_req *req)
{
	struct atl_oidc_callback callback = { .state = atl_req_query(req, "state"), .code = atl_req_query(req, "code"),
					      .issuer = atl_req_query(req, "iss"), .error = atl_req_query(req, "error"),
					      .browser = atl_req_cookie(req, cookie_name(req)),
					      .redirect_uri = redirect_uri(req), .remote = req->remote };
	struct atl_oidc_outcome outcome;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_oidc_finish(atl_api_app(req), &req->arena, &callback, &outcome, &info);

	if (err) {
		go_wrong(req, outcome_of(err, &info));
		return;
	}
	if (!outcome.linked)
		err = enter(req, outcome.user_id, &info);
	if (err)
		go_wrong(req, err == ATL_ERR_UNAVAILABLE ? "maintenance" : outcome_of(err, &info));
	else
		go(req, outcome.linked ? "/?login=linked" : "/");
}

static void handle_offers(struct atl_req *req)
{
	struct atl_login_provider *rows;
	struct atl_errinfo info = { 0 };
	size_t count, kept = 0;
	enum atl_err err = atl_login_provider_list(atl_api_app(req), &req->arena, &rows, &count, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (rows[i].enabled)
			rows[kept++] = rows[i];
	atl_api_list(req, &offer_desc, rows, kept, NULL);
}

/* ---- one's links ---- */

static void handle_links(struct atl_req *req)
{
	struct atl_oidc_link *rows;
	struct atl_errinfo info = { 0 };
	size_t count;
	enum atl_err err = atl_oidc_links(atl_api_app(req), atl_api_user(req), &req->arena, &rows, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &link_desc, rows, count, NULL);
}

static void handle_link(struct atl_req *req)
{
	const struct atl_identity *identity = atl_api_identity(req);
	struct linking_in in;
	struct way_out out = { NULL };
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err && !identity->session_id[0])
		err = atl_fail(&info, ATL_ERR_FORBIDDEN, "A sign-in is linked from a browser's session.");
	if (!err)
		err = begin(req, in.provider_id, identity, &out.url, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &way_desc, &out);
}

static void handle_unlink(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_oidc_unlink(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

/* ---- the owner's list ---- */

static void handle_providers(struct atl_req *req)
{
	struct atl_login_provider *rows;
	struct atl_errinfo info = { 0 };
	size_t count;
	enum atl_err err = atl_login_provider_list(atl_api_app(req), &req->arena, &rows, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &provider_desc, rows, count, NULL);
}

static void save(struct atl_req *req, const char *id, const struct atl_json_desc *desc)
{
	struct provider_in in;
	struct atl_login_change change;
	struct atl_login_provider row;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err) {
		change = (struct atl_login_change){ .preset = in.preset, .name = in.name, .issuer = in.issuer,
						    .client_id = in.client_id, .secret = in.secret,
						    .new_people = in.new_people };
		if (atl_json_has(desc, &in, "domains"))
			change.domains = &in.domains;
		if (atl_json_has(desc, &in, "role_rules"))
			change.role_rules = &in.role_rules;
		if (atl_json_has(desc, &in, "enabled"))
			change.enabled = &in.enabled;
		err = atl_login_provider_save(atl_api_app(req), atl_api_identity(req), &req->arena, id, &change, &row, &info);
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, id ? 200 : 201, &provider_desc, &row);
}

static void handle_provider_create(struct atl_req *req)
{
	save(req, NULL, &provider_in_desc);
}

static void handle_provider_patch(struct atl_req *req)
{
	save(req, atl_req_param(req, "id"), &provider_patch_desc);
}

static void handle_provider_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_login_provider_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

#define R(method_, path_, perm_, handler_, summary_) \
	.method = (method_), .path = (path_), .permission = (perm_), .handler = (handler_), .tag = "Access", .summary = (summary_)

const struct atl_route atl_oidc_routes[] = {
	{ R(ATL_GET, "/api/v1/login", "public", handle_offers, "Services that offer to sign in"), .out = &offer_desc,
	  .out_list = true },
	{ R(ATL_GET, "/api/v1/login/{id}/start", "public", handle_start, "Go to a service and sign in there"), .rate = ATL_CLASS_SIGN_IN,
	  .status = 303, .query = start_params },
	{ R(ATL_GET, "/login/callback", "public", handle_callback, "Back from a service"), .rate = ATL_CLASS_SIGN_IN, .flags = ATL_ROUTE_HIDDEN },
	{ R(ATL_GET, "/api/v1/me/logins", "account.manage", handle_links, "Services linked with one's account"),
	  .out = &link_desc, .out_list = true },
	{ R(ATL_POST, "/api/v1/me/logins", "account.manage", handle_link, "Begin to link a service"), .in = &linking_desc,
	  .out = &way_desc },
	{ R(ATL_DELETE, "/api/v1/me/logins/{id}", "account.manage", handle_unlink, "Unlink a service"), .status = 204 },
	{ R(ATL_GET, "/api/v1/login-providers", "settings.manage", handle_providers, "Configured sign-in services"),
	  .out = &provider_desc, .out_list = true },
	{ R(ATL_POST, "/api/v1/login-providers", "settings.manage", handle_provider_create, "Add a sign-in service"),
	  .in = &provider_in_desc, .out = &provider_desc, .status = 201 },
	{ R(ATL_PATCH, "/api/v1/login-providers/{id}", "settings.manage", handle_provider_patch, "Change a sign-in service"),
	  .in = &provider_patch_desc, .out = &provider_desc },
	{ R(ATL_DELETE, "/api/v1/login-providers/{id}", "settings.manage", handle_provider_delete, "Remove a sign-in service"),
	  .status = 204 },
	{ .path = NULL },
};
