/* exchange_store.c - conversations between files and the database. See exchange.h. */
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/chat/exchange_int.h"
#include "core/safety/policy.h"
#include "core/server/publish.h"

/* ---- export ---- */

struct reading {
	struct atl_arena *arena;
	const char *user_id, *id;
	struct atl_exchange exchange;
	struct row *rows;
	size_t room;
};
struct row {
	const char *id, *parent_id, *active_child_id;
};

static enum atl_err take_row(struct reading *r, struct atl_rows *rows, struct atl_errinfo *info)
{
	struct atl_exchange *e = &r->exchange;
	if (e->count == r->room) {
		size_t room = r->room ? r->room * 2 : 64;
		struct row *items = ATL_ARENA_ARRAY(r->arena, struct row, room);
		if (!items)
			return atl_fail(info, ATL_ERR_NOMEM, "The conversation is too large to export.");
		if (e->count)
			memcpy(items, r->rows, e->count * sizeof *items);
		r->rows = items;
		r->room = room;
	}
	struct row *row = r->rows + e->count;
	row->id = atl_col_text(rows, 0, r->arena);
	row->parent_id = atl_col_text(rows, 1, r->arena);
	row->active_child_id = atl_col_text(rows, 2, r->arena);
	struct atl_exchange_message message = {.parent = -1,
					       .role = atl_col_text(rows, 3, r->arena),
					       .content = atl_col_text(rows, 4, r->arena),
					       .reasoning = atl_col_text(rows, 5, r->arena),
					       .model = atl_col_text(rows, 6, r->arena),
					       .created_at = atl_col_int(rows, 7)};
	if (!row->id || !message.role || !message.content)
		return atl_fail(info, ATL_ERR_NOMEM, "The conversation is too large to export.");
	return atl_exchange_add(r->arena, e, &message, info);
}

/* Ids become indexes. */
static enum atl_err link_rows(struct reading *r, const char *head_id, struct atl_errinfo *info)
{
	struct atl_exchange *e = &r->exchange;
	struct atl_exchange_key *keys = ATL_ARENA_ARRAY(r->arena, struct atl_exchange_key, e->count + 1);
	if (!keys)
		return atl_fail(info, ATL_ERR_NOMEM, "The conversation is too large to export.");
	for (size_t i = 0; i < e->count; i++)
		keys[i] = (struct atl_exchange_key){r->rows[i].id, i};
	atl_exchange_keys_sort(keys, e->count);
	for (size_t i = 0; i < e->count; i++) {
		int64_t parent = atl_exchange_keys_find(keys, e->count, r->rows[i].parent_id);
		if (parent < 0 || parent >= (int64_t)i)
			continue;
		e->messages[i].parent = parent;
		e->messages[i].active = atl_str_eq(r->rows[parent].active_child_id, r->rows[i].id);
	}
	e->current = atl_exchange_keys_find(keys, e->count, head_id);
	return e->count ? atl_exchange_settle(r->arena, e, info) : ATL_OK;
}

static enum atl_err read_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct reading *r = arg;
	struct atl_conversation conversation;
	struct atl_rows *rows;
	r->exchange = (struct atl_exchange){.current = -1};
	r->rows = NULL;
	r->room = 0;
	enum atl_err err = atl_conversation_get_in(conn, r->arena, r->user_id, r->id, &conversation, info), done = ATL_OK;
	if (!err)
		err = atl_query(conn, &rows, info,
				"SELECT id, parent_id, active_child_id, role, content, reasoning, model, created_at "
				"FROM messages WHERE conversation_id = ? AND deleted_at IS NULL ORDER BY seq",
				"s", r->id);
	if (err)
		return err;
	while (atl_rows_next(rows, &done, info)) {
		err = take_row(r, rows, info);
		if (err) {
			atl_rows_close(rows);
			return err;
		}
	}
	if (done)
		return done;
	r->exchange.title = conversation.title;
	r->exchange.character_name = conversation.character ? conversation.character->name : NULL;
	r->exchange.created_at = conversation.created_at;
	return link_rows(r, conversation.head_id, info);
}

