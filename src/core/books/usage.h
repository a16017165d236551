/* usage.h - what was used: one row per request, answered or failed, for the numbers of pages and reports.
 *
 * Recording never blocks and never fails the request it speaks of: rows wait in memory and are written together in one
 * transaction, at most ATL_USAGE_FLUSH_MS after the first of them. An orderly stop writes all of them; a crash loses
 * what waited. A user deleted meanwhile takes the rows along.
 *
 * Life cycle: atl_usage_create() .. atl_usage_destroy() (writes what is left; before atl_db_close()).
 * Threads:    atl_usage_record() any; flush, list, sum: pool threads (SQL).
 * Limits:     ATL_USAGE_BATCH rows a transaction; ATL_USAGE_WAITING_MAX rows waiting (more are dropped and counted).
 */
#ifndef ATL_CORE_USAGE_H
#define ATL_CORE_USAGE_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "core/safety/policy.h"

#define ATL_USAGE_FLUSH_MS 500
#define ATL_USAGE_BATCH 500
#define ATL_USAGE_WAITING_MAX 200000
#define ATL_USAGE_MODEL_MAX 300

struct atl_usage;
enum atl_err atl_usage_create(struct atl_app *app, struct atl_usage **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_usage_destroy(struct atl_usage *usage); /* NULL is allowed */

/* `usage` NULL: nothing happens. Tokens that were not told count as 0. */
void atl_usage_record(struct atl_usage *usage, const struct atl_identity *who, enum atl_entry_point entry,
		      const char *model, int64_t prompt_tokens, int64_t completion_tokens, int64_t duration_ms);
/* As above, for what was reserved in the ledger as `ref` and is settled with these tokens; "": it is settled already.
 * atl_usage_record() itself charges the ledger with a message and its tokens. */
void atl_usage_record_reserved(struct atl_usage *usage, const struct atl_identity *who, enum atl_entry_point entry,
			       const char *model, int64_t prompt_tokens, int64_t completion_tokens, int64_t duration_ms,
			       const char *ref);
/* The whole row. */
struct atl_usage_entry {
	const struct atl_identity *who;
	enum atl_entry_point entry;
	const char *model;
	int64_t prompt_tokens, completion_tokens, cached_tokens;
	int64_t duration_ms, first_ms;		   /* first_ms 0: not known */
	int64_t cost_micro_usd, estimate_micro_usd; /* estimate -1: none was made */
	const char *ref;   /* NULL: charge the ledger; "": it is booked already; else: settle this reservation */
	const char *error; /* slug: it failed, and nothing is booked but a refund of `ref`; NULL: it was answered */
};
void atl_usage_enter(struct atl_usage *usage, const struct atl_usage_entry *entry);
/* One message of this person's allowance, at hand or (in the pool) from the ledger; it ends as `ref` by one of the above.
 * core/books/allowance.h. False: it is not at hand. */
bool atl_usage_allowed(struct atl_usage *usage, const struct atl_identity *who, const char *model, char ret_ref[ATL_ID_SIZE]);
enum atl_err atl_usage_allow(struct atl_usage *usage, const struct atl_identity *who, const char *model,
			     char ret_ref[ATL_ID_SIZE], struct atl_errinfo *info) ATL_MUST_USE;
void atl_usage_refund(struct atl_usage *usage, const char *ref); /* "": nothing was reserved */
/* Write what waits now and return when it is durable. */
enum atl_err atl_usage_flush(struct atl_usage *usage, struct atl_errinfo *info) ATL_MUST_USE;
uint64_t atl_usage_dropped(struct atl_usage *usage); /* rows lost because too many waited or the database refused them */

struct atl_usage_row {
	const char *id, *entry_point, *model, *api_key_id; /* api_key_id NULL: the page */
	int64_t prompt_tokens, completion_tokens, duration_ms, created_at;
};
/* Newest first, those before `before_id` (NULL: from the newest), at most `limit`. */
enum atl_err atl_usage_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *before_id,
			    int64_t limit, struct atl_usage_row **ret, size_t *ret_count,
			    struct atl_errinfo *info) ATL_MUST_USE;
struct atl_usage_sum {
	int64_t requests, prompt_tokens, completion_tokens;
};
/* Of one user, created_at in [from_ms, to_ms). */
enum atl_err atl_usage_sum(struct atl_app *app, const char *user_id, int64_t from_ms, int64_t to_ms,
			   struct atl_usage_sum *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
