/* model_route.c - see model_route.h. The lock is held for a look-up only; routes are counted and immutable. */
#include "core/models/model_route.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/str.h"
#include "provider/openai_chat.h"

#define ROUTE_BYTES_MAX ((size_t)1 << 20)

struct kept {
	struct atl_model_route route; /* first */
	struct atl_arena arena;	      /* holds all it points to */
	atomic_uint refs;
};

struct entry {
	struct kept *kept;
	uint64_t born_ms;
	bool asked; /* somebody is on the way to resolve it again */
};

struct atl_model_routes {
	atl_model_resolver resolver;
	pthread_mutex_t lock;
	struct atl_map entries; /* guarded by lock */
	uint64_t generation;	/* guarded by lock: counts forgets */
};

enum atl_err atl_model_routes_create(atl_model_resolver resolver, struct atl_model_routes **ret)
{
	struct atl_model_routes *routes = calloc(1, sizeof(*routes));

	if (!routes)
		return ATL_ERR_NOMEM;
	routes->resolver = resolver ? resolver : atl_models_resolve;
	pthread_mutex_init(&routes->lock, NULL);
	atl_map_init(&routes->entries);
	*ret = routes;
	return ATL_OK;
}

void atl_model_route_unref(struct atl_model_route *route)
{
	struct kept *kept = (struct kept *)route;

	if (!kept || atomic_fetch_sub(&kept->refs, 1) != 1)
		return;
	atl_arena_finish(&kept->arena);
	free(kept);
}

static void drop_entry(const char *key, void *value, void *arg)
{
	struct entry *entry = value;

	(void)key;
	(void)arg;
	atl_model_route_unref(&entry->kept->route);
	free(entry);
}

static void drop_all(struct atl_model_routes *routes)
{
	atl_map_each(&routes->entries, drop_entry, NULL);
	atl_map_finish(&routes->entries);
	atl_map_init(&routes->entries);
}

void atl_model_routes_forget(struct atl_model_routes *routes)
{
	if (!routes)
		return;
	pthread_mutex_lock(&routes->lock);
	routes->generation++;
	drop_all(routes);
	pthread_mutex_unlock(&routes->lock);
}

void atl_model_routes_destroy(struct atl_model_routes *routes)
{
	if (!routes)
		return;
	drop_all(routes);
	atl_map_finish(&routes->entries);
	pthread_mutex_destroy(&routes->lock);
	free(routes);
}

struct atl_model_route *atl_model_route_cached(struct atl_model_routes *routes, const char *wanted)
{
	struct atl_model_route *route = NULL;
	struct entry *entry;
	uint64_t age_ms;

	if (!routes)
		return NULL;
	pthread_mutex_lock(&routes->lock);
	entry = atl_map_get(&routes->entries, wanted ? wanted : "");
	if (entry) {
		age_ms = atl_monotonic_ms() - entry->born_ms;
		if (age_ms < ATL_MODEL_ROUTE_MS || (entry->asked && age_ms < ATL_MODEL_ROUTE_STALE_MS)) {
			atomic_fetch_add(&entry->kept->refs, 1);
			route = &entry->kept->route;
		}
		entry->asked |= !route;
	}
	pthread_mutex_unlock(&routes->lock);
	return route;
}

/* ---- making one ---- */

static bool quote(struct kept *kept)
{
	struct atl_buf out;
	struct atl_jw w;

	atl_buf_init(&out, ROUTE_BYTES_MAX);
	atl_jw_init(&w, &out);
	atl_jw_str(&w, NULL, kept->route.target.name);
	kept->route.quoted_name = out.failed ? NULL : atl_arena_strdup(&kept->arena, out.data);
	atl_buf_finish(&out);
	return kept->route.quoted_name != NULL;
}

