/* oidc.c - the way out to a sign-in service and back; see oidc.h. */
#include "core/access/oidc.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access/oidc_int.h"
#include "core/access/rate.h"
#include "core/people/audit.h"
#include "core/people/invitation.h"
#include "core/people/user.h"
#include "db/db.h"

#define NAMES_TRIED 20
#define TOKEN_SIZE 64 /* 43 characters */

struct attempt {
	const char *state, *browser;
	char state_hash[ATL_SHA256_SIZE * 2 + 1], browser_hash[ATL_SHA256_SIZE * 2 + 1];
	int64_t now;
	struct atl_arena *arena;
	const char *provider_id, *user_id, *session_id; /* the latter two NULL: a sign-in */
	const char *invitation_hash;
	char network[ATL_NETWORK_SIZE];
};

/* What only this server can make of a state: base64url of 32 bytes. */
static void derive(struct atl_app *app, const char *what, const char *state, char out[TOKEN_SIZE])
{
	unsigned char mac[ATL_SHA256_SIZE];
	struct atl_buf text;
	char message[160];

	snprintf(message, sizeof(message), "oidc %s %.100s", what, state);
	atl_hmac_sha256(app->master_key, ATL_MASTER_KEY_SIZE, message, strlen(message), mac);
	atl_buf_init(&text, TOKEN_SIZE);
	atl_base64_encode(&text, ATL_BASE64_URL, mac, sizeof(mac));
	atl_str_copy(out, TOKEN_SIZE, text.data);
	atl_buf_finish(&text);
}

static void hashes(struct attempt *attempt)
{
	atl_sha256_hex(attempt->state, strlen(attempt->state), attempt->state_hash);
	atl_sha256_hex(attempt->browser, strlen(attempt->browser), attempt->browser_hash);
}

/* ---- out ---- */

static enum atl_err begin_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct attempt *attempt = arg;
	struct atl_rows *rows;
	int64_t count = 0, from_there = 0;
	enum atl_err err = atl_exec(conn, info, "DELETE FROM login_attempts WHERE expires_at <= ?", "i", attempt->now);

	if (!err)
		err = atl_query(conn, &rows, info,
				"SELECT count(*), (SELECT count(*) FROM login_attempts WHERE network = ?) FROM login_attempts", "s",
				attempt->network);
	if (!err && atl_rows_next(rows, &err, info)) {
		count = atl_col_int(rows, 0);
		from_there = atl_col_int(rows, 1);
		atl_rows_close(rows);
	}
	/* whoever begins without end uses up what is theirs, not everybody's */
	if (!err && (count >= ATL_OIDC_ATTEMPTS_MAX || from_there >= ATL_OIDC_ATTEMPTS_ADDRESS_MAX))
		err = atl_fail(info, ATL_ERR_THROTTLED, "Too many sign-ins are under way. Wait a moment.");
	return err ? err :
		     atl_exec(conn, info,
			      "INSERT INTO login_attempts (state_hash, browser_hash, provider_id, user_id, session_id, "
			      "invitation_hash, network, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			      "sssssssi", attempt->state_hash, attempt->browser_hash, attempt->provider_id, attempt->user_id,
			      attempt->session_id, attempt->invitation_hash, attempt->network, attempt->now + ATL_OIDC_ATTEMPT_MS);
}

static void add_param(struct atl_buf *url, const char *name, const char *value)
{
	atl_buf_addf(url, "&%s=", name);
	atl_percent_encode(url, value);
}

