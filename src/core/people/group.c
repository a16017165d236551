/* group.c - see group.h. Who is in one is changed with the account: user_admin.c. */
#include "core/people/group.h"

#include "base/clock.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "db/db.h"

#define OFF(member) offsetof(struct atl_group, member)

static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED },
	{ "users", ATL_JT_INT, OFF(users), ATL_JF_REQUIRED, .doc = "how many accounts are in it" },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
	{ "updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_group_desc = { "Group", "People who belong together.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_group), ATL_JSON_NO_PRESENT, false };

struct work {
	struct atl_arena *arena;
	const char *id, *name, *folded;
	bool fresh;
	struct atl_group *items;
	size_t count;
};

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *work = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT g.id, g.name, g.created_at, g.updated_at, (SELECT count(*) FROM group_members m WHERE "
				     "m.group_id = g.id) FROM people_groups g WHERE (? = '' OR g.id = ?) ORDER BY g.id LIMIT ?",
				     "ssi", work->id, work->id, (int64_t)ATL_GROUPS_MAX);

	work->count = 0;
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info))
		work->items[work->count++] = (struct atl_group){ .id = atl_col_text(rows, 0, work->arena),
								 .name = atl_col_text(rows, 1, work->arena),
								 .created_at = atl_col_int(rows, 2),
								 .updated_at = atl_col_int(rows, 3), .users = atl_col_int(rows, 4) };
	return err;
}

enum atl_err atl_group_list(struct atl_app *app, struct atl_arena *arena, struct atl_group **ret, size_t *ret_count,
			    struct atl_errinfo *info)
{
	struct work work = { .arena = arena, .id = "" };
	enum atl_err err;

	work.items = ATL_ARENA_ARRAY(arena, struct atl_group, ATL_GROUPS_MAX);
	if (!work.items)
		return atl_fail(info, ATL_ERR_NOMEM, "list groups");
	err = atl_db_read(app->db, list_read, &work, info);
	*ret = work.items;
	*ret_count = work.count;
	return err;
}

static enum atl_err check_name(struct work *work, struct atl_errinfo *info)
{
	size_t length = strlen(work->name);
	char *folded = atl_arena_strdup(work->arena, work->name);

	if (!folded)
		return atl_fail(info, ATL_ERR_NOMEM, "name a group");
	if (length == 0 || atl_utf8_count(work->name, length) > ATL_GROUP_NAME_MAX || folded[0] == ' ' || folded[length - 1] == ' ')
		return atl_fail_field(info, ATL_ERR_INVALID, "name", "A group's name has 1 to %d characters, no space around it.",
				      ATL_GROUP_NAME_MAX);
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)folded[i] < 0x20 || folded[i] == 0x7f)
			return atl_fail_field(info, ATL_ERR_INVALID, "name", "A name has no control characters.");
		if (folded[i] >= 'A' && folded[i] <= 'Z')
			folded[i] = (char)(folded[i] + 32);
	}
	work->folded = folded;
	return ATL_OK;
}

static enum atl_err insert(struct atl_conn *conn, const struct work *work, struct atl_errinfo *info)
{
	int64_t now = atl_now_ms(), count = 0;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT count(*) FROM people_groups", "");

	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		count = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	if (!err && count >= ATL_GROUPS_MAX)
		err = atl_fail(info, ATL_ERR_CONFLICT, "There are %d groups: no more can be made.", ATL_GROUPS_MAX);
	return err ? err : atl_exec(conn, info,
				    "INSERT INTO people_groups (id, name, name_folded, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
				    "sssii", work->id, work->name, work->folded, now, now);
}

static enum atl_err save_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *work = arg;
	int64_t changed = 1;
	enum atl_err err;

	if (work->fresh)
		err = insert(conn, work, info);
	else
		err = atl_exec_count(conn, &changed, info,
				     "UPDATE people_groups SET name = ?, name_folded = ?, updated_at = ? WHERE id = ?", "ssis",
				     work->name, work->folded, atl_now_ms(), work->id);
	if (err && atl_conn_unique_violation(conn))
		return atl_fail_field(info, ATL_ERR_CONFLICT, "name", "There is a group of that name.");
	if (!err && changed == 0)
		err = atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such group.");
	return err;
}

enum atl_err atl_group_save(struct atl_app *app, const struct atl_identity *who, const char *id, const char *name,
			    struct atl_arena *arena, struct atl_group *ret, struct atl_errinfo *info)
{
	char fresh[ATL_ID_SIZE];
	struct work work = { .arena = arena, .id = id ? id : fresh, .name = name, .fresh = !id, .items = ret };
	enum atl_err err = check_name(&work, info);

	if (err)
		return err;
	if (!id)
		atl_id_new("grp", fresh);
	err = atl_audit_tx(app->db, save_tx, &work,
			   &(struct atl_audit){ .who = who, .action = id ? "group.change" : "group.create", .target_kind = "group",
						.target_id = work.id }, info);
	return err ? err : atl_db_read(app->db, list_read, &work, info);
}

static enum atl_err delete_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *work = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info, "DELETE FROM people_groups WHERE id = ?", "s", work->id);

	if (!err && changed == 0)
		err = atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such group.");
	return err;
}

enum atl_err atl_group_delete(struct atl_app *app, const struct atl_identity *who, const char *id, struct atl_errinfo *info)
{
	struct work work = { .id = id };

	return atl_audit_tx(app->db, delete_tx, &work,
			    &(struct atl_audit){ .who = who, .action = "group.delete", .target_kind = "group", .target_id = id }, info);
}
