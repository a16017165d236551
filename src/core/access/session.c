/* session.c - SQL of sessions. */
#include "core/access/session.h"

#include "base/clock.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/people/audit.h"
#include "core/people/impersonation.h"
#include "core/people/rights.h"
#include "core/people/role.h"
#include "core/server/announcement.h"
#include "core/server/events.h"
#include "db/db.h"

#define USER_AGENT_MAX 200

struct create {
	struct atl_app *app;
	const char *user_id, *user_agent, *remote;
	char hash[ATL_SESSION_HASH_SIZE], id[ATL_ID_SIZE], csrf[ATL_TOKEN_SIZE];
	int64_t now, expires_at;
};

/* May they, while the server is being worked on? And the audit log's row. */
static enum atl_err admit(struct atl_conn *conn, const struct create *create, struct atl_errinfo *info)
{
	struct atl_identity who = { .channel = ATL_CHANNEL_COOKIE };
	struct atl_arena arena;
	struct atl_rows *rows;
	const char *name = NULL, *role = NULL;
	uint32_t permissions = 0;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT name, role FROM users WHERE id = ?", "s", create->user_id);

	if (err)
		return err;
	atl_arena_init(&arena, 4096);
	if (atl_rows_next(rows, &err, info)) {
		name = atl_col_text(rows, 0, &arena);
		role = atl_col_text(rows, 1, &arena);
		atl_rows_close(rows);
	}
	if (!err && role)
		err = atl_role_load(conn, role, &who.role, &permissions, info);
	if (!err)
		err = atl_maintenance_refuses(create->app, permissions, info);
	atl_str_copy(who.user_id, sizeof(who.user_id), create->user_id);
	atl_str_copy(who.user_name, sizeof(who.user_name), name ? name : "");
	atl_arena_finish(&arena);
	return err ? err : atl_audit(conn, &(struct atl_audit){ .who = &who, .remote = create->remote, .action = "session.sign_in",
								.target_kind = "session", .target_id = create->id }, info);
}

static enum atl_err create_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct create *create = arg;
	enum atl_err err;

	/* Make room: the longest unused ones beyond the limit go. */
	err = atl_exec(conn, info,
		       "DELETE FROM sessions WHERE user_id = ? AND id NOT IN (SELECT id FROM sessions WHERE user_id = ? "
		       "ORDER BY last_seen_at DESC, id DESC LIMIT ?)",
		       "ssi", create->user_id, create->user_id, (int64_t)(ATL_SESSIONS_MAX - 1));
	if (err)
		return err;
	err = atl_exec(conn, info,
			"INSERT INTO sessions (token_hash, id, user_id, csrf_token, user_agent, remote, created_at, "
			"last_seen_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			"ssssssiii", create->hash, create->id, create->user_id, create->csrf, create->user_agent,
			create->remote, create->now, create->now, create->expires_at);
	return err ? err : admit(conn, create, info);
}

enum atl_err atl_session_create(struct atl_app *app, const char *user_id, const char *user_agent, const char *remote,
				char ret_token[ATL_TOKEN_SIZE], struct atl_identity *identity, struct atl_errinfo *info)
{
	struct create create = { .app = app, .user_id = user_id, .remote = remote, .now = atl_now_ms() };
	char token[ATL_TOKEN_SIZE], agent[USER_AGENT_MAX + 1];
	enum atl_err err;

	atl_str_copy(agent, sizeof(agent), user_agent ? user_agent : "");
	create.user_agent = atl_utf8_valid(agent, strlen(agent)) ? agent : "";
	create.expires_at = create.now + app->session_ttl_ms;
	atl_token_new(token);
	atl_token_new(create.csrf);
	atl_id_new("ses", create.id);
	atl_sha256_hex(token, strlen(token), create.hash);
	err = atl_db_tx(app->db, create_tx, &create, info);
	if (!err)
		err = atl_session_find(app, create.hash, identity, NULL, info);
	if (!err)
		memcpy(ret_token, token, ATL_TOKEN_SIZE);
	atl_wipe(token, sizeof(token));
	return err;
}

struct find {
	struct atl_rights_book *rights;
	const char *hash, *user_id;
	struct atl_identity identity;
	int64_t last_seen_at;
	struct atl_arena *arena;
	struct atl_session *sessions;
	size_t count;
};

static void copy_col(char *dst, size_t size, struct atl_rows *rows, int col, struct atl_arena *arena)
{
	const char *text = atl_col_text(rows, col, arena);

	atl_str_copy(dst, size, text ? text : "");
}