static enum atl_err build_url(struct atl_app *app, struct atl_arena *arena, const struct atl_oidc_service *service,
			      const struct atl_login_provider *provider, const struct atl_oidc_start *start,
			      const char *state, const char **ret, struct atl_errinfo *info)
{
	const struct atl_oauth_quirks *quirks = atl_oauth_find(provider->preset);
	char verifier[TOKEN_SIZE], nonce[TOKEN_SIZE];
	unsigned char hash[ATL_SHA256_SIZE];
	struct atl_buf url, challenge;
	enum atl_err err;

	derive(app, "verifier", state, verifier);
	derive(app, "nonce", state, nonce);
	atl_sha256(verifier, strlen(verifier), hash);
	atl_buf_init(&challenge, TOKEN_SIZE);
	atl_base64_encode(&challenge, ATL_BASE64_URL, hash, sizeof(hash));
	atl_buf_init(&url, 8192);
	atl_buf_addf(&url, "%s%cresponse_type=code", service->authorization_endpoint,
		     strchr(service->authorization_endpoint, '?') ? '&' : '?');
	add_param(&url, "scope", quirks ? quirks->scope : "openid email profile");
	add_param(&url, "client_id", provider->client_id);
	add_param(&url, "redirect_uri", start->redirect_uri);
	add_param(&url, "state", state);
	if (!quirks)
		add_param(&url, "nonce", nonce);
	add_param(&url, "code_challenge", challenge.data);
	add_param(&url, "code_challenge_method", "S256");
	err = atl_buf_err(&url, info);
	*ret = err ? NULL : atl_arena_strdup(arena, url.data);
	atl_buf_finish(&url);
	atl_buf_finish(&challenge);
	return err || *ret ? err : atl_fail(info, ATL_ERR_NOMEM, "begin a sign-in");
}

static enum atl_err enabled_provider(struct atl_app *app, struct atl_arena *arena, const char *id,
				     struct atl_login_provider *ret, struct atl_errinfo *info)
{
	enum atl_err err = atl_login_provider_get(app, arena, id, ret, info);

	return !err && !ret->enabled ? atl_fail(info, ATL_ERR_NOT_FOUND, "This sign-in service is switched off.") : err;
}

static enum atl_err addresses(struct atl_app *app, struct atl_arena *arena, const struct atl_login_provider *provider,
			      struct atl_oidc_service *ret, struct atl_errinfo *info)
{
	const struct atl_oauth_quirks *quirks = atl_oauth_find(provider->preset);
	struct atl_oidc_caller caller = atl_oidc_caller(app, arena);

	return quirks ? atl_oauth_service(&caller, quirks, provider->issuer, ret, info) :
			atl_oidc_service(app, arena, provider->issuer, ret, info);
}

enum atl_err atl_oidc_start(struct atl_app *app, struct atl_arena *arena, const struct atl_oidc_start *start,
			    const char **ret_url, struct atl_errinfo *info)
{
	char state[ATL_TOKEN_SIZE], invitation_hash[ATL_SHA256_SIZE * 2 + 1];
	struct attempt attempt = { .state = state, .browser = start->browser, .now = atl_now_ms(), .provider_id = start->provider_id };
	struct atl_login_provider provider;
	struct atl_oidc_service service;
	enum atl_err err = enabled_provider(app, arena, start->provider_id, &provider, info);

	if (!err)
		err = addresses(app, arena, &provider, &service, info);
	if (err)
		return err;
	atl_network_of(start->remote, attempt.network);
	atl_token_new(state);
	hashes(&attempt);
	if (!atl_str_empty(start->invitation)) {
		atl_sha256_hex(start->invitation, strlen(start->invitation), invitation_hash);
		attempt.invitation_hash = invitation_hash;
	}
	if (start->linking) {
		attempt.user_id = start->linking->user_id;
		attempt.session_id = start->linking->session_id;
	}
	err = atl_db_tx(app->db, begin_tx, &attempt, info);
	return err ? err : build_url(app, arena, &service, &provider, start, state, ret_url, info);
}

/* ---- and back ---- */

