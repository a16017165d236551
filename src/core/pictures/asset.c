/* asset.c - rows of assets: the descriptor, reading, the files behind them. Storing: asset_store.c. */
#include "core/pictures/asset.h"

#include "base/str.h"
#include "blob/blob.h"
#include "core/pictures/asset_int.h"
#include "core/safety/hold.h"
#include "core/server/publish.h"
#include "os/file.h"

#define OFF(member) offsetof(struct atl_asset, member)
#define R ATL_JF_REQUIRED
#define N (ATL_JF_REQUIRED | ATL_JF_NULLABLE)

static const struct atl_json_field FIELDS[] = {
	{"id", ATL_JT_STR, OFF(id), R},
	{"kind", ATL_JT_STR, OFF(kind), R, .doc = "picture, video"},
	{"origin", ATL_JT_STR, OFF(origin), R, .doc = "upload, starter, generated, mask"},
	{"sha256", ATL_JT_STR, OFF(sha256), R, .doc = "of the file"},
	{"media_type", ATL_JT_STR, OFF(media_type), R},
	{"size_bytes", ATL_JT_INT, OFF(size_bytes), R},
	{"width", ATL_JT_INT, OFF(width), R},
	{"height", ATL_JT_INT, OFF(height), R},
	{"duration_ms", ATL_JT_INT, OFF(duration_ms), R, .doc = "of a video"},
	{"library", ATL_JT_BOOL, OFF(library), R, .doc = "false: an avatar or an input, not listed"},
	{"job_id", ATL_JT_STR, OFF(job_id), N},
	{"job_index", ATL_JT_INT, OFF(job_index), R},
	{"task", ATL_JT_STR, OFF(task), N},
	{"model", ATL_JT_STR, OFF(model), N},
	{"title", ATL_JT_STR, OFF(title), R},
	{"prompt", ATL_JT_STR, OFF(prompt), R},
	{"seed", ATL_JT_INT, OFF(seed), R, .doc = "-1: none"},
	{"character_id", ATL_JT_STR, OFF(character_id), N},
	{"conversation_id", ATL_JT_STR, OFF(conversation_id), N},
	{"message_id", ATL_JT_STR, OFF(message_id), N, .doc = "the message it was made for"},
	{"starred", ATL_JT_BOOL, OFF(starred), R},
	{"rating", ATL_JT_INT, OFF(rating), R, .doc = "0: none, to 5"},
	{"blur_hash", ATL_JT_STR, OFF(blur_hash), N},
	{"check", ATL_JT_STR, OFF(check), N, .doc = "clear; blur: shown after a click; held: nobody sees it before a review; null: not judged"},
	{"version", ATL_JT_INT, OFF(version), R},
	{"created_at", ATL_JT_TIME, OFF(created_at), R},
	{"updated_at", ATL_JT_TIME, OFF(updated_at), R},
	{"deleted_at", ATL_JT_TIME, OFF(deleted_at), N, .doc = "when it went to the trash"},
};
const struct atl_json_desc atl_asset_desc = {"Asset",
					     "A stored picture or video.",
					     FIELDS,
					     ATL_COUNT(FIELDS),
					     sizeof(struct atl_asset),
					     ATL_JSON_NO_PRESENT,
					     false};

const char *atl_asset_variant(int64_t width)
{
	switch (width) {
#define WIDTH(n) \
	case n:  \
		return "w" #n;
		ATL_ASSET_THUMB_LIST(WIDTH)
#undef WIDTH
	}
	return NULL;
}

void atl_asset_row_at(struct atl_rows *rows, int at, struct atl_arena *arena, struct atl_asset *out)
{
	*out = (struct atl_asset){.id = atl_col_text(rows, at, arena),
				  .user_id = atl_col_text(rows, at + 1, arena),
				  .sha256 = atl_col_text(rows, at + 2, arena),
				  .media_type = atl_col_text(rows, at + 3, arena),
				  .kind = atl_col_text(rows, at + 4, arena),
				  .origin = atl_col_text(rows, at + 5, arena),
				  .size_bytes = atl_col_int(rows, at + 6),
				  .width = atl_col_int(rows, at + 7),
				  .height = atl_col_int(rows, at + 8),
				  .duration_ms = atl_col_int(rows, at + 9),
				  .library = atl_col_int(rows, at + 10) != 0,
				  .job_id = atl_col_text(rows, at + 11, arena),
				  .task = atl_col_text(rows, at + 12, arena),
				  .model = atl_col_text(rows, at + 13, arena),
				  .job_index = atl_col_int(rows, at + 14),
				  .title = atl_col_text(rows, at + 15, arena),
				  .prompt = atl_col_text(rows, at + 16, arena),
				  .seed = atl_col_null(rows, at + 17) ? -1 : atl_col_int(rows, at + 17),
				  .character_id = atl_col_text(rows, at + 18, arena),
				  .conversation_id = atl_col_text(rows, at + 19, arena),
				  .starred = atl_col_int(rows, at + 20) != 0,
				  .rating = atl_col_int(rows, at + 21),
				  .blur_hash = atl_col_text(rows, at + 22, arena),
				  .version = atl_col_int(rows, at + 23),
				  .created_at = atl_col_int(rows, at + 24),
				  .updated_at = atl_col_int(rows, at + 25),
				  .deleted_at = atl_col_int(rows, at + 26),
				  .message_id = atl_col_text(rows, at + 27, arena),
				  .held = atl_col_int(rows, at + 28),
				  .check = atl_col_text(rows, at + 29, arena)};
	if (out->updated_at == 0) /* rows from before there was a library */
		out->updated_at = out->created_at;
}

