/* notice.c - see notice.h. */
#include "core/people/notice.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/safety/report.h"

#define OFF(member) offsetof(struct atl_notice, member)
static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "kind", ATL_JT_STR, OFF(kind), ATL_JF_REQUIRED, .doc = "held, decided, appeal, report" },
	{ "report_id", ATL_JT_STR, OFF(report_id), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
	{ "target_kind", ATL_JT_STR, OFF(target_kind), ATL_JF_REQUIRED },
	{ "target_id", ATL_JT_STR, OFF(target_id), ATL_JF_REQUIRED },
	{ "decision", ATL_JT_STR, OFF(decision), ATL_JF_REQUIRED,
	  .doc = "keep, restrict, remove, suspend; of an appeal: upheld, overturned; of a report: kept, acted; \"\": none yet" },
	{ "reason", ATL_JT_STR, OFF(reason), ATL_JF_REQUIRED },
	{ "answer", ATL_JT_STR, OFF(answer), ATL_JF_REQUIRED },
	{ "may_appeal", ATL_JT_BOOL, OFF(may_appeal), ATL_JF_REQUIRED },
	{ "created_at", ATL_JT_TIME, OFF(created_at), ATL_JF_REQUIRED },
	{ "read_at", ATL_JT_TIME, OFF(read_at), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
};
const struct atl_json_desc atl_notice_desc = { "ModeratorNotice", "What moderators tell an account.", FIELDS, ATL_COUNT(FIELDS),
	sizeof(struct atl_notice), ATL_JSON_NO_PRESENT, false };

enum atl_err atl_notice_add_in(struct atl_conn *conn, const struct atl_notice_new *notice, struct atl_errinfo *info)
{
	char id[ATL_ID_SIZE];

	if (!notice->user_id)
		return ATL_OK;
	atl_id_new("ntc", id);
	return atl_exec(conn, info,
			"INSERT INTO notices (id, user_id, kind, report_id, target_kind, target_id, decision, reason, answer, "
			"created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			"sssssssssi", id, notice->user_id, notice->kind, notice->report_id, notice->target_kind, notice->target_id,
			notice->decision ? notice->decision : "", notice->reason ? notice->reason : "",
			notice->answer ? notice->answer : "", atl_now_ms());
}

struct work {
	struct atl_arena *arena;
	const char *user_id, *id;
	int64_t now_ms;
	struct atl_notice *items;
	size_t count;
};

static enum atl_err list_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT n.id, n.kind, n.report_id, n.target_kind, n.target_id, n.decision, n.reason, n.answer, "
				     "n.created_at, n.read_at, CASE WHEN n.kind = 'decided' AND n.decision <> 'keep' AND "
				     "r.state = 'decided' AND r.owner_id = n.user_id AND r.decided_at > ? THEN 1 ELSE 0 END "
				     "FROM notices n LEFT JOIN reports r ON r.id = n.report_id WHERE n.user_id = ? "
				     "ORDER BY n.id DESC LIMIT ?",
				     "isi", w->now_ms - ATL_REPORT_APPEAL_MS, w->user_id, (int64_t)ATL_NOTICES_MAX);

	w->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		w->items[w->count++] = (struct atl_notice){
			.id = atl_col_text(rows, 0, w->arena), .kind = atl_col_text(rows, 1, w->arena),
			.report_id = atl_col_text(rows, 2, w->arena), .target_kind = atl_col_text(rows, 3, w->arena),
			.target_id = atl_col_text(rows, 4, w->arena), .decision = atl_col_text(rows, 5, w->arena),
			.reason = atl_col_text(rows, 6, w->arena), .answer = atl_col_text(rows, 7, w->arena),
			.created_at = atl_col_int(rows, 8), .read_at = atl_col_int(rows, 9), .may_appeal = atl_col_int(rows, 10) != 0
		};
	return err;
}

enum atl_err atl_notice_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct atl_items *ret,
			     struct atl_errinfo *info)
{
	struct work w = { .arena = arena, .user_id = user_id, .now_ms = atl_now_ms(),
			  .items = ATL_ARENA_ARRAY(arena, struct atl_notice, ATL_NOTICES_MAX) };
	enum atl_err err = w.items ? atl_db_read(app->db, list_fn, &w, info) : atl_fail(info, ATL_ERR_NOMEM, "notices");

	if (!err)
		*ret = (struct atl_items){ w.items, w.count };
	return err;
}

static enum atl_err read_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct work *w = arg;
	int64_t changed = 0;
	enum atl_err err = atl_exec_count(conn, &changed, info,
					  "UPDATE notices SET read_at = CASE WHEN read_at IS NULL THEN ? ELSE read_at END "
					  "WHERE id = ? AND user_id = ?",
					  "iss", w->now_ms, w->id, w->user_id);

	return !err && !changed ? atl_fail(info, ATL_ERR_NOT_FOUND, "There is no such notice.") : err;
}

enum atl_err atl_notice_read(struct atl_app *app, const char *user_id, const char *id, struct atl_errinfo *info)
{
	struct work w = { .user_id = user_id, .id = id, .now_ms = atl_now_ms() };

	return atl_db_tx(app->db, read_fn, &w, info);
}
