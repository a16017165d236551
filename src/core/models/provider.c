/* provider.c - see provider.h.
 *
 * An entry is made anew from its row after each change; what must survive (breakers, state) is in `struct health`,
 * which is kept until the end even when its provider is deleted, because runs hold pointers to its breakers.
 */
#include "core/models/provider.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/id.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "core/books/price.h"
#include "core/models/model_route.h"
#include "core/people/audit.h"
#include "core/server/keyring.h"
#include "core/server/publish.h"
#include "db/db.h"

#define MODULE "provider"
#define LOOPS_MAX 64
#define COLUMNS "id, preset, name, base_url, key_sealed, models, models_fetched_at, enabled, last_error, created_at, updated_at, user_id"
#define MODELS_JSON_MAX ((size_t)4 << 20)

struct health {
	struct atl_breaker breakers[LOOPS_MAX]; /* each used on its loop only */
	/* guarded by lock */
	enum { UNKNOWN, WORKS, FAILS } state;
	unsigned failures; /* in a row, of those that count for a breaker */
	char last_error[ATL_ERRINFO_DETAIL_MAX];
};

struct entry {
	struct atl_arena arena;
	struct atl_provider p; /* state and last_error are those of `health` */
	const char *key;       /* NULL: none */
	struct health *health;
};

struct atl_providers {
	struct atl_app *app;
	pthread_mutex_t saving; /* one change at a time */
	/* guarded by lock */
	pthread_mutex_t lock;
	struct entry *entries[ATL_PROVIDERS_MAX];
	size_t count;
	struct atl_map healths; /* id -> struct health */
};

#define OFF(member) offsetof(struct atl_provider, member)
#define MOFF(member) offsetof(struct atl_provider_model, member)
static const struct atl_json_field MODEL_FIELDS[] = {
	{"id", ATL_JT_STR, MOFF(id), ATL_JF_REQUIRED, 1, ATL_PROVIDER_MODEL_ID_MAX},
	{"name", ATL_JT_STR, MOFF(name), ATL_JF_NULLABLE, 0, 200},
	{"kind", ATL_JT_STR, MOFF(kind), ATL_JF_NULLABLE | ATL_JF_OMIT, 0, 20, .doc = "picture; without it: chat"},
	{"tasks", ATL_JT_STR, MOFF(tasks), ATL_JF_NULLABLE | ATL_JF_OMIT, 0, 200, .doc = "of a picture model"},
	{"context_size", ATL_JT_INT, MOFF(context_size), ATL_JF_NULLABLE, 0, 100000000, .doc = "tokens; null: not known"},
	{"priced", ATL_JT_BOOL, MOFF(priced), ATL_JF_OMIT, .doc = "the service told the prices below"},
	{"input_micro_usd", ATL_JT_INT, MOFF(input_micro_usd), ATL_JF_OMIT, 0, ATL_PRICE_MICRO_USD_MAX, .doc = "per million tokens"},
	{"output_micro_usd", ATL_JT_INT, MOFF(output_micro_usd), ATL_JF_OMIT, 0, ATL_PRICE_MICRO_USD_MAX},
	{"cached_micro_usd", ATL_JT_INT, MOFF(cached_micro_usd), ATL_JF_OMIT, 0, ATL_PRICE_MICRO_USD_MAX},
};
const struct atl_json_desc atl_provider_model_desc = {
	"ProviderModel", "A model of a provider.", MODEL_FIELDS, ATL_COUNT(MODEL_FIELDS), sizeof(struct atl_provider_model),
	ATL_JSON_NO_PRESENT, false};
