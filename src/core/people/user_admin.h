/* user_admin.h - what those who manage people do to accounts: look, give a role, suspend, approve, delete.
 *
 * Every change is one transaction with its row of the audit log, and reaches what is open before it returns: the cache of
 * credentials forgets the person, event streams end (pages come back with what they may now), and for a suspension or a
 * deletion sessions are gone, replies stop and jobs are cancelled.
 *
 * Whom one may touch: never oneself; an owner only as an owner; nobody whose role holds a permission that one lacks.
 * A role is given only by somebody who holds all of it. The last owner who can sign in stays.
 *
 * Threads: pool threads. Limits: ATL_USER_PAGE_MAX rows a page; ATL_USER_WHY_MAX bytes of reason.
 * With several servers on one database the others' caches follow within ATL_AUTH_CACHE_MS.
 */
#ifndef ATL_CORE_USER_ADMIN_H
#define ATL_CORE_USER_ADMIN_H

#include "base/json.h"
#include "core/people/user.h"

#define ATL_USER_PAGE_MAX 200
#define ATL_USER_WHY_MAX 200

struct atl_user_entry {
	const char *id, *name, *email, *role, *role_name;
	const char *state; /* "active", "waiting", "suspended" */
	const char *suspended_why;
	int64_t created_at, last_seen_at, suspended_until;
	int64_t held_since, erase_since; /* a legal hold; deleted, but held */
	const char *held_why;
	bool own; /* whoever asks */
	struct atl_strs groups; /* ids; only of atl_user_admin_get() */
};
extern const struct atl_json_desc atl_user_entry_desc;

struct atl_user_filter {
	const char *q;	   /* part of the name or address; NULL: all */
	const char *role;  /* NULL: all */
	const char *state; /* NULL: all */
	const char *after; /* id of the last one seen; NULL: from the newest */
	int64_t limit;
};

/* Newest first, at most filter->limit + 1 rows: the one more says that there is a next page. */
enum atl_err atl_user_admin_list(struct atl_app *app, const struct atl_identity *who, const struct atl_user_filter *filter,
				 struct atl_arena *arena, struct atl_user_entry **ret, size_t *ret_count,
				 struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_user_admin_get(struct atl_app *app, const struct atl_identity *who, const char *id, struct atl_arena *arena,
				struct atl_user_entry *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* NOT_FOUND, FORBIDDEN (whom one may touch), CONFLICT (oneself, the last owner, not in that state). */
enum atl_err atl_user_admin_role(struct atl_app *app, const struct atl_identity *who, const char *id, const char *role,
				 struct atl_errinfo *info) ATL_MUST_USE;
/* The groups the account is in from now on, by id. INVALID (field "groups"): there is no such group. */
#define ATL_USER_GROUPS_MAX 50
enum atl_err atl_user_admin_groups(struct atl_app *app, const struct atl_identity *who, const char *id,
				   const struct atl_strs *groups, struct atl_errinfo *info) ATL_MUST_USE;
/* until 0: until it is lifted. */
enum atl_err atl_user_admin_suspend(struct atl_app *app, const struct atl_identity *who, const char *id, int64_t until,
				    const char *why, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_user_admin_resume(struct atl_app *app, const struct atl_identity *who, const char *id,
				   struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_user_admin_approve(struct atl_app *app, const struct atl_identity *who, const char *id,
				    struct atl_errinfo *info) ATL_MUST_USE;
/* With everything that is the person's (core/people/erase.h). Providers the person set up belong to the server and stay.
 * An account that is held is closed, and erased when the hold is lifted. */
enum atl_err atl_user_admin_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				   struct atl_errinfo *info) ATL_MUST_USE;

/* One's own. CONFLICT: the last owner. */
enum atl_err atl_user_delete_own(struct atl_app *app, const struct atl_identity *who, struct atl_errinfo *info) ATL_MUST_USE;
/* A legal hold; why NULL lifts it. CONFLICT: it is held already, or not held. */
enum atl_err atl_user_admin_hold(struct atl_app *app, const struct atl_identity *who, const char *id, const char *why,
				 struct atl_errinfo *info) ATL_MUST_USE;

/* In a transaction: may `who` give this role? NOT_FOUND (field "role"), FORBIDDEN. */
enum atl_err atl_role_may_give(struct atl_conn *conn, const struct atl_identity *who, const char *role,
			       struct atl_errinfo *info) ATL_MUST_USE;

#endif
