/* invitations.c - /api/v1/invitations and /api/v1/sign-up: links that make accounts, and making one. */
#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/access/throttle.h"
#include "core/people/invitation.h"

#define THROTTLE_NAME "sign-up"

/* ---- links ---- */

struct invitation_in {
	const char *role, *note;
	int64_t uses_max, expires_at;
};
static const struct atl_json_field invitation_fields[] = {
	F_STR(struct invitation_in, role, ATL_JF_REQUIRED, 1, ATL_ID_SIZE, "a built-in role's name or a custom one's id"),
	F_STR(struct invitation_in, note, 0, 0, ATL_INVITATION_NOTE_MAX, "for whom it is; only those who manage people read it"),
	F_INT(struct invitation_in, uses_max, ATL_JF_NULLABLE, 0, ATL_INVITATION_USES_MAX, "null: no limit"),
	F_TIME(struct invitation_in, expires_at, ATL_JF_NULLABLE, "null: until it is revoked"),
};
DESC(invitation_in_desc, struct invitation_in, "InvitationInput", invitation_fields);

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_invitation *items;
	size_t count;
	enum atl_err err = atl_invitation_list(atl_api_app(req), &req->arena, &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_invitation_desc, items, count, NULL);
}

static void handle_create(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_invitation made;
	struct invitation_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_invitation_create(atl_api_app(req), atl_api_identity(req), in.role, in.note, in.uses_max, in.expires_at,
					    &req->arena, &made, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 201, &atl_invitation_desc, &made);
}

