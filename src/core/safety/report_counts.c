/* report_counts.c - reports by month as CSV, and what goes when its time is over. See report.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access/address_limit.h"
#include "core/pictures/asset_int.h"
#include "core/safety/report_int.h"

#define MODULE "reports"
#define PURGE_BATCH 100
#define MONTHS_MAX 120
#define KINDS_MAX 16
#define COUNTERS 10 /* reports, voices, quarantined, kept, restricted, removed, suspended, late, appeals, overturned */

struct month {
	char name[16]; /* "2026-11" */
	int64_t counts[KINDS_MAX][COUNTERS];
};
struct counts {
	struct month *months; /* in the order of time */
	size_t count;
};

static void month_name(int64_t at_ms, char out[16])
{
	time_t seconds = (time_t)(at_ms / 1000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	snprintf(out, 16, "%04d-%02d", (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100);
}

static void add_row(struct counts *c, const struct atl_report *r, bool quarantined)
{
	size_t kind = 0;
	char name[16];
	int64_t *n;
	int64_t done = r->decided_at ? r->decided_at : atl_now_ms();

	while (atl_report_kinds[kind] && !atl_str_eq(atl_report_kinds[kind], r->kind))
		kind++;
	month_name(r->created_at, name);
	if (!atl_report_kinds[kind] || kind >= KINDS_MAX)
		return;
	if (!c->count || strcmp(c->months[c->count - 1].name, name) != 0) {
		if (c->count == MONTHS_MAX)
			return;
		memset(&c->months[c->count], 0, sizeof(c->months[0]));
		atl_str_copy(c->months[c->count++].name, sizeof(name), name);
	}
	n = c->months[c->count - 1].counts[kind];
	n[0]++;
	n[1] += r->voices;
	n[2] += quarantined;
	for (size_t i = 0; atl_report_decisions[i]; i++)
		n[3 + i] += atl_str_eq(r->decision, atl_report_decisions[i]);
	n[7] += done > r->created_at + atl_report_clock(r->kind) * 60 * 60 * 1000;
	n[8] += r->appealed_at != 0;
	n[9] += atl_str_eq(r->appeal_outcome, "overturned");
}

static enum atl_err counts_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct counts *c = arg;
	struct atl_rows *rows;
	struct atl_arena arena;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT created_at, kind, voices, quarantined_at, decision, decided_at, appealed_at, "
				     "appeal_outcome FROM reports ORDER BY created_at, id",
				     "");

	c->count = 0;
	atl_arena_init(&arena, 0);
	while (!err && atl_rows_next(rows, &err, info)) {
		const struct atl_report r = { .created_at = atl_col_int(rows, 0), .kind = atl_col_text(rows, 1, &arena),
					      .voices = atl_col_int(rows, 2), .decision = atl_col_text(rows, 4, &arena),
					      .decided_at = atl_col_int(rows, 5), .appealed_at = atl_col_int(rows, 6),
					      .appeal_outcome = atl_col_text(rows, 7, &arena) };

		add_row(c, &r, !atl_col_null(rows, 3));
		atl_arena_reset(&arena);
	}
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_report_counts(struct atl_app *app, struct atl_arena *arena, struct atl_buf *out, struct atl_errinfo *info)
{
	struct counts c = { .months = ATL_ARENA_ARRAY(arena, struct month, MONTHS_MAX) };
	enum atl_err err = c.months ? atl_db_read(app->db, counts_fn, &c, info) : atl_fail(info, ATL_ERR_NOMEM, "counts");

	if (err)
		return err;
	atl_buf_adds(out, "month,kind,reports,voices,quarantined,kept,restricted,removed,suspended,late,appeals,overturned\r\n");
	for (size_t m = 0; m < c.count; m++)
		for (size_t kind = 0; atl_report_kinds[kind]; kind++) {
			if (!c.months[m].counts[kind][0])
				continue;
			atl_buf_addf(out, "%s,%s", c.months[m].name, atl_report_kinds[kind]);
			for (size_t i = 0; i < COUNTERS; i++)
				atl_buf_addf(out, ",%" PRId64, c.months[m].counts[kind][i]);
			atl_buf_adds(out, "\r\n");
		}
	return atl_buf_err(out, info);
}

/* ---- when time is over ---- */

struct purge {
	struct atl_arena *arena;
	int64_t now_ms;
	const char *ids[PURGE_BATCH], *hashes[PURGE_BATCH];
	size_t count;
};

/* Removed pictures whose decision stands: no appeal in time, or one that was turned down. */
static enum atl_err due_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct purge *p = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT r.id, a.sha256 FROM reports r LEFT JOIN assets a ON a.id = r.target_id "
				     "WHERE r.target_kind = 'picture' AND r.purged_at IS NULL AND r.decision IN ('remove', 'suspend') "
				     "AND ((r.state = 'decided' AND r.decided_at < ?) OR (r.state = 'closed' AND "
				     "r.appeal_outcome = 'upheld')) ORDER BY r.id LIMIT ?",
				     "ii", p->now_ms - ATL_REPORT_APPEAL_MS, (int64_t)PURGE_BATCH);

	p->count = 0;
	while (!err && atl_rows_next(rows, &err, info)) {
		p->ids[p->count] = atl_col_text(rows, 0, p->arena);
		p->hashes[p->count++] = atl_col_text(rows, 1, p->arena);
	}
	return err;
}

static enum atl_err end_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	const struct purge *p = arg;
	enum atl_err err = atl_address_limit_purge_in(conn, p->now_ms, info);

	if (!err)
		err = atl_exec(conn, info, "DELETE FROM report_voices WHERE report_id IS NULL AND created_at < ?", "i",
			       p->now_ms - ATL_REPORT_LOST_MS);
	for (size_t i = 0; i < p->count && !err; i++) {
		if (p->hashes[i])
			err = atl_asset_hold_end_in(conn, p->hashes[i], info);
		if (!err)
			err = atl_exec(conn, info, "UPDATE reports SET purged_at = ? WHERE id = ?", "is", p->now_ms, p->ids[i]);
	}
	return err;
}

enum atl_err atl_reports_purge(struct atl_app *app, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct purge p = { .arena = &arena, .now_ms = atl_now_ms() };
	enum atl_err err;

	atl_arena_init(&arena, 0);
	err = atl_db_read(app->db, due_fn, &p, info);
	if (!err)
		err = atl_db_tx(app->db, end_fn, &p, info);
	for (size_t i = 0; i < p.count && !err; i++) {
		struct atl_errinfo failed = { 0 };

		if (p.hashes[i] && atl_asset_sweep_blob(app, p.hashes[i], p.now_ms - ATL_ASSET_PUT_GRACE_MS, &failed) != ATL_OK)
			atl_warn(MODULE, "removing a file: %s", failed.detail); /* the next sweep tries again */
	}
	atl_arena_finish(&arena);
	return err;
}

enum atl_err atl_report_forget_in(struct atl_conn *conn, const char *user_id, struct atl_errinfo *info)
{
	enum atl_err err = atl_exec(conn, info, "UPDATE report_voices SET note = '', contact = '', user_id = NULL WHERE user_id = ?",
				    "s", user_id);

	return err ? err : atl_exec(conn, info, "UPDATE reports SET appeal_note = '', owner_id = NULL WHERE owner_id = ?", "s",
				    user_id);
}
