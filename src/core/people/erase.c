/* erase.c - see erase.h. */
#include "core/people/erase.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "core/people/export.h"
#include "core/pictures/asset_int.h"
#include "core/pictures/upload.h"
#include "core/safety/report.h"
#include "os/pool.h"

#define MODULE "erase"
#define HELD_BATCH 20
#define BIT(depth) (1 << ATL_DB_SCRUB_##depth)

/* ---- rows ---- */

enum atl_err atl_erase_user_in(struct atl_conn *conn, const char *id, const char *heir, struct atl_errinfo *info)
{
	enum atl_err err = atl_exec(conn, info, "UPDATE providers SET user_id = ? WHERE user_id = ?", "ss", heir, id);

	if (!err) /* rows go by themselves with the user; what they count on does not */
		err = atl_exec(conn, info,
			       "UPDATE blobs SET refs = refs - (SELECT count(*) FROM assets a WHERE a.user_id = ? AND "
			       "a.sha256 = blobs.sha256) WHERE refs > 0 AND sha256 IN (SELECT sha256 FROM assets WHERE user_id = ?)",
			       "ss", id, id);
	if (!err) /* given up now, whenever they were put: see asset_sweep.c */
		err = atl_exec(conn, info,
			       "UPDATE blobs SET created_at = 0 WHERE refs = 0 AND sha256 IN (SELECT sha256 FROM assets WHERE user_id = ?)",
			       "s", id);
	if (!err)
		err = atl_report_forget_in(conn, id, info);
	if (!err)
		err = atl_exec(conn, info, "DELETE FROM invitations WHERE created_by = ?", "s", id);
	if (!err)
		err = atl_exec(conn, info, "UPDATE impersonations SET by_user_name = '' WHERE by_user_id = ?", "s", id);
	if (!err)
		err = atl_exec(conn, info, "UPDATE setting_changes SET user_name = '' WHERE user_id = ?", "s", id);
	if (!err)
		err = atl_exec(conn, info, "DELETE FROM queue_pauses WHERE scope = ?", "s", id);
	if (!err)
		err = atl_exec(conn, info,
			       "DELETE FROM quotas WHERE (scope = 'user' AND subject = ?) OR (scope = 'key' AND subject IN "
			       "(SELECT k.id FROM api_keys k WHERE k.user_id = ?))",
			       "ss", id, id);
	return err ? err : atl_exec(conn, info, "DELETE FROM users WHERE id = ?", "s", id);
}

struct purge {
	int64_t before, gone;
};

/* Characters and personas stay while a conversation goes on with them. A starter has nobody's words. What moderators hold
 * (core/safety/hold.h) is theirs to remove. */
static enum atl_err purge_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct purge *p = arg;
	int64_t count = 0;
	enum atl_err err = atl_exec_count(conn, &count, info, "DELETE FROM conversations WHERE deleted_at < ? AND held = 0", "i", p->before);

	p->gone = count;
	if (!err)
		err = atl_exec_count(conn, &count, info, "DELETE FROM messages WHERE deleted_at < ? AND NOT EXISTS "
				     "(SELECT 1 FROM conversations v WHERE v.id = messages.conversation_id AND v.held <> 0)", "i", p->before);
	p->gone += count;
	if (!err)
		err = atl_exec_count(conn, &count, info,
				     "DELETE FROM characters WHERE deleted_at < ? AND held = 0 AND starter IS NULL AND NOT EXISTS "
				     "(SELECT 1 FROM conversations v WHERE v.character_id = characters.id)",
				     "i", p->before);
	p->gone += count;
	if (!err)
		err = atl_exec_count(conn, &count, info,
				     "DELETE FROM personas WHERE deleted_at < ? AND NOT EXISTS "
				     "(SELECT 1 FROM conversations v WHERE v.persona_id = personas.id)",
				     "i", p->before);
	p->gone += count;
	return err;
}

static enum atl_err purge(struct atl_app *app, int64_t *ret_gone, struct atl_errinfo *info)
{
	struct purge p = { .before = atl_now_ms() - app->undo_ms + 1 };
	enum atl_err err = atl_db_tx(app->db, purge_tx, &p, info);

	*ret_gone = p.gone;
	return err;
}

/* ---- files ---- */

