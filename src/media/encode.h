/* encode.h - our own pixels to a PNG, fast: Up filter and libdeflate at a low level.
 *
 * Source: PNG specification (Third Edition), RFC 1950, RFC 1951.
 * Threads:    pure functions. Limits: ATL_ENCODE_SIDE_MAX.
 */
#ifndef ATL_MEDIA_ENCODE_H
#define ATL_MEDIA_ENCODE_H

#include "base/buf.h"

#define ATL_ENCODE_SIDE_MAX 16384

/* 8-bit rows without padding; channels 1 (grey), 3 (RGB), 4 (RGBA). Appends a whole PNG to `out`.
 * Errors: INVALID (sizes), NOMEM, TOO_LARGE (the buffer's maximum). */
enum atl_err atl_png_encode(const void *pixels, size_t width, size_t height, unsigned channels, struct atl_buf *out,
			    struct atl_errinfo *info) ATL_MUST_USE;

#endif
