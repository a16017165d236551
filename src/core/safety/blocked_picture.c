/* blocked_picture.c - see blocked_picture.h. */
#include "core/safety/blocked_picture.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/people/audit.h"
#include "media/phash.h"
#include "media/picture.h"

#define LIST_MAX 200
#define EVENTFUL_MIN 16 /* bits that are set: half of them in a picture, few where there is nothing to see */
#define EVENTFUL_MAX 48

#define OFF(member) offsetof(struct atl_blocked, member)
static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "sha256", ATL_JT_STR, OFF(sha256), ATL_JF_REQUIRED },
	{ "looks", ATL_JT_BOOL, OFF(looks), ATL_JF_REQUIRED, .doc = "known by its looks, too, not only by its bytes" },
	{ "report_id", ATL_JT_STR, OFF(report_id), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
	{ "created_by", ATL_JT_STR, OFF(created_by), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
	{ "reason", ATL_JT_STR, OFF(reason), ATL_JF_REQUIRED },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
};
const struct atl_json_desc atl_blocked_desc = { "BlockedPicture", "A picture that may not come in.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_blocked), ATL_JSON_NO_PRESENT, false };

void atl_canary_picture(unsigned char *rgb, unsigned side)
{
	static const unsigned char COLOURS[2][3] = { { 20, 40, 120 }, { 240, 200, 40 } };

	for (unsigned y = 0; y < side; y++)
		for (unsigned x = 0; x < side; x++) {
			unsigned square = y / (side / 8) * 8 + x / (side / 8);

			memcpy(rgb + ((size_t)y * side + x) * 3, COLOURS[ATL_CANARY_SQUARES >> square & 1], 3);
		}
}

bool atl_blocked_eventful(uint64_t phash)
{
	int bits = __builtin_popcountll(phash);

	return bits >= EVENTFUL_MIN && bits <= EVENTFUL_MAX;
}

bool atl_blocked_alike(uint64_t a, uint64_t b)
{
	return atl_blocked_eventful(a) && atl_blocked_eventful(b) && atl_phash_distance(a, b) <= ATL_BLOCKED_DISTANCE;
}

/* ---- the gate ---- */

struct gate {
	const struct atl_picture_print *print;
	const char *asset_id;
	struct atl_picture_print own; /* of an asset */
	struct atl_arena *arena;
	const char *how; /* NULL: it may pass */
};

static enum atl_err gate_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct gate *g = arg;
	const char *sha256 = g->print->sha256 ? g->print->sha256 : "";
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT CASE WHEN sha256 = ? THEN 1 ELSE 0 END, phash FROM blocked_pictures "
				     "WHERE sha256 = ? OR phash IS NOT NULL",
				     "ss", sha256, sha256);

	g->how = NULL;
	while (!err && atl_rows_next(rows, &err, info)) {
		if (atl_col_int(rows, 0))
			g->how = "by its bytes";
		else if (!g->how && g->print->has_phash && !atl_col_null(rows, 1) &&
			 atl_blocked_alike((uint64_t)atl_col_int(rows, 1), g->print->phash))
			g->how = "by its looks";
	}
	return err;
}

enum atl_err atl_blocked_check(struct atl_app *app, const char *user_id, const struct atl_picture_print *print,
			       struct atl_errinfo *info)
{
	struct gate g = { .print = print };
	struct atl_audit row = { .action = "picture.blocked", .target_kind = "user", .target_id = user_id };
	enum atl_err err = ATL_OK;

	if (print->has_phash && atl_blocked_alike(print->phash, ATL_CANARY_PHASH))
		g.how = "the canary";
	else
		err = atl_db_read(app->db, gate_fn, &g, info);
	if (err || !g.how)
		return err;
	row.note = g.how;
	atl_audit_now(app, &row);
	return atl_fail(info, ATL_ERR_POLICY, "This picture is blocked on this server.");
}

static enum atl_err asset_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct gate *g = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT sha256, phash FROM assets WHERE id = ?", "s", g->asset_id);

	while (!err && atl_rows_next(rows, &err, info))
		g->own = (struct atl_picture_print){ .sha256 = atl_col_text(rows, 0, g->arena), .has_phash = !atl_col_null(rows, 1),
						     .phash = (uint64_t)atl_col_int(rows, 1) };
	return err;
}

enum atl_err atl_blocked_check_asset(struct atl_app *app, const char *user_id, const char *asset_id, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct gate g = { .asset_id = asset_id, .arena = &arena };
	enum atl_err err;

	atl_arena_init(&arena, 4096);
	err = atl_db_read(app->db, asset_fn, &g, info);
	if (!err)
		err = atl_blocked_check(app, user_id, &g.own, info);
	atl_arena_finish(&arena);
	return err;
}

/* ---- the list ---- */

