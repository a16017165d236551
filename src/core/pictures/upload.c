/* upload.c - see upload.h. */
#include "core/people/rights.h"
#include "core/pictures/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "db/db.h"
#include "os/file.h"

#define MODULE "uploads"
#define OFF(member) offsetof(struct atl_upload, member)
#define COPY_CHUNK ((size_t)256 << 10)
#define PURGE_BATCH 100

static const struct atl_json_field FIELDS[] = {
	{"id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED},
	{"size_bytes", ATL_JT_INT, OFF(size_bytes), ATL_JF_REQUIRED},
	{"received_bytes", ATL_JT_INT, OFF(received_bytes), ATL_JF_REQUIRED, .doc = "the next piece's Upload-Offset"},
	{"created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED},
	{"updated_at", ATL_JT_TIME, OFF(updated_at), ATL_JF_REQUIRED},
};
const struct atl_json_desc atl_upload_desc = {"Upload",
					      "A file that comes in pieces.",
					      FIELDS,
					      ATL_COUNT(FIELDS),
					      sizeof(struct atl_upload),
					      ATL_JSON_NO_PRESENT,
					      false};

/* One piece at a time in this process: two writers of one upload would mix their bytes. */
static pthread_mutex_t append_lock = PTHREAD_MUTEX_INITIALIZER;

struct work {
	struct atl_arena *arena;
	const char *user_id, *id;
	int64_t size_bytes, offset, now_ms;
	struct atl_upload out;
};

static const char *path_of(const struct atl_app *app, struct atl_arena *arena, const char *id)
{
	return atl_arena_printf(arena, "%s/%s.part", app->upload_dir, id);
}

static enum atl_err get_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, size_bytes, received_bytes, created_at, updated_at FROM uploads "
				     "WHERE id = ? AND user_id = ?",
				     "ss", w->id, w->user_id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such upload.");
	w->out = (struct atl_upload){.id = atl_col_text(rows, 0, w->arena),
				     .size_bytes = atl_col_int(rows, 1),
				     .received_bytes = atl_col_int(rows, 2),
				     .created_at = atl_col_int(rows, 3),
				     .updated_at = atl_col_int(rows, 4)};
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_upload_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			    struct atl_upload *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = user_id, .id = id};
	enum atl_err err = atl_db_read(app->db, get_fn, &w, info);
	if (!err)
		*ret = w.out;
	return err;
}

static enum atl_err create_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	enum atl_err err = atl_exec(conn, info,
				    "INSERT INTO uploads (id, user_id, size_bytes, received_bytes, created_at, updated_at) "
				    "SELECT ?, ?, ?, 0, ?, ? WHERE (SELECT count(*) FROM uploads WHERE user_id = ?) < ?",
				    "ssiiisi", w->id, w->user_id, w->size_bytes, w->now_ms, w->now_ms, w->user_id,
				    (int64_t)ATL_UPLOADS_MAX);
	if (!err)
		err = get_fn(conn, w, info);
	return err == ATL_ERR_NOT_FOUND
		       ? atl_fail(info, ATL_ERR_CONFLICT, "%d uploads are not finished. Finish or delete some.", ATL_UPLOADS_MAX)
		       : err;
}

enum atl_err atl_upload_create(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			       int64_t size_bytes, struct atl_upload *ret, struct atl_errinfo *info)
{
	char id[ATL_ID_SIZE];
	uint64_t room = 0;
	struct work w = {.arena = arena, .user_id = who->user_id, .id = id, .size_bytes = size_bytes, .now_ms = atl_now_ms()};
	if (size_bytes < 1 || size_bytes > (int64_t)ATL_ASSET_VIDEO_BYTES_MAX)
		return atl_fail_field(info, ATL_ERR_TOO_LARGE, "size_bytes", "A file may have at most %d MiB.",
				      (int)(ATL_ASSET_VIDEO_BYTES_MAX >> 20));
	enum atl_err err = atl_rights_room(app, who, size_bytes, info);
	if (!err)
		err = atl_disk_free(app->upload_dir, &room, info);
	if (!err && room < (uint64_t)size_bytes + ATL_UPLOAD_DISK_SPARE)
		err = atl_fail(info, ATL_ERR_DISK, "The server's disk has no room for this file.");
	atl_id_new("upl", id);
	if (!err)
		err = atl_db_tx(app->db, create_fn, &w, info);
	if (!err)
		*ret = w.out;
	return err;
}