static bool write_out(struct kept *kept)
{
	static const char *const paths[] = { "/chat/completions", "/completions", "/embeddings" };
	struct atl_model_route *route = &kept->route;
	const struct atl_chat_endpoint *endpoint = &route->target.endpoint;

	for (size_t i = 0; i < ATL_MODEL_PATH_COUNT; i++) {
		route->urls[i] = atl_chat_url(&kept->arena, endpoint, paths[i], false);
		if (!route->urls[i])
			return false;
		route->plain[i] = atl_chat_is_plain(endpoint, route->urls[i]);
	}
	route->headers = atl_chat_headers(&kept->arena, endpoint, true);
	route->who = atl_chat_who(endpoint);
	return route->headers && quote(kept);
}

/* Only what is needed of the target: resolving leaves whole lists of models behind. */
static bool copy_target(struct atl_arena *arena, const struct atl_model_target *from, struct atl_model_target *to)
{
	const char *const *extra = from->endpoint.extra_headers;
	const char **copies;
	size_t count = 0;

	*to = *from;
	to->id = atl_arena_strdup(arena, from->id);
	to->name = atl_arena_strdup(arena, from->name);
	to->provider_id = atl_arena_strdup(arena, from->provider_id);
	to->provider_name = atl_arena_strdup(arena, from->provider_name);
	to->endpoint.name = atl_arena_strdup(arena, from->endpoint.name);
	to->endpoint.base_url = atl_arena_strdup(arena, from->endpoint.base_url);
	to->endpoint.unix_path = atl_arena_strdup(arena, from->endpoint.unix_path);
	to->endpoint.api_key = atl_arena_strdup(arena, from->endpoint.api_key);
	while (extra && extra[count])
		count++;
	copies = ATL_ARENA_ARRAY(arena, const char *, count + 1);
	for (size_t i = 0; copies && i < count; i++)
		copies[i] = atl_arena_strdup(arena, extra[i]);
	to->endpoint.extra_headers = extra ? copies : NULL;
	return copies && to->id && to->name && (!from->endpoint.unix_path || to->endpoint.unix_path) &&
	       (!from->endpoint.base_url || to->endpoint.base_url) && (!from->endpoint.api_key || to->endpoint.api_key);
}

static void remember(struct atl_model_routes *routes, const char *wanted, struct kept *kept, uint64_t generation)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	void *old = NULL;

	if (!entry)
		return;
	entry->kept = kept;
	entry->born_ms = atl_monotonic_ms();
	atomic_fetch_add(&kept->refs, 1);
	pthread_mutex_lock(&routes->lock);
	if (routes->entries.count >= ATL_MODEL_ROUTES_MAX)
		drop_all(routes);
	/* What was resolved before a forget may be what was to be forgotten. */
	if (generation != routes->generation || atl_map_put(&routes->entries, wanted, entry, &old) != ATL_OK)
		old = entry;
	if (old)
		drop_entry(NULL, old, NULL);
	pthread_mutex_unlock(&routes->lock);
}

enum atl_err atl_model_route_resolve(struct atl_app *app, const char *user_id, const char *wanted,
				     struct atl_model_route **ret, struct atl_errinfo *info)
{
	struct atl_model_routes *routes = app->routes;
	struct kept *kept = calloc(1, sizeof(*kept));
	struct atl_model_target target = { 0 };
	struct atl_arena scratch;
	uint64_t generation = 0;
	enum atl_err err;

	if (!kept)
		return atl_fail(info, ATL_ERR_NOMEM, "There is no memory for a model's address.");
	atomic_init(&kept->refs, 1);
	atl_arena_init(&kept->arena, ROUTE_BYTES_MAX);
	if (routes) {
		pthread_mutex_lock(&routes->lock);
		generation = routes->generation;
		pthread_mutex_unlock(&routes->lock);
	}
	atl_arena_init(&scratch, 0);
	err = (routes ? routes->resolver : atl_models_resolve)(app, &scratch, user_id, wanted, &target, info);
	if (!err && (!copy_target(&kept->arena, &target, &kept->route.target) || !write_out(kept)))
		err = atl_fail(info, ATL_ERR_NOMEM, "There is no memory for a model's address.");
	atl_arena_finish(&scratch);
	if (err) {
		atl_model_route_unref(&kept->route);
		return err;
	}
	if (routes && kept->route.target.ready)
		remember(routes, wanted ? wanted : "", kept, generation);
	*ret = &kept->route;
	return ATL_OK;
}
