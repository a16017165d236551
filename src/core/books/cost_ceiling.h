/* cost_ceiling.h - how much one request may cost at most, and the refusal of one that is expected to cost more.
 *
 * The lowest counts of: the request's own max_cost, the person's (preference max_cost_micro_usd), the server's (setting
 * max_cost_micro_usd), and what the person's quotas of money leave. A day's ceiling is such a quota. What was begun is stopped
 * by its runner when its cost passes the ceiling; what is there by then is kept and paid.
 *
 * Threads: pool threads (SQL). Only for models that have a price: what has none has no ceiling.
 */
#ifndef ATL_CORE_COST_CEILING_H
#define ATL_CORE_COST_CEILING_H

#include "core/access/identity.h"
#include "core/app.h"

#define ATL_COST_CEILING_NONE INT64_MAX
#define ATL_COST_CEILING_HEADER "X-Max-Cost-Micro-USD"

/* `wanted` 0: the request names none. `estimate` is what it will probably cost. COST: more than a ceiling; QUOTA: more than
 * an allowance leaves, with everything the person is to know. */
enum atl_err atl_cost_ceiling(struct atl_app *app, const struct atl_identity *who, const char *model_id, int64_t estimate,
			      int64_t wanted, int64_t *ret_ceiling, struct atl_errinfo *info) ATL_MUST_USE;
/* The server's; 0: none. */
int64_t atl_cost_server_max(struct atl_app *app);

#endif
