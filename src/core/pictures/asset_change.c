/* asset_change.c - what people change on their assets: title, star, rating, tags, boards; the trash and its end. */
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/people/erase.h"
#include "core/pictures/asset_int.h"
#include "core/server/publish.h"

#define MODULE "assets"
#define PURGE_BATCH 200

/* ---- one asset ---- */

struct change {
	struct atl_arena *arena;
	const char *user_id, *id;
	const struct atl_asset_change *change;
	int64_t now_ms;
	struct atl_asset out;
};

static enum atl_err set_tags(struct atl_conn *conn, const struct change *c, struct atl_errinfo *info)
{
	const struct atl_strs *tags = c->change->tags;
	enum atl_err err =
		atl_exec(conn, info, "DELETE FROM asset_tags WHERE asset_id = ? AND kind = 'tag'", "s", c->id);
	for (size_t i = 0; i < tags->count && !err; i++)
		err = atl_exec(conn, info,
			       "INSERT INTO asset_tags (asset_id, user_id, kind, tag) VALUES (?, ?, 'tag', ?) "
			       "ON CONFLICT DO NOTHING",
			       "sss", c->id, c->user_id, tags->items[i]);
	return err;
}

static enum atl_err update_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct change *c = arg;
	const struct atl_asset_change *change = c->change;
	enum atl_err err = atl_asset_get_in(conn, c->arena, c->user_id, c->id, &c->out, info);
	if (err)
		return err;
	if (c->out.deleted_at)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "It is in the trash. Restore it first.");
	if (change->wanted_version && change->wanted_version != c->out.version)
		return atl_fail(info, ATL_ERR_PRECONDITION, "It is version %lld now.", (long long)c->out.version);
	err = atl_exec(conn, info,
		       "UPDATE assets SET title = ?, starred = ?, rating = ?, version = version + 1, updated_at = ? "
		       "WHERE id = ?",
		       "siiis", change->title ? change->title : c->out.title,
		       (int64_t)(change->starred ? *change->starred : c->out.starred),
		       change->rating ? *change->rating : c->out.rating, c->now_ms, c->id);
	if (!err && change->tags)
		err = set_tags(conn, c, info);
	return err ? err : atl_asset_get_in(conn, c->arena, c->user_id, c->id, &c->out, info);
}

enum atl_err atl_asset_update(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			      const struct atl_asset_change *change, struct atl_asset *ret, struct atl_errinfo *info)
{
	struct change c = {.arena = arena, .user_id = user_id, .id = id, .change = change, .now_ms = atl_now_ms()};
	for (size_t i = 0; change->tags && i < change->tags->count; i++)
		if (atl_str_empty(change->tags->items[i]))
			return atl_fail_field(info, ATL_ERR_INVALID, "tags", "a tag may not be empty");
	enum atl_err err = atl_db_tx(app->db, update_fn, &c, info);
	if (err)
		return err;
	*ret = c.out;
	atl_asset_publish(app, "asset.updated", ret);
	return ATL_OK;
}

/* ---- many at once ---- */

struct bulk {
	struct atl_arena *arena;
	const char *user_id, *value;
	enum atl_asset_action action;
	const struct atl_strs *ids;
	int64_t rating, now_ms, changed_count;
	bool *changed;		/* by the place in ids */
	const char **released; /* of those that are gone: their blobs */
};

