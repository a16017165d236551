/* role_edit.c - see role_edit.h. */
#include "core/people/role_edit.h"

#include "base/clock.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/people/audit.h"
#include "core/people/rights.h"
#include "core/people/role.h"
#include "core/server/events.h"
#include "db/db.h"

#define OFF(member) offsetof(struct atl_role_entry, member)
#define OPTIONAL (ATL_JF_REQUIRED | ATL_JF_NULLABLE)

static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED, .doc = "what an account's `role` says" },
	{ "name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED },
	{ "permissions", ATL_JT_STRS, OFF(permissions), ATL_JF_REQUIRED },
	{ "built_in", ATL_JT_BOOL, OFF(built_in), ATL_JF_REQUIRED },
	{ "mature", ATL_JT_BOOL, OFF(mature), ATL_JF_REQUIRED, .doc = "has mature content, where the server allows any" },
	{ "models", ATL_JT_STRS, OFF(models), ATL_JF_REQUIRED, .doc = "ids or patterns of the models it may use; none: all" },
	{ "providers", ATL_JT_STRS, OFF(providers), ATL_JF_REQUIRED, .doc = "local, or ids of providers it may use; none: all" },
	{ "features_off", ATL_JT_STRS, OFF(features_off), ATL_JF_REQUIRED, .doc = "what it does not have, of GET /api/v1/features" },
	{ "storage_bytes", ATL_JT_INT, OFF(storage_bytes), OPTIONAL, .doc = "room for each account's files; null: no cap" },
	{ "users", ATL_JT_INT, OFF(users), ATL_JF_REQUIRED, .doc = "how many accounts have it" },
	{ "created_at", ATL_JT_TIME, OFF(created_at), OPTIONAL },
	{ "updated_at", ATL_JT_TIME, OFF(updated_at), OPTIONAL },
};
const struct atl_json_desc atl_role_entry_desc = { "Role", "What accounts may.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_role_entry), ATL_JSON_NO_PRESENT, false };

struct edit {
	const struct atl_identity *who;
	struct atl_arena *arena;
	const char *id, *name, *folded, *json;
	uint32_t mask;
	struct atl_role_entry *items;
	const char **holders; /* ids of the accounts that have it */
	size_t count, holder_count;
	bool also_built_in;
	const struct atl_role_change *change;
	const char *models, *providers, *features; /* of the change, as stored; NULL: no limit */
	struct atl_buf note;
};

static enum atl_err names_of(uint32_t mask, struct atl_arena *arena, struct atl_strs *out)
{
	out->count = 0;
	out->items = ATL_ARENA_ARRAY(arena, const char *, ATL_PERM_COUNT);
	if (!out->items)
		return ATL_ERR_NOMEM;
	for (int perm = 0; perm < ATL_PERM_COUNT; perm++)
		if (mask & ATL_PERM_BIT(perm) & ~atl_role_permissions(ATL_ROLE_CUSTOM))
			out->items[out->count++] = atl_permission_name(perm);
	return ATL_OK;
}

/* ---- looking ---- */

static enum atl_err count_holders(struct atl_conn *conn, struct atl_role_entry *role, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT count(*) FROM users WHERE role = ?", "s", role->id);

	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		role->users = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	return err;
}

static enum atl_err fill_list(struct atl_arena *arena, const char *json, struct atl_strs *ret, struct atl_errinfo *info)
{
	struct atl_json *tree;
	enum atl_err err = json ? atl_json_parse(arena, json, strlen(json), &tree, info) : ATL_OK;

	if (err || !json)
		return err;
	ret->items = ATL_ARENA_ARRAY(arena, const char *, tree->count + 1);
	if (!ret->items)
		return atl_fail(info, ATL_ERR_NOMEM, "list roles");
	for (const struct atl_json *item = tree->child; item; item = item->next)
		ret->items[ret->count++] = item->string ? item->string : "";
	return ATL_OK;
}

static enum atl_err fill_rights(struct atl_arena *arena, const struct atl_role_rights *rights, struct atl_role_entry *role,
				struct atl_errinfo *info)
{
	enum atl_err err = fill_list(arena, rights->models, &role->models, info);

	if (!err)
		err = fill_list(arena, rights->providers, &role->providers, info);
	role->mature = rights->mature;
	role->storage_bytes = rights->storage_bytes;
	role->features_off.items = ATL_ARENA_ARRAY(arena, const char *, ATL_FEATURE_COUNT);
	if (!err && !role->features_off.items)
		err = atl_fail(info, ATL_ERR_NOMEM, "list roles");
	for (int feature = 0; !err && feature < ATL_FEATURE_COUNT; feature++)
		if (rights->features_off & ATL_FEATURE_BIT(feature))
			role->features_off.items[role->features_off.count++] = atl_feature_name(feature);
	return err;
}

static enum atl_err fill(struct atl_conn *conn, struct edit *edit, struct atl_role_entry *role, struct atl_errinfo *info)
{
	enum atl_role kind;
	uint32_t mask;
	struct atl_role_rights rights;
	enum atl_err err = atl_role_load(conn, role->id, &kind, &mask, info);

	if (!err)
		err = names_of(mask, edit->arena, &role->permissions);
	if (!err)
		err = atl_role_rights(conn, role->id, edit->arena, &rights, info);
	if (!err)
		err = fill_rights(edit->arena, &rights, role, info);
	return err ? err : count_holders(conn, role, info);
}

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct edit *edit = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, name, created_at, updated_at FROM roles WHERE (? = '' OR id = ?) ORDER BY id LIMIT ?",
				     "ssi", edit->id, edit->id, (int64_t)ATL_ROLES_MAX);

	edit->count = 0;
	if (err)
		return err;
	for (int role = 0; role < ATL_ROLE_CUSTOM; role++)
		if (!edit->id[0] || atl_str_eq(edit->id, atl_role_name(role)))
			edit->items[edit->count++] = (struct atl_role_entry){ .id = atl_role_name(role), .name = atl_role_name(role),
									      .built_in = true };
	while (atl_rows_next(rows, &err, info))
		edit->items[edit->count++] = (struct atl_role_entry){ .id = atl_col_text(rows, 0, edit->arena),
								      .name = atl_col_text(rows, 1, edit->arena),
								      .created_at = atl_col_int(rows, 2),
								      .updated_at = atl_col_int(rows, 3) };
	for (size_t i = 0; !err && i < edit->count; i++)
		err = fill(conn, edit, &edit->items[i], info);
	return err;
}

