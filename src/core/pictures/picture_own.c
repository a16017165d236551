/* picture_own.c - see picture_own.h. */
#include "core/pictures/picture_own.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/pictures/picture_entry.h"
#include "core/server/events.h"
#include "db/db.h"

#define OFF(member) offsetof(struct atl_picture_own, member)
static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "entry", ATL_JT_ANY, OFF(entry), ATL_JF_REQUIRED, .doc = "provider_kind, remote_id, name, kind, tasks, params ..." },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
	{ "updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_picture_own_desc = { "PictureEntry", "An entry of the operator in the model registry.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_picture_own), ATL_JSON_NO_PRESENT, false };

struct work {
	struct atl_arena *arena;
	const char *id, *text;
	struct atl_picture_own *items;
	size_t count;
	int64_t now_ms;
};

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, entry, created_at, updated_at FROM picture_models ORDER BY id LIMIT ?", "i",
				     (int64_t)ATL_PICTURE_OWN_MAX);

	w->count = 0;
	while (!err && atl_rows_next(rows, &err, info)) {
		const char *text = atl_col_text(rows, 1, w->arena);
		struct atl_json *tree = NULL;

		if (text && atl_json_parse(w->arena, text, strlen(text), &tree, NULL) == ATL_OK)
			w->items[w->count++] = (struct atl_picture_own){ atl_col_text(rows, 0, w->arena), tree, atl_col_int(rows, 2),
									 atl_col_int(rows, 3) };
	}
	return err;
}

enum atl_err atl_picture_own_list(struct atl_app *app, struct atl_arena *arena, struct atl_picture_own **ret,
				  size_t *ret_count, struct atl_errinfo *info)
{
	struct work w = { .arena = arena };
	enum atl_err err;

	w.items = ATL_ARENA_ARRAY(arena, struct atl_picture_own, ATL_PICTURE_OWN_MAX);
	if (!w.items)
		return atl_fail(info, ATL_ERR_NOMEM, "entries");
	err = atl_db_read(app->db, list_fn, &w, info);
	if (err)
		return err;
	*ret = w.items;
	*ret_count = w.count;
	return ATL_OK;
}

static enum atl_err save_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	char *fresh = atl_arena_alloc(w->arena, ATL_ID_SIZE);
	int64_t changed;
	enum atl_err err;

	if (!fresh)
		return atl_fail(info, ATL_ERR_NOMEM, "entry");
	if (w->id) {
		err = atl_exec_count(conn, &changed, info, "UPDATE picture_models SET entry = ?, updated_at = ? WHERE id = ?", "sis",
				     w->text, w->now_ms, w->id);
		return err ? err : changed ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such entry.");
	}
	atl_id_new("pmd", fresh);
	err = atl_exec_count(conn, &changed, info,
			     "INSERT INTO picture_models (id, entry, created_at, updated_at) SELECT ?, ?, ?, ? "
			     "WHERE (SELECT count(*) FROM picture_models) < ?",
			     "ssiii", fresh, w->text, w->now_ms, w->now_ms, (int64_t)ATL_PICTURE_OWN_MAX);
	if (!err && !changed)
		return atl_fail(info, ATL_ERR_CONFLICT, "There are %d entries already.", ATL_PICTURE_OWN_MAX);
	w->id = fresh;
	return err;
}

static void changed(struct atl_app *app)
{
	if (app->picture_models)
		atl_picture_models_changed(app->picture_models);
	if (app->events)
		atl_events_publish_all(app->events, "picture_models.changed", "{}", 2);
}

enum atl_err atl_picture_own_save(struct atl_app *app, struct atl_arena *arena, const char *id, const struct atl_json *entry,
				  struct atl_picture_own *ret, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .id = id, .now_ms = atl_now_ms() };
	struct atl_picture_entries builtin;
	struct atl_picture_model model;
	struct atl_buf buf;
	struct atl_jw jw;
	enum atl_err err = atl_picture_entries_load(arena, atl_picture_registry_texts, &builtin, info);

	if (!err)
		err = atl_picture_entry_read(arena, &builtin, entry, &model, info);
	if (!err && !atl_image_ops_find(model.provider_kind))
		err = atl_fail_field(info, ATL_ERR_INVALID, "provider_kind", "there is no kind \"%s\"", model.provider_kind);
	/* the files of a local model stay in the models folder */
	for (const struct atl_json *f = !err && model.files ? model.files->child : NULL; f && !err; f = f->next)
		if (strchr(atl_json_str(f, "file", "/"), '/') || atl_json_str(f, "file", ".")[0] == '.')
			err = atl_fail_field(info, ATL_ERR_INVALID, "files", "%s: `file` is a plain file name", f->key);
	if (!err && atl_str_eq(model.provider_kind, "local") && !atl_str_starts(model.id, "local/"))
		err = atl_fail_field(info, ATL_ERR_INVALID, "id", "of a local model begins with local/");
	if (err)
		return err;
	atl_buf_init(&buf, ATL_PICTURE_ENTRY_MAX);
	atl_jw_init(&jw, &buf);
	atl_jw_tree(&jw, NULL, entry);
	err = atl_buf_err(&buf, info);
	if (!err) {
		w.text = buf.data;
		err = atl_db_tx(app->db, save_fn, &w, info);
	}
	atl_buf_finish(&buf);
	if (err)
		return err;
	*ret = (struct atl_picture_own){ w.id, entry, w.now_ms, w.now_ms };
	changed(app);
	return ATL_OK;
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	int64_t count;
	enum atl_err err = atl_exec_count(conn, &count, info, "DELETE FROM picture_models WHERE id = ?", "s", (const char *)arg);

	return err ? err : count ? ATL_OK : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such entry.");
}

enum atl_err atl_picture_own_delete(struct atl_app *app, const char *id, struct atl_errinfo *info)
{
	enum atl_err err = atl_db_tx(app->db, delete_fn, (void *)id, info);

	if (!err)
		changed(app);
	return err;
}
