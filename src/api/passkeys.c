/* passkeys.c - passkeys: one's own, and signing in with one. */
#include <string.h>

#include "api/api.h"
#include "api/fields.h"
#include "api/sign_in.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access/passkey.h"
#include "core/access/throttle.h"
#include "core/people/audit.h"
#include "core/people/user.h"

#define THROTTLE_NAME "passkey"
#define BASE64_MAX 6000

static const struct atl_json_field passkey_fields[] = {
	F_STR(struct atl_passkey, id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_passkey, name, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_passkey, rp_id, ATL_JF_REQUIRED, 0, 0, "the name of the server it works at"),
	F_BOOL(struct atl_passkey, synced, ATL_JF_REQUIRED, "it can be on more than one device"),
	F_TIME(struct atl_passkey, created_at, ATL_JF_REQUIRED, NULL),
	F_TIME(struct atl_passkey, last_used_at, ATL_JF_REQUIRED | ATL_JF_NULLABLE, NULL),
};
DESC(passkey_desc, struct atl_passkey, "Passkey", passkey_fields);

struct options {
	const char *challenge, *rp_id, *user_handle, *user_name;
	struct atl_strs exclude;
};
static const struct atl_json_field options_fields[] = {
	F_STR(struct options, challenge, ATL_JF_REQUIRED, 0, 0, "base64url; works once"),
	F_STR(struct options, rp_id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct options, user_handle, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "the account, for a new passkey"),
	F_STR(struct options, user_name, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, NULL),
	F_STRS(struct options, exclude, ATL_JF_REQUIRED, 0, ATL_PASSKEYS_MAX, "passkeys that are there already, base64url"),
};
DESC(options_desc, struct options, "PasskeyOptions", options_fields);

struct passkey_in {
	const char *password, *name, *id, *client_data, *authenticator_data, *signature, *user_handle;
	int64_t algorithm;
};
static const struct atl_json_field begin_fields[] = {
	F_STR(struct passkey_in, password, ATL_JF_SECRET, 1, ATL_PASSWORD_MAX, "not asked of accounts without one"),
};
DESC(begin_desc, struct passkey_in, "PasskeyBegin", begin_fields);

static const struct atl_json_field new_fields[] = {
	F_STR(struct passkey_in, name, ATL_JF_REQUIRED, 1, ATL_PASSKEY_NAME_MAX, NULL),
	F_STR(struct passkey_in, client_data, ATL_JF_REQUIRED, 1, BASE64_MAX, "clientDataJSON, base64url"),
	F_STR(struct passkey_in, authenticator_data, ATL_JF_REQUIRED, 1, BASE64_MAX, "getAuthenticatorData(), base64url"),
	F_INT(struct passkey_in, algorithm, ATL_JF_REQUIRED, -65535, -1, "getPublicKeyAlgorithm(): -7, -8 or -257"),
};
DESC(new_desc, struct passkey_in, "PasskeyNew", new_fields);

static const struct atl_json_field name_fields[] = {
	F_STR(struct passkey_in, name, 0, 1, ATL_PASSKEY_NAME_MAX, NULL),
};
DESC(name_desc, struct passkey_in, "PasskeyName", name_fields);

static const struct atl_json_field use_fields[] = {
	F_STR(struct passkey_in, id, ATL_JF_REQUIRED, 1, BASE64_MAX, "of the passkey, base64url"),
	F_STR(struct passkey_in, client_data, ATL_JF_REQUIRED, 1, BASE64_MAX, "clientDataJSON, base64url"),
	F_STR(struct passkey_in, authenticator_data, ATL_JF_REQUIRED, 1, BASE64_MAX, "base64url"),
	F_STR(struct passkey_in, signature, ATL_JF_REQUIRED, 1, BASE64_MAX, "base64url"),
	F_STR(struct passkey_in, user_handle, 0, 0, 200, "base64url"),
};
DESC(use_desc, struct passkey_in, "PasskeyUse", use_fields);

/* ---- who we are to the browser ---- */

/* A host without its port; an address or a wrong form is no name that a passkey can be made for. */
static const char *host_name(struct atl_arena *arena, const char *host)
{
	size_t length = strcspn(host, ":/");
	const char *name = atl_arena_strndup(arena, host, length);

	if (!name || !length || host[0] == '[' || strspn(name, "0123456789.") == length)
		return NULL;
	return name;
}

