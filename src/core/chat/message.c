/* message.c - reading and changing the message tree. See message.h; the rows are message_row.c's. */
#include "core/chat/message.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/chat/character.h"
#include "core/chat/generation.h"
#include "core/chat/macros.h"
#include "core/chat/message_int.h"
#include "core/chat/persona.h"
#include "core/safety/policy.h"
#include "core/server/idempotency.h"
#include "core/server/publish.h"

struct work {
	struct atl_arena *arena;
	const struct atl_identity *who;
	const char *user_id, *id, *conversation_id, *parent_id, *content;
	bool in_place;
	int64_t now_ms, limit;
	struct atl_message out, *items;
	size_t count;
	bool more;
	const char *json;
	struct atl_conversation conversation;
};

/* ---- reading ---- */

static enum atl_err get_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	enum atl_err err = atl_message_get_in(conn, w->arena, w->user_id, w->id, &w->out, info);
	return err ? err : atl_message_siblings_in(conn, w->arena, &w->out, info);
}

enum atl_err atl_message_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			     struct atl_message *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = user_id, .id = id};
	enum atl_err err = atl_db_read(app->db, get_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_generation_overlay(app, arena, ret);
	return ATL_OK;
}

enum atl_err atl_message_walk_up_in(struct atl_conn *conn, const char *conversation_id, const char *from_id,
				    int64_t limit, bool (*fn)(void *arg, struct atl_rows *rows), void *arg,
				    struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(
		conn, &rows, info,
		"WITH RECURSIVE path (id, parent_id, depth) AS ("
		"SELECT id, parent_id, 0 FROM messages WHERE id = ? AND conversation_id = ? AND deleted_at IS NULL "
		"UNION ALL SELECT m.id, m.parent_id, p.depth + 1 FROM path p JOIN messages m ON m.id = p.parent_id "
		"WHERE p.depth + 1 < ?) "
		"SELECT m.id, m.role, m.content, m.status, m.created_at, m.model FROM path p "
		"JOIN messages m ON m.id = p.id ORDER BY p.depth",
		"ssi", from_id, conversation_id, limit);
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info))
		if (!fn(arg, rows)) {
			atl_rows_close(rows);
			break;
		}
	return err;
}

/* Newest first into the array, turned around afterwards. One row more than asked tells whether there is more. */
static enum atl_err read_path(struct atl_conn *conn, struct work *w, const char *from_id, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(
		conn, &rows, info,
		"WITH RECURSIVE path (id, parent_id, depth) AS ("
		"SELECT id, parent_id, 0 FROM messages WHERE id = ? AND conversation_id = ? AND deleted_at IS NULL "
		"UNION ALL SELECT m.id, m.parent_id, p.depth + 1 FROM path p JOIN messages m ON m.id = p.parent_id "
		"WHERE p.depth < ?) "
		"SELECT " ATL_MESSAGE_COLUMNS " FROM path p JOIN messages m ON m.id = p.id ORDER BY p.depth",
		"ssi", from_id, w->conversation_id, w->limit);
	if (err)
		return err;
	while (w->count <= (size_t)w->limit && atl_rows_next(rows, &err, info))
		atl_message_read_row(rows, w->arena, &w->items[w->count++]);
	if (w->count > (size_t)w->limit) {
		atl_rows_close(rows);
		w->more = true;
		w->count--;
	}
	for (size_t i = 0; i < w->count && !err; i++)
		err = atl_message_siblings_in(conn, w->arena, &w->items[i], info);
	for (size_t i = 0, j = w->count; i + 1 < j; i++) {
		struct atl_message swap = w->items[i];
		w->items[i] = w->items[--j];
		w->items[j] = swap;
	}
	return err;
}

static enum atl_err page_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	w->count = 0;
	w->more = false;
	enum atl_err err =
		atl_conversation_get_in(conn, w->arena, w->user_id, w->conversation_id, &w->conversation, info);
	if (err)
		return err;
	const char *from = w->conversation.head_id;
	if (w->id) {
		struct atl_message before;
		err = atl_message_get_in(conn, w->arena, w->user_id, w->id, &before, info);
		if (err)
			return err;
		from = before.parent_id;
	}
	return from ? read_path(conn, w, from, info) : ATL_OK;
}

