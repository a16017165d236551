/* board.c - see board.h. */
#include "core/pictures/board.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/server/publish.h"
#include "db/db.h"

#define OFF(member) offsetof(struct atl_board, member)
#define SELECT                                                                                                       \
	"SELECT b.id, b.name, b.created_at, b.updated_at, "                                                          \
	"(SELECT count(*) FROM board_assets d JOIN assets a ON a.id = d.asset_id "                                   \
	"WHERE d.board_id = b.id AND a.deleted_at IS NULL), "                                                        \
	"(SELECT d.asset_id FROM board_assets d JOIN assets a ON a.id = d.asset_id "                                 \
	"WHERE d.board_id = b.id AND a.deleted_at IS NULL ORDER BY d.asset_id DESC LIMIT 1) FROM boards b "

static const struct atl_json_field FIELDS[] = {
	{"id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED},
	{"name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED},
	{"count", ATL_JT_INT, OFF(count), ATL_JF_REQUIRED},
	{"cover_id", ATL_JT_STR, OFF(cover_id), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "the newest asset on it"},
	{"created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED},
	{"updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED},
};
const struct atl_json_desc atl_board_desc = {"Board",
					     "A collection of assets.",
					     FIELDS,
					     ATL_COUNT(FIELDS),
					     sizeof(struct atl_board),
					     ATL_JSON_NO_PRESENT,
					     false};

struct work {
	struct atl_arena *arena;
	const char *user_id, *id, *name;
	int64_t now_ms;
	struct atl_board out, *items;
	size_t count;
};

static void read_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_board *out)
{
	*out = (struct atl_board){.id = atl_col_text(rows, 0, arena),
				  .name = atl_col_text(rows, 1, arena),
				  .created_at = atl_col_int(rows, 2),
				  .updated_at = atl_col_int(rows, 3),
				  .count = atl_col_int(rows, 4),
				  .cover_id = atl_col_text(rows, 5, arena)};
}

static enum atl_err get_in(struct atl_conn *conn, struct work *w, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err =
		atl_query(conn, &rows, info, SELECT "WHERE b.id = ? AND b.user_id = ?", "ss", w->id, w->user_id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such board.");
	read_row(rows, w->arena, &w->out);
	atl_rows_close(rows);
	return ATL_OK;
}

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, SELECT "WHERE b.user_id = ? ORDER BY b.id DESC LIMIT ?", "si",
				     w->user_id, (int64_t)ATL_BOARDS_MAX);
	if (err)
		return err;
	w->count = 0;
	while (atl_rows_next(rows, &err, info))
		read_row(rows, w->arena, &w->items[w->count++]);
	return err;
}

enum atl_err atl_board_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct atl_items *ret,
			    struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = user_id};
	w.items = ATL_ARENA_ARRAY(arena, struct atl_board, ATL_BOARDS_MAX);
	if (!w.items)
		return atl_fail(info, ATL_ERR_NOMEM, "list");
	enum atl_err err = atl_db_read(app->db, list_fn, &w, info);
	if (!err)
		*ret = (struct atl_items){w.items, w.count};
	return err;
}

static enum atl_err insert_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	enum atl_err err = atl_exec(conn, info,
				    "INSERT INTO boards (id, user_id, name, created_at, updated_at) SELECT ?, ?, ?, ?, ? "
				    "WHERE (SELECT count(*) FROM boards WHERE user_id = ?) < ?",
				    "sssiisi", w->id, w->user_id, w->name, w->now_ms, w->now_ms, w->user_id,
				    (int64_t)ATL_BOARDS_MAX);
	if (!err)
		err = get_in(conn, w, info);
	return err == ATL_ERR_NOT_FOUND ? atl_fail(info, ATL_ERR_CONFLICT, "There are %d boards already.", ATL_BOARDS_MAX)
					: err;
}

static enum atl_err rename_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	enum atl_err err = atl_exec(conn, info, "UPDATE boards SET name = ?, updated_at = ? WHERE id = ? AND user_id = ?",
				    "siss", w->name, w->now_ms, w->id, w->user_id);
	return err ? err : get_in(conn, w, info);
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info, "DELETE FROM boards WHERE id = ? AND user_id = ?", "ss", w->id,
					  w->user_id);
	return !err && !changed ? atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such board.") : err;
}

static enum atl_err change(struct atl_app *app, atl_db_fn fn, struct work *w, struct atl_errinfo *info)
{
	w->now_ms = atl_now_ms();
	enum atl_err err = atl_db_tx(app->db, fn, w, info);
	if (!err)
		atl_publish_id(app, w->user_id, "board.changed", w->id, NULL, NULL);
	return err;
}

enum atl_err atl_board_create(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *name,
			      struct atl_board *ret, struct atl_errinfo *info)
{
	char id[ATL_ID_SIZE];
	struct work w = {.arena = arena, .user_id = user_id, .id = id, .name = name};
	atl_id_new("brd", id);
	enum atl_err err = change(app, insert_fn, &w, info);
	if (!err)
		*ret = w.out;
	return err;
}

enum atl_err atl_board_rename(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			      const char *name, struct atl_board *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = user_id, .id = id, .name = name};
	enum atl_err err = change(app, rename_fn, &w, info);
	if (!err)
		*ret = w.out;
	return err;
}

enum atl_err atl_board_delete(struct atl_app *app, const char *user_id, const char *id, struct atl_errinfo *info)
{
	struct work w = {.user_id = user_id, .id = id};
	return change(app, delete_fn, &w, info);
}
