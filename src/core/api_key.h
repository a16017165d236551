/* api_key.h - API keys: "atl_" and 32 random bytes, shown once, stored as SHA-256.
 *
 * Threads: pool threads. Limits: ATL_API_KEYS_MAX valid keys of one user.
 */
#ifndef ATL_CORE_API_KEY_H
#define ATL_CORE_API_KEY_H

#include "base/json.h"
#include "core/app.h"
#include "core/identity.h"

#define ATL_API_KEY_SIZE (4 + ATL_TOKEN_SIZE)
#define ATL_API_KEYS_MAX 200

struct atl_api_key {
	const char *id, *name, *prefix;
	struct atl_strs scopes;
	int64_t created_at, expires_at, last_used_at; /* 0: never */
	const char *key; /* right after creation only, else NULL */
};

/* Fills *ret, with the key itself. INVALID: unknown or no scope, expiry in the past. */
enum atl_err atl_api_key_create(struct atl_app *app, const struct atl_identity *who, const char *name,
				const struct atl_strs *scopes, int64_t expires_at, struct atl_arena *arena,
				struct atl_api_key *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* KEY when there is none, it is revoked or expired, or its user is disabled. */
enum atl_err atl_api_key_find(struct atl_app *app, const char *key_hash, struct atl_identity *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_api_key_list(struct atl_app *app, const char *user_id, struct atl_arena *arena,
			      struct atl_api_key **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* NOT_FOUND also for another user's. Also makes atl_auth forget it and ends its event streams. */
enum atl_err atl_api_key_revoke(struct atl_app *app, const struct atl_identity *who, const char *id,
				struct atl_errinfo *info) ATL_MUST_USE;

#endif
