/* notice.h - what moderators tell an account: its thing is held, what was decided, how its report or appeal ended.
 *
 * Kinds: "held" (a thing of yours is out of sight while it is looked at), "decided" (about a thing of yours), "appeal"
 * (how your appeal ended), "report" (how your report ended). Whoever owns the thing is never told who reported it.
 *
 * Threads: blocking: pool threads; *_in inside a transaction. Ownership: the given arena. Limits: ATL_NOTICES_MAX shown.
 */
#ifndef ATL_CORE_NOTICE_H
#define ATL_CORE_NOTICE_H

#include "base/json.h"
#include "core/app.h"
#include "db/db.h"

#define ATL_NOTICES_MAX 200

struct atl_notice { /* the API's Notice */
	const char *id, *kind;
	const char *report_id; /* NULL: none */
	const char *target_kind, *target_id, *decision, *reason, *answer;
	bool may_appeal;
	int64_t created_at, read_at;
};
extern const struct atl_json_desc atl_notice_desc;

struct atl_notice_new {
	const char *user_id; /* NULL: nobody is left to tell */
	const char *kind, *report_id, *target_kind, *target_id, *decision, *reason, *answer;
};
enum atl_err atl_notice_add_in(struct atl_conn *conn, const struct atl_notice_new *notice,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* Newest first. */
enum atl_err atl_notice_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct atl_items *ret,
			     struct atl_errinfo *info) ATL_MUST_USE;
/* NOT_FOUND: not one of this account's. */
enum atl_err atl_notice_read(struct atl_app *app, const char *user_id, const char *id, struct atl_errinfo *info) ATL_MUST_USE;

#endif
