/* image_venice.h - what Venice offers beside the table of image.h.
 *
 * Threads: blocking, not on a loop. Ownership: the arena.
 */
#ifndef ATL_PROVIDER_IMAGE_VENICE_H
#define ATL_PROVIDER_IMAGE_VENICE_H

#include "base/json.h"
#include "provider/image.h"

/* The names style_preset takes. */
enum atl_err atl_image_venice_styles(const struct atl_image_endpoint *endpoint, atomic_bool *cancelled, struct atl_arena *arena,
				     struct atl_strs *ret, struct atl_errinfo *info) ATL_MUST_USE;

#endif