static const char *const STATES[] = {"ok", "failing", "open_circuit", "unknown", NULL};
static const struct atl_json_field FIELDS[] = {
	{"id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED},
	{"preset", ATL_JT_STR, OFF(preset), ATL_JF_REQUIRED},
	{"name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED},
	{"base_url", ATL_JT_STR, OFF(base_url), ATL_JF_REQUIRED},
	{"has_key", ATL_JT_BOOL, OFF(has_key), ATL_JF_REQUIRED, .doc = "the key itself is never shown"},
	{"enabled", ATL_JT_BOOL, OFF(enabled), ATL_JF_REQUIRED},
	{"models", ATL_JT_LIST, OFF(models), ATL_JF_REQUIRED, .sub = &atl_provider_model_desc},
	{"models_fetched_at", ATL_JT_TIME, OFF(models_fetched_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"state", ATL_JT_ENUM, OFF(state), ATL_JF_REQUIRED, .values = STATES},
	{"last_error", ATL_JT_STR, OFF(last_error), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED},
	{"updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED},
};
const struct atl_json_desc atl_provider_desc = {
	"Provider", "A configured chat or picture service.", FIELDS, ATL_COUNT(FIELDS), sizeof(struct atl_provider),
	ATL_JSON_NO_PRESENT, false};

/* ---- rows ---- */

static const struct atl_json_field STORED_FIELDS[] = {
	{"items", ATL_JT_LIST, 0, ATL_JF_REQUIRED, .sub = &atl_provider_model_desc},
};
static const struct atl_json_desc STORED_DESC = {"StoredModels", "", STORED_FIELDS, 1, sizeof(struct atl_items),
						 ATL_JSON_NO_PRESENT, false};

static enum atl_err models_read(struct atl_arena *arena, const char *json, struct atl_items *ret)
{
	struct atl_json *tree;
	enum atl_err err = atl_json_parse(arena, json, strlen(json), &tree, NULL);
	return err ? err : atl_json_decode(arena, tree, &STORED_DESC, ret, NULL);
}

static enum atl_err unseal_key(struct atl_providers *self, struct entry *e, const char *sealed, struct atl_errinfo *info)
{
	struct atl_buf raw, plain;
	enum atl_err err = ATL_OK;
	atl_buf_init(&raw, ATL_PROVIDER_KEY_MAX * 2);
	atl_buf_init(&plain, ATL_PROVIDER_KEY_MAX + 64);
	if (!atl_base64_decode(&raw, ATL_BASE64_STANDARD, sealed, strlen(sealed)))
		err = atl_fail(info, ATL_ERR_CONFIG, "The key of %s is damaged in the database.", e->p.name);
	else
		err = atl_secret_open(self->app, &plain, e->p.id, raw.data, raw.length, info);
	if (!err) {
		e->key = atl_arena_strndup(&e->arena, plain.data, plain.length);
		err = e->key ? ATL_OK : ATL_ERR_NOMEM;
		atl_wipe(plain.data, plain.length);
	}
	if (!err)
		atl_log_secret(e->key);
	atl_buf_finish(&raw);
	atl_buf_finish(&plain);
	return err;
}

static void entry_free(struct entry *e)
{
	if (!e)
		return;
	if (e->key)
		atl_wipe((char *)e->key, strlen(e->key));
	atl_arena_finish(&e->arena);
	free(e);
}

/* The health of an id, made when it is first asked for; lock held. */
static struct health *health_of(struct atl_providers *self, const char *id)
{
	struct health *h = atl_map_get(&self->healths, id);
	if (h || !(h = calloc(1, sizeof *h)))
		return h;
	if (atl_map_put(&self->healths, id, h, NULL) != ATL_OK) {
		free(h);
		return NULL;
	}
	return h;
}

static enum atl_err entry_read(struct atl_providers *self, struct atl_rows *rows, struct entry **ret,
			       struct atl_errinfo *info)
{
	struct entry *e = calloc(1, sizeof *e);
	if (!e)
		return atl_fail(info, ATL_ERR_NOMEM, "read provider");
	struct atl_arena *a = &e->arena;
	atl_arena_init(a, 0);
	e->p = (struct atl_provider){.id = atl_col_text(rows, 0, a), .preset = atl_col_text(rows, 1, a),
				     .name = atl_col_text(rows, 2, a), .base_url = atl_col_text(rows, 3, a),
				     .has_key = !atl_col_null(rows, 4), .models_fetched_at = atl_col_int(rows, 6),
				     .enabled = atl_col_int(rows, 7) != 0, .created_at = atl_col_int(rows, 9),
				     .updated_at = atl_col_int(rows, 10), .user_id = atl_col_text(rows, 11, a)};
	const char *sealed = atl_col_text(rows, 4, a), *models = atl_col_text(rows, 5, a);
	if (!e->p.id || !e->p.preset || !e->p.name || !e->p.base_url || !e->p.user_id || !models) {
		entry_free(e);
		return atl_fail(info, ATL_ERR_NOMEM, "read provider");
	}
	struct atl_errinfo why = {0};
	if (models_read(a, models, &e->p.models) != ATL_OK)
		atl_warn(MODULE, "%s: its list of models cannot be read", e->p.id);
	if (sealed && unseal_key(self, e, sealed, &why) != ATL_OK)
		atl_error(MODULE, "%s: its key cannot be opened: %s", e->p.id, why.detail);
	*ret = e;
	return ATL_OK;
}

struct load {
	struct atl_providers *self;
	const char *id; /* NULL: all */
	struct entry *entries[ATL_PROVIDERS_MAX];
	size_t count;
};

static void load_drop(struct load *load)
{
	while (load->count > 0)
		entry_free(load->entries[--load->count]);
}

static enum atl_err load_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct load *load = arg;
	struct atl_rows *rows;
	load_drop(load);
	enum atl_err err = load->id ? atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM providers WHERE id = ?", "s", load->id)
				    : atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM providers ORDER BY id", "");
	if (err)
		return err;
	while (load->count < ATL_PROVIDERS_MAX && atl_rows_next(rows, &err, info)) {
		enum atl_err bad = entry_read(load->self, rows, &load->entries[load->count], info);
		if (bad) {
			atl_rows_close(rows);
			return bad;
		}
		load->count++;
	}
	if (!err && load->count == ATL_PROVIDERS_MAX)
		atl_rows_close(rows);
	return err;
}

/* ---- the cache ---- */

static size_t find(const struct atl_providers *self, const char *id) /* lock held; count: none */
{
	size_t i = 0;
	while (i < self->count && !atl_str_eq(self->entries[i]->p.id, id))
		i++;
	return i;
}

static enum atl_err no_provider(struct atl_errinfo *info)
{
	return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such provider.");
}

/* Put the row's present state in place of the old entry. */
static enum atl_err reload(struct atl_providers *self, const char *id, struct atl_errinfo *info)
{
	struct load load = {.self = self, .id = id};
	struct entry *old = NULL;
	enum atl_err err = atl_db_read(self->app->db, load_fn, &load, info);
	if (err) {
		load_drop(&load);
		return err;
	}
	pthread_mutex_lock(&self->lock);
	size_t at = find(self, id);
	if (at < self->count)
		old = self->entries[at];
	if (load.count) {
		struct entry *e = load.entries[0];
		e->health = health_of(self, id);
		if (!e->health || (at == self->count && self->count == ATL_PROVIDERS_MAX)) {
			pthread_mutex_unlock(&self->lock);
			load_drop(&load);
			return atl_fail(info, ATL_ERR_NOMEM, "keep provider");
		}
		self->entries[at] = e;
		if (at == self->count)
			self->count++;
	} else if (old) {
		memmove(&self->entries[at], &self->entries[at + 1], (self->count - at - 1) * sizeof self->entries[0]);
		self->count--;
	}
	pthread_mutex_unlock(&self->lock);
	entry_free(old);
	atl_model_routes_forget(self->app->routes);
	return ATL_OK;
}

static const char *state_of(const struct entry *e)
{
	/* The breakers belong to their loops; their rule applied to what they told us is enough for a word. */
	if (e->health->failures >= ATL_BREAKER_FAILURES)
		return "open_circuit";
	return e->health->state == WORKS ? "ok" : e->health->state == FAILS ? "failing" : "unknown";
}

/* Deep copy for a caller; lock held. */
static enum atl_err copy_out(const struct entry *e, struct atl_arena *arena, struct atl_provider *ret,
			     struct atl_errinfo *info)
{
	struct atl_provider p = e->p;
	const struct atl_provider_model *from = e->p.models.items;
	struct atl_provider_model *to = ATL_ARENA_ARRAY(arena, struct atl_provider_model, p.models.count + 1);
	bool full = !to;
	for (size_t i = 0; to && i < p.models.count; i++) {
		to[i] = (struct atl_provider_model){.id = atl_arena_strdup(arena, from[i].id),
						    .name = atl_arena_strdup(arena, from[i].name ? from[i].name : from[i].id),
						    .kind = atl_arena_strdup(arena, from[i].kind),
						    .tasks = atl_arena_strdup(arena, from[i].tasks),
						    .context_size = from[i].context_size,
						    .priced = from[i].priced,
						    .input_micro_usd = from[i].input_micro_usd,
						    .output_micro_usd = from[i].output_micro_usd,
						    .cached_micro_usd = from[i].cached_micro_usd};
		full = full || !to[i].id || !to[i].name;
	}
	p.models.items = to;
	p.id = atl_arena_strdup(arena, p.id);
	p.preset = atl_arena_strdup(arena, p.preset);
	p.name = atl_arena_strdup(arena, p.name);
	p.base_url = atl_arena_strdup(arena, p.base_url);
	p.user_id = atl_arena_strdup(arena, p.user_id);
	p.state = state_of(e);
	p.last_error = e->health->last_error[0] ? atl_arena_strdup(arena, e->health->last_error) : NULL;
	if (full || !p.id || !p.preset || !p.name || !p.base_url || !p.user_id)
		return atl_fail(info, ATL_ERR_NOMEM, "copy provider");
	*ret = p;
	return ATL_OK;
}

enum atl_err atl_provider_list(struct atl_app *app, struct atl_arena *arena, struct atl_provider **ret,
			       size_t *ret_count, struct atl_errinfo *info)
{
	struct atl_providers *self = app->providers;
	enum atl_err err = ATL_OK;
	pthread_mutex_lock(&self->lock);
	struct atl_provider *items = ATL_ARENA_ARRAY(arena, struct atl_provider, self->count + 1);
	if (!items)
		err = atl_fail(info, ATL_ERR_NOMEM, "list providers");
	for (size_t i = 0; !err && i < self->count; i++)
		err = copy_out(self->entries[i], arena, &items[i], info);
	size_t count = self->count;
	pthread_mutex_unlock(&self->lock);
	if (err)
		return err;
	*ret = items;
	*ret_count = count;
	return ATL_OK;
}

enum atl_err atl_provider_get(struct atl_app *app, struct atl_arena *arena, const char *id, struct atl_provider *ret,
			      struct atl_errinfo *info)
{
	struct atl_providers *self = app->providers;
	pthread_mutex_lock(&self->lock);
	size_t at = find(self, id);
	enum atl_err err = at < self->count ? copy_out(self->entries[at], arena, ret, info) : no_provider(info);
	pthread_mutex_unlock(&self->lock);
	return err;
}

enum atl_err atl_provider_endpoint(struct atl_app *app, struct atl_arena *arena, const char *id,
				   struct atl_chat_endpoint *ret, struct atl_errinfo *info)
{
	struct atl_providers *self = app->providers;
	enum atl_err err = ATL_OK;
	pthread_mutex_lock(&self->lock);
	size_t at = find(self, id);
	const struct entry *e = at < self->count ? self->entries[at] : NULL;
	if (!e || !e->p.enabled) {
		err = no_provider(info);
	} else {
		struct atl_chat_endpoint endpoint = {.preset = atl_chat_preset_find(e->p.preset),
						     .name = atl_arena_strdup(arena, e->p.name),
						     .base_url = atl_arena_strdup(arena, e->p.base_url),
						     .api_key = e->key ? atl_arena_strdup(arena, e->key) : NULL,
						     .guard = app->guard};
		if (!endpoint.name || !endpoint.base_url || (e->key && !endpoint.api_key))
			err = atl_fail(info, ATL_ERR_NOMEM, "provider endpoint");
		else if (!endpoint.preset)
			err = atl_fail(info, ATL_ERR_UNSUPPORTED, "This version does not know the service %s.", e->p.preset);
		else
			*ret = endpoint;
	}
	pthread_mutex_unlock(&self->lock);
	return err;
}

enum atl_err atl_provider_image_endpoint(struct atl_app *app, struct atl_arena *arena, const char *id,
					 struct atl_image_endpoint *ret, struct atl_errinfo *info)
{
	struct atl_chat_endpoint chat;
	enum atl_err err = atl_provider_endpoint(app, arena, id, &chat, info);
	if (err)
		return err;
	if (!chat.preset->picture_kind)
		return atl_fail(info, ATL_ERR_UNSUPPORTED, "%s makes no pictures.", chat.name);
	const char *base = chat.preset->picture_url && atl_str_eq(chat.base_url, chat.preset->base_url)
				   ? chat.preset->picture_url
				   : chat.base_url;
	*ret = (struct atl_image_endpoint){.kind = chat.preset->picture_kind, .name = chat.name, .base_url = base,
					   .key = chat.api_key, .public_url = app->public_url, .fal_hooks = app->fal_hooks,
					   .guard = app->guard, .loop = app->loops[0]};
	return ATL_OK;
}

/* ---- health ---- */

struct atl_breaker *atl_provider_breaker(struct atl_app *app, const char *id, const struct atl_loop *loop)
{
	struct atl_providers *self = app->providers;
	size_t at = 0;
	while (at < app->loop_count && app->loops[at] != loop)
		at++;
	if (at == app->loop_count || at >= LOOPS_MAX)
		return NULL;
	pthread_mutex_lock(&self->lock);
	struct health *h = atl_map_get(&self->healths, id);
	pthread_mutex_unlock(&self->lock);
	return h ? &h->breakers[at] : NULL;
}

static void publish(struct atl_app *app, const struct atl_provider *p) /* to who made it: it names addresses */
{
	atl_publish(app, p->user_id, "provider.updated", "provider", &atl_provider_desc, p);
}

void atl_provider_outcome(struct atl_app *app, const char *id, enum atl_err err, const struct atl_errinfo *info)
{
	struct atl_providers *self = app->providers;
	struct atl_provider p;
	struct atl_arena arena;
	bool tell = false;
	if (err == ATL_ERR_CANCELLED || err == ATL_ERR_CONTEXT || err == ATL_ERR_UPSTREAM_REFUSED || err == ATL_ERR_NOMEM)
		return; /* says nothing about the service */
	atl_arena_init(&arena, 0);
	pthread_mutex_lock(&self->lock);
	size_t at = find(self, id);
	if (at < self->count) {
		struct health *h = self->entries[at]->health;
		const char *before = state_of(self->entries[at]);
		h->state = err ? FAILS : WORKS;
		h->failures = !err ? 0 : h->failures + (atl_breaker_counts(err) ? 1 : 0);
		atl_str_copy(h->last_error, sizeof h->last_error,
			     !err ? "" : info && info->detail[0] ? info->detail : atl_err_sentence(err));
		tell = before != state_of(self->entries[at]) && copy_out(self->entries[at], &arena, &p, NULL) == ATL_OK;
	}
	pthread_mutex_unlock(&self->lock);
	if (tell)
		publish(app, &p);
	atl_arena_finish(&arena);
}

/* ---- changes ---- */

struct write {
	const char *id, *user_id, *preset;
	const char *name, *base_url, *models; /* NULL: unchanged */
	const char *sealed;		      /* NULL: unchanged, "": none */
	int64_t enabled;		      /* 2: unchanged */
	int64_t fetched_at;		      /* 0: unchanged */
	int64_t now_ms;
};

static enum atl_err insert_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct write *w = arg;
	return atl_exec(conn, info,
			"INSERT INTO providers (id, user_id, preset, name, base_url, key_sealed, models, enabled, created_at, "
			"updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			"sssssssiii", w->id, w->user_id, w->preset, w->name, w->base_url,
			atl_str_empty(w->sealed) ? NULL : w->sealed, w->models ? w->models : "{\"items\":[]}",
			w->enabled == 2 ? (int64_t)1 : w->enabled, w->now_ms, w->now_ms);
}

static enum atl_err update_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct write *w = arg;
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE providers SET name = coalesce(?, name), base_url = coalesce(?, base_url), "
					  "key_sealed = CASE WHEN ? = 0 THEN key_sealed ELSE ? END, "
					  "models = coalesce(?, models), "
					  "models_fetched_at = CASE WHEN ? = 0 THEN models_fetched_at ELSE ? END, "
					  "enabled = CASE WHEN ? = 2 THEN enabled ELSE ? END, updated_at = ? WHERE id = ?",
					  "ssissiiiiis", w->name, w->base_url, (int64_t)(w->sealed != NULL),
					  atl_str_empty(w->sealed) ? NULL : w->sealed, w->models, w->fetched_at,
					  w->fetched_at, w->enabled, w->enabled, w->now_ms, w->id);
	return err ? err : changed ? ATL_OK : no_provider(info);
}

