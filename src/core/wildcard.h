/* wildcard.h - lists of words behind __name__ in prompts, one's own.
 *
 * Threads: blocking (SQL): pool threads. Ownership: the given arena. Limits: the constants.
 */
#ifndef ATL_CORE_WILDCARD_H
#define ATL_CORE_WILDCARD_H

#include "base/json.h"
#include "core/app.h"
#include "core/identity.h"

#define ATL_WILDCARDS_MAX 500 /* of a user */
#define ATL_WILDCARD_BYTES_MAX ((size_t)256 << 10)

struct atl_wildcard { /* the API's Wildcard */
	const char *id, *name;
	const char *entries; /* one a line */
	int64_t created_at, updated_at;
};
extern const struct atl_json_desc atl_wildcard_desc;

/* The lines of one; NOT_FOUND. */
enum atl_err atl_wildcard_lines(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *name,
				const char **ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
