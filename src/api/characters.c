/* characters.c - /api/v1/characters. */
#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/chat/card.h"
#include "core/chat/character.h"
#include "media/picture.h"

struct character_in {
	uint64_t present;
	const char *name;
	const struct atl_json *card, *sampling;
	const char *model;
	bool archived;
};
static const struct atl_json_field in_fields[] = {
	F_ANY(struct character_in, card, 0, "the card's data object, or a whole V2/V3 card; keys are merged, null removes one"),
	F_STR(struct character_in, name, 0, 1, ATL_CARD_NAME_MAX, "short for a card with only a name"),
	F_STR(struct character_in, model, ATL_JF_NULLABLE, 0, 300, "null: the default model"),
	F_ANY(struct character_in, sampling, 0, "see Sampling; null or {} clears"),
	F_BOOL(struct character_in, archived, 0, NULL),
};
DESC_PATCH(in_desc, struct character_in, "CharacterInput", in_fields);

static const struct atl_query_param list_params[] = {
	ATL_API_PAGE_PARAMS,
	{"q", ATL_JT_STR, 0, 200, NULL, "in the name"},
	{"tag", ATL_JT_STR, 0, 200, NULL, "has this tag"},
	{"archived", ATL_JT_BOOL, 0, 0, NULL, "the archived ones instead"},
	{0},
};

static void answer(struct atl_req *req, enum atl_err err, int status, const struct atl_character *character,
		   const struct atl_errinfo *info)
{
	if (err) {
		atl_api_fail(req, err, info);
		return;
	}
	atl_api_etag(req, character->version);
	atl_res_json(req, status, &atl_character_desc, character);
}

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_page page;
	enum atl_err err = atl_api_page(req, &page, &info);
	const char *archived = atl_req_query(req, "archived");
	struct atl_character_query query = {.text = atl_req_query(req, "q"),
					    .tag = atl_req_query(req, "tag"),
					    .archived = atl_str_eq(archived, "true")};
	struct atl_character *items;
	size_t count;
	if (!err) {
		query.after_key = page.after_key;
		query.after_id = page.has_after ? page.after_id : NULL;
		query.limit = page.limit;
		err = atl_character_list(atl_api_app(req), &req->arena, atl_api_user(req), &query, &items, &count, &info);
	}
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	const char *next = NULL;
	if (count > (size_t)page.limit) {
		count = (size_t)page.limit;
		next = atl_api_cursor(req, items[count - 1].updated_at, items[count - 1].id);
	}
	atl_api_list(req, &atl_character_summary_desc, items, count, next);
}

/* {"name": ...} alone is a card too. */
static enum atl_err card_of(struct atl_req *req, struct character_in *in, struct atl_errinfo *info)
{
	if (in->card || !in->name)
		return ATL_OK;
	struct atl_buf text;
	struct atl_jw w;
	atl_buf_init(&text, 8192);
	atl_jw_init(&w, &text);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "name", in->name);
	atl_jw_end_object(&w);
	struct atl_json *card;
	enum atl_err err = atl_json_parse(&req->arena, text.data, text.length, &card, info);
	atl_buf_finish(&text);
	if (!err)
		in->card = card;
	return err;
}

static enum atl_err read_change(struct atl_req *req, struct character_in *in, struct atl_character_change *change,
				struct atl_errinfo *info)
{
	enum atl_err err = atl_req_json(req, in, info);
	if (!err)
		err = card_of(req, in, info);
	if (err)
		return err;
	*change = (struct atl_character_change){.card = in->card,
						.sampling = in->sampling,
						.set_model = atl_json_has(&in_desc, in, "model"),
						.model = in->model};
	if (atl_json_has(&in_desc, in, "archived"))
		change->archived = &in->archived;
	return ATL_OK;
}

static void handle_create(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct character_in in;
	struct atl_character_change change;
	struct atl_character character;
	enum atl_err err = read_change(req, &in, &change, &info);
	if (!err && !change.card)
		err = atl_fail_field(&info, ATL_ERR_INVALID, "card", "A character needs a card or a name.");
	if (!err)
		err = atl_character_create(atl_api_app(req), atl_api_identity(req), &req->arena, &change, &character,
					   &info);
	answer(req, err, 201, &character, &info);
}

