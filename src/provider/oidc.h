/* oidc.h - the three calls to an OpenID Connect service: its addresses, its keys, a code for a token.
 *
 * Every address is https (http to a numeric loopback address alone, which the guard lets through only where the
 * operator allowed it), redirects are not followed, and answers are small.
 *
 * Threads: pool threads (they block, ATL_OIDC_TIMEOUT_MS at most). What is returned lives in the arena.
 */
#ifndef ATL_PROVIDER_OIDC_H
#define ATL_PROVIDER_OIDC_H

#include "base/arena.h"
#include "base/json.h"
#include "net/guard.h"
#include "os/loop.h"

#define ATL_OIDC_TIMEOUT_MS 10000
#define ATL_OIDC_ANSWER_MAX ((size_t)256 << 10)
#define ATL_OIDC_URL_MAX 500
#define ATL_OIDC_TOKEN_MAX 16384 /* of an access token */

struct atl_oidc_service {
	const char *issuer, *authorization_endpoint, *token_endpoint, *jwks_uri;
	bool tells_issuer;  /* the redirect back names the issuer (RFC 9207) */
	bool secret_in_form; /* client_secret_post; else HTTP Basic */
};

struct atl_oidc_caller {
	struct atl_loop *loop;
	const struct atl_guard *guard;
	struct atl_arena *arena;
};

/* An address that may be called; errors as the guard's, INVALID for plain http. */
enum atl_err atl_oidc_url(const struct atl_guard *guard, const char *url, struct atl_errinfo *info) ATL_MUST_USE;

/* Errors of all: OUTBOUND, UPSTREAM*, UPSTREAM_FORMAT (not what the standard says). */
enum atl_err atl_oidc_discover(const struct atl_oidc_caller *caller, const char *issuer, const char **ret_text,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* A discovery document's members; its issuer must be `issuer` to the letter. */
enum atl_err atl_oidc_read(const struct atl_oidc_caller *caller, const char *text, const char *issuer,
			   struct atl_oidc_service *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_oidc_keys(const struct atl_oidc_caller *caller, const char *url, const char **ret_text,
			   struct atl_errinfo *info) ATL_MUST_USE;

struct atl_oidc_code {
	const char *client_id, *secret /* NULL: a public client */, *code, *verifier, *redirect_uri;
};
struct atl_oidc_tokens {
	const char *id_token, *access_token; /* NULL: none came */
};
/* CREDENTIALS: the service does not take the code or the client. UPSTREAM_FORMAT: no tokens, or of another type than
 * Bearer. */
enum atl_err atl_oidc_exchange(const struct atl_oidc_caller *caller, const struct atl_oidc_service *service,
			       const struct atl_oidc_code *code, struct atl_oidc_tokens *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* What an API answers to the token. `accept`: the whole header. CREDENTIALS: it does not take the token. */
enum atl_err atl_oidc_get(const struct atl_oidc_caller *caller, const char *url, const char *accept,
			  const char *access_token, struct atl_json **ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
