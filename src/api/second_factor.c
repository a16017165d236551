/* second_factor.c - codes of an authenticator app: set up, taken off, and asked for when somebody signs in. */
#include <stdio.h>

#include "api/api.h"
#include "api/fields.h"
#include "api/sign_in.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access/second_factor.h"
#include "core/access/throttle.h"
#include "core/people/audit.h"
#include "core/people/user.h"

#define STEP_COOKIE "atelier_second"
#define STEP_COOKIE_SECURE "__Host-atelier_second"

static const struct atl_json_field state_fields[] = {
	F_BOOL(struct atl_second_factor, enabled, ATL_JF_REQUIRED, NULL),
	F_TIME(struct atl_second_factor, confirmed_at, ATL_JF_REQUIRED | ATL_JF_NULLABLE, NULL),
	F_INT(struct atl_second_factor, recovery_codes_left, ATL_JF_REQUIRED, 0, ATL_RECOVERY_CODES, NULL),
};
DESC(state_desc, struct atl_second_factor, "SecondFactor", state_fields);

struct proof_in {
	const char *password, *code;
};
static const struct atl_json_field proof_fields[] = {
	F_STR(struct proof_in, password, ATL_JF_SECRET, 1, ATL_PASSWORD_MAX, "not asked of accounts without one"),
};
DESC(proof_desc, struct proof_in, "SecondFactorBegin", proof_fields);

static const struct atl_json_field off_fields[] = {
	F_STR(struct proof_in, password, ATL_JF_SECRET, 1, ATL_PASSWORD_MAX, NULL),
	F_STR(struct proof_in, code, ATL_JF_SECRET, 1, ATL_SECOND_CODE_MAX, "for accounts without a password"),
};
DESC(off_desc, struct proof_in, "SecondFactorOff", off_fields);

static const struct atl_json_field code_fields[] = {
	F_STR(struct proof_in, code, ATL_JF_REQUIRED | ATL_JF_SECRET, 1, ATL_SECOND_CODE_MAX, "of the app, or a recovery code"),
};
DESC(code_desc, struct proof_in, "SecondFactorCode", code_fields);

struct begin_out {
	const char *secret, *url;
};
static const struct atl_json_field begin_fields[] = {
	F_STR(struct begin_out, secret, ATL_JF_REQUIRED, 0, 0, "base32, to type into the app"),
	F_STR(struct begin_out, url, ATL_JF_REQUIRED, 0, 0, "otpauth://, for the app on this device"),
};
DESC(begin_desc, struct begin_out, "SecondFactorSecret", begin_fields);

struct codes_out {
	struct atl_strs recovery_codes;
};
static const struct atl_json_field codes_fields[] = {
	F_STRS(struct codes_out, recovery_codes, ATL_JF_REQUIRED, 0, ATL_RECOVERY_CODES, "each works once; told only now"),
};
DESC(codes_desc, struct codes_out, "RecoveryCodes", codes_fields);

/* ---- setting it up ---- */

static void handle_get(struct atl_req *req)
{
	struct atl_second_factor state;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_second_factor_get(atl_api_app(req), atl_api_user(req), &state, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &state_desc, &state);
}

/* A session alone may be somebody's who found the screen unlocked: the password shows who it is. */
enum atl_err atl_sign_in_proof(struct atl_req *req, const char *password, const char *code, bool code_instead,
			       struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	const struct atl_identity *identity = atl_api_identity(req);
	struct atl_user user;
	enum atl_err err = atl_user_get(app, identity->user_id, &req->arena, &user, info);
	bool has_password = !err && !atl_str_eq(user.password_hash, ATL_USER_NO_PASSWORD);

	if (!err && !identity->session_id[0])
		err = atl_fail(info, ATL_ERR_FORBIDDEN, "How one signs in is changed from a browser's session.");
	if (err || (!has_password && !code_instead))
		return err;
	err = atl_throttle_try(app->throttle, req->remote, user.name, identity->session_id, info);
	if (err)
		return err;
	if (has_password && (!password || !atl_password_verify(user.password_hash, password)))
		return atl_fail_field(info, ATL_ERR_CREDENTIALS, "password", "The password is wrong.");
	if (!has_password)
		err = atl_second_factor_use(app, identity->user_id, code ? code : "", req->remote, info);
	if (!err)
		atl_throttle_success(app->throttle, req->remote, user.name, identity->session_id);
	return err;
}

static void handle_begin(struct atl_req *req)
{
	struct proof_in in;
	struct begin_out out;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_sign_in_proof(req, in.password, in.code, false, &info);
	if (!err)
		err = atl_second_factor_begin(atl_api_app(req), atl_api_identity(req), &req->arena, &out.secret, &out.url, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 201, &begin_desc, &out);
}

static void handle_confirm(struct atl_req *req)
{
	struct proof_in in;
	struct codes_out out;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_second_factor_confirm(atl_api_app(req), atl_api_identity(req), in.code, &req->arena, &out.recovery_codes,
						&info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &codes_desc, &out);
}