/* ---- pieces ---- */

static enum atl_err copy_piece(int from, int to, int64_t offset, struct atl_errinfo *info)
{
	char *chunk = malloc(COPY_CHUNK);
	ssize_t got = chunk ? 1 : -1;
	if (!chunk)
		return atl_fail(info, ATL_ERR_NOMEM, "upload");
	while (got > 0) {
		got = read(from, chunk, COPY_CHUNK);
		for (ssize_t done = 0; got > 0 && done < got;) {
			ssize_t put = pwrite(to, chunk + done, (size_t)(got - done), (off_t)(offset + done));
			if (put <= 0) {
				got = -1;
				break;
			}
			done += put;
		}
		offset += got > 0 ? got : 0;
	}
	free(chunk);
	if (got < 0)
		return errno == ENOSPC ? atl_fail(info, ATL_ERR_DISK, "The server's disk is full.")
				       : atl_fail(info, ATL_ERR_IO, "writing an upload: %s", strerror(errno));
	return fsync(to) == 0 ? ATL_OK : atl_fail(info, ATL_ERR_IO, "writing an upload: %s", strerror(errno));
}

static enum atl_err write_piece(const struct atl_app *app, struct atl_arena *arena, const char *id, int64_t offset,
				const char *piece_path, struct atl_errinfo *info)
{
	int from = -1, to = -1;
	const char *path = path_of(app, arena, id);
	enum atl_err err = path ? atl_file_open(piece_path, O_RDONLY | O_NOFOLLOW, 0, &from, info)
				: atl_fail(info, ATL_ERR_NOMEM, "upload");
	if (err)
		return err;
	err = atl_file_open(path, O_CREAT | O_WRONLY | O_NOFOLLOW, 0600, &to, info);
	if (!err)
		err = copy_piece(from, to, offset, info);
	close(from);
	if (to >= 0)
		close(to);
	return err;
}

static enum atl_err advance_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE uploads SET received_bytes = ?, updated_at = ? WHERE id = ? AND user_id = ? "
					  "AND received_bytes = ?",
					  "iissi", w->offset + w->size_bytes, w->now_ms, w->id, w->user_id, w->offset);
	if (!err && !changed)
		err = atl_fail(info, ATL_ERR_CONFLICT, "The upload has gone on meanwhile.");
	return err ? err : get_fn(conn, w, info);
}

static enum atl_err append(struct atl_app *app, struct work *w, const char *piece_path, struct atl_errinfo *info)
{
	uint64_t length = 0;
	enum atl_err err = atl_db_read(app->db, get_fn, w, info);
	if (!err && w->out.received_bytes != w->offset)
		err = atl_fail_field(info, ATL_ERR_CONFLICT, "Upload-Offset", "The upload goes on at byte %lld.",
				     (long long)w->out.received_bytes);
	if (!err)
		err = atl_file_size(piece_path, &length, info);
	if (!err && length > (uint64_t)(w->out.size_bytes - w->offset))
		err = atl_fail(info, ATL_ERR_TOO_LARGE, "The file was announced with %lld bytes.",
			       (long long)w->out.size_bytes);
	if (!err)
		err = write_piece(app, w->arena, w->id, w->offset, piece_path, info);
	w->size_bytes = (int64_t)length;
	return err ? err : atl_db_tx(app->db, advance_fn, w, info);
}

enum atl_err atl_upload_append(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       int64_t offset, const char *piece_path, struct atl_upload *ret, struct atl_errinfo *info)
{
	struct work w = {.arena = arena, .user_id = user_id, .id = id, .offset = offset, .now_ms = atl_now_ms()};
	pthread_mutex_lock(&append_lock);
	enum atl_err err = append(app, &w, piece_path, info);
	pthread_mutex_unlock(&append_lock);
	if (!err)
		*ret = w.out;
	return err;
}

/* ---- the end ---- */

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info, "DELETE FROM uploads WHERE id = ? AND user_id = ?", "ss",
					  w->id, w->user_id);
	return !err && !changed ? atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such upload.") : err;
}

