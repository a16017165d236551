/* picture_intake.h - downloaded files of picture models on their way into the models folder.
 *
 * A .safetensors file is one by its ending; a .gguf file when an entry of the model registry names it (chat models are
 * .gguf files too, and are looked at otherwise: local_model.h).
 *
 * Threads: blocking (files): pool threads.
 */
#ifndef ATL_CORE_PICTURE_INTAKE_H
#define ATL_CORE_PICTURE_INTAKE_H

#include "base/arena.h"
#include "core/app.h"

bool atl_picture_intake_wants(struct atl_app *app, const char *file);
/* INVALID: no name for one; CONFLICT: it is there already. */
enum atl_err atl_picture_intake_check(struct atl_app *app, const char *file, struct atl_errinfo *info) ATL_MUST_USE;
/* Move a finished temporary file of the models folder in under this name. UNPROCESSABLE: not usable, with the reason. */
enum atl_err atl_picture_intake_take(struct atl_app *app, struct atl_arena *arena, const char *file, const char *from,
				     int64_t *ret_size, struct atl_errinfo *info) ATL_MUST_USE;

#endif
