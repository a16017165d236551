/* people.c - /api/v1/users and /api/v1/roles: accounts and what they may, for whoever manages people. */
#include "api/api.h"
#include "api/fields.h"
#include "core/people/rights.h"
#include "core/people/role_edit.h"
#include "core/people/user_admin.h"

struct user_patch {
	uint64_t present;
	const char *role;
	struct atl_strs groups;
};
static const struct atl_json_field patch_fields[] = {
	F_STR(struct user_patch, role, 0, 1, ATL_ID_SIZE, "a built-in role's name or a custom one's id"),
	F_STRS(struct user_patch, groups, 0, 0, ATL_USER_GROUPS_MAX, "ids of the groups it is in from now on"),
};
DESC_PATCH(patch_desc, struct user_patch, "PersonPatch", patch_fields);

struct suspend_in {
	int64_t until;
	const char *why;
};
static const struct atl_json_field suspend_fields[] = {
	F_TIME(struct suspend_in, until, ATL_JF_NULLABLE, "null: until it is lifted"),
	F_STR(struct suspend_in, why, ATL_JF_NULLABLE, 0, ATL_USER_WHY_MAX, "the person reads it when signing in"),
};
DESC(suspend_desc, struct suspend_in, "Suspension", suspend_fields);

struct hold_in {
	const char *why;
};
static const struct atl_json_field hold_fields[] = {
	F_STR(struct hold_in, why, ATL_JF_REQUIRED, 1, ATL_USER_WHY_MAX, "kept in the audit log"),
};
DESC(hold_desc, struct hold_in, "Hold", hold_fields);

static const struct atl_query_param list_params[] = {
	ATL_API_PAGE_PARAMS,
	{ "q", ATL_JT_STR, 0, 200, NULL, "part of the name or the address" },
	{ "role", ATL_JT_STR, 0, 100, NULL, "a built-in role's name or a custom one's id" },
	{ "state", ATL_JT_STR, 0, 20, NULL, "active, waiting or suspended" },
	{ NULL },
};

static void handle_list(struct atl_req *req)
{
	struct atl_user_filter filter = { .q = atl_req_query(req, "q"), .role = atl_req_query(req, "role"),
					  .state = atl_req_query(req, "state") };
	struct atl_errinfo info = { 0 };
	struct atl_user_entry *items;
	const char *next = NULL;
	struct atl_page page;
	size_t count;
	enum atl_err err = atl_api_page(req, &page, &info);

	if (!err) {
		filter.limit = page.limit;
		filter.after = page.has_after ? page.after_id : NULL;
		err = atl_user_admin_list(atl_api_app(req), atl_api_identity(req), &filter, &req->arena, &items, &count, &info);
	}
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	if (count > (size_t)page.limit) {
		count = (size_t)page.limit;
		next = atl_api_cursor(req, 0, items[count - 1].id);
	}
	atl_api_list(req, &atl_user_entry_desc, items, count, next);
}

/* The account as it is after what was done to it. */
static void answer(struct atl_req *req, enum atl_err err, struct atl_errinfo *info)
{
	struct atl_user_entry entry;

	if (!err)
		err = atl_user_admin_get(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &req->arena, &entry,
					 info);
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json(req, 200, &atl_user_entry_desc, &entry);
}

static void handle_get(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };

	answer(req, ATL_OK, &info);
}

static void handle_patch(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct user_patch in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err && atl_json_has(&patch_desc, &in, "role"))
		err = atl_user_admin_role(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), in.role, &info);
	if (!err && atl_json_has(&patch_desc, &in, "groups"))
		err = atl_user_admin_groups(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &in.groups, &info);
	answer(req, err, &info);
}

static void handle_suspend(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct suspend_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_user_admin_suspend(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), in.until,
					     in.why, &info);
	answer(req, err, &info);
}

static void handle_resume(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };

	answer(req, atl_user_admin_resume(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info), &info);
}

static void handle_approve(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };

	answer(req, atl_user_admin_approve(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info), &info);
}

static void handle_hold(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct hold_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_user_admin_hold(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), in.why, &info);
	answer(req, err, &info);
}

