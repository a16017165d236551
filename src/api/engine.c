/* engine.c - /api/v1/engine: the local model's program and its model files. */
#include "api/api.h"
#include "api/fields.h"
#include "core/models/engine.h"
#include "core/models/local_model.h"
#include "core/people/audit.h"

struct change_in {
	uint64_t present;
	const char *model;
	int64_t context_size, slots, threads, gpu_layers;
};
static const struct atl_json_field change_fields[] = {
	F_STR(struct change_in, model, ATL_JF_NULLABLE, 1, ATL_LOCAL_MODEL_FILE_MAX, "file; null: the first that works"),
	F_INT(struct change_in, context_size, ATL_JF_NULLABLE, ATL_ENGINE_CONTEXT_MIN, ATL_ENGINE_CONTEXT_MAX,
	      "tokens of one conversation; null: automatic"),
	F_INT(struct change_in, slots, ATL_JF_NULLABLE, 1, ATL_ENGINE_SLOTS_MAX, "replies at once; null: automatic"),
	F_INT(struct change_in, threads, ATL_JF_NULLABLE, 1, ATL_ENGINE_THREADS_MAX, "null: automatic"),
	F_INT(struct change_in, gpu_layers, 0, ATL_ENGINE_AUTO_LAYERS, ATL_ENGINE_GPU_LAYERS_MAX, "-1: as many as fit"),
};
DESC_PATCH(change_desc, struct change_in, "EngineInput", change_fields);

struct log_out {
	struct atl_strs lines;
};
static const struct atl_json_field log_fields[] = {
	F_STRS(struct log_out, lines, ATL_JF_REQUIRED, 0, 0, "oldest first"),
};
DESC(log_desc, struct log_out, "EngineLog", log_fields);

struct import_in {
	const char *path;
};
static const struct atl_json_field import_fields[] = {
	F_STR(struct import_in, path, ATL_JF_REQUIRED, 1, 4000, "the whole path of a .gguf file on the server's machine"),
};
DESC(import_desc, struct import_in, "ModelImport", import_fields);

static void answer_status(struct atl_req *req, enum atl_err err, struct atl_errinfo *info)
{
	struct atl_engine_status status;
	if (!err)
		err = atl_engine_status(atl_api_app(req)->engine, &req->arena, &status, info);
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json(req, 200, &atl_engine_status_desc, &status);
}

static void engine_get(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	answer_status(req, ATL_OK, &info);
}

static enum atl_err need_engine(struct atl_req *req, struct atl_errinfo *info)
{
	return atl_api_app(req)->engine ? ATL_OK
					: atl_fail(info, ATL_ERR_UNAVAILABLE, "The local engine is switched off (engine_enabled).");
}

static void engine_patch(struct atl_req *req)
{
	struct atl_engine *engine = atl_api_app(req)->engine;
	struct atl_errinfo info = {0};
	struct atl_engine_settings s;
	struct change_in in;
	enum atl_err err = need_engine(req, &info);
	if (!err)
		err = atl_req_json(req, &in, &info);
	if (!err)
		err = atl_engine_settings_get(engine, &req->arena, &s, &info);
	if (!err) {
		if (atl_json_has(&change_desc, &in, "model"))
			s.model = in.model;
		if (atl_json_has(&change_desc, &in, "context_size"))
			s.context_size = in.context_size;
		if (atl_json_has(&change_desc, &in, "slots"))
			s.slots = in.slots;
		if (atl_json_has(&change_desc, &in, "threads"))
			s.threads = in.threads;
		if (atl_json_has(&change_desc, &in, "gpu_layers"))
			s.gpu_layers = in.gpu_layers;
		err = atl_engine_settings_set(engine, atl_api_identity(req), &s, &info);
	}
	answer_status(req, err, &info);
}

static void act(struct atl_req *req, void (*fn)(struct atl_engine *engine))
{
	struct atl_errinfo info = {0};
	enum atl_err err = need_engine(req, &info);
	if (!err)
		fn(atl_api_app(req)->engine);
	answer_status(req, err, &info);
}

