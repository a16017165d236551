/* export_write.c - the entries of an export: a JSON file for each table, conversations, pictures. Memory is that of a page. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "core/chat/exchange.h"
#include "core/people/export.h"
#include "core/people/personal.h"
#include "core/pictures/asset_int.h"
#include "core/server/zip_write.h"

#define PAGE 100
#define PAGE_MAX ((size_t)512 << 20)
#define NAME_MAX_BYTES 300

static const char README[] =
	"Everything that this account has, as its Atelier server keeps it.\r\n\r\n"
	"conversations/  one file each; Settings, Import reads them again\r\n"
	"pictures/       pictures and videos as they are kept, with what they say of themselves\r\n"
	"data/           a JSON file for each kind of thing; times are UTC\r\n\r\n"
	"Passwords, keys and other secrets are not in it: the server keeps hashes of them, or seals them.\r\n";

struct writing {
	struct atl_app *app;
	const char *user_id;
	struct atl_zip *zip;
	struct atl_arena arena; /* of a page */
	struct atl_buf text;
	int64_t now_ms, done, total;
	atl_export_told_fn told;
	void *arg;
	/* a page */
	const struct atl_personal *table;
	int64_t offset, count;
	const char *ids[PAGE];
};

static enum atl_err step(struct writing *w, struct atl_errinfo *info)
{
	w->done++;
	if (atomic_load(&w->app->stopping))
		return atl_fail(info, ATL_ERR_SHUTDOWN, "The server stops.");
	return w->told(w->arg, w->done, w->total, info);
}

/* ---- tables ---- */

static void put_value(struct atl_jw *jw, struct atl_rows *rows, int col, char type, const char *name, struct atl_arena *arena)
{
	if (atl_col_null(rows, col)) {
		atl_jw_null(jw, name);
		return;
	}
	switch (type) {
	case 'i':
		atl_jw_int(jw, name, atl_col_int(rows, col));
		break;
	case 'b':
		atl_jw_bool(jw, name, atl_col_int(rows, col) != 0);
		break;
	case 't':
		atl_jw_time(jw, name, atl_col_int(rows, col));
		break;
	case 'j': {
		const char *json = atl_col_text(rows, col, arena);
		struct atl_json *tree;

		if (json && *json && atl_json_parse(arena, json, strlen(json), &tree, NULL) == ATL_OK)
			atl_jw_tree(jw, name, tree);
		else
			atl_jw_str(jw, name, json);
		break;
	}
	default:
		atl_jw_str(jw, name, atl_col_text(rows, col, arena));
	}
}

/* "p.asset_id, p.role" column by column; the part before the dot is not in the file. */
static void put_row(struct writing *w, struct atl_rows *rows)
{
	const char *at = w->table->columns;
	struct atl_jw jw;

	atl_jw_init(&jw, &w->text);
	atl_jw_object(&jw, NULL);
	for (int col = 0; w->table->types[col]; col++) {
		size_t length = strcspn(at, ",");
		const char *dot = memchr(at, '.', length);
		char name[64];

		if (dot)
			dot++;
		else
			dot = at;
		snprintf(name, sizeof(name), "%.*s", (int)(length - (size_t)(dot - at)), dot);
		put_value(&jw, rows, col, w->table->types[col], name, &w->arena);
		at += length + (at[length] ? 2 : 0);
	}
	atl_jw_end_object(&jw);
}

static enum atl_err page_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct writing *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, w->table->sql, "sii", w->user_id, (int64_t)PAGE, w->offset);

	w->count = 0;
	atl_buf_reset(&w->text);
	while (!err && atl_rows_next(rows, &err, info)) {
		atl_buf_adds(&w->text, w->offset + w->count ? ",\n" : "\n");
		put_row(w, rows);
		w->count++;
	}
	return err ? err : atl_buf_err(&w->text, info);
}

static enum atl_err put_table(struct writing *w, const struct atl_personal *table, struct atl_errinfo *info)
{
	char name[100];
	enum atl_err err;

	w->table = table;
	w->offset = 0;
	snprintf(name, sizeof(name), "data/%s.json", table->table);
	err = atl_zip_begin(w->zip, name, w->now_ms, info);
	if (!err)
		err = atl_zip_add(w->zip, "[", 1, info);
	do {
		if (!err)
			err = atl_db_read(w->app->db, page_read, w, info);
		if (!err)
			err = atl_zip_add(w->zip, w->text.data, w->text.length, info);
		w->offset += w->count;
		atl_arena_reset(&w->arena);
	} while (!err && w->count == PAGE);
	if (!err)
		err = atl_zip_add(w->zip, "\n]\n", 3, info);
	if (!err)
		err = atl_zip_end(w->zip, info);
	return err ? err : step(w, info);
}

/* ---- conversations and files ---- */

static enum atl_err ids_read(struct atl_conn *conn, const char *sql, struct writing *w, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, sql, "sii", w->user_id, (int64_t)PAGE, w->offset);

	w->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		w->ids[w->count++] = atl_col_text(rows, 0, &w->arena);
	return err;
}

