/* asset_store.c - new assets: bytes into the blob store, rows into the database. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "blob/blob.h"
#include "core/people/rights.h"
#include "core/pictures/asset_int.h"
#include "core/safety/blocked_picture.h"
#include "core/safety/picture_check.h"
#include "media/classifier.h"
#include "media/credentials.h"
#include "media/metadata.h"
#include "media/picture.h"
#include "media/video_scrub.h"
#include "os/file.h"

#define HEAD_SIZE 4096
#define MARK_ROOM 8192 /* more than the mark takes */

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

/* Where the bytes come from: memory, or a file that is moved. */
struct bytes {
	const void *data;
	size_t length;
	const char *path; /* NULL: memory */
	const struct atl_metadata_out *mark; /* what its thumbnails say; NULL: a machine did not make it */
};

/* A thumbnail says that a machine made the picture, as the picture does. */
static enum atl_err put_thumb(struct atl_app *app, const char *name, const struct atl_picture_out *thumb,
			      const struct atl_metadata_out *mark, struct atl_errinfo *info)
{
	struct atl_buf marked;
	enum atl_err err = ATL_OK;
	atl_buf_init(&marked, thumb->length + MARK_ROOM);
	if (mark)
		err = atl_metadata_write(thumb->data, thumb->length, mark, &marked, info);
	if (!err)
		err = atl_blob_put_variant(app->blobs, name, atl_asset_variant(thumb->asked_width),
					   mark ? marked.data : thumb->data, mark ? marked.length : thumb->length, info);
	atl_buf_finish(&marked);
	return err;
}

static enum atl_err put_all(struct atl_app *app, const char *name, const struct bytes *bytes,
			    const struct atl_picture *picture, struct atl_errinfo *info)
{
	char put_name[ATL_BLOB_NAME_SIZE];
	struct touch touch = {.sha256 = name, .size_bytes = (int64_t)bytes->length, .now_ms = atl_now_ms()};
	atl_blob_lock(app->blobs, name);
	enum atl_err err = atl_db_tx(app->db, touch_fn, &touch, info);
	if (!err)
		err = bytes->path ? atl_blob_put_file(app->blobs, name, bytes->path, info)
				  : atl_blob_put(app->blobs, bytes->data, bytes->length, put_name, info);
	for (size_t i = 0; picture && i < picture->out_count && !err; i++)
		if (picture->outs[i].asked_width)
			err = put_thumb(app, name, &picture->outs[i], bytes->mark, info);
	atl_blob_unlock(app->blobs, name);
	return err;
}

/* `picture` NULL: nothing could be seen in it. */
static enum atl_err store_bytes(struct atl_app *app, struct atl_arena *arena, const struct bytes *bytes,
				const struct atl_picture *picture, struct atl_asset_new *asset, struct atl_errinfo *info)
{
	char *name = atl_arena_alloc(arena, ATL_BLOB_NAME_SIZE);
	enum atl_err err = name ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "asset");
	if (!err && bytes->path)
		err = atl_blob_hash_file(bytes->path, name, info);
	else if (!err)
		atl_sha256_hex(bytes->data, bytes->length, name);
	if (!err) /* as it was sent it was asked about in look() */
		err = atl_blocked_check(app, asset->user_id, &(struct atl_picture_print){.sha256 = name}, info);
	if (!err)
		err = put_all(app, name, bytes, picture, info);
	if (err)
		return err;
	asset->sha256 = name;
	asset->size_bytes = (int64_t)bytes->length;
	if (picture) {
		asset->blur_hash = picture->blurhash[0] ? atl_arena_strdup(arena, picture->blurhash) : NULL;
		asset->has_phash = true;
		asset->phash = (int64_t)picture->phash;
		if (picture->duration_ms)
			asset->duration_ms = (int64_t)picture->duration_ms;
	}
	return ATL_OK;
}

/* The gate of blocked pictures: by what was sent, and by its looks. */
static enum atl_err ask_blocked(struct atl_app *app, const char *user_id, const void *data, size_t length,
				const struct atl_picture *picture, struct atl_errinfo *info)
{
	char sha256[ATL_SHA256_SIZE * 2 + 1];
	const struct atl_picture_print print = {.sha256 = sha256, .has_phash = true, .phash = picture->phash};
	atl_sha256_hex(data, length, sha256);
	return atl_blocked_check(app, user_id, &print, info);
}

