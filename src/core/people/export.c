/* export.c - rows of exports, who may have one, and the files they stand for. */
#include "core/people/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "core/people/user_int.h"
#include "db/db.h"
#include "os/file.h"
#include "os/pool.h"

#define MODULE "export"
#define PATH_SIZE 4300
#define TOLD_MS 500

#define OFF(member) offsetof(struct atl_export, member)
static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "state", ATL_JT_STR, OFF(state), ATL_JF_REQUIRED, .doc = "running, done, failed" },
	{ "done", ATL_JT_INT, OFF(done), ATL_JF_REQUIRED, .doc = "entries written" },
	{ "total", ATL_JT_INT, OFF(total), ATL_JF_REQUIRED, .doc = "0: not known yet" },
	{ "size_bytes", ATL_JT_INT, OFF(size_bytes), ATL_JF_REQUIRED },
	{ "error_slug", ATL_JT_STR, OFF(error_slug), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
	{ "by_other", ATL_JT_BOOL, OFF(by_other), ATL_JF_REQUIRED, .doc = "made by somebody who manages people" },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
	{ "finished_at", ATL_JT_TIME, OFF(finished_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
};
const struct atl_json_desc atl_export_desc = { "Export", "Everything that is a person's, as one file; kept for a day.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_export), ATL_JSON_NO_PRESENT, false };

static void path_of(const struct atl_app *app, const char *id, char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%s/exports/%s.zip", app->data_dir, id);
}

/* ---- rows ---- */

struct work {
	const struct atl_identity *who;
	const char *user_id, *id, *state, *error_slug;
	struct atl_arena *arena;
	struct atl_export *items;
	size_t count;
	int64_t now_ms, done, total, size_bytes, changed;
};

static enum atl_err may(struct atl_conn *conn, const struct work *w, struct atl_errinfo *info)
{
	return atl_str_eq(w->who->user_id, w->user_id) ? ATL_OK : atl_user_may_touch(conn, w->who, w->user_id, false, info);
}

static enum atl_err list_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = may(conn, w, info);

	w->count = 0;
	if (!err)
		err = atl_query(conn, &rows, info,
				"SELECT id, state, done, total, size_bytes, error_slug, by_user_id, created_at, finished_at FROM exports "
				"WHERE user_id = ? ORDER BY id DESC LIMIT ?", "si", w->user_id, (int64_t)ATL_EXPORTS_LISTED);
	while (!err && atl_rows_next(rows, &err, info)) {
		struct atl_export *one = &w->items[w->count++];

		*one = (struct atl_export){ .id = atl_col_text(rows, 0, w->arena), .state = atl_col_text(rows, 1, w->arena),
					    .done = atl_col_int(rows, 2), .total = atl_col_int(rows, 3),
					    .size_bytes = atl_col_int(rows, 4), .error_slug = atl_col_text(rows, 5, w->arena),
					    .created_at = atl_col_int(rows, 7), .finished_at = atl_col_int(rows, 8) };
		one->by_other = !atl_str_eq(atl_col_text(rows, 6, w->arena), w->user_id);
	}
	return err;
}

enum atl_err atl_export_list(struct atl_app *app, const struct atl_identity *who, const char *user_id, struct atl_arena *arena,
			     struct atl_export **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct work w = { .who = who, .user_id = user_id, .arena = arena,
			  .items = ATL_ARENA_ARRAY(arena, struct atl_export, ATL_EXPORTS_LISTED + 1) };
	enum atl_err err = w.items ? atl_db_read(app->db, list_read, &w, info) : atl_fail(info, ATL_ERR_NOMEM, "list exports");

	*ret = w.items;
	*ret_count = w.count;
	return err;
}

enum atl_err atl_export_file(struct atl_app *app, const struct atl_identity *who, const char *user_id, const char *id,
			     struct atl_arena *arena, const char **ret_path, struct atl_errinfo *info)
{
	char path[PATH_SIZE];
	struct atl_export *items;
	size_t count;
	enum atl_err err = atl_export_list(app, who, user_id, arena, &items, &count, info);

	for (size_t i = 0; !err && i < count; i++) {
		if (!atl_str_eq(items[i].id, id))
			continue;
		if (!atl_str_eq(items[i].state, "done"))
			return atl_fail(info, ATL_ERR_CONFLICT, "This export is not finished.");
		path_of(app, id, path);
		if (access(path, R_OK) != 0)
			break;
		if (!atl_str_eq(who->user_id, user_id))
			atl_audit_now(app, &(struct atl_audit){ .who = who, .action = "user.export.download", .target_kind = "user",
								.target_id = user_id, .note = id });
		*ret_path = atl_arena_strdup(arena, path);
		return *ret_path ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "export");
	}
	return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such export.");
}

/* ---- writing one ---- */

struct run {
	struct atl_app *app;
	char id[ATL_ID_SIZE], user_id[ATL_ID_SIZE];
	int64_t told_ms, total;
};

static enum atl_err progress_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;

	return atl_exec_count(conn, &w->changed, info,
			      "UPDATE exports SET state = ?, done = ?, total = ?, size_bytes = ?, error_slug = ?, finished_at = ? "
			      "WHERE id = ? AND state = 'running'",
			      "siiists", w->state, w->done, w->total, w->size_bytes, w->error_slug, w->now_ms, w->id);
}