enum atl_err atl_role_list(struct atl_app *app, struct atl_arena *arena, struct atl_role_entry **ret, size_t *ret_count,
			   struct atl_errinfo *info)
{
	struct edit edit = { .arena = arena, .id = "" };
	enum atl_err err;

	edit.items = ATL_ARENA_ARRAY(arena, struct atl_role_entry, ATL_ROLES_MAX + ATL_ROLE_COUNT);
	if (!edit.items)
		return atl_fail(info, ATL_ERR_NOMEM, "list roles");
	err = atl_db_read(app->db, list_read, &edit, info);
	*ret = edit.items;
	*ret_count = edit.count;
	return err;
}

enum atl_err atl_role_entry_get(struct atl_app *app, const char *id, struct atl_arena *arena, struct atl_role_entry *ret,
				struct atl_errinfo *info)
{
	struct atl_role_entry items[ATL_ROLE_COUNT];
	struct edit edit = { .arena = arena, .id = id, .items = items };
	enum atl_err err = atl_db_read(app->db, list_read, &edit, info);

	if (!err && edit.count == 0)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such role.");
	if (!err)
		*ret = items[0];
	return err;
}

/* ---- what is given ---- */

static enum atl_err check_name(struct edit *edit, struct atl_errinfo *info)
{
	size_t length = strlen(edit->name);
	enum atl_role built_in;
	char *folded = atl_arena_strdup(edit->arena, edit->name);

	if (!folded)
		return atl_fail(info, ATL_ERR_NOMEM, "name a role");
	if (length == 0 || atl_utf8_count(edit->name, length) > ATL_ROLE_NAME_MAX || folded[0] == ' ' || folded[length - 1] == ' ')
		return atl_fail_field(info, ATL_ERR_INVALID, "name", "A role's name has 1 to %d characters, no space around it.",
				      ATL_ROLE_NAME_MAX);
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)folded[i] < 0x20 || folded[i] == 0x7f)
			return atl_fail_field(info, ATL_ERR_INVALID, "name", "A name has no control characters.");
		if (folded[i] >= 'A' && folded[i] <= 'Z')
			folded[i] = (char)(folded[i] + 32);
	}
	if (atl_role_find(folded, &built_in))
		return atl_fail_field(info, ATL_ERR_CONFLICT, "name", "There is a role of that name.");
	edit->folded = folded;
	return ATL_OK;
}

static enum atl_err check_permissions(struct edit *edit, const struct atl_strs *names, struct atl_errinfo *info)
{
	struct atl_buf out;
	struct atl_jw w;
	enum atl_err err;

