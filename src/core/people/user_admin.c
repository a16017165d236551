/* user_admin.c - see user_admin.h. Reading is at the top, changes below; what a change reaches is one function. */
#include "core/people/user_admin.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/chat/generation.h"
#include "core/jobs/job.h"
#include "core/people/audit.h"
#include "core/people/role.h"
#include "core/people/user_int.h"
#include "core/server/events.h"
#include "db/db.h"

#define OFF(member) offsetof(struct atl_user_entry, member)
#define OPTIONAL (ATL_JF_REQUIRED | ATL_JF_NULLABLE)

static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED },
	{ "email", ATL_JT_STR, OFF(email), OPTIONAL },
	{ "role", ATL_JT_STR, OFF(role), ATL_JF_REQUIRED, .doc = "a built-in role's name or a custom one's id" },
	{ "role_name", ATL_JT_STR, OFF(role_name), ATL_JF_REQUIRED },
	{ "state", ATL_JT_STR, OFF(state), ATL_JF_REQUIRED, .doc = "active, waiting, suspended" },
	{ "suspended_until", ATL_JT_TIME, OFF(suspended_until), OPTIONAL, .doc = "null: until it is lifted" },
	{ "suspended_why", ATL_JT_STR, OFF(suspended_why), OPTIONAL },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
	{ "last_seen_at", ATL_JT_TIME, OFF(last_seen_at), OPTIONAL, .doc = "of the sessions there are" },
	{ "held_since", ATL_JT_TIME, OFF(held_since), OPTIONAL, .doc = "a legal hold: nothing of the account is erased" },
	{ "held_why", ATL_JT_STR, OFF(held_why), OPTIONAL },
	{ "erase_since", ATL_JT_TIME, OFF(erase_since), OPTIONAL, .doc = "deleted, and erased when the hold is lifted" },
	{ "groups", ATL_JT_STRS, OFF(groups), ATL_JF_OMIT, .doc = "ids; not in lists, and not there when it is in none" },
	{ "own", ATL_JT_BOOL, OFF(own), ATL_JF_REQUIRED, .doc = "the account of whoever asks" },
};
const struct atl_json_desc atl_user_entry_desc = { "Person", "An account as those who manage people see it.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_user_entry), ATL_JSON_NO_PRESENT, false };

/* ---- looking ---- */

#define STATE                                                                                              \
	"CASE WHEN u.waiting_since IS NOT NULL THEN 'waiting' WHEN u.disabled_at IS NOT NULL AND "          \
	"(u.disabled_until IS NULL OR u.disabled_until > ?) THEN 'suspended' ELSE 'active' END"
#define COLUMNS                                                                                            \
	"u.id, u.name, u.email, u.role, coalesce(r.name, u.role), " STATE ", u.disabled_until, "           \
	"u.disabled_why, u.created_at, (SELECT max(s.last_seen_at) FROM sessions s WHERE s.user_id = u.id), " \
	"u.held_since, u.held_why, u.erase_since " \
	"FROM users u LEFT JOIN roles r ON r.id = u.role "

struct look {
	const struct atl_identity *who;
	const struct atl_user_filter *filter;
	const char *id, *pattern;
	struct atl_arena *arena;
	struct atl_user_entry *items;
	size_t count;
};

static void read_entry(struct atl_rows *rows, const struct look *look, struct atl_user_entry *out)
{
	*out = (struct atl_user_entry){
		.id = atl_col_text(rows, 0, look->arena), .name = atl_col_text(rows, 1, look->arena),
		.email = atl_col_text(rows, 2, look->arena), .role = atl_col_text(rows, 3, look->arena),
		.role_name = atl_col_text(rows, 4, look->arena), .state = atl_col_text(rows, 5, look->arena),
		.suspended_until = atl_col_int(rows, 6), .suspended_why = atl_col_text(rows, 7, look->arena),
		.created_at = atl_col_int(rows, 8), .last_seen_at = atl_col_int(rows, 9),
		.held_since = atl_col_int(rows, 10), .held_why = atl_col_text(rows, 11, look->arena),
		.erase_since = atl_col_int(rows, 12) };
	out->own = atl_str_eq(out->id, look->who->user_id);
	if (!atl_str_eq(out->state, "suspended")) {
		out->suspended_until = 0;
		out->suspended_why = NULL;
	}
}

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct look *look = arg;
	const struct atl_user_filter *filter = look->filter;
	const char *role = filter->role ? filter->role : "", *state = filter->state ? filter->state : "";
	const char *after = filter->after ? filter->after : "";
	struct atl_rows *rows;
	int64_t now = atl_now_ms();
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " COLUMNS "WHERE (? = '' OR u.id < ?) AND (? = '' OR u.role = ?) AND "
				     "(? = '' OR " STATE " = ?) AND (u.name_folded LIKE ? ESCAPE '\\' OR "
				     "u.email_folded LIKE ? ESCAPE '\\') ORDER BY u.id DESC LIMIT ?",
				     "isssssisssi", now, after, after, role, role, state, now, state, look->pattern,
				     look->pattern, filter->limit + 1);

	look->count = 0;
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		if (look->count > (size_t)filter->limit) {
			atl_rows_close(rows);
			break;
		}
		read_entry(rows, look, &look->items[look->count++]);
	}
	return err;
}

