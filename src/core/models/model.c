/* model.c - see model.h. */
#include "core/models/model.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/str.h"
#include "core/chat/prompt.h"
#include "core/models/engine.h"
#include "core/models/provider.h"
#include "core/server/setting.h"

#define MODULE "model"
#define OFF(member) offsetof(struct atl_model, member)

static const struct atl_json_field FIELDS[] = {
	{"id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED},
	{"name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED},
	{"provider_id", ATL_JT_STR, OFF(provider_id), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "null: on this computer"},
	{"provider_name", ATL_JT_STR, OFF(provider_name), ATL_JF_REQUIRED},
	{"local", ATL_JT_BOOL, OFF(local), ATL_JF_REQUIRED},
	{"context_size", ATL_JT_INT, OFF(context_size), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "tokens"},
	{"ready", ATL_JT_BOOL, OFF(ready), ATL_JF_REQUIRED, .doc = "false: it is starting"},
	{"price_source", ATL_JT_ENUM, OFF(price_source), ATL_JF_REQUIRED, .values = atl_price_sources, .doc = "whose price it is"},
	{"input_micro_usd", ATL_JT_INT, OFF(input_micro_usd), ATL_JF_REQUIRED, .doc = "per million tokens"},
	{"output_micro_usd", ATL_JT_INT, OFF(output_micro_usd), ATL_JF_REQUIRED},
	{"cached_micro_usd", ATL_JT_INT, OFF(cached_micro_usd), ATL_JF_REQUIRED},
};
const struct atl_json_desc atl_model_desc = {
	"Model", "A language model that can be chosen.", FIELDS, ATL_COUNT(FIELDS), sizeof(struct atl_model),
	ATL_JSON_NO_PRESENT, false};

/* ---- the list ---- */

static struct atl_price listed_price(const struct atl_provider_model *m)
{
	if (!m->priced)
		return (struct atl_price){.source = ATL_PRICE_UNKNOWN};
	return (struct atl_price){ATL_PRICE_SERVICE, m->input_micro_usd, m->output_micro_usd, m->cached_micro_usd};
}

static void tell_price(struct atl_model *model, struct atl_price price)
{
	model->price_source = atl_price_sources[price.source];
	model->input_micro_usd = price.input_micro_usd;
	model->output_micro_usd = price.output_micro_usd;
	model->cached_micro_usd = price.cached_micro_usd;
}

static enum atl_err list_local(struct atl_app *app, struct atl_arena *arena, struct atl_model *out, size_t *count,
			       struct atl_errinfo *info)
{
	struct atl_engine_target t;
	enum atl_err err = atl_engine_target(app->engine, arena, &t, info);
	if (err == ATL_ERR_NO_MODEL)
		return ATL_OK;
	if (err)
		return err;
	*out = (struct atl_model){.id = atl_arena_printf(arena, ATL_MODEL_LOCAL "%s", t.file), .name = t.file,
				  .provider_name = ATL_ENGINE_NAME, .local = true, .ready = t.healthy,
				  .context_size = t.context_size};
	if (!out->id)
		return atl_fail(info, ATL_ERR_NOMEM, "list models");
	tell_price(out, atl_price_find(app->prices, out->id, "", t.file, NULL));
	(*count)++;
	return ATL_OK;
}

enum atl_err atl_models_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			     struct atl_model **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct atl_provider *providers = NULL;
	size_t provider_count = 0, most = 1, count = 0;
	enum atl_err err = app->providers ? atl_provider_list(app, arena, &providers, &provider_count, info) : ATL_OK;
	for (size_t i = 0; !err && i < provider_count; i++)
		most += providers[i].models.count;
	struct atl_model *items = err ? NULL : ATL_ARENA_ARRAY(arena, struct atl_model, most);
	if (!err && !items)
		err = atl_fail(info, ATL_ERR_NOMEM, "list models");
	if (!err)
		err = list_local(app, arena, items, &count, info);
	if (err)
		return err;
	for (size_t i = 0; i < provider_count; i++) {
		const struct atl_provider *p = &providers[i];
		const struct atl_provider_model *models = p->models.items;
		for (size_t k = 0; p->enabled && k < p->models.count; k++) {
			if (models[k].kind)
				continue; /* makes pictures */
			const char *id = atl_arena_printf(arena, "%s/%s", p->id, models[k].id);
			if (!id)
				return atl_fail(info, ATL_ERR_NOMEM, "list models");
			items[count++] = (struct atl_model){.id = id, .name = models[k].name, .provider_id = p->id,
							    .provider_name = p->name, .ready = true,
							    .context_size = models[k].context_size};
			const struct atl_price listed = listed_price(&models[k]);
			tell_price(&items[count - 1], atl_price_find(app->prices, id, p->preset, models[k].id, &listed));
		}
	}
	*ret = items;
	*ret_count = count;
	return ATL_OK;
}

/* ---- choosing ---- */

static enum atl_err target_local(struct atl_app *app, struct atl_arena *arena, const char *file, unsigned wait_ms,
				 struct atl_model_target *ret, struct atl_errinfo *info)
{
	struct atl_engine_target t;
	if (wait_ms)
		atl_engine_wait(app->engine, wait_ms);
	enum atl_err err = atl_engine_target(app->engine, arena, &t, info);
	if (err)
		return err;
	if (file && !atl_str_eq(file, t.file))
		return atl_fail(info, ATL_ERR_UPSTREAM_MODEL,
				"The local model %s is not loaded; %s is. Change it in Settings, Models.", file, t.file);
	*ret = (struct atl_model_target){.id = atl_arena_printf(arena, ATL_MODEL_LOCAL "%s", t.file), .name = t.file,
					 .provider_name = ATL_ENGINE_NAME, .local = true, .ready = t.healthy,
					 .endpoint = t.endpoint, .context_size = t.context_size, .exact_tokens = true};
	if (ret->id)
		ret->price = atl_price_find(app->prices, ret->id, "", t.file, NULL);
	return ret->id ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "choose model");
}

