/* chat_sync.c - the short calls of chat.h made from pool threads: models, tokens, template, probe. */
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "provider/openai_chat.h"

#define SHORT_CALL_MS 20000

/* One call and its JSON object, with errors in words. */
static enum atl_err call_json(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint, struct atl_arena *arena,
			      const char *url, const struct atl_buf *body, struct atl_json **ret,
			      struct atl_errinfo *info)
{
	struct atl_fetch_request request = {.url = url, .unix_path = endpoint->unix_path, .guard = endpoint->guard,
					    .total_ms = SHORT_CALL_MS, .first_byte_ms = SHORT_CALL_MS,
					    .body = body ? body->data : NULL, .body_length = body ? body->length : 0};
	const char *who = atl_chat_who(endpoint);
	struct atl_fetch_result result;
	struct atl_errinfo cause = {0};
	enum atl_err err;

	if (endpoint->preset->needs_key && atl_str_empty(endpoint->api_key))
		return atl_fail(info, ATL_ERR_UPSTREAM_AUTH, "%s needs a key. Add it in Settings, Providers.", who);
	request.headers = atl_chat_headers(arena, endpoint, body != NULL);
	if (!url || !request.headers)
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for a request.");
	request.plain = atl_chat_is_plain(endpoint, url);
	err = atl_fetch_sync(loop, arena, &request, &result, &cause);
	if (err)
		return atl_fail(info, err, "%s: %s", who, cause.detail);
	if (result.status != 200) {
		struct atl_fetch_head head = {.status = result.status, .raw = result.raw_head};

		return atl_chat_error_status(who, endpoint->api_key, result.status, &head, result.body,
					     result.body_length, info);
	}
	if (atl_json_parse(arena, result.body, result.body_length, ret, NULL) || (*ret)->kind != ATL_JSON_OBJECT)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT,
				"%s answered with something that is not its API. Check the base URL.", who);
	return ATL_OK;
}

static int64_t context_of(const struct atl_json *item)
{
	static const char *const PATHS[] = {"context_length", "max_model_len", "model_spec.availableContextTokens",
					    "meta.n_ctx", "meta.n_ctx_train", "max_context_length"};

	for (size_t i = 0; i < ATL_COUNT(PATHS); i++) {
		const struct atl_json *value = atl_json_path(item, PATHS[i]);

		if (value && value->kind == ATL_JSON_NUMBER && value->is_integer && value->integer > 0)
			return value->integer;
	}
	return 0;
}

/* Dollars as a number or as text; -1: not told. */
static double dollars(const struct atl_json *item, const char *path)
{
	const struct atl_json *value = atl_json_path(item, path);
	double usd;

	if (value && value->kind == ATL_JSON_NUMBER)
		return value->number;
	return value && value->kind == ATL_JSON_STRING && atl_str_double(value->string, &usd) ? usd : -1;
}

static int64_t micro(double usd, double times)
{
	return usd >= 0 && usd * times <= 1e6 ? (int64_t)(usd * times * 1e6 + 0.5) : -1;
}

/* OpenRouter tells dollars a token as text, Venice dollars a million tokens as numbers. */
static void read_price(const struct atl_json *item, struct atl_chat_model *model)
{
	if (atl_json_path(item, "model_spec.pricing")) {
		model->input_micro_usd = micro(dollars(item, "model_spec.pricing.input.usd"), 1);
		model->output_micro_usd = micro(dollars(item, "model_spec.pricing.output.usd"), 1);
		model->cached_micro_usd = micro(dollars(item, "model_spec.pricing.cache_input.usd"), 1);
		return;
	}
	model->input_micro_usd = micro(dollars(item, "pricing.prompt"), 1e6);
	model->output_micro_usd = micro(dollars(item, "pricing.completion"), 1e6);
	model->cached_micro_usd = micro(dollars(item, "pricing.input_cache_read"), 1e6);
}

enum atl_err atl_chat_models(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint, struct atl_arena *arena,
			     struct atl_chat_model **ret, size_t *ret_count, struct atl_errinfo *info)
{
	char *path = atl_arena_printf(arena, "/models%s", endpoint->preset->models_query);
	const struct atl_json *data;
	struct atl_chat_model *models;
	struct atl_json *root;
	size_t count = 0;
	enum atl_err err;

