/* asset.h - stored pictures: a row each, their bytes in the blob store.
 *
 * Threads: blocking: pool threads. Ownership: the given arena.
 */
#ifndef ATL_CORE_ASSET_H
#define ATL_CORE_ASSET_H

#include "base/arena.h"
#include "core/app.h"
#include "core/identity.h"
#include "db/db.h"

#define ATL_ASSET_THUMB_LIST(X) X(64) X(128) X(256) X(512)

struct atl_asset {
	const char *id, *user_id, *sha256, *media_type;
	int64_t size_bytes, width, height, created_at;
};

/* Decode an untrusted picture in the sandbox and keep it with its thumbnails. `origin`: "upload", "starter". */
enum atl_err atl_asset_store_picture(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				     const void *data, size_t length, const char *origin, struct atl_asset *ret,
				     struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_asset_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			   struct atl_asset *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The file of an asset, or of its thumbnail `width` (0: the picture itself; INVALID: not one of the widths). */
enum atl_err atl_asset_path(struct atl_app *app, struct atl_arena *arena, const struct atl_asset *asset, int64_t width,
			    const char **ret_path, struct atl_errinfo *info) ATL_MUST_USE;

#endif
