/* server_state.h - how large what the server keeps is. Threads: pool threads. Adding a number: a member, its SQL. */
#ifndef ATL_CORE_SERVER_STATE_H
#define ATL_CORE_SERVER_STATE_H

#include "core/app.h"
#include "db/db.h"

struct atl_server_sizes {
	int64_t database_bytes, blob_count, blob_bytes;
};
enum atl_err atl_server_sizes(struct atl_app *app, struct atl_server_sizes *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
