/* persona.h - what a user tells characters about themselves; one is the default, one is active per conversation.
 *
 * Threads: blocking (SQL): pool threads. Ownership: the given arena.
 */
#ifndef ATL_CORE_PERSONA_H
#define ATL_CORE_PERSONA_H

#include "base/json.h"
#include "core/identity.h"
#include "db/db.h"

struct atl_app;

struct atl_persona {
	const char *id, *user_id, *name, *description;
	bool is_default;
	int64_t version, created_at, updated_at;
};

/* `id` NULL: the user's default; ATL_ERR_NOT_FOUND when there is none (the caller then uses the user's name). */
enum atl_err atl_persona_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
				struct atl_persona *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