static enum atl_err seal_key(struct atl_app *app, struct atl_arena *arena, const char *id, const char *key,
			     const char **ret, struct atl_errinfo *info)
{
	struct atl_buf raw, text;
	atl_buf_init(&raw, ATL_PROVIDER_KEY_MAX * 2);
	atl_buf_init(&text, ATL_PROVIDER_KEY_MAX * 4);
	enum atl_err err = atl_seal(&raw, app->master_key, id, key, strlen(key));
	if (!err) {
		atl_base64_encode(&text, ATL_BASE64_STANDARD, raw.data, raw.length);
		err = atl_buf_err(&text, info);
	}
	const char *sealed = err ? NULL : atl_arena_strdup(arena, text.data);
	atl_buf_finish(&raw);
	atl_buf_finish(&text);
	if (!sealed)
		return atl_fail(info, err ? err : ATL_ERR_NOMEM, "The key could not be sealed.");
	*ret = sealed;
	return ATL_OK;
}

static enum atl_err models_text(struct atl_arena *arena, const struct atl_items *models, const char **ret,
				struct atl_errinfo *info)
{
	struct atl_buf buf;
	struct atl_jw w;
	if (models->count > ATL_PROVIDER_MODELS_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "models", "At most %d models.", ATL_PROVIDER_MODELS_MAX);
	atl_buf_init(&buf, MODELS_JSON_MAX);
	atl_jw_init(&w, &buf);
	atl_json_encode(&w, NULL, &STORED_DESC, models);
	enum atl_err err = atl_buf_err(&buf, info);
	*ret = err ? NULL : atl_arena_strdup(arena, buf.data);
	atl_buf_finish(&buf);
	return err ? err : *ret ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "provider models");
}

