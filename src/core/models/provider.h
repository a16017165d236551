/* provider.h - configured chat and picture services: address, sealed key, models, state.
 *
 * Providers belong to the server: who may manage them sees all, who may chat uses the enabled ones. The key is sealed
 * with the master key and the provider's id as context; it is never read back out. All rows are kept in memory, so
 * that choosing a model costs no SQL.
 *
 * Life cycle: atl_providers_create() (reads all) .. atl_providers_destroy(), after the loops' runs have ended.
 * Threads:    blocking (SQL, network): pool threads; atl_provider_breaker() and atl_provider_outcome(): any.
 * Ownership:  what is returned lives in the given arena; breakers live as long as `struct atl_providers`.
 * Limits:     the constants below.
 */
#ifndef ATL_CORE_PROVIDER_H
#define ATL_CORE_PROVIDER_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "provider/chat.h"
#include "provider/image.h"

#define ATL_PROVIDERS_MAX 100
#define ATL_PROVIDER_NAME_MAX 100
#define ATL_PROVIDER_URL_MAX 500
#define ATL_PROVIDER_KEY_MAX 4096
#define ATL_PROVIDER_MODELS_MAX 2000
#define ATL_PROVIDER_MODEL_ID_MAX 200

struct atl_provider_model {
	const char *id, *name;
	const char *kind;     /* "picture"; NULL: chat */
	const char *tasks;    /* of a picture model, words; NULL: see the model registry */
	int64_t context_size; /* 0: not told */
	bool priced;	      /* the service told: */
	int64_t input_micro_usd, output_micro_usd, cached_micro_usd; /* per million tokens */
};
extern const struct atl_json_desc atl_provider_model_desc;

struct atl_provider {
	const char *id, *user_id /* who made it */, *preset, *name, *base_url;
	bool has_key, enabled;
	struct atl_items models; /* struct atl_provider_model */
	int64_t models_fetched_at;
	const char *state;	/* ok | failing | open_circuit | unknown */
	const char *last_error; /* NULL */
	int64_t created_at, updated_at;
};
extern const struct atl_json_desc atl_provider_desc;

struct atl_providers;
enum atl_err atl_providers_create(struct atl_app *app, struct atl_providers **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_providers_destroy(struct atl_providers *providers); /* NULL is allowed */

enum atl_err atl_provider_list(struct atl_app *app, struct atl_arena *arena, struct atl_provider **ret,
			       size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE; /* oldest first */
enum atl_err atl_provider_get(struct atl_app *app, struct atl_arena *arena, const char *id, struct atl_provider *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;

/* NULL members stay as they are. */
struct atl_provider_change {
	const char *preset; /* create only */
	const char *name, *base_url;
	const char *key; /* "" removes it */
	const bool *enabled;
	const struct atl_items *models; /* typed by hand: struct atl_provider_model */
};
/* id NULL: a new one. A new address for a kept key needs the key again, so that nobody can send it elsewhere. Errors:
 * INVALID naming the field, OUTBOUND, CONFLICT (too many), NOT_FOUND. Publishes provider.updated. */
enum atl_err atl_provider_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			       const char *id, const struct atl_provider_change *change, struct atl_provider *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_provider_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				 struct atl_errinfo *info) ATL_MUST_USE;

/* The test button. The call's own failure is *ret_result with its details in `why`; an error is about the row. */
enum atl_err atl_provider_test(struct atl_app *app, const char *id, enum atl_err *ret_result, uint64_t *ret_latency_ms,
			       struct atl_errinfo *why, struct atl_errinfo *info) ATL_MUST_USE;
/* Fetch the list of models and store it. */
enum atl_err atl_provider_refresh(struct atl_app *app, struct atl_arena *arena, const char *id,
				  struct atl_provider *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* How to call it; breaker is NULL. NOT_FOUND: no such provider, or it is switched off. */
enum atl_err atl_provider_endpoint(struct atl_app *app, struct atl_arena *arena, const char *id,
				   struct atl_chat_endpoint *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The same for pictures: UNSUPPORTED when its service has none. */
enum atl_err atl_provider_image_endpoint(struct atl_app *app, struct atl_arena *arena, const char *id,
					 struct atl_image_endpoint *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* NULL: no such provider, or a loop that is not the application's. */
struct atl_breaker *atl_provider_breaker(struct atl_app *app, const char *id, const struct atl_loop *loop);
void atl_provider_outcome(struct atl_app *app, const char *id, enum atl_err err, const struct atl_errinfo *info);

#endif