static void engine_start(struct atl_req *req)
{
	act(req, atl_engine_start);
}

static void engine_stop(struct atl_req *req)
{
	act(req, atl_engine_stop);
}

static void engine_restart(struct atl_req *req)
{
	act(req, atl_engine_restart);
}

static void engine_log(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct log_out out;
	enum atl_err err = atl_engine_log(atl_api_app(req)->engine, &req->arena, &out.lines, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &log_desc, &out);
}

/* ---- model files ---- */

static void model_files(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_local_model *items;
	size_t count;
	enum atl_err err = atl_local_models_list(atl_api_app(req), &req->arena, &items, &count, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_local_model_desc, items, count, NULL);
}

static void answer_model(struct atl_req *req, enum atl_err err, const struct atl_local_model *model,
			 const struct atl_errinfo *info)
{
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json(req, 201, &atl_local_model_desc, model);
}

/* Files have no transaction to be told in. */
static void tell(struct atl_req *req, const char *action, const char *file)
{
	atl_audit_now(atl_api_app(req), &(struct atl_audit){.who = atl_api_identity(req), .action = action,
							    .target_kind = "model", .target_id = file});
}

static void model_upload(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_local_model model;
	enum atl_err err = ATL_OK;
	if (!req->body_path || !req->body_file_bytes)
		err = atl_fail(&info, ATL_ERR_INVALID, "Send the model file as the body.");
	if (!err)
		err = atl_local_model_take(atl_api_app(req), &req->arena, atl_req_param(req, "file"), req->body_path, &model,
					   &info);
	if (!err)
		tell(req, "model.install", model.file);
	answer_model(req, err, &model, &info);
}

static void model_import(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_local_model model;
	struct import_in in;
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err)
		err = atl_local_model_import(atl_api_app(req), &req->arena, in.path, &model, &info);
	if (!err)
		tell(req, "model.install", model.file);
	answer_model(req, err, &model, &info);
}

static void model_delete(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	enum atl_err err = atl_local_model_delete(atl_api_app(req), atl_req_param(req, "file"), &info);
	if (!err)
		tell(req, "model.delete", atl_req_param(req, "file"));
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

const struct atl_route atl_engine_routes[] = {
	{ATL_GET, "/api/v1/engine", "session", 0, engine_get, "engine", "State of the local engine",
	 .out = &atl_engine_status_desc},
	{ATL_PATCH, "/api/v1/engine", "engine.manage", 0, engine_patch, "engine", "Change its settings and restart it",
	 .in = &change_desc, .out = &atl_engine_status_desc},
	{ATL_POST, "/api/v1/engine/start", "engine.manage", 0, engine_start, "engine", "Start it",
	 .out = &atl_engine_status_desc},
	{ATL_POST, "/api/v1/engine/stop", "engine.manage", 0, engine_stop, "engine", "Stop it",
	 .out = &atl_engine_status_desc},
	{ATL_POST, "/api/v1/engine/restart", "engine.manage", 0, engine_restart, "engine", "Restart it",
	 .out = &atl_engine_status_desc},
	{ATL_GET, "/api/v1/engine/log", "engine.manage", 0, engine_log, "engine", "The last lines it wrote", .out = &log_desc},
	{ATL_GET, "/api/v1/engine/models", "engine.manage", 0, model_files, "engine", "List model files",
	 .out = &atl_local_model_desc, .out_list = true},
	{ATL_PUT, "/api/v1/engine/models/{file}", "engine.manage", ATL_ROUTE_UPLOAD, model_upload, "engine",
	 "Upload a GGUF file", .out = &atl_local_model_desc, .status = 201, .body_max = (size_t)ATL_LOCAL_MODEL_BYTES_MAX},
	{ATL_DELETE, "/api/v1/engine/models/{file}", "engine.manage", 0, model_delete, "engine", "Delete a model file",
	 .status = 204},
	{ATL_POST, "/api/v1/engine/models/import", "admin", 0, model_import, "engine",
	 "Take in a model file of the server's machine", .in = &import_desc, .out = &atl_local_model_desc, .status = 201},
	{0},
};
