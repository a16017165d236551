/* picture_models.c - /api/v1/picture-models: the model registry, and the operator's own entries. */
#include <string.h>

#include "api/api.h"
#include "api/fields.h"
#include "core/people/rights.h"
#include "core/pictures/picture_engine.h"
#include "core/pictures/picture_model.h"
#include "core/pictures/picture_own.h"

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_model *items;
	size_t count;
	enum atl_err err = atl_rights_picture_models(atl_api_app(req), &req->arena, atl_api_identity(req), &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_picture_model_desc, items, count, NULL);
}

static void handle_engine(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_engine_status status;
	enum atl_err err = atl_picture_engine_status(atl_api_app(req)->picture_engine, &req->arena, &status, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &atl_picture_engine_status_desc, &status);
}

static void handle_unload(struct atl_req *req)
{
	atl_picture_engine_stop(atl_api_app(req)->picture_engine);
	handle_engine(req);
}

struct lora {
	const char *name;
};
static const struct atl_json_field lora_fields[] = {
	F_STR(struct lora, name, ATL_JF_REQUIRED, 0, 0, "as in <lora:name:1>"),
};
DESC(lora_desc, struct lora, "Lora", lora_fields);

static void handle_loras(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct lora *items = NULL;
	struct atl_strs names;
	enum atl_err err = atl_picture_lora_list(atl_api_app(req), &req->arena, &names, &info);

	if (!err) {
		items = ATL_ARENA_ARRAY(&req->arena, struct lora, names.count + 1);
		err = items ? ATL_OK : ATL_ERR_NOMEM;
	}
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	for (size_t i = 0; i < names.count; i++)
		items[i].name = names.items[i];
	atl_api_list(req, &lora_desc, items, names.count, NULL);
}

static void handle_entries(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_picture_own *items;
	size_t count;
	enum atl_err err = atl_picture_own_list(atl_api_app(req), &req->arena, &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_picture_own_desc, items, count, NULL);
}

static void handle_entry_save(struct atl_req *req)
{
	const char *id = atl_req_param(req, "id");
	struct atl_errinfo info = { 0 };
	struct atl_picture_own own;
	struct atl_json *entry;
	enum atl_err err = atl_req_tree(req, &entry, &info);

	if (!err)
		err = atl_picture_own_save(atl_api_app(req), &req->arena, id, entry, &own, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, id ? 200 : 201, &atl_picture_own_desc, &own);
}

static void handle_entry_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_picture_own_delete(atl_api_app(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

#define TAG .tag = "Picture models"

const struct atl_route atl_picture_models_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/picture-models", .permission = "pictures.use", .handler = handle_list, TAG,
	  .summary = "Picture and video models of all services, with what each takes", .out = &atl_picture_model_desc,
	  .out_list = true },
	{ .method = ATL_GET, .path = "/api/v1/loras", .permission = "pictures.use", .handler = handle_loras, TAG,
	  .summary = "LoRA files on this machine", .out = &lora_desc, .out_list = true },
	{ .method = ATL_GET, .path = "/api/v1/picture-engine", .permission = "pictures.use", .handler = handle_engine, TAG,
	  .summary = "State of the local picture engine", .out = &atl_picture_engine_status_desc },
	{ .method = ATL_POST, .path = "/api/v1/picture-engine/unload", .permission = "engine.manage", .handler = handle_unload,
	  TAG, .summary = "Give its memory back; it starts again when it is needed", .out = &atl_picture_engine_status_desc },
	{ .method = ATL_GET, .path = "/api/v1/picture-entries", .permission = "providers.manage", .handler = handle_entries, TAG,
	  .summary = "The operator's own entries of the registry", .out = &atl_picture_own_desc, .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/picture-entries", .permission = "providers.manage", .handler = handle_entry_save,
	  TAG, .summary = "Add a model to the registry", .out = &atl_picture_own_desc, .status = 201 },
	{ .method = ATL_PUT, .path = "/api/v1/picture-entries/{id}", .permission = "providers.manage",
	  .handler = handle_entry_save, TAG, .summary = "Replace an entry", .out = &atl_picture_own_desc },
	{ .method = ATL_DELETE, .path = "/api/v1/picture-entries/{id}", .permission = "providers.manage",
	  .handler = handle_entry_delete, TAG, .summary = "Delete an entry", .status = 204 },
	{ .path = NULL },
};