/* Only with `owner` in the statement: an id of somebody else changes nothing. */
static enum atl_err link_one(struct atl_conn *conn, const struct bulk *b, const char *id, int64_t *changed,
			     struct atl_errinfo *info)
{
	switch (b->action) {
	case ATL_ASSET_TAG:
		return atl_exec_count(conn, changed, info,
				      "INSERT INTO asset_tags (asset_id, user_id, kind, tag) "
				      "SELECT id, user_id, 'tag', ? FROM assets a WHERE id = ? AND user_id = ? AND library = 1 AND "
				      "(SELECT count(*) FROM asset_tags t WHERE t.asset_id = a.id AND t.kind = 'tag') < ? "
				      "ON CONFLICT DO NOTHING",
				      "sssi", b->value, id, b->user_id, (int64_t)ATL_ASSET_TAGS_MAX);
	case ATL_ASSET_UNTAG:
		return atl_exec_count(conn, changed, info,
				      "DELETE FROM asset_tags WHERE asset_id = ? AND user_id = ? AND kind = 'tag' AND tag = ?",
				      "sss", id, b->user_id, b->value);
	case ATL_ASSET_BOARD:
		return atl_exec_count(conn, changed, info,
				      "INSERT INTO board_assets (board_id, asset_id) SELECT b.id, a.id FROM boards b, assets a "
				      "WHERE b.id = ? AND b.user_id = ? AND a.id = ? AND a.user_id = ? AND a.library = 1 "
				      "ON CONFLICT DO NOTHING",
				      "ssss", b->value, b->user_id, id, b->user_id);
	default:
		return atl_exec_count(conn, changed, info,
				      "DELETE FROM board_assets WHERE asset_id = ? AND board_id IN "
				      "(SELECT id FROM boards WHERE id = ? AND user_id = ?)",
				      "sss", id, b->value, b->user_id);
	}
}

static enum atl_err mark_one(struct atl_conn *conn, const struct bulk *b, const char *id, int64_t *changed,
			     struct atl_errinfo *info)
{
	switch (b->action) {
	case ATL_ASSET_DELETE:
		return atl_exec_count(conn, changed, info,
				      "UPDATE assets SET deleted_at = ?, version = version + 1, updated_at = ? "
				      "WHERE id = ? AND user_id = ? AND library = 1 AND deleted_at IS NULL",
				      "iiss", b->now_ms, b->now_ms, id, b->user_id);
	case ATL_ASSET_RESTORE:
		return atl_exec_count(conn, changed, info,
				      "UPDATE assets SET deleted_at = NULL, version = version + 1, updated_at = ? "
				      "WHERE id = ? AND user_id = ? AND deleted_at IS NOT NULL AND held IN (0, 2)",
				      "iss", b->now_ms, id, b->user_id);
	case ATL_ASSET_STAR:
	case ATL_ASSET_UNSTAR:
		return atl_exec_count(conn, changed, info,
				      "UPDATE assets SET starred = ?, version = version + 1, updated_at = ? WHERE id = ? "
				      "AND user_id = ? AND library = 1 AND deleted_at IS NULL AND starred <> ?",
				      "iissi", (int64_t)(b->action == ATL_ASSET_STAR), b->now_ms, id, b->user_id,
				      (int64_t)(b->action == ATL_ASSET_STAR));
	default:
		return atl_exec_count(conn, changed, info,
				      "UPDATE assets SET rating = ?, version = version + 1, updated_at = ? WHERE id = ? "
				      "AND user_id = ? AND library = 1 AND deleted_at IS NULL AND rating <> ?",
				      "iissi", b->rating, b->now_ms, id, b->user_id, b->rating);
	}
}

/* The row goes, and with it tags, boards and links; its children keep the id of a parent that is gone. */
static enum atl_err end_one(struct atl_conn *conn, struct bulk *b, size_t at, int64_t *changed, struct atl_errinfo *info)
{
	const char *id = b->ids->items[at], *sha256 = NULL;
	struct atl_rows *rows;
	*changed = 0;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT sha256 FROM assets WHERE id = ? AND user_id = ? AND library = 1 AND held IN (0, 2)", "ss", id,
				     b->user_id);
	if (err)
		return err;
	if (!atl_rows_next(rows, &err, info))
		return err;
	sha256 = atl_col_text(rows, 0, b->arena);
	atl_rows_close(rows);
	err = atl_exec_count(conn, changed, info, "DELETE FROM assets WHERE id = ? AND user_id = ?", "ss", id, b->user_id);
	if (!err && *changed)
		err = atl_asset_release_in(conn, sha256, info);
	b->released[at] = sha256;
	return err;
}