enum atl_err atl_upload_delete(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       struct atl_errinfo *info)
{
	struct work w = {.user_id = user_id, .id = id};
	enum atl_err err = atl_db_tx(app->db, delete_fn, &w, info);
	const char *path = err ? NULL : path_of(app, arena, id);
	if (path && unlink(path) != 0 && errno != ENOENT) /* without a row it goes at the next start */
		atl_warn(MODULE, "removing %s: %s", id, strerror(errno));
	return err;
}

/* Errors that trying again does not mend. */
static bool is_final(enum atl_err err)
{
	return err == ATL_OK || err == ATL_ERR_PICTURE || err == ATL_ERR_TOO_LARGE || err == ATL_ERR_NOT_FOUND;
}

enum atl_err atl_upload_finish(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			       bool library, struct atl_asset *ret, struct atl_errinfo *info)
{
	struct atl_upload upload;
	enum atl_err err = atl_upload_get(app, arena, who->user_id, id, &upload, info);
	if (!err && upload.received_bytes != upload.size_bytes)
		err = atl_fail(info, ATL_ERR_CONFLICT, "%lld of %lld bytes are there.", (long long)upload.received_bytes,
			       (long long)upload.size_bytes);
	const char *path = err ? NULL : path_of(app, arena, id);
	if (!err && !path)
		err = atl_fail(info, ATL_ERR_NOMEM, "upload");
	if (err)
		return err;
	struct atl_errinfo ignored = {0};
	err = atl_asset_upload_file(app, who, arena, path, library, NULL, ret, info);
	if (is_final(err) && atl_upload_delete(app, arena, who->user_id, id, &ignored))
		atl_warn(MODULE, "%s is finished but not deleted: %s", id, ignored.detail);
	return err;
}

/* ---- leftovers ---- */

struct old {
	struct atl_arena *arena;
	int64_t before_ms;
	const char *ids[PURGE_BATCH], *user_ids[PURGE_BATCH];
	size_t count;
};

static enum atl_err old_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct old *old = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, user_id FROM uploads WHERE updated_at < ? ORDER BY id LIMIT ?", "ii",
				     old->before_ms, (int64_t)PURGE_BATCH);
	if (err)
		return err;
	old->count = 0;
	while (atl_rows_next(rows, &err, info)) {
		old->ids[old->count] = atl_col_text(rows, 0, old->arena);
		old->user_ids[old->count++] = atl_col_text(rows, 1, old->arena);
	}
	return err;
}

enum atl_err atl_uploads_purge(struct atl_app *app, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct old old = {.arena = &arena, .before_ms = atl_now_ms() - ATL_UPLOAD_TTL_MS};
	atl_arena_init(&arena, 0);
	enum atl_err err = atl_db_read(app->db, old_fn, &old, info);
	for (size_t i = 0; i < old.count && !err; i++)
		err = atl_upload_delete(app, &arena, old.user_ids[i], old.ids[i], info);
	atl_arena_finish(&arena);
	return err == ATL_ERR_NOT_FOUND ? ATL_OK : err; /* its owner was faster */
}

struct known {
	const char *id;
	bool found;
};

static enum atl_err known_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct known *k = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT 1 FROM uploads WHERE id = ?", "s", k->id);
	if (err)
		return err;
	k->found = atl_rows_next(rows, &err, info);
	if (k->found)
		atl_rows_close(rows);
	return err;
}

enum atl_err atl_uploads_recover(struct atl_app *app, struct atl_errinfo *info)
{
	struct atl_arena arena;
	const char **names = NULL;
	size_t count = 0;
	atl_arena_init(&arena, 0);
	enum atl_err err = atl_dir_list(&arena, app->upload_dir, &names, &count, info);
	for (size_t i = 0; i < count && !err; i++) {
		if (!atl_str_starts(names[i], "upl_") || !atl_str_ends(names[i], ".part"))
			continue;
		struct known known = {.id = atl_arena_strndup(&arena, names[i], strlen(names[i]) - strlen(".part"))};
		if (!known.id)
			continue;
		err = atl_db_read(app->db, known_fn, &known, info);
		const char *path = err || known.found ? NULL : path_of(app, &arena, known.id);
		if (path && unlink(path) != 0)
			atl_warn(MODULE, "removing %s: %s", known.id, strerror(errno));
	}
	atl_arena_finish(&arena);
	return err;
}