/* A provider's model; one that is not in its list is tried all the same: lists can be old or empty. */
static enum atl_err target_remote(struct atl_app *app, struct atl_arena *arena, const char *provider_id,
				  const char *name, struct atl_model_target *ret, struct atl_errinfo *info)
{
	struct atl_provider p;
	struct atl_price listed = {.source = ATL_PRICE_UNKNOWN};
	struct atl_model_target t = {.provider_id = provider_id, .name = name, .ready = true};
	enum atl_err err = app->providers ? atl_provider_get(app, arena, provider_id, &p, info)
					  : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such provider.");
	if (!err)
		err = atl_provider_endpoint(app, arena, provider_id, &t.endpoint, info);
	if (err == ATL_ERR_NOT_FOUND)
		return atl_fail(info, ATL_ERR_UPSTREAM_MODEL,
				"The provider of this model is gone or switched off. Choose another model.");
	if (err)
		return err;
	const struct atl_provider_model *models = p.models.items;
	for (size_t i = 0; i < p.models.count; i++)
		if (atl_str_eq(models[i].id, name)) {
			t.context_size = models[i].context_size;
			listed = listed_price(&models[i]);
		}
	t.provider_name = p.name;
	t.exact_tokens = t.endpoint.preset->llama_native;
	t.id = atl_arena_printf(arena, "%s/%s", provider_id, name);
	if (!t.id)
		return atl_fail(info, ATL_ERR_NOMEM, "choose model");
	t.price = atl_price_find(app->prices, t.id, p.preset, name, &listed);
	*ret = t;
	return ATL_OK;
}

/* A bare name, as OpenAI clients send it: looked for among all models, the local one first. */
static const char *find_bare(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *name)
{
	struct atl_model *models;
	size_t count;
	if (atl_models_list(app, arena, user_id, &models, &count, NULL) != ATL_OK)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const char *slash = strchr(models[i].id, '/');
		if (slash && atl_str_eq(slash + 1, name))
			return models[i].id;
	}
	return NULL;
}

static enum atl_err target_of(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			      unsigned wait_ms, struct atl_model_target *ret, struct atl_errinfo *info)
{
	if (strlen(id) > ATL_MODEL_ID_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "model", "A model's name is shorter than that.");
	if (atl_str_starts(id, ATL_MODEL_LOCAL))
		return target_local(app, arena, id + strlen(ATL_MODEL_LOCAL), wait_ms, ret, info);
	const char *slash = strchr(id, '/');
	char *provider = slash ? atl_arena_strndup(arena, id, (size_t)(slash - id)) : NULL;
	if (provider && atl_id_valid(provider, "prv")) {
		char *name = atl_arena_strdup(arena, slash + 1);
		return name ? target_remote(app, arena, provider, name, ret, info)
			    : atl_fail(info, ATL_ERR_NOMEM, "choose model");
	}
	const char *found = find_bare(app, arena, user_id, id);
	if (!found)
		return atl_fail_field(info, ATL_ERR_UPSTREAM_MODEL, "model", "There is no model \"%s\" here.", id);
	return target_of(app, arena, user_id, found, wait_ms, ret, info);
}

static enum atl_err first_remote(struct atl_app *app, struct atl_arena *arena, struct atl_model_target *ret)
{
	struct atl_provider *providers;
	size_t count;
	if (!app->providers || atl_provider_list(app, arena, &providers, &count, NULL) != ATL_OK)
		return ATL_ERR_NO_MODEL;
	for (size_t i = 0; i < count; i++) {
		const struct atl_provider_model *models = providers[i].models.items;
		if (providers[i].enabled && providers[i].models.count > 0 &&
		    target_remote(app, arena, providers[i].id, models[0].id, ret, NULL) == ATL_OK)
			return ATL_OK;
	}
	return ATL_ERR_NO_MODEL;
}

