/* providers.c - /api/v1/providers and /api/v1/provider-presets: chat services, their keys and models. */
#include "api/api.h"
#include "api/fields.h"
#include "core/models/provider.h"

struct preset_out {
	const char *preset, *name, *base_url, *key_help_url;
	bool needs_key, has_characters;
};
static const struct atl_json_field preset_fields[] = {
	F_STR(struct preset_out, preset, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct preset_out, name, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct preset_out, base_url, ATL_JF_REQUIRED, 0, 0, "empty: it must be given"),
	F_BOOL(struct preset_out, needs_key, ATL_JF_REQUIRED, NULL),
	F_STR(struct preset_out, key_help_url, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "where to get a key"),
	F_BOOL(struct preset_out, has_characters, ATL_JF_REQUIRED, "it has public characters to adopt"),
};
DESC(preset_desc, struct preset_out, "ProviderPreset", preset_fields);

struct provider_in {
	uint64_t present;
	const char *preset, *name, *base_url, *key;
	bool enabled;
	struct atl_items models;
};
static const struct atl_json_field create_fields[] = {
	F_STR(struct provider_in, preset, ATL_JF_REQUIRED, 1, 40, "a name of the list of presets"),
	F_STR(struct provider_in, name, 0, 1, ATL_PROVIDER_NAME_MAX, NULL),
	F_STR(struct provider_in, base_url, 0, 1, ATL_PROVIDER_URL_MAX, "the preset's unless told"),
	F_STR(struct provider_in, key, ATL_JF_SECRET, 0, ATL_PROVIDER_KEY_MAX, "write-only"),
	F_BOOL(struct provider_in, enabled, 0, "true unless told"),
	F_LIST(struct provider_in, models, 0, &atl_provider_model_desc, "where the service cannot list them"),
};
DESC_PATCH(create_desc, struct provider_in, "ProviderCreate", create_fields);
static const struct atl_json_field change_fields[] = {
	F_STR(struct provider_in, name, 0, 1, ATL_PROVIDER_NAME_MAX, NULL),
	F_STR(struct provider_in, base_url, 0, 1, ATL_PROVIDER_URL_MAX, "another server needs the key again"),
	F_STR(struct provider_in, key, ATL_JF_SECRET | ATL_JF_NULLABLE, 0, ATL_PROVIDER_KEY_MAX,
	      "write-only; null or empty removes it"),
	F_BOOL(struct provider_in, enabled, 0, NULL),
	F_LIST(struct provider_in, models, 0, &atl_provider_model_desc, "typed by hand; replaces the list"),
};
DESC_PATCH(change_desc, struct provider_in, "ProviderChange", change_fields);

struct fault_out {
	const char *slug, *detail;
};
static const struct atl_json_field fault_fields[] = {
	F_STR(struct fault_out, slug, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct fault_out, detail, ATL_JF_REQUIRED, 0, 0, NULL),
};
DESC(fault_desc, struct fault_out, "ProviderFault", fault_fields);
struct test_out {
	bool ok;
	int64_t latency_ms;
	const struct fault_out *error;
};
static const struct atl_json_field test_fields[] = {
	F_BOOL(struct test_out, ok, ATL_JF_REQUIRED, NULL),
	F_INT(struct test_out, latency_ms, ATL_JF_REQUIRED, 0, 0, NULL),
	F_OBJ(struct test_out, error, ATL_JF_REQUIRED | ATL_JF_NULLABLE, &fault_desc, NULL),
};
DESC(test_desc, struct test_out, "ProviderTest", test_fields);

static void preset_list(struct atl_req *req)
{
	struct preset_out out[32];
	size_t count = 0;
	for (const struct atl_chat_preset *p; count < ATL_COUNT(out) && (p = atl_chat_preset_at(count)) != NULL; count++)
		out[count] = (struct preset_out){.preset = p->preset, .name = p->name, .base_url = p->base_url,
						 .key_help_url = p->key_help_url, .needs_key = p->needs_key,
						 .has_characters = p->has_characters};
	atl_api_list(req, &preset_desc, out, count, NULL);
}