static void handle_revoke(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_invitation_revoke(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

/* ---- who may sign up ---- */

struct rules {
	const char *mode;
	struct atl_strs domains;
};
static const struct atl_json_field rules_fields[] = {
	F_ENUM(struct rules, mode, ATL_JF_REQUIRED, atl_sign_up_modes,
	       "closed: nobody; invitation: by a link; domain: also with an address of these domains; open: anybody. "
	       "Without a link an account waits for approval"),
	F_STRS(struct rules, domains, 0, 0, ATL_SIGN_UP_DOMAINS_MAX, "such as example.org"),
};
DESC(rules_desc, struct rules, "SignUpRules", rules_fields);

static void answer_rules(struct atl_req *req)
{
	struct atl_sign_up_rules rules;
	struct rules out;

	atl_sign_up_rules(atl_api_app(req), &req->arena, &rules);
	out = (struct rules){ atl_sign_up_modes[rules.mode], rules.domains };
	atl_res_json(req, 200, &rules_desc, &out);
}

static void handle_rules_put(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct rules in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_sign_up_set_rules(atl_api_app(req), atl_api_identity(req), in.mode, &in.domains, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		answer_rules(req);
}

/* ---- signing up ---- */

struct door {
	const char *mode, *problem, *role_name;
	struct atl_strs domains;
	int64_t expires_at;
};
static const struct atl_json_field door_fields[] = {
	F_STR(struct door, mode, ATL_JF_REQUIRED, 0, 0, "closed, invitation, domain, open"),
	F_STRS(struct door, domains, ATL_JF_REQUIRED, 0, 0, "in the mode domain, else empty"),
	F_STR(struct door, problem, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "why the link is not good; null: it is, or none was given"),
	F_STR(struct door, role_name, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "what the link gives"),
	F_TIME(struct door, expires_at, ATL_JF_REQUIRED | ATL_JF_NULLABLE, "of the link"),
};
DESC(door_desc, struct door, "SignUpDoor", door_fields);

static const struct atl_query_param door_params[] = {
	{ "token", ATL_JT_STR, 0, 100, NULL, "of an invitation link" },
	{ NULL },
};

static void handle_door(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	const char *token = atl_req_query(req, "token");
	struct atl_errinfo info = { 0 };
	struct atl_sign_up_rules rules;
	struct atl_invitation invitation;
	struct door out = { 0 };
	enum atl_err err = ATL_OK;

	atl_sign_up_rules(app, &req->arena, &rules);
	out.mode = atl_sign_up_modes[rules.mode];
	if (rules.mode == ATL_SIGN_UP_DOMAIN)
		out.domains = rules.domains;
	if (token && *token && rules.mode != ATL_SIGN_UP_CLOSED) {
		err = atl_invitation_look(app, token, &req->arena, &invitation, &info);
		if (!err) {
			out.role_name = invitation.role_name;
			out.expires_at = invitation.expires_at;
		} else if (err == ATL_ERR_GONE) {
			out.problem = info.detail;
			err = ATL_OK;
		}
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &door_desc, &out);
}

struct sign_up_in {
	const char *token, *name, *password, *email;
};
static const struct atl_json_field sign_up_fields[] = {
	F_STR(struct sign_up_in, token, 0, 0, 100, "of an invitation link"),
	F_STR(struct sign_up_in, name, ATL_JF_REQUIRED, 1, ATL_USER_NAME_MAX, NULL),
	F_STR(struct sign_up_in, password, ATL_JF_REQUIRED | ATL_JF_SECRET, ATL_PASSWORD_MIN, ATL_PASSWORD_MAX, NULL),
	F_STR(struct sign_up_in, email, 0, 0, ATL_EMAIL_MAX, "needed in the mode domain"),
};
DESC(sign_up_desc, struct sign_up_in, "SignUp", sign_up_fields);

struct signed_up {
	const char *id, *name;
	bool waiting, mailed;
};
static const struct atl_json_field signed_up_fields[] = {
	F_STR(struct signed_up, id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct signed_up, name, ATL_JF_REQUIRED, 0, 0, NULL),
	F_BOOL(struct signed_up, waiting, ATL_JF_REQUIRED, "an administrator has to approve it before the first sign-in"),
	F_BOOL(struct signed_up, mailed, ATL_JF_REQUIRED, "or the link of a mail to the address be opened, which is on its way"),
};
DESC(signed_up_desc, struct signed_up, "SignedUp", signed_up_fields);

static void handle_sign_up(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_errinfo info = { 0 };
	struct sign_up_in in;
	struct atl_signed_up made = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_throttle_try(app->throttle, req->remote, THROTTLE_NAME, NULL, &info);
	if (!err)
		err = atl_sign_up(app, &(struct atl_sign_up){ .token = in.token && *in.token ? in.token : NULL, .name = in.name,
							       .password = in.password,
							       .email = in.email && *in.email ? in.email : NULL,
							       .remote = req->remote }, &made, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	if (!made.waiting) /* a good link is no guess; accounts that wait stay counted, so that nobody makes them by the hundred */
		atl_throttle_success(app->throttle, req->remote, THROTTLE_NAME, NULL);
	atl_res_json(req, 201, &signed_up_desc, &(struct signed_up){ made.id, in.name, made.waiting, made.mailed });
}

#define MANAGE .permission = "people.manage", .tag = "People"
#define DOOR .permission = "public", .tag = "Access"
const struct atl_route atl_invitations_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/invitations", MANAGE, .handler = handle_list,
	  .summary = "Invitation links, newest first", .out = &atl_invitation_desc, .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/invitations", MANAGE, .handler = handle_create,
	  .summary = "Make a link; the answer alone shows its token", .in = &invitation_in_desc, .out = &atl_invitation_desc,
	  .status = 201 },
	{ .method = ATL_DELETE, .path = "/api/v1/invitations/{id}", MANAGE, .handler = handle_revoke,
	  .summary = "Take a link back", .status = 204 },
	{ .method = ATL_GET, .path = "/api/v1/sign-up/rules", MANAGE, .handler = answer_rules, .summary = "Who may sign up",
	  .out = &rules_desc },
	{ .method = ATL_PUT, .path = "/api/v1/sign-up/rules", MANAGE, .handler = handle_rules_put,
	  .summary = "Change who may sign up", .in = &rules_desc, .out = &rules_desc },
	{ .method = ATL_GET, .path = "/api/v1/sign-up", DOOR, .handler = handle_door,
	  .summary = "Is there a way in, and is this link good", .out = &door_desc, .query = door_params },
	{ .method = ATL_POST, .path = "/api/v1/sign-up", DOOR, .rate = ATL_CLASS_SIGN_IN, .handler = handle_sign_up, .summary = "Make an account",
	  .in = &sign_up_desc, .out = &signed_up_desc, .status = 201 },
	{ .path = NULL },
};
