/* authorize.c - the one hook every request passes: who asks, and may they?
 *
 * Credentials: `Authorization: Bearer`, or Basic with a key as the password (clients of AUTOMATIC1111), else `x-api-key`,
 * else the session cookie. A key that is sent and wrong is an
 * error; a stale cookie is nobody. Browsers send cookies on their own, so a cookie that changes something (or opens a
 * WebSocket) must come from our own page: own origin, and the page's token.
 */
#include "api/api.h"

#include <strings.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/access/rate.h"
#include "core/people/impersonation.h"
#include "core/people/rights.h"
#include "core/server/announcement.h"

#define BASIC_MAX 1024

struct credential {
	enum atl_identity_channel channel;
	const char *secret;
};

/* The password of "user:password" in base64; what cannot be read is a wrong key. */
static const char *basic_password(struct atl_req *req, const char *text)
{
	const char *secret = "";
	struct atl_buf out;

	atl_buf_init(&out, BASIC_MAX);
	if (atl_base64_decode(&out, ATL_BASE64_STANDARD, text, strlen(text)) && out.length) {
		const char *colon = memchr(out.data, ':', out.length);
		char *copy = colon ? atl_arena_strndup(&req->arena, colon + 1, out.length - (size_t)(colon + 1 - out.data)) : NULL;

		secret = copy ? copy : "";
	}
	atl_wipe(out.data, out.length);
	atl_buf_finish(&out);
	return secret;
}

static struct credential find_credential(struct atl_req *req)
{
	const char *header = atl_req_header(req, "Authorization");
	struct credential credential = { ATL_CHANNEL_NONE, NULL };

	if (header && strncasecmp(header, "Bearer ", 7) == 0) {
		credential.channel = ATL_CHANNEL_BEARER;
		credential.secret = header + 7;
	} else if (header && strncasecmp(header, "Basic ", 6) == 0) {
		credential.channel = ATL_CHANNEL_BEARER;
		credential.secret = basic_password(req, header + 6);
	} else if ((header = atl_req_header(req, "x-api-key")) != NULL) {
		credential.channel = ATL_CHANNEL_X_API_KEY;
		credential.secret = header;
	} else if ((header = atl_req_cookie(req, req->secure ? ATL_COOKIE_NAME_SECURE : ATL_COOKIE_NAME)) != NULL &&
		   *header) {
		credential.channel = ATL_CHANNEL_COOKIE;
		credential.secret = header;
	}
	return credential;
}

/* Did a page of this server send the request? `must_tell`: silence is not enough. */
static enum atl_err check_origin(struct atl_req *req, bool must_tell, struct atl_errinfo *info)
{
	const char *site = atl_req_header(req, "Sec-Fetch-Site"), *origin = atl_req_header(req, "Origin");
	const char *host = atl_req_header(req, "Host"), *rest;

	if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
		return atl_fail(info, ATL_ERR_ORIGIN, "The request came from another site.");
	if (origin) {
		rest = strstr(origin, "://");
		if (!rest || !host || !atl_str_ieq(rest + 3, host))
			return atl_fail(info, ATL_ERR_ORIGIN, "The request came from another site.");
	}
	if (must_tell && !site && !origin)
		return atl_fail(info, ATL_ERR_ORIGIN, "The request does not say which page sent it (Origin).");
	return ATL_OK;
}

static enum atl_err check_token(struct atl_req *req, const struct atl_identity *identity, struct atl_errinfo *info)
{
	const char *token = atl_req_header(req, "X-CSRF-Token");
	size_t length = strlen(identity->csrf_token);

	if (!token || strlen(token) != length || !atl_str_eq_secret(token, identity->csrf_token, length))
		return atl_fail(info, ATL_ERR_CSRF, "Send the csrf_token of the session as X-CSRF-Token.");
	return ATL_OK;
}

static enum atl_auth deny(struct atl_errinfo *info, enum atl_err err, const char *detail)
{
	atl_fail(info, err, "%s", detail);
	return ATL_AUTH_DENY;
}

