/* openai_models.c - the list of what /v1 can speak with: models of all providers, characters, `default`. */
#include "api/openai_int.h"

#include "base/str.h"
#include "core/chat/character.h"
#include "core/people/rights.h"

#define CHARACTERS_MAX 1000 /* of the newest; others answer by id all the same */

static void write_model(struct atl_jw *w, const char *id, int64_t created_ms, const char *owner, const char *name)
{
	atl_jw_object(w, NULL);
	atl_jw_str(w, "id", id);
	atl_jw_str(w, "object", "model");
	atl_jw_int(w, "created", created_ms / 1000);
	atl_jw_str(w, "owned_by", owner);
	if (name)
		atl_jw_str(w, "name", name);
	atl_jw_end_object(w);
}

struct listed {
	struct atl_model *models;
	struct atl_character *characters;
	size_t model_count, character_count;
	const char **ids; /* of the characters, as listed */
};

/* By its name, or by its id where the name is not its alone. */
static enum atl_err name_characters(struct atl_req *req, struct listed *listed, struct atl_errinfo *info)
{
	size_t count = listed->character_count;
	const char **slugs = ATL_ARENA_ARRAY(&req->arena, const char *, count + 1);

	listed->ids = ATL_ARENA_ARRAY(&req->arena, const char *, count + 1);
	if (!slugs || !listed->ids)
		return atl_fail(info, ATL_ERR_NOMEM, "There is no memory for the list.");
	for (size_t i = 0; i < count; i++)
		slugs[i] = atl_openai_slug(&req->arena, listed->characters[i].name);
	for (size_t i = 0; i < count; i++) {
		bool alone = slugs[i] && *slugs[i];

		for (size_t k = 0; k < count && alone; k++)
			alone = k == i || !atl_str_eq(slugs[i], slugs[k]);
		listed->ids[i] = atl_arena_printf(&req->arena, "%s%s", ATL_OPENAI_CHARACTER,
						  alone ? slugs[i] : listed->characters[i].id);
		if (!listed->ids[i])
			return atl_fail(info, ATL_ERR_NOMEM, "There is no memory for the list.");
	}
	return ATL_OK;
}

static enum atl_err load(struct atl_req *req, struct listed *ret, struct atl_errinfo *info)
{
	const struct atl_character_query query = { .limit = CHARACTERS_MAX };
	struct atl_app *app = atl_api_app(req);
	enum atl_err err = atl_rights_models(app, &req->arena, atl_api_identity(req), &ret->models, &ret->model_count, info);

	if (!err && atl_identity_may(atl_api_identity(req), ATL_PERM_CHAT_USE))
		err = atl_character_list(app, &req->arena, atl_api_user(req), &query, &ret->characters,
					 &ret->character_count, info);
	if (!err && ret->character_count > CHARACTERS_MAX)
		ret->character_count = CHARACTERS_MAX;
	return err ? err : name_characters(req, ret, info);
}

void atl_openai_models_list(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct listed listed = { 0 };
	struct atl_errinfo info = { 0 };
	enum atl_err err = load(req, &listed, &info);
	struct atl_buf out;
	struct atl_jw w;

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_buf_init(&out, ATL_HTTP_OUT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "object", "list");
	atl_jw_array(&w, "data");
	if (listed.model_count)
		write_model(&w, ATL_OPENAI_DEFAULT, app->started_ms, "atelier", NULL);
	for (size_t i = 0; i < listed.model_count; i++)
		write_model(&w, listed.models[i].id, app->started_ms,
			    listed.models[i].local ? "local" : listed.models[i].provider_name, listed.models[i].name);
	for (size_t i = 0; i < listed.character_count; i++)
		write_model(&w, listed.ids[i], listed.characters[i].created_at, "atelier",
			    listed.characters[i].name);
	atl_jw_end_array(&w);
	atl_jw_end_object(&w);
	if (out.failed)
		atl_api_fail(req, ATL_ERR_NOMEM, NULL);
	else
		atl_res_json_text(req, 200, out.data, out.length);
	atl_buf_finish(&out);
}

static bool write_found(struct atl_req *req, const struct listed *listed, const char *wanted, struct atl_jw *w)
{
	struct atl_app *app = atl_api_app(req);
	const struct atl_model *bare = NULL;
	size_t bare_count = 0;

	if (strcmp(wanted, ATL_OPENAI_DEFAULT) == 0 && listed->model_count) {
		write_model(w, wanted, app->started_ms, "atelier", NULL);
		return true;
	}
	for (size_t i = 0; i < listed->model_count; i++) {
		const struct atl_model *model = &listed->models[i];

		if (strcmp(model->id, wanted) == 0) {
			write_model(w, wanted, app->started_ms, model->local ? "local" : model->provider_name, model->name);
			return true;
		}
		if (atl_str_eq(model->name, wanted)) {
			bare = model;
			bare_count++;
		}
	}
	if (bare_count == 1) { /* the name a provider gives it, when only one does */
		write_model(w, wanted, app->started_ms, bare->local ? "local" : bare->provider_name, bare->name);
		return true;
	}
	for (size_t i = 0; i < listed->character_count; i++) {
		const struct atl_character *character = &listed->characters[i];

		if (!atl_str_starts(wanted, ATL_OPENAI_CHARACTER))
			break;
		if (strcmp(wanted + strlen(ATL_OPENAI_CHARACTER), character->id) != 0 &&
		    strcmp(listed->ids[i], wanted) != 0)
			continue;
		write_model(w, wanted, character->created_at, "atelier", character->name);
		return true;
	}
	return false;
}

void atl_openai_models_get(struct atl_req *req)
{
	const char *wanted = atl_req_param(req, "id");
	struct listed listed = { 0 };
	struct atl_errinfo info = { 0 };
	enum atl_err err = load(req, &listed, &info);
	struct atl_buf out;
	struct atl_jw w;

	atl_buf_init(&out, 1 << 16);
	atl_jw_init(&w, &out);
	if (!err && !write_found(req, &listed, wanted, &w))
		err = atl_fail(&info, ATL_ERR_UPSTREAM_MODEL, "There is no model \"%.200s\". GET /v1/models lists all.", wanted);
	if (!err && out.failed)
		err = ATL_ERR_NOMEM;
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json_text(req, 200, out.data, out.length);
	atl_buf_finish(&out);
}
