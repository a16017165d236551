/* webhook.h - telling other programs that a job has ended: signed requests that are tried until they arrive.
 *
 * Deliveries are rows, written in the transaction of the job's end: one for each enabled webhook of the user, one for
 * the job's own webhook_url. A sender thread keeps at most ATL_WEBHOOK_AT_A_TIME under way; what does not answer 2xx is
 * tried again after 5 s, 30 s, 2 min, 10 min, 1 h and 6 h. Every address passes the outbound guard each time.
 *
 * Signed as standardwebhooks.com says (provider/hook.h); the secret is "whsec_<base64 of 32 bytes>", shown once. A job's
 * own webhook_url is signed with the secret of the user's first webhook, so there must be one (it may be disabled).
 * Events to the user: webhook.changed {id}, and webhook.delivery {id, state} when one is tried and when that has ended.
 * The body is {"type": "job.done" | "job.failed" | "job.cancelled", "timestamp", "data": the job without its request}.
 *
 * Life cycle: atl_webhooks_create() .. atl_webhooks_destroy() (what is under way ends or is sent again later).
 * Threads:    blocking: pool threads. Ownership: the given arena.
 * Limits:     the constants below.
 * Adding one: an event name in webhook.c; docs/core.md.
 */
#ifndef ATL_CORE_WEBHOOK_H
#define ATL_CORE_WEBHOOK_H

#include "base/json.h"
#include "core/app.h"
#include "core/jobs/job.h"
#include "db/db.h"

#define ATL_WEBHOOK_USER_MAX 20
#define ATL_WEBHOOK_AT_A_TIME 10
#define ATL_WEBHOOK_TIMEOUT_MS 15000
#define ATL_WEBHOOK_SECRET_SIZE 56 /* "whsec_", base64 of 32 bytes, NUL */

struct atl_webhook { /* the API's Webhook */
	const char *id, *url;
	bool enabled;
	const char *secret; /* when it was made; else NULL */
	int64_t created_at, updated_at;
};
extern const struct atl_json_desc atl_webhook_desc;

struct atl_webhook_delivery {
	const char *id, *webhook_id /* NULL: of the job's own address */, *job_id, *url, *event;
	const char *state; /* "pending", "delivered", "failed" */
	int64_t attempt, next_at, response_status;
	const char *error_detail; /* NULL */
	int64_t created_at, updated_at;
};
extern const struct atl_json_desc atl_webhook_delivery_desc;

struct atl_webhooks;
enum atl_err atl_webhooks_create(struct atl_app *app, struct atl_webhooks **ret, struct atl_errinfo *info) ATL_MUST_USE;
void atl_webhooks_destroy(struct atl_webhooks *webhooks); /* NULL is allowed */
void atl_webhooks_wake(struct atl_app *app); /* deliveries were written. Any thread */

/* Before a job with this webhook_url is accepted: may the address be reached, is there a secret to sign with?
 * INVALID, OUTBOUND or CONFLICT, field "webhook_url". */
enum atl_err atl_webhook_prepare(struct atl_app *app, const char *user_id, const char *url,
				 struct atl_errinfo *info) ATL_MUST_USE;
/* In the transaction of a job's end: its deliveries; *any is set when there are some. */
enum atl_err atl_webhook_ended_in(struct atl_conn *conn, struct atl_arena *arena, const struct atl_job *job, bool *any,
				  struct atl_errinfo *info) ATL_MUST_USE;

/* ---- what people see and change ---- */
enum atl_err atl_webhook_create(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *url,
				struct atl_webhook *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_webhook_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct atl_webhook **ret,
			      size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* NULL: stays as it is. */
enum atl_err atl_webhook_update(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				const char *url, const bool *enabled, struct atl_webhook *ret,
				struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_webhook_delete(struct atl_app *app, const char *user_id, const char *id,
				struct atl_errinfo *info) ATL_MUST_USE;
/* Newest first; one more than the limit when there is more. */
enum atl_err atl_webhook_deliveries(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				    const char *after_id, int64_t limit, struct atl_webhook_delivery **ret,
				    size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* Sent again from the first try on. */
enum atl_err atl_webhook_redeliver(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				   struct atl_webhook_delivery *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
