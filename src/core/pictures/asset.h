/* asset.h - stored pictures and videos: a row each with everything known about them, their bytes in the blob store.
 *
 * Bytes are content-addressed and counted (table blobs): a row with refs 0 is written before the file, the asset's
 * transaction raises it; what still has 0 at the next start is removed, so a kill leaves no orphan.
 * Assets with `library` false (avatars, inputs) are shown by what uses them only, and go when nothing names them any more.
 *
 * Threads:    blocking: pool threads and runners. Ownership: the given arena.
 * Limits:     ATL_ASSET_*.
 */
#ifndef ATL_CORE_ASSET_H
#define ATL_CORE_ASSET_H

#include "base/arena.h"
#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"
#include "db/db.h"

#define ATL_ASSET_THUMB_LIST(X) X(64) X(128) X(256) X(512)
#define ATL_ASSET_TITLE_MAX 200
#define ATL_ASSET_TAGS_MAX 50
#define ATL_ASSET_TAG_MAX 60
#define ATL_ASSET_PARENTS_MAX 16

struct atl_asset { /* the API's Asset */
	const char *id, *user_id, *sha256, *media_type;
	const char *kind; /* "picture", "video" */
	const char *origin; /* "upload", "starter", "generated", "mask" */
	int64_t size_bytes, width, height, duration_ms;
	bool library;
	const char *job_id, *task, *model; /* NULL */
	int64_t job_index;
	const char *title, *prompt;
	int64_t seed; /* -1: none */
	const char *character_id, *conversation_id, *message_id; /* NULL */
	bool starred;
	int64_t rating; /* 0..5 */
	const char *blur_hash; /* NULL */
	const char *check; /* core/safety/picture_check.h: NULL, "clear", "blur", "held", "removed" */
	int64_t version, created_at, updated_at, deleted_at;
	int64_t held; /* enum atl_hold of core/safety/hold.h; not told */
};
extern const struct atl_json_desc atl_asset_desc;

struct atl_asset_parent {
	const char *id;
	const char *role; /* "init", "mask", "reference", "control", "upscaled", "varied", "frame" */
};
struct atl_asset_new {
	const char *id;	       /* NULL: made */
	const char *user_id, *sha256, *media_type, *kind, *origin;
	int64_t size_bytes, width, height, duration_ms;
	bool library;
	const char *job_id, *task, *model, *prompt, *params /* JSON object, NULL: {} */;
	int64_t job_index, seed /* -1: none */;
	const char *character_id, *conversation_id, *message_id, *board_id, *blur_hash;
	bool has_phash;
	int64_t phash;
	const struct atl_asset_parent *parents;
	size_t parent_count;
	const char *const *loras; /* names, for the filter */
	size_t lora_count;
	bool mature;	   /* of a result: the person may see mature content (core/safety/picture_check.h) */
	const char *check; /* set where it is stored */
	int64_t check_score;
	const char *credentials; /* JSON of struct atl_asset_credentials: what an upload said; NULL: nothing */
};

/* ---- storing ---- */
/* Bytes that were made here: the file is judged (core/safety/picture_check.h; what it refuses is not stored) and stored (durably)
 * with thumbnails, blur hash and perceptual hash from the decode child; sets sha256, size, width, height, blur_hash, phash,
 * check in `asset`. No row of `assets` yet: atl_asset_insert(). */
enum atl_err atl_asset_store_file(struct atl_app *app, struct atl_arena *arena, const void *data, size_t length,
				  struct atl_asset_new *asset, struct atl_errinfo *info) ATL_MUST_USE;
