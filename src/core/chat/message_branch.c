/* message_branch.c - moving among branches: select, delete, restore, fork. See message.h. */
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/chat/generation.h"
#include "core/chat/message.h"
#include "core/chat/message_int.h"
#include "core/people/erase.h"
#include "core/server/publish.h"

struct work {
	struct atl_arena *arena;
	const char *user_id, *id;
	int64_t now_ms;
	struct atl_message message;
	struct atl_conversation conversation;
};

/* The leaf that one comes to from `id` by active children, or by the newest child where none is remembered. */
static enum atl_err find_leaf(struct atl_conn *conn, struct atl_arena *arena, const char *id, const char **ret,
			      struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(
		conn, &rows, info,
		"WITH RECURSIVE down (id, depth) AS (SELECT CAST(? AS TEXT), 0 UNION ALL "
		"SELECT COALESCE((SELECT c.id FROM messages c WHERE c.id = m.active_child_id AND c.parent_id = m.id "
		"AND c.deleted_at IS NULL), (SELECT c.id FROM messages c WHERE c.conversation_id = m.conversation_id "
		"AND c.parent_id = m.id AND c.deleted_at IS NULL ORDER BY c.seq DESC LIMIT 1)), "
		"d.depth + 1 FROM down d JOIN messages m ON m.id = d.id) "
		"SELECT id FROM down WHERE id IS NOT NULL ORDER BY depth DESC LIMIT 1",
		"s", id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_message_not_found(info);
	*ret = atl_col_text(rows, 0, arena);
	atl_rows_close(rows);
	return ATL_OK;
}

/* Every ancestor remembers the way down to `id`. Only those that pointed elsewhere are written. */
static enum atl_err remember_way(struct atl_conn *conn, const char *id, struct atl_errinfo *info)
{
	return atl_exec(
		conn, info,
		"WITH RECURSIVE up (id, parent_id) AS (SELECT id, parent_id FROM messages WHERE id = ? UNION ALL "
		"SELECT m.id, m.parent_id FROM up u JOIN messages m ON m.id = u.parent_id) "
		"UPDATE messages SET active_child_id = up.id FROM up WHERE messages.id = up.parent_id "
		"AND (messages.active_child_id IS NULL OR messages.active_child_id <> up.id)",
		"s", id);
}

static enum atl_err set_head(struct atl_conn *conn, const char *conversation_id, const char *head_id, int64_t now_ms,
			     struct atl_errinfo *info)
{
	return atl_exec(conn, info,
			"UPDATE conversations SET head_id = ?, version = version + 1, updated_at = ? WHERE id = ?", "sis",
			head_id, now_ms, conversation_id);
}

/* Make `id` part of the active path. */
static enum atl_err activate(struct atl_conn *conn, struct work *w, const char *conversation_id, const char *id,
			     struct atl_errinfo *info)
{
	const char *leaf = NULL;
	enum atl_err err = remember_way(conn, id, info);
	if (!err)
		err = find_leaf(conn, w->arena, id, &leaf, info);
	return err ? err : set_head(conn, conversation_id, leaf, w->now_ms, info);
}

static enum atl_err select_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	enum atl_err err = atl_message_get_in(conn, w->arena, w->user_id, w->id, &w->message, info);
	if (!err)
		err = activate(conn, w, w->message.conversation_id, w->id, info);
	return err ? err
		   : atl_conversation_get_in(conn, w->arena, w->user_id, w->message.conversation_id, &w->conversation,
					     info);
}

enum atl_err atl_message_select(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				const char *id, struct atl_conversation *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = who->user_id, .id = id, .now_ms = atl_now_ms()};
	enum atl_err err = atl_db_tx(app->db, select_fn, &w, info);
	if (err)
		return err;
	*ret = w.conversation;
	atl_conversation_effective(app, arena, ret, 1);
	atl_publish(app, who->user_id, "conversation.updated", "conversation", &atl_conversation_desc, ret);
	return ATL_OK;
}

#define BELOW                                                                                               \
	"WITH RECURSIVE below (id) AS (SELECT CAST(? AS TEXT) UNION ALL "                                     \
	"SELECT m.id FROM below b JOIN messages m ON m.parent_id = b.id AND m.conversation_id = ?) "

static enum atl_err change_count(struct atl_conn *conn, const char *conversation_id, int64_t by,
				 struct atl_errinfo *info)
{
	return atl_exec(conn, info,
			"UPDATE conversations SET message_count = message_count + ?, version = version + 1 WHERE id = ?",
			"is", by, conversation_id);
}

