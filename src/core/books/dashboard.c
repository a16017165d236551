/* dashboard.c - see dashboard.h. */
#include "core/books/dashboard.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "db/db.h"

#define DAY_SIZE 10 /* "2026-11-21" */
#define FAILURES_MAX 200

const char *const atl_dashboard_bys[] = { "total", "day", "model", "provider", "user", NULL };

#define OFF(member) offsetof(struct atl_dashboard_line, member)
#define R ATL_JF_REQUIRED
static const struct atl_json_field FIELDS[] = {
	{ "key", ATL_JT_STR, OFF(key), R, .doc = "the day, model, provider or user" },
	{ "name", ATL_JT_STR, OFF(name), R, .doc = "of the provider or user; \"\": it is gone, or has none" },
	{ "requests", ATL_JT_INT, OFF(requests), R, .doc = "replies, requests and jobs that ended, failed ones among them" },
	{ "failed", ATL_JT_INT, OFF(failed), R },
	{ "active_users", ATL_JT_INT, OFF(active_users), R },
	{ "pictures", ATL_JT_INT, OFF(pictures), R, .doc = "and films" },
	{ "cost_micro_usd", ATL_JT_INT, OFF(cost_micro_usd), R },
	{ "estimated_micro_usd", ATL_JT_INT, OFF(estimated_micro_usd), R, .doc = "told before, of what succeeded" },
	{ "estimated_cost_micro_usd", ATL_JT_INT, OFF(estimated_cost_micro_usd), R, .doc = "what the same then cost" },
	{ "p50_ms", ATL_JT_INT, OFF(p50_ms), R, .doc = "median time of what succeeded; 0: nothing did" },
	{ "p95_ms", ATL_JT_INT, OFF(p95_ms), R },
};
const struct atl_json_desc atl_dashboard_desc = { "DashboardLine", "How much was asked, how it went and what it cost.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_dashboard_line), ATL_JSON_NO_PRESENT, false };

#define FOFF(member) offsetof(struct atl_dashboard_failure, member)
static const struct atl_json_field FAILURE_FIELDS[] = {
	{ "error", ATL_JT_STR, FOFF(error), R, .doc = "slug" },
	{ "sentence", ATL_JT_STR, FOFF(sentence), R },
	{ "model", ATL_JT_STR, FOFF(model), R, .doc = "\"\": none was found" },
	{ "count", ATL_JT_INT, FOFF(count), R },
	{ "users", ATL_JT_INT, FOFF(users), R, .doc = "whom it met" },
	{ "last_at", ATL_JT_TIME, FOFF(last_at), R },
};
const struct atl_json_desc atl_dashboard_failure_desc = { "DashboardFailure", "A cause of failures.", FAILURE_FIELDS,
	ATL_COUNT(FAILURE_FIELDS), sizeof(struct atl_dashboard_failure), ATL_JSON_NO_PRESENT, false };

/* Everything that ended: at, user_id, model, ms, cost, estimate, error, pictures. Times twice: from, to, from, to. */
#define ENDED                                                                                                               \
	"SELECT u.created_at AS at, u.user_id AS user_id, u.model AS model, u.duration_ms AS ms, u.cost_micro_usd AS cost, "      \
	"u.estimate_micro_usd AS estimate, u.error AS error, 0 AS pictures FROM usage_records u "                                 \
	"WHERE u.created_at >= ? AND u.created_at < ? UNION ALL "                                                                 \
	"SELECT j.finished_at, j.user_id, j.model, j.finished_at - coalesce(j.started_at, j.finished_at), j.cost_micro_usd, "     \
	"coalesce((SELECT l.amount FROM ledger l WHERE l.ref = j.id AND l.kind = 'money_micro_usd' AND l.step = 0), -1), "        \
	"CASE WHEN j.state = 'failed' THEN coalesce(j.error_slug, 'internal') ELSE '' END, j.done_count FROM jobs j "             \
	"WHERE j.finished_at >= ? AND j.finished_at < ? AND j.state IN ('done', 'failed')"

/* The n-th of those that went alike, by their time. */
#define RANKED(key)                                                                                                          \
	"SELECT k, count(*), CAST(sum(CASE WHEN error = '' THEN 0 ELSE 1 END) AS BIGINT), count(DISTINCT user_id), "               \
	"CAST(sum(pictures) AS BIGINT), CAST(sum(cost) AS BIGINT), "                                                               \
	"CAST(sum(CASE WHEN estimate >= 0 AND error = '' THEN estimate ELSE 0 END) AS BIGINT), "                                   \
	"CAST(sum(CASE WHEN estimate >= 0 AND error = '' THEN cost ELSE 0 END) AS BIGINT), "                                       \
	"CAST(coalesce(max(CASE WHEN error = '' AND place = (alike + 1) / 2 THEN ms END), 0) AS BIGINT), "                         \
	"CAST(coalesce(max(CASE WHEN error = '' AND place = (alike * 95 + 99) / 100 THEN ms END), 0) AS BIGINT) FROM ("            \
	"SELECT k, user_id, ms, cost, estimate, error, pictures, "                                                                 \
	"row_number() OVER (PARTITION BY k, CASE WHEN error = '' THEN 0 ELSE 1 END ORDER BY ms) AS place, "                        \
	"count(*) OVER (PARTITION BY k, CASE WHEN error = '' THEN 0 ELSE 1 END) AS alike FROM ("                                   \
	"SELECT " key " AS k, e.* FROM (" ENDED ") e) keyed) ranked GROUP BY k "

static const char *const SQL[] = {
	[ATL_DASHBOARD_TOTAL] = RANKED("''") "ORDER BY 2 DESC, 1",
	[ATL_DASHBOARD_DAY] = RANKED("e.at / 86400000") "ORDER BY 1",
	[ATL_DASHBOARD_MODEL] = RANKED("e.model") "ORDER BY 2 DESC, 1",
	/* a provider's id has 30 characters */
	[ATL_DASHBOARD_PROVIDER] = RANKED("CASE WHEN e.model LIKE 'prv%/%' THEN substr(e.model, 1, 30) "
					  "WHEN e.model LIKE 'local/%' THEN 'local' ELSE '' END") "ORDER BY 2 DESC, 1",
	[ATL_DASHBOARD_USER] = RANKED("e.user_id") "ORDER BY 2 DESC, 1",
};
_Static_assert(ATL_ID_SIZE == 31, "SQL cuts ids at 30");

struct query {
	struct atl_arena *arena;
	enum atl_dashboard_by by;
	int64_t from_ms, to_ms;
	struct atl_dashboard_line *lines;
	struct atl_dashboard_failure *failures;
	size_t count;
};

static const char *day_text(struct atl_arena *arena, int64_t day)
{
	char text[ATL_RFC3339_SIZE];

	atl_rfc3339_format(day * 86400000, text);
	return atl_arena_strndup(arena, text, DAY_SIZE);
}

static enum atl_err name_it(struct atl_conn *conn, struct query *q, struct atl_dashboard_line *line, struct atl_errinfo *info)
{
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     q->by == ATL_DASHBOARD_USER ? "SELECT name FROM users WHERE id = ?" :
								   "SELECT name FROM providers WHERE id = ?",
				     "s", line->key);

	while (!err && atl_rows_next(rows, &err, info))
		line->name = atl_col_text(rows, 0, q->arena);
	return err;
}