/* "%q%" in small letters, what LIKE would read as a sign escaped. */
static const char *like_pattern(struct atl_arena *arena, const char *q)
{
	size_t length = q ? strlen(q) : 0, n = 0;
	char *out = atl_arena_alloc(arena, 2 * length + 3);

	if (!out)
		return NULL;
	out[n++] = '%';
	for (size_t i = 0; i < length; i++) {
		if (strchr("%_\\", q[i]))
			out[n++] = '\\';
		out[n++] = (char)(q[i] >= 'A' && q[i] <= 'Z' ? q[i] + 32 : q[i]);
	}
	if (length > 0)
		out[n++] = '%';
	out[n] = '\0';
	return out;
}

enum atl_err atl_user_admin_list(struct atl_app *app, const struct atl_identity *who, const struct atl_user_filter *filter,
				 struct atl_arena *arena, struct atl_user_entry **ret, size_t *ret_count,
				 struct atl_errinfo *info)
{
	struct look look = { .who = who, .filter = filter, .arena = arena, .pattern = like_pattern(arena, filter->q) };
	enum atl_err err;

	look.items = ATL_ARENA_ARRAY(arena, struct atl_user_entry, (size_t)filter->limit + 1);
	if (!look.items || !look.pattern)
		return atl_fail(info, ATL_ERR_NOMEM, "list people");
	err = atl_db_read(app->db, list_read, &look, info);
	if (err)
		return err;
	*ret = look.items;
	*ret_count = look.count;
	return ATL_OK;
}

static enum atl_err get_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct look *look = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT " COLUMNS "WHERE u.id = ?", "is", atl_now_ms(), look->id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such user.");
	read_entry(rows, look, look->items);
	atl_rows_close(rows);
	look->items->groups.items = ATL_ARENA_ARRAY(look->arena, const char *, ATL_USER_GROUPS_MAX);
	if (!look->items->groups.items)
		return atl_fail(info, ATL_ERR_NOMEM, "read an account");
	err = atl_query(conn, &rows, info, "SELECT group_id FROM group_members WHERE user_id = ? ORDER BY group_id LIMIT ?", "si",
			look->id, (int64_t)ATL_USER_GROUPS_MAX);
	while (!err && atl_rows_next(rows, &err, info))
		look->items->groups.items[look->items->groups.count++] = atl_col_text(rows, 0, look->arena);
	return err;
}

enum atl_err atl_user_admin_get(struct atl_app *app, const struct atl_identity *who, const char *id, struct atl_arena *arena,
				struct atl_user_entry *ret, struct atl_errinfo *info)
{
	struct look look = { .who = who, .id = id, .arena = arena, .items = ret };

	return atl_db_read(app->db, get_read, &look, info);
}

/* ---- whom one may touch ---- */

struct change {
	const struct atl_identity *who;
	const char *id, *role, *why;
	int64_t until;
	const struct atl_strs *groups;
};

enum atl_err atl_role_may_give(struct atl_conn *conn, const struct atl_identity *who, const char *role,
			       struct atl_errinfo *info)
{
	enum atl_role kind;
	uint32_t permissions;
	bool found = atl_role_find(role, &kind);
	struct atl_rows *rows;
	enum atl_err err;

	if (!found) {
		err = atl_query(conn, &rows, info, "SELECT 1 FROM roles WHERE id = ?", "s", role);
		if (err)
			return err;
		if (!atl_rows_next(rows, &err, info))
			return err ? err : atl_fail_field(info, ATL_ERR_INVALID, "role", "There is no such role.");
		atl_rows_close(rows);
	}
	err = atl_role_load(conn, role, &kind, &permissions, info);
	if (err)
		return err;
	if (kind == ATL_ROLE_OWNER && who->role != ATL_ROLE_OWNER)
		return atl_fail_field(info, ATL_ERR_FORBIDDEN, "role", "Only an owner can make owners.");
	if (permissions & ~who->permissions)
		return atl_fail_field(info, ATL_ERR_FORBIDDEN, "role", "That role may more than you: you cannot give it.");
	return ATL_OK;
}

