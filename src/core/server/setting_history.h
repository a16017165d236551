/* setting_history.h - every change of a setting: from what to what, by whom and when; and taking one back.
 *
 * A row is written in the transaction of the change (setting.c). Settings that hold a secret are told as changed, without
 * their values. Taking back sets the value from before the change as a change of its own, under the same checks.
 *
 * Threads: pool threads (SQL). Limits: ATL_SETTING_HISTORY_MAX rows are listed; rows are kept.
 */
#ifndef ATL_CORE_SETTING_HISTORY_H
#define ATL_CORE_SETTING_HISTORY_H

#include "base/json.h"
#include "core/server/setting.h"
#include "db/db.h"

#define ATL_SETTING_HISTORY_MAX 200

struct atl_setting_change {
	const char *id, *name;
	const struct atl_json *was, *became; /* NULL: secret */
	const char *user_id, *user_name;     /* user_id NULL: the server itself */
	bool revertible;
	int64_t at;
};
extern const struct atl_json_desc atl_setting_change_desc;

/* Within the change's transaction; nothing when both are the same. */
enum atl_err atl_setting_history_in(struct atl_conn *conn, const struct atl_identity *who, enum atl_setting setting, const char *was,
				    const char *became, struct atl_errinfo *info) ATL_MUST_USE;
/* Newest first. */
enum atl_err atl_setting_history(struct atl_app *app, struct atl_arena *arena, struct atl_setting_change **ret, size_t *ret_count,
				 struct atl_errinfo *info) ATL_MUST_USE;
/* NOT_FOUND: no such change. CONFLICT: it is one that has its own page, or a secret. */
enum atl_err atl_setting_revert(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
				struct atl_errinfo *info) ATL_MUST_USE;

#endif