/* Finds the sign-in and uses it up: whatever follows, this state is not taken again. */
static enum atl_err take_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct attempt *attempt = arg;
	struct atl_rows *rows;
	int64_t changed = 0;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT provider_id, user_id, session_id, invitation_hash FROM login_attempts WHERE state_hash = ? AND "
				     "browser_hash = ? AND expires_at > ?",
				     "ssi", attempt->state_hash, attempt->browser_hash, attempt->now);

	attempt->provider_id = attempt->user_id = attempt->session_id = NULL;
	if (!err && atl_rows_next(rows, &err, info)) {
		attempt->provider_id = atl_col_text(rows, 0, attempt->arena);
		attempt->user_id = atl_col_text(rows, 1, attempt->arena);
		attempt->session_id = atl_col_text(rows, 2, attempt->arena);
		attempt->invitation_hash = atl_col_text(rows, 3, attempt->arena);
		atl_rows_close(rows);
		err = atl_exec_count(conn, &changed, info, "DELETE FROM login_attempts WHERE state_hash = ?", "s",
				     attempt->state_hash);
	}
	if (!err && !changed)
		err = atl_fail(info, ATL_ERR_GONE, "This sign-in is used, too old, or was begun in another browser. Try again.");
	return err;
}

/* Does the answer come from the service that was asked (RFC 9207), and does it bring a code? */
static enum atl_err check_answer(const struct atl_oidc_callback *callback, const struct atl_login_provider *provider,
				 const struct atl_oidc_service *service, struct atl_errinfo *info)
{
	const struct atl_oauth_quirks *quirks = atl_oauth_find(provider->preset);
	bool own_name = callback->issuer && quirks && quirks->issuer_told && atl_str_eq(provider->issuer, quirks->issuer) &&
			atl_str_eq(callback->issuer, quirks->issuer_told);

	if (callback->issuer ? !own_name && !atl_str_eq(callback->issuer, provider->issuer) : service->tells_issuer)
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The answer came from another sign-in service than was asked.");
	if (callback->error)
		return atl_str_eq(callback->error, "access_denied") ?
			       atl_fail(info, ATL_ERR_CANCELLED, "The sign-in was cancelled at %s.", provider->name) :
			       atl_fail(info, ATL_ERR_UPSTREAM, "%s refused the sign-in.", provider->name);
	if (atl_str_empty(callback->code) || strlen(callback->code) > 4096)
		return atl_fail(info, ATL_ERR_UNPROCESSABLE, "The answer of %s brings no code.", provider->name);
	return ATL_OK;
}

static enum atl_err ask_token(struct atl_app *app, struct atl_arena *arena, const struct atl_login_provider *provider,
			      const struct atl_oidc_service *service, const struct atl_oidc_tokens *tokens, const char *nonce,
			      struct atl_jwt_claims *ret, struct atl_errinfo *info)
{
	const struct atl_jwt_expect expect = { .issuer = provider->issuer, .issuer_too = atl_login_issuer_too(provider->preset),
					       .client_id = provider->client_id, .nonce = nonce,
					       .access_token = tokens->access_token, .now_s = atl_now_ms() / 1000 };

	if (!tokens->id_token)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The sign-in service's answer has no ID token.");
	return atl_oidc_verify(app, arena, service, tokens->id_token, &expect, ret, info);
}

static enum atl_err ask_api(const struct atl_oidc_caller *caller, const struct atl_login_provider *provider,
			    const struct atl_oidc_tokens *tokens, struct atl_jwt_claims *ret, struct atl_errinfo *info)
{
	struct atl_oauth_user user;
	enum atl_err err;

	if (atl_str_empty(tokens->access_token))
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "The sign-in service's answer has no token.");
	err = atl_oauth_user(caller, atl_oauth_find(provider->preset), provider->issuer, tokens->access_token, &user, info);
	if (!err)
		*ret = (struct atl_jwt_claims){ .sub = user.id, .email = user.email, .name = user.name,
						.email_verified = user.email != NULL, .all = user.all };
	return err;
}

static enum atl_err ask(struct atl_app *app, struct atl_arena *arena, const struct atl_oidc_callback *callback,
			const struct atl_login_provider *provider, const struct atl_oidc_service *service,
			struct atl_jwt_claims *ret, struct atl_errinfo *info)
{
	struct atl_oidc_caller caller = atl_oidc_caller(app, arena);
	char verifier[TOKEN_SIZE], nonce[TOKEN_SIZE], *secret = NULL;
	struct atl_oidc_code code = { .client_id = provider->client_id, .code = callback->code, .verifier = verifier,
				      .redirect_uri = callback->redirect_uri };
	struct atl_oidc_tokens tokens = { 0 };
	enum atl_err err = atl_login_provider_secret(app, arena, provider->id, &secret, info);

