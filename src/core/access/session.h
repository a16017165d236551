/* session.h - sign-ins of browsers, in the database. The cookie's token is stored as its SHA-256 only.
 *
 * Requests are not decided here but by auth.h, which keeps what it has seen in memory.
 *
 * Threads: pool threads.
 */
#ifndef ATL_CORE_SESSION_H
#define ATL_CORE_SESSION_H

#include "base/arena.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_SESSION_HASH_SIZE (ATL_SHA256_SIZE * 2 + 1)
#define ATL_SESSIONS_MAX 50 /* of one user; the longest unused one goes */

struct atl_session {
	const char *id, *user_id, *user_agent, *remote;
	int64_t created_at, last_seen_at, expires_at;
	bool current; /* filled in by the caller */
};

/* `token` goes into the cookie and is not kept. *identity is what the new session stands for. */
enum atl_err atl_session_create(struct atl_app *app, const char *user_id, const char *user_agent, const char *remote,
				char ret_token[ATL_TOKEN_SIZE], struct atl_identity *identity,
				struct atl_errinfo *info) ATL_MUST_USE;
/* AUTH when there is none, it has expired or its user is disabled. *ret_last_seen may be NULL. */
enum atl_err atl_session_find(struct atl_app *app, const char *token_hash, struct atl_identity *ret,
			      int64_t *ret_last_seen_at, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_session_list(struct atl_app *app, const char *user_id, struct atl_arena *arena,
			      struct atl_session **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* `who` ends it, told in the audit log; NULL: a larger change that is told itself.
 * NOT_FOUND also for another user's. Also makes atl_auth forget it and ends its event streams. */
enum atl_err atl_session_delete(struct atl_app *app, const struct atl_identity *who, const char *user_id, const char *id,
				struct atl_errinfo *info) ATL_MUST_USE;
/* All of a user's sessions but `keep_id` (NULL: all). */
enum atl_err atl_session_delete_others(struct atl_app *app, const char *user_id, const char *keep_id,
				       struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_session_purge(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE; /* expired ones */

#endif
