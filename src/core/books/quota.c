/* quota.c - the quotas themselves: list, set, delete. See quota.h. */
#include "core/books/quota.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "core/server/peers.h"
#include "db/db.h"

const char *const atl_quota_scopes[] = { "user", "group", "role", "key", "everyone", "server", NULL };

#define OFF(member) offsetof(struct atl_quota, member)
static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "scope", ATL_JT_ENUM, OFF(scope), ATL_JF_REQUIRED, .values = atl_quota_scopes },
	{ "subject", ATL_JT_STR, OFF(subject), ATL_JF_REQUIRED, .doc = "id of the user, group, role or key; \"\" for everyone and server" },
	{ "subject_name", ATL_JT_STR, OFF(subject_name), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "for people to read" },
	{ "kind", ATL_JT_ENUM, OFF(kind), ATL_JF_REQUIRED, .values = atl_ledger_kinds },
	{ "span", ATL_JT_ENUM, OFF(span), ATL_JF_REQUIRED, .values = atl_windows },
	{ "model", ATL_JT_STR, OFF(model), ATL_JF_REQUIRED, .doc = "\"\": every model" },
	{ "amount", ATL_JT_INT, OFF(amount), ATL_JF_REQUIRED },
	{ "version", ATL_JT_INT, OFF(version), ATL_JF_REQUIRED },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
	{ "updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_quota_desc = { "Quota", "How much somebody may use in a window of time.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_quota), ATL_JSON_NO_PRESENT, false };

#define COLUMNS "id, scope, subject, kind, span, model, amount, version, created_at, updated_at, " \
	"CASE scope WHEN 'user' THEN (SELECT u.name FROM users u WHERE u.id = subject) "               \
	"WHEN 'group' THEN (SELECT g.name FROM people_groups g WHERE g.id = subject) "                  \
	"WHEN 'role' THEN (SELECT r.name FROM roles r WHERE r.id = subject) "                            \
	"WHEN 'key' THEN (SELECT k.name FROM api_keys k WHERE k.id = subject) END"

static void read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_quota *ret)
{
	*ret = (struct atl_quota){ .id = atl_col_text(rows, 0, arena), .scope = atl_col_text(rows, 1, arena),
				   .subject = atl_col_text(rows, 2, arena), .kind = atl_col_text(rows, 3, arena),
				   .span = atl_col_text(rows, 4, arena), .model = atl_col_text(rows, 5, arena),
				   .amount = atl_col_int(rows, 6), .version = atl_col_int(rows, 7),
				   .created_at = atl_col_int(rows, 8), .updated_at = atl_col_int(rows, 9),
				   .subject_name = atl_col_text(rows, 10, arena) };
}

/* ---- whether there are any ---- */

static enum atl_err look_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT 1 FROM quotas LIMIT 1", "");

	*(bool *)arg = false;
	while (!err && atl_rows_next(rows, &err, info))
		*(bool *)arg = true;
	return err;
}

enum atl_err atl_quota_look(struct atl_app *app, struct atl_errinfo *info)
{
	bool any;
	enum atl_err err = atl_db_read(app->db, look_fn, &any, info);

	if (!err)
		atomic_store(&app->limited, any);
	return err;
}

/* ---- list ---- */

struct list {
	struct atl_arena *arena;
	struct atl_quota *items;
	size_t count;
};

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct list *list = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " COLUMNS " FROM quotas ORDER BY scope, subject, kind, span, model LIMIT 1000", "");

	list->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		if (list->count < ATL_QUOTA_ROWS_MAX)
			read_row(rows, list->arena, &list->items[list->count++]);
	return err;
}

enum atl_err atl_quota_list(struct atl_app *app, struct atl_arena *arena, struct atl_quota **ret, size_t *ret_count,
			    struct atl_errinfo *info)
{
	struct list list = { .arena = arena, .items = ATL_ARENA_ARRAY(arena, struct atl_quota, ATL_QUOTA_ROWS_MAX) };
	enum atl_err err = list.items ? atl_db_read(app->db, list_fn, &list, info) : atl_fail(info, ATL_ERR_NOMEM, "list quotas");

	if (err)
		return err;
	*ret = list.items;
	*ret_count = list.count;
	return ATL_OK;
}

/* ---- set ---- */

struct set {
	const struct atl_identity *who;
	const char *remote;
	struct atl_arena *arena;
	const struct atl_quota *quota;
	char id[ATL_ID_SIZE];
	struct atl_quota result;
};

static bool whole(const struct atl_quota *quota) /* a scope without a subject */
{
	return atl_str_eq(quota->scope, "everyone") || atl_str_eq(quota->scope, "server");
}

/* Its id: people write names. */
static enum atl_err find_subject(struct atl_conn *conn, struct atl_arena *arena, const struct atl_quota *quota, const char **ret,
				 struct atl_errinfo *info)
{
	static const struct {
		const char *scope, *sql;
	} tables[] = {
		{ "user", "SELECT id FROM users WHERE id = ? OR name_folded = ?" },
		{ "group", "SELECT id FROM people_groups WHERE id = ? OR name_folded = ?" },
		{ "role", "SELECT id FROM roles WHERE id = ? OR name_folded = ?" },
		{ "key", "SELECT id FROM api_keys WHERE id = ? AND ? <> ''" },
	};
	struct atl_rows *rows;
	enum atl_role role;
	bool found = whole(quota) || (atl_str_eq(quota->scope, "role") && atl_role_find(quota->subject, &role));
	char *folded = atl_arena_strdup(arena, quota->subject);
	enum atl_err err = folded ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "set a quota");

	*ret = whole(quota) ? "" : quota->subject;
	for (char *at = folded; at && *at; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at + 32);
	for (size_t i = 0; !err && !found && i < ATL_COUNT(tables); i++) {
		if (!atl_str_eq(tables[i].scope, quota->scope))
			continue;
		err = atl_query(conn, &rows, info, tables[i].sql, "ss", quota->subject, folded);
		while (!err && atl_rows_next(rows, &err, info)) {
			*ret = atl_col_text(rows, 0, arena);
			found = *ret != NULL;
		}
	}
	if (!err && !found)
		return atl_fail_field(info, ATL_ERR_NOT_FOUND, "subject", "There is no such %s.", quota->scope);
	return err;
}

