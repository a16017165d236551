/* folder.c - see folder.h. */
#include "core/chat/folder.h"

#include "base/clock.h"
#include "base/id.h"
#include "core/server/publish.h"
#include "db/db.h"

#define OFF(member) offsetof(struct atl_folder, member)

static const struct atl_json_field FIELDS[] = {
	{"id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED},
	{"name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED},
	{"created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED},
	{"updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED},
};
const struct atl_json_desc atl_folder_desc = {
	"Folder", "A folder of conversations.", FIELDS, ATL_COUNT(FIELDS), sizeof(struct atl_folder),
	ATL_JSON_NO_PRESENT, false};

struct work {
	struct atl_arena *arena;
	const char *user_id, *id, *name;
	int64_t now_ms;
	struct atl_folder *items;
	size_t count;
	int64_t created_at;
};

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, name, created_at, updated_at FROM folders WHERE user_id = ? "
				     "ORDER BY name, id LIMIT ?",
				     "si", w->user_id, (int64_t)ATL_FOLDERS_MAX);
	if (err)
		return err;
	w->count = 0;
	while (atl_rows_next(rows, &err, info))
		w->items[w->count++] = (struct atl_folder){.id = atl_col_text(rows, 0, w->arena),
							   .name = atl_col_text(rows, 1, w->arena),
							   .created_at = atl_col_int(rows, 2),
							   .updated_at = atl_col_int(rows, 3)};
	return err;
}

enum atl_err atl_folder_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			     struct atl_folder **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = user_id};
	w.items = ATL_ARENA_ARRAY(arena, struct atl_folder, ATL_FOLDERS_MAX);
	if (!w.items)
		return atl_fail(info, ATL_ERR_NOMEM, "list");
	enum atl_err err = atl_db_read(app->db, list_fn, &w, info);
	if (err)
		return err;
	*ret = w.items;
	*ret_count = w.count;
	return ATL_OK;
}

static enum atl_err save_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t changed = 0;
	enum atl_err err;
	if (!w->created_at) {
		struct atl_rows *rows;
		err = atl_exec_count(conn, &changed, info,
				     "UPDATE folders SET name = ?, updated_at = ? WHERE id = ? AND user_id = ?", "siss",
				     w->name, w->now_ms, w->id, w->user_id);
		if (!err && !changed)
			err = atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such folder.");
		if (!err)
			err = atl_query(conn, &rows, info, "SELECT created_at FROM folders WHERE id = ?", "s", w->id);
		if (!err && atl_rows_next(rows, &err, info)) {
			w->items->created_at = atl_col_int(rows, 0);
			atl_rows_close(rows);
		}
		return err;
	}
	err = atl_exec_count(conn, &changed, info,
			     "INSERT INTO folders (id, user_id, name, created_at, updated_at) SELECT ?, ?, ?, ?, ? "
			     "WHERE (SELECT count(*) FROM folders WHERE user_id = ?) < ?",
			     "sssiisi", w->id, w->user_id, w->name, w->now_ms, w->now_ms, w->user_id,
			     (int64_t)ATL_FOLDERS_MAX);
	if (!err && !changed)
		err = atl_fail(info, ATL_ERR_CONFLICT, "There are %d folders already.", ATL_FOLDERS_MAX);
	w->items->created_at = w->created_at;
	return err;
}

enum atl_err atl_folder_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			     const char *id, const char *name, struct atl_folder *ret, struct atl_errinfo *info)
{
	struct atl_folder out = {.name = name};
	struct work w = {.arena = arena, .user_id = who->user_id, .id = id, .name = name, .items = &out};
	w.now_ms = atl_now_ms();
	if (!id) {
		char *fresh = atl_arena_alloc(arena, ATL_ID_SIZE);
		if (!fresh)
			return atl_fail(info, ATL_ERR_NOMEM, "folder");
		atl_id_new("fld", fresh);
		w.id = fresh;
		w.created_at = w.now_ms;
	}
	enum atl_err err = atl_db_tx(app->db, save_fn, &w, info);
	if (err)
		return err;
	out.id = w.id;
	out.updated_at = w.now_ms;
	*ret = out;
	atl_publish_id(app, who->user_id, "folder.changed", w.id, NULL, NULL);
	return ATL_OK;
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t changed;
	enum atl_err err = atl_exec_count(conn, &changed, info, "DELETE FROM folders WHERE id = ? AND user_id = ?", "ss",
					  w->id, w->user_id);
	if (err)
		return err;
	return changed ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such folder.");
}

enum atl_err atl_folder_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
			       struct atl_errinfo *info)
{
	struct work w = {.user_id = who->user_id, .id = id};
	enum atl_err err = atl_db_tx(app->db, delete_fn, &w, info);
	if (!err)
		atl_publish_id(app, who->user_id, "folder.changed", id, NULL, NULL);
	return err;
}
