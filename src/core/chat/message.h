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
#include "core/access/identity.h"
#include "core/app.h"
#include "core/chat/conversation.h"
#include "db/db.h"

#define ATL_MESSAGE_BYTES_MAX ((size_t)512 << 10)
#define ATL_CONVERSATION_MESSAGES_MAX 200000
#define ATL_MESSAGE_PAGE_MAX 200

struct atl_message_error {
	const char *slug, *detail;
};

/* status: complete | streaming | stopped | interrupted | failed */
struct atl_message {
	const char *id, *conversation_id, *user_id, *parent_id; /* parent NULL: a root */
	const char *role;					  /* user | assistant | system */
	const char *content, *reasoning, *status;
	const struct atl_message_error *error; /* NULL unless failed */
	const char *model, *finish_reason;     /* NULL */
	int64_t prompt_tokens, completion_tokens, duration_ms;
	double tokens_per_second; /* derived; 0: not known */
	struct atl_strs siblings; /* ids in order, itself included; empty when not asked for */
	int64_t stream_seq;	  /* of a running reply: the deltas that content and reasoning include */
	int64_t created_at, updated_at;
};
extern const struct atl_json_desc atl_message_desc;

/* ---- reading ---- */
enum atl_err atl_message_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
				struct atl_message *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* As above, with siblings, and with the live text when a reply is running (core/chat/generation.h). */
enum atl_err atl_message_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			     struct atl_message *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The `limit` messages of the active path that end at the head, or just above `before_id`; oldest first. */
enum atl_err atl_message_page(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			      const char *conversation_id, const char *before_id, int64_t limit,
			      struct atl_message **ret, size_t *ret_count, bool *ret_more,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* What was sent for this reply, as JSON text; NOT_FOUND when nothing was. */
enum atl_err atl_message_prompt(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				const char **ret_json, struct atl_errinfo *info) ATL_MUST_USE;
/* Walk from `from_id` up to the root, newest first: fn returns false to stop. `from_id` is included. */
enum atl_err atl_message_walk_up_in(struct atl_conn *conn, const char *conversation_id, const char *from_id,
				    int64_t limit, bool (*fn)(void *arg, struct atl_rows *rows), void *arg,
				    struct atl_errinfo *info) ATL_MUST_USE;
/* Columns of the rows that fn sees above. */
enum { ATL_WALK_ID, ATL_WALK_ROLE, ATL_WALK_CONTENT, ATL_WALK_STATUS, ATL_WALK_CREATED_AT, ATL_WALK_MODEL };

/* ---- changing; each publishes its events ---- */
/* Passes the policy (entry points `message`, `edit`). parent_id NULL: the head. */
enum atl_err atl_message_add(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			     const char *conversation_id, const char *parent_id, const char *content,
			     struct atl_message *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* A sibling with the new text, or (in_place) the text itself. CONFLICT while it is being written. */
enum atl_err atl_message_edit(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			      const char *id, const char *content, bool in_place, struct atl_message *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* Make this message's branch the active one, down to its last active leaf. */
enum atl_err atl_message_select(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				const char *id, struct atl_conversation *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The message and everything below, softly. */
enum atl_err atl_message_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_message_restore(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				 const char *id, struct atl_message *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* A new conversation with a copy of the path from the root to this message. */
enum atl_err atl_message_fork(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			      const char *id, struct atl_conversation *ret, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- for generation, import and conversation ---- */
/* Insert below `parent_id` (NULL: a root), make it the head and the parent's active child, bump the conversation.
 * message->id is filled in by the caller (atl_id_new "msg"). CONFLICT: the conversation is full. */
enum atl_err atl_message_insert_in(struct atl_conn *conn, const struct atl_message *message,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* The row alone: neither head nor counts change (imports set them once at the end). */
enum atl_err atl_message_insert_row_in(struct atl_conn *conn, const struct atl_message *message,
				       struct atl_errinfo *info) ATL_MUST_USE;
/* The text and state of a running or ended reply; prompt_json NULL: unchanged. */
enum atl_err atl_message_update_in(struct atl_conn *conn, const struct atl_message *message, const char *prompt_json,
				   struct atl_errinfo *info) ATL_MUST_USE;
/* At start: replies that were running when the server died become `interrupted`. */
enum atl_err atl_message_interrupt_all(struct atl_db *db, int64_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* Events message.created / message.updated, after the commit. */
void atl_message_publish(struct atl_app *app, const char *event, const struct atl_message *message);

#endif
