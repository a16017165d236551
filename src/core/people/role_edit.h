/* role_edit.h - the roles an operator makes: list, create, change, delete.
 *
 * A role holds a set of permissions by name, beside what everybody signed in may. Nobody can make or change a role that may
 * more than they do. What a role may use (rights.h) can be changed for built-in roles too. A change reaches everybody who has the role before it returns; one that somebody has cannot go.
 *
 * Threads: pool threads. Limits: ATL_ROLES_MAX roles.
 */
#ifndef ATL_CORE_ROLE_EDIT_H
#define ATL_CORE_ROLE_EDIT_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_ROLES_MAX 100

struct atl_role_entry {
	const char *id, *name;
	struct atl_strs permissions;
	struct atl_strs models, providers, features_off; /* rights.h; empty: no limit */
	int64_t storage_bytes; /* 0: no cap */
	bool built_in, mature; /* mature: has mature content, where the server allows any */
	int64_t users, created_at, updated_at; /* users: how many have it; times: 0 for built-in ones */
};
extern const struct atl_json_desc atl_role_entry_desc;

/* Built-in ones first, then by time. */
enum atl_err atl_role_list(struct atl_app *app, struct atl_arena *arena, struct atl_role_entry **ret, size_t *ret_count,
			   struct atl_errinfo *info) ATL_MUST_USE;
/* INVALID (name, an unknown permission), FORBIDDEN (more than `who` may), CONFLICT (the name is taken). */
enum atl_err atl_role_create(struct atl_app *app, const struct atl_identity *who, const char *name,
			     const struct atl_strs *permissions, struct atl_arena *arena, struct atl_role_entry *ret,
			     struct atl_errinfo *info) ATL_MUST_USE;
/* NULL: as it is. NOT_FOUND also for a built-in one. */
enum atl_err atl_role_update(struct atl_app *app, const struct atl_identity *who, const char *id, const char *name,
			     const struct atl_strs *permissions, struct atl_arena *arena, struct atl_role_entry *ret,
			     struct atl_errinfo *info) ATL_MUST_USE;
/* What a role may use (core/people/rights.h); NULL members stay as they are. */
struct atl_role_change {
	const struct atl_strs *models, *providers, *features_off;
	const int64_t *storage_bytes;
	const bool *mature;
};
/* Also for a built-in role, but owners have no limits besides `mature`. Mature content is given only by somebody who has it
 * themselves; the rest only by somebody without limits. NOT_FOUND, FORBIDDEN, INVALID (an unknown feature, a pattern). */
enum atl_err atl_role_set_rights(struct atl_app *app, const struct atl_identity *who, const char *id,
				 const struct atl_role_change *change, struct atl_errinfo *info) ATL_MUST_USE;
/* As atl_role_list() has it; also a built-in one. NOT_FOUND. */
enum atl_err atl_role_entry_get(struct atl_app *app, const char *id, struct atl_arena *arena, struct atl_role_entry *ret,
				struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_role_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
			     struct atl_errinfo *info) ATL_MUST_USE;

#endif