/* Same scheme, host and port? */
static bool same_origin(const char *a, const char *b)
{
	struct atl_url x, y;
	return atl_url_split(a, &x, NULL) == ATL_OK && atl_url_split(b, &y, NULL) == ATL_OK && x.https == y.https &&
	       x.port == y.port && atl_str_eq(x.host, y.host);
}

static enum atl_err check_url(struct atl_app *app, struct atl_arena *arena, const char *url, const char **ret,
			      struct atl_errinfo *info)
{
	size_t length = strlen(url);
	if (!length || length > ATL_PROVIDER_URL_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "base_url", "Give the service's address, like https://example.org/v1.");
	if (strpbrk(url, "?#"))
		return atl_fail_field(info, ATL_ERR_INVALID, "base_url", "The address must not have a query or a fragment.");
	while (length > 0 && url[length - 1] == '/')
		length--;
	char *clean = atl_arena_strndup(arena, url, length);
	if (!clean)
		return atl_fail(info, ATL_ERR_NOMEM, "provider address");
	enum atl_err err = atl_guard_url(app->guard, clean, info);
	if (err && info)
		atl_str_copy(info->field, sizeof info->field, "base_url");
	*ret = clean;
	return err;
}

static enum atl_err check_key(const char *key, struct atl_errinfo *info)
{
	size_t length = strlen(key);
	bool good = length <= ATL_PROVIDER_KEY_MAX;
	for (size_t i = 0; good && i < length; i++)
		good = key[i] > ' ' && key[i] < 0x7f;
	return good ? ATL_OK : atl_fail_field(info, ATL_ERR_INVALID, "key", "A key has no spaces and only plain characters.");
}

