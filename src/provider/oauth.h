/* oauth.h - sign-in services that speak plain OAuth 2.0 instead of OpenID Connect: what each does its own way, as data.
 *
 * Such a service publishes no description and signs no token: its addresses are known beforehand, and who signed in is
 * what its API answers to the access token. All of that is a row of a table; no code asks which service it is.
 *
 * An e-mail address counts only when the service says that it has verified it. The account key is (issuer, id there).
 *
 * Threads: pool threads, as provider/oidc.h. What is returned lives in the arena. Limits: ATL_OAUTH_ID_MAX.
 * Adding one: a row of the table in oauth.c, its name in atl_login_presets, a case in tests/system/test_oauth.py.
 */
#ifndef ATL_PROVIDER_OAUTH_H
#define ATL_PROVIDER_OAUTH_H

#include "provider/oidc.h"

#define ATL_OAUTH_ID_MAX 64

struct atl_oauth_quirks {
	const char *name, *label;     /* of the preset */
	const char *issuer;	      /* where its pages are, and what stands for it in links */
	const char *issuer_told;      /* what it calls itself in its answer (RFC 9207), if it does; NULL: as `issuer` */
	const char *authorize, *token; /* after the issuer */
	const char *api;	      /* where its API is; for a server at another issuer: that issuer and api_path */
	const char *api_path;
	const char *user, *emails; /* after the API; emails NULL: the address is among what `user` answers */
	const char *accept;	   /* what the API is asked for */
	const char *scope;
	const char *id;		/* member of the answer to `user`: text or a whole number */
	const char *names[3];	/* members with a name for people, best first; NULL ends them */
	const char *email, *email_verified; /* members; of `user`, or of each item of `emails` */
	const char *email_main; /* of `emails`: which item is the account's own */
	bool tells_issuer;
};

const struct atl_oauth_quirks *atl_oauth_find(const char *preset); /* NULL: it is no such service */
const struct atl_oauth_quirks *atl_oauth_at(size_t index);	     /* NULL after the last */

/* Its addresses, as a description would have told them. Errors as atl_oidc_read(). */
enum atl_err atl_oauth_service(const struct atl_oidc_caller *caller, const struct atl_oauth_quirks *quirks,
			       const char *issuer, struct atl_oidc_service *ret, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_oauth_user {
	const char *id;
	const char *name, *email; /* NULL: not told; the address only when it is verified */
	const struct atl_json *all; /* the whole answer to `user` */
};
/* Who signed in. UPSTREAM*, CREDENTIALS (the token is not taken), UPSTREAM_FORMAT (no id, or one that is none). */
enum atl_err atl_oauth_user(const struct atl_oidc_caller *caller, const struct atl_oauth_quirks *quirks, const char *issuer,
			    const char *access_token, struct atl_oauth_user *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