static enum atl_err bulk_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct bulk *b = arg;
	enum atl_err err = ATL_OK;
	b->changed_count = 0;
	for (size_t i = 0; i < b->ids->count && !err; i++) {
		int64_t changed = 0;
		if (b->action == ATL_ASSET_FOREVER)
			err = end_one(conn, b, i, &changed, info);
		else if (b->action >= ATL_ASSET_TAG)
			err = link_one(conn, b, b->ids->items[i], &changed, info);
		else
			err = mark_one(conn, b, b->ids->items[i], &changed, info);
		b->changed[i] = changed > 0;
		b->changed_count += changed > 0;
	}
	return err;
}

static enum atl_err check_value(struct bulk *b, struct atl_errinfo *info)
{
	switch (b->action) {
	case ATL_ASSET_RATE:
		if (!b->value || !atl_str_i64(b->value, 0, 5, &b->rating))
			return atl_fail_field(info, ATL_ERR_INVALID, "value", "must be a rating from 0 to 5");
		return ATL_OK;
	case ATL_ASSET_TAG:
	case ATL_ASSET_UNTAG:
		if (atl_str_empty(b->value) || atl_utf8_count(b->value, strlen(b->value)) > ATL_ASSET_TAG_MAX)
			return atl_fail_field(info, ATL_ERR_INVALID, "value", "must be a tag of at most %d characters",
					      ATL_ASSET_TAG_MAX);
		return ATL_OK;
	case ATL_ASSET_BOARD:
	case ATL_ASSET_UNBOARD:
		return atl_str_empty(b->value) ? atl_fail_field(info, ATL_ERR_INVALID, "value", "must be a board's id")
					       : ATL_OK;
	default:
		return ATL_OK;
	}
}

static void publish_changes(struct atl_app *app, const struct bulk *b)
{
	bool gone = b->action == ATL_ASSET_DELETE || b->action == ATL_ASSET_FOREVER;
	if (b->changed_count && (b->action == ATL_ASSET_BOARD || b->action == ATL_ASSET_UNBOARD))
		atl_publish_id(app, b->user_id, "board.changed", b->value, NULL, NULL);
	for (size_t i = 0; i < b->ids->count; i++) {
		struct atl_asset asset;
		if (!b->changed[i] || b->action == ATL_ASSET_BOARD || b->action == ATL_ASSET_UNBOARD)
			continue;
		if (gone)
			atl_publish_id(app, b->user_id, "asset.deleted", b->ids->items[i], NULL, NULL);
		else if (atl_asset_get(app, b->arena, b->user_id, b->ids->items[i], &asset, NULL) == ATL_OK)
			atl_asset_publish(app, "asset.updated", &asset);
	}
}

enum atl_err atl_asset_bulk(struct atl_app *app, struct atl_arena *arena, const char *user_id,
			    enum atl_asset_action action, const struct atl_strs *ids, const char *value,
			    int64_t *ret_changed, struct atl_errinfo *info)
{
	struct bulk b = {.arena = arena,
			 .user_id = user_id,
			 .action = action,
			 .ids = ids,
			 .value = value,
			 .now_ms = atl_now_ms()};
	if (ids->count > ATL_ASSET_BULK_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "ids", "at most %d at a time", ATL_ASSET_BULK_MAX);
	enum atl_err err = check_value(&b, info);
	if (err)
		return err;
	b.changed = ATL_ARENA_ARRAY(arena, bool, ids->count + 1);
	b.released = ATL_ARENA_ARRAY(arena, const char *, ids->count + 1);
	if (!b.changed || !b.released)
		return atl_fail(info, ATL_ERR_NOMEM, "bulk");
	err = atl_db_tx(app->db, bulk_fn, &b, info);
	if (err)
		return err;
	for (size_t i = 0; action == ATL_ASSET_FOREVER && i < ids->count; i++) {
		struct atl_errinfo failed = {0};
		enum atl_err swept = b.changed[i] ? atl_asset_sweep_blob(app, b.released[i],
									 b.now_ms - ATL_ASSET_PUT_GRACE_MS, &failed)
						  : ATL_OK;
		if (swept) /* the next sweep tries again */
			atl_warn(MODULE, "removing a file: %s %s", atl_err_name(swept), failed.detail);
	}
	publish_changes(app, &b);
	if (action == ATL_ASSET_FOREVER && b.changed_count)
		atl_erase_soon(app, ATL_DB_SCRUB_TEXTS);
	*ret_changed = b.changed_count;
	return ATL_OK;
}