static void answer(struct atl_req *req, enum atl_err err, int status, const struct atl_provider *provider,
		   const struct atl_errinfo *info)
{
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json(req, status, &atl_provider_desc, provider);
}

static void provider_list(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_provider *items;
	size_t count;
	enum atl_err err = atl_provider_list(atl_api_app(req), &req->arena, &items, &count, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_provider_desc, items, count, NULL);
}

static void provider_get(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_provider provider;
	enum atl_err err = atl_provider_get(atl_api_app(req), &req->arena, atl_req_param(req, "id"), &provider, &info);
	answer(req, err, 200, &provider, &info);
}

static void provider_save(struct atl_req *req)
{
	const char *id = atl_req_param(req, "id");
	const struct atl_json_desc *desc = id ? &change_desc : &create_desc;
	struct atl_errinfo info = {0};
	struct atl_provider provider;
	struct provider_in in;
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err) {
		struct atl_provider_change change = {.preset = in.preset, .name = in.name, .base_url = in.base_url};
		if (atl_json_has(desc, &in, "key"))
			change.key = in.key ? in.key : "";
		if (atl_json_has(desc, &in, "enabled"))
			change.enabled = &in.enabled;
		if (atl_json_has(desc, &in, "models"))
			change.models = &in.models;
		err = atl_provider_save(atl_api_app(req), atl_api_identity(req), &req->arena, id, &change, &provider, &info);
	}
	answer(req, err, id ? 200 : 201, &provider, &info);
}

static void provider_delete(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	enum atl_err err = atl_provider_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void provider_test(struct atl_req *req)
{
	struct atl_errinfo info = {0}, why = {0};
	enum atl_err result = ATL_OK;
	uint64_t latency_ms = 0;
	enum atl_err err =
		atl_provider_test(atl_api_app(req), atl_req_param(req, "id"), &result, &latency_ms, &why, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	struct fault_out fault = {.slug = atl_err_slug(result),
				  .detail = why.detail[0] ? why.detail : atl_err_sentence(result)};
	struct test_out out = {.ok = !result, .latency_ms = (int64_t)latency_ms, .error = result ? &fault : NULL};
	atl_res_json(req, 200, &test_desc, &out);
}

static void provider_refresh(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_provider provider;
	enum atl_err err =
		atl_provider_refresh(atl_api_app(req), &req->arena, atl_req_param(req, "id"), &provider, &info);
	answer(req, err, 200, &provider, &info);
}

const struct atl_route atl_providers_routes[] = {
	{ATL_GET, "/api/v1/provider-presets", "session", 0, preset_list, "providers", "List known chat services",
	 .out = &preset_desc, .out_list = true},
	{ATL_GET, "/api/v1/providers", "providers.manage", 0, provider_list, "providers", "List providers",
	 .out = &atl_provider_desc, .out_list = true},
	{ATL_POST, "/api/v1/providers", "providers.manage", 0, provider_save, "providers", "Add a provider",
	 .in = &create_desc, .out = &atl_provider_desc, .status = 201},
	{ATL_GET, "/api/v1/providers/{id}", "providers.manage", 0, provider_get, "providers", "Get a provider",
	 .out = &atl_provider_desc},
	{ATL_PATCH, "/api/v1/providers/{id}", "providers.manage", 0, provider_save, "providers", "Change a provider",
	 .in = &change_desc, .out = &atl_provider_desc},
	{ATL_DELETE, "/api/v1/providers/{id}", "providers.manage", 0, provider_delete, "providers", "Delete a provider",
	 .status = 204},
	{ATL_POST, "/api/v1/providers/{id}/test", "providers.manage", 0, provider_test, "providers", "Try the key and address",
	 .out = &test_desc},
	{ATL_POST, "/api/v1/providers/{id}/refresh", "providers.manage", 0, provider_refresh, "providers",
	 "Fetch its list of models", .out = &atl_provider_desc},
	{0},
};
