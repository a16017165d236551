/* role.c - a user's role to permissions. */
#include "core/role.h"

#include "base/json.h"
#include "base/str.h"
#include "core/identity.h"
#include "db/db.h"

/* JSON list of permission names; what is not known is nothing. */
static enum atl_err read_permissions(const char *json, struct atl_arena *arena, uint32_t *mask, struct atl_errinfo *info)
{
	struct atl_json *tree;
	enum atl_err err = atl_json_parse(arena, json, strlen(json), &tree, info);

	if (err || tree->kind != ATL_JSON_ARRAY)
		return err;
	for (const struct atl_json *item = tree->child; item; item = item->next) {
		enum atl_permission perm;

		if (item->kind == ATL_JSON_STRING && atl_permission_find(item->string, &perm))
			*mask |= ATL_PERM_BIT(perm);
	}
	return ATL_OK;
}

/* `name` has room for ATL_ROLE_NAME_SIZE, or is NULL. */
static enum atl_err load(struct atl_conn *conn, const char *role, enum atl_role *ret_role, uint32_t *ret_permissions,
			 char *name, struct atl_errinfo *info)
{
	const char *json, *text;
	struct atl_arena arena;
	struct atl_rows *rows;
	enum atl_err err;

	if (role && atl_role_find(role, ret_role)) {
		*ret_permissions = atl_role_permissions(*ret_role);
		if (name)
			atl_str_copy(name, ATL_ROLE_NAME_SIZE, role);
		return ATL_OK;
	}
	*ret_role = ATL_ROLE_CUSTOM;
	*ret_permissions = atl_role_permissions(ATL_ROLE_CUSTOM);
	if (name)
		atl_str_copy(name, ATL_ROLE_NAME_SIZE, atl_role_name(ATL_ROLE_CUSTOM));
	if (!role)
		return ATL_OK;
	err = atl_query(conn, &rows, info, "SELECT permissions, name FROM roles WHERE id = ?", "s", role);
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	atl_arena_init(&arena, 65536);
	json = atl_col_text(rows, 0, &arena);
	text = atl_col_text(rows, 1, &arena);
	atl_rows_close(rows);
	err = json && text ? read_permissions(json, &arena, ret_permissions, info) :
			     atl_fail(info, ATL_ERR_NOMEM, "read role");
	if (!err && name)
		atl_str_copy(name, ATL_ROLE_NAME_SIZE, text);
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_role_load(struct atl_conn *conn, const char *role, enum atl_role *ret_role, uint32_t *ret_permissions,
			   struct atl_errinfo *info)
{
	return load(conn, role, ret_role, ret_permissions, NULL, info);
}

enum atl_err atl_role_give(struct atl_conn *conn, const char *role, struct atl_identity *identity,
			   struct atl_errinfo *info)
{
	enum atl_err err;

	atl_str_copy(identity->role_id, sizeof(identity->role_id), role ? role : "");
	err = load(conn, role, &identity->role, &identity->permissions, identity->role_name, info);
	return err ? err : atl_role_mature(conn, identity->role_id, &identity->mature, info);
}

enum atl_err atl_role_mature(struct atl_conn *conn, const char *role, bool *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT mature FROM role_rights WHERE role = ?", "s", role);

	*ret = false;
	if (err)
		return err;
	*ret = true;
	if (atl_rows_next(rows, &err, info)) {
		*ret = atl_col_int(rows, 0) != 0;
		atl_rows_close(rows);
	}
	return err;
}
