/* personas.c - /api/v1/personas and /api/v1/folders. */
#include "api/api.h"
#include "api/fields.h"
#include "core/chat/folder.h"
#include "core/chat/persona.h"

struct persona_in {
	uint64_t present;
	const char *name, *description;
	bool is_default;
};
static const struct atl_json_field persona_fields[] = {
	F_STR(struct persona_in, name, 0, 1, ATL_PERSONA_NAME_MAX, "what {{user}} becomes"),
	F_STR(struct persona_in, description, 0, 0, ATL_PERSONA_DESCRIPTION_MAX, "what characters know about you"),
	F_BOOL(struct persona_in, is_default, 0, "takes the mark from the others"),
};
DESC_PATCH(persona_in_desc, struct persona_in, "PersonaInput", persona_fields);

struct folder_in {
	const char *name;
};
static const struct atl_json_field folder_fields[] = {
	F_STR(struct folder_in, name, ATL_JF_REQUIRED, 1, ATL_FOLDER_NAME_MAX, NULL),
};
DESC(folder_in_desc, struct folder_in, "FolderInput", folder_fields);

static void answer_persona(struct atl_req *req, enum atl_err err, int status, const struct atl_persona *persona,
			   const struct atl_errinfo *info)
{
	if (err) {
		atl_api_fail(req, err, info);
		return;
	}
	atl_api_etag(req, persona->version);
	atl_res_json(req, status, &atl_persona_desc, persona);
}

static void answer_empty(struct atl_req *req, enum atl_err err, const struct atl_errinfo *info)
{
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_empty(req, 204);
}

static void persona_list(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_persona *items;
	size_t count;
	enum atl_err err =
		atl_persona_list(atl_api_app(req), &req->arena, atl_api_user(req), &items, &count, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_persona_desc, items, count, NULL);
}

static void persona_save(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	const char *id = atl_req_param(req, "id");
	struct persona_in in;
	struct atl_persona persona;
	struct atl_persona_change change = {0};
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err && !id && !in.name)
		err = atl_fail_field(&info, ATL_ERR_INVALID, "name", "is required");
	if (!err && id)
		err = atl_api_wanted_version(req, &change.wanted_version, &info);
	if (!err) {
		change.name = in.name;
		change.description = in.description;
		if (atl_json_has(&persona_in_desc, &in, "is_default"))
			change.is_default = &in.is_default;
		err = atl_persona_save(atl_api_app(req), atl_api_identity(req), &req->arena, id, &change, &persona,
				       &info);
	}
	answer_persona(req, err, id ? 200 : 201, &persona, &info);
}

static void persona_get(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_persona persona;
	enum atl_err err = atl_persona_get(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"),
					   &persona, &info);
	answer_persona(req, err, 200, &persona, &info);
}

static void persona_delete(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	answer_empty(req,
		     atl_persona_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info),
		     &info);
}

static void persona_restore(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_persona persona;
	enum atl_err err = atl_persona_restore(atl_api_app(req), atl_api_identity(req), &req->arena,
					       atl_req_param(req, "id"), &persona, &info);
	answer_persona(req, err, 200, &persona, &info);
}

static void folder_list(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_folder *items;
	size_t count;
	enum atl_err err = atl_folder_list(atl_api_app(req), &req->arena, atl_api_user(req), &items, &count, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_folder_desc, items, count, NULL);
}

static void folder_save(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	const char *id = atl_req_param(req, "id");
	struct folder_in in;
	struct atl_folder folder;
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err)
		err = atl_folder_save(atl_api_app(req), atl_api_identity(req), &req->arena, id, in.name, &folder, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, id ? 200 : 201, &atl_folder_desc, &folder);
}

static void folder_delete(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	answer_empty(req, atl_folder_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info),
		     &info);
}

#define PERSONA(m, p, h, words) .method = m, .path = "/api/v1/personas" p, .permission = "characters.use", .handler = h, \
	.tag = "Personas", .summary = words
#define FOLDER(m, p, h, words) .method = m, .path = "/api/v1/folders" p, .permission = "chat.use", .handler = h, \
	.tag = "Folders", .summary = words

const struct atl_route atl_personas_routes[] = {
	{PERSONA(ATL_GET, "", persona_list, "List personas, the default first"), .out = &atl_persona_desc, .out_list = true},
	{PERSONA(ATL_POST, "", persona_save, "Create a persona"), .in = &persona_in_desc, .out = &atl_persona_desc, .status = 201},
	{PERSONA(ATL_GET, "/{id}", persona_get, "One persona"), .out = &atl_persona_desc},
	{PERSONA(ATL_PATCH, "/{id}", persona_save, "Change a persona"), .in = &persona_in_desc, .out = &atl_persona_desc},
	{PERSONA(ATL_DELETE, "/{id}", persona_delete, "Delete a persona"), .status = 204},
	{PERSONA(ATL_POST, "/{id}/restore", persona_restore, "Undo a deletion"), .out = &atl_persona_desc},
	{FOLDER(ATL_GET, "", folder_list, "List folders"), .out = &atl_folder_desc, .out_list = true},
	{FOLDER(ATL_POST, "", folder_save, "Create a folder"), .in = &folder_in_desc, .out = &atl_folder_desc, .status = 201},
	{FOLDER(ATL_PATCH, "/{id}", folder_save, "Rename a folder"), .in = &folder_in_desc, .out = &atl_folder_desc},
	{FOLDER(ATL_DELETE, "/{id}", folder_delete, "Delete a folder; its conversations stay"), .status = 204},
	{0},
};