static void scrub(struct atl_app *app, enum atl_db_scrub depth)
{
	struct atl_errinfo info = { 0 };
	int64_t gone;

	if (app->undo_ms == 0 && purge(app, &gone, &info) != ATL_OK)
		atl_warn(MODULE, "removing what was deleted: %s", info.detail);
	if (app->blobs && atl_asset_sweep_unused(app, atl_now_ms() - ATL_ASSET_PUT_GRACE_MS, &info) != ATL_OK)
		atl_warn(MODULE, "removing files: %s", info.detail);
	if (app->upload_dir && atl_uploads_recover(app, &info) != ATL_OK)
		atl_warn(MODULE, "removing parts of uploads: %s", info.detail);
	if (app->data_dir && atl_exports_purge(app, &info) != ATL_OK)
		atl_warn(MODULE, "removing exports: %s", info.detail);
	if (atl_db_scrub(app->db, depth, &info) != ATL_OK)
		atl_warn(MODULE, "emptying what the database's files hold of deleted rows: %s", info.detail);
}

/* One at a time; who finds it running leaves the wish to it. */
static void scrub_all(void *arg)
{
	struct atl_app *app = arg;

	while (atomic_load(&app->erase_wanted) && !atomic_exchange(&app->erasing, true)) {
		int wanted = atomic_exchange(&app->erase_wanted, 0);

		if (wanted)
			scrub(app, wanted & BIT(WHOLE) ? ATL_DB_SCRUB_WHOLE : wanted & BIT(TEXTS) ? ATL_DB_SCRUB_TEXTS : ATL_DB_SCRUB_ROWS);
		atomic_store(&app->erasing, false);
	}
}

void atl_erase_later(struct atl_app *app)
{
	atomic_fetch_or(&app->erase_wanted, BIT(ROWS));
}

void atl_erase_soon(struct atl_app *app, enum atl_db_scrub depth)
{
	atomic_fetch_or(&app->erase_wanted, 1 << depth);
	if (!app->pool || atl_pool_submit(app->pool, scrub_all, app) != ATL_OK)
		atl_warn(MODULE, "too busy to erase now: it is done with the next deletion or housekeeping");
}

void atl_erase_undone(struct atl_app *app)
{
	if (app->undo_ms == 0)
		atl_erase_soon(app, ATL_DB_SCRUB_TEXTS);
}

/* ---- accounts that waited for the end of a hold ---- */

struct held {
	struct atl_arena *arena;
	const char *ids[HELD_BATCH];
	const char *heir;
	size_t count;
};

static enum atl_err ended_read(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct held *held = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id FROM users WHERE erase_since IS NOT NULL AND held_since IS NULL ORDER BY id LIMIT ?",
				     "i", (int64_t)HELD_BATCH);

	held->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		held->ids[held->count++] = atl_col_text(rows, 0, held->arena);
	if (!err)
		err = atl_query(conn, &rows, info,
				"SELECT id FROM users WHERE role = 'owner' AND erase_since IS NULL ORDER BY id LIMIT 1", "");
	if (err || !atl_rows_next(rows, &err, info))
		return err;
	held->heir = atl_col_text(rows, 0, held->arena);
	atl_rows_close(rows);
	return ATL_OK;
}

struct one {
	const char *id, *heir;
};

static enum atl_err one_tx(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct one *one = arg;

	return atl_erase_user_in(conn, one->id, one->heir, info);
}

static enum atl_err erase_ended(struct atl_app *app, bool *ret_any, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct held held = { .arena = &arena };
	enum atl_err err;

	atl_arena_init(&arena, 65536);
	err = atl_db_read(app->db, ended_read, &held, info);
	for (size_t i = 0; !err && held.heir && i < held.count; i++) {
		struct one one = { held.ids[i], held.heir };

		err = atl_audit_tx(app->db, one_tx, &one, &(struct atl_audit){ .action = "user.erase", .target_kind = "user",
										.target_id = one.id }, info);
		*ret_any = !err;
	}
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_erase_tick(struct atl_app *app, struct atl_errinfo *info)
{
	bool accounts = false;
	int64_t gone = 0;
	enum atl_err err = erase_ended(app, &accounts, info);

	if (!err)
		err = purge(app, &gone, info);
	if (accounts || gone || atomic_load(&app->erase_wanted))
		atl_erase_soon(app, accounts ? ATL_DB_SCRUB_WHOLE : gone ? ATL_DB_SCRUB_TEXTS : ATL_DB_SCRUB_ROWS);
	return err;
}