static void handle_off(struct atl_req *req)
{
	struct proof_in in;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_sign_in_proof(req, in.password, in.code, true, &info);
	if (!err)
		err = atl_second_factor_remove(atl_api_app(req), atl_api_identity(req), atl_api_user(req), &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

/* Of somebody who lost the app and the recovery codes. */
static void handle_take_off(struct atl_req *req)
{
	const char *id = atl_req_param(req, "id");
	struct atl_errinfo info = { 0 };
	enum atl_err err = ATL_OK;

	if (atl_str_eq(id, atl_api_user(req))) /* one's own goes with the password (handle_off) */
		err = atl_fail(&info, ATL_ERR_CONFLICT, "This is your own account: take it off in Settings, Account.");
	if (!err)
		err = atl_second_factor_remove(atl_api_app(req), atl_api_identity(req), id, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

/* ---- the second step of a sign-in ---- */

static const char *cookie_name(const struct atl_req *req)
{
	return req->secure ? STEP_COOKIE_SECURE : STEP_COOKIE;
}

bool atl_sign_in_second(struct atl_req *req, const char *user_id, enum atl_err *ret_err, struct atl_errinfo *info)
{
	struct atl_second_factor state;
	char token[ATL_TOKEN_SIZE];

	*ret_err = atl_second_factor_get(atl_api_app(req), user_id, &state, info);
	if (!*ret_err && !state.enabled)
		return false;
	if (!*ret_err)
		*ret_err = atl_second_step_begin(atl_api_app(req), user_id, token, info);
	if (*ret_err)
		return true;
	atl_res_cookie(req, cookie_name(req), token, ATL_SECOND_STEP_MS / 1000, true);
	atl_wipe(token, sizeof(token));
	*ret_err = atl_fail(info, ATL_ERR_SECOND_FACTOR, "Enter the code of your authenticator app, or a recovery code.");
	return true;
}

static enum atl_err second_step(struct atl_req *req, const char *token, const char *code, struct atl_identity *ret,
				struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	char user_id[ATL_ID_SIZE], name[ATL_ID_SIZE + 8];
	struct atl_user user;
	enum atl_err err = atl_second_step_try(app, token, user_id, info);

	if (err)
		return err;
	snprintf(name, sizeof(name), "second %s", user_id);
	err = atl_throttle_try(app->throttle, req->remote, name, NULL, info);
	if (!err)
		err = atl_second_factor_use(app, user_id, code, req->remote, info);
	if (err == ATL_ERR_CREDENTIALS) {
		atl_info("access", "a second step from %s failed", req->remote);
		atl_audit_now(app, &(struct atl_audit){ .remote = req->remote, .action = "second_factor.refuse", .target_kind = "user",
							.target_id = user_id });
	}
	if (err)
		return err;
	atl_throttle_success(app->throttle, req->remote, name, NULL);
	err = atl_second_step_end(app, token, info);
	if (!err)
		err = atl_user_get(app, user_id, &req->arena, &user, info);
	if (!err)
		err = atl_user_may_enter(&user, info);
	return err ? err : atl_sign_in_open(req, user_id, ret, info);
}

static void handle_second(struct atl_req *req)
{
	const char *token = atl_req_cookie(req, cookie_name(req));
	struct atl_identity identity;
	struct proof_in in;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err && (!token || strlen(token) != ATL_TOKEN_SIZE - 1))
		err = atl_fail(&info, ATL_ERR_GONE, "No sign-in waits for a code in this browser. Sign in again.");
	if (!err)
		err = second_step(req, token, in.code, &identity, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_res_cookie(req, cookie_name(req), "", 0, true);
	atl_sign_in_answer(req, 201, &identity);
}

#define R(method_, path_, perm_, handler_, summary_) \
	.method = (method_), .path = (path_), .permission = (perm_), .handler = (handler_), .tag = "Access", .summary = (summary_)

const struct atl_route atl_second_factor_routes[] = {
	{ R(ATL_POST, "/api/v1/session/second", "public", handle_second, "The second step of a sign-in"), .rate = ATL_CLASS_SIGN_IN, .in = &code_desc,
	  .out = &atl_sign_in_desc, .status = 201 },
	{ R(ATL_GET, "/api/v1/me/second-factor", "account.manage", handle_get, "Is one's second factor on?"), .out = &state_desc },
	{ R(ATL_POST, "/api/v1/me/second-factor", "account.manage", handle_begin, "Begin to set up an authenticator app"),
	  .in = &proof_desc, .out = &begin_desc, .status = 201 },
	{ R(ATL_POST, "/api/v1/me/second-factor/confirm", "account.manage", handle_confirm,
	    "The app's first code: from now on it is asked for"), .in = &code_desc, .out = &codes_desc },
	{ R(ATL_POST, "/api/v1/me/second-factor/off", "account.manage", handle_off, "Take the second factor off"), .in = &off_desc,
	  .status = 204 },
	{ .method = ATL_DELETE, .path = "/api/v1/users/{id}/second-factor", .permission = "people.manage", .tag = "People",
	  .handler = handle_take_off, .summary = "Take somebody's second factor off; every session of theirs ends", .status = 204 },
	{ .path = NULL },
};
