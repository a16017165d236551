/* asset_collect.c - pictures outside the library (avatars, masks, references, what a canvas made) that nothing names.
 *
 * What names one: a character (avatar, look), a job's request (job_assets), the lineage of an asset that is still there,
 * a saved workflow or style, a grid's axis, a board, a short link. One that nothing names is marked with the time; after
 * ATL_ASSET_UNNAMED_MS without a name its row goes, in a transaction that looks once more, and with it a reference on its
 * file, which the sweep removes (asset_sweep.c). So a kill anywhere leaves a row with its file, or a file that the next
 * sweep finds by its row. What loses its last name by that (the parent of a canvas) is marked by the next pass.
 */
#include "base/log.h"
#include "core/people/erase.h"
#include "core/pictures/asset_int.h"

#define MODULE "assets"
#define BATCH 500

/* Of `assets a`: 1 when something names it. Ids in JSON texts are looked for as text, in the few rows of its owner; as
 * LIKE takes `_` for any character it may find one name too many, never one too few. */
#define IN_TEXT(table, column) \
	"OR EXISTS (SELECT 1 FROM " table " t WHERE t.user_id = a.user_id AND t." column " LIKE '%' || a.id || '%') "
#define NAMED                                                                             \
	"(EXISTS (SELECT 1 FROM characters t WHERE t.avatar_id = a.id) "                  \
	"OR EXISTS (SELECT 1 FROM job_assets t WHERE t.asset_id = a.id) "                 \
	"OR EXISTS (SELECT 1 FROM asset_parents t WHERE t.parent_id = a.id) "             \
	"OR EXISTS (SELECT 1 FROM board_assets t WHERE t.asset_id = a.id) "               \
	"OR EXISTS (SELECT 1 FROM share_links t WHERE t.asset_id = a.id) "                \
	IN_TEXT("characters", "look") IN_TEXT("workflows", "inputs") IN_TEXT("workflows", "graph") IN_TEXT("styles", "params") \
	IN_TEXT("grids", "axes") ")"

struct pass {
	struct atl_arena *arena;
	int64_t now_ms;
	const char *after_id;
	struct found {
		const char *id, *sha256;
		bool named, marked, due; /* due: marked long enough ago */
		bool gone;
	} items[BATCH];
	size_t count;
	int64_t collected;
};

static enum atl_err find_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct pass *p = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT a.id, a.sha256, a.unnamed_at, CASE WHEN " NAMED " THEN 1 ELSE 0 END "
				     "FROM assets a WHERE a.library = 0 AND a.held IN (0, 2) AND a.id > ? ORDER BY a.id LIMIT ?",
				     "si", p->after_id, (int64_t)BATCH);
	p->count = 0;
	if (err)
		return err;
	while (p->count < BATCH && atl_rows_next(rows, &err, info)) {
		struct found *found = &p->items[p->count];
		*found = (struct found){.id = atl_col_text(rows, 0, p->arena),
					.sha256 = atl_col_text(rows, 1, p->arena),
					.named = atl_col_int(rows, 3) != 0,
					.marked = !atl_col_null(rows, 2)};
		found->due = !found->named && found->marked && atl_col_int(rows, 2) <= p->now_ms - ATL_ASSET_UNNAMED_MS;
		p->count++;
	}
	return err;
}

enum atl_err atl_asset_collect_in(struct atl_conn *conn, const char *id, const char *sha256, bool *ret_gone,
				  struct atl_errinfo *info)
{
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "DELETE FROM assets WHERE id = ? AND id IN "
					  "(SELECT a.id FROM assets a WHERE a.id = ? AND a.library = 0 AND NOT " NAMED ")",
					  "ss", id, id);
	*ret_gone = changed == 1;
	return !err && *ret_gone ? atl_asset_release_in(conn, sha256, info) : err;
}

static enum atl_err change_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct pass *p = arg;
	enum atl_err err = ATL_OK;
	for (size_t i = 0; i < p->count && !err; i++) {
		struct found *found = &p->items[i];
		found->gone = false;
		if (found->due)
			err = atl_asset_collect_in(conn, found->id, found->sha256, &found->gone, info);
		else if (found->named == found->marked)
			err = atl_exec(conn, info, "UPDATE assets SET unnamed_at = ? WHERE id = ?", "ts",
				       found->named ? (int64_t)0 : p->now_ms, found->id);
	}
	return err;
}

static bool something_to_do(const struct pass *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->items[i].due || p->items[i].named == p->items[i].marked)
			return true;
	return false;
}

static enum atl_err change(struct atl_app *app, struct pass *p, struct atl_errinfo *info)
{
	enum atl_err err = atl_db_tx(app->db, change_fn, p, info);
	for (size_t i = 0; i < p->count && !err; i++) {
		struct atl_errinfo failed = {0};
		enum atl_err swept;
		if (!p->items[i].gone)
			continue;
		p->collected++;
		swept = atl_asset_sweep_blob(app, p->items[i].sha256, p->now_ms - ATL_ASSET_PUT_GRACE_MS, &failed);
		if (swept) /* the next sweep tries again */
			atl_warn(MODULE, "removing a file: %s %s", atl_err_name(swept), failed.detail);
	}
	return err;
}

enum atl_err atl_assets_collect(struct atl_app *app, int64_t now_ms, int64_t *ret_collected, struct atl_errinfo *info)
{
	struct atl_arena arenas[2]; /* a batch's, and the one before it: the cursor is in that */
	struct pass pass = {.now_ms = now_ms, .after_id = ""}, *p = &pass;
	size_t turn = 0;
	enum atl_err err = ATL_OK;
	for (size_t i = 0; i < ATL_COUNT(arenas); i++)
		atl_arena_init(&arenas[i], 0);
	do {
		atl_arena_reset(&arenas[turn]);
		p->arena = &arenas[turn];
		turn = !turn;
		err = atl_db_read(app->db, find_fn, p, info);
		if (!err && something_to_do(p))
			err = change(app, p, info);
		if (p->count)
			p->after_id = p->items[p->count - 1].id;
	} while (!err && p->count == BATCH);
	for (size_t i = 0; i < ATL_COUNT(arenas); i++)
		atl_arena_finish(&arenas[i]);
	if (p->collected)
		atl_erase_later(app);
	if (!err && p->collected)
		atl_info(MODULE, "%lld pictures outside the library that nothing names were removed", (long long)p->collected);
	if (!err && ret_collected)
		*ret_collected = p->collected;
	return err;
}
