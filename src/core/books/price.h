/* price.h - what a model's tokens cost, and what a picture model's unit costs where the operator says so.
 *
 * In this order: the operator's own price (table model_prices), what the service tells in its list of models
 * (provider.h), the built-in table (share/models/prices.json, with the day it was read). The local engine is free. A model
 * that stands nowhere has no price: `source` is ATL_PRICE_UNKNOWN, and nothing is charged or estimated.
 *
 * Amounts are micro-USD: per million tokens here, whole ones in the ledger, where a request is rounded up once.
 *
 * Life cycle: atl_prices_create() (reads all) .. atl_prices_destroy().
 * Threads:    find, cost, expected and learned: any, they take a lock for the length of a look-up; set and list: pool threads.
 * Limits:     ATL_PRICES_MAX prices of the operator; ATL_PRICE_MICRO_USD_MAX each.
 * Adding one: a line in share/models/prices.json.
 */
#ifndef ATL_CORE_PRICE_H
#define ATL_CORE_PRICE_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_PRICES_MAX 5000
#define ATL_PRICE_MICRO_USD_MAX 10000000000LL /* 10,000 dollars */
#define ATL_PRICE_REPLY_TOKENS 300	      /* expected of a model that has not answered yet */

enum atl_price_source { ATL_PRICE_UNKNOWN, ATL_PRICE_LOCAL, ATL_PRICE_OPERATOR, ATL_PRICE_SERVICE, ATL_PRICE_BUILT_IN };
extern const char *const atl_price_sources[]; /* "unknown", "local", "operator", "service", "built_in", NULL */

struct atl_price { /* a value */
	enum atl_price_source source;
	int64_t input_micro_usd, output_micro_usd, cached_micro_usd; /* per million tokens */
};

enum atl_err atl_prices_create(struct atl_app *app, struct atl_prices **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_prices_destroy(struct atl_prices *prices); /* NULL is allowed */

/* `listed` is what the service tells (source SERVICE), or NULL; preset "" and name: for the built-in table. `prices` NULL:
 * only `listed`. */
struct atl_price atl_price_find(struct atl_prices *prices, const char *model_id, const char *preset, const char *name,
				const struct atl_price *listed);
/* Of one request, rounded up; 0 where there is no price. Counts below 0 are 0; cached ones are among the prompt's. */
int64_t atl_price_cost(const struct atl_price *price, int64_t prompt_tokens, int64_t cached_tokens, int64_t completion_tokens);
static inline bool atl_price_costs(const struct atl_price *price)
{
	return price->input_micro_usd > 0 || price->output_micro_usd > 0;
}

/* How long this model's replies are, by those it gave since the start; `max_tokens` 0: no bound. */
int64_t atl_price_expected(struct atl_prices *prices, const char *model_id, int64_t max_tokens);
void atl_price_learned(struct atl_prices *prices, const char *model_id, int64_t completion_tokens);

/* ---- the operator's own (quotas.manage) ---- */

struct atl_own_price {
	const char *model;
	int64_t input_micro_usd, output_micro_usd, cached_micro_usd; /* -1: none */
	const char *unit; /* of a picture or film: "image", "megapixel", "second"; NULL: none */
	int64_t unit_micro_usd;
	int64_t updated_at;
};
extern const char *const atl_price_units[]; /* NULL-terminated */
/* The price of this picture model's unit as the operator set it; false: not set. *ret_unit is static. */
bool atl_price_unit_find(struct atl_prices *prices, const char *model_id, const char **ret_unit, int64_t *ret_micro_usd);
/* Sorted by model; in the arena. */
enum atl_err atl_own_price_list(struct atl_app *app, struct atl_arena *arena, struct atl_own_price **ret, size_t *ret_count,
				struct atl_errinfo *info) ATL_MUST_USE;
/* Without tokens and unit the operator's price is taken away. The audit log says from what to what. INVALID, CONFLICT (too many). */
enum atl_err atl_own_price_set(struct atl_app *app, const struct atl_identity *who, const char *remote,
			       const struct atl_own_price *price, struct atl_errinfo *info) ATL_MUST_USE;

#endif