/* Identity of the request, or NULL for nobody. *ret_blocked: it needs the database and may not ask it here. */
static enum atl_err identify(struct atl_req *req, bool may_block, bool *ret_blocked, struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	struct credential credential = find_credential(req);
	struct atl_identity *identity;
	enum atl_err err;

	if (credential.channel == ATL_CHANNEL_NONE)
		return ATL_OK;
	identity = ATL_ARENA_NEW(&req->arena, struct atl_identity);
	if (!identity)
		return atl_fail(info, ATL_ERR_NOMEM, "authorise");
	switch (atl_auth_cached(app->auth, credential.channel, credential.secret, identity)) {
	case ATL_AUTH_KNOWN:
		req->identity = identity;
		return ATL_OK;
	case ATL_AUTH_REFUSED:
		err = credential.channel == ATL_CHANNEL_COOKIE ? ATL_ERR_AUTH : ATL_ERR_KEY;
		break;
	case ATL_AUTH_ASK:
	default:
		if (!may_block) {
			*ret_blocked = true;
			return ATL_OK;
		}
		err = atl_auth_lookup(app, credential.channel, credential.secret, identity, info);
		if (!err)
			req->identity = identity;
	}
	if (err == ATL_ERR_AUTH) /* a stale cookie is nobody */
		return ATL_OK;
	if (err == ATL_ERR_KEY)
		return atl_fail(info, ATL_ERR_KEY, "The API key is unknown or revoked.");
	return err;
}

/* ---- how often ---- */

static enum atl_rate_class class_of(const struct atl_req *req, bool changes)
{
	switch (req->route->rate) {
	case ATL_CLASS_GENERATE: return ATL_RATE_GENERATE;
	case ATL_CLASS_UPLOAD: return ATL_RATE_UPLOAD;
	case ATL_CLASS_SIGN_IN: return ATL_RATE_SIGN_IN;
	case ATL_CLASS_BY_METHOD:
	case ATL_CLASS_FREE: break;
	}
	if (!changes)
		return ATL_RATE_READ;
	return req->route->flags & ATL_ROUTE_UPLOAD ? ATL_RATE_UPLOAD : ATL_RATE_WRITE;
}

/* Of several buckets the answer tells the one that is nearest to its end. */
static void tighter(struct atl_rate *tightest, const struct atl_rate *rate)
{
	if (rate->limit && (!tightest->limit || rate->retry_after_s || rate->remaining < tightest->remaining))
		*tightest = *rate;
}

/* A sign-in counts for its address whoever asks: who guesses is signed in as somebody else, too. */
static struct atl_rate take_all(struct atl_req *req, enum atl_rate_class class)
{
	struct atl_rates *rates = atl_api_app(req)->rates;
	const struct atl_identity *identity = atl_api_identity(req);
	const int64_t now_us = (int64_t)atl_monotonic_us();
	struct atl_rate tightest, rate;

	if (class == ATL_RATE_SIGN_IN || !atl_identity_signed_in(identity)) {
		atl_rate_take(rates, class, ATL_RATE_ADDRESS, req->remote, now_us, &tightest);
		return tightest;
	}
	atl_rate_take(rates, class, ATL_RATE_USER, identity->user_id, now_us, &tightest);
	if (!tightest.retry_after_s && identity->key_id[0]) {
		atl_rate_take(rates, class, ATL_RATE_KEY, identity->key_id, now_us, &rate);
		tighter(&tightest, &rate);
	}
	if (!tightest.retry_after_s) {
		atl_rate_take(rates, class, ATL_RATE_SITE, req->remote, now_us, &rate);
		tighter(&tightest, &rate);
	}
	return tightest;
}

/* RateLimit and RateLimit-Policy as draft-ietf-httpapi-ratelimit-headers-10 has them. */
static enum atl_err limit_rate(struct atl_req *req, bool changes, struct atl_errinfo *info)
{
	const struct atl_rates *rates = atl_api_app(req)->rates;
	struct atl_rate rate;
	char lines[ATL_RATE_LINES_SIZE];

	if (!rates || req->route->rate == ATL_CLASS_FREE)
		return ATL_OK;
	rate = take_all(req, class_of(req, changes));
	if (!rate.limit)
		return ATL_OK;
	atl_res_lines(req, lines, atl_rate_lines(&rate, lines));
	if (!rate.retry_after_s || (req->loopback && !atl_rates_local(rates)))
		return ATL_OK;
	info->retry_after_s = rate.retry_after_s;
	return atl_fail(info, ATL_ERR_RATE_LIMITED, "More than %lld requests a minute. Try again in %d seconds.",
			(long long)rate.limit, rate.retry_after_s);
}

static bool by_key(const struct atl_identity *identity)
{
	return identity && (identity->channel == ATL_CHANNEL_BEARER || identity->channel == ATL_CHANNEL_X_API_KEY);
}

/* In another person's name: the account's own routes are closed but for what a page needs, and each change is written down
 * before it is made; so these go to the pool. */