static void handle_unhold(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_user_admin_hold(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), NULL, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_user_admin_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

/* ---- roles ---- */

struct role_in {
	uint64_t present;
	const char *name;
	struct atl_strs permissions, models, providers, features_off;
	int64_t storage_bytes;
	bool mature;
};
static const struct atl_json_field role_fields[] = {
	F_STR(struct role_in, name, ATL_JF_REQUIRED, 1, ATL_ROLE_NAME_MAX, NULL),
	F_STRS(struct role_in, permissions, ATL_JF_REQUIRED, 0, ATL_PERM_COUNT, "names of GET /api/v1/permissions"),
};
DESC_PATCH(role_in_desc, struct role_in, "RoleInput", role_fields);
static const struct atl_json_field role_patch_fields[] = {
	F_STR(struct role_in, name, 0, 1, ATL_ROLE_NAME_MAX, NULL),
	F_STRS(struct role_in, permissions, 0, 0, ATL_PERM_COUNT, NULL),
	F_BOOL(struct role_in, mature, 0, "has mature content, where the server allows any"),
	F_STRS(struct role_in, models, 0, 0, ATL_RIGHTS_PATTERNS_MAX, "ids or patterns (*) of the models it may use; none: all"),
	F_STRS(struct role_in, providers, 0, 0, ATL_RIGHTS_PATTERNS_MAX, "local, or ids of providers it may use; none: all"),
	F_STRS(struct role_in, features_off, 0, 0, ATL_FEATURE_COUNT, "what it does not have, of GET /api/v1/features"),
	F_INT(struct role_in, storage_bytes, ATL_JF_NULLABLE, 1, 1e15, "room for each account's files; null: no cap"),
};
DESC_PATCH(role_patch_desc, struct role_in, "RolePatch", role_patch_fields);

struct permission_out {
	const char *name, *text;
};
static const struct atl_json_field permission_fields[] = {
	F_STR(struct permission_out, name, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct permission_out, text, ATL_JF_REQUIRED, 0, 0, "what it allows"),
};
DESC(permission_desc, struct permission_out, "Permission", permission_fields);

static void handle_permissions(struct atl_req *req)
{
	struct permission_out items[ATL_PERM_COUNT];
	size_t count = 0;

	for (int perm = 0; perm < ATL_PERM_COUNT; perm++)
		if (!(atl_role_permissions(ATL_ROLE_CUSTOM) & ATL_PERM_BIT(perm)))
			items[count++] = (struct permission_out){ atl_permission_name(perm), atl_permission_doc(perm) };
	atl_api_list(req, &permission_desc, items, count, NULL);
}

static void handle_features(struct atl_req *req)
{
	struct permission_out items[ATL_FEATURE_COUNT];

	for (int feature = 0; feature < ATL_FEATURE_COUNT; feature++)
		items[feature] = (struct permission_out){ atl_feature_name(feature), atl_feature_doc(feature) };
	atl_api_list(req, &permission_desc, items, ATL_FEATURE_COUNT, NULL);
}

static void handle_roles(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_role_entry *items;
	size_t count;
	enum atl_err err = atl_role_list(atl_api_app(req), &req->arena, &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_role_entry_desc, items, count, NULL);
}

static void answer_role(struct atl_req *req, enum atl_err err, int status, const struct atl_role_entry *role,
			struct atl_errinfo *info)
{
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json(req, status, &atl_role_entry_desc, role);
}

static void handle_role_create(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_role_entry role;
	struct role_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_role_create(atl_api_app(req), atl_api_identity(req), in.name, &in.permissions, &req->arena, &role, &info);
	answer_role(req, err, 201, &role, &info);
}

/* What a role may use: of a built-in one, too. */
static enum atl_err change_rights(struct atl_req *req, const struct role_in *in, struct atl_errinfo *info)
{
	struct atl_role_change change = {
		.models = atl_json_has(&role_patch_desc, in, "models") ? &in->models : NULL,
		.providers = atl_json_has(&role_patch_desc, in, "providers") ? &in->providers : NULL,
		.features_off = atl_json_has(&role_patch_desc, in, "features_off") ? &in->features_off : NULL,
		.storage_bytes = atl_json_has(&role_patch_desc, in, "storage_bytes") ? &in->storage_bytes : NULL,
		.mature = atl_json_has(&role_patch_desc, in, "mature") ? &in->mature : NULL,
	};

	if (!change.models && !change.providers && !change.features_off && !change.storage_bytes && !change.mature)
		return ATL_OK;
	return atl_role_set_rights(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &change, info);
}

static void handle_role_patch(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	const char *id = atl_req_param(req, "id");
	struct atl_errinfo info = { 0 };
	struct atl_role_entry role;
	struct role_in in;
	bool named, permitted;
	enum atl_err err = atl_req_json(req, &in, &info);

	named = !err && atl_json_has(&role_patch_desc, &in, "name");
	permitted = !err && atl_json_has(&role_patch_desc, &in, "permissions");
	if (named || permitted)
		err = atl_role_update(app, atl_api_identity(req), id, named ? in.name : NULL, permitted ? &in.permissions : NULL,
				      &req->arena, &role, &info);
	if (!err)
		err = change_rights(req, &in, &info);
	if (!err)
		err = atl_role_entry_get(app, id, &req->arena, &role, &info);
	answer_role(req, err, 200, &role, &info);
}

static void handle_role_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_role_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

#define MANAGE .permission = "people.manage", .tag = "People"
const struct atl_route atl_people_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/users", MANAGE, .handler = handle_list, .summary = "Accounts, newest first",
	  .out = &atl_user_entry_desc, .out_list = true, .query = list_params },
	{ .method = ATL_GET, .path = "/api/v1/users/{id}", MANAGE, .handler = handle_get, .summary = "An account",
	  .out = &atl_user_entry_desc },
	{ .method = ATL_PATCH, .path = "/api/v1/users/{id}", MANAGE, .handler = handle_patch, .summary = "Give another role or other groups",
	  .in = &patch_desc, .out = &atl_user_entry_desc },
	{ .method = ATL_POST, .path = "/api/v1/users/{id}/suspend", MANAGE, .handler = handle_suspend,
	  .summary = "Suspend: sessions, streams, replies and jobs end at once", .in = &suspend_desc, .out = &atl_user_entry_desc },
	{ .method = ATL_POST, .path = "/api/v1/users/{id}/resume", MANAGE, .handler = handle_resume,
	  .summary = "Lift a suspension", .out = &atl_user_entry_desc },
	{ .method = ATL_POST, .path = "/api/v1/users/{id}/approve", MANAGE, .handler = handle_approve,
	  .summary = "Let somebody who signed up in", .out = &atl_user_entry_desc },
	{ .method = ATL_DELETE, .path = "/api/v1/users/{id}", MANAGE, .handler = handle_delete,
	  .summary = "Delete an account with everything that is the person's", .status = 204 },
	{ .method = ATL_POST, .path = "/api/v1/users/{id}/hold", MANAGE, .handler = handle_hold,
	  .summary = "Legal hold: nothing of the account is erased until it is lifted", .in = &hold_desc, .out = &atl_user_entry_desc },
	{ .method = ATL_DELETE, .path = "/api/v1/users/{id}/hold", MANAGE, .handler = handle_unhold,
	  .summary = "Lift a hold; an account that was deleted meanwhile is erased now", .status = 204 },
	{ .method = ATL_GET, .path = "/api/v1/permissions", MANAGE, .handler = handle_permissions,
	  .summary = "What a role can be given", .out = &permission_desc, .out_list = true },
	{ .method = ATL_GET, .path = "/api/v1/features", MANAGE, .handler = handle_features,
	  .summary = "What a role can be without", .out = &permission_desc, .out_list = true },
	{ .method = ATL_GET, .path = "/api/v1/roles", MANAGE, .handler = handle_roles,
	  .summary = "Built-in roles, then one's own", .out = &atl_role_entry_desc, .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/roles", MANAGE, .handler = handle_role_create, .summary = "Make a role",
	  .in = &role_in_desc, .out = &atl_role_entry_desc, .status = 201 },
	{ .method = ATL_PATCH, .path = "/api/v1/roles/{id}", MANAGE, .handler = handle_role_patch, .summary = "Change a role",
	  .in = &role_patch_desc, .out = &atl_role_entry_desc },
	{ .method = ATL_DELETE, .path = "/api/v1/roles/{id}", MANAGE, .handler = handle_role_delete,
	  .summary = "Delete a role that nobody has", .status = 204 },
	{ .path = NULL },
};
