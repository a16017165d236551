/* provider_characters.c - /api/v1/providers/{id}/characters: public characters of a service, to browse and adopt.
 *
 * An adopted character is one of ours whose card names the service's (extensions.venice.slug); the service adds the rest
 * of its prompt itself. What is meant for adults does not exist here unless the owner has allowed it.
 */
#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/chat/character.h"
#include "core/models/model.h"
#include "core/models/provider.h"
#include "core/server/setting.h"
#include "provider/venice_characters.h"

#define TAGS_MAX 20
#define SLUG_MAX 200

struct found {
	const char *slug, *name, *description;
	struct atl_strs tags;
	const char *photo_url;
	bool mature;
};
static const struct atl_json_field found_fields[] = {
	F_STR(struct found, slug, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct found, name, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct found, description, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STRS(struct found, tags, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct found, photo_url, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, NULL),
	F_BOOL(struct found, mature, ATL_JF_REQUIRED, "meant for adults"),
};
DESC(found_desc, struct found, "ProviderCharacter", found_fields);

static enum atl_err endpoint_of(struct atl_req *req, struct atl_chat_endpoint *ret, struct atl_errinfo *info)
{
	enum atl_err err = atl_provider_endpoint(atl_api_app(req), &req->arena, atl_req_param(req, "id"), ret, info);
	if (!err && !ret->preset->has_characters)
		err = atl_fail(info, ATL_ERR_UNSUPPORTED, "%s has no characters to browse.", ret->name);
	return err;
}

static void character_list(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_errinfo info = {0};
	struct atl_chat_endpoint endpoint;
	struct atl_venice_character *items = NULL;
	struct atl_page page;
	size_t count = 0;
	enum atl_err err = atl_api_page(req, &page, &info);
	if (!err)
		err = endpoint_of(req, &endpoint, &info);
	struct atl_venice_query query = {.search = atl_req_query(req, "q"), .with_adult = atl_mature_for(app, atl_api_identity(req))};
	if (!err) {
		query.limit = page.limit < ATL_VENICE_PAGE_MAX ? page.limit : ATL_VENICE_PAGE_MAX;
		query.offset = page.has_after ? page.after_key : 0;
		err = atl_venice_characters(app->loops[0], &endpoint, &req->arena, &query, &items, &count, &info);
	}
	struct found *out = err ? NULL : ATL_ARENA_ARRAY(&req->arena, struct found, count + 1);
	if (!err && !out)
		err = atl_fail(&info, ATL_ERR_NOMEM, "list characters");
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	for (size_t i = 0; i < count; i++)
		out[i] = (struct found){.slug = items[i].slug, .name = items[i].name, .description = items[i].description,
					.tags = {(const char **)items[i].tags, items[i].tag_count},
					.photo_url = items[i].photo_url, .mature = items[i].adult};
	atl_api_list(req, &found_desc, out, count,
		     (int64_t)count < query.limit ? NULL : atl_api_cursor(req, query.offset + query.limit, "offset"));
}

/* The card data of a service's character, as a tree in the request's arena. */
static enum atl_err card_of(struct atl_req *req, const struct atl_venice_character *one, struct atl_json **ret,
			    struct atl_errinfo *info)
{
	struct atl_buf json;
	struct atl_jw w;
	atl_buf_init(&json, (size_t)1 << 20);
	atl_jw_init(&w, &json);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "name", one->name);
	atl_jw_str(&w, "description", one->description);
	atl_jw_array(&w, "tags");
	for (size_t i = 0; i < one->tag_count && i < TAGS_MAX; i++)
		atl_jw_str(&w, NULL, one->tags[i]);
	atl_jw_end_array(&w);
	atl_jw_object(&w, "extensions");
	atl_jw_object(&w, "venice");
	atl_jw_str(&w, "slug", one->slug);
	atl_jw_end_object(&w);
	atl_jw_end_object(&w);
	atl_jw_end_object(&w);
	char *text = json.failed ? NULL : atl_arena_strndup(&req->arena, json.data, json.length);
	size_t length = json.length;
	atl_buf_finish(&json);
	return text ? atl_json_parse(&req->arena, text, length, ret, info)
		    : atl_fail(info, ATL_ERR_TOO_LARGE, "The character is too large.");
}

/* The model it is made for, or the service's first: with another service its slug would mean nothing. NULL: none known. */
static const char *model_of(struct atl_req *req, const struct atl_venice_character *one)
{
	const char *id = atl_req_param(req, "id"), *name = one->model;
	struct atl_provider provider;
	if (!name && atl_provider_get(atl_api_app(req), &req->arena, id, &provider, NULL) == ATL_OK && provider.models.count)
		name = ((const struct atl_provider_model *)provider.models.items)[0].id;
	return name ? atl_arena_printf(&req->arena, "%s/%s", id, name) : NULL;
}

static void character_adopt(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	const char *slug = atl_req_param(req, "slug");
	struct atl_errinfo info = {0};
	struct atl_chat_endpoint endpoint;
	struct atl_venice_character one;
	struct atl_character character;
	struct atl_json *card = NULL;
	enum atl_err err = endpoint_of(req, &endpoint, &info);
	if (!err && strlen(slug) > SLUG_MAX)
		err = atl_fail(&info, ATL_ERR_NOT_FOUND, "%s has no such character.", endpoint.name);
	if (!err)
		err = atl_venice_character_get(app->loops[0], &endpoint, &req->arena, slug, &one, &info);
	if (!err && one.adult && !atl_mature_for(app, atl_api_identity(req)))
		err = atl_fail(&info, ATL_ERR_NOT_FOUND, "%s has no such character.", endpoint.name);
	if (!err)
		err = card_of(req, &one, &card, &info);
	if (!err) {
		const char *model = model_of(req, &one);
		struct atl_character_change change = {.card = card, .set_model = model != NULL, .model = model};
		err = atl_character_create(app, atl_api_identity(req), &req->arena, &change, &character, &info);
	}
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	const char *location = atl_arena_printf(&req->arena, "/api/v1/characters/%s", character.id);
	if (location)
		atl_res_header(req, "Location", location);
	atl_api_etag(req, character.version);
	atl_res_json(req, 201, &atl_character_desc, &character);
}

static const struct atl_query_param list_params[] = {
	{"q", ATL_JT_STR, 0, 200, NULL, "words to look for"},
	ATL_API_PAGE_PARAMS,
	{0},
};

const struct atl_route atl_provider_characters_routes[] = {
	{ATL_GET, "/api/v1/providers/{id}/characters", "characters.use", 0, character_list, "providers",
	 "Browse a service's public characters", .out = &found_desc, .out_list = true, .query = list_params},
	{ATL_POST, "/api/v1/providers/{id}/characters/{slug}/adopt", "characters.use", 0, character_adopt, "providers",
	 "Make one of them a character of one's own", .out = &atl_character_desc, .status = 201},
	{0},
};