static enum atl_err told(void *arg, int64_t done, int64_t total, struct atl_errinfo *info)
{
	struct run *run = arg;
	struct work w = { .id = run->id, .state = "running", .done = done, .total = total };
	int64_t now = atl_now_ms();
	enum atl_err err;

	run->total = total;
	if (atomic_load(&run->app->stopping))
		return atl_fail(info, ATL_ERR_SHUTDOWN, "The server stops; the export has to be asked for again.");
	if (now - run->told_ms < TOLD_MS && done < total)
		return ATL_OK;
	run->told_ms = now;
	err = atl_db_tx(run->app->db, progress_tx, &w, info);
	if (!err && !w.changed) /* the account or the row went */
		err = atl_fail(info, ATL_ERR_CANCELLED, "The export is no longer wanted.");
	return err;
}

static void write_it(void *arg)
{
	struct run *run = arg;
	struct atl_errinfo info = { 0 };
	char path[PATH_SIZE], part[PATH_SIZE + 8];
	struct work w = { .id = run->id };
	enum atl_err err;

	path_of(run->app, run->id, path);
	snprintf(part, sizeof(part), "%s.part", path);
	err = atl_export_write(run->app, run->user_id, part, told, run, &w.size_bytes, &info);
	if (!err)
		err = atl_file_move(part, path, &info);
	if (err) {
		unlink(part);
		if (err != ATL_ERR_CANCELLED)
			atl_warn(MODULE, "%s: %s %s", run->id, atl_err_name(err), info.detail);
	}
	w.state = err ? "failed" : "done";
	w.error_slug = err ? atl_err_slug(err) : NULL;
	w.now_ms = atl_now_ms();
	w.done = w.total = run->total;
	if (atl_db_tx(run->app->db, progress_tx, &w, &info) != ATL_OK || !w.changed)
		unlink(path); /* nobody would find it */
	free(run);
}

static enum atl_err start_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = may(conn, w, info);

	if (!err)
		err = atl_query(conn, &rows, info, "SELECT 1 FROM exports WHERE user_id = ? AND state = 'running'", "s", w->user_id);
	if (err)
		return err;
	if (atl_rows_next(rows, &err, info)) {
		atl_rows_close(rows);
		return atl_fail(info, ATL_ERR_CONFLICT, "An export is being written already.");
	}
	if (!err) /* the next one replaces it; its file goes with the next purge */
		err = atl_exec(conn, info, "DELETE FROM exports WHERE user_id = ?", "s", w->user_id);
	return err ? err : atl_exec(conn, info,
				    "INSERT INTO exports (id, user_id, by_user_id, state, done, total, size_bytes, created_at) "
				    "VALUES (?, ?, ?, 'running', 0, 0, 0, ?)", "sssi", w->id, w->user_id, w->who->user_id, w->now_ms);
}