/* Origin and RP id: of public_url, or of "localhost" for whoever sits at the machine, or of the https host asked for. */
static enum atl_err place(struct atl_req *req, struct atl_passkey_answer *out, struct atl_errinfo *info)
{
	const char *base = atl_api_app(req)->public_url, *host = atl_req_header(req, "Host");
	const char *name = host ? host_name(&req->arena, host) : NULL;
	size_t length;

	out->remote = req->remote;
	if (!atl_str_empty(base) && !atl_str_eq(name, "localhost")) {
		const char *rest = strstr(base, "://");

		length = rest ? (size_t)(rest + 3 - base) + strcspn(rest + 3, "/") : 0;
		out->origin = atl_arena_strndup(&req->arena, base, length);
		out->rp_id = rest ? host_name(&req->arena, rest + 3) : NULL;
	} else if (name && (req->secure || atl_str_eq(name, "localhost"))) {
		out->origin = atl_arena_printf(&req->arena, "%s://%s", req->secure ? "https" : "http", host);
		out->rp_id = name;
	}
	if (!out->origin || !out->rp_id)
		return atl_fail(info, ATL_ERR_FORBIDDEN,
				"Passkeys need https and a name: set public_url to the address people open, not to a number.");
	return ATL_OK;
}

static enum atl_err decode(struct atl_arena *arena, const char *field, const char *text, struct atl_span *ret,
			   struct atl_errinfo *info)
{
	char *copy = atl_arena_strdup(arena, text);

	if (!copy || !atl_base64_decode_in_place(ATL_BASE64_URL, copy, strlen(copy), &ret->length))
		return atl_fail_field(info, ATL_ERR_INVALID, field, "This is not base64url.");
	ret->data = (const unsigned char *)copy;
	return ATL_OK;
}

static enum atl_err read_answer(struct atl_req *req, const struct passkey_in *in, struct atl_passkey_answer *out,
				struct atl_errinfo *info)
{
	struct atl_span handle = { 0 };
	enum atl_err err = place(req, out, info);

	if (!err)
		err = decode(&req->arena, "client_data", in->client_data, &out->client_data, info);
	if (!err)
		err = decode(&req->arena, "authenticator_data", in->authenticator_data, &out->auth_data, info);
	if (!err && in->signature)
		err = decode(&req->arena, "signature", in->signature, &out->signature, info);
	if (!err && !atl_str_empty(in->user_handle)) {
		err = decode(&req->arena, "user_handle", in->user_handle, &handle, info);
		out->user_handle = err ? NULL : atl_arena_strndup(&req->arena, (const char *)handle.data, handle.length);
	}
	out->credential_id = in->id;
	out->alg = (int)in->algorithm;
	out->name = in->name;
	return err;
}

/* ---- one's own ---- */

static void handle_list(struct atl_req *req)
{
	struct atl_passkey *rows;
	struct atl_errinfo info = { 0 };
	size_t count;
	enum atl_err err = atl_passkey_list(atl_api_app(req), atl_api_user(req), &req->arena, &rows, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &passkey_desc, rows, count, NULL);
}

static enum atl_err own_options(struct atl_req *req, const char *rp_id, struct options *out, struct atl_errinfo *info)
{
	const struct atl_identity *identity = atl_api_identity(req);
	struct atl_passkey *rows;
	struct atl_buf handle;
	size_t count;
	enum atl_err err = atl_passkey_list(atl_api_app(req), identity->user_id, &req->arena, &rows, &count, info);

	if (err)
		return err;
	atl_buf_init(&handle, 256);
	atl_base64_encode(&handle, ATL_BASE64_URL, identity->user_id, strlen(identity->user_id));
	out->user_handle = atl_arena_strdup(&req->arena, handle.data);
	atl_buf_finish(&handle);
	out->user_name = identity->user_name;
	out->exclude.items = ATL_ARENA_ARRAY(&req->arena, const char *, count + 1);
	if (!out->exclude.items || !out->user_handle)
		return atl_fail(info, ATL_ERR_NOMEM, "begin a passkey");
	for (size_t i = 0; i < count; i++)
		if (atl_str_eq(rows[i].rp_id, rp_id))
			out->exclude.items[out->exclude.count++] = rows[i].credential_id;
	return ATL_OK;
}

static void answer_options(struct atl_req *req, bool own, enum atl_err err, struct atl_errinfo *info)
{
	struct atl_passkey_answer where = { 0 };
	struct options out = { 0 };
	char challenge[ATL_TOKEN_SIZE];

	if (!err)
		err = place(req, &where, info);
	if (!err && own)
		err = own_options(req, where.rp_id, &out, info);
	if (!err)
		err = atl_passkey_challenge(atl_api_app(req), own ? atl_api_identity(req) : NULL, challenge, info);
	out.challenge = challenge;
	out.rp_id = where.rp_id;
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json(req, 201, &options_desc, &out);
}