/* Decides what becomes of it by what it shows. `picture` NULL: nothing could be seen. */
static enum atl_err check(struct atl_app *app, enum atl_policy_seen_as as, const struct atl_picture *picture,
			  struct atl_asset_new *asset, struct atl_errinfo *info)
{
	struct atl_picture_seen seen = {.as = as, .mature = asset->mature, .supplied = asset->parent_count > 0,
					.rows = picture ? picture->raw : NULL};
	struct atl_picture_verdict verdict;
	enum atl_err err = atl_picture_check(app, &seen, &verdict, info);
	asset->check = verdict.state;
	asset->check_score = verdict.score;
	return err;
}

static enum atl_err check_film(struct atl_app *app, struct atl_arena *arena, enum atl_policy_seen_as as, const void *data,
			       size_t length, struct atl_asset_new *asset, struct atl_errinfo *info)
{
	struct atl_picture_seen seen = {.as = as, .mature = asset->mature, .supplied = asset->parent_count > 0};
	struct atl_picture_verdict verdict;
	enum atl_err err = atl_picture_check_film(app, arena, &seen, data, length, &verdict, info);
	asset->check = verdict.state;
	asset->check_score = verdict.score;
	return err;
}

static enum atl_err look(struct atl_app *app, struct atl_arena *arena, const char *user_id, const void *data,
			 size_t length, enum atl_picture_form keep, struct atl_picture *ret, struct atl_errinfo *info)
{
	struct atl_picture_options ask = {.owner = user_id,
				      .keep = keep,
				      .widths = WIDTHS,
				      .width_count = ATL_COUNT(WIDTHS),
				      .blurhash = true,
				      .phash = true,
				      .raw = app->classifier ? atl_classifier_rows() : (struct atl_picture_raw_ask){0}};
	enum atl_err err = atl_picture_open(app->pictures, arena, data, length, &ask, ret, info);
	return err ? err : ask_blocked(app, user_id, data, length, ret, info);
}

enum atl_err atl_asset_store_file(struct atl_app *app, struct atl_arena *arena, const void *data, size_t length,
				  struct atl_asset_new *asset, struct atl_errinfo *info)
{
	const struct atl_metadata_out mark = {.composite = asset->parent_count > 0};
	struct bytes bytes = {.data = data, .length = length, .mark = atl_str_eq(asset->origin, "generated") ? &mark : NULL};
	struct atl_picture picture;
	enum atl_picture_kind kind = atl_picture_sniff(data, length);
	bool video = atl_picture_is_video(kind);
	enum atl_err err = look(app, arena, asset->user_id, data, length, ATL_PICTURE_NONE, &picture, info);
	/* a video without a poster is still what was paid for */
	bool seen = err == ATL_OK;
	if (err && !(video && (err == ATL_ERR_PICTURE || err == ATL_ERR_TOO_LARGE)))
		return err;
	err = video ? check_film(app, arena, ATL_SEEN_RESULT, data, length, asset, info)
		    : check(app, ATL_SEEN_RESULT, &picture, asset, info);
	if (!err)
		err = store_bytes(app, arena, &bytes, seen ? &picture : NULL, asset, info);
	if (err)
		return err;
	if (seen) {
		asset->width = picture.width;
		asset->height = picture.height;
	}
	asset->kind = video ? "video" : "picture";
	asset->media_type = atl_picture_type(kind);
	return ATL_OK;
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
		       "library, job_id, job_index, task, model, prompt, params, character_id, conversation_id, message_id, blur_hash, "
		       "duration_ms, created_at, updated_at) "
		       "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		       "ssssiiissisissssssssiii", a->id, a->user_id, a->sha256, a->media_type, a->size_bytes, a->width,
		       a->height, a->origin, a->kind, (int64_t)a->library, a->job_id, a->job_index, a->task, a->model,
		       a->prompt ? a->prompt : "", a->params ? a->params : "{}", a->character_id, a->conversation_id, a->message_id,
		       a->blur_hash, a->duration_ms, now_ms, now_ms);
	if (!err && a->seed >= 0)
		err = atl_exec(conn, info, "UPDATE assets SET seed = ? WHERE id = ?", "is", a->seed, a->id);
	if (!err && a->credentials)
		err = atl_exec(conn, info, "UPDATE assets SET credentials = ? WHERE id = ?", "ss", a->credentials, a->id);
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
	if (!err)
		err = atl_picture_check_insert(conn, asset->id, &(struct atl_picture_verdict){asset->check, asset->check_score}, info);
	return err ? err : atl_asset_get_in(conn, arena, asset->user_id, asset->id, ret, info);
}

