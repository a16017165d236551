/* film.h - frames that we made become a WebM file (VP9), in memory.
 *
 * Threads: pure but for libav's own threads inside the call. Limits: FILM_BYTES_MAX; sides are rounded down to even ones.
 */
#ifndef ATL_WORKER_FILM_H
#define ATL_WORKER_FILM_H

#include "base/buf.h"
#include "worker/engine.h"

#define FILM_MEDIA_TYPE "video/webm"
#define FILM_BYTES_MAX ((size_t)64 << 20) /* the library makes no poster of larger ones */

/* All frames are RGB and of the first one's size. `stopped` (may be NULL) is asked before each of them.
 * Errors: CANCELLED, TOO_LARGE, UNSUPPORTED (libav was built without VP9), INVALID, INTERNAL. */
enum atl_err film_encode(const struct engine_image *frames, size_t count, int fps, int threads, bool (*stopped)(void),
			 struct atl_buf *out, struct atl_errinfo *info) ATL_MUST_USE;

#endif
