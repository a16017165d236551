/* board.h - boards: a person's own collections of assets. An asset may be on several.
 *
 * Threads:    blocking: pool threads. Ownership: the given arena. Limits: ATL_BOARDS_MAX a user.
 */
#ifndef ATL_CORE_BOARD_H
#define ATL_CORE_BOARD_H

#include "base/json.h"
#include "core/app.h"

#define ATL_BOARDS_MAX 500
#define ATL_BOARD_NAME_MAX 100

struct atl_board { /* the API's Board */
	const char *id, *name;
	int64_t count;		/* what is in the trash does not count */
	const char *cover_id;	/* the newest asset on it, or NULL */
	int64_t created_at, updated_at;
};
extern const struct atl_json_desc atl_board_desc;

/* All of them, the newest first. */
enum atl_err atl_board_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct atl_items *ret,
			    struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_board_create(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *name,
			      struct atl_board *ret, struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_board_rename(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			      const char *name, struct atl_board *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Its assets stay in the library. */
enum atl_err atl_board_delete(struct atl_app *app, const char *user_id, const char *id,
			      struct atl_errinfo *info) ATL_MUST_USE;

#endif
