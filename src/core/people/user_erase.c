/* user_erase.c - the end of an account: by whoever manages people, by the person, and the hold that delays it. */
#include "base/clock.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "core/people/erase.h"
#include "core/people/user_int.h"
#include "db/db.h"

struct end {
	const struct atl_identity *who;
	const char *id;
	bool own;
	const char *why;
	/* results */
	bool held;
};

/* Providers go to whoever deletes, or to an owner who stays. */
static enum atl_err heir_of(struct atl_conn *conn, const struct end *end, struct atl_arena *arena, const char **ret,
			    struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err;

	*ret = end->who->user_id;
	if (!end->own)
		return ATL_OK;
	err = atl_query(conn, &rows, info, "SELECT id FROM users WHERE role = 'owner' AND id <> ? ORDER BY id LIMIT 1", "s", end->id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_CONFLICT, "The last owner stays one. Make another user owner first.");
	*ret = atl_col_text(rows, 0, arena);
	atl_rows_close(rows);
	return ATL_OK;
}

static enum atl_err is_held(struct atl_conn *conn, const char *id, bool *ret_held, bool *ret_owner, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT held_since, CASE WHEN role = 'owner' THEN 1 ELSE 0 END FROM users WHERE id = ?", "s", id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such user.");
	*ret_held = !atl_col_null(rows, 0);
	*ret_owner = atl_col_int(rows, 1) != 0;
	atl_rows_close(rows);
	return ATL_OK;
}

static enum atl_err may_end(struct atl_conn *conn, struct end *end, struct atl_errinfo *info)
{
	bool owner = false;
	enum atl_err err = is_held(conn, end->id, &end->held, &owner, info);

	if (err)
		return err;
	if (!end->own)
		return atl_user_may_touch(conn, end->who, end->id, true, info);
	return owner ? atl_user_keep_an_owner(conn, end->id, info) : ATL_OK;
}

static enum atl_err end_check(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return may_end(conn, arg, info);
}

/* Nobody signs in, nothing is lost, until the hold is lifted. */
static enum atl_err close_held(struct atl_conn *conn, const char *id, struct atl_errinfo *info)
{
	int64_t now = atl_now_ms();
	enum atl_err err = atl_exec(conn, info,
				    "UPDATE users SET erase_since = ?, disabled_at = ?, disabled_until = NULL, disabled_why = NULL, "
				    "updated_at = ? WHERE id = ?",
				    "iiis", now, now, now, id);

	if (!err)
		err = atl_exec(conn, info, "UPDATE api_keys SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL", "is", now, id);
	return err ? err : atl_exec(conn, info, "DELETE FROM sessions WHERE user_id = ?", "s", id);
}

static enum atl_err end_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct end *end = arg;
	struct atl_arena arena;
	const char *heir;
	enum atl_err err = may_end(conn, end, info);

	if (err)
		return err;
	atl_arena_init(&arena, 1024);
	err = heir_of(conn, end, &arena, &heir, info);
	if (!err)
		err = end->held ? close_held(conn, end->id, info) : atl_erase_user_in(conn, end->id, heir, info);
	if (!err)
		err = atl_audit(conn, &(struct atl_audit){ .who = end->who, .action = "user.delete", .target_kind = "user",
							   .target_id = end->id, .note = end->held ? "held: closed, not erased" : NULL },
				info);
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err end_account(struct atl_app *app, struct end *end, struct atl_errinfo *info)
{
	enum atl_err err = atl_db_read(app->db, end_check, end, info);

	if (err)
		return err;
	atl_user_stop_work(app, end->id);
	err = atl_db_tx(app->db, end_tx, end, info);
	if (err)
		return err;
	atl_user_reach(app, end->id);
	atl_user_stop_work(app, end->id); /* what began in between has no row any more, but may run */
	if (!end->held)
		atl_erase_soon(app, ATL_DB_SCRUB_WHOLE);
	return ATL_OK;
}

enum atl_err atl_user_admin_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				   struct atl_errinfo *info)
{
	struct end end = { .who = who, .id = id };

	return end_account(app, &end, info);
}

enum atl_err atl_user_delete_own(struct atl_app *app, const struct atl_identity *who, struct atl_errinfo *info)
{
	struct end end = { .who = who, .id = who->user_id, .own = true };

	return end_account(app, &end, info);
}

/* ---- holds ---- */

static enum atl_err hold_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct end *end = arg;
	int64_t changed = 0;
	enum atl_err err = atl_user_may_touch(conn, end->who, end->id, false, info);

	if (err)
		return err;
	if (end->why)
		err = atl_exec_count(conn, &changed, info,
				     "UPDATE users SET held_since = ?, held_why = ? WHERE id = ? AND held_since IS NULL", "iss",
				     atl_now_ms(), end->why, end->id);
	else
		err = atl_exec_count(conn, &changed, info,
				     "UPDATE users SET held_since = NULL, held_why = NULL WHERE id = ? AND held_since IS NOT NULL", "s",
				     end->id);
	if (!err && !changed)
		err = atl_fail(info, ATL_ERR_CONFLICT, end->why ? "This account is held already." : "This account is not held.");
	return err ? err : atl_audit(conn, &(struct atl_audit){ .who = end->who, .action = end->why ? "user.hold" : "user.unhold",
								.target_kind = "user", .target_id = end->id, .note = end->why }, info);
}

enum atl_err atl_user_admin_hold(struct atl_app *app, const struct atl_identity *who, const char *id, const char *why,
				 struct atl_errinfo *info)
{
	struct end end = { .who = who, .id = id, .why = why };
	enum atl_err err;

	if (why && (!*why || strlen(why) > ATL_USER_WHY_MAX))
		return atl_fail_field(info, ATL_ERR_INVALID, "why", "A reason has 1 to %d bytes.", ATL_USER_WHY_MAX);
	err = atl_db_tx(app->db, hold_tx, &end, info);
	return err || why ? err : atl_erase_tick(app, info);
}