static void handle_begin(struct atl_req *req)
{
	struct passkey_in in;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_sign_in_proof(req, in.password, NULL, false, &info);
	answer_options(req, true, err, &info);
}

static void handle_add(struct atl_req *req)
{
	const struct atl_identity *identity = atl_api_identity(req);
	struct atl_passkey_answer answer = { 0 };
	struct passkey_in in;
	struct atl_errinfo info = { 0 };
	struct atl_passkey *rows;
	char id[ATL_ID_SIZE];
	size_t count = 0, at = 0;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = read_answer(req, &in, &answer, &info);
	if (!err)
		err = atl_passkey_add(atl_api_app(req), identity, &req->arena, &answer, id, &info);
	if (!err)
		err = atl_passkey_list(atl_api_app(req), identity->user_id, &req->arena, &rows, &count, &info);
	while (!err && at < count && !atl_str_eq(rows[at].id, id))
		at++;
	if (!err && at == count)
		err = atl_fail(&info, ATL_ERR_NOT_FOUND, "The passkey was removed meanwhile.");
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 201, &passkey_desc, &rows[at]);
}

static void handle_rename(struct atl_req *req)
{
	struct passkey_in in;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_passkey_rename(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), in.name, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void handle_remove(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_passkey_remove(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

/* ---- signing in ---- */

static void handle_options(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };

	answer_options(req, false, ATL_OK, &info);
}

static enum atl_err enter(struct atl_req *req, const struct passkey_in *in, struct atl_identity *ret, struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_passkey_answer answer = { 0 };
	char user_id[ATL_ID_SIZE];
	struct atl_user user;
	enum atl_err err = read_answer(req, in, &answer, info);

	if (!err)
		err = atl_throttle_try(app->throttle, req->remote, THROTTLE_NAME, NULL, info);
	if (!err)
		err = atl_passkey_use(app, &req->arena, &answer, user_id, info);
	if (err == ATL_ERR_UNPROCESSABLE) {
		atl_info("access", "a passkey from %s was refused: %s", req->remote, info->detail);
		atl_audit_now(app, &(struct atl_audit){ .remote = req->remote, .action = "passkey.refuse" });
	}
	if (err)
		return err;
	atl_throttle_success(app->throttle, req->remote, THROTTLE_NAME, NULL);
	err = atl_user_get(app, user_id, &req->arena, &user, info);
	if (!err)
		err = atl_user_may_enter(&user, info);
	return err ? err : atl_sign_in_open(req, user_id, ret, info);
}

static void handle_use(struct atl_req *req)
{
	struct atl_identity identity;
	struct passkey_in in;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = enter(req, &in, &identity, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_sign_in_answer(req, 201, &identity);
}

#define OWN .permission = "account.manage", .tag = "Access"
#define DOOR .permission = "public", .tag = "Access", .rate = ATL_CLASS_SIGN_IN
const struct atl_route atl_passkeys_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/me/passkeys", OWN, .handler = handle_list, .summary = "One's passkeys",
	  .out = &passkey_desc, .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/me/passkeys/options", OWN, .handler = handle_begin, .summary = "Begin to make a passkey",
	  .in = &begin_desc, .out = &options_desc, .status = 201 },
	{ .method = ATL_POST, .path = "/api/v1/me/passkeys", OWN, .handler = handle_add, .summary = "Keep the passkey that was made",
	  .in = &new_desc, .out = &passkey_desc, .status = 201 },
	{ .method = ATL_PATCH, .path = "/api/v1/me/passkeys/{id}", OWN, .handler = handle_rename, .summary = "Give it another name",
	  .in = &name_desc, .status = 204 },
	{ .method = ATL_DELETE, .path = "/api/v1/me/passkeys/{id}", OWN, .handler = handle_remove, .summary = "Remove it", .status = 204 },
	{ .method = ATL_POST, .path = "/api/v1/session/passkey/options", DOOR, .handler = handle_options,
	  .summary = "Begin to sign in with a passkey", .out = &options_desc, .status = 201 },
	{ .method = ATL_POST, .path = "/api/v1/session/passkey", DOOR, .handler = handle_use,
	  .summary = "Sign in with a passkey: it verifies the person, so no code is asked for", .in = &use_desc,
	  .out = &atl_sign_in_desc, .status = 201 },
	{ .path = NULL },
};