enum atl_err atl_export_start(struct atl_app *app, const struct atl_identity *who, const char *user_id, struct atl_arena *arena,
			      struct atl_export *ret, struct atl_errinfo *info)
{
	struct run *run = calloc(1, sizeof(*run));
	struct work w = { .who = who, .user_id = user_id, .now_ms = atl_now_ms() };
	char folder[PATH_SIZE];
	enum atl_err err;

	if (!run)
		return atl_fail(info, ATL_ERR_NOMEM, "export");
	run->app = app;
	atl_id_new("exp", run->id);
	atl_str_copy(run->user_id, sizeof(run->user_id), user_id);
	w.id = run->id;
	snprintf(folder, sizeof(folder), "%s/exports", app->data_dir);
	*ret = (struct atl_export){ .id = atl_arena_strdup(arena, run->id), .state = "running", .created_at = w.now_ms,
				    .by_other = !atl_str_eq(who->user_id, user_id) };
	err = ret->id ? atl_dir_make(folder, 0700, info) : atl_fail(info, ATL_ERR_NOMEM, "export");
	if (!err)
		err = atl_audit_tx(app->db, start_tx, &w, &(struct atl_audit){ .who = who, .action = "user.export",
				   .target_kind = "user", .target_id = user_id, .note = run->id }, info);
	if (!err && atl_pool_submit(app->pool, write_it, run) != ATL_OK) {
		w.state = "failed";
		w.error_slug = atl_err_slug(ATL_ERR_UNAVAILABLE);
		err = atl_db_tx(app->db, progress_tx, &w, info);
		if (!err)
			err = atl_fail(info, ATL_ERR_UNAVAILABLE, "The server is too busy.");
	}
	if (err)
		free(run);
	return err;
}

/* ---- what is left ---- */

static enum atl_err recover_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;

	return atl_exec(conn, info, "UPDATE exports SET state = 'failed', error_slug = ?, finished_at = ? WHERE state = 'running'", "si",
			atl_err_slug(ATL_ERR_SHUTDOWN), w->now_ms);
}

static enum atl_err old_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;

	return atl_exec(conn, info, "DELETE FROM exports WHERE created_at < ? AND state <> 'running'", "i", w->now_ms - ATL_EXPORT_KEPT_MS);
}

static enum atl_err known_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT 1 FROM exports WHERE id = ? AND state <> 'failed'", "s", w->id);

	if (err)
		return err;
	w->changed = atl_rows_next(rows, &err, info);
	if (w->changed)
		atl_rows_close(rows);
	return err;
}

enum atl_err atl_exports_purge(struct atl_app *app, struct atl_errinfo *info)
{
	struct work w = { .now_ms = atl_now_ms() };
	char folder[PATH_SIZE], path[PATH_SIZE + 260], id[ATL_ID_SIZE];
	struct atl_arena arena;
	const char **names = NULL;
	size_t count = 0;
	enum atl_err err = atl_db_tx(app->db, old_tx, &w, info);

	snprintf(folder, sizeof(folder), "%s/exports", app->data_dir);
	if (err || access(folder, F_OK) != 0)
		return err;
	atl_arena_init(&arena, 0);
	err = atl_dir_list(&arena, folder, &names, &count, info);
	for (size_t i = 0; !err && i < count; i++) {
		snprintf(id, sizeof(id), "%.*s", (int)strcspn(names[i], "."), names[i]);
		w.id = id;
		err = atl_db_read(app->db, known_read, &w, info);
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		if (!err && !w.changed && unlink(path) != 0)
			atl_warn(MODULE, "%s stays", names[i]);
	}
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_exports_recover(struct atl_app *app, struct atl_errinfo *info)
{
	struct work w = { .now_ms = atl_now_ms() };
	enum atl_err err = atl_db_tx(app->db, recover_tx, &w, info);

	return err ? err : atl_exports_purge(app, info);
}