static enum atl_err conversations_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return ids_read(conn, "SELECT id FROM conversations WHERE user_id = ? AND deleted_at IS NULL ORDER BY id LIMIT ? OFFSET ?", arg,
			info);
}

static enum atl_err assets_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	return ids_read(conn, "SELECT id FROM assets WHERE user_id = ? ORDER BY id LIMIT ? OFFSET ?", arg, info);
}

static enum atl_err put_conversation(struct writing *w, const char *id, struct atl_errinfo *info)
{
	struct atl_arena arena;
	const char *title;
	char name[NAME_MAX_BYTES];
	enum atl_err err;

	atl_arena_init(&arena, 0);
	atl_buf_reset(&w->text);
	err = atl_exchange_export(w->app, &arena, w->user_id, id, atl_exchange_format("atelier"), &w->text, &title, info);
	atl_arena_finish(&arena);
	if (err == ATL_ERR_NOT_FOUND) /* deleted meanwhile */
		return ATL_OK;
	snprintf(name, sizeof(name), "conversations/%s.json", id);
	if (!err)
		err = atl_zip_begin(w->zip, name, w->now_ms, info);
	if (!err)
		err = atl_zip_add(w->zip, w->text.data, w->text.length, info);
	return err ? err : atl_zip_end(w->zip, info);
}

struct one_asset {
	struct writing *w;
	const char *id;
	struct atl_asset asset;
};

static enum atl_err asset_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct one_asset *one = arg;

	return atl_asset_get_in(conn, &one->w->arena, one->w->user_id, one->id, &one->asset, info);
}

static enum atl_err put_asset(struct writing *w, const char *id, struct atl_errinfo *info)
{
	struct one_asset one = { .w = w, .id = id };
	const char *path, *file;
	char name[NAME_MAX_BYTES];
	enum atl_err err = atl_db_read(w->app->db, asset_read, &one, info);

	if (!err)
		err = atl_asset_path(w->app, &w->arena, &one.asset, 0, &path, info);
	if (err == ATL_ERR_NOT_FOUND)
		return ATL_OK;
	file = err ? NULL : atl_asset_file_name(&w->arena, &one.asset);
	if (!err && !file)
		err = atl_fail(info, ATL_ERR_NOMEM, "export");
	if (err)
		return err;
	snprintf(name, sizeof(name), "pictures/%.10s/%s", id + 4, file); /* the first half of an id is its time */
	err = atl_zip_begin(w->zip, name, one.asset.created_at, info);
	if (!err)
		err = atl_zip_add_file(w->zip, path, info);
	return err ? err : atl_zip_end(w->zip, info);
}

static enum atl_err put_each(struct writing *w, atl_db_fn page, enum atl_err (*put)(struct writing *, const char *, struct atl_errinfo *),
			     struct atl_errinfo *info)
{
	enum atl_err err;

	w->offset = 0;
	do {
		err = atl_db_read(w->app->db, page, w, info);
		for (int64_t i = 0; !err && i < w->count; i++) {
			err = put(w, w->ids[i], info);
			if (!err)
				err = step(w, info);
		}
		w->offset += w->count;
		atl_arena_reset(&w->arena);
	} while (!err && w->count == PAGE);
	return err;
}

static enum atl_err total_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct writing *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT (SELECT count(*) FROM conversations WHERE user_id = ? AND deleted_at IS NULL) + "
				     "(SELECT count(*) FROM assets WHERE user_id = ?)",
				     "ss", w->user_id, w->user_id);

	if (err || !atl_rows_next(rows, &err, info))
		return err;
	w->total = atl_col_int(rows, 0) + (int64_t)atl_personal_count;
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_export_write(struct atl_app *app, const char *user_id, const char *path, atl_export_told_fn told, void *arg,
			      int64_t *ret_bytes, struct atl_errinfo *info)
{
	struct writing w = { .app = app, .user_id = user_id, .told = told, .arg = arg, .now_ms = atl_now_ms() };
	enum atl_err err = atl_zip_create(path, &w.zip, info);

	if (err)
		return err;
	atl_arena_init(&w.arena, 0);
	atl_buf_init(&w.text, PAGE_MAX);
	err = atl_db_read(app->db, total_read, &w, info);
	if (!err)
		err = atl_zip_begin(w.zip, "README.txt", w.now_ms, info);
	if (!err)
		err = atl_zip_add(w.zip, README, sizeof(README) - 1, info);
	if (!err)
		err = atl_zip_end(w.zip, info);
	for (size_t i = 0; !err && i < atl_personal_count; i++)
		err = put_table(&w, &atl_personal_tables[i], info);
	if (!err)
		err = put_each(&w, conversations_read, put_conversation, info);
	if (!err)
		err = put_each(&w, assets_read, put_asset, info);
	if (!err)
		err = atl_zip_close(w.zip, ret_bytes, info);
	atl_zip_destroy(w.zip);
	atl_buf_finish(&w.text);
	atl_arena_finish(&w.arena);
	return err;
}
