/* wildcard.h - lists of words behind __name__ in prompts, one's own.
 *
 * Threads: blocking (SQL): pool threads. Ownership: the given arena. Limits: the constants.
 */
#ifndef ATL_CORE_WILDCARD_H
#define ATL_CORE_WILDCARD_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_WILDCARDS_MAX 500 /* of a user */
#define ATL_WILDCARD_BYTES_MAX ((size_t)256 << 10)

struct atl_wildcard { /* the API's Wildcard */
	const char *id, *name;
	const char *entries; /* one a line */
	int64_t created_at, updated_at;
};
extern const struct atl_json_desc atl_wildcard_desc;

enum atl_err atl_wildcard_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			       struct atl_wildcard **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* Makes the one of this name, or replaces its lines. INVALID: the name (letters, digits, - _ / . and blanks), too long;
 * POLICY; CONFLICT: too many. */
enum atl_err atl_wildcard_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			       const char *name, const char *entries, struct atl_wildcard *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_wildcard_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				 struct atl_errinfo *info) ATL_MUST_USE;
/* The lines of one; NOT_FOUND. */
enum atl_err atl_wildcard_lines(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *name,
				const char **ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
