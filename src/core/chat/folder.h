/* folder.h - folders that conversations are filed in.
 *
 * Threads: blocking (SQL): pool threads. Ownership: the given arena. Limits: ATL_FOLDERS_MAX.
 */
#ifndef ATL_CORE_FOLDER_H
#define ATL_CORE_FOLDER_H

#include "base/json.h"
#include "core/access/identity.h"
#include "core/app.h"

#define ATL_FOLDER_NAME_MAX 100
#define ATL_FOLDERS_MAX 500

struct atl_folder {
	const char *id, *name;
	int64_t created_at, updated_at;
};
extern const struct atl_json_desc atl_folder_desc;

enum atl_err atl_folder_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			     struct atl_folder **ret, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* id NULL: a new one. Publishes folder.changed. */
enum atl_err atl_folder_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			     const char *id, const char *name, struct atl_folder *ret,
			     struct atl_errinfo *info) ATL_MUST_USE;
/* Its conversations stay, unfiled. */
enum atl_err atl_folder_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
			       struct atl_errinfo *info) ATL_MUST_USE;

#endif