static enum atl_err lines_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct query *q = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, SQL[q->by], "iiii", q->from_ms, q->to_ms, q->from_ms, q->to_ms);

	q->count = 0;
	while (!err && atl_rows_next(rows, &err, info)) {
		if (q->count == ATL_DASHBOARD_LINES_MAX)
			continue;
		q->lines[q->count++] = (struct atl_dashboard_line){
			.key = q->by == ATL_DASHBOARD_DAY ? day_text(q->arena, atl_col_int(rows, 0)) : atl_col_text(rows, 0, q->arena),
			.name = "", .requests = atl_col_int(rows, 1), .failed = atl_col_int(rows, 2),
			.active_users = atl_col_int(rows, 3), .pictures = atl_col_int(rows, 4), .cost_micro_usd = atl_col_int(rows, 5),
			.estimated_micro_usd = atl_col_int(rows, 6), .estimated_cost_micro_usd = atl_col_int(rows, 7),
			.p50_ms = atl_col_int(rows, 8), .p95_ms = atl_col_int(rows, 9) };
	}
	for (size_t i = 0; !err && i < q->count; i++)
		if (q->by == ATL_DASHBOARD_USER || q->by == ATL_DASHBOARD_PROVIDER)
			err = name_it(conn, q, &q->lines[i], info);
	return err;
}

enum atl_err atl_dashboard(struct atl_app *app, struct atl_arena *arena, enum atl_dashboard_by by, int64_t from_ms, int64_t to_ms,
			   struct atl_dashboard_line **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct query q = { .arena = arena, .by = by, .from_ms = from_ms, .to_ms = to_ms,
			   .lines = ATL_ARENA_ARRAY(arena, struct atl_dashboard_line, ATL_DASHBOARD_LINES_MAX) };
	enum atl_err err = q.lines ? atl_db_read(app->db, lines_fn, &q, info) : atl_fail(info, ATL_ERR_NOMEM, "dashboard");

	if (err)
		return err;
	*ret = q.lines;
	*ret_count = q.count;
	return ATL_OK;
}

