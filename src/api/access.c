/* access.c - who is there: status, first setup, sign-in and sign-out, sessions, one's own account, API keys. */
#include <stdio.h>

#include "api/api.h"
#include "api/fields.h"
#include "api/sign_in.h"
#include "base/codec.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access/api_key.h"
#include "core/access/auth.h"
#include "core/access/session.h"
#include "core/access/throttle.h"
#include "core/books/quota.h"
#include "core/chat/starter.h"
#include "core/people/audit.h"
#include "core/people/impersonation.h"
#include "core/people/mail.h"
#include "core/people/rights.h"
#include "core/people/user.h"
#include "core/server/events.h"
#include "core/server/setting.h"

#define DEVICE_COOKIE "atelier_device" /* remembers that a name signed in on this browser; grants nothing */
#define DEVICE_MAX_AGE_S (400 * 24 * 3600LL)

/* ---- what goes in and out ---- */

struct user_out {
	const char *id, *name, *role, *role_name;
};
static const struct atl_json_field user_fields[] = {
	F_STR(struct user_out, id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct user_out, name, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct user_out, role, ATL_JF_REQUIRED, 0, 0, "owner, admin, moderator, member, guest, or the id of a custom role"),
	F_STR(struct user_out, role_name, ATL_JF_REQUIRED, 0, 0, "for people to read; a built-in role's is its id"),
};
DESC(user_desc, struct user_out, "User", user_fields);

struct status_out {
	const char *version, *csrf_token, *impersonator;
	bool setup_required, setup_token_required, signed_in, mature_allowed, mail;
	const struct user_out *user;
	struct atl_strs permissions, features_off;
	int64_t last_event_id;
};
static const struct atl_json_field status_fields[] = {
	F_STR(struct status_out, version, ATL_JF_REQUIRED, 0, 0, NULL),
	F_BOOL(struct status_out, setup_required, ATL_JF_REQUIRED, "there is no user yet"),
	F_BOOL(struct status_out, setup_token_required, ATL_JF_REQUIRED, "setup needs the token printed at the start"),
	F_BOOL(struct status_out, signed_in, ATL_JF_REQUIRED, NULL),
	F_OBJ(struct status_out, user, ATL_JF_REQUIRED | ATL_JF_NULLABLE, &user_desc, NULL),
	F_STR(struct status_out, csrf_token, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "for the header X-CSRF-Token"),
	F_BOOL(struct status_out, mature_allowed, ATL_JF_REQUIRED, NULL),
	F_BOOL(struct status_out, mail, ATL_JF_REQUIRED, "a link to a new password can be asked for by mail"),
	F_STR(struct status_out, impersonator, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "who works in this person's name"),
	F_STRS(struct status_out, permissions, ATL_JF_REQUIRED, 0, ATL_PERM_COUNT, "what whoever asks may do"),
	F_STRS(struct status_out, features_off, ATL_JF_REQUIRED, 0, ATL_FEATURE_COUNT, "what they do not have, or nobody has"),
	F_INT(struct status_out, last_event_id, ATL_JF_REQUIRED, 0, 0,
	      "/api/v1/events from here on misses nothing that happened since; 0: without a session"),
};
DESC(status_desc, struct status_out, "Status", status_fields);

struct credentials_in {
	const char *token, *name, *password;
};
static const struct atl_json_field setup_fields[] = {
	F_STR(struct credentials_in, token, 0, 0, 200, "printed at the start; not needed on the same machine"),
	F_STR(struct credentials_in, name, ATL_JF_REQUIRED, 1, ATL_USER_NAME_MAX, NULL),
	F_STR(struct credentials_in, password, ATL_JF_REQUIRED | ATL_JF_SECRET, ATL_PASSWORD_MIN, ATL_PASSWORD_MAX, NULL),
};
DESC(setup_desc, struct credentials_in, "Setup", setup_fields);

static const struct atl_json_field sign_in_fields[] = {
	F_STR(struct credentials_in, name, ATL_JF_REQUIRED, 1, ATL_USER_NAME_MAX, NULL),
	F_STR(struct credentials_in, password, ATL_JF_REQUIRED | ATL_JF_SECRET, 1, ATL_PASSWORD_MAX, NULL),
};
DESC(sign_in_desc, struct credentials_in, "SignIn", sign_in_fields);

