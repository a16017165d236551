/* groups.c - /api/v1/groups: groups of people, for whoever manages people. */
#include "api/api.h"
#include "api/fields.h"
#include "core/people/group.h"

struct group_in {
	const char *name;
};
static const struct atl_json_field group_fields[] = {
	F_STR(struct group_in, name, ATL_JF_REQUIRED, 1, ATL_GROUP_NAME_MAX, NULL),
};
DESC(group_in_desc, struct group_in, "GroupInput", group_fields);

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_group *items;
	size_t count;
	enum atl_err err = atl_group_list(atl_api_app(req), &req->arena, &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_group_desc, items, count, NULL);
}

/* A new one, or another name for the one in the path. */
static void save(struct atl_req *req, const char *id, int status)
{
	struct atl_errinfo info = { 0 };
	struct atl_group group;
	struct group_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_group_save(atl_api_app(req), atl_api_identity(req), id, in.name, &req->arena, &group, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, status, &atl_group_desc, &group);
}

static void handle_create(struct atl_req *req)
{
	save(req, NULL, 201);
}

static void handle_put(struct atl_req *req)
{
	save(req, atl_req_param(req, "id"), 200);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_group_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

#define MANAGE .permission = "people.manage", .tag = "People"
const struct atl_route atl_groups_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/groups", MANAGE, .handler = handle_list, .summary = "Groups of people",
	  .out = &atl_group_desc, .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/groups", MANAGE, .handler = handle_create, .summary = "Make a group",
	  .in = &group_in_desc, .out = &atl_group_desc, .status = 201 },
	{ .method = ATL_PUT, .path = "/api/v1/groups/{id}", MANAGE, .handler = handle_put, .summary = "Rename a group",
	  .in = &group_in_desc, .out = &atl_group_desc },
	{ .method = ATL_DELETE, .path = "/api/v1/groups/{id}", MANAGE, .handler = handle_delete,
	  .summary = "Delete a group; its people stay", .status = 204 },
	{ .path = NULL },
};
