/* role.c - a user's role to permissions. */
#include "core/people/role.h"

#include "base/json.h"
#include "base/str.h"
#include "core/access/identity.h"
#include "core/people/rights.h"
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

/* Names of features, separated by spaces; what is not known is nothing. */
static uint32_t read_features(const char *text)
{
	uint32_t mask = 0;
	char name[32];

	while (text && *text) {
		size_t length = strcspn(text, " ");
		enum atl_feature feature;

		if (length < sizeof(name)) {
			memcpy(name, text, length);
			name[length] = '\0';
			if (atl_feature_find(name, &feature))
				mask |= ATL_FEATURE_BIT(feature);
		}
		text += length;
		text += strspn(text, " ");
	}
	return mask;
}

enum atl_err atl_role_rights(struct atl_conn *conn, const char *role, struct atl_arena *arena, struct atl_role_rights *ret,
			     struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT models, providers, features_off, storage_bytes, mature FROM role_rights WHERE role = ?",
				     "s", role);

	if (err)
		return err;
	*ret = (struct atl_role_rights){ .mature = true };
	if (!atl_rows_next(rows, &err, info))
		return err;
	ret->models = atl_col_text(rows, 0, arena);
	ret->providers = atl_col_text(rows, 1, arena);
	ret->features_off = read_features(atl_col_text(rows, 2, arena));
	ret->storage_bytes = atl_col_int(rows, 3);
	ret->mature = atl_col_int(rows, 4) != 0;
	if ((!ret->models && !atl_col_null(rows, 0)) || (!ret->providers && !atl_col_null(rows, 1)))
		err = atl_fail(info, ATL_ERR_NOMEM, "a role's rights");
	atl_rows_close(rows);
	return err;
}

enum atl_err atl_role_give(struct atl_conn *conn, struct atl_rights_book *book, const char *role,
			   struct atl_identity *identity, struct atl_errinfo *info)
{
	struct atl_role_rights rights;
	struct atl_arena arena;
	enum atl_err err;

	atl_str_copy(identity->role_id, sizeof(identity->role_id), role ? role : "");
	err = load(conn, role, &identity->role, &identity->permissions, identity->role_name, info);
	if (err)
		return err;
	atl_arena_init(&arena, 0);
	err = atl_role_rights(conn, identity->role_id, &arena, &rights, info);
	if (!err) {
		identity->mature = rights.mature;
		identity->features_off = rights.features_off;
		identity->storage_bytes = rights.storage_bytes;
	}
	if (!err && book)
		err = atl_rights_intern(book, rights.models, rights.providers, &identity->rights, info);
	atl_arena_finish(&arena);
	return err;
}
