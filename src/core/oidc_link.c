/* oidc_link.c - whom sign-in services mean: (issuer, subject) -> a person. */
#include "core/oidc_int.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/audit.h"
#include "core/user.h"
#include "db/db.h"

struct access {
	const char *issuer, *sub, *user_id, *id;
	const struct atl_identity *who;
	const struct atl_oidc_link_new *link;
	char found[ATL_ID_SIZE];
	struct atl_arena *arena;
	struct atl_oidc_link *rows;
	size_t count;
};

static enum atl_err find(struct atl_conn *conn, const char *issuer, const char *sub, char ret[ATL_ID_SIZE],
			 struct atl_errinfo *info)
{
	struct atl_rows *rows;
	struct atl_arena arena;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT user_id FROM external_logins WHERE issuer = ? AND subject = ?", "ss", issuer, sub);

	ret[0] = '\0';
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	atl_arena_init(&arena, 4096);
	atl_str_copy(ret, ATL_ID_SIZE, atl_col_text(rows, 0, &arena));
	atl_rows_close(rows);
	atl_arena_finish(&arena);
	return ATL_OK;
}

static enum atl_err find_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct access *access = arg;
	enum atl_err err = find(conn, access->issuer, access->sub, access->found, info);

	if (err || !access->found[0])
		return err;
	return atl_exec(conn, info, "UPDATE external_logins SET last_used_at = ? WHERE issuer = ? AND subject = ?", "iss",
			atl_now_ms(), access->issuer, access->sub);
}

enum atl_err atl_oidc_link_find(struct atl_app *app, const char *issuer, const char *sub, char ret_user_id[ATL_ID_SIZE],
				struct atl_errinfo *info)
{
	struct access access = { .issuer = issuer, .sub = sub };
	enum atl_err err = atl_db_tx(app->db, find_tx, &access, info);

	memcpy(ret_user_id, access.found, ATL_ID_SIZE);
	return err;
}

static enum atl_err count(struct atl_conn *conn, int64_t *ret, struct atl_errinfo *info, const char *sql, const char *a,
			  const char *b)
{
	struct atl_rows *rows;
	enum atl_err err = b ? atl_query(conn, &rows, info, sql, "ssi", a, b, atl_now_ms()) :
			       atl_query(conn, &rows, info, sql, "s", a);

	*ret = 0;
	if (!err && atl_rows_next(rows, &err, info)) {
		*ret = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	return err;
}

static enum atl_err check_linking(struct atl_conn *conn, const struct atl_oidc_link_new *link, struct atl_errinfo *info)
{
	int64_t found = 1;
	enum atl_err err = ATL_OK;

	if (link->session_id) {
		err = count(conn, &found, info, "SELECT count(*) FROM sessions WHERE id = ? AND user_id = ? AND expires_at > ?",
			    link->session_id, link->user_id);
		if (!err && !found)
			return atl_fail(info, ATL_ERR_GONE, "The session has ended meanwhile. Sign in again.");
	}
	if (!err)
		err = count(conn, &found, info, "SELECT count(*) FROM external_logins WHERE user_id = ?", link->user_id, NULL);
	if (!err && found >= ATL_OIDC_LINKS_MAX)
		return atl_fail(info, ATL_ERR_CONFLICT, "The account has too many sign-in services.");
	return err;
}

static enum atl_err add_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct atl_oidc_link_new *link = ((struct access *)arg)->link;
	struct atl_audit audit = { .remote = link->remote, .action = "login.link", .target_kind = "user",
				   .target_id = link->user_id, .note = link->issuer };
	char owner[ATL_ID_SIZE], id[ATL_ID_SIZE];
	enum atl_err err = find(conn, link->issuer, link->sub, owner, info);

	if (err)
		return err;
	if (owner[0])
		return atl_str_eq(owner, link->user_id) ?
			       ATL_OK :
			       atl_fail(info, ATL_ERR_CONFLICT, "This sign-in belongs to another account already.");
	if (link->new_name)
		err = atl_user_insert(conn, &(struct atl_user_new){ .id = link->user_id, .name = link->new_name, .role = "member",
								    .password_hash = ATL_USER_NO_PASSWORD }, info);
	if (err)
		return err;
	err = check_linking(conn, link, info);
	atl_id_new("lgn", id);
	if (!err)
		err = atl_exec(conn, info,
			       "INSERT INTO external_logins (id, issuer, subject, user_id, label, created_at, last_used_at) "
			       "VALUES (?, ?, ?, ?, ?, ?, ?)",
			       "sssssii", id, link->issuer, link->sub, link->user_id, link->label ? link->label : "", atl_now_ms(),
			       atl_now_ms());
	if (err && atl_conn_unique_violation(conn))
		return atl_fail(info, ATL_ERR_CONFLICT, "This sign-in belongs to another account already.");
	return err ? err : atl_audit(conn, &audit, info);
}

enum atl_err atl_oidc_link_add(struct atl_app *app, const struct atl_oidc_link_new *link, struct atl_errinfo *info)
{
	struct access access = { .link = link };

	return atl_db_tx(app->db, add_tx, &access, info);
}

/* ---- one's own ---- */

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct access *access = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT l.id, l.issuer, coalesce(p.name, l.issuer), l.label, l.created_at, l.last_used_at "
				     "FROM external_logins l LEFT JOIN login_providers p ON p.issuer = l.issuer "
				     "WHERE l.user_id = ? ORDER BY l.created_at, l.id LIMIT ?",
				     "si", access->user_id, (int64_t)ATL_OIDC_LINKS_MAX);

	access->count = 0;
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		struct atl_oidc_link *row = &access->rows[access->count++];

		row->id = atl_col_text(rows, 0, access->arena);
		row->issuer = atl_col_text(rows, 1, access->arena);
		row->name = atl_col_text(rows, 2, access->arena);
		row->label = atl_col_text(rows, 3, access->arena);
		row->created_at = atl_col_int(rows, 4);
		row->last_used_at = atl_col_int(rows, 5);
	}
	return err;
}

enum atl_err atl_oidc_links(struct atl_app *app, const char *user_id, struct atl_arena *arena, struct atl_oidc_link **ret,
			    size_t *ret_count, struct atl_errinfo *info)
{
	struct access access = { .user_id = user_id, .arena = arena,
				 .rows = ATL_ARENA_ARRAY(arena, struct atl_oidc_link, ATL_OIDC_LINKS_MAX) };
	enum atl_err err = access.rows ? atl_db_read(app->db, list_read, &access, info) :
					 atl_fail(info, ATL_ERR_NOMEM, "list sign-ins");

	*ret = access.rows;
	*ret_count = err ? 0 : access.count;
	return err;
}

static enum atl_err unlink_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct access *access = arg;
	struct atl_audit audit = { .who = access->who, .remote = access->who->remote, .action = "login.unlink",
				   .target_kind = "user", .target_id = access->who->user_id, .note = access->id };
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info, "DELETE FROM external_logins WHERE id = ? AND user_id = ?", "ss",
					  access->id, access->who->user_id);

	if (!err && !changed)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such sign-in.");
	return err ? err : atl_audit(conn, &audit, info);
}

enum atl_err atl_oidc_unlink(struct atl_app *app, const struct atl_identity *who, const char *id, struct atl_errinfo *info)
{
	struct access access = { .who = who, .id = id };

	return atl_db_tx(app->db, unlink_tx, &access, info);
}