/* The target's role, after asking whether `who` may touch it. */
static enum atl_err check_target(struct atl_conn *conn, const struct change *change, enum atl_role *ret_role,
				 struct atl_errinfo *info)
{
	struct atl_rows *rows;
	struct atl_arena arena;
	uint32_t permissions;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT role FROM users WHERE id = ?", "s", change->id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such user.");
	atl_arena_init(&arena, 4096);
	{
		const char *role = atl_col_text(rows, 0, &arena);

		atl_rows_close(rows);
		err = atl_role_load(conn, role, ret_role, &permissions, info);
	}
	atl_arena_finish(&arena);
	if (err)
		return err;
	if (atl_str_eq(change->id, change->who->user_id))
		return atl_fail(info, ATL_ERR_CONFLICT, "This is your own account: somebody else has to do that.");
	if (*ret_role == ATL_ROLE_OWNER && change->who->role != ATL_ROLE_OWNER)
		return atl_fail(info, ATL_ERR_FORBIDDEN, "Only an owner can change an owner's account.");
	if (permissions & ~change->who->permissions)
		return atl_fail(info, ATL_ERR_FORBIDDEN, "This account may more than yours: you cannot change it.");
	return ATL_OK;
}

/* Somebody else must be left who is owner and can sign in. */
enum atl_err atl_user_keep_an_owner(struct atl_conn *conn, const char *id, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id FROM users WHERE role = 'owner' AND id <> ? AND disabled_at IS NULL AND "
				     "waiting_since IS NULL LIMIT 1",
				     "s", id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_CONFLICT, "The last owner stays one. Make another user owner first.");
	atl_rows_close(rows);
	return ATL_OK;
}

static enum atl_err check(struct atl_conn *conn, const struct change *change, bool takes_owner, struct atl_errinfo *info)
{
	enum atl_role role;
	enum atl_err err = check_target(conn, change, &role, info);

	if (!err && takes_owner && role == ATL_ROLE_OWNER)
		err = atl_user_keep_an_owner(conn, change->id, info);
	return err;
}

enum atl_err atl_user_may_touch(struct atl_conn *conn, const struct atl_identity *who, const char *id, bool takes_owner,
				struct atl_errinfo *info)
{
	const struct change change = { .who = who, .id = id };

	return check(conn, &change, takes_owner, info);
}

/* ---- what a change reaches ---- */

void atl_user_reach(struct atl_app *app, const char *id)
{
	if (app->auth)
		atl_auth_forget_user(app->auth, id);
	if (app->events)
		atl_events_end_user(app->events, id);
}

struct streaming {
	const char *id;
	struct atl_arena *arena;
	const char *items[ATL_GENERATIONS_USER_MAX];
	size_t count;
};

static enum atl_err streaming_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct streaming *s = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id FROM messages WHERE user_id = ? AND status = 'streaming' ORDER BY id DESC LIMIT ?",
				     "si", s->id, (int64_t)ATL_GENERATIONS_USER_MAX);

	s->count = 0;
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info))
		s->items[s->count++] = atl_col_text(rows, 0, s->arena);
	return err;
}

/* Replies being written and jobs that wait or run. What fails is logged: the account is closed all the same. */
void atl_user_stop_work(struct atl_app *app, const char *id)
{
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	struct streaming s = { .id = id, .arena = &arena };
	int64_t cancelled;

	if (app->auth) /* answers of /v1 that are being sent */
		atl_auth_end(app->auth, id);
	atl_arena_init(&arena, 0);
	if (app->generations && atl_db_read(app->db, streaming_read, &s, &info) == ATL_OK) {
		for (size_t i = 0; i < s.count; i++)
			if (atl_generation_stop(app, id, s.items[i], NULL) != ATL_OK)
				atl_debug("people", "%s ended by itself", s.items[i]);
	}
	if (app->jobs && atl_job_cancel_all(app, id, &cancelled, &info) != ATL_OK)
		atl_warn("people", "cancelling the jobs of %s: %s", id, info.detail);
	atl_arena_finish(&arena);
}

static enum atl_err run(struct atl_app *app, atl_db_fn fn, struct change *change, const char *action, const char *note,
			struct atl_errinfo *info)
{
	const struct atl_audit audit = { .who = change->who, .action = action, .target_kind = "user",
					 .target_id = change->id, .note = note };

	return atl_audit_tx(app->db, fn, change, &audit, info);
}

/* ---- changes ---- */

static enum atl_err role_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct change *change = arg;
	enum atl_err err = check(conn, change, !atl_str_eq(change->role, "owner"), info);

	if (!err)
		err = atl_role_may_give(conn, change->who, change->role, info);
	return err ? err : atl_exec(conn, info, "UPDATE users SET role = ?, updated_at = ? WHERE id = ?", "sis", change->role,
				    atl_now_ms(), change->id);
}

enum atl_err atl_user_admin_role(struct atl_app *app, const struct atl_identity *who, const char *id, const char *role,
				 struct atl_errinfo *info)
{
	struct change change = { .who = who, .id = id, .role = role };
	enum atl_err err = run(app, role_tx, &change, "user.role", role, info);