	for (size_t i = 0; i < names->count; i++) {
		enum atl_permission perm;

		if (!atl_permission_find(names->items[i], &perm))
			return atl_fail_field(info, ATL_ERR_INVALID, "permissions", "There is no permission \"%.60s\".",
					      names->items[i]);
		if (!atl_identity_may(edit->who, perm))
			return atl_fail_field(info, ATL_ERR_FORBIDDEN, "permissions",
					      "You do not have the permission %s, so you cannot give it.", names->items[i]);
		edit->mask |= ATL_PERM_BIT(perm);
	}
	atl_buf_init(&out, 4096);
	atl_jw_init(&w, &out);
	atl_jw_array(&w, NULL);
	for (int perm = 0; perm < ATL_PERM_COUNT; perm++)
		if (edit->mask & ATL_PERM_BIT(perm))
			atl_jw_str(&w, NULL, atl_permission_name(perm));
	atl_jw_end_array(&w);
	err = atl_buf_err(&out, info);
	if (!err && !(edit->json = atl_arena_strdup(edit->arena, out.data)))
		err = atl_fail(info, ATL_ERR_NOMEM, "permissions of a role");
	atl_buf_finish(&out);
	return err;
}

/* ---- changing ---- */

static enum atl_err create_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct edit *edit = arg;
	int64_t now = atl_now_ms(), count = 0;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT count(*) FROM roles", "");

	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		count = atl_col_int(rows, 0);
		atl_rows_close(rows);
	}
	if (!err && count >= ATL_ROLES_MAX)
		err = atl_fail(info, ATL_ERR_CONFLICT, "There are %d roles: no more can be made.", ATL_ROLES_MAX);
	if (!err)
		err = atl_exec(conn, info,
			       "INSERT INTO roles (id, name, name_folded, permissions, version, created_at, updated_at) "
			       "VALUES (?, ?, ?, ?, 1, ?, ?)",
			       "ssssii", edit->id, edit->name, edit->folded, edit->json, now, now);
	if (err && atl_conn_unique_violation(conn))
		return atl_fail_field(info, ATL_ERR_CONFLICT, "name", "There is a role of that name.");
	return err;
}

enum atl_err atl_role_create(struct atl_app *app, const struct atl_identity *who, const char *name,
			     const struct atl_strs *permissions, struct atl_arena *arena, struct atl_role_entry *ret,
			     struct atl_errinfo *info)
{
	char id[ATL_ID_SIZE];
	struct edit edit = { .who = who, .arena = arena, .id = id, .name = name };
	enum atl_err err = check_name(&edit, info);

	if (!err)
		err = check_permissions(&edit, permissions, info);
	if (err)
		return err;
	atl_id_new("rol", id);
	err = atl_audit_tx(app->db, create_tx, &edit,
			   &(struct atl_audit){ .who = who, .action = "role.create", .target_kind = "role", .target_id = id,
						.note = edit.json }, info);
	return err ? err : atl_role_entry_get(app, id, arena, ret, info);
}

/* Who has it, for the caches; and that whoever changes it may do all it did. */
static enum atl_err look_at_role(struct atl_conn *conn, struct edit *edit, struct atl_errinfo *info)
{
	struct atl_role_entry role = { .id = edit->id };
	enum atl_role kind;
	struct atl_rows *rows;
	uint32_t mask;
	enum atl_err err = ATL_OK;

	if (!edit->also_built_in || !atl_role_find(edit->id, &kind)) {
		err = atl_query(conn, &rows, info, "SELECT 1 FROM roles WHERE id = ?", "s", edit->id);
		if (err)
			return err;
		if (!atl_rows_next(rows, &err, info))
			return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such role of your own.");
		atl_rows_close(rows);
	}
	err = atl_role_load(conn, edit->id, &kind, &mask, info);
	if (!err && (mask & ~edit->who->permissions))
		err = atl_fail(info, ATL_ERR_FORBIDDEN, "This role may more than you: you cannot change it.");
	if (!err && kind == ATL_ROLE_OWNER && edit->who->role != ATL_ROLE_OWNER)
		err = atl_fail(info, ATL_ERR_FORBIDDEN, "Only an owner can change what owners have.");
	if (!err)
		err = count_holders(conn, &role, info);
	if (err)
		return err;
	edit->holder_count = 0;
	edit->holders = ATL_ARENA_ARRAY(edit->arena, const char *, (size_t)role.users + 1);
	if (!edit->holders)
		return atl_fail(info, ATL_ERR_NOMEM, "change a role");
	err = atl_query(conn, &rows, info, "SELECT id FROM users WHERE role = ? LIMIT ?", "si", edit->id, role.users);
	while (!err && atl_rows_next(rows, &err, info))
		edit->holders[edit->holder_count++] = atl_col_text(rows, 0, edit->arena);
	return err;
}