/* ---- failures ---- */

static const char *sentence_of(const char *slug)
{
	for (int err = 1; err < ATL_ERR_COUNT; err++)
		if (atl_str_eq(atl_err_slug((enum atl_err)err), slug))
			return atl_err_sentence((enum atl_err)err);
	return "";
}

static enum atl_err failures_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct query *q = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT e.error, e.model, count(*), count(DISTINCT e.user_id), max(e.at) FROM (" ENDED ") e "
				     "WHERE e.error <> '' GROUP BY e.error, e.model ORDER BY 3 DESC, 5 DESC LIMIT ?",
				     "iiiii", q->from_ms, q->to_ms, q->from_ms, q->to_ms, (int64_t)FAILURES_MAX);

	q->count = 0;
	while (!err && atl_rows_next(rows, &err, info)) {
		const char *error = atl_col_text(rows, 0, q->arena);

		q->failures[q->count++] = (struct atl_dashboard_failure){ error, atl_col_text(rows, 1, q->arena), sentence_of(error),
									  atl_col_int(rows, 2), atl_col_int(rows, 3),
									  atl_col_int(rows, 4) };
	}
	return err;
}

enum atl_err atl_dashboard_failures(struct atl_app *app, struct atl_arena *arena, int64_t from_ms, int64_t to_ms,
				    struct atl_dashboard_failure **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct query q = { .arena = arena, .from_ms = from_ms, .to_ms = to_ms,
			   .failures = ATL_ARENA_ARRAY(arena, struct atl_dashboard_failure, FAILURES_MAX) };
	enum atl_err err = q.failures ? atl_db_read(app->db, failures_fn, &q, info) : atl_fail(info, ATL_ERR_NOMEM, "failures");

	if (err)
		return err;
	*ret = q.failures;
	*ret_count = q.count;
	return ATL_OK;
}

/* ---- what is kept ---- */

#define SOFF(member) offsetof(struct atl_dashboard_storage, member)
static const struct atl_json_field STORAGE_FIELDS[] = {
	{ "user_id", ATL_JT_STR, SOFF(user_id), R },
	{ "user_name", ATL_JT_STR, SOFF(user_name), R },
	{ "files", ATL_JT_INT, SOFF(files), R, .doc = "pictures and films, those in the trash with them" },
	{ "bytes", ATL_JT_INT, SOFF(bytes), R },
};
const struct atl_json_desc atl_dashboard_storage_desc = { "StorageLine", "What somebody's files take.", STORAGE_FIELDS,
	ATL_COUNT(STORAGE_FIELDS), sizeof(struct atl_dashboard_storage), ATL_JSON_NO_PRESENT, false };

struct storage {
	struct atl_arena *arena;
	const char *user_id;
	struct atl_dashboard_storage *items;
	size_t count;
};

static enum atl_err storage_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct storage *s = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info,
				     "SELECT a.user_id, coalesce(min(u.name), ''), count(*), CAST(sum(a.size_bytes) AS BIGINT) FROM assets a "
				     "LEFT JOIN users u ON u.id = a.user_id WHERE (? = '' OR a.user_id = ?) "
				     "GROUP BY a.user_id ORDER BY 4 DESC, 1 LIMIT ?",
				     "ssi", s->user_id ? s->user_id : "", s->user_id ? s->user_id : "",
				     (int64_t)ATL_DASHBOARD_LINES_MAX);

	s->count = 0;
	while (!err && atl_rows_next(rows, &err, info))
		s->items[s->count++] = (struct atl_dashboard_storage){ atl_col_text(rows, 0, s->arena), atl_col_text(rows, 1, s->arena),
								       atl_col_int(rows, 2), atl_col_int(rows, 3) };
	return err;
}

enum atl_err atl_dashboard_storage(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				   struct atl_dashboard_storage **ret, size_t *ret_count, struct atl_errinfo *info)
{
	struct storage s = { .arena = arena, .user_id = user_id,
			     .items = ATL_ARENA_ARRAY(arena, struct atl_dashboard_storage, ATL_DASHBOARD_LINES_MAX) };
	enum atl_err err = s.items ? atl_db_read(app->db, storage_fn, &s, info) : atl_fail(info, ATL_ERR_NOMEM, "storage");

	if (err)
		return err;
	if (user_id && !s.count)
		s.items[s.count++] = (struct atl_dashboard_storage){ .user_id = user_id, .user_name = "" };
	*ret = s.items;
	*ret_count = s.count;
	return ATL_OK;
}
