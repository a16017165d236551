/* impersonation.c - see impersonation.h. */
#include "core/people/impersonation.h"

#include "base/clock.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/access/session.h"
#include "core/people/audit.h"
#include "core/people/role.h"
#include "core/people/user_int.h"
#include "db/db.h"

#define OFF(member) offsetof(struct atl_impersonation, member)

static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "by_user_id", ATL_JT_STR, OFF(by_user_id), ATL_JF_REQUIRED },
	{ "by_user_name", ATL_JT_STR, OFF(by_user_name), ATL_JF_REQUIRED },
	{ "why", ATL_JT_STR, OFF(why), ATL_JF_REQUIRED },
	{ "started_at", ATL_JT_TIME, OFF(started_at), ATL_JF_REQUIRED },
	{ "expires_at", ATL_JT_TIME, OFF(expires_at), ATL_JF_REQUIRED },
	{ "ended_at", ATL_JT_TIME, OFF(ended_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "null: it goes on" },
};
const struct atl_json_desc atl_impersonation_desc = { "Impersonation", "Somebody who manages people worked in one's name.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_impersonation), ATL_JSON_NO_PRESENT, false };

/* ---- beginning ---- */

struct start {
	const struct atl_identity *who;
	const char *user_id, *why, *session_id; /* session_id NULL: only asked whether it may be */
	int64_t now;
};

static enum atl_err check(struct atl_conn *conn, const struct start *start, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	bool owner = false, open = false;
	enum atl_err err = atl_user_may_touch(conn, start->who, start->user_id, false, info);

	if (!err)
		err = atl_query(conn, &rows, info,
				"SELECT CASE WHEN role = 'owner' THEN 1 ELSE 0 END, CASE WHEN waiting_since IS NULL AND "
				"(disabled_at IS NULL OR disabled_until <= ?) THEN 1 ELSE 0 END FROM users WHERE id = ?",
				"is", start->now, start->user_id);
	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		owner = atl_col_int(rows, 0) != 0;
		open = atl_col_int(rows, 1) != 0;
		atl_rows_close(rows);
	}
	if (!err && owner)
		return atl_fail(info, ATL_ERR_FORBIDDEN, "Nobody works in an owner's name.");
	if (!err && !open)
		return atl_fail(info, ATL_ERR_CONFLICT, "This account cannot sign in now, so nobody can work in its name.");
	return err;
}

static enum atl_err start_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct start *start = arg;
	enum atl_err err = check(conn, start, info);

	if (err || !start->session_id)
		return err;
	err = atl_exec(conn, info,
		       "INSERT INTO impersonations (session_id, user_id, by_user_id, by_user_name, why, started_at, expires_at) "
		       "VALUES (?, ?, ?, ?, ?, ?, ?)",
		       "sssssii", start->session_id, start->user_id, start->who->user_id, start->who->user_name, start->why, start->now,
		       start->now + ATL_IMPERSONATION_MS);
	return err ? err : atl_audit(conn, &(struct atl_audit){ .who = start->who, .action = "impersonation.start",
								.target_kind = "user", .target_id = start->user_id,
								.note = start->why }, info);
}

enum atl_err atl_impersonation_start(struct atl_app *app, const struct atl_identity *who, const char *user_id, const char *why,
				     const char *user_agent, char ret_token[ATL_TOKEN_SIZE], struct atl_identity *ret,
				     struct atl_errinfo *info)
{
	struct start start = { .who = who, .user_id = user_id, .why = why, .now = atl_now_ms() };
	struct atl_identity made;
	char token[ATL_TOKEN_SIZE];
	enum atl_err err;

	if (who->channel != ATL_CHANNEL_COOKIE || who->by_user_id[0])
		return atl_fail(info, ATL_ERR_FORBIDDEN, "This begins on the page, with a session of your own.");
	if (atl_str_empty(why))
		return atl_fail_field(info, ATL_ERR_INVALID, "why", "Say why: the person reads it.");
	err = atl_db_tx(app->db, start_tx, &start, info);
	if (!err)
		err = atl_session_create(app, user_id, user_agent, who->remote, token, &made, info);
	if (err)
		return err;
	start.session_id = made.session_id;
	err = atl_db_tx(app->db, start_tx, &start, info);
	if (!err)
		err = atl_auth_lookup(app, ATL_CHANNEL_COOKIE, token, ret, info);
	if (!err)
		memcpy(ret_token, token, ATL_TOKEN_SIZE);
	else if (atl_session_delete(app, NULL, user_id, made.session_id, NULL) != ATL_OK)
		err = atl_fail(info, ATL_ERR_DB, "A session that should not be could not be taken back."); /* its token is nowhere */
	atl_wipe(token, sizeof(token));
	return err;
}

/* ---- ending ---- */

static enum atl_err stop_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct atl_identity *who = arg;

	return atl_exec(conn, info, "UPDATE impersonations SET ended_at = ? WHERE session_id = ? AND ended_at IS NULL", "is",
			atl_now_ms(), who->session_id);
}

enum atl_err atl_impersonation_stop(struct atl_app *app, const struct atl_identity *who, struct atl_errinfo *info)
{
	enum atl_err err;