static enum atl_auth impersonated(struct atl_req *req, enum atl_permission perm, bool changes, bool may_block,
				  struct atl_errinfo *info)
{
	static const struct {
		enum atl_method method;
		const char *path;
	} open[] = { { ATL_GET, "/api/v1/me/preferences" }, { ATL_PUT, "/api/v1/me/preferences" }, { ATL_GET, "/api/v1/sessions" },
		     { ATL_GET, "/api/v1/me/impersonations" } };
	const char *path = req->route->path;
	bool closed = perm == ATL_PERM_ACCOUNT_MANAGE || perm == ATL_PERM_KEYS_MANAGE ||
		      (req->route->feature && (atl_str_eq(req->route->feature, "webhooks") || atl_str_eq(req->route->feature, "api_keys")));

	for (size_t i = 0; closed && i < ATL_COUNT(open); i++)
		closed = req->method != open[i].method || !atl_str_eq(path, open[i].path);
	if (closed)
		return deny(info, ATL_ERR_IMPERSONATED, "Only the person can do this: not while you work in their name.");
	if (!changes)
		return ATL_AUTH_OK;
	if (!may_block)
		return ATL_AUTH_BLOCK;
	if (atl_impersonation_note(atl_api_app(req), atl_api_identity(req),
				   atl_arena_printf(&req->arena, "%s %.200s", atl_method_name(req->method), path), info) != ATL_OK)
		return ATL_AUTH_DENY;
	return ATL_AUTH_OK;
}

enum atl_auth atl_api_authorize(struct atl_req *req, bool may_block, struct atl_errinfo *info)
{
	const struct atl_identity *identity;
	enum atl_permission perm;
	struct atl_errinfo slow = { 0 };
	bool blocked = false, changes, socket;
	enum atl_err err;

	if (!atl_permission_find(req->route->permission, &perm))
		return deny(info, ATL_ERR_INTERNAL, "The route names no known permission.");
	err = identify(req, may_block, &blocked, info);
	if (req->identity) {
		struct atl_identity *asked = req->identity;

		atl_str_copy(asked->remote, ATL_REMOTE_SIZE, req->remote);
		asked->features_closed = atomic_load_explicit(&atl_api_app(req)->features_off, memory_order_relaxed);
	}
	if (blocked)
		return ATL_AUTH_BLOCK;
	changes = req->method != ATL_GET && req->method != ATL_HEAD && req->method != ATL_OPTIONS;
	if (limit_rate(req, changes, &slow) != ATL_OK) { /* before anything else is said: wrong keys count, too */
		*info = slow;
		return ATL_AUTH_DENY;
	}
	if (err)
		return ATL_AUTH_DENY;
	identity = atl_api_identity(req);
	if (identity && identity->key_addresses.count && !atl_address_in(&identity->key_addresses, req->remote)) {
		req->identity = NULL; /* nothing that follows the answer is done in its name */
		return deny(info, ATL_ERR_KEY_ADDRESS, "This API key is limited to certain addresses, and yours is none of them.");
	}
	socket = !changes && atl_req_header(req, "Upgrade") != NULL;
	if (perm != ATL_PERM_PUBLIC && !atl_identity_signed_in(identity))
		return deny(info, ATL_ERR_AUTH, "Sign in, or send an API key.");
	if (changes || socket) {
		bool cookie = identity->channel == ATL_CHANNEL_COOKIE;
		bool keyed = atl_identity_signed_in(identity) && !cookie;

		if (!keyed && check_origin(req, cookie && perm != ATL_PERM_PUBLIC, info) != ATL_OK)
			return ATL_AUTH_DENY;
		if (cookie && changes && perm != ATL_PERM_PUBLIC && check_token(req, identity, info) != ATL_OK)
			return ATL_AUTH_DENY;
	}
	if (changes && (perm == ATL_PERM_CHAT_USE || perm == ATL_PERM_PICTURES_USE) &&
	    atl_maintenance_refuses(req->app, identity->permissions, info) != ATL_OK)
		return ATL_AUTH_DENY;
	if (!atl_identity_may(identity, perm)) {
		atl_fail(info, ATL_ERR_FORBIDDEN, "This needs the permission %s.", atl_permission_name(perm));
		return ATL_AUTH_DENY;
	}
	if (by_key(identity) && atl_rights_feature(identity, ATL_FEATURE_API, info) != ATL_OK)
		return ATL_AUTH_DENY;
	if (req->route->feature && identity && (identity->features_off | identity->features_closed)) {
		enum atl_feature feature;

		if (!atl_feature_find(req->route->feature, &feature))
			return deny(info, ATL_ERR_INTERNAL, "The route names no known feature.");
		if (atl_rights_feature(identity, feature, info) != ATL_OK)
			return ATL_AUTH_DENY;
	}
	if (identity && identity->by_user_id[0])
		return impersonated(req, perm, changes, may_block, info);
	return ATL_AUTH_OK;
}
