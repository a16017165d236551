/* model_route.h - resolved models kept ready for the loops: the OpenAI routes find one without SQL and without waiting.
 *
 * A route is what atl_models_resolve() answered for one wanted name, with its addresses and header lines already
 * written. It never changes; a changed provider is seen after ATL_MODEL_ROUTE_MS at the latest, or at once after
 * atl_model_routes_forget(). When a route gets old, one caller is told to ask anew and the others go on with it.
 *
 * Life cycle: atl_model_routes_create() .. atl_model_routes_destroy(). A route lives while somebody holds a reference.
 * Threads:    any; only atl_model_route_resolve() blocks.
 * Limits:     ATL_MODEL_ROUTES_MAX names (then it starts over).
 */
#ifndef ATL_CORE_MODEL_ROUTE_H
#define ATL_CORE_MODEL_ROUTE_H

#include "core/models/model.h"

#define ATL_MODEL_ROUTE_MS 1000
#define ATL_MODEL_ROUTE_STALE_MS 2000 /* older than that: nobody goes on with it */
#define ATL_MODEL_ROUTES_MAX 1000

enum atl_model_path { ATL_MODEL_CHAT, ATL_MODEL_COMPLETIONS, ATL_MODEL_EMBEDDINGS, ATL_MODEL_PATH_COUNT };

struct atl_model_route {
	struct atl_model_target target;
	const char *urls[ATL_MODEL_PATH_COUNT];
	bool plain[ATL_MODEL_PATH_COUNT]; /* for the plain client of net/fetch.h */
	const char *const *headers;	  /* NULL-terminated, with the key */
	const char *who;		  /* for messages to people */
	const char *quoted_name;	  /* target.name as JSON text */
};

struct atl_model_routes;
/* How to resolve; NULL: atl_models_resolve(). Tests give their own. */
typedef enum atl_err (*atl_model_resolver)(struct atl_app *app, struct atl_arena *arena, const char *user_id,
					   const char *wanted, struct atl_model_target *ret, struct atl_errinfo *info);
enum atl_err atl_model_routes_create(atl_model_resolver resolver, struct atl_model_routes **ret) ATL_MUST_USE;
void atl_model_routes_destroy(struct atl_model_routes *routes); /* NULL is allowed */

/* A reference, or NULL: ask atl_model_route_resolve() in the pool. `wanted` NULL or "": the default.
 * `routes` NULL (app->routes not set): nothing is kept. Never blocks. */
struct atl_model_route *atl_model_route_cached(struct atl_model_routes *routes, const char *wanted);
/* Resolve and remember. Errors of atl_models_resolve(). */
enum atl_err atl_model_route_resolve(struct atl_app *app, const char *user_id, const char *wanted,
				     struct atl_model_route **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_model_route_unref(struct atl_model_route *route); /* NULL is allowed */
/* A provider, the default or the engine changed. NULL is allowed. */
void atl_model_routes_forget(struct atl_model_routes *routes);

#endif