static enum atl_err one(struct atl_app *app, struct atl_arena *arena, const char *user_id, enum atl_asset_action action,
			const char *id, struct atl_errinfo *info)
{
	struct atl_strs ids = {.items = &id, .count = 1};
	int64_t changed = 0;
	enum atl_err err = atl_asset_bulk(app, arena, user_id, action, &ids, NULL, &changed, info);
	return !err && !changed ? atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such picture.") : err;
}

enum atl_err atl_asset_delete(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			      struct atl_errinfo *info)
{
	return one(app, arena, user_id, ATL_ASSET_DELETE, id, info);
}

enum atl_err atl_asset_delete_forever(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
				      struct atl_errinfo *info)
{
	return one(app, arena, user_id, ATL_ASSET_FOREVER, id, info);
}

enum atl_err atl_asset_restore(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id,
			       struct atl_asset *ret, struct atl_errinfo *info)
{
	enum atl_err err = one(app, arena, user_id, ATL_ASSET_RESTORE, id, info);
	return err ? err : atl_asset_get(app, arena, user_id, id, ret, info);
}

/* ---- the trash ---- */

struct old {
	struct atl_arena *arena;
	int64_t before_ms;
	const char *user_id;
	const char *ids[PURGE_BATCH];
	size_t count;
};

/* Of one user at a time, since what is deleted is told to its owner. */
static enum atl_err old_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct old *old = arg;
	struct atl_rows *rows;
	old->count = 0;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, user_id FROM assets WHERE deleted_at < ? AND library = 1 AND held IN (0, 2) "
				     "ORDER BY user_id, id LIMIT ?",
				     "ii", old->before_ms, (int64_t)PURGE_BATCH);
	if (err)
		return err;
	while (atl_rows_next(rows, &err, info)) {
		const char *user_id = atl_col_text(rows, 1, old->arena);
		if (old->count && !atl_str_eq(user_id, old->user_id)) {
			atl_rows_close(rows);
			break;
		}
		old->user_id = user_id;
		old->ids[old->count++] = atl_col_text(rows, 0, old->arena);
	}
	return err;
}

enum atl_err atl_assets_purge(struct atl_app *app, struct atl_errinfo *info)
{
	struct atl_arena arena;
	int64_t changed = 0, total = 0, now = atl_now_ms();
	enum atl_err err = ATL_OK;
	atl_arena_init(&arena, 0);
	do {
		struct old old = {.arena = &arena, .before_ms = now - ATL_ASSET_TRASH_MS};
		changed = 0;
		err = atl_db_read(app->db, old_fn, &old, info);
		struct atl_strs ids = {.items = old.ids, .count = old.count};
		if (!err && old.count)
			err = atl_asset_bulk(app, &arena, old.user_id, ATL_ASSET_FOREVER, &ids, NULL, &changed, info);
		total += changed;
		atl_arena_reset(&arena);
	} while (!err && changed);
	atl_arena_finish(&arena);
	if (!err && total)
		atl_info(MODULE, "%lld pictures left the trash for good", (long long)total);
	return err ? err : atl_asset_sweep_unused(app, now - ATL_ASSET_PUT_GRACE_MS, info);
}