struct insert {
	int64_t cap_bytes; /* of the uploader; 0: none */
	struct atl_arena *arena;
	struct atl_asset_new *asset;
	struct atl_asset out;
};

static enum atl_err insert_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct insert *w = arg;
	enum atl_err err = atl_rights_room_in(conn, w->asset->user_id, w->cap_bytes, w->asset->size_bytes, info);
	return err ? err : atl_asset_insert(conn, w->arena, w->asset, &w->out, info);
}

static enum atl_err insert_now(struct atl_app *app, struct atl_arena *arena, struct atl_asset_new *asset,
			       int64_t cap_bytes, struct atl_asset *ret, struct atl_errinfo *info)
{
	struct insert w = {.cap_bytes = cap_bytes, .arena = arena, .asset = asset};
	enum atl_err err = atl_db_tx(app->db, insert_fn, &w, info);
	if (!err)
		*ret = w.out;
	return err;
}

/* ---- untrusted pictures ---- */

static enum atl_err check_avatar(struct atl_app *app, struct atl_arena *arena, const struct atl_picture *picture,
				 struct atl_asset_new *asset, struct atl_errinfo *info)
{
	struct atl_picture_options ask = {.owner = asset->user_id, .raw = atl_classifier_rows()};
	struct atl_picture rows = {0};
	if (!atl_picture_check_wanted(app, ATL_SEEN_AVATAR))
		return ATL_OK;
	enum atl_err err =
		atl_picture_open(app->pictures, arena, picture->outs[0].data, picture->outs[0].length, &ask, &rows, info);
	return err ? err : check(app, ATL_SEEN_AVATAR, &rows, asset, info);
}

enum atl_err atl_asset_store_picture(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				     const void *data, size_t length, const char *origin, struct atl_asset *ret,
				     struct atl_errinfo *info)
{
	struct atl_asset_new asset = {
		.user_id = user_id, .kind = "picture", .origin = origin, .media_type = "image/webp", .seed = -1};
	struct atl_picture picture;
	enum atl_err err =
		atl_picture_decode(app->pictures, arena, data, length, WIDTHS, ATL_COUNT(WIDTHS), &picture, info);
	if (!err)
		err = ask_blocked(app, user_id, data, length, &picture, info);
	if (!err && !atl_str_eq(origin, "starter"))
		err = check_avatar(app, arena, &picture, &asset, info);
	if (err)
		return err;
	struct bytes bytes = {.data = picture.outs[0].data, .length = picture.outs[0].length};
	err = store_bytes(app, arena, &bytes, &picture, &asset, info);
	asset.width = picture.outs[0].width;
	asset.height = picture.outs[0].height;
	return err ? err : insert_now(app, arena, &asset, 0, ret, info);
}

/* What another tool, or we, wrote into the file before: kept in the row, since it is not in the file any more.
 * True: a machine made the picture. */
static bool keep_recall(struct atl_arena *arena, const void *data, size_t length, struct atl_asset_new *asset)
{
	struct atl_recall recall;
	struct atl_errinfo ignored = {0};
	if (atl_metadata_read(arena, data, length, &recall, &ignored))
		return false;
	if (!recall.source)
		return recall.ai_marked;
	asset->params = atl_metadata_json(arena, &recall);
	asset->prompt = recall.prompt;
	asset->model = recall.model;
	asset->seed = recall.seed >= 0 ? recall.seed : -1;
	const char **loras = ATL_ARENA_ARRAY(arena, const char *, recall.lora_count + 1);
	for (size_t i = 0; loras && i < recall.lora_count; i++)
		loras[asset->lora_count++] = recall.loras[i].name;
	asset->loras = loras;
	return true;
}

