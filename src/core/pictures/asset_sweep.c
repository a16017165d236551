/* asset_sweep.c - files that nothing refers to any more.
 *
 * A blob's row is first condemned (refs -1: no asset can take it), then its files go, then the row: a kill in between
 * leaves a condemned row, which the next start finds. A put of the same bytes waits for the lock and revives the row.
 * The grace after a put is for bytes whose asset is not there yet: what an asset gave up (created_at 0) has none.
 */
#include "base/clock.h"
#include "base/log.h"
#include "blob/blob.h"
#include "core/pictures/asset_int.h"

#define MODULE "assets"
#define BATCH 500

enum atl_err atl_asset_release_in(struct atl_conn *conn, const char *sha256, struct atl_errinfo *info)
{
	return atl_exec(conn, info,
			"UPDATE blobs SET created_at = CASE WHEN refs = 1 THEN 0 ELSE created_at END, refs = refs - 1 "
			"WHERE sha256 = ? AND refs > 0", "s", sha256);
}

struct forget {
	const char *sha256;
	int64_t put_before_ms, changed;
};

static enum atl_err condemn_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct forget *f = arg;
	return atl_exec_count(conn, &f->changed, info,
			      "UPDATE blobs SET refs = -1 WHERE sha256 = ? AND refs <= 0 AND created_at < ?", "si", f->sha256,
			      f->put_before_ms);
}

static enum atl_err forget_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct forget *f = arg;
	return atl_exec(conn, info, "DELETE FROM blobs WHERE sha256 = ? AND refs < 0", "s", f->sha256);
}

enum atl_err atl_asset_sweep_blob(struct atl_app *app, const char *sha256, int64_t put_before_ms,
				  struct atl_errinfo *info)
{
	struct forget f = {.sha256 = sha256, .put_before_ms = put_before_ms};
	atl_blob_lock(app->blobs, sha256);
	enum atl_err err = atl_db_tx(app->db, condemn_fn, &f, info);
	if (!err && f.changed)
		err = atl_blob_remove(app->blobs, sha256, info);
	if (!err && f.changed)
		err = atl_db_tx(app->db, forget_fn, &f, info);
	atl_blob_unlock(app->blobs, sha256);
	return err;
}

struct unused {
	struct atl_arena *arena;
	int64_t put_before_ms;
	const char *names[BATCH];
	size_t count;
};

static enum atl_err unused_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct unused *u = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT sha256 FROM blobs WHERE refs <= 0 AND created_at < ? ORDER BY sha256 LIMIT ?", "ii",
				     u->put_before_ms, (int64_t)BATCH);
	if (err)
		return err;
	u->count = 0;
	while (atl_rows_next(rows, &err, info))
		u->names[u->count++] = atl_col_text(rows, 0, u->arena);
	return err;
}

enum atl_err atl_asset_sweep_unused(struct atl_app *app, int64_t put_before_ms, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct unused unused = {.arena = &arena, .put_before_ms = put_before_ms};
	int64_t total = 0;
	enum atl_err err = ATL_OK;
	atl_arena_init(&arena, 0);
	do {
		atl_arena_reset(&arena);
		err = atl_db_read(app->db, unused_fn, &unused, info);
		for (size_t i = 0; !err && i < unused.count; i++)
			err = atl_asset_sweep_blob(app, unused.names[i], put_before_ms, info);
		total += (int64_t)unused.count;
	} while (!err && unused.count == BATCH);
	atl_arena_finish(&arena);
	if (!err && total)
		atl_info(MODULE, "%lld files that nothing refers to were removed", (long long)total);
	return err;
}

enum atl_err atl_assets_recover(struct atl_app *app, struct atl_errinfo *info)
{
	return atl_asset_sweep_unused(app, INT64_MAX, info);
}
