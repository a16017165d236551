/* impersonation.h - somebody who manages people works in another person's name for a while, to see what they see.
 *
 * It is a session of its own (session.h) with a row here that says who is behind it; without that row's time the session
 * is none. Its identity is the person's, with by_user_id set and what only the person or an operator may taken away:
 * keys and everything that manages. api/authorize.c writes each change of it to the audit log before it is done, and
 * keeps it from the account's own password, second factor, addresses and data. The person sees who it was, when and why.
 *
 * Whom: never oneself or an owner, nobody who may more (user_admin.h), only from a browser's session, never twice over.
 *
 * Life cycle: atl_impersonation_start() .. atl_impersonation_stop(), or ATL_IMPERSONATION_MS. Threads: pool threads.
 */
#ifndef ATL_CORE_IMPERSONATION_H
#define ATL_CORE_IMPERSONATION_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_IMPERSONATION_MS ((int64_t)60 * 60 * 1000)
#define ATL_IMPERSONATION_WHY_MAX 200
#define ATL_IMPERSONATIONS_SHOWN 50

struct atl_conn;
struct atl_impersonation {
	const char *id, *by_user_id, *by_user_name, *why; /* id: the session's */
	int64_t started_at, ended_at, expires_at;	  /* ended_at 0: it goes on */
};
extern const struct atl_json_desc atl_impersonation_desc;

/* A session as `user_id`; `token` goes into the cookie. FORBIDDEN, CONFLICT (oneself), NOT_FOUND, INVALID (no reason). */
enum atl_err atl_impersonation_start(struct atl_app *app, const struct atl_identity *who, const char *user_id, const char *why,
				     const char *user_agent, char ret_token[ATL_TOKEN_SIZE], struct atl_identity *ret,
				     struct atl_errinfo *info) ATL_MUST_USE;
/* `who` is the session itself. CONFLICT: nobody is behind it. */
enum atl_err atl_impersonation_stop(struct atl_app *app, const struct atl_identity *who, struct atl_errinfo *info) ATL_MUST_USE;
/* Inside a read: what the row says about a session, into its identity. AUTH: its time is over, or who began it may no more. */
enum atl_err atl_impersonation_give(struct atl_conn *conn, struct atl_identity *identity, struct atl_errinfo *info) ATL_MUST_USE;
/* One's own, newest first: who was it, when, why. */
enum atl_err atl_impersonation_list(struct atl_app *app, const char *user_id, struct atl_arena *arena,
				    struct atl_impersonation **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* One row for a change that is about to be made: `what` is method and path. */
enum atl_err atl_impersonation_note(struct atl_app *app, const struct atl_identity *who, const char *what,
				    struct atl_errinfo *info) ATL_MUST_USE;

#endif
