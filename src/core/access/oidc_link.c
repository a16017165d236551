/* oidc_link.c - whom sign-in services mean: (issuer, subject) -> a person. */
#include "core/access/oidc_int.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/access/login_rules.h"
#include "core/people/audit.h"
#include "core/people/invitation.h"
#include "core/server/events.h"
#include "db/db.h"

struct access {
	const char *user_id, *id;
	const struct atl_identity *who;
	struct atl_oidc_found *found;
	bool role_changed;
	const struct atl_oidc_link_new *link;
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

/* ---- the role that claims give ---- */

static enum atl_err role_there(struct atl_conn *conn, const char *role, bool *ret, struct atl_errinfo *info)
{
	enum atl_role kind;
	struct atl_rows *rows;
	enum atl_err err = ATL_OK;

	*ret = atl_role_find(role, &kind);
	if (*ret)
		return ATL_OK;
	err = atl_query(conn, &rows, info, "SELECT 1 FROM roles WHERE id = ?", "s", role);
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	*ret = true;
	atl_rows_close(rows);
	return ATL_OK;
}

static enum atl_err set_role(struct atl_conn *conn, const struct atl_oidc_found *found, const char *role, const char *given,
			     struct atl_errinfo *info)
{
	struct atl_audit audit = { .remote = found->remote, .action = "login.role", .target_kind = "user",
				   .target_id = found->user_id, .note = role };
	enum atl_err err = atl_exec(conn, info, "UPDATE external_logins SET role_given = ? WHERE issuer = ? AND subject = ?", "sss",
				    given, found->provider->issuer, found->claims->sub);

	if (!err)
		err = atl_exec(conn, info, "UPDATE users SET role = ?, updated_at = ? WHERE id = ?", "sis", role, atl_now_ms(),
			       found->user_id);
	return err ? err : atl_audit(conn, &audit, info);
}

/* Owners stay what they are. Without a rule that fits only what a rule gave is taken back. */
static enum atl_err follow_claims(struct atl_conn *conn, const struct atl_oidc_found *found, bool *ret_changed,
				  struct atl_errinfo *info)
{
	const char *wanted = atl_login_role(&found->provider->role_rules, found->claims->all), *role, *given;
	struct atl_rows *rows;
	struct atl_arena arena;
	bool there = true;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT u.role, l.role_given FROM external_logins l JOIN users u ON u.id = l.user_id WHERE "
				     "l.issuer = ? AND l.subject = ?",
				     "ss", found->provider->issuer, found->claims->sub);

	*ret_changed = false;
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	atl_arena_init(&arena, 4096);
	role = atl_col_text(rows, 0, &arena);
	given = atl_col_text(rows, 1, &arena);
	atl_rows_close(rows);
	if (wanted)
		err = role_there(conn, wanted, &there, info);
	if (!err && role && !atl_str_eq(role, "owner") && there) {
		bool take_back = !wanted && given;

		*ret_changed = wanted ? !atl_str_eq(wanted, role) || !atl_str_eq(wanted, given) : take_back;
		if (*ret_changed)
			err = set_role(conn, found, wanted ? wanted : atl_str_eq(role, given) ? "member" : role, wanted, info);
	}
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err find_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct access *access = arg;
	struct atl_oidc_found *found = access->found;
	enum atl_err err = find(conn, found->provider->issuer, found->claims->sub, found->user_id, info);

	access->role_changed = false;
	if (err || !found->user_id[0])
		return err;
	err = atl_exec(conn, info, "UPDATE external_logins SET last_used_at = ? WHERE issuer = ? AND subject = ?", "iss",
		       atl_now_ms(), found->provider->issuer, found->claims->sub);
	return err ? err : follow_claims(conn, found, &access->role_changed, info);
}

enum atl_err atl_oidc_link_find(struct atl_app *app, struct atl_oidc_found *found, struct atl_errinfo *info)
{
	struct access access = { .found = found };
	enum atl_err err = atl_db_tx(app->db, find_tx, &access, info);

	if (err || !access.role_changed)
		return err;
	if (app->auth) /* what the person has open elsewhere follows at once */
		atl_auth_forget_user(app->auth, found->user_id);
	if (app->events)
		atl_events_end_user(app->events, found->user_id);
	return ATL_OK;
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

static enum atl_err add_user(struct atl_conn *conn, const struct atl_oidc_link_new *link, struct atl_errinfo *info)
{
	char role[ATL_ID_SIZE] = "member";
	bool there = false;
	enum atl_err err = ATL_OK;

	if (link->invitation_hash)
		err = atl_invitation_use(conn, link->invitation_hash, role, NULL, info);
	if (!err && link->role_given)
		err = role_there(conn, link->role_given, &there, info);
	if (!err && link->waiting_since)
		err = atl_sign_up_room(conn, info);
	if (there)
		atl_str_copy(role, sizeof(role), link->role_given);
	return err ? err :
		     atl_user_insert(conn, &(struct atl_user_new){ .id = link->user_id, .name = link->new_name, .role = role,
								   .password_hash = ATL_USER_NO_PASSWORD,
								   .waiting_since = link->waiting_since }, info);
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
		err = add_user(conn, link, info);
	if (err)
		return err;
	err = check_linking(conn, link, info);
	atl_id_new("lgn", id);
	if (!err)
		err = atl_exec(conn, info,
			       "INSERT INTO external_logins (id, issuer, subject, user_id, label, created_at, last_used_at, "
			       "role_given) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			       "sssssiis", id, link->issuer, link->sub, link->user_id, link->label ? link->label : "", atl_now_ms(),
			       atl_now_ms(), link->new_name ? link->role_given : NULL);
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