/* After a deletion: the newest sibling that is left takes the place, else the parent, else nothing. */
static enum atl_err pick_new_head(struct atl_conn *conn, struct work *w, struct atl_errinfo *info)
{
	const struct atl_message *m = &w->message;
	struct atl_rows *rows;
	enum atl_err err = m->parent_id
				   ? atl_query(conn, &rows, info,
					       "SELECT id FROM messages WHERE conversation_id = ? AND parent_id = ? "
					       "AND deleted_at IS NULL ORDER BY seq DESC LIMIT 1",
					       "ss", m->conversation_id, m->parent_id)
				   : atl_query(conn, &rows, info,
					       "SELECT id FROM messages WHERE conversation_id = ? AND parent_id IS NULL "
					       "AND deleted_at IS NULL ORDER BY seq DESC LIMIT 1",
					       "s", m->conversation_id);
	if (err)
		return err;
	const char *sibling = NULL;
	if (atl_rows_next(rows, &err, info)) {
		sibling = atl_col_text(rows, 0, w->arena);
		atl_rows_close(rows);
	}
	if (err)
		return err;
	if (sibling)
		return activate(conn, w, m->conversation_id, sibling, info);
	return set_head(conn, m->conversation_id, m->parent_id, w->now_ms, info);
}

static enum atl_err head_is_live(struct atl_conn *conn, const char *conversation_id, bool *ret,
				 struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT 1 FROM conversations v JOIN messages m ON m.id = v.head_id "
				     "WHERE v.id = ? AND m.deleted_at IS NULL",
				     "s", conversation_id);
	if (err)
		return err;
	*ret = atl_rows_next(rows, &err, info);
	if (*ret)
		atl_rows_close(rows);
	return err;
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t changed = 0;
	bool live = false;
	enum atl_err err = atl_message_get_in(conn, w->arena, w->user_id, w->id, &w->message, info);
	if (!err)
		err = atl_exec_count(conn, &changed, info,
				     BELOW "UPDATE messages SET deleted_at = ? "
					   "WHERE id IN (SELECT id FROM below) AND deleted_at IS NULL",
				     "ssi", w->id, w->message.conversation_id, w->now_ms);
	if (!err)
		err = change_count(conn, w->message.conversation_id, -changed, info);
	if (!err)
		err = head_is_live(conn, w->message.conversation_id, &live, info);
	return err || live ? err : pick_new_head(conn, w, info);
}

enum atl_err atl_message_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
				struct atl_errinfo *info)
{
	struct atl_arena arena;
	atl_arena_init(&arena, 0);
	struct work w = {.arena = &arena, .user_id = who->user_id, .id = id, .now_ms = atl_now_ms()};
	enum atl_err err = atl_db_tx(app->db, delete_fn, &w, info);
	if (!err) {
		atl_generation_stop_deleted(app, who->user_id, w.message.conversation_id);
		atl_publish_id(app, who->user_id, "message.deleted", id, "conversation_id", w.message.conversation_id);
		atl_conversation_publish(app, "conversation.updated", who->user_id, w.message.conversation_id);
		atl_erase_undone(app);
	}
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err restore_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT conversation_id, deleted_at FROM messages "
				     "WHERE id = ? AND user_id = ? AND deleted_at IS NOT NULL",
				     "ss", w->id, w->user_id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_message_not_found(info);
	const char *conversation_id = atl_col_text(rows, 0, w->arena);
	int64_t deleted_at = atl_col_int(rows, 1), changed = 0;
	atl_rows_close(rows);
	/* what went with it comes back with it; what was deleted before stays deleted */
	err = atl_exec_count(conn, &changed, info,
			     BELOW "UPDATE messages SET deleted_at = NULL "
				   "WHERE id IN (SELECT id FROM below) AND deleted_at = ?",
			     "ssi", w->id, conversation_id, deleted_at);
	if (!err)
		err = change_count(conn, conversation_id, changed, info);
	if (!err)
		err = activate(conn, w, conversation_id, w->id, info);
	if (!err)
		err = atl_message_get_in(conn, w->arena, w->user_id, w->id, &w->message, info);
	return err ? err : atl_message_siblings_in(conn, w->arena, &w->message, info);
}

enum atl_err atl_message_restore(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				 const char *id, struct atl_message *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = who->user_id, .id = id, .now_ms = atl_now_ms()};
	enum atl_err err = atl_db_tx(app->db, restore_fn, &w, info);
	if (err)
		return err;
	*ret = w.message;
	atl_message_publish(app, "message.created", ret);
	atl_conversation_publish(app, "conversation.updated", who->user_id, ret->conversation_id);
	return ATL_OK;
}

