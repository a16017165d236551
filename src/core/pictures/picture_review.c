/* picture_review.c - pictures that are held until somebody who moderates has looked. See picture_check.h. */
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "core/pictures/asset_int.h"
#include "core/safety/picture_check.h"
#include "media/classifier.h"

#define OFF(member) offsetof(struct atl_picture_held, member)
static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "user_id", ATL_JT_STR, OFF(user_id), ATL_JF_REQUIRED },
	{ "kind", ATL_JT_STR, OFF(kind), ATL_JF_REQUIRED, .doc = "picture, video" },
	{ "origin", ATL_JT_STR, OFF(origin), ATL_JF_REQUIRED, .doc = "upload, generated" },
	{ "blur_hash", ATL_JT_STR, OFF(blur_hash), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
	{ "score", ATL_JT_INT, OFF(score), ATL_JF_REQUIRED, .doc = "percent, by the classifier" },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_picture_held_desc = { "HeldPicture", "A picture that waits for somebody who moderates.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_picture_held), ATL_JSON_NO_PRESENT, false };

struct held {
	struct atl_arena *arena;
	const char *asset_id, *state;
	const struct atl_identity *who;
	struct atl_picture_held *items;
	size_t count;
	struct atl_asset asset;
};

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct held *held = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT a.id, a.user_id, a.kind, a.origin, a.blur_hash, c.score, c.created_at "
				     "FROM picture_checks c JOIN assets a ON a.id = c.asset_id WHERE c.state = 'held' "
				     "ORDER BY c.created_at, a.id LIMIT ?",
				     "i", (int64_t)ATL_CHECK_HELD_MAX);

	held->count = 0;
	while (!err && atl_rows_next(rows, &err, info)) {
		held->items[held->count++] = (struct atl_picture_held){
			.id = atl_col_text(rows, 0, held->arena), .user_id = atl_col_text(rows, 1, held->arena),
			.kind = atl_col_text(rows, 2, held->arena), .origin = atl_col_text(rows, 3, held->arena),
			.blur_hash = atl_col_text(rows, 4, held->arena),
			.score = atl_col_int(rows, 5) / (int64_t)(ATL_SCORE_ONE / 100), .created_at = atl_col_int(rows, 6)
		};
	}
	return err;
}

enum atl_err atl_picture_held_list(struct atl_app *app, struct atl_arena *arena, struct atl_items *ret,
				   struct atl_errinfo *info)
{
	struct held held = { .arena = arena };
	enum atl_err err;

	held.items = ATL_ARENA_ARRAY(arena, struct atl_picture_held, ATL_CHECK_HELD_MAX);
	if (!held.items)
		return atl_fail(info, ATL_ERR_NOMEM, "held pictures");
	err = atl_db_read(app->db, list_fn, &held, info);
	if (!err)
		*ret = (struct atl_items){ .items = held.items, .count = held.count };
	return err;
}

static enum atl_err get_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct held *held = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT " ATL_ASSET_COLUMNS " FROM assets a JOIN picture_checks h ON h.asset_id = a.id "
				     "WHERE a.id = ? AND h.state = 'held'",
				     "s", held->asset_id);

	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err ? err : atl_fail(info, ATL_ERR_NOT_FOUND, "No such picture waits for review.");
	atl_asset_row(rows, held->arena, &held->asset);
	atl_rows_close(rows);
	return ATL_OK;
}

enum atl_err atl_picture_held_get(struct atl_app *app, struct atl_arena *arena, const char *asset_id, struct atl_asset *ret,
				  struct atl_errinfo *info)
{
	struct held held = { .arena = arena, .asset_id = asset_id };
	enum atl_err err = atl_db_read(app->db, get_fn, &held, info);

	if (!err)
		*ret = held.asset;
	return err;
}

static enum atl_err decide_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct held *held = arg;
	int64_t changed = 0;
	enum atl_err err = get_fn(conn, held, info);

	if (!err)
		err = atl_exec_count(conn, &changed, info,
				     "UPDATE picture_checks SET state = ?, decided_by = ?, decided_at = ? "
				     "WHERE asset_id = ? AND state = 'held'",
				     "ssis", held->state, held->who->user_id, atl_now_ms(), held->asset_id);
	if (!err && changed != 1)
		err = atl_fail(info, ATL_ERR_CONFLICT, "Somebody else has decided meanwhile.");
	return err;
}

enum atl_err atl_picture_held_decide(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				     const char *asset_id, bool release, struct atl_errinfo *info)
{
	struct held held = { .arena = arena, .asset_id = asset_id, .who = who, .state = release ? "blur" : "removed" };
	const struct atl_audit audit = { .who = who, .action = release ? "picture.release" : "picture.remove",
					 .target_kind = "asset", .target_id = asset_id };
	enum atl_err err = atl_audit_tx(app->db, decide_fn, &held, &audit, info);

	if (err)
		return err;
	if (!release) /* 'removed' keeps the file shut until it is gone */
		return atl_asset_delete_forever(app, arena, held.asset.user_id, asset_id, info);
	err = atl_asset_get(app, arena, held.asset.user_id, asset_id, &held.asset, info);
	if (!err)
		atl_asset_publish(app, "asset.updated", &held.asset);
	return err;
}