void atl_asset_row(struct atl_rows *rows, struct atl_arena *arena, struct atl_asset *out)
{
	atl_asset_row_at(rows, 0, arena, out);
}

enum atl_err atl_asset_get_in(struct atl_conn *conn, struct atl_arena *arena, const char *user_id, const char *id,
			      struct atl_asset *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " ATL_ASSET_COLUMNS " FROM assets a WHERE a.id = ? AND a.user_id = ?", "ss", id,
				     user_id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such picture.");
	atl_asset_row(rows, arena, ret);
	atl_rows_close(rows);
	if (atl_hold_hides(ret->held))
		return atl_fail(info, ATL_ERR_FORBIDDEN, "Moderators hold this picture back. Settings, Notices says why.");
	return ATL_OK;
}

struct find {
	struct atl_arena *arena;
	const char *user_id, *id;
	struct atl_asset out;
	const char *params;
};

static enum atl_err get_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct find *f = arg;
	return atl_asset_get_in(conn, f->arena, f->user_id, f->id, &f->out, info);
}

enum atl_err atl_asset_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			   struct atl_asset *ret, struct atl_errinfo *info)
{
	struct find f = {.arena = arena, .user_id = user_id, .id = id};
	enum atl_err err = atl_db_read(app->db, get_fn, &f, info);
	if (!err)
		*ret = f.out;
	return err;
}

static enum atl_err params_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct find *f = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT params FROM assets WHERE id = ? AND user_id = ? AND held IN (0, 2)", "ss",
				     f->id, f->user_id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such picture.");
	f->params = atl_col_text(rows, 0, f->arena);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_asset_params(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			      const char **ret_json, struct atl_errinfo *info)
{
	struct find f = {.arena = arena, .user_id = user_id, .id = id};
	enum atl_err err = atl_db_read(app->db, params_fn, &f, info);
	if (!err)
		*ret_json = f.params;
	return err;
}

enum atl_err atl_asset_of_job(struct atl_conn *conn, struct atl_arena *arena, const char *job_id,
			      struct atl_items *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	struct atl_items out = {0};
	size_t room = 0;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " ATL_ASSET_COLUMNS
				     " FROM assets a WHERE a.job_id = ? AND a.deleted_at IS NULL ORDER BY a.job_index, a.id",
				     "s", job_id);
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		if (out.count == room) {
			struct atl_asset *more = ATL_ARENA_ARRAY(arena, struct atl_asset, room ? room * 4 : 4);
			if (!more) {
				atl_rows_close(rows);
				return atl_fail(info, ATL_ERR_NOMEM, "results of a job");
			}
			if (out.count)
				memcpy(more, out.items, out.count * sizeof *more);
			out.items = more;
			room = room ? room * 4 : 4;
		}
		atl_asset_row(rows, arena, (struct atl_asset *)out.items + out.count++);
	}
	if (!err)
		*ret = out;
	return err;
}

enum atl_err atl_asset_path(struct atl_app *app, struct atl_arena *arena, const struct atl_asset *asset, int64_t width,
			    const char **ret_path, struct atl_errinfo *info)
{
	const char *variant = width ? atl_asset_variant(width) : NULL;
	if (atl_str_eq(asset->check, "held") || atl_str_eq(asset->check, "removed"))
		return atl_fail(info, ATL_ERR_POLICY, "This picture waits until somebody who moderates has looked at it.");
	if (width && !variant)
		return atl_fail_field(info, ATL_ERR_INVALID, "width", "must be one of: 64, 128, 256, 512");
	return atl_blob_path(app->blobs, arena, asset->sha256, variant, ret_path, info);
}

enum atl_err atl_asset_read(struct atl_app *app, struct atl_arena *arena, const struct atl_asset *asset,
			    const void **ret_data, size_t *ret_length, struct atl_errinfo *info)
{
	const char *path;
	struct atl_buf data;
	enum atl_err err = atl_asset_path(app, arena, asset, 0, &path, info);
	if (err)
		return err;
	atl_buf_init(&data, (size_t)asset->size_bytes + 1);
	err = atl_file_read(path, (size_t)asset->size_bytes, &data, info);
	void *copy = NULL;
	if (!err) {
		copy = atl_arena_alloc(arena, data.length ? data.length : 1);
		if (copy)
			memcpy(copy, data.data, data.length);
		else
			err = atl_fail(info, ATL_ERR_NOMEM, "picture of %zu bytes", data.length);
	}
	if (!err) {
		*ret_data = copy;
		*ret_length = data.length;
	}
	atl_buf_finish(&data);
	return err;
}

void atl_asset_publish(struct atl_app *app, const char *event, const struct atl_asset *asset)
{
	atl_publish(app, asset->user_id, event, "asset", &atl_asset_desc, asset);
}