/* Inside a transaction: the row, its parents, tags and board, and one reference more on its blob. Fills *ret. */
enum atl_err atl_asset_insert(struct atl_conn *conn, struct atl_arena *arena, struct atl_asset_new *asset,
			      struct atl_asset *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Decode an untrusted picture in the sandbox and keep it, small, with its thumbnails, outside the library: avatars.
 * `origin`: "upload", "starter". */
enum atl_err atl_asset_store_picture(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				     const void *data, size_t length, const char *origin, struct atl_asset *ret,
				     struct atl_errinfo *info) ATL_MUST_USE;
/* Tell the owner's pages: "asset.created", "asset.updated". After the commit. */
void atl_asset_publish(struct atl_app *app, const char *event, const struct atl_asset *asset);
/* An upload into the library: decoded in the sandbox, encoded anew, Exif gone; its generation parameters (if another
 * tool wrote some) are kept in the row. Publishes asset.created. `library` false: an input (mask, reference). */
enum atl_err atl_asset_upload(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			      const void *data, size_t length, bool library, struct atl_asset *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* The same of a file, which may be a video; it is moved away. A video is kept as it is, without its notes. `parent`, when
 * it is not NULL, is the asset it was made of outside of the server (a canvas that was extended): one's own, else
 * NOT_FOUND. */
#define ATL_ASSET_VIDEO_BYTES_MAX ((uint64_t)512 << 20)
enum atl_err atl_asset_upload_file(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				   const char *path, bool library, const char *parent, struct atl_asset *ret,
				   struct atl_errinfo *info) ATL_MUST_USE;

/* ---- reading ---- */
enum atl_err atl_asset_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			   struct atl_asset *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* POLICY: it is held for review (atl_asset_read() the same).
 * The file of an asset, or of its thumbnail `width` (0: the picture itself; INVALID: not one of the widths). */
enum atl_err atl_asset_path(struct atl_app *app, struct atl_arena *arena, const struct atl_asset *asset, int64_t width,
			    const char **ret_path, struct atl_errinfo *info) ATL_MUST_USE;
/* The whole file's bytes, in the arena. */
enum atl_err atl_asset_read(struct atl_app *app, struct atl_arena *arena, const struct atl_asset *asset,
			    const void **ret_data, size_t *ret_length, struct atl_errinfo *info) ATL_MUST_USE;
/* Results of a job, by index (inside a read or a transaction). */
enum atl_err atl_asset_of_job(struct atl_conn *conn, struct atl_arena *arena, const char *job_id,
			      struct atl_items *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* What made it: JSON text of its params, "{}" when unknown. */
enum atl_err atl_asset_params(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			      const char **ret_json, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- the library ---- */
struct atl_asset_query { /* NULL, 0 and false: no filter */
	const char *q; /* words in prompt and title */
	const char *kind, *origin, *task, *model, *lora, *tag, *character_id, *conversation_id, *board_id, *job_id;
	bool starred, trash;
	int64_t rating; /* at least */
	int64_t from_ms, to_ms; /* created, from inclusive, to exclusive */
	const char *after_id;	/* NULL: from the newest */
	int64_t after_key;	/* what atl_asset_list() gave as the key */
	int64_t limit;
};
/* Newest first; one more than the limit when there is more. *ret_key: the cursor's key of item `limit` - 1. */
enum atl_err atl_asset_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			    const struct atl_asset_query *query, struct atl_items *ret, int64_t *ret_key,
			    struct atl_errinfo *info) ATL_MUST_USE;

struct atl_asset_facet {
	const char *name;
	const char *id; /* of a character; else NULL */
	int64_t count;
};
struct atl_asset_facets {
	struct atl_items models, tags, loras, characters; /* struct atl_asset_facet, the most used first */
};
extern const struct atl_json_desc atl_asset_facets_desc;
enum atl_err atl_asset_facets(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			      struct atl_asset_facets *ret, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_asset_board {
	const char *id, *name;
};
struct atl_asset_details {
	const struct atl_asset *asset;
	const char *params;	/* JSON object */
	const char *parameters; /* the same as A1111's text; NULL: none */
	struct atl_strs tags, loras;
	struct atl_items boards; /* struct atl_asset_board */
};
extern const struct atl_json_desc atl_asset_details_desc;
enum atl_err atl_asset_details(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       struct atl_asset_details *ret, struct atl_errinfo *info) ATL_MUST_USE;

#define ATL_ASSET_CREDENTIALS_MAX 4096
struct atl_asset_credentials {
	const char *state; /* "none", "trusted", "valid", "changed", "invalid", "unread" */
	const char *place; /* "file", "upload" */
	const char *generator, *signer, *source_type, *problem; /* NULL: not said */
	bool ai;
};
extern const struct atl_json_desc atl_asset_credentials_desc;
/* What an asset's file says of where it comes from; of an upload what it said when it came. */
enum atl_err atl_asset_credentials(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				   struct atl_asset_credentials *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The same of any file: for uploads and for whoever wants one verified. `user_id`: whose file it is. */
void atl_asset_credentials_read(struct atl_app *app, struct atl_arena *arena, const char *user_id, const void *data,
				size_t length, struct atl_asset_credentials *ret);

#define ATL_ASSET_LINEAGE_DEPTH 64
#define ATL_ASSET_LINEAGE_MAX 500
struct atl_asset_relative {
	const struct atl_asset *asset;
	int64_t depth;	  /* -n: ancestor, 0: itself, n: descendant */
	const char *role; /* what it was to its child, or what its parent was to it; NULL: itself */
	const char *of;	  /* that child or parent; NULL: itself */
};
extern const struct atl_json_desc atl_asset_relative_desc;
/* Nearest first: itself, then ancestors, then descendants. What is in the trash is shown, what is gone is not. */
enum atl_err atl_asset_lineage(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       struct atl_items *ret, struct atl_errinfo *info) ATL_MUST_USE;

#define ATL_ASSET_DUPLICATES_MAX 100000 /* items looked at, the newest */
#define ATL_ASSET_DISTANCE_MAX 8
struct atl_asset_group {
	struct atl_items items; /* struct atl_asset */
};
extern const struct atl_json_desc atl_asset_group_desc;
/* Groups of two or more whose perceptual hashes differ in at most `distance` bits, the largest group first. */
enum atl_err atl_asset_duplicates(struct atl_app *app, struct atl_arena *arena, const char *user_id, int64_t distance,
				  struct atl_items *ret /* struct atl_asset_group */, struct atl_errinfo *info) ATL_MUST_USE;

/* A file name for downloads: from title or prompt, with the id's end and the type's ending: "red-fox-7ZK3QX.png". */
const char *atl_asset_file_name(struct atl_arena *arena, const struct atl_asset *asset);

/* A ZIP of stored entries, made while it is read: no file is held in memory. */
#define ATL_ASSET_ZIP_MAX 1000
struct atl_asset_zip;
/* Ids of nobody or of others are passed over; NOT_FOUND: none is left. TOO_LARGE: 4 GiB and more. */
enum atl_err atl_asset_zip_open(struct atl_app *app, const char *user_id, const struct atl_strs *ids,
				struct atl_asset_zip **ret, uint64_t *ret_length, struct atl_errinfo *info) ATL_MUST_USE;
bool atl_asset_zip_read(void *zip, void *room, size_t want); /* exactly `want` bytes; false: a file is gone */
void atl_asset_zip_close(void *zip);

/* An address of the file that works without signing in for `ttl_ms`; absolute where the server knows its own. In the
 * arena; NULL: no memory. */
const char *atl_asset_signed_url(const struct atl_app *app, struct atl_arena *arena, const char *id, int64_t ttl_ms);
/* What such an address names. NOT_FOUND: it was not made here; GONE: its time is over. */
enum atl_err atl_asset_by_address(struct atl_app *app, struct atl_arena *arena, const char *id, const char *exp,
				  const char *sig, struct atl_asset *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The file without what tells how it was made; the AI mark stays. Appends to `out`. */
enum atl_err atl_asset_strip(struct atl_app *app, struct atl_arena *arena, const struct atl_asset *asset,
			     struct atl_buf *out, struct atl_errinfo *info) ATL_MUST_USE;

/* ---- changing ---- */
struct atl_asset_change {
	const char *title;	     /* NULL: stays */
	const bool *starred;
	const int64_t *rating;
	const struct atl_strs *tags; /* all of them */
	int64_t wanted_version;	     /* 0: any */
};
enum atl_err atl_asset_update(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			      const struct atl_asset_change *change, struct atl_asset *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
#define ATL_ASSET_BULK_MAX 1000
enum atl_asset_action {
	ATL_ASSET_DELETE, ATL_ASSET_RESTORE, ATL_ASSET_STAR, ATL_ASSET_UNSTAR, ATL_ASSET_RATE, ATL_ASSET_TAG,
	ATL_ASSET_UNTAG, ATL_ASSET_BOARD, ATL_ASSET_UNBOARD, ATL_ASSET_FOREVER
};
/* One transaction. `value`: the rating, tag or board. Ids of nobody or of others are passed over: *ret_changed. */
enum atl_err atl_asset_bulk(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			    enum atl_asset_action action, const struct atl_strs *ids, const char *value,
			    int64_t *ret_changed, struct atl_errinfo *info) ATL_MUST_USE;
/* To the trash, out of it, and gone with its file. NOT_FOUND: not there (restore: not in the trash). */
enum atl_err atl_asset_delete(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			      struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_asset_restore(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       struct atl_asset *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_asset_delete_forever(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				      struct atl_errinfo *info) ATL_MUST_USE;

/* ---- keeping ---- */
/* At start: files of which no asset came to be are removed. */
enum atl_err atl_assets_recover(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;
/* Now and then, `now_ms` by the caller's clock: what is outside the library and was named by nothing for
 * ATL_ASSET_UNNAMED_MS goes. *ret_collected (NULL is allowed): how many. */
#define ATL_ASSET_UNNAMED_MS ((int64_t)7 * 24 * 60 * 60 * 1000)
enum atl_err atl_assets_collect(struct atl_app *app, int64_t now_ms, int64_t *ret_collected,
				struct atl_errinfo *info) ATL_MUST_USE;
/* Now and then: the trash is emptied of what has been there for ATL_ASSET_TRASH_MS, unused files go. */
#define ATL_ASSET_TRASH_MS ((int64_t)30 * 24 * 60 * 60 * 1000)
enum atl_err atl_assets_purge(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;

#endif