enum atl_err atl_message_page(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			      const char *conversation_id, const char *before_id, int64_t limit,
			      struct atl_message **ret, size_t *ret_count, bool *ret_more, struct atl_errinfo *info)
{
	struct work w = {.arena = arena,
			 .user_id = user_id,
			 .conversation_id = conversation_id,
			 .id = before_id,
			 .limit = limit};
	w.items = ATL_ARENA_ARRAY(arena, struct atl_message, (size_t)limit + 1);
	if (!w.items)
		return atl_fail(info, ATL_ERR_NOMEM, "messages");
	enum atl_err err = atl_db_read(app->db, page_fn, &w, info);
	if (err)
		return err;
	for (size_t i = 0; i < w.count; i++)
		atl_generation_overlay(app, arena, &w.items[i]);
	*ret = w.items;
	*ret_count = w.count;
	*ret_more = w.more;
	return ATL_OK;
}

static enum atl_err prompt_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_message_get_in(conn, w->arena, w->user_id, w->id, &w->out, info);
	if (!err)
		err = atl_query(conn, &rows, info, "SELECT prompt FROM messages WHERE id = ?", "s", w->id);
	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		w->json = atl_col_text(rows, 0, w->arena);
		atl_rows_close(rows);
	}
	if (!err && !w->json)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "Nothing was sent to a model for this message.");
	return err;
}

enum atl_err atl_message_prompt(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				const char **ret_json, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = user_id, .id = id};
	enum atl_err err = atl_db_read(app->db, prompt_fn, &w, info);
	if (!err)
		*ret_json = w.json;
	return err;
}

/* ---- adding and editing ---- */

static enum atl_err check_content(const char *content, struct atl_errinfo *info)
{
	if (strspn(content, " \t\r\n") == strlen(content))
		return atl_fail_field(info, ATL_ERR_INVALID, "content", "The message is empty.");
	if (strlen(content) > ATL_MESSAGE_BYTES_MAX)
		return atl_fail_field(info, ATL_ERR_TOO_LARGE, "content", "A message may have at most %zu KiB.",
				      ATL_MESSAGE_BYTES_MAX >> 10);
	return ATL_OK;
}

/* Macros in what a person writes are replaced once, when it is stored. */
static enum atl_err expand_content(struct atl_conn *conn, struct work *w, struct atl_errinfo *info)
{
	if (!strstr(w->content, "{{") && !strchr(w->content, '<'))
		return ATL_OK;
	const struct atl_character *character = w->conversation.character;
	struct atl_persona persona;
	struct atl_card card = {0};
	enum atl_err err =
		character ? atl_card_parse(w->arena, character->card_json, &card, info) : ATL_OK;
	if (err)
		return err;
	bool has_persona = atl_persona_get_in(conn, w->arena, w->user_id, w->conversation.persona_id, &persona, NULL) ==
			   ATL_OK;
	struct atl_macros macros = {.char_name = !character			  ? "Assistant"
						 : atl_str_empty(card.nickname) ? character->name
										  : card.nickname,
				    .user_name = has_persona ? persona.name : w->who->user_name,
				    .seed = w->conversation.id,
				    .now_ms = w->now_ms};
	struct atl_buf out;
	atl_buf_init(&out, ATL_MESSAGE_BYTES_MAX);
	atl_macros_expand(&macros, w->content, &out);
	err = atl_buf_err(&out, info);
	if (!err)
		w->content = atl_arena_strndup(w->arena, out.data, out.length);
	atl_buf_finish(&out);
	return !err && !w->content ? atl_fail(info, ATL_ERR_NOMEM, "message") : err;
}

static enum atl_err insert_sibling(struct atl_conn *conn, struct work *w, const char *role, struct atl_errinfo *info)
{
	char *id = atl_arena_alloc(w->arena, ATL_ID_SIZE);
	if (!id)
		return atl_fail(info, ATL_ERR_NOMEM, "message");
	atl_id_new("msg", id);
	struct atl_message message = {.id = id,
				      .conversation_id = w->conversation_id,
				      .user_id = w->user_id,
				      .parent_id = w->parent_id,
				      .role = role,
				      .content = w->content,
				      .reasoning = "",
				      .status = "complete",
				      .created_at = w->now_ms,
				      .updated_at = w->now_ms};
	enum atl_err err = atl_message_insert_in(conn, &message, info);
	if (!err)
		err = atl_idempotency_made_in(conn, w->user_id, w->who->once_key, id, info);
	if (!err)
		err = atl_message_siblings_in(conn, w->arena, &message, info);
	if (!err)
		w->out = message;
	return err;
}

