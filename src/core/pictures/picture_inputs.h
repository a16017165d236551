/* picture_inputs.h - the pictures a run takes, in the form its service wants. Only src/core.
 *
 * Threads: blocking: runner threads. Ownership: the arena.
 */
#ifndef ATL_CORE_PICTURE_INPUTS_H
#define ATL_CORE_PICTURE_INPUTS_H

#include "core/pictures/picture_request.h"

/* Loads what the request names into `image`: encoded files for services; for the local engine raw rows of the wanted
 * size ("image/x-rgb", "image/x-gray"). A mask is grey, white is painted anew; image->mask_alpha is the same as a PNG
 * whose transparent part is painted anew. */
enum atl_err atl_picture_inputs_load(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				     const char *provider_kind, const struct atl_picture_ask *ask,
				     struct atl_image_request *image, struct atl_errinfo *info) ATL_MUST_USE;

#endif
