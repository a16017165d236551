/* workflows.c - /api/v1/workflows: saved ComfyUI workflows. */
#include "api/api.h"
#include "api/fields.h"
#include "core/pictures/workflow.h"
#include "provider/comfy_graph.h"

struct workflow_in {
	uint64_t present;
	const char *name;
	const struct atl_json *graph, *inputs;
	bool shared;
};
static const struct atl_json_field in_fields[] = {
	F_STR(struct workflow_in, name, 0, 1, ATL_WORKFLOW_NAME_MAX, NULL),
	F_ANY(struct workflow_in, graph, 0, "as ComfyUI exports it for its API"),
	F_ANY(struct workflow_in, inputs, 0, "items with name and label, minimum, maximum, fixed: how the form shows them"),
	F_BOOL(struct workflow_in, shared, 0, "everybody on this server may run it"),
};
DESC_PATCH(in_desc, struct workflow_in, "WorkflowInput", in_fields);

struct check_in {
	const char *provider_id;
};
static const struct atl_json_field check_in_fields[] = {
	F_STR(struct check_in, provider_id, ATL_JF_REQUIRED, 1, 100, "a ComfyUI server"),
};
DESC(check_in_desc, struct check_in, "WorkflowCheckInput", check_in_fields);

struct check_out {
	bool ready;
	const char *detail;
};
static const struct atl_json_field check_out_fields[] = {
	F_BOOL(struct check_out, ready, ATL_JF_REQUIRED, "it has every node and file"),
	F_STR(struct check_out, detail, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "what it lacks, by name"),
};
DESC(check_out_desc, struct check_out, "WorkflowCheck", check_out_fields);

static void answer(struct atl_req *req, enum atl_err err, int status, const struct atl_workflow *workflow,
		   const struct atl_errinfo *info)
{
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json(req, status, &atl_workflow_desc, workflow);
}

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_workflow *items;
	size_t count;
	enum atl_err err = atl_workflow_list(atl_api_app(req), &req->arena, atl_api_user(req), &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_workflow_desc, items, count, NULL);
}

static void handle_get(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_workflow workflow;
	enum atl_err err = atl_workflow_get(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), &workflow,
					    &info);

	answer(req, err, 200, &workflow, &info);
}

static void handle_save(struct atl_req *req)
{
	const char *id = atl_req_param(req, "id");
	struct atl_errinfo info = { 0 };
	struct atl_workflow workflow;
	struct workflow_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err) {
		struct atl_workflow_change change = { .name = in.name, .graph = in.graph, .inputs = in.inputs };

		if (atl_json_has(&in_desc, &in, "shared"))
			change.shared = &in.shared;
		err = atl_workflow_save(atl_api_app(req), atl_api_identity(req), &req->arena, id, &change, &workflow, &info);
	}
	answer(req, err, id ? 200 : 201, &workflow, &info);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_workflow_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void handle_check(struct atl_req *req)
{
	struct check_out out = { .ready = true };
	struct atl_errinfo info = { 0 };
	struct check_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_workflow_try(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"),
				       in.provider_id, &info);
	if (err == ATL_ERR_UNSUPPORTED || err == ATL_ERR_UPSTREAM_MODEL) {
		out = (struct check_out){ .detail = info.detail };
		err = ATL_OK;
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &check_out_desc, &out);
}

#define ROUTE(m, p, h, words) .method = m, .path = "/api/v1/workflows" p, .permission = "pictures.use", .handler = h, \
	.tag = "Workflows", .summary = words

const struct atl_route atl_workflows_routes[] = {
	{ ROUTE(ATL_GET, "", handle_list, "One's own workflows, shared ones and the built-in ones"), .out = &atl_workflow_desc, .out_list = true },
	{ ROUTE(ATL_POST, "", handle_save, "Save a workflow; its inputs are found in the graph"), .in = &in_desc,
	  .feature = "workflows", .out = &atl_workflow_desc, .status = 201, .body_max = ATL_COMFY_GRAPH_MAX * 2 },
	{ ROUTE(ATL_GET, "/{id}", handle_get, "One workflow"), .out = &atl_workflow_desc },
	{ ROUTE(ATL_PATCH, "/{id}", handle_save, "Change a workflow of one's own"), .in = &in_desc, .out = &atl_workflow_desc,
	  .feature = "workflows", .body_max = ATL_COMFY_GRAPH_MAX * 2 },
	{ ROUTE(ATL_DELETE, "/{id}", handle_delete, "Delete a workflow of one's own"), .status = 204 },
	{ ROUTE(ATL_POST, "/{id}/check", handle_check, "Would it run there? Missing nodes and files by name"), .in = &check_in_desc,
	  .out = &check_out_desc },
	{ .path = NULL },
};