static enum atl_err prepare_write(struct atl_app *app, struct atl_arena *arena, const struct atl_provider *old,
				  const struct atl_chat_preset *preset, const struct atl_provider_change *c,
				  struct write *w, struct atl_errinfo *info)
{
	const char *url = c->base_url ? c->base_url : old ? NULL : preset->base_url;
	enum atl_err err = ATL_OK;
	w->name = c->name ? c->name : old ? NULL : preset->name;
	if (w->name && (!*w->name || atl_utf8_count(w->name, strlen(w->name)) > ATL_PROVIDER_NAME_MAX))
		return atl_fail_field(info, ATL_ERR_INVALID, "name", "A name has 1 to %d characters.", ATL_PROVIDER_NAME_MAX);
	if (url)
		err = check_url(app, arena, url, &w->base_url, info);
	if (!err && c->key)
		err = check_key(c->key, info);
	if (!err && old && old->has_key && !c->key && w->base_url && !same_origin(old->base_url, w->base_url))
		err = atl_fail_field(info, ATL_ERR_INVALID, "key",
				     "The address leads to another server: enter the key for it again.");
	if (!err && c->key)
		err = *c->key ? seal_key(app, arena, w->id, c->key, &w->sealed, info) : (w->sealed = "", ATL_OK);
	if (!err && c->models)
		err = models_text(arena, c->models, &w->models, info);
	w->enabled = c->enabled ? *c->enabled : 2;
	return err;
}