static void handle_get(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_character character;
	enum atl_err err = atl_character_get(atl_api_app(req), &req->arena, atl_api_user(req),
					     atl_req_param(req, "id"), &character, &info);
	answer(req, err, 200, &character, &info);
}

static void handle_patch(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct character_in in;
	struct atl_character_change change;
	struct atl_character character;
	enum atl_err err = read_change(req, &in, &change, &info);
	if (!err)
		err = atl_api_wanted_version(req, &change.wanted_version, &info);
	if (!err)
		err = atl_character_update(atl_api_app(req), atl_api_identity(req), &req->arena,
					   atl_req_param(req, "id"), &change, &character, &info);
	answer(req, err, 200, &character, &info);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	enum atl_err err =
		atl_character_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void handle_restore(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_character character;
	enum atl_err err = atl_character_restore(atl_api_app(req), atl_api_identity(req), &req->arena,
						 atl_req_param(req, "id"), &character, &info);
	answer(req, err, 200, &character, &info);
}

static void handle_duplicate(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_character character;
	enum atl_err err = atl_character_duplicate(atl_api_app(req), atl_api_identity(req), &req->arena,
						   atl_req_param(req, "id"), &character, &info);
	answer(req, err, 201, &character, &info);
}

static void handle_put_avatar(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_character character;
	enum atl_err err = atl_character_set_avatar(atl_api_app(req), atl_api_identity(req), &req->arena,
						    atl_req_param(req, "id"), req->body, req->body_length, &character,
						    &info);
	answer(req, err, 200, &character, &info);
}

static void handle_delete_avatar(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_character character;
	enum atl_err err = atl_character_set_avatar(atl_api_app(req), atl_api_identity(req), &req->arena,
						    atl_req_param(req, "id"), NULL, 0, &character, &info);
	answer(req, err, 200, &character, &info);
}

#define TAG "Characters"
const struct atl_route atl_characters_routes[] = {
	{.method = ATL_GET, .path = "/api/v1/characters", .permission = "characters.use", .handler = handle_list, .tag = TAG,
	 .summary = "List characters, the latest changed first", .out = &atl_character_summary_desc, .out_list = true,
	 .query = list_params},
	{.method = ATL_POST, .path = "/api/v1/characters", .permission = "characters.use", .handler = handle_create,
	 .tag = TAG, .summary = "Create a character", .in = &in_desc, .out = &atl_character_desc, .status = 201,
	 .body_max = ATL_CARD_BYTES_MAX * 2},
	{.method = ATL_GET, .path = "/api/v1/characters/{id}", .permission = "characters.use", .handler = handle_get,
	 .tag = TAG, .summary = "One character with its card", .out = &atl_character_desc},
	{.method = ATL_PATCH, .path = "/api/v1/characters/{id}", .permission = "characters.use", .handler = handle_patch,
	 .tag = TAG, .summary = "Change a character", .in = &in_desc, .out = &atl_character_desc,
	 .body_max = ATL_CARD_BYTES_MAX * 2},
	{.method = ATL_DELETE, .path = "/api/v1/characters/{id}", .permission = "characters.use", .handler = handle_delete,
	 .tag = TAG, .summary = "Delete a character; restore brings it back", .status = 204},
	{.method = ATL_POST, .path = "/api/v1/characters/{id}/restore", .permission = "characters.use",
	 .handler = handle_restore, .tag = TAG, .summary = "Undo a deletion", .out = &atl_character_desc},
	{.method = ATL_POST, .path = "/api/v1/characters/{id}/duplicate", .permission = "characters.use",
	 .handler = handle_duplicate, .tag = TAG, .summary = "Copy a character", .out = &atl_character_desc, .status = 201},
	{.method = ATL_PUT, .path = "/api/v1/characters/{id}/avatar", .permission = "characters.use",
	 .handler = handle_put_avatar, .tag = TAG, .summary = "Set the avatar: the body is a JPEG, PNG, WebP or GIF",
	 .out = &atl_character_desc, .body_max = ATL_PICTURE_BYTES_MAX},
	{.method = ATL_DELETE, .path = "/api/v1/characters/{id}/avatar", .permission = "characters.use",
	 .handler = handle_delete_avatar, .tag = TAG, .summary = "Remove the avatar", .out = &atl_character_desc},
	{0},
};