	if (!err)
		atl_user_reach(app, id);
	return err;
}

static enum atl_err groups_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct change *change = arg;
	enum atl_role role;
	int64_t changed = 0;
	enum atl_err err = check_target(conn, change, &role, info);

	if (err == ATL_ERR_CONFLICT && change->who->role == ATL_ROLE_OWNER) /* an owner may be in groups, too */
		err = ATL_OK;
	if (!err)
		err = atl_exec(conn, info, "DELETE FROM group_members WHERE user_id = ?", "s", change->id);
	for (size_t i = 0; !err && i < change->groups->count; i++) {
		err = atl_exec_count(conn, &changed, info,
				     "INSERT INTO group_members (group_id, user_id, created_at) SELECT id, ?, ? FROM people_groups "
				     "WHERE id = ? ON CONFLICT (group_id, user_id) DO UPDATE SET created_at = excluded.created_at",
				     "sis", change->id, atl_now_ms(), change->groups->items[i]);
		if (!err && changed == 0)
			err = atl_fail_field(info, ATL_ERR_INVALID, "groups", "There is no such group.");
	}
	return err;
}

enum atl_err atl_user_admin_groups(struct atl_app *app, const struct atl_identity *who, const char *id,
				   const struct atl_strs *groups, struct atl_errinfo *info)
{
	struct change change = { .who = who, .id = id, .groups = groups };

	if (groups->count > ATL_USER_GROUPS_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "groups", "An account is in at most %d groups.", ATL_USER_GROUPS_MAX);
	return run(app, groups_tx, &change, "user.groups", NULL, info);
}

static enum atl_err suspend_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct change *change = arg;
	int64_t now = atl_now_ms();
	enum atl_err err = check(conn, change, true, info);

	if (!err)
		err = atl_exec(conn, info,
			       "UPDATE users SET disabled_at = ?, disabled_until = ?, disabled_why = ?, updated_at = ? WHERE id = ?",
			       "itsis", now, change->until, change->why, now, change->id);
	return err ? err : atl_exec(conn, info, "DELETE FROM sessions WHERE user_id = ?", "s", change->id);
}

enum atl_err atl_user_admin_suspend(struct atl_app *app, const struct atl_identity *who, const char *id, int64_t until,
				    const char *why, struct atl_errinfo *info)
{
	struct change change = { .who = who, .id = id, .until = until, .why = why };
	enum atl_err err;

	if (until && until <= atl_now_ms())
		return atl_fail_field(info, ATL_ERR_INVALID, "until", "That time has passed.");
	if (why && strlen(why) > ATL_USER_WHY_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "why", "A reason has at most %d bytes.", ATL_USER_WHY_MAX);
	err = run(app, suspend_tx, &change, "user.suspend", why, info);
	if (err)
		return err;
	atl_user_reach(app, id);
	atl_user_stop_work(app, id);
	return ATL_OK;
}

static enum atl_err resume_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct change *change = arg;
	int64_t changed = 0;
	enum atl_err err = check(conn, change, false, info);

	if (!err)
		err = atl_exec_count(conn, &changed, info,
				     "UPDATE users SET disabled_at = NULL, disabled_until = NULL, disabled_why = NULL, "
				     "updated_at = ? WHERE id = ? AND disabled_at IS NOT NULL AND erase_since IS NULL",
				     "is", atl_now_ms(), change->id);
	if (!err && changed == 0)
		err = atl_fail(info, ATL_ERR_CONFLICT, "This account is not suspended.");
	return err;
}

enum atl_err atl_user_admin_resume(struct atl_app *app, const struct atl_identity *who, const char *id,
				   struct atl_errinfo *info)
{
	struct change change = { .who = who, .id = id };
	enum atl_err err = run(app, resume_tx, &change, "user.resume", NULL, info);

	if (!err)
		atl_user_reach(app, id);
	return err;
}

static enum atl_err approve_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct change *change = arg;
	int64_t changed = 0;
	enum atl_err err = check(conn, change, false, info);

	if (!err)
		err = atl_exec_count(conn, &changed, info,
				     "UPDATE users SET waiting_since = NULL, updated_at = ? WHERE id = ? AND waiting_since IS NOT NULL",
				     "is", atl_now_ms(), change->id);
	if (!err && changed == 0)
		err = atl_fail(info, ATL_ERR_CONFLICT, "This account does not wait for approval.");
	return err;
}

enum atl_err atl_user_admin_approve(struct atl_app *app, const struct atl_identity *who, const char *id,
				    struct atl_errinfo *info)
{
	struct change change = { .who = who, .id = id };
	enum atl_err err = run(app, approve_tx, &change, "user.approve", NULL, info);

	if (!err)
		atl_user_reach(app, id);
	return err;
}