static enum atl_err save_locked(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				const char *id, const struct atl_provider_change *change, struct atl_errinfo *info)
{
	struct atl_providers *self = app->providers;
	const struct atl_chat_preset *preset = NULL;
	struct write w = {.id = id, .now_ms = atl_now_ms()};
	struct atl_provider old;
	enum atl_err err;
	bool is_new = change->preset != NULL;
	if (is_new) {
		preset = atl_chat_preset_find(change->preset);
		if (!preset)
			return atl_fail_field(info, ATL_ERR_INVALID, "preset", "There is no service \"%s\".", change->preset);
		if (self->count >= ATL_PROVIDERS_MAX)
			return atl_fail(info, ATL_ERR_CONFLICT, "There are %d providers already.", ATL_PROVIDERS_MAX);
		w.user_id = who->user_id;
		w.preset = preset->preset;
	} else {
		err = atl_provider_get(app, arena, id, &old, info);
		if (err)
			return err;
	}
	err = prepare_write(app, arena, is_new ? NULL : &old, preset, change, &w, info);
	if (!err)
		err = atl_audit_tx(app->db, is_new ? insert_fn : update_fn, &w,
				   &(struct atl_audit){.who = who, .action = is_new ? "provider.create" : "provider.change",
						       .target_kind = "provider", .target_id = id,
						       .note = change->key ? "with its key" : NULL}, info);
	return err ? err : reload(self, id, info);
}