static enum atl_err add_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	const char *asked = w->content, *asked_parent = w->parent_id;
	enum atl_err err =
		atl_conversation_get_in(conn, w->arena, w->user_id, w->conversation_id, &w->conversation, info);
	if (err)
		return err;
	if (w->parent_id) {
		struct atl_message parent;
		err = atl_message_get_in(conn, w->arena, w->user_id, w->parent_id, &parent, info);
		if (!err && !atl_str_eq(parent.conversation_id, w->conversation_id))
			err = atl_fail_field(info, ATL_ERR_INVALID, "parent_id", "This message is in another conversation.");
		if (err)
			return err;
	} else {
		w->parent_id = w->conversation.head_id;
	}
	err = expand_content(conn, w, info);
	if (!err)
		err = insert_sibling(conn, w, "user", info);
	w->content = asked; /* the function may be run again */
	w->parent_id = asked_parent;
	return err;
}

enum atl_err atl_message_add(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			     const char *conversation_id, const char *parent_id, const char *content,
			     struct atl_message *ret, struct atl_errinfo *info)
{
	if (who->once_made)
		return atl_message_get(app, arena, who->user_id, who->once_made, ret, info);
	enum atl_err err = check_content(content, info);
	if (!err)
		err = atl_policy_check_text(app, ATL_ENTRY_MESSAGE, who, content, info);
	if (err)
		return err;
	struct work w = {.arena = arena,
			 .who = who,
			 .user_id = who->user_id,
			 .conversation_id = conversation_id,
			 .parent_id = parent_id,
			 .content = content,
			 .now_ms = atl_now_ms()};
	err = atl_db_tx(app->db, add_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_message_publish(app, "message.created", ret);
	/* its title, place in the list and count changed */
	atl_conversation_publish(app, "conversation.updated", who->user_id, ret->conversation_id);
	return ATL_OK;
}

static enum atl_err edit_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_message old;
	enum atl_err err = atl_message_get_in(conn, w->arena, w->user_id, w->id, &old, info);
	if (err)
		return err;
	if (atl_str_eq(old.status, "streaming"))
		return atl_fail(info, ATL_ERR_CONFLICT, "This reply is still being written. Stop it first.");
	w->conversation_id = old.conversation_id;
	if (!w->in_place) {
		w->parent_id = old.parent_id;
		return insert_sibling(conn, w, old.role, info);
	}
	err = atl_exec(conn, info,
		       "UPDATE messages SET content = ?, status = 'complete', error_slug = NULL, error_detail = NULL, "
		       "updated_at = ? WHERE id = ?",
		       "sis", w->content, w->now_ms, w->id);
	return err ? err : get_fn(conn, w, info);
}

enum atl_err atl_message_edit(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			      const char *id, const char *content, bool in_place, struct atl_message *ret,
			      struct atl_errinfo *info)
{
	if (who->once_made)
		return atl_message_get(app, arena, who->user_id, who->once_made, ret, info);
	enum atl_err err = check_content(content, info);
	if (!err)
		err = atl_policy_check_text(app, ATL_ENTRY_EDIT, who, content, info);
	if (err)
		return err;
	struct work w = {.arena = arena,
			 .who = who,
			 .user_id = who->user_id,
			 .id = id,
			 .content = content,
			 .in_place = in_place,
			 .now_ms = atl_now_ms()};
	err = atl_db_tx(app->db, edit_fn, &w, info);
	if (err)
		return err;
	*ret = w.out;
	atl_message_publish(app, in_place ? "message.updated" : "message.created", ret);
	if (!in_place)
		atl_conversation_publish(app, "conversation.updated", who->user_id, ret->conversation_id);
	return ATL_OK;
}
