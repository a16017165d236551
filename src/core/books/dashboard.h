/* dashboard.h - how the server is used, for those who run it: requests, failures with causes, cost, estimates and latency.
 *
 * Made from usage_records (chat, on the page and under /v1) and jobs (pictures and films) of a span of time. Latency is of what
 * succeeded, from the start of the work to its end. The books themselves are the ledger (quota.h, atl_usage_lines()).
 *
 * Threads: pool threads (SQL). Ownership: the given arena. Limits: ATL_DASHBOARD_LINES_MAX lines; days are in UTC.
 */
#ifndef ATL_CORE_DASHBOARD_H
#define ATL_CORE_DASHBOARD_H

#include "base/json.h"
#include "core/app.h"

#define ATL_DASHBOARD_LINES_MAX 2000

enum atl_dashboard_by { ATL_DASHBOARD_TOTAL, ATL_DASHBOARD_DAY, ATL_DASHBOARD_MODEL, ATL_DASHBOARD_PROVIDER, ATL_DASHBOARD_USER };
extern const char *const atl_dashboard_bys[]; /* NULL-terminated */

struct atl_dashboard_line {
	const char *key;  /* day, model, provider's id ("local": this computer; "": another), user; "" of the total */
	const char *name; /* of the user or provider; "" */
	int64_t requests, failed, active_users, pictures;
	int64_t cost_micro_usd;
	/* of what was estimated before and succeeded: the drift is the difference */
	int64_t estimated_micro_usd, estimated_cost_micro_usd;
	int64_t p50_ms, p95_ms; /* 0: nothing succeeded */
};
extern const struct atl_json_desc atl_dashboard_desc;
/* Created or ended in [from_ms, to_ms). Days in order; the others by what was asked most. */
enum atl_err atl_dashboard(struct atl_app *app, struct atl_arena *arena, enum atl_dashboard_by by, int64_t from_ms, int64_t to_ms,
			   struct atl_dashboard_line **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_dashboard_failure {
	const char *error, *model, *sentence;
	int64_t count, users, last_at;
};
extern const struct atl_json_desc atl_dashboard_failure_desc;
/* The most frequent first; at most 200. */
enum atl_err atl_dashboard_failures(struct atl_app *app, struct atl_arena *arena, int64_t from_ms, int64_t to_ms,
				    struct atl_dashboard_failure **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;

/* What everybody keeps now: a gauge, not a flow, so it is measured and not booked. The largest first. */
struct atl_dashboard_storage {
	const char *user_id, *user_name; /* name "": the account is gone */
	int64_t files, bytes;
};
extern const struct atl_json_desc atl_dashboard_storage_desc;
/* user_id NULL: everybody's lines; else one line of theirs, also when they keep nothing. */
enum atl_err atl_dashboard_storage(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				   struct atl_dashboard_storage **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;

#endif
