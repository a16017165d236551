/* hold.c - see hold.h. */
#include "core/safety/hold.h"

#include "base/str.h"
#include "core/pictures/asset.h"

enum atl_err atl_hold_set_in(struct atl_conn *conn, const char *target_kind, const char *target_id, enum atl_hold state,
			     int64_t now_ms, int64_t *ret_count, struct atl_errinfo *info)
{
	struct atl_asset asset;
	struct atl_arena arena;
	enum atl_err err;

	*ret_count = 0;
	if (atl_str_eq(target_kind, "character"))
		return atl_character_hold_in(conn, target_id, state, now_ms, ret_count, info);
	if (atl_str_eq(target_kind, "conversation"))
		return atl_conversation_hold_in(conn, target_id, state, now_ms, ret_count, info);
	if (!atl_str_eq(target_kind, "picture"))
		return ATL_OK;
	atl_arena_init(&arena, 0);
	err = atl_asset_any_in(conn, &arena, target_id, &asset, info);
	if (!err)
		err = atl_asset_hold_in(conn, asset.sha256, state, now_ms, ret_count, info);
	else if (err == ATL_ERR_NOT_FOUND) /* its owner was faster: nothing is left to hold */
		err = ATL_OK;
	atl_arena_finish(&arena);
	return err;
}
