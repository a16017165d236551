/* asset_store.c - new assets: bytes into the blob store, rows into the database. */
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "blob/blob.h"
#include "core/asset_int.h"
#include "media/picture.h"

static const unsigned WIDTHS[] = {
#define WIDTH(n) n,
	ATL_ASSET_THUMB_LIST(WIDTH)
#undef WIDTH
};

struct touch {
	const char *sha256;
	int64_t size_bytes, now_ms;
};

/* The row comes before the file: what is left of a kill is found by it. */
static enum atl_err touch_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct touch *t = arg;
	return atl_exec(conn, info,
			"INSERT INTO blobs (sha256, size_bytes, refs, created_at) VALUES (?, ?, 0, ?) "
			"ON CONFLICT (sha256) DO UPDATE SET created_at = excluded.created_at, "
			"refs = CASE WHEN blobs.refs < 0 THEN 0 ELSE blobs.refs END",
			"sii", t->sha256, t->size_bytes, t->now_ms);
}

static enum atl_err put_all(struct atl_app *app, const char *name, const void *data, size_t length,
			    const struct atl_picture *picture, struct atl_errinfo *info)
{
	char put_name[ATL_BLOB_NAME_SIZE];
	struct touch touch = {.sha256 = name, .size_bytes = (int64_t)length, .now_ms = atl_now_ms()};
	atl_blob_lock(app->blobs, name);
	enum atl_err err = atl_db_tx(app->db, touch_fn, &touch, info);
	if (!err)
		err = atl_blob_put(app->blobs, data, length, put_name, info);
	for (size_t i = 1; picture && i < picture->out_count && !err; i++)
		err = atl_blob_put_variant(app->blobs, name, atl_asset_variant(picture->outs[i].asked_width),
					   picture->outs[i].data, picture->outs[i].length, info);
	atl_blob_unlock(app->blobs, name);
	return err;
}

/* Name, size and the rest of what the bytes themselves tell. */
static enum atl_err store_bytes(struct atl_app *app, struct atl_arena *arena, const void *data, size_t length,
				const struct atl_picture *picture, struct atl_asset_new *asset, struct atl_errinfo *info)
{
	char *name = atl_arena_alloc(arena, ATL_BLOB_NAME_SIZE);
	if (!name)
		return atl_fail(info, ATL_ERR_NOMEM, "asset");
	atl_sha256_hex(data, length, name);
	enum atl_err err = put_all(app, name, data, length, picture, info);
	if (err)
		return err;
	asset->sha256 = name;
	asset->size_bytes = (int64_t)length;
	if (picture) {
		asset->width = picture->outs[0].width;
		asset->height = picture->outs[0].height;
	}
	return ATL_OK;
}

enum atl_err atl_asset_store_file(struct atl_app *app, struct atl_arena *arena, const void *data, size_t length,
				  struct atl_asset_new *asset, struct atl_errinfo *info)
{
	if (atl_str_eq(asset->kind, "video"))
		return store_bytes(app, arena, data, length, NULL, asset, info);
	struct atl_picture picture;
	enum atl_err err =
		atl_picture_decode(app->pictures, arena, data, length, WIDTHS, ATL_COUNT(WIDTHS), &picture, info);
	if (!err)
		err = store_bytes(app, arena, data, length, &picture, asset, info);
	if (!err && !asset->media_type)
		asset->media_type = atl_picture_type(picture.kind);
	return err;
}

/* ---- rows ---- */

static enum atl_err insert_row(struct atl_conn *conn, const struct atl_asset_new *a, int64_t now_ms,
			       struct atl_errinfo *info)
{
	int64_t changed = 0;
	enum atl_err err =
		atl_exec_count(conn, &changed, info, "UPDATE blobs SET refs = refs + 1 WHERE sha256 = ? AND refs >= 0",
			       "s", a->sha256);
	if (!err && changed != 1)
		err = atl_fail(info, ATL_ERR_CONFLICT, "The picture's file is no longer kept. Store it again.");
	if (err)
		return err;
	err = atl_exec(conn, info,
		       "INSERT INTO assets (id, user_id, sha256, media_type, size_bytes, width, height, origin, kind, "
		       "library, job_id, job_index, task, model, prompt, params, character_id, conversation_id, blur_hash, "
		       "duration_ms, created_at, updated_at) "
		       "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		       "ssssiiissisisssssssiii", a->id, a->user_id, a->sha256, a->media_type, a->size_bytes, a->width,
		       a->height, a->origin, a->kind, (int64_t)a->library, a->job_id, a->job_index, a->task, a->model,
		       a->prompt ? a->prompt : "", a->params ? a->params : "{}", a->character_id, a->conversation_id,
		       a->blur_hash, a->duration_ms, now_ms, now_ms);
	if (!err && a->seed >= 0)
		err = atl_exec(conn, info, "UPDATE assets SET seed = ? WHERE id = ?", "is", a->seed, a->id);
	if (!err && a->has_phash)
		err = atl_exec(conn, info, "UPDATE assets SET phash = ? WHERE id = ?", "is", a->phash, a->id);
	return err;
}