static enum atl_err update_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct edit *edit = arg;
	enum atl_err err = look_at_role(conn, edit, info);

	if (!err)
		err = atl_exec(conn, info,
			       "UPDATE roles SET name = coalesce(?, name), name_folded = coalesce(?, name_folded), "
			       "permissions = coalesce(?, permissions), version = version + 1, updated_at = ? WHERE id = ?",
			       "sssis", edit->name, edit->folded, edit->json, atl_now_ms(), edit->id);
	if (err && atl_conn_unique_violation(conn))
		return atl_fail_field(info, ATL_ERR_CONFLICT, "name", "There is a role of that name.");
	return err;
}

/* Everybody who has it comes back with what it allows now. */
static void reach_holders(struct atl_app *app, const struct edit *edit)
{
	for (size_t i = 0; i < edit->holder_count; i++) {
		if (app->auth)
			atl_auth_forget_user(app->auth, edit->holders[i]);
		if (app->events)
			atl_events_end_user(app->events, edit->holders[i]);
	}
}

enum atl_err atl_role_update(struct atl_app *app, const struct atl_identity *who, const char *id, const char *name,
			     const struct atl_strs *permissions, struct atl_arena *arena, struct atl_role_entry *ret,
			     struct atl_errinfo *info)
{
	struct edit edit = { .who = who, .arena = arena, .id = id, .name = name };
	enum atl_err err = name ? check_name(&edit, info) : ATL_OK;

	if (!err && permissions)
		err = check_permissions(&edit, permissions, info);
	if (!err)
		err = atl_audit_tx(app->db, update_tx, &edit,
				   &(struct atl_audit){ .who = who, .action = "role.change", .target_kind = "role", .target_id = id,
							.note = edit.json }, info);
	if (err)
		return err;
	reach_holders(app, &edit);
	return atl_role_entry_get(app, id, arena, ret, info);
}

/* ---- rights ---- */

static enum atl_err list_json(struct edit *edit, const struct atl_strs *list, const char *field, const char **ret,
			      struct atl_errinfo *info)
{
	struct atl_buf out;
	struct atl_jw w;
	enum atl_err err = atl_rights_check_patterns(list, field, info);

	*ret = NULL;
	if (err || list->count == 0)
		return err;
	atl_buf_init(&out, (size_t)ATL_RIGHTS_PATTERNS_MAX * ATL_RIGHTS_PATTERN_MAX * 3);
	atl_jw_init(&w, &out);
	atl_jw_array(&w, NULL);
	for (size_t i = 0; i < list->count; i++)
		atl_jw_str(&w, NULL, list->items[i]);
	atl_jw_end_array(&w);
	err = atl_buf_err(&out, info);
	if (!err && !(*ret = atl_arena_strdup(edit->arena, out.data)))
		err = atl_fail(info, ATL_ERR_NOMEM, "rights of a role");
	atl_buf_finish(&out);
	return err;
}

static enum atl_err feature_names(struct edit *edit, const struct atl_strs *list, struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;
	struct atl_buf out;

	atl_buf_init(&out, 1024);
	for (size_t i = 0; i < list->count && !err; i++) {
		enum atl_feature feature;

		if (!atl_feature_find(list->items[i], &feature))
			err = atl_fail_field(info, ATL_ERR_INVALID, "features_off", "There is no feature \"%.60s\".", list->items[i]);
		if (out.length)
			atl_buf_addc(&out, ' ');
		atl_buf_adds(&out, list->items[i]);
	}
	if (!err)
		err = atl_buf_err(&out, info);
	if (!err && out.length && !(edit->features = atl_arena_strdup(edit->arena, out.data)))
		err = atl_fail(info, ATL_ERR_NOMEM, "rights of a role");
	atl_buf_finish(&out);
	return err;
}

/* What was set, in words for the audit log. */
static void note_rights(struct edit *edit)
{
	const struct atl_role_change *change = edit->change;

	if (change->mature)
		atl_buf_addf(&edit->note, "mature %s ", *change->mature ? "on" : "off");
	if (change->storage_bytes)
		atl_buf_addf(&edit->note, "storage %lld ", (long long)*change->storage_bytes);
	if (change->features_off)
		atl_buf_addf(&edit->note, "without [%s] ", edit->features ? edit->features : "");
	if (change->models)
		atl_buf_addf(&edit->note, "models %s ", edit->models ? edit->models : "all");
	if (change->providers)
		atl_buf_addf(&edit->note, "providers %s ", edit->providers ? edit->providers : "all");
}

