/* asset_lineage.c - where an asset came from and what was made of it.
 *
 * Walked in breadth, one query for each asset met: deep chains of edits are rare, and a bound on depth and number keeps
 * a web of references from being walked without end.
 */
#include "base/str.h"
#include "core/pictures/asset_int.h"

#define OFF(member) offsetof(struct atl_asset_relative, member)
#define KIN_MAX 200 /* read of one asset */

static const struct atl_json_field FIELDS[] = {
	{"asset", ATL_JT_OBJ, OFF(asset), ATL_JF_REQUIRED, .sub = &atl_asset_desc},
	{"depth", ATL_JT_INT, OFF(depth), ATL_JF_REQUIRED, .doc = "-1: a parent, 0: itself, 1: a child, and so on"},
	{"role", ATL_JT_STR, OFF(role), ATL_JF_REQUIRED | ATL_JF_NULLABLE,
	 .doc = "init, mask, reference, control, upscaled, varied, frame"},
	{"of", ATL_JT_STR, OFF(of), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "id of the neighbour towards the asset asked for"},
};
const struct atl_json_desc atl_asset_relative_desc = {"AssetRelative",
						      "An ancestor or descendant of an asset.",
						      FIELDS,
						      ATL_COUNT(FIELDS),
						      sizeof(struct atl_asset_relative),
						      ATL_JSON_NO_PRESENT,
						      false};

struct walk {
	struct atl_arena *arena;
	const char *user_id, *id;
	struct atl_asset_relative *items;
	size_t count;
};

static bool met(const struct walk *w, const char *id)
{
	for (size_t i = 0; i < w->count; i++)
		if (atl_str_eq(w->items[i].asset->id, id))
			return true;
	return false;
}

static enum atl_err read_kin(struct atl_conn *conn, const struct walk *w, const char *id, bool up, struct atl_rows **rows,
			     struct atl_errinfo *info)
{
	return up ? atl_query(conn, rows, info,
			      "SELECT " ATL_ASSET_COLUMNS ", p.role FROM asset_parents p JOIN assets a ON a.id = p.parent_id "
			      "WHERE p.asset_id = ? AND a.user_id = ? AND a.held IN (0, 2) ORDER BY a.id LIMIT ?",
			      "ssi", id, w->user_id, (int64_t)KIN_MAX)
		  : atl_query(conn, rows, info,
			      "SELECT " ATL_ASSET_COLUMNS ", p.role FROM asset_parents p JOIN assets a ON a.id = p.asset_id "
			      "WHERE p.parent_id = ? AND a.user_id = ? AND a.held IN (0, 2) ORDER BY a.id LIMIT ?",
			      "ssi", id, w->user_id, (int64_t)KIN_MAX);
}

static enum atl_err add_kin(struct atl_conn *conn, struct walk *w, size_t at, bool up, struct atl_errinfo *info)
{
	const char *id = w->items[at].asset->id;
	int64_t depth = w->items[at].depth + (up ? -1 : 1);
	struct atl_rows *rows;
	enum atl_err err = read_kin(conn, w, id, up, &rows, info);
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		struct atl_asset *asset = ATL_ARENA_NEW(w->arena, struct atl_asset);
		if (!asset || w->count == ATL_ASSET_LINEAGE_MAX) {
			atl_rows_close(rows);
			return asset ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "lineage");
		}
		atl_asset_row(rows, w->arena, asset);
		if (asset->id && !met(w, asset->id))
			w->items[w->count++] = (struct atl_asset_relative){
				.asset = asset,
				.depth = depth,
				.role = atl_col_text(rows, ATL_ASSET_COLUMN_COUNT, w->arena),
				.of = id};
	}
	return err;
}

/* From itself outwards in one direction; what is added is walked in turn. */
static enum atl_err walk(struct atl_conn *conn, struct walk *w, bool up, struct atl_errinfo *info)
{
	size_t begin = w->count;
	enum atl_err err = add_kin(conn, w, 0, up, info);
	for (size_t at = begin; at < w->count && !err; at++) {
		int64_t depth = w->items[at].depth;
		if ((up ? -depth : depth) < ATL_ASSET_LINEAGE_DEPTH)
			err = add_kin(conn, w, at, up, info);
	}
	return err;
}

static enum atl_err lineage_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct walk *w = arg;
	struct atl_asset *self = ATL_ARENA_NEW(w->arena, struct atl_asset);
	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "lineage");
	enum atl_err err = atl_asset_get_in(conn, w->arena, w->user_id, w->id, self, info);
	if (err)
		return err;
	w->items[0] = (struct atl_asset_relative){.asset = self};
	w->count = 1;
	err = walk(conn, w, true, info);
	return err ? err : walk(conn, w, false, info);
}

enum atl_err atl_asset_lineage(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       struct atl_items *ret, struct atl_errinfo *info)
{
	struct walk w = {.arena = arena, .user_id = user_id, .id = id};
	w.items = ATL_ARENA_ARRAY(arena, struct atl_asset_relative, ATL_ASSET_LINEAGE_MAX);
	if (!w.items)
		return atl_fail(info, ATL_ERR_NOMEM, "lineage");
	enum atl_err err = atl_db_read(app->db, lineage_fn, &w, info);
	if (!err)
		*ret = (struct atl_items){w.items, w.count};
	return err;
}