	derive(app, "verifier", callback->state, verifier);
	derive(app, "nonce", callback->state, nonce);
	code.secret = secret;
	if (!err)
		err = atl_oidc_exchange(&caller, service, &code, &tokens, info);
	if (secret)
		atl_wipe(secret, strlen(secret));
	if (!err)
		err = atl_oauth_find(provider->preset) ? ask_api(&caller, provider, &tokens, ret, info) :
							 ask_token(app, arena, provider, service, &tokens, nonce, ret, info);
	return err;
}

/* A name that an account may have, of what the service tells; "" when there is none. */
static void name_of(const struct atl_jwt_claims *claims, char out[ATL_USER_NAME_SIZE])
{
	const char *source = claims->name ? claims->name : claims->email ? claims->email : "";
	size_t length = 0, at = strspn(source, " ");

	for (; source[at] && length < 40 && (claims->name || source[at] != '@'); at++)
		if ((unsigned char)source[at] >= 0x20 && source[at] != 0x7f)
			out[length++] = source[at];
	length -= atl_utf8_incomplete(out, length);
	while (length && out[length - 1] == ' ')
		length--;
	out[length] = '\0';
	if (atl_user_check(out, NULL, NULL, NULL) != ATL_OK)
		snprintf(out, ATL_USER_NAME_SIZE, "Guest");
}

static enum atl_err make_user(struct atl_app *app, struct atl_oidc_link_new *link, const struct atl_jwt_claims *claims,
			      struct atl_oidc_outcome *ret, struct atl_errinfo *info)
{
	char base[ATL_USER_NAME_SIZE], name[ATL_USER_NAME_SIZE + 8];
	enum atl_err err = ATL_ERR_CONFLICT;

	name_of(claims, base);
	atl_id_new("usr", ret->user_id);
	link->user_id = ret->user_id;
	link->new_name = name;
	for (int i = 1; err == ATL_ERR_CONFLICT && i <= NAMES_TRIED; i++) {
		char id_end[8];

		memset(info, 0, sizeof(*info));
		atl_str_copy(id_end, 6, ret->user_id + strlen(ret->user_id) - 5);
		if (i == 1)
			snprintf(name, sizeof(name), "%s", base);
		else if (i < NAMES_TRIED)
			snprintf(name, sizeof(name), "%s %d", base, i);
		else
			snprintf(name, sizeof(name), "%s %s", base, id_end);
		err = atl_oidc_link_add(app, link, info);
		if (err == ATL_ERR_CONFLICT && !atl_str_eq(info->field, "name")) /* linked meanwhile */
			break;
	}
	link->new_name = NULL; /* it lived here */
	ret->created = err == ATL_OK;
	return err;
}

/* May somebody who is not known here have an account, and in which state? */
static enum atl_err admit(struct atl_app *app, const struct atl_login_provider *provider, const struct attempt *attempt,
			  const struct atl_jwt_claims *claims, struct atl_oidc_link_new *link, struct atl_errinfo *info)
{
	struct atl_sign_up_rules rules;

	if (atl_str_eq(provider->new_people, "none"))
		return atl_fail(info, ATL_ERR_FORBIDDEN,
				"No account here is linked with this sign-in. Sign in another way, then add %s in Settings.",
				provider->name);
	link->role_given = atl_login_role(&provider->role_rules, claims->all);
	atl_sign_up_rules(app, attempt->arena, &rules);
	if (attempt->invitation_hash && rules.mode != ATL_SIGN_UP_CLOSED) {
		link->invitation_hash = attempt->invitation_hash;
		return ATL_OK;
	}
	if (atl_str_eq(provider->new_people, "all"))
		return ATL_OK;
	if (rules.mode == ATL_SIGN_UP_OPEN) {
		link->waiting_since = atl_now_ms();
		return ATL_OK;
	}
	/* the service has seen the address's owner: nobody needs to approve what a list already does */
	if (rules.mode == ATL_SIGN_UP_DOMAIN && claims->email_verified &&
	    atl_login_domain_listed(&rules.domains, atl_login_email_domain(claims->email)))
		return ATL_OK;
	return atl_fail_field(info, ATL_ERR_FORBIDDEN, "sign_up", "The sign-up rules let nobody new in this way.");
}