enum atl_err atl_models_resolve_wait(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				     const char *wanted, unsigned wait_ms, struct atl_model_target *ret,
				     struct atl_errinfo *info)
{
	struct atl_errinfo why = {0};
	if (!atl_str_empty(wanted))
		return target_of(app, arena, user_id, wanted, wait_ms, ret, info);
	const char *chosen = atl_setting_text(app, ATL_SETTING_DEFAULT_MODEL, arena);
	if (!atl_str_empty(chosen)) {
		if (target_of(app, arena, user_id, chosen, wait_ms, ret, &why) == ATL_OK)
			return ATL_OK;
		atl_warn(MODULE, "the default model %s is passed over: %s", chosen, why.detail);
	}
	/* A local engine that cannot start must not stand before a provider that works. */
	enum atl_err err = target_local(app, arena, NULL, wait_ms, ret, &why);
	if (!err && ret->ready)
		return ATL_OK;
	struct atl_model_target other;
	if (first_remote(app, arena, &other) == ATL_OK) {
		*ret = other;
		return ATL_OK;
	}
	if (!err)
		return ATL_OK;
	return atl_fail(info, ATL_ERR_NO_MODEL, "%s Or add a provider in Settings, Providers.",
			why.detail[0] ? why.detail : "No language model is ready. Download one in Settings, Models.");
}

enum atl_err atl_models_resolve(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *wanted,
				struct atl_model_target *ret, struct atl_errinfo *info)
{
	return atl_models_resolve_wait(app, arena, user_id, wanted, ATL_MODEL_WAIT_MS, ret, info);
}

enum atl_err atl_models_fallback(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				 const char *failed_id, struct atl_model_target *ret, struct atl_errinfo *info)
{
	struct atl_model_target t;
	const char *id = atl_setting_text(app, ATL_SETTING_FALLBACK_MODEL, arena);
	if (atl_str_empty(id))
		return atl_fail(info, ATL_ERR_NO_MODEL, "There is no fallback model.");
	enum atl_err err = target_of(app, arena, user_id, id, 0, &t, info);
	if (err)
		return err;
	if (atl_str_eq(t.id, failed_id) || !t.ready)
		return atl_fail(info, ATL_ERR_NO_MODEL, "The fallback model is not ready.");
	*ret = t;
	return ATL_OK;
}

const char *atl_models_effective(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *wanted)
{
	struct atl_model_target t;
	return atl_models_resolve_wait(app, arena, user_id, wanted, 0, &t, NULL) == ATL_OK ? t.id : NULL;
}

struct atl_breaker *atl_model_breaker(struct atl_app *app, const struct atl_model_target *target,
				      const struct atl_loop *loop)
{
	return target->provider_id && app->providers ? atl_provider_breaker(app, target->provider_id, loop) : NULL;
}

void atl_model_outcome(struct atl_app *app, const struct atl_model_target *target, enum atl_err err,
		       const struct atl_errinfo *info)
{
	if (target->provider_id && app->providers)
		atl_provider_outcome(app, target->provider_id, err, info);
}

/* ---- counting tokens ---- */

/* Direct-mapped: a text's hash (with the model's name) chooses the place, and the whole hash must match. */
static struct {
	unsigned char hash[ATL_SHA256_SIZE];
	int64_t tokens;
	bool used;
} counts[ATL_MODEL_COUNTS_MAX];
static pthread_mutex_t counts_lock = PTHREAD_MUTEX_INITIALIZER;

static void count_key(const struct atl_model_target *target, const char *text, unsigned char out[ATL_SHA256_SIZE])
{
	struct atl_sha256 sha;
	atl_sha256_begin(&sha);
	atl_sha256_add(&sha, target->id, strlen(target->id) + 1);
	atl_sha256_add(&sha, text, strlen(text));
	atl_sha256_end(&sha, out);
}

enum atl_err atl_models_count_tokens(struct atl_app *app, const struct atl_model_target *target, const char *text,
				     int64_t *ret_tokens, struct atl_errinfo *info)
{
	unsigned char key[ATL_SHA256_SIZE];
	struct atl_errinfo why = {0};
	struct atl_arena arena;
	int64_t tokens = 0;
	bool known;
	if (atl_str_empty(text)) {
		*ret_tokens = 0;
		return ATL_OK;
	}
	if (!target->exact_tokens) {
		*ret_tokens = atl_prompt_estimate(text);
		return ATL_OK;
	}
	count_key(target, text, key);
	size_t at = ((size_t)key[0] << 8 | key[1]) % ATL_MODEL_COUNTS_MAX;
	pthread_mutex_lock(&counts_lock);
	known = counts[at].used && memcmp(counts[at].hash, key, sizeof key) == 0;
	tokens = counts[at].tokens;
	pthread_mutex_unlock(&counts_lock);
	if (known) {
		*ret_tokens = tokens;
		return ATL_OK;
	}
	atl_arena_init(&arena, 0);
	enum atl_err err = atl_chat_tokenize_sync(app->loops[0], &target->endpoint, &arena, text, &tokens, &why);
	atl_arena_finish(&arena);
	if (err) {
		atl_debug(MODULE, "%s counts no tokens, they are estimated: %s", target->id, why.detail);
		*ret_tokens = atl_prompt_estimate(text);
		return ATL_OK;
	}
	pthread_mutex_lock(&counts_lock);
	memcpy(counts[at].hash, key, sizeof key);
	counts[at].tokens = tokens;
	counts[at].used = true;
	pthread_mutex_unlock(&counts_lock);
	*ret_tokens = tokens;
	return ATL_OK;
}
