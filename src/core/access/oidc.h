/* oidc.h - sign-in through a service (OpenID Connect, or OAuth as provider/oauth.h has it): out with a state, back with
 * a code, and whom that means here.
 *
 * A sign-in under way is a row: bound to the browser by a token in its cookie, used once, ATL_OIDC_ATTEMPT_MS old at
 * most. PKCE verifier and nonce are derived from the state and the master key, so that nothing secret is kept. Whom the
 * service means is (issuer, subject) alone; a same e-mail address links nobody to anything. Whom it may bring and which
 * role its claims give: login_rules.h.
 *
 * Threads: pool threads (SQL and network). Limits: ATL_OIDC_ATTEMPTS_MAX under way, ATL_OIDC_ATTEMPTS_ADDRESS_MAX of them
 * of one address (IPv6: of one /64); the service's addresses and keys
 * are fetched again after ATL_OIDC_FRESH_MS, keys also for a `kid` that is not among them, at most once in
 * ATL_OIDC_KEYS_AGAIN_MS.
 */
#ifndef ATL_CORE_OIDC_H
#define ATL_CORE_OIDC_H

#include "base/arena.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_OIDC_ATTEMPT_MS (10 * 60 * 1000)
#define ATL_OIDC_ATTEMPTS_MAX 10000
#define ATL_OIDC_ATTEMPTS_ADDRESS_MAX 50
#define ATL_OIDC_FRESH_MS (60 * 60 * 1000)
#define ATL_OIDC_KEYS_AGAIN_MS (60 * 1000)
#define ATL_OIDC_LINKS_MAX 50 /* of one person */

struct atl_oidc_start {
	const char *provider_id, *redirect_uri;
	const char *browser;		     /* the token in this browser's cookie */
	const char *remote;
	const struct atl_identity *linking; /* who adds the service to their account; NULL: a sign-in */
	const char *invitation;		     /* token of an invitation link, for who is new; NULL: none */
};
/* *ret_url: where the browser goes. NOT_FOUND: no such service, or it is switched off. THROTTLED; as provider/oidc.h. */
enum atl_err atl_oidc_start(struct atl_app *app, struct atl_arena *arena, const struct atl_oidc_start *start,
			    const char **ret_url, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_oidc_callback {
	const char *state, *code, *issuer, *error; /* of the query; NULL: not there */
	const char *browser, *redirect_uri, *remote;
};
struct atl_oidc_outcome {
	char user_id[ATL_ID_SIZE];
	bool linked;  /* a link was added for who was signed in; no sign-in */
	bool created; /* the account is new */
};
/* GONE: no such sign-in is under way in this browser (used, too old, another browser). CANCELLED: the person said no.
 * UNPROCESSABLE: the token or the answer's issuer is refused. FORBIDDEN: nobody here is linked and new people are not
 * taken (field "sign_up": by the sign-up rules; "domain": not of a domain that the service may bring). CONFLICT: linked to somebody else already. CREDENTIALS, UPSTREAM*: the service. */
enum atl_err atl_oidc_finish(struct atl_app *app, struct atl_arena *arena, const struct atl_oidc_callback *callback,
			     struct atl_oidc_outcome *ret, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_oidc_link {
	const char *id, *issuer, *name /* of the service, or its issuer */, *label;
	int64_t created_at, last_used_at;
};
enum atl_err atl_oidc_links(struct atl_app *app, const char *user_id, struct atl_arena *arena, struct atl_oidc_link **ret,
			    size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* NOT_FOUND also for another person's. */
enum atl_err atl_oidc_unlink(struct atl_app *app, const struct atl_identity *who, const char *id,
			     struct atl_errinfo *info) ATL_MUST_USE;

#endif
