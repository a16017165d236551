/* model.h - which model answers: from a wanted id, or the defaults, to an endpoint that can be called.
 *
 * Ids: "local/<file>" for the managed engine, "<provider id>/<name>" for a provider's. Providers belong to the server:
 * whoever may chat may use the enabled ones. A target is a value in the caller's arena: strings and endpoint are copies, the
 * guard is the application's. Nothing in it goes stale; a provider deleted meanwhile fails as its service says.
 *
 * Threads:    pool threads (SQL when the cache is cold, settings, the engine's tokenizer), except
 *             atl_model_breaker(): any, but a breaker is used on its own loop only.
 * Ownership:  everything returned lives in the given arena; breakers live as long as app->providers.
 * Limits:     ATL_MODEL_ID_MAX; ATL_MODEL_COUNTS_MAX token counts remembered.
 */
#ifndef ATL_CORE_MODEL_H
#define ATL_CORE_MODEL_H

#include "base/json.h"
#include "core/app.h"
#include "core/books/price.h"
#include "provider/chat.h"

#define ATL_MODEL_ID_MAX 300
#define ATL_MODEL_COUNTS_MAX 4096
#define ATL_MODEL_LOCAL "local/" /* what ids of the managed engine begin with */

struct atl_model_target {
	const char *id;		   /* "local/tiny.gguf", "prv_.../gpt-x" */
	const char *name;	   /* what the endpoint calls it: atl_chat_request.model */
	const char *provider_id;   /* NULL: the managed engine */
	const char *provider_name; /* for people: "Venice", "This computer" */
	bool local;
	bool ready;		   /* false: the engine is still starting; calls will fail for a moment */
	struct atl_chat_endpoint endpoint; /* breaker is NULL: set atl_model_breaker() of the loop it runs on */
	int64_t context_size;	   /* of one conversation, in tokens; 0: not told */
	struct atl_price price;
	bool exact_tokens;	   /* atl_models_count_tokens() asks the model's own tokenizer */
};

/* Order: `wanted` (NULL or "": none), the setting default_model, the local engine, the first enabled provider's first model.
 * A wanted model that is not there is ATL_ERR_UPSTREAM_MODEL; a default that is gone is passed over with a log line. A bare
 * name without "/" is looked for among all models (for OpenAI clients). A wanted local file other than the loaded one
 * is UPSTREAM_MODEL with a sentence. NO_MODEL: nothing is configured; the detail says what to do. When the engine is
 * starting this waits up to `wait_ms` for it. */
enum atl_err atl_models_resolve_wait(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				     const char *wanted, unsigned wait_ms, struct atl_model_target *ret,
				     struct atl_errinfo *info) ATL_MUST_USE;
/* As above, waiting up to ATL_MODEL_WAIT_MS. */
#define ATL_MODEL_WAIT_MS 20000
enum atl_err atl_models_resolve(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *wanted,
				struct atl_model_target *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The setting fallback_model, when it is set, can be resolved and is not `failed_id`; else ATL_ERR_NO_MODEL. */
enum atl_err atl_models_fallback(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				 const char *failed_id, struct atl_model_target *ret,
				 struct atl_errinfo *info) ATL_MUST_USE;
/* The id that atl_models_resolve() would choose, without waiting or asking anybody; NULL: none. For `effective_model`. */
const char *atl_models_effective(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				 const char *wanted);

/* The circuit breaker of this target on this loop; NULL for the local engine (its supervisor knows better). */
struct atl_breaker *atl_model_breaker(struct atl_app *app, const struct atl_model_target *target,
				      const struct atl_loop *loop);
/* Tell the interface how a run went: provider state and last_error. Any thread, does not block. */
void atl_model_outcome(struct atl_app *app, const struct atl_model_target *target, enum atl_err err,
		       const struct atl_errinfo *info);

/* Tokens of a plain text: by the engine's tokenizer (cached), else atl_prompt_estimate(). An engine that does not answer
 * leads to the estimate too: counting never fails a chat. */
enum atl_err atl_models_count_tokens(struct atl_app *app, const struct atl_model_target *target, const char *text,
				     int64_t *ret_tokens, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- the list for people ---- */
struct atl_model {
	const char *id, *name, *provider_id, *provider_name; /* provider_id NULL: local */
	bool local, ready;
	int64_t context_size; /* 0: not told */
	const char *price_source; /* atl_price_sources[] */
	int64_t input_micro_usd, output_micro_usd, cached_micro_usd; /* per million tokens; of an unknown price 0 */
};
extern const struct atl_json_desc atl_model_desc;
enum atl_err atl_models_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			     struct atl_model **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;

#endif
