/* upload.h - uploads that can be gone on with: a file that comes in pieces and becomes an asset at the end.
 *
 * A piece is written to its file and synced before the row counts it, so what the row says is there after a kill; the
 * client asks where to go on. Uploads without a new piece for ATL_UPLOAD_TTL_MS are removed.
 *
 * Threads:    blocking: pool threads. Ownership: the given arena. Limits: the constants below.
 */
#ifndef ATL_CORE_UPLOAD_H
#define ATL_CORE_UPLOAD_H

#include "core/access/identity.h"
#include "core/app.h"
#include "core/pictures/asset.h"

#define ATL_UPLOADS_MAX 20 /* unfinished ones of a user */
#define ATL_UPLOAD_PIECE_MAX ((size_t)64 << 20)
#define ATL_UPLOAD_TTL_MS ((int64_t)24 * 60 * 60 * 1000)
#define ATL_UPLOAD_DISK_SPARE ((uint64_t)256 << 20)

struct atl_upload { /* the API's Upload */
	const char *id;
	int64_t size_bytes, received_bytes, created_at, updated_at;
};
extern const struct atl_json_desc atl_upload_desc;

/* Errors: INVALID (size), CONFLICT (too many), DISK, STORAGE_FULL. */
enum atl_err atl_upload_create(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			       int64_t size_bytes, struct atl_upload *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_upload_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			    struct atl_upload *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The bytes of the file at `piece_path` follow at `offset`. CONFLICT: that is not where it goes on. TOO_LARGE: beyond
 * the size that was announced. */
enum atl_err atl_upload_append(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       int64_t offset, const char *piece_path, struct atl_upload *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* CONFLICT: not all of it is there. When the file is refused for what it is, the upload is gone. */
enum atl_err atl_upload_finish(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			       bool library, struct atl_asset *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_upload_delete(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       struct atl_errinfo *info) ATL_MUST_USE;

/* At start: files without a row. Now and then: what nobody goes on with. */
enum atl_err atl_uploads_recover(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_uploads_purge(struct atl_app *app, struct atl_errinfo *info) ATL_MUST_USE;

#endif