struct session_out {
	const struct user_out *user;
	const char *csrf_token;
	int64_t expires_at;
	struct atl_strs permissions;
};
static const struct atl_json_field session_fields[] = {
	F_OBJ(struct session_out, user, ATL_JF_REQUIRED, &user_desc, NULL),
	F_STR(struct session_out, csrf_token, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "null for API keys"),
	F_TIME(struct session_out, expires_at, ATL_JF_REQUIRED | ATL_JF_NULLABLE, NULL),
	F_STRS(struct session_out, permissions, ATL_JF_REQUIRED, 0, ATL_PERM_COUNT, "what this session or key may do"),
};
const struct atl_json_desc atl_sign_in_desc = { .name = "Session", .fields = session_fields,
						.field_count = ATL_COUNT(session_fields), .size = sizeof(struct session_out),
						.present_offset = ATL_JSON_NO_PRESENT };

static const struct atl_json_field device_fields[] = {
	F_STR(struct atl_session, id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_session, user_agent, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_session, remote, ATL_JF_REQUIRED, 0, 0, "address it was opened from"),
	F_BOOL(struct atl_session, current, ATL_JF_REQUIRED, "the session of this request"),
	F_TIME(struct atl_session, created_at, ATL_JF_REQUIRED, NULL),
	F_TIME(struct atl_session, last_seen_at, ATL_JF_REQUIRED, NULL),
	F_TIME(struct atl_session, expires_at, ATL_JF_REQUIRED, NULL),
};
DESC(device_desc, struct atl_session, "SessionEntry", device_fields);

struct me_patch {
	uint64_t present;
	const char *name;
};
static const struct atl_json_field me_fields[] = {
	F_STR(struct me_patch, name, 0, 1, ATL_USER_NAME_MAX, NULL),
};
DESC_PATCH(me_patch_desc, struct me_patch, "MePatch", me_fields);

struct password_in {
	const char *current, *password;
};
static const struct atl_json_field password_fields[] = {
	F_STR(struct password_in, current, ATL_JF_REQUIRED | ATL_JF_SECRET, 1, ATL_PASSWORD_MAX, NULL),
	F_STR(struct password_in, password, ATL_JF_REQUIRED | ATL_JF_SECRET, ATL_PASSWORD_MIN, ATL_PASSWORD_MAX, NULL),
};
DESC(password_desc, struct password_in, "PasswordChange", password_fields);

struct budget_in {
	const char *kind, *span;
	int64_t amount;
};
static const struct atl_json_field budget_in_fields[] = {
	F_ENUM(struct budget_in, kind, ATL_JF_REQUIRED, atl_ledger_kinds, NULL),
	F_ENUM(struct budget_in, span, ATL_JF_REQUIRED, atl_windows, "in UTC"),
	F_INT(struct budget_in, amount, ATL_JF_REQUIRED, 0, (double)ATL_QUOTA_AMOUNT_MAX, "money in millionths of a US dollar"),
};
DESC(budget_in_desc, struct budget_in, "ApiKeyBudgetInput", budget_in_fields);

struct key_in {
	uint64_t present;
	const char *name;
	struct atl_strs scopes, models, addresses;
	int64_t expires_at;
	const struct budget_in *budget;
};
#define KEY_FIELDS(needed)                                                                                                 \
	F_STR(struct key_in, name, needed, 1, 100, NULL),                                                                   \
		F_STRS(struct key_in, scopes, needed, 1, 8, "chat, characters, pictures, models, admin"),                   \
		F_TIME(struct key_in, expires_at, ATL_JF_NULLABLE, "null: never"),                                           \
		F_STRS(struct key_in, models, 0, 0, ATL_RIGHTS_PATTERNS_MAX, "ids or patterns (*) of models; none: all"),    \
		F_STRS(struct key_in, addresses, 0, 0, ATL_ADDRESS_BLOCKS_MAX,                                               \
		       "addresses and blocks (10.0.0.0/8) it may be used from; none: anywhere"),                             \
		F_OBJ(struct key_in, budget, ATL_JF_NULLABLE, &budget_in_desc, "what it may use at most; null: no such limit")
