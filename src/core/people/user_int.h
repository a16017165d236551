/* user_int.h - what the files of core/user_* share: whom one may touch, and what a change of an account reaches. Only
 * src/core/people/user_admin.c, user_erase.c and export.c include it.
 *
 * Threads: pool threads; those with a connection inside a transaction or a read.
 */
#ifndef ATL_CORE_USER_INT_H
#define ATL_CORE_USER_INT_H

#include "core/people/user_admin.h"

struct atl_conn;

/* NOT_FOUND, FORBIDDEN, CONFLICT; takes_owner: the change takes an owner away, so another one must stay. */
enum atl_err atl_user_may_touch(struct atl_conn *conn, const struct atl_identity *who, const char *id, bool takes_owner,
				struct atl_errinfo *info) ATL_MUST_USE;
/* Somebody else must be left who is owner and can sign in. */
enum atl_err atl_user_keep_an_owner(struct atl_conn *conn, const char *id, struct atl_errinfo *info) ATL_MUST_USE;
/* Caches forget the person, event streams end. */
void atl_user_reach(struct atl_app *app, const char *id);
/* Replies being written and jobs that wait or run. What fails is logged: the account is closed all the same. */
void atl_user_stop_work(struct atl_app *app, const char *id);

#endif