/* The upload's Content Credentials do not survive its re-encoding: what they said is kept. True: a model made it. */
static bool keep_credentials(struct atl_app *app, struct atl_arena *arena, const void *data, size_t length,
			     struct atl_asset_new *asset)
{
	struct atl_asset_credentials found;
	if (atl_credentials_size(data, length) == 0)
		return false;
	atl_asset_credentials_read(app, arena, asset->user_id, data, length, &found);
	asset->credentials = atl_asset_credentials_note(arena, &found);
	return found.ai;
}

static enum atl_err upload_picture(struct atl_app *app, struct atl_arena *arena, const void *data, size_t length,
				   struct atl_asset_new *asset, int64_t cap_bytes, struct atl_asset *ret,
				   struct atl_errinfo *info)
{
	struct atl_picture picture;
	/* a mask or another input stays what it is, pixel for pixel */
	enum atl_picture_form form = asset->library ? ATL_PICTURE_AS_AUTO : ATL_PICTURE_AS_PNG;
	enum atl_err err = look(app, arena, asset->user_id, data, length, form, &picture, info);
	if (!err)
		err = check(app, asset->library ? ATL_SEEN_UPLOAD : ATL_SEEN_INPUT, &picture, asset, info);
	if (err)
		return err;
	const struct atl_picture_out *kept = &picture.outs[0];
	struct bytes bytes = {.data = kept->data, .length = kept->length};
	struct atl_buf marked;
	atl_buf_init(&marked, ATL_PICTURE_LIBRARY_BYTES_MAX + MARK_ROOM);
	/* the mark that a machine made it survives our re-encoding, whatever else goes */
	const struct atl_metadata_out mark = {0};
	bool made = keep_recall(arena, data, length, asset);
	if (asset->library && keep_credentials(app, arena, data, length, asset))
		made = true;
	if (made && asset->library) {
		err = atl_metadata_write(kept->data, kept->length, &mark, &marked, info);
		bytes = (struct bytes){.data = marked.data, .length = marked.length, .mark = &mark};
	}
	if (!err)
		err = store_bytes(app, arena, &bytes, &picture, asset, info);
	atl_buf_finish(&marked);
	if (err)
		return err;
	asset->width = kept->width;
	asset->height = kept->height;
	asset->duration_ms = 0; /* of an animation the first picture is kept */
	asset->media_type = atl_picture_form_type(kept->form);
	return insert_now(app, arena, asset, cap_bytes, ret, info);
}

/* Before anything is decoded: is it open to them, and is any room left? */
static enum atl_err may_upload(struct atl_app *app, const struct atl_identity *who, struct atl_errinfo *info)
{
	enum atl_err err = atl_rights_feature(who, ATL_FEATURE_UPLOADS, info);
	return err ? err : atl_rights_room(app, who, 0, info);
}

enum atl_err atl_asset_upload(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			      const void *data, size_t length, bool library, struct atl_asset *ret,
			      struct atl_errinfo *info)
{
	struct atl_asset_new asset = {
		.user_id = who->user_id, .kind = "picture", .origin = "upload", .seed = -1, .library = library};
	if (atl_picture_is_video(atl_picture_sniff(data, length)))
		return atl_fail(info, ATL_ERR_PICTURE, "A picture is needed here, this is a video.");
	enum atl_err err = may_upload(app, who, info);
	if (!err)
		err = upload_picture(app, arena, data, length, &asset, who->storage_bytes, ret, info);
	if (!err)
		atl_asset_publish(app, "asset.created", ret);
	return err;
}

/* A video is kept as it is, but for its notes (place, device), after the sandbox has seen its first frame. One too
 * large for the sandbox is kept unseen. */
