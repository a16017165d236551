/* asset_files.h - answering with the bytes of an asset. Only src/api includes it.
 *
 * Threads: the pool thread that has the request.
 */
#ifndef ATL_API_ASSET_FILES_H
#define ATL_API_ASSET_FILES_H

#include "core/pictures/asset.h"
#include "net/http.h"

/* `width` 0: the file itself. `strip`: without how it was made. On error nothing was answered. */
enum atl_err atl_api_send_asset(struct atl_req *req, const struct atl_asset *asset, int64_t width, bool download,
				bool strip, const char *cache, struct atl_errinfo *info) ATL_MUST_USE;
/* ?width=; *ret stays without one. */
enum atl_err atl_api_asset_width(struct atl_req *req, int64_t *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