	if (!path)
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for a request.");
	err = call_json(loop, endpoint, arena, atl_chat_url(arena, endpoint, path, false), NULL, &root, info);
	if (err)
		return err;
	data = atl_json_get(root, "data");
	if (!data || (data->kind != ATL_JSON_ARRAY && data->kind != ATL_JSON_NULL))
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s sent a list of models of an unknown shape.",
				atl_chat_who(endpoint));
	models = ATL_ARENA_ARRAY(arena, struct atl_chat_model, data->count + 1);
	if (!models)
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for the list of models.");
	for (const struct atl_json *item = data->child; item; item = item->next) {
		const char *id = atl_json_str(item, "id", NULL);

		if (atl_str_empty(id))
			continue;
		models[count].id = id;
		models[count].name = atl_json_str(atl_json_get(item, "model_spec"), "name", atl_json_str(item, "name", id));
		read_price(item, &models[count]);
		models[count++].context_length = context_of(item);
	}
	*ret = models;
	*ret_count = count;
	return ATL_OK;
}

static enum atl_err need_native(const struct atl_chat_endpoint *endpoint, struct atl_errinfo *info)
{
	if (endpoint->preset->llama_native)
		return ATL_OK;
	return atl_fail(info, ATL_ERR_UNSUPPORTED, "%s cannot count tokens.", atl_chat_who(endpoint));
}

enum atl_err atl_chat_tokenize_sync(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				    struct atl_arena *arena, const char *text, int64_t *ret_tokens,
				    struct atl_errinfo *info)
{
	enum atl_err err = need_native(endpoint, info);
	const struct atl_json *tokens;
	struct atl_json *root;
	struct atl_buf body;
	struct atl_jw w;

	if (err)
		return err;
	atl_buf_init(&body, ATL_CHAT_BODY_MAX);
	atl_jw_init(&w, &body);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "content", text);
	atl_jw_bool(&w, "add_special", false);
	atl_jw_end_object(&w);
	err = atl_buf_err(&body, info);
	if (!err)
		err = call_json(loop, endpoint, arena, atl_chat_url(arena, endpoint, "/tokenize", true), &body, &root, info);
	atl_buf_finish(&body);
	if (err)
		return err;
	tokens = atl_json_get(root, "tokens");
	if (!tokens || tokens->kind != ATL_JSON_ARRAY)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s counted tokens in an unknown shape.",
				atl_chat_who(endpoint));
	*ret_tokens = (int64_t)tokens->count;
	return ATL_OK;
}

enum atl_err atl_chat_template_sync(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				    struct atl_arena *arena, const struct atl_chat_request *request,
				    const char **ret_prompt, struct atl_errinfo *info)
{
	enum atl_err err = need_native(endpoint, info);
	struct atl_json *root;
	struct atl_buf body;
	struct atl_jw w;
	const char *prompt;

	if (err)
		return err;
	atl_buf_init(&body, ATL_CHAT_BODY_MAX);
	atl_jw_init(&w, &body);
	atl_jw_object(&w, NULL);
	atl_chat_messages_write(&w, endpoint->preset, request);
	atl_jw_end_object(&w);
	err = atl_buf_err(&body, info);
	if (!err)
		err = call_json(loop, endpoint, arena, atl_chat_url(arena, endpoint, "/apply-template", true), &body, &root,
				info);
	atl_buf_finish(&body);
	if (err)
		return err;
	prompt = atl_json_str(root, "prompt", NULL);
	if (!prompt)
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT, "%s sent no prompt.", atl_chat_who(endpoint));
	*ret_prompt = prompt;
	return ATL_OK;
}

enum atl_err atl_chat_probe_sync(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
				 uint64_t *ret_latency_ms, struct atl_errinfo *info)
{
	uint64_t started = atl_monotonic_us();
	struct atl_json *root;
	struct atl_arena arena;
	const char *path = "/models";
	enum atl_err err;

	if (atl_str_eq(endpoint->preset->preset, "openrouter"))
		path = "/key"; /* its list of models is public and proves nothing about the key */
	else if (endpoint->preset->venice_parameters)
		path = "/api_keys/rate_limits";
	atl_arena_init(&arena, 0);
	err = call_json(loop, endpoint, &arena, atl_chat_url(&arena, endpoint, path, false), NULL, &root, info);
	atl_arena_finish(&arena);
	if (!err)
		*ret_latency_ms = (atl_monotonic_us() - started) / 1000;
	return err;
}