enum atl_err atl_provider_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			       const char *id, const struct atl_provider_change *change, struct atl_provider *ret,
			       struct atl_errinfo *info)
{
	struct atl_provider_change c = *change;
	char fresh[ATL_ID_SIZE];
	if (!id) {
		atl_id_new("prv", fresh);
		id = fresh;
		if (!c.preset)
			return atl_fail_field(info, ATL_ERR_INVALID, "preset", "Say which service it is.");
	} else {
		c.preset = NULL;
	}
	pthread_mutex_lock(&app->providers->saving);
	enum atl_err err = save_locked(app, who, arena, id, &c, info);
	pthread_mutex_unlock(&app->providers->saving);
	if (!err)
		err = atl_provider_get(app, arena, id, ret, info);
	if (!err)
		publish(app, ret);
	return err;
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info, "DELETE FROM providers WHERE id = ?", "s", arg);
	return err ? err : changed ? ATL_OK : no_provider(info);
}

enum atl_err atl_provider_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				 struct atl_errinfo *info)
{
	const struct atl_audit audit = {.who = who, .action = "provider.delete", .target_kind = "provider", .target_id = id};
	pthread_mutex_lock(&app->providers->saving);
	enum atl_err err = atl_audit_tx(app->db, delete_fn, (void *)id, &audit, info);
	if (!err)
		err = reload(app->providers, id, info);
	pthread_mutex_unlock(&app->providers->saving);
	return err;
}

/* ---- calls ---- */

static enum atl_err endpoint_any(struct atl_app *app, struct atl_arena *arena, const char *id,
				 struct atl_chat_endpoint *ret, struct atl_errinfo *info)
{
	struct atl_provider p;
	enum atl_err err = atl_provider_get(app, arena, id, &p, info);
	if (!err && !p.enabled)
		return atl_fail(info, ATL_ERR_CONFLICT, "%s is switched off. Switch it on first.", p.name);
	return err ? err : atl_provider_endpoint(app, arena, id, ret, info);
}

/* What it lists as picture models, appended to `items` (struct atl_provider_model, with room for all). */
static enum atl_err picture_models(struct atl_app *app, struct atl_arena *arena, const char *id, struct atl_items *items,
				   struct atl_errinfo *info)
{
	struct atl_image_endpoint endpoint;
	struct atl_image_model *models = NULL;
	size_t count = 0;
	enum atl_err err = atl_provider_image_endpoint(app, arena, id, &endpoint, info);
	const struct atl_image_ops *ops = err ? NULL : atl_image_ops_find(endpoint.kind);
	if (!err && ops && ops->models)
		err = ops->models(&endpoint, arena, &models, &count, info);
	struct atl_provider_model *kept = items->items;
	for (size_t i = 0; !err && kept && i < count && items->count < ATL_PROVIDER_MODELS_MAX; i++) {
		size_t length = strlen(models[i].id);
		if (length > 0 && length <= ATL_PROVIDER_MODEL_ID_MAX && atl_utf8_valid(models[i].id, length))
			kept[items->count++] = (struct atl_provider_model){
				.id = models[i].id, .kind = "picture", .tasks = models[i].tasks,
				.name = models[i].name && strlen(models[i].name) <= 200 ? models[i].name : models[i].id};
	}
	return err;
}

enum atl_err atl_provider_test(struct atl_app *app, const char *id, enum atl_err *ret_result, uint64_t *ret_latency_ms,
			       struct atl_errinfo *why, struct atl_errinfo *info)
{
	struct atl_chat_endpoint endpoint;
	struct atl_arena arena;
	uint64_t latency = 0;
	atl_arena_init(&arena, 0);
	enum atl_err err = endpoint_any(app, &arena, id, &endpoint, info);
	if (!err && endpoint.preset->no_chat) {
		uint64_t start = atl_monotonic_ms();
		struct atl_items none = {0};
		*ret_result = picture_models(app, &arena, id, &none, why);
		*ret_latency_ms = atl_monotonic_ms() - start;
		atl_provider_outcome(app, id, *ret_result, why);
	} else if (!err) {
		*ret_result = atl_chat_probe_sync(app->loops[0], &endpoint, &latency, why);
		*ret_latency_ms = latency;
		atl_provider_outcome(app, id, *ret_result, why);
	}
	atl_arena_finish(&arena);
	return err;
}

