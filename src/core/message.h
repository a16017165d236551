/* message.h - messages: a tree per conversation, whose active path is what people see.
 *
 * A message's siblings are the messages with the same parent (all roots are siblings). conversation.head_id is the
 * leaf of the active path; every message remembers its active child, so that swiping back returns to where one was.
 *
 * Threads:    blocking (SQL): pool threads, except where the generation's checkpoints go through atl_db_tx_async().
 *             The *_in functions run inside a transaction of the caller.
 * Ownership:  everything returned lives in the given arena.
 * Limits:     ATL_MESSAGE_BYTES_MAX a message, ATL_CONVERSATION_MESSAGES_MAX a conversation.
 */
#ifndef ATL_CORE_MESSAGE_H
#define ATL_CORE_MESSAGE_H

#include "base/json.h"
#include "core/identity.h"
#include "db/db.h"

#define ATL_MESSAGE_BYTES_MAX ((size_t)512 << 10)
#define ATL_CONVERSATION_MESSAGES_MAX 200000

struct atl_app;

/* status: complete | streaming | stopped | interrupted | failed */
struct atl_message {
	const char *id, *conversation_id, *user_id, *parent_id; /* parent NULL: a root */
	const char *role;					  /* user | assistant | system */
	const char *content, *reasoning, *status;
	const char *error_slug, *error_detail; /* NULL unless failed */
	const char *model, *finish_reason;     /* NULL */
	int64_t prompt_tokens, completion_tokens, duration_ms;
	struct atl_strs siblings; /* ids in order, itself included; empty when not asked for */
	int64_t stream_seq;	  /* of a running reply: the deltas that content and reasoning include */
	int64_t created_at, updated_at;
};

enum atl_err atl_message_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
				struct atl_message *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* As above, with siblings, and with the live text when a reply is running (core/generation.h). */
enum atl_err atl_message_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			     struct atl_message *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* Walk from `from_id` (NULL: the head) up to the root, newest first, in pages: fn returns false to stop. `from_id`
 * itself is included. Content and role are filled, siblings are not. */
enum atl_err atl_message_walk_up_in(struct atl_conn *conn, const char *conversation_id, const char *from_id,
				    bool (*fn)(void *arg, struct atl_rows *rows), void *arg,
				    struct atl_errinfo *info) ATL_MUST_USE;
/* Columns of the rows that fn sees above. */
enum { ATL_WALK_ID, ATL_WALK_ROLE, ATL_WALK_CONTENT, ATL_WALK_STATUS };

/* Insert below `parent_id` (NULL: a root), make it the head and the parent's active child, bump the conversation.
 * message->id is filled in by the caller (atl_id_new "msg"). CONFLICT: the conversation is full. */
enum atl_err atl_message_insert_in(struct atl_conn *conn, const struct atl_message *message,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* The text and state of a running or ended reply; prompt_json (may be NULL: unchanged) is "what was sent". */
enum atl_err atl_message_update_in(struct atl_conn *conn, const struct atl_message *message, const char *prompt_json,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* At start: replies that were running when the server died become `interrupted`; their ids' count is returned. */
enum atl_err atl_message_interrupt_all(struct atl_db *db, int64_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;

void atl_message_write(struct atl_jw *w, const char *key, const struct atl_message *message); /* "Message" of the API */
/* Events message.created / message.updated, after the commit. */
void atl_message_publish(struct atl_app *app, const char *event, const struct atl_message *message);

#endif
