/* message_row.c - rows of the message tree: columns, reading, inserting, the live reply's updates. See message.h. */
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/books/ledger.h"
#include "core/chat/generation.h"
#include "core/chat/message.h"
#include "core/chat/message_int.h"
#include "core/server/publish.h"

#define OFF(member) offsetof(struct atl_message, member)

static const char *const ROLES[] = {"user", "assistant", "system", NULL};
static const char *const STATUSES[] = {"complete", "streaming", "stopped", "interrupted", "failed", NULL};

static const struct atl_json_field ERROR_FIELDS[] = {
	{"slug", ATL_JT_STR, offsetof(struct atl_message_error, slug), ATL_JF_REQUIRED},
	{"detail", ATL_JT_STR, offsetof(struct atl_message_error, detail), ATL_JF_REQUIRED},
};
static const struct atl_json_desc ERROR_DESC = {"MessageError",
						"Why a reply failed.",
						ERROR_FIELDS,
						ATL_COUNT(ERROR_FIELDS),
						sizeof(struct atl_message_error),
						ATL_JSON_NO_PRESENT,
						false};
static const struct atl_json_field FIELDS[] = {
	{"id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED},
	{"conversation_id", ATL_JT_STR, OFF(conversation_id), ATL_JF_REQUIRED},
	{"parent_id", ATL_JT_STR, OFF(parent_id), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"role", ATL_JT_ENUM, OFF(role), ATL_JF_REQUIRED, .values = ROLES},
	{"content", ATL_JT_STR, OFF(content), ATL_JF_REQUIRED},
	{"reasoning", ATL_JT_STR, OFF(reasoning), ATL_JF_REQUIRED, .doc = "the model's thinking, apart from the answer"},
	{"status", ATL_JT_ENUM, OFF(status), ATL_JF_REQUIRED, .values = STATUSES},
	{"error", ATL_JT_OBJ, OFF(error), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .sub = &ERROR_DESC},
	{"model", ATL_JT_STR, OFF(model), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"finish_reason", ATL_JT_STR, OFF(finish_reason), ATL_JF_REQUIRED | ATL_JF_NULLABLE},
	{"prompt_tokens", ATL_JT_INT, OFF(prompt_tokens), ATL_JF_REQUIRED},
	{"completion_tokens", ATL_JT_INT, OFF(completion_tokens), ATL_JF_REQUIRED},
	{"duration_ms", ATL_JT_INT, OFF(duration_ms), ATL_JF_REQUIRED},
	{"tokens_per_second", ATL_JT_NUM, OFF(tokens_per_second), ATL_JF_REQUIRED, .doc = "0: not known"},
	{"siblings", ATL_JT_STRS, OFF(siblings), ATL_JF_REQUIRED, .doc = "ids in order, itself included"},
	{"stream_seq", ATL_JT_INT, OFF(stream_seq), ATL_JF_REQUIRED, .doc = "the deltas that the text includes"},
	{"created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED},
	{"updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED},
};
const struct atl_json_desc atl_message_desc = {
	"Message", "A message of a conversation.", FIELDS, ATL_COUNT(FIELDS), sizeof(struct atl_message),
	ATL_JSON_NO_PRESENT, false};

enum atl_err atl_message_not_found(struct atl_errinfo *info)
{
	return atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such message.");
}

void atl_message_read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_message *out)
{
	*out = (struct atl_message){.id = atl_col_text(rows, 0, arena),
				    .conversation_id = atl_col_text(rows, 1, arena),
				    .user_id = atl_col_text(rows, 2, arena),
				    .parent_id = atl_col_text(rows, 3, arena),
				    .role = atl_col_text(rows, 4, arena),
				    .content = atl_col_text(rows, 5, arena),
				    .reasoning = atl_col_text(rows, 6, arena),
				    .status = atl_col_text(rows, 7, arena),
				    .model = atl_col_text(rows, 10, arena),
				    .finish_reason = atl_col_text(rows, 11, arena),
				    .prompt_tokens = atl_col_int(rows, 12),
				    .completion_tokens = atl_col_int(rows, 13),
				    .duration_ms = atl_col_int(rows, 14),
				    .created_at = atl_col_int(rows, 15),
				    .updated_at = atl_col_int(rows, 16)};
	if (out->duration_ms > 0 && out->completion_tokens > 0)
		out->tokens_per_second =
			(double)(out->completion_tokens * 10000 / out->duration_ms) / 10.0;
	if (!atl_col_null(rows, 8)) {
		struct atl_message_error *error = ATL_ARENA_NEW(arena, struct atl_message_error);
		if (error) {
			error->slug = atl_col_text(rows, 8, arena);
			error->detail = atl_col_null(rows, 9) ? "" : atl_col_text(rows, 9, arena);
			out->error = error;
		}
	}
}

enum atl_err atl_message_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
				struct atl_message *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " ATL_MESSAGE_COLUMNS " FROM messages m "
				     "JOIN conversations v ON v.id = m.conversation_id "
				     "WHERE m.id = ? AND m.user_id = ? AND m.deleted_at IS NULL AND v.deleted_at IS NULL",
				     "ss", id, user_id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_message_not_found(info);
	atl_message_read_row(rows, arena, ret);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_message_siblings_in(struct atl_conn *conn, struct atl_arena *arena, struct atl_message *message,
				     struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err =
		message->parent_id
			? atl_query(conn, &rows, info,
				    "SELECT id FROM messages WHERE conversation_id = ? AND parent_id = ? "
				    "AND deleted_at IS NULL ORDER BY seq LIMIT ?",
				    "ssi", message->conversation_id, message->parent_id, (int64_t)ATL_SIBLINGS_MAX)
			: atl_query(conn, &rows, info,
				    "SELECT id FROM messages WHERE conversation_id = ? AND parent_id IS NULL "
				    "AND deleted_at IS NULL ORDER BY seq LIMIT ?",
				    "si", message->conversation_id, (int64_t)ATL_SIBLINGS_MAX);
	if (err)
		return err;
	const char *ids[ATL_SIBLINGS_MAX];
	size_t count = 0;
	while (atl_rows_next(rows, &err, info))
		ids[count++] = atl_col_text(rows, 0, arena);
	if (err)
		return err;
	message->siblings.items = ATL_ARENA_ARRAY(arena, const char *, count + 1);
	if (!message->siblings.items)
		return atl_fail(info, ATL_ERR_NOMEM, "siblings");
	memcpy(message->siblings.items, ids, count * sizeof ids[0]);
	message->siblings.count = count;
	return ATL_OK;
}

enum atl_err atl_message_insert_row_in(struct atl_conn *conn, const struct atl_message *m, struct atl_errinfo *info)
{
	return atl_exec(conn, info,
			"INSERT INTO messages (id, conversation_id, user_id, parent_id, role, content, reasoning, status, "
			"model, finish_reason, prompt_tokens, completion_tokens, duration_ms, created_at, updated_at) "
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			"ssssssssssiiiii", m->id, m->conversation_id, m->user_id, m->parent_id, m->role, m->content,
			m->reasoning ? m->reasoning : "", m->status, m->model, m->finish_reason, m->prompt_tokens,
			m->completion_tokens, m->duration_ms, m->created_at, m->updated_at);
}

/* The first thing a person says names the conversation, until somebody names it. */
static const char *auto_title(struct atl_arena *arena, const struct atl_message *m)
{
	if (!atl_str_eq(m->role, "user"))
		return NULL;
	const char *text = m->content + strspn(m->content, " \t\r\n");
	size_t length = strcspn(text, "\r\n"), cut = 0, count = 0;
	while (cut < length && count < ATL_TITLE_AUTO) {
		cut++;
		while (cut < length && ((unsigned char)text[cut] & 0xc0) == 0x80)
			cut++;
		count++;
	}
	return atl_arena_printf(arena, "%.*s%s", (int)cut, text, cut < length ? "…" : "");
}

enum atl_err atl_message_insert_in(struct atl_conn *conn, const struct atl_message *m, struct atl_errinfo *info)
{
	struct atl_arena arena;
	atl_arena_init(&arena, 0);
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(
		conn, &changed, info,
		"UPDATE conversations SET head_id = ?, message_count = message_count + 1, active_at = ?, updated_at = ?, "
		"version = version + 1, title = CASE WHEN title_set = 0 AND title = '' THEN coalesce(?, title) ELSE title END "
		"WHERE id = ? AND user_id = ? AND deleted_at IS NULL AND message_count < ?",
		"siisssi", m->id, m->created_at, m->created_at, auto_title(&arena, m), m->conversation_id, m->user_id,
		(int64_t)ATL_CONVERSATION_MESSAGES_MAX);
	atl_arena_finish(&arena);
	if (err)
		return err;
	if (!changed)
		return atl_fail(info, ATL_ERR_CONFLICT, "The conversation is gone, or has %d messages: begin a new one.",
				ATL_CONVERSATION_MESSAGES_MAX);
	err = atl_message_insert_row_in(conn, m, info);
	if (!err && m->parent_id)
		err = atl_exec(conn, info, "UPDATE messages SET active_child_id = ? WHERE id = ?", "ss", m->id,
			       m->parent_id);
	return err;
}

enum atl_err atl_message_update_in(struct atl_conn *conn, const struct atl_message *m, const char *prompt_json,
				   struct atl_errinfo *info)
{
	return atl_exec(conn, info,
			"UPDATE messages SET content = ?, reasoning = ?, status = ?, error_slug = ?, error_detail = ?, "
			"model = ?, finish_reason = ?, prompt_tokens = ?, completion_tokens = ?, duration_ms = ?, "
			"prompt = coalesce(?, prompt), updated_at = ? WHERE id = ?",
			"sssssssiiisis", m->content, m->reasoning, m->status, m->error ? m->error->slug : NULL,
			m->error ? m->error->detail : NULL, m->model, m->finish_reason, m->prompt_tokens,
			m->completion_tokens, m->duration_ms, prompt_json, m->updated_at, m->id);
}

struct interrupt {
	int64_t count;
};

static enum atl_err interrupt_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct interrupt *i = arg;
	enum atl_err err =
		atl_exec_count(conn, &i->count, info,
			       "UPDATE messages SET status = 'interrupted', updated_at = ? WHERE status = 'streaming'", "i",
			       atl_now_ms());
	return err ? err : atl_ledger_recover(conn, info);
}

enum atl_err atl_message_interrupt_all(struct atl_db *db, int64_t *ret_count, struct atl_errinfo *info)
{
	struct interrupt i = {0};
	enum atl_err err = atl_db_tx(db, interrupt_fn, &i, info);
	if (!err)
		*ret_count = i.count;
	return err;
}

void atl_message_publish(struct atl_app *app, const char *event, const struct atl_message *message)
{
	atl_publish(app, message->user_id, event, "message", &atl_message_desc, message);
}
