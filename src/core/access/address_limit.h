/* address_limit.h - how often somebody without an account may do a thing from one address in an hour.
 *
 * Counted in the database, so that all servers on it count together; under a keyed hash, so that no address is kept.
 * IPv6 counts by its /64.
 *
 * Threads: blocking: pool threads. Limits: rows older than two hours go with atl_address_limit_purge_in().
 */
#ifndef ATL_CORE_ADDRESS_LIMIT_H
#define ATL_CORE_ADDRESS_LIMIT_H

#include "core/app.h"
#include "db/db.h"

/* Counts the try. THROTTLED with retry_after_s when there were `most` in this hour. `what`: "report". */
enum atl_err atl_address_limit(struct atl_app *app, const char *what, const char *remote, int64_t most,
			       struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_address_limit_purge_in(struct atl_conn *conn, int64_t now_ms, struct atl_errinfo *info) ATL_MUST_USE;

#endif
