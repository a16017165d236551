/* idempotency.h - Idempotency-Key: the same request sent twice gets the first one's answer.
 *
 * begin() reserves the key with the hash of the request; finish() stores the answer, abandon() gives the key back
 * (after an error that may be retried). Kept ATL_IDEMPOTENCY_KEEP_MS. What the request makes is noted under the key in
 * the transaction that makes it (made_in): when the server dies before it answers, a retry finds it and goes on from
 * there instead of making it twice.
 *
 * Threads: pool threads. Limits: ATL_IDEMPOTENCY_KEY_MAX characters, answers up to ATL_IDEMPOTENCY_ANSWER_MAX bytes.
 */
#ifndef ATL_CORE_IDEMPOTENCY_H
#define ATL_CORE_IDEMPOTENCY_H

#include "base/arena.h"
#include "core/app.h"
#include "db/db.h"

#define ATL_IDEMPOTENCY_KEY_MAX 128
#define ATL_IDEMPOTENCY_KEEP_MS (24 * 3600 * 1000LL)
#define ATL_IDEMPOTENCY_PENDING_MS (2 * 60 * 1000LL) /* a reservation without answer is given up after this */
#define ATL_IDEMPOTENCY_ANSWER_MAX ((size_t)4 << 20)

struct atl_idempotent {
	bool replay; /* answer with status and response; nothing else is to be done */
	int status;
	const char *response;
	const char *made_id; /* not replay: an earlier try made this and was cut off; NULL: nothing was made */
};
/* INVALID: the key is malformed. UNPROCESSABLE: the key was used for another request. CONFLICT: that request is still
 * being worked on. `what`: method, path and body are hashed together. */
enum atl_err atl_idempotency_begin(struct atl_app *app, const char *user_id, const char *key, const char *method,
				   const char *path, const char *body, size_t body_length, struct atl_arena *arena,
				   struct atl_idempotent *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_idempotency_finish(struct atl_app *app, const char *user_id, const char *key, int status,
				    const char *response, struct atl_errinfo *info) ATL_MUST_USE;
/* In the transaction that inserts `id`. NULL key: nothing to do. Only the first id of a request is kept. */
enum atl_err atl_idempotency_made_in(struct atl_conn *conn, const char *user_id, const char *key, const char *id,
				     struct atl_errinfo *info) ATL_MUST_USE;
/* At start: the requests that held keys died with the last server. */
enum atl_err atl_idempotency_recover(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;
void atl_idempotency_abandon(struct atl_app *app, const char *user_id, const char *key);
enum atl_err atl_idempotency_purge(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;

#endif
