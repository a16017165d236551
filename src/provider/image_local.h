/* image_local.h - what the local picture engine says about itself.
 *
 * Threads: atl_image_local_answers() never blocks; atl_image_local_state() blocks for ATL_IMAGE_LOCAL_STATE_MS at most.
 */
#ifndef ATL_PROVIDER_IMAGE_LOCAL_H
#define ATL_PROVIDER_IMAGE_LOCAL_H

#include "base/arena.h"
#include "base/err.h"

#define ATL_IMAGE_LOCAL_STATE_MS 2000

struct atl_image_local_state {
	const char *version, *backend;
	const char *model; /* the loaded file's name; NULL */
	int64_t memory_bytes, threads;
	bool busy;
};

/* Does anybody listen on the socket? */
bool atl_image_local_answers(const char *unix_path);
/* Strings in the arena. UNAVAILABLE: nobody answers. */
enum atl_err atl_image_local_state(const char *unix_path, struct atl_arena *arena, struct atl_image_local_state *ret,
				   struct atl_errinfo *info) ATL_MUST_USE;

#endif