static enum atl_err upload_video(struct atl_app *app, struct atl_arena *arena, const char *path, const struct atl_buf *data,
				 uint64_t size, struct atl_asset_new *asset, int64_t cap_bytes, struct atl_asset *ret,
				 struct atl_errinfo *info)
{
	struct atl_picture picture;
	bool seen = size <= ATL_PICTURE_LIBRARY_BYTES_MAX;
	enum atl_err err = seen ? look(app, arena, asset->user_id, data->data, data->length, ATL_PICTURE_NONE, &picture, info)
				: ATL_OK;
	if (!err) /* what nobody can look into counts as the worst */
		err = seen ? check_film(app, arena, ATL_SEEN_UPLOAD, data->data, data->length, asset, info)
			   : check(app, ATL_SEEN_UPLOAD, NULL, asset, info);
	if (!err)
		err = atl_video_scrub(path, info);
	struct bytes bytes = {.path = path, .length = (size_t)size};
	if (!err)
		err = store_bytes(app, arena, &bytes, seen ? &picture : NULL, asset, info);
	if (err)
		return err;
	if (seen) {
		asset->width = picture.width;
		asset->height = picture.height;
	}
	asset->kind = "video";
	return insert_now(app, arena, asset, cap_bytes, ret, info);
}

/* Enough to tell what it is. */
static enum atl_err read_head(const char *path, struct atl_buf *out, struct atl_errinfo *info)
{
	char head[HEAD_SIZE];
	int fd;
	enum atl_err err = atl_file_open(path, O_RDONLY, 0, &fd, info);
	if (err)
		return err;
	ssize_t got = pread(fd, head, sizeof head, 0);
	close(fd);
	if (got < 0)
		return atl_fail(info, ATL_ERR_IO, "reading the upload");
	atl_buf_add(out, head, (size_t)got);
	return ATL_OK;
}

static enum atl_err check_parent(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				 struct atl_errinfo *info)
{
	struct atl_asset parent;
	enum atl_err err = atl_asset_get(app, arena, user_id, id, &parent, info);
	return err == ATL_ERR_NOT_FOUND ? atl_fail_field(info, err, "parent", "There is no picture %s.", id) : err;
}

enum atl_err atl_asset_upload_file(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				   const char *path, bool library, const char *parent, struct atl_asset *ret,
				   struct atl_errinfo *info)
{
	const struct atl_asset_parent parents[] = {{parent, "init"}};
	struct atl_asset_new asset = {
		.user_id = who->user_id, .kind = "picture", .origin = "upload", .seed = -1, .library = library,
		.parents = parents, .parent_count = parent ? 1 : 0};
	struct atl_buf data;
	uint64_t size = 0;
	enum atl_err err = parent ? check_parent(app, arena, who->user_id, parent, info) : ATL_OK;
	if (!err)
		err = atl_file_size(path, &size, info);
	if (err)
		return err;
	if (size == 0)
		return atl_fail(info, ATL_ERR_INVALID, "Send the file as the body.");
	err = may_upload(app, who, info); /* a picture is encoded anew: its size is known at its row */
	if (err)
		return err;
	atl_buf_init(&data, ATL_PICTURE_LIBRARY_BYTES_MAX + 1);
	bool whole = size <= ATL_PICTURE_LIBRARY_BYTES_MAX;
	err = whole ? atl_file_read(path, ATL_PICTURE_LIBRARY_BYTES_MAX, &data, info) : read_head(path, &data, info);
	enum atl_picture_kind kind = err ? ATL_PICTURE_UNKNOWN : atl_picture_sniff(data.data, data.length);
	asset.media_type = atl_picture_type(kind);
	if (!err && atl_picture_is_video(kind))
		err = upload_video(app, arena, path, &data, size, &asset, who->storage_bytes, ret, info);
	else if (!err && !whole)
		err = atl_fail(info, ATL_ERR_TOO_LARGE, "A picture may have at most %zu MiB.",
			       ATL_PICTURE_LIBRARY_BYTES_MAX >> 20);
	else if (!err)
		err = upload_picture(app, arena, data.data, data.length, &asset, who->storage_bytes, ret, info);
	atl_buf_finish(&data);
	if (!err)
		atl_asset_publish(app, "asset.created", ret);
	return err;
}
