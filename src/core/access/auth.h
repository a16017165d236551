/* auth.h - credentials to identity, from memory: the authorise hook asks it on the loop thread without SQL.
 *
 * A cache of sessions and keys by the hash of their secret. A miss is answered in the pool from the database and
 * remembered; a wrong secret is remembered too, for a short time. Revoking forgets at once. Times of last use are
 * collected and written back by atl_auth_flush().
 *
 * Life cycle: atl_auth_create() .. atl_auth_destroy(). Threads: any; atl_auth_lookup() and atl_auth_flush() block.
 * Limits:     ATL_AUTH_CACHE_MAX entries (then the cache starts over), ATL_AUTH_CACHE_MS old at most.
 */
#ifndef ATL_CORE_AUTH_H
#define ATL_CORE_AUTH_H

#include "core/access/identity.h"
#include "core/app.h"

#define ATL_AUTH_CACHE_MAX 20000
#define ATL_AUTH_CACHE_MS 60000
#define ATL_AUTH_MISS_MS 5000
#define ATL_AUTH_FLUSH_MS 60000

/* Where identities keep the lists of their roles; NULL without a cache (commands), which then have no limits. */
struct atl_rights_book;
struct atl_rights_book *atl_auth_rights(struct atl_auth_cache *auth);

enum atl_auth_answer { ATL_AUTH_KNOWN, ATL_AUTH_REFUSED, ATL_AUTH_ASK };

enum atl_err atl_auth_create(struct atl_auth_cache **ret) ATL_MUST_USE;
void atl_auth_destroy(struct atl_auth_cache *auth); /* NULL is allowed */

/* KNOWN: *ret is set. REFUSED: surely not valid. ASK: call atl_auth_lookup() in the pool. Never blocks. */
enum atl_auth_answer atl_auth_cached(struct atl_auth_cache *auth, enum atl_identity_channel channel, const char *secret,
				     struct atl_identity *ret);
/* Ask the database. AUTH (cookie) or KEY when the secret is not valid. */
enum atl_err atl_auth_lookup(struct atl_app *app, enum atl_identity_channel channel, const char *secret,
			     struct atl_identity *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Forget a session or key by its id, or all of a user. */
void atl_auth_forget(struct atl_auth_cache *auth, const char *session_or_key_id);
void atl_auth_forget_user(struct atl_auth_cache *auth, const char *user_id);
/* The same for what another server forgot; both NULL: everything. Nobody is told. */
void atl_auth_forget_here(struct atl_auth_cache *auth, const char *session_or_key_id, const char *user_id);
/* Who is told of each forgetting but that (core/server/peers.h): a session or key, or a user. Called with a lock: short. */
void atl_auth_on_forget(struct atl_auth_cache *auth, void (*told)(void *arg, const char *id, bool user), void *arg);
/* A user, session or key that is no more (suspended, deleted, revoked): what runs for it is to stop. Its id is remembered
 * for those who ask below. */
void atl_auth_end(struct atl_auth_cache *auth, const char *id);
/* Was one of the three ended since then (atl_monotonic_ms())? Any thread, without a lock where nothing was ended. */
bool atl_auth_ended(struct atl_auth_cache *auth, const struct atl_identity *who, uint64_t since_ms);
/* Write the times of last use; called now and then and at the end. */
enum atl_err atl_auth_flush(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;

#endif