static enum atl_err check_room(struct atl_conn *conn, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	int64_t count = 0;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT count(*) FROM quotas", "");

	while (!err && atl_rows_next(rows, &err, info))
		count = atl_col_int(rows, 0);
	if (!err && count > ATL_QUOTA_ROWS_MAX)
		return atl_fail(info, ATL_ERR_CONFLICT, "There are %d quotas already.", ATL_QUOTA_ROWS_MAX);
	return err;
}

static enum atl_err audit(struct atl_conn *conn, const struct atl_identity *who, const char *remote, const char *action,
			  const char *id, const struct atl_quota *quota, struct atl_errinfo *info)
{
	char note[ATL_AUDIT_NOTE_MAX];
	const struct atl_audit row = { .who = who, .remote = remote, .action = action, .target_kind = "quota", .target_id = id,
				       .note = note };

	snprintf(note, sizeof(note), "%s %s: %lld %s a %s%s%s", quota->scope, quota->subject, (long long)quota->amount,
		 quota->kind, quota->span, *quota->model ? ", model " : "", quota->model);
	return atl_audit(conn, &row, info);
}

static enum atl_err set_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct set *set = arg;
	const struct atl_quota *q = set->quota;
	const char *subject = "";
	int64_t now = atl_now_ms();
	struct atl_rows *rows;
	enum atl_err err = find_subject(conn, set->arena, q, &subject, info);

	if (!err)
		err = atl_exec(conn, info,
			       "INSERT INTO quotas (id, scope, subject, kind, span, model, amount, version, created_at, updated_at) "
			       "VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT (scope, subject, kind, span, model) DO UPDATE "
			       "SET amount = excluded.amount, version = quotas.version + 1, updated_at = excluded.updated_at",
			       "ssssssiii", set->id, q->scope, subject, q->kind, q->span, q->model, q->amount, now, now);
	if (!err)
		err = atl_query(conn, &rows, info,
				"SELECT " COLUMNS " FROM quotas WHERE scope = ? AND subject = ? AND kind = ? AND span = ? AND model = ?",
				"sssss", q->scope, subject, q->kind, q->span, q->model);
	while (!err && atl_rows_next(rows, &err, info))
		read_row(rows, set->arena, &set->result);
	if (!err)
		err = check_room(conn, info);
	if (!err) /* what was warned of was another limit */
		err = atl_exec(conn, info, "UPDATE balances SET warned = 0 WHERE kind = ? AND span = ? AND warned = 1", "ss", q->kind,
			       q->span);
	return err ? err : audit(conn, set->who, set->remote, "quota.set", set->result.id, &set->result, info);
}

enum atl_err atl_quota_set(struct atl_app *app, const struct atl_identity *who, const char *remote, struct atl_arena *arena,
			   const struct atl_quota *quota, struct atl_quota *ret, struct atl_errinfo *info)
{
	struct set set = { .who = who, .remote = remote, .arena = arena, .quota = quota };
	enum atl_err err;

	if (atl_ledger_index(atl_quota_scopes, quota->scope) < 0)
		return atl_fail_field(info, ATL_ERR_INVALID, "scope", "is not a scope");
	if (atl_ledger_index(atl_ledger_kinds, quota->kind) < 0)
		return atl_fail_field(info, ATL_ERR_INVALID, "kind", "is not a kind");
	if (atl_ledger_index(atl_windows, quota->span) < 0)
		return atl_fail_field(info, ATL_ERR_INVALID, "span", "is not a window of time");
	if (quota->amount < 0 || quota->amount > ATL_QUOTA_AMOUNT_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "amount", "must be from 0 to %lld", ATL_QUOTA_AMOUNT_MAX);
	if (strlen(quota->model) > ATL_QUOTA_MODEL_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "model", "is too long");
	atl_id_new("quo", set.id);
	err = atl_db_tx(app->db, set_fn, &set, info);
	if (err)
		return err;
	atomic_store(&app->limited, true);
	atl_peers_tell(app->peers, ATL_PEERS_SWITCHES, "");
	*ret = set.result;
	return ATL_OK;
}

/* ---- delete ---- */

struct delete {
	const struct atl_identity *who;
	const char *remote, *id;
};

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct delete *d = arg;
	struct atl_quota quota;
	struct atl_arena arena;
	struct atl_rows *rows;
	bool found = false;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM quotas WHERE id = ?", "s", d->id);

	atl_arena_init(&arena, 65536);
	while (!err && atl_rows_next(rows, &err, info)) {
		read_row(rows, &arena, &quota);
		found = true;
	}
	if (!err && !found)
		err = atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such quota.");
	if (!err)
		err = atl_exec(conn, info, "DELETE FROM quotas WHERE id = ?", "s", d->id);
	if (!err)
		err = audit(conn, d->who, d->remote, "quota.delete", d->id, &quota, info);
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_quota_delete(struct atl_app *app, const struct atl_identity *who, const char *remote, const char *id,
			      struct atl_errinfo *info)
{
	struct delete d = { who, remote, id };
	enum atl_err err = atl_db_tx(app->db, delete_fn, &d, info);

	return err ? err : atl_quota_look(app, info);
}
