/* picture_suggest.h - what a service suggests for a parameter of its own ("style_preset"), kept for a while. Only src/core.
 *
 * Asking never waits: what is known is given, and when that is nothing or old a thread of the pool asks the service; the
 * event picture_models.changed follows when it has answered something new.
 *
 * Life cycle: atl_picture_suggest_create() .. atl_picture_suggest_destroy(), which stops what is being asked.
 * Threads:    any. Ownership: the given arena.
 * Limits:     ATL_SUGGEST_SERVICES_MAX services with one list each; ATL_SUGGEST_VALUES_MAX values of
 *             ATL_SUGGEST_VALUE_MAX bytes; kept ATL_SUGGEST_KEEP_MS, asked again ATL_SUGGEST_RETRY_MS after a failure.
 */
#ifndef ATL_CORE_PICTURE_SUGGEST_H
#define ATL_CORE_PICTURE_SUGGEST_H

#include "base/json.h"
#include "core/app.h"

#define ATL_SUGGEST_SERVICES_MAX 32
#define ATL_SUGGEST_VALUES_MAX 500
#define ATL_SUGGEST_VALUE_MAX 100
#define ATL_SUGGEST_KEEP_MS (6 * 3600 * 1000ULL)
#define ATL_SUGGEST_RETRY_MS (5 * 60 * 1000ULL)

struct atl_picture_suggest;
enum atl_err atl_picture_suggest_create(struct atl_app *app, struct atl_picture_suggest **ret,
					struct atl_errinfo *info) ATL_MUST_USE;
void atl_picture_suggest_destroy(struct atl_picture_suggest *suggest); /* NULL is allowed */
/* What this provider suggests for its parameter `name`, as far as it is known; count 0: nothing. */
struct atl_strs atl_picture_suggest_get(struct atl_picture_suggest *suggest, struct atl_arena *arena,
					const char *provider_id, const char *name);

#endif