struct work {
	const struct atl_identity *who;
	struct atl_arena *arena;
	const char *id, *sha256, *reason;
	uint64_t phash;
	struct atl_blocked *items;
	size_t count;
};

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT id, sha256, phash, report_id, created_by, reason, created_at FROM blocked_pictures "
				     "ORDER BY id DESC LIMIT ?",
				     "i", (int64_t)LIST_MAX);

	w->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		w->items[w->count++] = (struct atl_blocked){
			.id = atl_col_text(rows, 0, w->arena), .sha256 = atl_col_text(rows, 1, w->arena),
			.looks = !atl_col_null(rows, 2), .report_id = atl_col_text(rows, 3, w->arena),
			.created_by = atl_col_text(rows, 4, w->arena), .reason = atl_col_text(rows, 5, w->arena),
			.created_at = atl_col_int(rows, 6)
		};
	return err;
}

enum atl_err atl_blocked_list(struct atl_app *app, struct atl_arena *arena, struct atl_items *ret, struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .items = ATL_ARENA_ARRAY(arena, struct atl_blocked, LIST_MAX) };
	enum atl_err err = w.items ? atl_db_read(app->db, list_fn, &w, info) : atl_fail(info, ATL_ERR_NOMEM, "blocked pictures");

	if (!err)
		*ret = (struct atl_items){ w.items, w.count };
	return err;
}

static enum atl_err insert(struct atl_conn *conn, const char *id, const char *sha256, uint64_t phash, bool has_phash,
			   const char *report_id, const char *by, const char *reason, int64_t now_ms, int64_t *ret_changed,
			   struct atl_errinfo *info)
{
	enum atl_err err = atl_exec_count(conn, ret_changed, info,
					  "INSERT INTO blocked_pictures (id, sha256, report_id, reason, created_by, created_at) "
					  "SELECT ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM blocked_pictures) < ? "
					  "ON CONFLICT (sha256) DO NOTHING",
					  "sssssii", id, sha256, report_id, reason, by, now_ms, (int64_t)ATL_BLOCKED_MAX);

	if (!err && *ret_changed && has_phash && atl_blocked_eventful(phash))
		err = atl_exec(conn, info, "UPDATE blocked_pictures SET phash = ? WHERE id = ?", "is", (int64_t)phash, id);
	return err;
}

static enum atl_err add_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;
	int64_t changed = 0;
	enum atl_err err = insert(conn, w->id, w->sha256, w->phash, true, NULL, w->who->user_id, w->reason, atl_now_ms(), &changed,
				  info);

	return !err && !changed ? atl_fail(info, ATL_ERR_CONFLICT, "It is blocked already, or the list is full.") : err;
}

enum atl_err atl_blocked_add(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const void *data,
			     size_t length, const char *reason, struct atl_blocked *ret, struct atl_errinfo *info)
{
	const struct atl_picture_options ask = { .owner = who->user_id, .phash = true };
	struct atl_picture picture;
	char *id = atl_arena_alloc(arena, ATL_ID_SIZE), *sha256 = atl_arena_alloc(arena, ATL_SHA256_SIZE * 2 + 1);
	struct work w = { .who = who, .arena = arena, .id = id, .sha256 = sha256, .reason = reason };
	const struct atl_audit row = { .who = who, .action = "picture.block", .target_kind = "blocked_picture", .target_id = id,
				       .note = sha256 };
	enum atl_err err = id && sha256 ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "blocked picture");

	if (!err)
		err = atl_picture_open(app->pictures, arena, data, length, &ask, &picture, info);
	if (err)
		return err;
	atl_id_new("blk", id);
	atl_sha256_hex(data, length, sha256);
	w.phash = picture.phash;
	err = atl_audit_tx(app->db, add_fn, &w, &row, info);
	if (!err)
		*ret = (struct atl_blocked){ .id = id, .sha256 = sha256, .looks = atl_blocked_eventful(w.phash), .created_by = who->user_id,
					     .reason = reason, .created_at = atl_now_ms() };
	return err;
}

static enum atl_err delete_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct work *w = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info, "DELETE FROM blocked_pictures WHERE id = ?", "s", w->id);

	return !err && !changed ? atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such entry.") : err;
}

enum atl_err atl_blocked_delete(struct atl_app *app, const struct atl_identity *who, const char *id, struct atl_errinfo *info)
{
	struct work w = { .who = who, .id = id };
	const struct atl_audit row = { .who = who, .action = "picture.unblock", .target_kind = "blocked_picture", .target_id = id };

	return atl_audit_tx(app->db, delete_fn, &w, &row, info);
}

/* ---- of reports ---- */

enum atl_err atl_blocked_add_report_in(struct atl_conn *conn, const char *report_id, const char *asset_id, const char *reason,
				       int64_t now_ms, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct gate g = { .asset_id = asset_id, .arena = &arena };
	char id[ATL_ID_SIZE];
	int64_t changed;
	enum atl_err err;

	atl_arena_init(&arena, 4096);
	err = asset_fn(conn, &g, info);
	atl_id_new("blk", id);
	if (!err && g.own.sha256)
		err = insert(conn, id, g.own.sha256, g.own.phash, g.own.has_phash, report_id, NULL, reason, now_ms, &changed, info);
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_blocked_end_report_in(struct atl_conn *conn, const char *report_id, struct atl_errinfo *info)
{
	return atl_exec(conn, info, "DELETE FROM blocked_pictures WHERE report_id = ?", "s", report_id);
}