enum atl_err atl_exchange_export(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				 const char *conversation_id, const struct atl_exchange_format *format,
				 struct atl_buf *out, const char **ret_title, struct atl_errinfo *info)
{
	struct atl_arena own;
	atl_arena_init(&own, ATL_EXCHANGE_ARENA_MAX);
	struct reading r = {.arena = &own, .user_id = user_id, .id = conversation_id};
	enum atl_err err = atl_db_read(app->db, read_fn, &r, info);
	if (!err)
		err = format->write(&own, &r.exchange, out, info);
	if (!err && !(*ret_title = atl_exchange_title(arena, r.exchange.title, ATL_TITLE_MAX)))
		err = atl_fail(info, ATL_ERR_NOMEM, "export");
	atl_arena_finish(&own);
	return err;
}

/* ---- import ---- */

struct storing {
	struct atl_arena *arena; /* of the file */
	struct atl_arena *out;	 /* of the caller */
	const char *user_id;
	const struct atl_exchange *exchange;
	int64_t now_ms;
	struct atl_conversation conversation;
};

static enum atl_err check_texts(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				const struct atl_exchange *e, struct atl_errinfo *info)
{
	struct atl_policy_text *texts = ATL_ARENA_ARRAY(arena, struct atl_policy_text, e->count * 2 + 2);
	size_t count = 0;
	if (!texts)
		return atl_fail(info, ATL_ERR_NOMEM, "import");
	texts[count++] = ATL_POLICY_TEXT(e->title);
	texts[count++] = ATL_POLICY_TEXT(e->character_name);
	for (size_t i = 0; i < e->count; i++) {
		texts[count++] = ATL_POLICY_TEXT(e->messages[i].content);
		texts[count++] = ATL_POLICY_TEXT(e->messages[i].reasoning);
	}
	return atl_policy_check(app, ATL_ENTRY_IMPORT, who, texts, count, info);
}

static enum atl_err find_character(struct atl_conn *conn, struct storing *s, const char **ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	*ret = NULL;
	if (atl_str_empty(s->exchange->character_name))
		return ATL_OK;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id FROM characters WHERE user_id = ? AND name = ? AND deleted_at IS NULL "
				     "ORDER BY updated_at DESC, id LIMIT 1",
				     "ss", s->user_id, s->exchange->character_name);
	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		*ret = atl_col_text(rows, 0, s->arena);
		atl_rows_close(rows);
	}
	return err;
}

static enum atl_err check_room(struct atl_conn *conn, const char *user_id, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT count(*) FROM conversations WHERE user_id = ? AND deleted_at IS NULL", "s",
				     user_id);
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	bool full = atl_col_int(rows, 0) >= ATL_CONVERSATIONS_MAX;
	atl_rows_close(rows);
	return full ? atl_fail(info, ATL_ERR_CONFLICT, "There are %d conversations: delete some first.",
			       ATL_CONVERSATIONS_MAX)
		    : ATL_OK;
}

/* Parents come before their children, siblings in order: as they lie in the array. */
static enum atl_err insert_messages(struct atl_conn *conn, struct storing *s, const char *conversation_id,
				    const char **ret_head, struct atl_errinfo *info)
{
	const struct atl_exchange *e = s->exchange;
	char(*ids)[ATL_ID_SIZE] = atl_arena_array(s->arena, sizeof *ids, e->count);
	if (!ids)
		return atl_fail(info, ATL_ERR_NOMEM, "import");
	for (size_t i = 0; i < e->count; i++) {
		const struct atl_exchange_message *m = e->messages + i;
		const char *parent = m->parent >= 0 ? ids[m->parent] : NULL;
		atl_id_new("msg", ids[i]);
		struct atl_message row = {.id = ids[i],
					  .conversation_id = conversation_id,
					  .user_id = s->user_id,
					  .parent_id = parent,
					  .role = m->role,
					  .content = m->content,
					  .reasoning = m->reasoning,
					  .status = "complete",
					  .model = m->model,
					  .created_at = m->created_at ? m->created_at : s->now_ms,
					  .updated_at = s->now_ms};
		enum atl_err err = atl_message_insert_row_in(conn, &row, info);
		if (!err && parent && m->active)
			err = atl_exec(conn, info, "UPDATE messages SET active_child_id = ? WHERE id = ?", "ss", ids[i],
				       parent);
		if (err)
			return err;
	}
	*ret_head = ids[e->current];
	return ATL_OK;
}