static void take_price(struct atl_provider_model *to, const struct atl_chat_model *from)
{
	if (from->input_micro_usd < 0 || from->output_micro_usd < 0 || from->input_micro_usd > ATL_PRICE_MICRO_USD_MAX ||
	    from->output_micro_usd > ATL_PRICE_MICRO_USD_MAX || from->cached_micro_usd > ATL_PRICE_MICRO_USD_MAX)
		return;
	to->priced = true;
	to->input_micro_usd = from->input_micro_usd;
	to->output_micro_usd = from->output_micro_usd;
	to->cached_micro_usd = from->cached_micro_usd < 0 ? from->input_micro_usd : from->cached_micro_usd;
}

enum atl_err atl_provider_refresh(struct atl_app *app, struct atl_arena *arena, const char *id,
				  struct atl_provider *ret, struct atl_errinfo *info)
{
	struct atl_chat_endpoint endpoint;
	struct atl_chat_model *models = NULL;
	size_t count = 0;
	enum atl_err err = endpoint_any(app, arena, id, &endpoint, info);
	if (err)
		return err;
	if (!endpoint.preset->no_chat)
		err = atl_chat_models(app->loops[0], &endpoint, arena, &models, &count, info);
	atl_provider_outcome(app, id, err, info);
	if (err)
		return err;
	struct atl_provider_model *kept = ATL_ARENA_ARRAY(arena, struct atl_provider_model, ATL_PROVIDER_MODELS_MAX);
	struct atl_items items = {.items = kept};
	if (!kept)
		return atl_fail(info, ATL_ERR_NOMEM, "provider models");
	for (size_t i = 0; i < count && items.count < ATL_PROVIDER_MODELS_MAX; i++) {
		size_t length = strlen(models[i].id);
		if (length > ATL_PROVIDER_MODEL_ID_MAX || !atl_utf8_valid(models[i].id, length))
			continue;
		bool name_ok = models[i].name && strlen(models[i].name) <= 200;
		kept[items.count++] = (struct atl_provider_model){
			.id = models[i].id, .name = name_ok ? models[i].name : models[i].id,
			.context_size = models[i].context_length > 100000000 ? 0 : models[i].context_length};
		take_price(&kept[items.count - 1], &models[i]);
	}
	if (endpoint.preset->picture_kind) {
		struct atl_errinfo why = {0};
		err = picture_models(app, arena, id, &items, &why);
		if (err && endpoint.preset->no_chat) {
			atl_provider_outcome(app, id, err, &why);
			return atl_fail(info, err, "%s", why.detail);
		}
		if (err)
			atl_warn(MODULE, "%s: its picture models: %s", id, why.detail);
	}
	struct write w = {.id = id, .enabled = 2, .now_ms = atl_now_ms()};
	w.fetched_at = w.now_ms;
	err = models_text(arena, &items, &w.models, info);
	pthread_mutex_lock(&app->providers->saving);
	if (!err)
		err = atl_db_tx(app->db, update_fn, &w, info);
	if (!err)
		err = reload(app->providers, id, info);
	pthread_mutex_unlock(&app->providers->saving);
	if (!err)
		err = atl_provider_get(app, arena, id, ret, info);
	if (!err)
		publish(app, ret);
	return err;
}

/* ---- life ---- */

enum atl_err atl_providers_create(struct atl_app *app, struct atl_providers **ret, struct atl_errinfo *info)
{
	struct atl_providers *self = calloc(1, sizeof *self);
	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "create providers");
	struct load load = {.self = self};
	self->app = app;
	pthread_mutex_init(&self->saving, NULL);
	pthread_mutex_init(&self->lock, NULL);
	atl_map_init(&self->healths);
	enum atl_err err = atl_db_read(app->db, load_fn, &load, info);
	if (err)
		load_drop(&load);
	for (size_t i = 0; i < load.count; i++) {
		load.entries[i]->health = health_of(self, load.entries[i]->p.id);
		if (!load.entries[i]->health)
			err = atl_fail(info, ATL_ERR_NOMEM, "create providers");
		self->entries[self->count++] = load.entries[i];
	}
	if (err) {
		atl_providers_destroy(self);
		return err;
	}
	*ret = self;
	return ATL_OK;
}

static void free_health(const char *key, void *value, void *arg)
{
	free(value);
}

void atl_providers_destroy(struct atl_providers *providers)
{
	if (!providers)
		return;
	for (size_t i = 0; i < providers->count; i++)
		entry_free(providers->entries[i]);
	atl_map_each(&providers->healths, free_health, NULL);
	atl_map_finish(&providers->healths);
	pthread_mutex_destroy(&providers->lock);
	pthread_mutex_destroy(&providers->saving);
	free(providers);
}
