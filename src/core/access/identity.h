/* identity.h - who asks: the result of authentication, attached to every request as req->identity.
 *
 * A plain value; copy it freely (a copy that outlives the request does not look at once_*). Code that works for a user takes `const struct atl_identity *` or
 * just the user id, and never looks at cookies or headers itself.
 *
 * Threads: a value.
 */
#ifndef ATL_CORE_IDENTITY_H
#define ATL_CORE_IDENTITY_H

#include "base/crypto.h"
#include "base/id.h"
#include "core/access/address.h"
#include "core/access/permission.h"

#define ATL_USER_NAME_MAX 64 /* code points */
#define ATL_USER_NAME_SIZE (ATL_USER_NAME_MAX * 4 + 1)

#define ATL_REMOTE_SIZE 64
#define ATL_KEY_MODELS_SIZE 768 /* a key's list of models, a line each */

struct atl_rights;

/* How the credentials came. Only cookies are sent by browsers on their own, so only they need the CSRF checks. */
enum atl_identity_channel { ATL_CHANNEL_NONE, ATL_CHANNEL_COOKIE, ATL_CHANNEL_BEARER, ATL_CHANNEL_X_API_KEY,
			     ATL_CHANNEL_INTERNAL /* the server itself, in the user's name */ };

struct atl_identity {
	char user_id[ATL_ID_SIZE]; /* "" when nobody is signed in (channel NONE) */
	char user_name[ATL_USER_NAME_SIZE];
	enum atl_role role;
	char role_id[ATL_ID_SIZE];	    /* as users.role has it: a built-in role's name, or a custom one's id */
	char role_name[ATL_ROLE_NAME_SIZE]; /* for people to read */
	enum atl_identity_channel channel;
	uint32_t permissions;		 /* ATL_PERM_BIT()s */
	uint32_t features_closed;	 /* ... that the server does not offer to anybody, when it was asked */
	uint32_t features_off;		 /* ATL_FEATURE_BIT()s that the role does not have (core/people/rights.h) */
	int64_t storage_bytes;		 /* room for files; 0: no cap */
	const struct atl_rights *rights; /* the role's models and services; NULL: all. Lives as long as app->auth */
	bool mature;			 /* the role has mature content, where the server allows any (core/server/setting.h) */
	char session_id[ATL_ID_SIZE];	 /* COOKIE, else "" */
	char csrf_token[ATL_TOKEN_SIZE]; /* COOKIE, else "" */
	char by_user_id[ATL_ID_SIZE];	 /* whoever works in this person's name (core/people/impersonation.h), else "" */
	char by_user_name[ATL_USER_NAME_SIZE];
	char key_id[ATL_ID_SIZE];	 /* BEARER and X_API_KEY, else "" */
	char remote[ATL_REMOTE_SIZE];	 /* address of the request, else "" */
	int64_t expires_at_ms;		 /* of the session or key; 0: never */
	const char *once_key;		 /* the request's Idempotency-Key while it is held (core/server/idempotency.h), else NULL */
	const char *once_made;		 /* id of what an earlier try with this key made without answering, else NULL */
	bool key_budget;		      /* the key has one of its own */
	struct atl_address_blocks key_addresses; /* where the key may be used from; none: anywhere */
	char key_models[ATL_KEY_MODELS_SIZE]; /* the key's own models, patterns of core/people/rights.h, a line each; "": all */
};

static inline bool atl_identity_signed_in(const struct atl_identity *identity)
{
	return identity && identity->channel != ATL_CHANNEL_NONE;
}

/* The one permission decision. NULL is nobody. */
bool atl_identity_may(const struct atl_identity *identity, enum atl_permission perm);

/* An identity for work the server does in a user's name without a request (schedules, commands). */
void atl_identity_internal(struct atl_identity *out, const char *user_id, const char *user_name, enum atl_role role);

#endif