static enum atl_err insert_links(struct atl_conn *conn, const struct atl_asset_new *a, struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;
	for (size_t i = 0; i < a->parent_count && i < ATL_ASSET_PARENTS_MAX && !err; i++)
		err = atl_exec(conn, info,
			       "INSERT INTO asset_parents (asset_id, parent_id, role) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			       "sss", a->id, a->parents[i].id, a->parents[i].role);
	for (size_t i = 0; i < a->lora_count && i < ATL_ASSET_TAGS_MAX && !err; i++)
		err = atl_exec(conn, info,
			       "INSERT INTO asset_tags (asset_id, user_id, kind, tag) VALUES (?, ?, 'lora', ?) "
			       "ON CONFLICT DO NOTHING",
			       "sss", a->id, a->user_id, a->loras[i]);
	if (!err && a->board_id)
		err = atl_exec(conn, info,
			       "INSERT INTO board_assets (board_id, asset_id) SELECT id, ? FROM boards "
			       "WHERE id = ? AND user_id = ? ON CONFLICT DO NOTHING",
			       "sss", a->id, a->board_id, a->user_id);
	return err;
}

enum atl_err atl_asset_insert(struct atl_conn *conn, struct atl_arena *arena, struct atl_asset_new *asset,
			      struct atl_asset *ret, struct atl_errinfo *info)
{
	if (!asset->id) {
		char *id = atl_arena_alloc(arena, ATL_ID_SIZE);
		if (!id)
			return atl_fail(info, ATL_ERR_NOMEM, "asset");
		atl_id_new("ast", id);
		asset->id = id;
	}
	enum atl_err err = insert_row(conn, asset, atl_now_ms(), info);
	if (!err)
		err = insert_links(conn, asset, info);
	return err ? err : atl_asset_get_in(conn, arena, asset->user_id, asset->id, ret, info);
}

struct insert {
	struct atl_arena *arena;
	struct atl_asset_new *asset;
	struct atl_asset out;
};

static enum atl_err insert_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct insert *w = arg;
	return atl_asset_insert(conn, w->arena, w->asset, &w->out, info);
}

static enum atl_err insert_now(struct atl_app *app, struct atl_arena *arena, struct atl_asset_new *asset,
			       struct atl_asset *ret, struct atl_errinfo *info)
{
	struct insert w = {.arena = arena, .asset = asset};
	enum atl_err err = atl_db_tx(app->db, insert_fn, &w, info);
	if (!err)
		*ret = w.out;
	return err;
}

/* ---- untrusted pictures ---- */

static enum atl_err store_untrusted(struct atl_app *app, struct atl_arena *arena, const void *data, size_t length,
				    struct atl_asset_new *asset, struct atl_asset *ret, struct atl_errinfo *info)
{
	struct atl_picture picture;
	enum atl_err err =
		atl_picture_decode(app->pictures, arena, data, length, WIDTHS, ATL_COUNT(WIDTHS), &picture, info);
	if (!err)
		err = store_bytes(app, arena, picture.outs[0].data, picture.outs[0].length, &picture, asset, info);
	asset->media_type = "image/webp";
	return err ? err : insert_now(app, arena, asset, ret, info);
}

enum atl_err atl_asset_store_picture(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				     const void *data, size_t length, const char *origin, struct atl_asset *ret,
				     struct atl_errinfo *info)
{
	struct atl_asset_new asset = {.user_id = user_id, .kind = "picture", .origin = origin, .seed = -1};
	return store_untrusted(app, arena, data, length, &asset, ret, info);
}

enum atl_err atl_asset_upload(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			      const void *data, size_t length, bool library, struct atl_asset *ret,
			      struct atl_errinfo *info)
{
	struct atl_asset_new asset = {
		.user_id = who->user_id, .kind = "picture", .origin = "upload", .seed = -1, .library = library};
	enum atl_err err = store_untrusted(app, arena, data, length, &asset, ret, info);
	if (!err)
		atl_asset_publish(app, "asset.created", ret);
	return err;
}