	if (!who->by_user_id[0])
		return atl_fail(info, ATL_ERR_CONFLICT, "This is your own session.");
	err = atl_audit_tx(app->db, stop_tx, (void *)who,
			   &(struct atl_audit){ .who = who, .action = "impersonation.stop", .target_kind = "user",
						.target_id = who->user_id }, info);
	if (!err)
		err = atl_session_delete(app, NULL, who->user_id, who->session_id, info);
	return err == ATL_ERR_NOT_FOUND ? ATL_OK : err;
}

/* ---- what it is ---- */

/* May whoever began it still manage people? A role that was taken away ends it with the cache's time. */
static enum atl_err still_manages(struct atl_conn *conn, const char *user_id, bool *ret, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct atl_rows *rows;
	enum atl_role role;
	uint32_t permissions = 0;
	const char *text = NULL;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT role FROM users WHERE id = ? AND (disabled_at IS NULL OR disabled_until <= ?)", "si",
				     user_id, atl_now_ms());

	*ret = false;
	if (err)
		return err;
	atl_arena_init(&arena, 4096);
	if (atl_rows_next(rows, &err, info)) {
		text = atl_col_text(rows, 0, &arena);
		atl_rows_close(rows);
	}
	if (!err && text)
		err = atl_role_load(conn, text, &role, &permissions, info);
	atl_arena_finish(&arena);
	*ret = permissions & ATL_PERM_BIT(ATL_PERM_PEOPLE_MANAGE);
	return err;
}

enum atl_err atl_impersonation_give(struct atl_conn *conn, struct atl_identity *identity, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct atl_rows *rows;
	int64_t expires_at = 0;
	bool found = false, over = false, manages = false;
	const char *id, *name;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT by_user_id, by_user_name, expires_at, ended_at FROM impersonations WHERE session_id = ?",
				     "s", identity->session_id);

	if (err)
		return err;
	atl_arena_init(&arena, 4096);
	if (atl_rows_next(rows, &err, info)) {
		found = true;
		id = atl_col_text(rows, 0, &arena);
		name = atl_col_text(rows, 1, &arena);
		over = !id || !name || !atl_str_copy(identity->by_user_id, sizeof(identity->by_user_id), id);
		(void)atl_str_copy(identity->by_user_name, sizeof(identity->by_user_name), name ? name : "");
		expires_at = atl_col_int(rows, 2);
		over |= !atl_col_null(rows, 3) || expires_at <= atl_now_ms();
		atl_rows_close(rows);
	}
	atl_arena_finish(&arena);
	if (err || !found)
		return err;
	err = still_manages(conn, identity->by_user_id, &manages, info);
	if (!err && (over || !manages))
		return atl_fail(info, ATL_ERR_AUTH, "The time in another person's name is over. Sign in again.");
	if (expires_at < identity->expires_at_ms)
		identity->expires_at_ms = expires_at;
	identity->permissions &= atl_role_permissions(ATL_ROLE_MEMBER) & ~ATL_PERM_BIT(ATL_PERM_KEYS_MANAGE);
	return err;
}

struct list {
	const char *user_id;
	struct atl_arena *arena;
	struct atl_impersonation *items;
	size_t count;
};

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct list *list = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT session_id, by_user_id, by_user_name, why, started_at, ended_at, expires_at FROM "
				     "impersonations WHERE user_id = ? ORDER BY started_at DESC, session_id DESC LIMIT ?",
				     "si", list->user_id, (int64_t)ATL_IMPERSONATIONS_SHOWN);

	list->count = 0;
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		struct atl_impersonation *item = &list->items[list->count++];

		*item = (struct atl_impersonation){ .id = atl_col_text(rows, 0, list->arena), .by_user_id = atl_col_text(rows, 1, list->arena),
			.by_user_name = atl_col_text(rows, 2, list->arena), .why = atl_col_text(rows, 3, list->arena),
			.started_at = atl_col_int(rows, 4), .ended_at = atl_col_int(rows, 5), .expires_at = atl_col_int(rows, 6) };
		if (!item->ended_at && item->expires_at <= atl_now_ms())
			item->ended_at = item->expires_at;
	}
	return err;
}

enum atl_err atl_impersonation_list(struct atl_app *app, const char *user_id, struct atl_arena *arena,
				    struct atl_impersonation **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct list list = { .user_id = user_id, .arena = arena,
			     .items = ATL_ARENA_ARRAY(arena, struct atl_impersonation, ATL_IMPERSONATIONS_SHOWN) };
	enum atl_err err;

	if (!list.items)
		return atl_fail(info, ATL_ERR_NOMEM, "list impersonations");
	err = atl_db_read(app->db, list_read, &list, info);
	*ret = list.items;
	*ret_count = list.count;
	return err;
}

static enum atl_err note_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_audit(conn, arg, info);
}

enum atl_err atl_impersonation_note(struct atl_app *app, const struct atl_identity *who, const char *what, struct atl_errinfo *info)
{
	struct atl_audit row = { .who = who, .action = "impersonation.change", .target_kind = "user", .target_id = who->user_id,
				 .note = what };

	return atl_db_tx(app->db, note_tx, &row, info);
}