/* What the file calls it, else the beginning of the first message. */
static const char *title_of(struct atl_arena *arena, const struct atl_exchange *e)
{
	if (!atl_str_empty(e->title))
		return e->title;
	const char *text = e->messages[0].content + strspn(e->messages[0].content, " \t\r\n");
	const size_t line = strcspn(text, "\r\n");
	const char *first = atl_arena_strndup(arena, text, line);
	const char *title = first ? atl_exchange_title(arena, first, ATL_TITLE_AUTO) : NULL;
	return title && strlen(title) < line ? atl_arena_printf(arena, "%s…", title) : title;
}

static enum atl_err store_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct storing *s = arg;
	const struct atl_exchange *e = s->exchange;
	const char *head = NULL;
	char id[ATL_ID_SIZE];
	atl_id_new("cnv", id);
	struct atl_conversation conversation = {.id = id,
						.user_id = s->user_id,
						.title = title_of(s->arena, e),
						.title_set = !atl_str_empty(e->title),
						.message_count = (int64_t)e->count,
						.created_at = e->created_at ? e->created_at : s->now_ms,
						.updated_at = s->now_ms,
						.active_at = s->now_ms};
	if (!conversation.title)
		return atl_fail(info, ATL_ERR_NOMEM, "import");
	enum atl_err err = check_room(conn, s->user_id, info);
	if (!err)
		err = find_character(conn, s, &conversation.character_id, info);
	if (!err)
		err = atl_conversation_insert_in(conn, &conversation, info);
	if (!err)
		err = insert_messages(conn, s, id, &head, info);
	if (!err)
		err = atl_exec(conn, info, "UPDATE conversations SET head_id = ? WHERE id = ?", "ss", head, id);
	return err ? err : atl_conversation_get_in(conn, s->out, s->user_id, id, &s->conversation, info);
}

static enum atl_err import_one(struct atl_app *app, const struct atl_identity *who, struct atl_arena *scratch,
			       struct atl_arena *arena, const struct atl_exchange *e, struct atl_conversation *ret,
			       struct atl_errinfo *info)
{
	struct storing s = {.arena = scratch, .out = arena, .user_id = who->user_id, .exchange = e, .now_ms = atl_now_ms()};
	enum atl_err err = check_texts(app, who, scratch, e, info);
	if (!err)
		err = atl_db_tx(app->db, store_fn, &s, info);
	if (err)
		return err;
	*ret = s.conversation;
	atl_conversation_effective(app, arena, ret, 1);
	atl_publish(app, who->user_id, "conversation.created", "conversation", &atl_conversation_desc, ret);
	return ATL_OK;
}

static enum atl_err import_list(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				const struct atl_exchange_list *list, struct atl_imported *ret, struct atl_errinfo *info)
{
	struct atl_imported done = {.skipped = list->skipped};
	struct atl_errinfo first = {0};
	struct atl_arena scratch;
	done.items = ATL_ARENA_ARRAY(arena, struct atl_conversation, list->count);
	if (!done.items)
		return atl_fail(info, ATL_ERR_NOMEM, "import");
	for (size_t i = 0; i < list->count; i++) {
		struct atl_errinfo why = {0};
		atl_arena_init(&scratch, ATL_EXCHANGE_ARENA_MAX);
		enum atl_err err = import_one(app, who, &scratch, arena, list->items + i, done.items + done.count, &why);
		atl_arena_finish(&scratch);
		if (!err) {
			done.count++;
			continue;
		}
		done.skipped++;
		if (!first.code)
			first = why;
	}
	if (!done.count)
		return atl_fail(info, first.code, "%s", first.detail);
	const char *reason = list->reason ? list->reason : first.code ? first.detail : NULL;
	done.reason = atl_arena_strdup(arena, reason);
	*ret = done;
	return ATL_OK;
}

enum atl_err atl_exchange_import(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				 const char *text, size_t length, struct atl_imported *ret, struct atl_errinfo *info)
{
	struct atl_arena own;
	struct atl_exchange_list list;
	atl_arena_init(&own, ATL_EXCHANGE_ARENA_MAX);
	enum atl_err err = atl_exchange_parse(&own, text, length, &list, info);
	if (!err)
		err = import_list(app, who, arena, &list, ret, info);
	atl_arena_finish(&own);
	return err;
}