static enum atl_err read_change(struct edit *edit, struct atl_errinfo *info)
{
	const struct atl_role_change *change = edit->change;
	const struct atl_identity *who = edit->who;
	bool limits = change->models || change->providers || change->features_off || change->storage_bytes;
	enum atl_err err = ATL_OK;

	if (limits && atl_str_eq(edit->id, atl_role_name(ATL_ROLE_OWNER)))
		return atl_fail(info, ATL_ERR_INVALID, "Owners have no limits.");
	if (limits && (atl_rights_limited(who) || who->features_off || who->storage_bytes))
		return atl_fail(info, ATL_ERR_FORBIDDEN, "Your own role or key is limited, so you cannot say what others may use.");
	if (change->mature && *change->mature && !who->mature && who->role != ATL_ROLE_OWNER)
		return atl_fail_field(info, ATL_ERR_FORBIDDEN, "mature", "Your own role does not have it, so you cannot give it.");
	if (change->models)
		err = list_json(edit, change->models, "models", &edit->models, info);
	if (!err && change->providers)
		err = list_json(edit, change->providers, "providers", &edit->providers, info);
	if (!err && change->features_off)
		err = feature_names(edit, change->features_off, info);
	if (!err)
		note_rights(edit);
	return err;
}

static enum atl_err rights_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct edit *edit = arg;
	const struct atl_role_change *change = edit->change;
	enum atl_err err = look_at_role(conn, edit, info);

	if (!err)
		err = atl_exec(conn, info,
			       "INSERT INTO role_rights (role, mature, updated_at) VALUES (?, 1, ?) "
			       "ON CONFLICT (role) DO UPDATE SET updated_at = excluded.updated_at",
			       "si", edit->id, atl_now_ms());
	if (!err && change->mature)
		err = atl_exec(conn, info, "UPDATE role_rights SET mature = ? WHERE role = ?", "is", (int64_t)*change->mature, edit->id);
	if (!err && change->models)
		err = atl_exec(conn, info, "UPDATE role_rights SET models = ? WHERE role = ?", "ss", edit->models, edit->id);
	if (!err && change->providers)
		err = atl_exec(conn, info, "UPDATE role_rights SET providers = ? WHERE role = ?", "ss", edit->providers, edit->id);
	if (!err && change->features_off)
		err = atl_exec(conn, info, "UPDATE role_rights SET features_off = ? WHERE role = ?", "ss", edit->features, edit->id);
	if (!err && change->storage_bytes)
		err = atl_exec(conn, info, "UPDATE role_rights SET storage_bytes = ? WHERE role = ?", "is", *change->storage_bytes,
			       edit->id);
	return err;
}

enum atl_err atl_role_set_rights(struct atl_app *app, const struct atl_identity *who, const char *id,
				 const struct atl_role_change *change, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct edit edit = { .who = who, .arena = &arena, .id = id, .also_built_in = true, .change = change };
	enum atl_err err;

	atl_arena_init(&arena, 0);
	atl_buf_init(&edit.note, 65536);
	atl_buf_adds(&edit.note, "");
	err = read_change(&edit, info);
	if (!err)
		err = atl_audit_tx(app->db, rights_tx, &edit,
				   &(struct atl_audit){ .who = who, .action = "role.rights", .target_kind = "role", .target_id = id,
							.note = edit.note.length ? edit.note.data : NULL }, info);
	if (!err)
		reach_holders(app, &edit);
	atl_buf_finish(&edit.note);
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err delete_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct edit *edit = arg;
	enum atl_err err = look_at_role(conn, edit, info);

	if (!err && edit->holder_count > 0)
		err = atl_fail(info, ATL_ERR_CONFLICT, "Accounts that still have this role: %zu. Give them another one first.",
			       edit->holder_count);
	if (!err) /* links that would give it lead nowhere */
		err = atl_exec(conn, info, "UPDATE invitations SET revoked_at = ? WHERE role = ? AND revoked_at IS NULL", "is",
			       atl_now_ms(), edit->id);
	if (!err)
		err = atl_exec(conn, info, "DELETE FROM role_rights WHERE role = ?", "s", edit->id);
	return err ? err : atl_exec(conn, info, "DELETE FROM roles WHERE id = ?", "s", edit->id);
}

enum atl_err atl_role_delete(struct atl_app *app, const struct atl_identity *who, const char *id, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct edit edit = { .who = who, .arena = &arena, .id = id };
	enum atl_err err;

	atl_arena_init(&arena, 0);
	err = atl_audit_tx(app->db, delete_tx, &edit,
			   &(struct atl_audit){ .who = who, .action = "role.delete", .target_kind = "role", .target_id = id }, info);
	atl_arena_finish(&arena);
	return err;
}