/* ---- fork ---- */

struct path {
	struct atl_arena *arena;
	struct atl_message *items;
	size_t count, room;
	bool failed;
};

static bool take_row(void *arg, struct atl_rows *rows)
{
	struct path *p = arg;
	if (p->count == p->room) {
		size_t room = p->room ? p->room * 2 : 64;
		struct atl_message *items = ATL_ARENA_ARRAY(p->arena, struct atl_message, room);
		if (!items) {
			p->failed = true;
			return false;
		}
		if (p->count)
			memcpy(items, p->items, p->count * sizeof *items);
		p->items = items;
		p->room = room;
	}
	p->items[p->count++] = (struct atl_message){.id = atl_col_text(rows, ATL_WALK_ID, p->arena),
						    .role = atl_col_text(rows, ATL_WALK_ROLE, p->arena),
						    .content = atl_col_text(rows, ATL_WALK_CONTENT, p->arena),
						    .model = atl_col_text(rows, ATL_WALK_MODEL, p->arena),
						    .created_at = atl_col_int(rows, ATL_WALK_CREATED_AT)};
	return true;
}

static enum atl_err copy_path(struct atl_conn *conn, struct work *w, struct path *path, const char *conversation_id,
			      const char **ret_head, struct atl_errinfo *info)
{
	const char *parent = NULL;
	for (size_t i = path->count; i-- > 0;) {
		struct atl_message copy = path->items[i];
		char *id = atl_arena_alloc(w->arena, ATL_ID_SIZE);
		if (!id)
			return atl_fail(info, ATL_ERR_NOMEM, "fork");
		atl_id_new("msg", id);
		copy.id = id;
		copy.conversation_id = conversation_id;
		copy.user_id = w->user_id;
		copy.parent_id = parent;
		copy.reasoning = "";
		copy.status = "complete";
		copy.updated_at = w->now_ms;
		enum atl_err err = atl_message_insert_row_in(conn, &copy, info);
		if (!err && parent)
			err = atl_exec(conn, info, "UPDATE messages SET active_child_id = ? WHERE id = ?", "ss", id,
				       parent);
		if (err)
			return err;
		parent = id;
	}
	*ret_head = parent;
	return ATL_OK;
}

static enum atl_err fork_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct path path = {.arena = w->arena};
	struct atl_conversation source;
	enum atl_err err = atl_message_get_in(conn, w->arena, w->user_id, w->id, &w->message, info);
	if (!err)
		err = atl_conversation_get_in(conn, w->arena, w->user_id, w->message.conversation_id, &source, info);
	if (!err)
		err = atl_message_walk_up_in(conn, source.id, w->id, ATL_CONVERSATION_MESSAGES_MAX, take_row, &path,
					     info);
	if (!err && path.failed)
		err = atl_fail(info, ATL_ERR_NOMEM, "The path is too long to copy at once.");
	if (err)
		return err;
	struct atl_conversation fork = source;
	char *id = atl_arena_alloc(w->arena, ATL_ID_SIZE);
	if (!id)
		return atl_fail(info, ATL_ERR_NOMEM, "fork");
	atl_id_new("cnv", id);
	fork.id = id;
	fork.title = atl_arena_printf(w->arena, "%.150s (fork)", source.title);
	fork.title_set = true;
	fork.head_id = NULL;
	fork.message_count = (int64_t)path.count;
	fork.created_at = fork.updated_at = fork.active_at = w->now_ms;
	const char *head = NULL;
	err = atl_conversation_insert_in(conn, &fork, info);
	if (!err)
		err = copy_path(conn, w, &path, id, &head, info);
	if (!err)
		err = set_head(conn, id, head, w->now_ms, info);
	return err ? err : atl_conversation_get_in(conn, w->arena, w->user_id, id, &w->conversation, info);
}

enum atl_err atl_message_fork(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			      const char *id, struct atl_conversation *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = who->user_id, .id = id, .now_ms = atl_now_ms()};
	enum atl_err err = atl_db_tx(app->db, fork_fn, &w, info);
	if (err)
		return err;
	*ret = w.conversation;
	atl_conversation_effective(app, arena, ret, 1);
	atl_publish(app, who->user_id, "conversation.created", "conversation", &atl_conversation_desc, ret);
	return ATL_OK;
}
