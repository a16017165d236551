/* asset.c - see asset.h. */
#include "core/asset.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "blob/blob.h"
#include "media/picture.h"

#define COLUMNS "id, user_id, sha256, media_type, size_bytes, width, height, created_at"

static const unsigned WIDTHS[] = {
#define WIDTH(n) n,
	ATL_ASSET_THUMB_LIST(WIDTH)
#undef WIDTH
};

static const char *variant_of(int64_t width)
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

static enum atl_err insert_row(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct atl_asset *a = *(const struct atl_asset **)arg;
	return atl_exec(conn, info,
			"INSERT INTO assets (id, user_id, sha256, media_type, size_bytes, width, height, origin, "
			"created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			"ssssiiisi", a->id, a->user_id, a->sha256, a->media_type, a->size_bytes, a->width, a->height,
			((const char **)arg)[1], a->created_at);
}

enum atl_err atl_asset_store_picture(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				     const void *data, size_t length, const char *origin, struct atl_asset *ret,
				     struct atl_errinfo *info)
{
	struct atl_picture picture;
	enum atl_err err =
		atl_picture_decode(app->pictures, arena, data, length, WIDTHS, ATL_COUNT(WIDTHS), &picture, info);
	if (err)
		return err;
	char *name = atl_arena_alloc(arena, ATL_BLOB_NAME_SIZE);
	char *id = atl_arena_alloc(arena, ATL_ID_SIZE);
	if (!name || !id)
		return atl_fail(info, ATL_ERR_NOMEM, "asset");
	err = atl_blob_put(app->blobs, picture.outs[0].data, picture.outs[0].length, name, info);
	for (size_t i = 1; i < picture.out_count && !err; i++)
		err = atl_blob_put_variant(app->blobs, name, variant_of(picture.outs[i].asked_width),
					   picture.outs[i].data, picture.outs[i].length, info);
	if (err)
		return err;
	atl_id_new("ast", id);
	struct atl_asset asset = {.id = id,
				  .user_id = user_id,
				  .sha256 = name,
				  .media_type = "image/webp",
				  .size_bytes = (int64_t)picture.outs[0].length,
				  .width = picture.outs[0].width,
				  .height = picture.outs[0].height,
				  .created_at = atl_now_ms()};
	const void *args[2] = {&asset, origin};
	err = atl_db_tx(app->db, insert_row, args, info);
	if (!err)
		*ret = asset;
	return err;
}

struct find {
	struct atl_arena *arena;
	const char *user_id, *id;
	struct atl_asset out;
};

static enum atl_err find_row(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct find *f = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT " COLUMNS " FROM assets WHERE id = ? AND user_id = ?",
				     "ss", f->id, f->user_id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such picture.");
	f->out = (struct atl_asset){.id = atl_col_text(rows, 0, f->arena),
				    .user_id = atl_col_text(rows, 1, f->arena),
				    .sha256 = atl_col_text(rows, 2, f->arena),
				    .media_type = atl_col_text(rows, 3, f->arena),
				    .size_bytes = atl_col_int(rows, 4),
				    .width = atl_col_int(rows, 5),
				    .height = atl_col_int(rows, 6),
				    .created_at = atl_col_int(rows, 7)};
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_asset_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			   struct atl_asset *ret, struct atl_errinfo *info)
{
	struct find f = {.arena = arena, .user_id = user_id, .id = id};
	enum atl_err err = atl_db_read(app->db, find_row, &f, info);
	if (!err)
		*ret = f.out;
	return err;
}

enum atl_err atl_asset_path(struct atl_app *app, struct atl_arena *arena, const struct atl_asset *asset, int64_t width,
			    const char **ret_path, struct atl_errinfo *info)
{
	const char *variant = width ? variant_of(width) : NULL;
	if (width && !variant)
		return atl_fail_field(info, ATL_ERR_INVALID, "width", "must be one of: 64, 128, 256, 512");
	return atl_blob_path(app->blobs, arena, asset->sha256, variant, ret_path, info);
}
