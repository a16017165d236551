/* conversation.h - conversations: title, character, persona, model, sampling; pin, archive, folders, delete with undo.
 *
 * Threads:    blocking (SQL): pool threads. The *_in functions run inside a transaction of the caller.
 * Ownership:  everything returned lives in the given arena.
 * Limits:     ATL_TITLE_MAX, ATL_CONVERSATIONS_MAX per user.
 */
#ifndef ATL_CORE_CONVERSATION_H
#define ATL_CORE_CONVERSATION_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "core/chat/character.h"
#include "db/db.h"

#define ATL_TITLE_MAX 200
#define ATL_TITLE_AUTO 60 /* characters of the first message that become the title */
#define ATL_CONVERSATIONS_MAX 200000

struct atl_conversation {
	const char *id, *user_id;
	const char *character_id, *persona_id, *folder_id; /* NULL */
	const struct atl_character *character;		    /* summary; NULL: none, or deleted */
	const char *title;
	bool title_set;	       /* by a person; otherwise made from the first message */
	const char *model;     /* NULL: the character's or the default */
	const char *effective_model; /* what would answer now; NULL: nothing. See atl_conversation_effective() */
	const char *sampling_json;
	const char *head_id; /* NULL: empty */
	int64_t message_count, version, created_at, updated_at, active_at, pinned_at, archived_at;
};
extern const struct atl_json_desc atl_conversation_desc;

/* A field that may be set to nothing: `set` says that it was named. */
struct atl_optional_text {
	bool set;
	const char *value; /* NULL: nothing */
};
struct atl_conversation_change {
	const char *title; /* NULL: as it is */
	const bool *pinned, *archived;
	struct atl_optional_text character_id, persona_id, folder_id, model;
	const struct atl_json *sampling;
	int64_t wanted_version;
};

/* The character's greeting becomes the first message, its alternate greetings are siblings of it.
 * Publishes conversation.created. INVALID when a named thing is not there. */
enum atl_err atl_conversation_create(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const struct atl_conversation_change *change, struct atl_conversation *ret,
				     struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_conversation_update(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const char *id, const struct atl_conversation_change *change,
				     struct atl_conversation *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_conversation_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				     struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_conversation_restore(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				      const char *id, struct atl_conversation *ret, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_conversation_query {
	const char *text;			 /* in the title; NULL: all */
	const char *character_id, *folder_id;	 /* NULL: all */
	bool archived;
	bool pinned_only;
	int64_t after_key; /* sort key of the last one seen: atl_conversation_sort_key() */
	const char *after_id;
	int64_t limit;
};
/* Pinned ones first, then the newest active. At most limit + 1 items. */
enum atl_err atl_conversation_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				   const struct atl_conversation_query *query, struct atl_conversation **ret,
				   size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
int64_t atl_conversation_sort_key(const struct atl_conversation *conversation);

enum atl_err atl_conversation_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id,
				     const char *id, struct atl_conversation *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_conversation_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				  struct atl_conversation *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* A bare row, for imports and forks: id, user_id, title... are the caller's. No event. */
enum atl_err atl_conversation_insert_in(struct atl_conn *conn, const struct atl_conversation *conversation,
					struct atl_errinfo *info) ATL_MUST_USE;
/* Fill in effective_model; pool threads, outside transactions. The functions above that take `app` do it themselves. */
void atl_conversation_effective(struct atl_app *app, struct atl_arena *arena, struct atl_conversation *items, size_t count);
/* Event with the current row, after the commit. Reads the database: pool threads. */
void atl_conversation_publish(struct atl_app *app, const char *event, const char *user_id, const char *id);

#endif