static enum atl_err resolve(struct atl_app *app, const struct atl_login_provider *provider, const struct attempt *attempt,
			    const char *remote, const struct atl_jwt_claims *claims, struct atl_oidc_outcome *ret,
			    struct atl_errinfo *info)
{
	char label[128];
	struct atl_oidc_link_new link = { .issuer = provider->issuer, .sub = claims->sub, .user_id = attempt->user_id,
					  .session_id = attempt->session_id, .label = label, .remote = remote };
	struct atl_oidc_found found = { .provider = provider, .claims = claims, .remote = remote };
	enum atl_err err;

	atl_str_copy(label, sizeof(label), claims->email ? claims->email : claims->name ? claims->name : "");
	if (!atl_login_domain_fits(&provider->domains, atl_login_domain_claim(provider->preset), claims))
		return atl_fail_field(info, ATL_ERR_FORBIDDEN, "domain", "%s brings only people of some domains.", provider->name);
	if (attempt->user_id) {
		ret->linked = true;
		atl_str_copy(ret->user_id, sizeof(ret->user_id), attempt->user_id);
		return atl_oidc_link_add(app, &link, info);
	}
	err = atl_oidc_link_find(app, &found, info);
	atl_str_copy(ret->user_id, sizeof(ret->user_id), found.user_id);
	if (err || ret->user_id[0])
		return err;
	err = admit(app, provider, attempt, claims, &link, info);
	return err ? err : make_user(app, &link, claims, ret, info);
}

static void note_refusal(struct atl_app *app, const char *remote, enum atl_err err, const char *provider_id,
			 const struct atl_errinfo *info)
{
	atl_info("oidc", "a sign-in from %s failed: %s", remote, info->detail);
	atl_audit_now(app, &(struct atl_audit){ .remote = remote, .action = "login.refuse", .target_kind = "login_provider",
						.target_id = provider_id, .note = atl_err_slug(err) });
}

enum atl_err atl_oidc_finish(struct atl_app *app, struct atl_arena *arena, const struct atl_oidc_callback *callback,
			     struct atl_oidc_outcome *ret, struct atl_errinfo *info)
{
	struct attempt attempt = { .state = callback->state, .browser = callback->browser, .now = atl_now_ms(), .arena = arena };
	struct atl_login_provider provider;
	struct atl_oidc_service service;
	struct atl_jwt_claims claims;
	enum atl_err err;

	memset(ret, 0, sizeof(*ret));
	if (atl_str_empty(callback->state) || atl_str_empty(callback->browser) || strlen(callback->state) > 100)
		return atl_fail(info, ATL_ERR_GONE, "No sign-in is under way in this browser. Try again.");
	hashes(&attempt);
	err = atl_db_tx(app->db, take_tx, &attempt, info);
	if (err)
		return err;
	err = enabled_provider(app, arena, attempt.provider_id, &provider, info);
	if (!err)
		err = addresses(app, arena, &provider, &service, info);
	if (!err)
		err = check_answer(callback, &provider, &service, info);
	if (!err)
		err = ask(app, arena, callback, &provider, &service, &claims, info);
	if (!err)
		err = resolve(app, &provider, &attempt, callback->remote, &claims, ret, info);
	if (err && err != ATL_ERR_CANCELLED)
		note_refusal(app, callback->remote, err, attempt.provider_id, info);
	return err;
}
