/* usage_sum.c - what was used, by day, model or user, from the balances of users' days. See quota.h. */
#include "core/books/quota.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "db/db.h"

#define DAY_SIZE 11 /* "2026-11-21" */

struct query {
	struct atl_arena *arena;
	const char *user_id;
	enum atl_usage_by by;
	int64_t from_ms, to_ms;
	struct atl_usage_line *lines;
	size_t count;
};

/* The column of `by` first; rows of one line follow each other. */
static const char *const SQL[] = {
	[ATL_USAGE_BY_DAY] = "SELECT b.start_at, '', b.kind, CAST(sum(b.used) AS BIGINT), '' FROM balances b "
			     "WHERE b.span = 'day' AND b.start_at >= ? AND b.start_at <= ? AND b.model <> '' "
			     "AND b.subject LIKE 'usr%' AND (? = '' OR b.subject = ?) "
			     "GROUP BY b.start_at, b.kind ORDER BY b.start_at, b.kind",
	[ATL_USAGE_BY_MODEL] = "SELECT 0, b.model, b.kind, CAST(sum(b.used) AS BIGINT), '' FROM balances b "
			       "WHERE b.span = 'day' AND b.start_at >= ? AND b.start_at <= ? AND b.model <> '' "
			       "AND b.subject LIKE 'usr%' AND (? = '' OR b.subject = ?) "
			       "GROUP BY b.model, b.kind ORDER BY b.model, b.kind",
	[ATL_USAGE_BY_USER] = "SELECT 0, b.subject, b.kind, CAST(sum(b.used) AS BIGINT), coalesce(min(u.name), '') FROM balances b "
			      "LEFT JOIN users u ON u.id = b.subject "
			      "WHERE b.span = 'day' AND b.start_at >= ? AND b.start_at <= ? AND b.model <> '' "
			      "AND b.subject LIKE 'usr%' AND (? = '' OR b.subject = ?) "
			      "GROUP BY b.subject, b.kind ORDER BY b.subject, b.kind",
};

static const char *day_text(struct atl_arena *arena, int64_t ms)
{
	char text[ATL_RFC3339_SIZE];

	atl_rfc3339_format(ms, text);
	return atl_arena_strndup(arena, text, DAY_SIZE - 1);
}

/* The line that this row belongs to; NULL: there is no room for it. */
static struct atl_usage_line *line_of(struct query *q, struct atl_rows *rows)
{
	struct atl_usage_line *last = q->count ? &q->lines[q->count - 1] : NULL;
	struct atl_usage_line line = { .day = "", .model = "", .user_id = "", .user_name = "" };

	if (q->by == ATL_USAGE_BY_DAY)
		line.day = day_text(q->arena, atl_col_int(rows, 0));
	else if (q->by == ATL_USAGE_BY_MODEL)
		line.model = atl_col_text(rows, 1, q->arena);
	else
		line.user_id = atl_col_text(rows, 1, q->arena);
	if (last && atl_str_eq(last->day, line.day) && atl_str_eq(last->model, line.model) &&
	    atl_str_eq(last->user_id, line.user_id))
		return last;
	if (q->count == ATL_USAGE_LINES_MAX)
		return NULL;
	if (q->by == ATL_USAGE_BY_USER)
		line.user_name = atl_col_text(rows, 4, q->arena);
	q->lines[q->count] = line;
	return &q->lines[q->count++];
}

static enum atl_err read_lines(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct query *q = arg;
	const char *user_id = q->user_id ? q->user_id : "";
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, SQL[q->by], "iiss", atl_window_start(ATL_WINDOW_DAY, q->from_ms),
				     q->to_ms, user_id, user_id);

	q->count = 0;
	while (!err && atl_rows_next(rows, &err, info)) {
		int kind = atl_ledger_index(atl_ledger_kinds, atl_col_text(rows, 2, q->arena));
		struct atl_usage_line *line = kind >= 0 ? line_of(q, rows) : NULL;

		if (line)
			line->amounts[kind] = atl_col_int(rows, 3);
	}
	return err;
}

enum atl_err atl_usage_lines(struct atl_app *app, struct atl_arena *arena, const char *user_id, enum atl_usage_by by,
			     int64_t from_ms, int64_t to_ms, struct atl_usage_line **ret, size_t *ret_count,
			     struct atl_errinfo *info)
{
	struct query q = { .arena = arena, .user_id = user_id, .by = by, .from_ms = from_ms, .to_ms = to_ms,
			   .lines = ATL_ARENA_ARRAY(arena, struct atl_usage_line, ATL_USAGE_LINES_MAX) };
	enum atl_err err = q.lines ? atl_db_read(app->db, read_lines, &q, info) : atl_fail(info, ATL_ERR_NOMEM, "usage lines");

	if (err)
		return err;
	*ret = q.lines;
	*ret_count = q.count;
	return ATL_OK;
}
