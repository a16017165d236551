/* asset_hold.c - pictures that moderators hold: by their bytes, whoever has them. See hold.h. */
#include "core/pictures/asset_int.h"
#include "core/safety/hold.h"

/* The bytes of quarantined and removed ones are hidden as if they were in the trash. */
enum atl_err atl_asset_hold_in(struct atl_conn *conn, const char *sha256, enum atl_hold state, int64_t now_ms,
			       int64_t *ret_count, struct atl_errinfo *info)
{
	if (atl_hold_hides(state))
		return atl_exec_count(conn, ret_count, info,
				      "UPDATE assets SET held_deleted_at = CASE WHEN held IN (1, 3) THEN held_deleted_at ELSE "
				      "deleted_at END, deleted_at = ?, held = ?, version = version + 1, updated_at = ? WHERE sha256 = ?",
				      "iiis", now_ms, (int64_t)state, now_ms, sha256);
	return atl_exec_count(conn, ret_count, info,
			      "UPDATE assets SET deleted_at = CASE WHEN held IN (1, 3) THEN held_deleted_at ELSE deleted_at END, "
			      "held_deleted_at = NULL, held = ?, version = version + 1, updated_at = ? WHERE sha256 = ?",
			      "iis", (int64_t)state, now_ms, sha256);
}

enum atl_err atl_asset_any_in(struct atl_conn *conn, struct atl_arena *arena, const char *id, struct atl_asset *ret,
			      struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT " ATL_ASSET_COLUMNS " FROM assets a WHERE a.id = ?", "s", id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such picture.");
	atl_asset_row(rows, arena, ret);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_asset_copies_in(struct atl_conn *conn, const char *sha256, int64_t *ret, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT count(*) FROM assets WHERE sha256 = ?", "s", sha256);

	*ret = 0;
	while (!err && atl_rows_next(rows, &err, info))
		*ret = atl_col_int(rows, 0);
	return err;
}

enum atl_err atl_asset_hold_end_in(struct atl_conn *conn, const char *sha256, struct atl_errinfo *info)
{
	int64_t gone = 0;
	enum atl_err err =
		atl_exec_count(conn, &gone, info, "DELETE FROM assets WHERE sha256 = ? AND held = 3", "s", sha256);

	for (; gone > 0 && !err; gone--)
		err = atl_asset_release_in(conn, sha256, info);
	return err;
}
