/* picture_entry.h - entries of the model registry as JSON, turned into struct atl_picture_model. Only src/core.
 *
 * A file is {"groups": {"name": [PARAM...]}, "models": [ENTRY...]}. PARAM is {name, type, label, min, max, step, default,
 * values, extra}; "@name" in an entry's `params` stands for a group, of whichever file. ENTRY has the members of the API's
 * PictureModel; `remote_id` "*" describes every model that its service lists and that has no entry of its own.
 *
 * Threads: pure functions. Ownership: the arena; strings stay those of the parsed tree.
 */
#ifndef ATL_CORE_PICTURE_ENTRY_H
#define ATL_CORE_PICTURE_ENTRY_H

#include "core/pictures/picture_model.h"

#define ATL_PICTURE_PARAMS_MAX 64

extern const char *const atl_picture_registry_texts[]; /* share/models/pictures, NULL-terminated */

struct atl_picture_entries {
	const struct atl_json *files[16]; /* parsed, in order */
	size_t file_count;
	struct atl_picture_model *models;
	size_t count;
};
/* All built-in files. INTERNAL with the place when one is wrong (a unit test loads them all). */
enum atl_err atl_picture_entries_load(struct atl_arena *arena, const char *const *texts,
				      struct atl_picture_entries *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* One entry; groups are looked for in `entries` (NULL: none). INVALID names the field. */
enum atl_err atl_picture_entry_read(struct atl_arena *arena, const struct atl_picture_entries *entries,
				    const struct atl_json *entry, struct atl_picture_model *ret,
				    struct atl_errinfo *info) ATL_MUST_USE;
const struct atl_picture_param *atl_picture_param_find(const struct atl_picture_model *model, const char *name);

#endif
