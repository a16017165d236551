/* role.c - a user's role to permissions. */
#include "core/role.h"

#include "base/json.h"
#include "base/str.h"
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

enum atl_err atl_role_load(struct atl_conn *conn, const char *role, enum atl_role *ret_role, uint32_t *ret_permissions,
			   struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct atl_rows *rows;
	const char *json;
	enum atl_err err;

	if (role && atl_role_find(role, ret_role)) {
		*ret_permissions = atl_role_permissions(*ret_role);
		return ATL_OK;
	}
	*ret_role = ATL_ROLE_CUSTOM;
	*ret_permissions = atl_role_permissions(ATL_ROLE_CUSTOM);
	if (!role)
		return ATL_OK;
	err = atl_query(conn, &rows, info, "SELECT permissions FROM roles WHERE id = ?", "s", role);
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	atl_arena_init(&arena, 65536);
	json = atl_col_text(rows, 0, &arena);
	atl_rows_close(rows);
	err = json ? read_permissions(json, &arena, ret_permissions, info) : atl_fail(info, ATL_ERR_NOMEM, "read role");
	atl_arena_finish(&arena);
	return err;
}
