/* webhook.h - telling other programs that a job has ended: signed requests that are tried until they arrive.
 *
 * Deliveries are rows, written in the transaction of the job's end: one for each enabled webhook of the user, one for
 * the job's own webhook_url. A sender thread keeps at most ATL_WEBHOOK_AT_A_TIME under way; what does not answer 2xx is
 * tried again after 5 s, 30 s, 2 min, 10 min, 1 h and 6 h. Every address passes the outbound guard each time.
 *
 * Signed as standardwebhooks.com says: webhook-id (the delivery's id, the same at each try), webhook-timestamp,
 * webhook-signature "v1,<base64 HMAC-SHA256 of id.timestamp.body>"; the secret is "whsec_<base64 of 32 bytes>". A job's
 * own webhook_url is signed with the secret of the user's first webhook; a user who has none gets a disabled one,
 * without address, whose secret is shown by atl_webhook_list() to nobody: create one to know the secret.
 *
 * Life cycle: atl_webhooks_create() .. atl_webhooks_drain() .. atl_webhooks_destroy().
 * Threads:    blocking: pool threads. Ownership: the given arena.
 * Limits:     the constants below.
 * Adding one: an event name in webhook.c; docs/core.md.
 */
#ifndef ATL_CORE_WEBHOOK_H
#define ATL_CORE_WEBHOOK_H

#include "base/json.h"
#include "core/app.h"
#include "core/job.h"
#include "db/db.h"

#define ATL_WEBHOOK_URL_MAX 2000
#define ATL_WEBHOOK_USER_MAX 20
#define ATL_WEBHOOK_AT_A_TIME 10
#define ATL_WEBHOOK_TIMEOUT_MS 15000

/* Before a job with this webhook_url is accepted: may the address be reached, is there a secret to sign with?
 * INVALID or OUTBOUND, field "webhook_url". */
enum atl_err atl_webhook_prepare(struct atl_app *app, const char *user_id, const char *url,
				 struct atl_errinfo *info) ATL_MUST_USE;

#endif
