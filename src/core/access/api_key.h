/* api_key.h - API keys: "atl_" and 32 random bytes, shown once, stored as SHA-256.
 *
 * Threads: pool threads. Limits: ATL_API_KEYS_MAX valid keys of one user.
 */
#ifndef ATL_CORE_API_KEY_H
#define ATL_CORE_API_KEY_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_API_KEY_SIZE (4 + ATL_TOKEN_SIZE)
#define ATL_API_KEYS_MAX 200

/* What its owner allows a key at most: kind and span as quotas have them (core/books/quota.h). */
struct atl_key_budget {
	const char *kind, *span;
	int64_t amount, used; /* used: in the window that is now, filled in by the list */
};

struct atl_api_key {
	const char *id, *name, *prefix;
	struct atl_strs scopes, models, addresses; /* models: patterns (core/people/rights.h); addresses: core/access/address.h. Empty: all */
	const struct atl_key_budget *budget;	   /* NULL: none */
	int64_t created_at, expires_at, last_used_at; /* 0: never */
	const char *key; /* right after creation only, else NULL */
};

/* What is asked for; NULL members stay as they are, or are without a limit in a new key. */
struct atl_api_key_change {
	const char *name;
	const struct atl_strs *scopes, *models, *addresses;
	const int64_t *expires_at; /* 0: never */
	const struct atl_key_budget *budget;
	bool no_budget; /* take it away */
};

/* Fills *ret, with the key itself; name and scopes are needed. INVALID: unknown or no scope, expiry in the past, a list or
 * budget that is none. FORBIDDEN: a limited key makes no keys. */
enum atl_err atl_api_key_create(struct atl_app *app, const struct atl_identity *who, const struct atl_api_key_change *wish,
				struct atl_arena *arena, struct atl_api_key *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Counts at once, for running streams too. NOT_FOUND also for another user's. */
enum atl_err atl_api_key_update(struct atl_app *app, const struct atl_identity *who, const char *id,
				const struct atl_api_key_change *wish, struct atl_arena *arena, struct atl_api_key *ret,
				struct atl_errinfo *info) ATL_MUST_USE;
/* KEY when there is none, it is revoked, or its user is disabled; KEY_EXPIRED. */
enum atl_err atl_api_key_find(struct atl_app *app, const char *key_hash, struct atl_identity *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_api_key_list(struct atl_app *app, const char *user_id, struct atl_arena *arena,
			      struct atl_api_key **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* NOT_FOUND also for another user's. Also makes atl_auth forget it and ends its event streams. */
enum atl_err atl_api_key_revoke(struct atl_app *app, const struct atl_identity *who, const char *id,
				struct atl_errinfo *info) ATL_MUST_USE;

#endif