static enum atl_err find_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct find *find = arg;
	struct atl_identity *identity = &find->identity;
	struct atl_rows *rows;
	struct atl_arena arena;
	char role[ATL_ID_SIZE];
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT u.id, u.name, u.role, s.id, s.csrf_token, s.expires_at, s.last_seen_at "
				     "FROM sessions s JOIN users u ON u.id = s.user_id "
				     "WHERE s.token_hash = ? AND s.expires_at > ? AND u.waiting_since IS NULL "
				     "AND (u.disabled_at IS NULL OR u.disabled_until <= ?)",
				     "sii", find->hash, atl_now_ms(), atl_now_ms());

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_AUTH, "The session has ended. Sign in again.");
	atl_arena_init(&arena, 65536);
	memset(identity, 0, sizeof(*identity));
	copy_col(identity->user_id, sizeof(identity->user_id), rows, 0, &arena);
	copy_col(identity->user_name, sizeof(identity->user_name), rows, 1, &arena);
	copy_col(role, sizeof(role), rows, 2, &arena);
	copy_col(identity->session_id, sizeof(identity->session_id), rows, 3, &arena);
	copy_col(identity->csrf_token, sizeof(identity->csrf_token), rows, 4, &arena);
	identity->expires_at_ms = atl_col_int(rows, 5);
	find->last_seen_at = atl_col_int(rows, 6);
	atl_rows_close(rows);
	atl_arena_finish(&arena);
	err = atl_role_give(conn, find->rights, role, identity, info);
	if (!err)
		err = atl_impersonation_give(conn, identity, info);
	if (err)
		return err;
	identity->channel = ATL_CHANNEL_COOKIE;
	return identity->user_id[0] && identity->csrf_token[0] ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "read session");
}

enum atl_err atl_session_find(struct atl_app *app, const char *token_hash, struct atl_identity *ret,
			      int64_t *ret_last_seen_at, struct atl_errinfo *info)
{
	struct find find = { .rights = atl_auth_rights(app->auth), .hash = token_hash };
	enum atl_err err = atl_db_read(app->db, find_read, &find, info);

	if (err)
		return err;
	*ret = find.identity;
	if (ret_last_seen_at)
		*ret_last_seen_at = find.last_seen_at;
	return ATL_OK;
}

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct find *find = arg;
	struct atl_rows *rows;
	enum atl_err err;

	find->count = 0;
	err = atl_query(conn, &rows, info,
			"SELECT id, user_id, user_agent, remote, created_at, last_seen_at, expires_at FROM sessions "
			"WHERE user_id = ? AND expires_at > ? ORDER BY last_seen_at DESC, id DESC LIMIT ?",
			"sii", find->user_id, atl_now_ms(), (int64_t)ATL_SESSIONS_MAX);
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		struct atl_session *session = &find->sessions[find->count++];

		session->id = atl_col_text(rows, 0, find->arena);
		session->user_id = atl_col_text(rows, 1, find->arena);
		session->user_agent = atl_col_text(rows, 2, find->arena);
		session->remote = atl_col_text(rows, 3, find->arena);
		session->created_at = atl_col_int(rows, 4);
		session->last_seen_at = atl_col_int(rows, 5);
		session->expires_at = atl_col_int(rows, 6);
	}
	return err;
}

enum atl_err atl_session_list(struct atl_app *app, const char *user_id, struct atl_arena *arena,
			      struct atl_session **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct find find = { .user_id = user_id, .arena = arena };
	enum atl_err err;

	find.sessions = ATL_ARENA_ARRAY(arena, struct atl_session, ATL_SESSIONS_MAX);
	if (!find.sessions)
		return atl_fail(info, ATL_ERR_NOMEM, "list sessions");
	err = atl_db_read(app->db, list_read, &find, info);
	if (err)
		return err;
	*ret = find.sessions;
	*ret_count = find.count;
	return ATL_OK;
}

struct removal {
	const char *user_id, *id, *keep_id;
};

static enum atl_err delete_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct removal *removal = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info, "DELETE FROM sessions WHERE id = ? AND user_id = ?", "ss",
					  removal->id, removal->user_id);

	if (!err && changed == 0)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such session.");
	return err;
}

enum atl_err atl_session_delete(struct atl_app *app, const struct atl_identity *who, const char *user_id, const char *id,
				struct atl_errinfo *info)
{
	struct removal removal = { .user_id = user_id, .id = id };
	bool own = who && atl_str_eq(who->session_id, id);
	const struct atl_audit audit = { .who = who, .action = own ? "session.sign_out" : "session.revoke",
					 .target_kind = "session", .target_id = id };
	enum atl_err err = atl_audit_tx(app->db, delete_tx, &removal, who ? &audit : NULL, info);

	if (err)
		return err;
	if (app->auth) {
		atl_auth_forget(app->auth, id);
		atl_auth_end(app->auth, id);
	}
	if (app->events)
		atl_events_end_session(app->events, user_id, id);
	return ATL_OK;
}

enum atl_err atl_session_delete_others(struct atl_app *app, const char *user_id, const char *keep_id,
				       struct atl_errinfo *info)
{
	struct atl_session *sessions;
	struct atl_arena arena;
	size_t count;
	enum atl_err err;

	atl_arena_init(&arena, 0);
	err = atl_session_list(app, user_id, &arena, &sessions, &count, info);
	for (size_t i = 0; !err && i < count; i++) {
		if (keep_id && atl_str_eq(sessions[i].id, keep_id))
			continue;
		err = atl_session_delete(app, NULL, user_id, sessions[i].id, info);
		if (err == ATL_ERR_NOT_FOUND) /* it went meanwhile */
			err = ATL_OK;
	}
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err purge_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return atl_exec(conn, info, "DELETE FROM sessions WHERE expires_at <= ?", "i", *(int64_t *)arg);
}

enum atl_err atl_session_purge(struct atl_app *app, struct atl_errinfo *info)
{
	int64_t now = atl_now_ms();

	return atl_db_tx(app->db, purge_tx, &now, info);
}
