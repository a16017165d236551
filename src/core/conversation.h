/* conversation.h - conversations: title, character, persona, model, sampling; pin, archive, folders, delete with undo.
 *
 * Threads:    blocking (SQL): pool threads. The *_in functions run inside a transaction of the caller.
 * Ownership:  everything returned lives in the given arena.
 */
#ifndef ATL_CORE_CONVERSATION_H
#define ATL_CORE_CONVERSATION_H

#include "base/json.h"
#include "core/identity.h"
#include "db/db.h"

struct atl_app;

struct atl_conversation {
	const char *id, *user_id;
	const char *character_id, *persona_id, *folder_id; /* NULL */
	const char *title;
	bool title_set; /* by a person; otherwise made from the first message */
	const char *model; /* NULL: the character's or the default */
	const char *sampling_json;
	const char *head_id; /* NULL: empty */
	int64_t message_count, version, created_at, updated_at, active_at, pinned_at, archived_at;
};

enum atl_err atl_conversation_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id,
				     const char *id, struct atl_conversation *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_conversation_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				  struct atl_conversation *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Event conversation.updated with the current row, after the commit. Reads the database: pool threads. */
void atl_conversation_publish(struct atl_app *app, const char *event, const char *user_id, const char *id);

#endif
