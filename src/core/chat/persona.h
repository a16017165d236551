/* persona.h - what a user tells characters about themselves; one is the default, one is active per conversation.
 *
 * Threads: blocking (SQL): pool threads. Ownership: the given arena. Limits: the constants below.
 */
#ifndef ATL_CORE_PERSONA_H
#define ATL_CORE_PERSONA_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "db/db.h"

#define ATL_PERSONA_NAME_MAX 100
#define ATL_PERSONA_DESCRIPTION_MAX 20000
#define ATL_PERSONAS_MAX 500

struct atl_persona {
	const char *id, *user_id, *name, *description;
	bool is_default;
	int64_t version, created_at, updated_at;
};
extern const struct atl_json_desc atl_persona_desc;

/* NULL members stay as they are. */
struct atl_persona_change {
	const char *name, *description;
	const bool *is_default; /* true takes the mark from the others */
	int64_t wanted_version;
};

/* `id` NULL: the user's default; ATL_ERR_NOT_FOUND when there is none (the caller then uses the user's name). */
enum atl_err atl_persona_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
				struct atl_persona *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_persona_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			     struct atl_persona *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_persona_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			      struct atl_persona **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* id NULL: a new one. Passes the policy (entry point `persona`); publishes persona.changed. */
enum atl_err atl_persona_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			      const char *id, const struct atl_persona_change *change, struct atl_persona *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_persona_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_persona_restore(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				 const char *id, struct atl_persona *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
