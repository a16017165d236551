/* group.h - groups of people, made by whoever manages people; quotas can be given to one (core/books/quota.h).
 *
 * Threads: pool threads. Limits: ATL_GROUPS_MAX groups, ATL_GROUP_NAME_MAX characters of name.
 */
#ifndef ATL_CORE_GROUP_H
#define ATL_CORE_GROUP_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_GROUPS_MAX 200
#define ATL_GROUP_NAME_MAX 60

struct atl_group {
	const char *id, *name;
	int64_t users, created_at, updated_at; /* users: how many are in it */
};
extern const struct atl_json_desc atl_group_desc;

/* Oldest first. */
enum atl_err atl_group_list(struct atl_app *app, struct atl_arena *arena, struct atl_group **ret, size_t *ret_count,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* id NULL: a new one. INVALID, CONFLICT (the name is taken; too many), NOT_FOUND. */
enum atl_err atl_group_save(struct atl_app *app, const struct atl_identity *who, const char *id, const char *name,
			    struct atl_arena *arena, struct atl_group *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Its people stay. */
enum atl_err atl_group_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
			      struct atl_errinfo *info) ATL_MUST_USE;

#endif