static const struct atl_json_field key_in_fields[] = { KEY_FIELDS(ATL_JF_REQUIRED) };
DESC_PATCH(key_in_desc, struct key_in, "ApiKeyInput", key_in_fields);
static const struct atl_json_field key_patch_fields[] = { KEY_FIELDS(0) };
DESC_PATCH(key_patch_desc, struct key_in, "ApiKeyPatch", key_patch_fields);

static const struct atl_json_field budget_fields[] = {
	F_STR(struct atl_key_budget, kind, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_key_budget, span, ATL_JF_REQUIRED, 0, 0, NULL),
	F_INT(struct atl_key_budget, amount, ATL_JF_REQUIRED, 0, 0, NULL),
	F_INT(struct atl_key_budget, used, ATL_JF_REQUIRED, 0, 0, "in the window that is now"),
};
DESC(budget_desc, struct atl_key_budget, "ApiKeyBudget", budget_fields);

static const struct atl_json_field key_fields[] = {
	F_STR(struct atl_api_key, id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_api_key, name, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct atl_api_key, prefix, ATL_JF_REQUIRED, 0, 0, "the key's first characters"),
	F_STRS(struct atl_api_key, scopes, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STRS(struct atl_api_key, models, ATL_JF_REQUIRED, 0, 0, "none: all"),
	F_STRS(struct atl_api_key, addresses, ATL_JF_REQUIRED, 0, 0, "none: from anywhere"),
	F_OBJ(struct atl_api_key, budget, ATL_JF_REQUIRED | ATL_JF_NULLABLE, &budget_desc, NULL),
	F_TIME(struct atl_api_key, created_at, ATL_JF_REQUIRED, NULL),
	F_TIME(struct atl_api_key, expires_at, ATL_JF_REQUIRED | ATL_JF_NULLABLE, NULL),
	F_TIME(struct atl_api_key, last_used_at, ATL_JF_REQUIRED | ATL_JF_NULLABLE, NULL),
	F_STR(struct atl_api_key, key, ATL_JF_OMIT, 0, 0, "the key itself, only in the answer to its creation"),
};
DESC(key_desc, struct atl_api_key, "ApiKey", key_fields);

static const struct atl_json_desc preferences_desc = { .name = "Preferences", .doc = "An open object of the interface.",
						       .size = sizeof(int), .open = true,
						       .present_offset = ATL_JSON_NO_PRESENT };

/* ---- status and setup ---- */

static bool setup_needs_token(const struct atl_req *req)
{
	return !req->loopback;
}

static void user_of_identity(const struct atl_identity *identity, struct user_out *out)
{
	out->id = identity->user_id;
	out->name = identity->user_name;
	out->role = identity->role_id;
	out->role_name = identity->role_name;
}

static void permissions_of(const struct atl_identity *identity, const char *names[ATL_PERM_COUNT], struct atl_strs *out)
{
	*out = (struct atl_strs){ .items = names };
	for (int perm = 0; perm < ATL_PERM_COUNT; perm++)
		if (atl_identity_may(identity, perm))
			names[out->count++] = atl_permission_name(perm);
}

static void handle_status(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	const struct atl_identity *identity = atl_api_identity(req);
	struct status_out out = { .version = app->version };
	const char *names[ATL_PERM_COUNT], *off[ATL_FEATURE_COUNT];
	struct user_out user;
	struct atl_errinfo info = { 0 };
	int64_t users = 0;
	enum atl_err err = atl_user_count(app, &users, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	out.setup_required = users == 0;
	out.setup_token_required = users == 0 && setup_needs_token(req);
	out.mature_allowed = atl_identity_signed_in(identity) ? atl_mature_for(app, identity) : atl_mature_allowed(app);
	out.mail = atl_mail_ready(app);
	permissions_of(identity, names, &out.permissions);
	out.features_off.items = off;
	for (int i = 0; i < ATL_FEATURE_COUNT; i++)
		if ((atomic_load(&app->features_off) | (identity ? identity->features_off : 0)) & ATL_FEATURE_BIT(i))
			off[out.features_off.count++] = atl_feature_name((enum atl_feature)i);
	if (atl_identity_signed_in(identity)) {
		out.signed_in = true;
		out.impersonator = identity->by_user_id[0] ? identity->by_user_name : NULL;
		user_of_identity(identity, &user);
		out.user = &user;
		out.csrf_token = identity->csrf_token[0] ? identity->csrf_token : NULL;
		if (identity->session_id[0] && app->events)
			out.last_event_id = (int64_t)atl_events_mark(app->events, identity->user_id);
	}
	atl_res_json(req, 200, &status_desc, &out);
}

/* "<user id>.<random>.<MAC>": made by us for this user, on this browser. The random part, or NULL. */
static void device_mac(struct atl_app *app, const char *user_id, const char *random, char out[ATL_SHA256_SIZE * 2 + 1])
{
	unsigned char mac[ATL_SHA256_SIZE];
	char text[128];

	snprintf(text, sizeof(text), "device %.40s %.60s", user_id, random);
	atl_hmac_sha256(app->master_key, ATL_MASTER_KEY_SIZE, text, strlen(text), mac);
	atl_hex_encode(mac, sizeof(mac), out);
}

static const char *known_device(struct atl_req *req, const char *user_id)
{
	const char *cookie = atl_req_cookie(req, DEVICE_COOKIE);
	char mac[ATL_SHA256_SIZE * 2 + 1];
	char *copy = cookie && strlen(cookie) < 200 ? atl_arena_strdup(&req->arena, cookie) : NULL, *random, *sent;

	if (!copy || !(random = strchr(copy, '.')) || !(sent = strchr(random + 1, '.')))
		return NULL;
	*random++ = '\0';
	*sent++ = '\0';
	if (strcmp(copy, user_id) != 0 || strlen(sent) != sizeof(mac) - 1)
		return NULL;
	device_mac(atl_api_app(req), user_id, random, mac);
	return atl_str_eq_secret(sent, mac, sizeof(mac) - 1) ? random : NULL;
}

static void set_device(struct atl_req *req, const char *user_id)
{
	char random[ATL_TOKEN_SIZE], mac[ATL_SHA256_SIZE * 2 + 1];
	const char *value;

	if (known_device(req, user_id))
		return;
	atl_token_new(random);
	device_mac(atl_api_app(req), user_id, random, mac);
	value = atl_arena_printf(&req->arena, "%s.%s.%s", user_id, random, mac);
	if (value)
		atl_res_cookie(req, DEVICE_COOKIE, value, DEVICE_MAX_AGE_S, true);
}

void atl_sign_in_answer(struct atl_req *req, int status, const struct atl_identity *identity)
{
	const char *names[ATL_PERM_COUNT];
	struct user_out user;
	struct session_out out = { .user = &user, .expires_at = identity->expires_at_ms };

	user_of_identity(identity, &user);
	permissions_of(identity, names, &out.permissions);
	out.csrf_token = identity->csrf_token[0] ? identity->csrf_token : NULL;
	atl_res_json(req, status, &atl_sign_in_desc, &out);
}

static const char *cookie_name(const struct atl_req *req)
{
	return req->secure ? ATL_COOKIE_NAME_SECURE : ATL_COOKIE_NAME;
}

enum atl_err atl_sign_in_open(struct atl_req *req, const char *user_id, struct atl_identity *ret,
			      struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_errinfo seed = { 0 };
	char token[ATL_TOKEN_SIZE];
	enum atl_err err = atl_session_create(app, user_id, atl_req_header(req, "User-Agent"), req->remote, token, ret, info);

	if (err)
		return err;
	/* here rather than with the account: the command line makes accounts too, and has no decoder for portraits */
	if (atl_starters_seed(app, ret, &seed) != ATL_OK)
		atl_warn("access", "giving %s the starter characters: %s", user_id, seed.detail);
	atl_res_cookie(req, cookie_name(req), token, app->session_ttl_ms / 1000, true);
	set_device(req, user_id);
	atl_wipe(token, sizeof(token));
	return ATL_OK;
}

/* Open a session for the user and answer with it. */
static void open_session(struct atl_req *req, const char *user_id)
{
	struct atl_errinfo info = { 0 };
	struct atl_identity identity;
	enum atl_err err = atl_sign_in_open(req, user_id, &identity, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_sign_in_answer(req, 201, &identity);
}

static void handle_setup(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct credentials_in in;
	struct atl_errinfo info = { 0 };
	char id[ATL_ID_SIZE];
	int64_t users;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_user_count(app, &users, &info);
	if (!err && users > 0)
		err = atl_fail(&info, ATL_ERR_CONFLICT, "The setup is done already: there is a user. Sign in.");
	if (!err && setup_needs_token(req)) {
		err = atl_throttle_try(app->throttle, req->remote, "setup", NULL, &info);
		if (!err && (!in.token || !app->setup_token || !app->setup_token[0] ||
			     strlen(in.token) != strlen(app->setup_token) ||
			     !atl_str_eq_secret(in.token, app->setup_token, strlen(in.token))))
			err = atl_fail_field(&info, ATL_ERR_CREDENTIALS, "token",
					     "Open the address with the token that the server printed when it started.");
		if (!err)
			atl_throttle_success(app->throttle, req->remote, "setup", NULL);
	}
	if (!err)
		err = atl_user_create(app, in.name, in.password, ATL_ROLE_OWNER, true, id, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_info("access", "the owner's account %s was created from %s", id, req->remote);
	open_session(req, id);
}

/* ---- sign-in and sessions ---- */

/* The time a wrong name takes must not differ from that of a wrong password. */
static void verify_nothing(const char *password)
{
	char hash[ATL_PASSWORD_HASH_SIZE];

	if (atl_password_hash(password, hash) != ATL_OK)
		atl_warn("access", "hash a password: out of memory");
}

static void handle_sign_in(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct credentials_in in;
	struct atl_user user;
	struct atl_errinfo info = { 0 };
	const char *device = NULL;
	bool found;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	err = atl_user_find(app, in.name, &req->arena, &user, &info);
	found = err == ATL_OK;
	if (err && err != ATL_ERR_NOT_FOUND) {
		atl_api_fail(req, err, &info);
		return;
	}
	if (found)
		device = known_device(req, user.id);
	memset(&info, 0, sizeof(info));
	err = atl_throttle_try(app->throttle, req->remote, in.name, device, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	if (!found || atl_str_eq(user.password_hash, ATL_USER_NO_PASSWORD))
		verify_nothing(in.password);
	if (!found || !atl_password_verify(user.password_hash, in.password)) {
		atl_info("access", "a sign-in from %s failed", req->remote);
		atl_audit_now(app, &(struct atl_audit){ .remote = req->remote, .action = "session.refuse",
							.target_kind = found ? "user" : NULL, .target_id = found ? user.id : NULL });
		atl_fail(&info, ATL_ERR_CREDENTIALS, "The name or the password is wrong.");
		atl_api_fail(req, ATL_ERR_CREDENTIALS, &info);
		return;
	}
	atl_throttle_success(app->throttle, req->remote, in.name, device);
	err = atl_user_may_enter(&user, &info);
	if (err) {
		atl_audit_now(app, &(struct atl_audit){ .remote = req->remote, .action = "session.refuse", .target_kind = "user",
							.target_id = user.id, .note = user.waiting_since ? "waiting" : "suspended" });
		atl_api_fail(req, err, &info);
		return;
	}
	if (atl_sign_in_second(req, user.id, &err, &info))
		atl_api_fail(req, err, &info);
	else
		open_session(req, user.id);
}

/* On the loop: everything it says is in the identity. */
static void handle_session(struct atl_req *req)
{
	atl_sign_in_answer(req, 200, atl_api_identity(req));
	atl_res_send(req);
}

static void handle_sign_out(struct atl_req *req)
{
	const struct atl_identity *identity = atl_api_identity(req);
	struct atl_errinfo info = { 0 };
	enum atl_err err = ATL_OK;

	if (identity->by_user_id[0])
		err = atl_impersonation_stop(atl_api_app(req), identity, &info);
	else if (identity->session_id[0])
		err = atl_session_delete(atl_api_app(req), identity, identity->user_id, identity->session_id, &info);
	if (err && err != ATL_ERR_NOT_FOUND) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_res_cookie(req, cookie_name(req), "", 0, true);
	atl_res_empty(req, 204);
}

static void handle_sessions(struct atl_req *req)
{
	const struct atl_identity *identity = atl_api_identity(req);
	struct atl_session *sessions;
	struct atl_errinfo info = { 0 };
	size_t count;
	enum atl_err err = atl_session_list(atl_api_app(req), identity->user_id, &req->arena, &sessions, &count, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	for (size_t i = 0; i < count; i++)
		sessions[i].current = atl_str_eq(sessions[i].id, identity->session_id);
	atl_api_list(req, &device_desc, sessions, count, NULL);
}

static void handle_session_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_session_delete(atl_api_app(req), atl_api_identity(req), atl_api_user(req),
					      atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

/* All but the one that asks; a key ends them all. */
static void handle_sessions_end(struct atl_req *req)
{
	const struct atl_identity *identity = atl_api_identity(req);
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_session_delete_others(atl_api_app(req), identity->user_id,
						     identity->session_id[0] ? identity->session_id : NULL, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_audit_now(atl_api_app(req), &(struct atl_audit){ .who = identity, .remote = req->remote, .action = "session.end_others",
							     .target_kind = "user", .target_id = identity->user_id });
	atl_res_empty(req, 204);
}

/* ---- one's own account ---- */

static void answer_me(struct atl_req *req)
{
	const struct atl_identity *identity = atl_api_identity(req);
	struct atl_user user;
	struct user_out out;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_user_get(atl_api_app(req), identity->user_id, &req->arena, &user, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	out = (struct user_out){ user.id, user.name, identity->role_id, identity->role_name };
	atl_res_json(req, 200, &user_desc, &out);
}

static void handle_me_patch(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct me_patch in;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err && atl_json_has(&me_patch_desc, &in, "name")) {
		err = atl_user_rename(app, atl_api_user(req), in.name, &info);
		atl_auth_forget_user(app->auth, atl_api_user(req));
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		answer_me(req);
}

static void handle_password(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	const struct atl_identity *identity = atl_api_identity(req);
	struct password_in in;
	struct atl_user user;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_user_get(app, identity->user_id, &req->arena, &user, &info);
	if (!err)
		err = atl_throttle_try(app->throttle, req->remote, user.name, identity->session_id, &info);
	if (!err && !atl_password_verify(user.password_hash, in.current))
		err = atl_fail_field(&info, ATL_ERR_CREDENTIALS, "current", "The current password is wrong.");
	if (!err) {
		atl_throttle_success(app->throttle, req->remote, user.name, identity->session_id);
		err = atl_user_set_password(app, identity, identity->user_id, in.password, &info);
	}
	if (!err) /* whoever knew the old one is out */
		err = atl_session_delete_others(app, identity->user_id, identity->session_id, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void handle_preferences(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	const char *json;
	enum atl_err err = atl_user_preferences(atl_api_app(req), atl_api_user(req), &req->arena, &json, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json_text(req, 200, json, strlen(json));
}

static void handle_preferences_put(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_json *tree;
	struct atl_buf out;
	struct atl_jw w;
	enum atl_err err = atl_req_tree(req, &tree, &info);

	atl_buf_init(&out, ATL_PREFERENCES_MAX + 1);
	if (!err && tree->kind != ATL_JSON_OBJECT)
		err = atl_fail(&info, ATL_ERR_INVALID, "Preferences are a JSON object.");
	if (!err) {
		atl_jw_init(&w, &out);
		atl_jw_tree(&w, NULL, tree);
		err = atl_buf_err(&out, &info);
	}
	if (!err)
		err = atl_user_set_preferences(atl_api_app(req), atl_api_user(req), out.data, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json_text(req, 200, out.data, out.length);
	atl_buf_finish(&out);
}

/* ---- API keys ---- */

static void handle_keys(struct atl_req *req)
{
	struct atl_api_key *keys;
	struct atl_errinfo info = { 0 };
	size_t count;
	enum atl_err err = atl_api_key_list(atl_api_app(req), atl_api_user(req), &req->arena, &keys, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &key_desc, keys, count, NULL);
}

/* What the body says of a key; `budget` and `wish` live as long as `in`. */
static void wish_of(const struct atl_json_desc *desc, const struct key_in *in, struct atl_key_budget *budget,
		    struct atl_api_key_change *wish)
{
	bool named = atl_json_has(desc, in, "budget");

	*wish = (struct atl_api_key_change){
		.name = atl_json_has(desc, in, "name") ? in->name : NULL,
		.scopes = atl_json_has(desc, in, "scopes") ? &in->scopes : NULL,
		.models = atl_json_has(desc, in, "models") ? &in->models : NULL,
		.addresses = atl_json_has(desc, in, "addresses") ? &in->addresses : NULL,
		.expires_at = atl_json_has(desc, in, "expires_at") ? &in->expires_at : NULL,
		.budget = named && in->budget ? budget : NULL,
		.no_budget = named && !in->budget,
	};
	if (wish->budget)
		*budget = (struct atl_key_budget){ in->budget->kind, in->budget->span, in->budget->amount, 0 };
}

static void handle_key_create(struct atl_req *req)
{
	struct atl_api_key_change wish;
	struct atl_key_budget budget;
	struct key_in in;
	struct atl_api_key key;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err) {
		wish_of(&key_in_desc, &in, &budget, &wish);
		err = atl_api_key_create(atl_api_app(req), atl_api_identity(req), &wish, &req->arena, &key, &info);
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 201, &key_desc, &key);
}

static void handle_key_patch(struct atl_req *req)
{
	struct atl_api_key_change wish;
	struct atl_key_budget budget;
	struct key_in in;
	struct atl_api_key key;
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err) {
		wish_of(&key_patch_desc, &in, &budget, &wish);
		err = atl_api_key_update(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &wish, &req->arena, &key,
					 &info);
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &key_desc, &key);
}

static void handle_key_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_api_key_revoke(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

#define R(method_, path_, perm_, handler_, summary_) \
	.method = (method_), .path = (path_), .permission = (perm_), .handler = (handler_), .tag = "Access", .summary = (summary_)

const struct atl_route atl_access_routes[] = {
	{ R(ATL_GET, "/api/v1/status", "public", handle_status, "What the page needs to know first"), .out = &status_desc },
	{ R(ATL_POST, "/api/v1/setup", "public", handle_setup, "Create the owner's account, once"), .rate = ATL_CLASS_SIGN_IN, .in = &setup_desc,
	  .out = &atl_sign_in_desc, .status = 201 },
	{ R(ATL_POST, "/api/v1/session", "public", handle_sign_in, "Sign in"), .rate = ATL_CLASS_SIGN_IN, .in = &sign_in_desc, .out = &atl_sign_in_desc,
	  .status = 201 },
	{ R(ATL_GET, "/api/v1/session", "session", handle_session, "The session at hand"), .out = &atl_sign_in_desc,
	  .flags = ATL_ROUTE_LOOP },
	{ R(ATL_DELETE, "/api/v1/session", "session", handle_sign_out, "Sign out"), .status = 204 },
	{ R(ATL_GET, "/api/v1/sessions", "account.manage", handle_sessions, "One's sessions, latest used first"),
	  .out = &device_desc, .out_list = true },
	{ R(ATL_DELETE, "/api/v1/sessions", "account.manage", handle_sessions_end, "End all one's other sessions"), .status = 204 },
	{ R(ATL_DELETE, "/api/v1/sessions/{id}", "account.manage", handle_session_delete, "End a session"), .status = 204 },
	{ R(ATL_GET, "/api/v1/me", "session", answer_me, "One's own account"), .out = &user_desc },
	{ R(ATL_PATCH, "/api/v1/me", "account.manage", handle_me_patch, "Change one's name"), .in = &me_patch_desc,
	  .out = &user_desc },
	{ R(ATL_POST, "/api/v1/me/password", "account.manage", handle_password,
	    "Change one's password; all other sessions end"), .rate = ATL_CLASS_SIGN_IN, .in = &password_desc, .status = 204 },
	{ R(ATL_GET, "/api/v1/me/preferences", "account.manage", handle_preferences, "What the interface remembers"),
	  .out = &preferences_desc },
	{ R(ATL_PUT, "/api/v1/me/preferences", "account.manage", handle_preferences_put, "Replace the preferences"),
	  .in = &preferences_desc, .out = &preferences_desc },
	{ R(ATL_GET, "/api/v1/keys", "keys.manage", handle_keys, "One's API keys, newest first"), .out = &key_desc,
	  .out_list = true },
	{ R(ATL_POST, "/api/v1/keys", "keys.manage", handle_key_create, "Create an API key"), .feature = "api_keys", .in = &key_in_desc,
	  .out = &key_desc, .status = 201 },
	{ R(ATL_PATCH, "/api/v1/keys/{id}", "keys.manage", handle_key_patch, "Change an API key; the key itself stays"),
	  .feature = "api_keys", .in = &key_patch_desc, .out = &key_desc },
	{ R(ATL_DELETE, "/api/v1/keys/{id}", "keys.manage", handle_key_delete, "Revoke an API key"), .status = 204 },
	{ .path = NULL },
};
