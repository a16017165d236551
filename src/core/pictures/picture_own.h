/* picture_own.h - the operator's own entries of the model registry: new models, or others than ours for a known one.
 *
 * Threads: blocking (SQL): pool threads. Ownership: the given arena. Limits: ATL_PICTURE_OWN_MAX.
 */
#ifndef ATL_CORE_PICTURE_OWN_H
#define ATL_CORE_PICTURE_OWN_H

#include "base/json.h"
#include "core/app.h"

#define ATL_PICTURE_OWN_MAX 500
#define ATL_PICTURE_ENTRY_MAX ((size_t)64 << 10)

struct atl_picture_own { /* the API's PictureEntry */
	const char *id;
	const struct atl_json *entry; /* docs/guide/picture-models.md */
	int64_t created_at, updated_at;
};
extern const struct atl_json_desc atl_picture_own_desc;

enum atl_err atl_picture_own_list(struct atl_app *app, struct atl_arena *arena, struct atl_picture_own **ret,
				  size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* id NULL: a new one. Errors: INVALID naming the field, CONFLICT (too many), NOT_FOUND. */
enum atl_err atl_picture_own_save(struct atl_app *app, struct atl_arena *arena, const char *id,
				  const struct atl_json *entry, struct atl_picture_own *ret,
				  struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_picture_own_delete(struct atl_app *app, const char *id, struct atl_errinfo *info) ATL_MUST_USE;

#endif
