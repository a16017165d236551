/* jwt.h - is this ID token (OpenID Connect) the provider's, for us, for this sign-in and for now?
 *
 * The token and the keys come from outside: everything that is not exactly as it must be is refused. The algorithm is
 * one of ours (never `none`, never a shared secret), the key is the provider's own by the header's `kid`, and nothing
 * else in the header (`jwk`, `jku`, `x5u`) is looked at.
 *
 * Threads: pure functions; what is returned lives in the arena. Limits: ATL_JWT_MAX, ATL_JWKS_KEYS_MAX.
 */
#ifndef ATL_CORE_JWT_H
#define ATL_CORE_JWT_H

#include "base/arena.h"
#include "base/json.h"

#define ATL_JWT_MAX 16384
#define ATL_JWT_SKEW_S 60
#define ATL_JWT_SUB_MAX 255
#define ATL_JWKS_KEYS_MAX 64

struct atl_jwt_expect {
	const char *issuer;
	const char *issuer_too;	  /* a second spelling that counts (Google); NULL: none */
	const char *client_id;
	const char *nonce;
	const char *access_token; /* what came with it, for at_hash; NULL: not looked at */
	int64_t now_s;
};

struct atl_jwt_claims {
	const char *sub;
	const char *email, *name, *hd; /* NULL: not told */
	bool email_verified;
	const struct atl_json *all; /* the whole payload */
};

/* NOT_FOUND: no key fits the header's `kid` (the provider may have new ones). UNPROCESSABLE: refused; the detail says
 * why, with nothing of the token in it. NOMEM. `keys` is a parsed JWK set. */
enum atl_err atl_jwt_verify(struct atl_arena *arena, const char *token, const struct atl_json *keys,
			    const struct atl_jwt_expect *expect, struct atl_jwt_claims *ret,
			    struct atl_errinfo *info) ATL_MUST_USE;

#endif
