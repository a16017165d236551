/* authorize.c - the one hook every request passes: who asks, and may they?
 *
 * Credentials: `Authorization: Bearer`, or Basic with a key as the password (clients of AUTOMATIC1111), else `x-api-key`,
 * else the session cookie. A key that is sent and wrong is an
 * error; a stale cookie is nobody. Browsers send cookies on their own, so a cookie that changes something (or opens a
 * WebSocket) must come from our own page: own origin, and the page's token.
 */
#include "api/api.h"

#include <strings.h>

#include "base/codec.h"
#include "base/str.h"
#include "core/announcement.h"
#include "core/auth.h"

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
		return atl_fail(info, ATL_ERR_KEY, "The API key is unknown, revoked or expired.");
	return err;
}

enum atl_auth atl_api_authorize(struct atl_req *req, bool may_block, struct atl_errinfo *info)
{
	const struct atl_identity *identity;
	enum atl_permission perm;
	bool blocked = false, changes, socket;
	enum atl_err err;

	if (!atl_permission_find(req->route->permission, &perm))
		return deny(info, ATL_ERR_INTERNAL, "The route names no known permission.");
	err = identify(req, may_block, &blocked, info);
	if (req->identity)
		atl_str_copy(((struct atl_identity *)req->identity)->remote, ATL_REMOTE_SIZE, req->remote);
	if (blocked)
		return ATL_AUTH_BLOCK;
	if (err)
		return ATL_AUTH_DENY;
	identity = atl_api_identity(req);
	changes = req->method != ATL_GET && req->method != ATL_HEAD && req->method != ATL_OPTIONS;
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
	return ATL_AUTH_OK;
}
