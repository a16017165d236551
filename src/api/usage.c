/* usage.c - /api/v1/usage: one's own use and limits, and for those with usage.read what everybody used, as JSON or CSV. */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/fields.h"
#include "api/usage_int.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/books/dashboard.h"
#include "core/books/quota.h"

#define DAY_MS 86400000LL
#define HISTORY_DAYS 30

/* ---- one's own ---- */

struct state_out {
	const char *id, *scope, *kind, *span, *model;
	int64_t limit, used, percent, resets_at;
	bool near, may_ask;
};
static const struct atl_json_field state_fields[] = {
	F_STR(struct state_out, id, ATL_JF_REQUIRED, 0, 0, NULL),
	F_ENUM(struct state_out, scope, ATL_JF_REQUIRED, atl_quota_scopes, NULL),
	F_ENUM(struct state_out, kind, ATL_JF_REQUIRED, atl_ledger_kinds, NULL),
	F_ENUM(struct state_out, span, ATL_JF_REQUIRED, atl_windows, NULL),
	F_STR(struct state_out, model, ATL_JF_REQUIRED, 0, 0, "\"\": every model"),
	F_INT(struct state_out, limit, ATL_JF_REQUIRED, 0, 0, "with what was granted on top"),
	F_INT(struct state_out, used, ATL_JF_REQUIRED, 0, 0, "and reserved"),
	F_INT(struct state_out, percent, ATL_JF_REQUIRED, 0, 0, NULL),
	F_BOOL(struct state_out, near, ATL_JF_REQUIRED, "80 % are used"),
	F_BOOL(struct state_out, may_ask, ATL_JF_REQUIRED, "more can be asked for"),
	F_TIME(struct state_out, resets_at, ATL_JF_NULLABLE, "null: never"),
};
DESC(state_desc, struct state_out, "QuotaState", state_fields);

#define LINE_AMOUNT(index) (offsetof(struct atl_usage_line, amounts) + (index) * sizeof(int64_t))
static const struct atl_json_field line_fields[] = {
	F_STR(struct atl_usage_line, day, ATL_JF_REQUIRED, 0, 0, "2026-11-21 in UTC; \"\" unless by day"),
	F_STR(struct atl_usage_line, model, ATL_JF_REQUIRED, 0, 0, "\"\" unless by model; \"-\": not known"),
	F_STR(struct atl_usage_line, user_id, ATL_JF_REQUIRED, 0, 0, "\"\" unless by user"),
	F_STR(struct atl_usage_line, user_name, ATL_JF_REQUIRED, 0, 0, "\"\": not by user, or the account is gone"),
#define ATL_LEDGER_KIND_X(name_, text, one, many) \
	{ .name = text, .type = ATL_JT_INT, .offset = LINE_AMOUNT(ATL_LEDGER_##name_), .flags = ATL_JF_REQUIRED },
	ATL_LEDGER_KIND_LIST(ATL_LEDGER_KIND_X)
#undef ATL_LEDGER_KIND_X
};
DESC(line_desc, struct atl_usage_line, "UsageLine", line_fields);

struct mine_out {
	struct atl_items quotas, history, requests;
	int64_t storage_bytes, storage_limit_bytes;
	const char *from, *to;
};
static const struct atl_json_field mine_fields[] = {
	F_LIST(struct mine_out, quotas, ATL_JF_REQUIRED, &state_desc, "tightest first"),
	F_LIST(struct mine_out, history, ATL_JF_REQUIRED, &line_desc, "the last 30 days on which something was used"),
	F_LIST(struct mine_out, requests, ATL_JF_REQUIRED, &atl_quota_request_desc, "what was asked for, and the answers"),
	F_INT(struct mine_out, storage_bytes, ATL_JF_REQUIRED, 0, 0, "what your files take now"),
	F_INT(struct mine_out, storage_limit_bytes, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "null: no limit"),
	F_STR(struct mine_out, from, ATL_JF_REQUIRED, 0, 0, "first day of the history"),
	F_STR(struct mine_out, to, ATL_JF_REQUIRED, 0, 0, "today"),
};
DESC(mine_desc, struct mine_out, "OwnUsage", mine_fields);

static const char *day_of(struct atl_req *req, int64_t ms)
{
	char text[ATL_RFC3339_SIZE];

	atl_rfc3339_format(ms, text);
	text[10] = '\0';
	return atl_arena_strdup(&req->arena, text);
}

static void fill_state(const struct atl_quota_state *state, struct state_out *out)
{
	int64_t used = state->used + state->reserved;

	*out = (struct state_out){ .id = state->id, .scope = state->scope, .kind = atl_ledger_kinds[state->kind],
				   .span = state->span, .model = state->model, .limit = state->limit, .used = used,
				   .percent = state->limit > 0 ? (int64_t)((double)used * 100 / (double)state->limit) : 100,
				   .may_ask = !atl_str_eq(state->scope, "server"), .resets_at = state->resets_at };
	out->near = out->percent >= ATL_QUOTA_WARN_PERCENT;
}

static void handle_mine(struct atl_req *req)
{
	struct atl_quota_states *states = ATL_ARENA_NEW(&req->arena, struct atl_quota_states);
	struct state_out *quotas = ATL_ARENA_ARRAY(&req->arena, struct state_out, ATL_QUOTA_APPLIES_MAX);
	struct atl_quota_request *requests;
	struct atl_errinfo info = { 0 };
	struct atl_dashboard_storage *storage;
	struct atl_usage_line *lines;
	size_t storage_count;
	struct mine_out out = { 0 };
	int64_t now = atl_now_ms();
	enum atl_err err = states && quotas ? ATL_OK : atl_fail(&info, ATL_ERR_NOMEM, "usage");

	if (!err)
		err = atl_quota_mine(atl_api_app(req), atl_api_identity(req), states, &info);
	if (!err)
		err = atl_usage_lines(atl_api_app(req), &req->arena, atl_api_user(req), ATL_USAGE_BY_DAY,
				      now - (HISTORY_DAYS - 1) * DAY_MS, now, &lines, &out.history.count, &info);
	if (!err)
		err = atl_quota_requests(atl_api_app(req), &req->arena, atl_api_user(req), &requests, &out.requests.count, &info);
	if (!err)
		err = atl_dashboard_storage(atl_api_app(req), &req->arena, atl_api_user(req), &storage, &storage_count, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	out.storage_bytes = storage[0].bytes;
	out.storage_limit_bytes = atl_api_identity(req)->storage_bytes;
	for (size_t i = 0; i < states->count; i++)
		fill_state(&states->items[i], &quotas[i]);
	out.quotas = (struct atl_items){ .items = quotas, .count = states->count };
	out.history.items = lines;
	out.requests.items = requests;
	out.from = day_of(req, now - (HISTORY_DAYS - 1) * DAY_MS);
	out.to = day_of(req, now);
	atl_res_json(req, 200, &mine_desc, &out);
}

/* ---- everybody's ---- */

static const char *const BY[] = { "day", "model", "user", NULL };
static const char *const FORMATS[] = { "json", "csv", NULL };

enum atl_err atl_usage_read_day(struct atl_req *req, const char *name, int64_t otherwise, int64_t *ret, struct atl_errinfo *info)
{
	const char *text = atl_req_query(req, name);
	char full[ATL_RFC3339_SIZE + 16];

	*ret = otherwise;
	if (!text)
		return ATL_OK;
	if (strlen(text) != 10)
		return atl_fail_field(info, ATL_ERR_INVALID, name, "must be a day like 2026-11-21");
	snprintf(full, sizeof(full), "%sT00:00:00Z", text);
	if (!atl_rfc3339_parse(full, ret))
		return atl_fail_field(info, ATL_ERR_INVALID, name, "must be a day like 2026-11-21");
	return ATL_OK;
}

void atl_usage_csv_text(struct atl_buf *out, const char *text)
{
	atl_buf_adds(out, "\"");
	if (*text && strchr("=+-@\t\r", *text) && strcmp(text, "-") != 0)
		atl_buf_adds(out, "'");
	for (; text && *text; text++) {
		if (*text == '"')
			atl_buf_adds(out, "\"");
		atl_buf_add(out, text, 1);
	}
	atl_buf_adds(out, "\"");
}

static void answer_csv(struct atl_req *req, enum atl_usage_by by, const struct atl_usage_line *lines, size_t count)
{
	struct atl_errinfo info = { 0 };
	struct atl_buf out;

	atl_buf_init(&out, ATL_USAGE_CSV_MAX);
	atl_buf_adds(&out, by == ATL_USAGE_BY_USER ? "user_id,user_name" : BY[by]);
	for (int kind = 0; kind < ATL_LEDGER_KIND_COUNT; kind++)
		atl_buf_addf(&out, ",%s", atl_ledger_kinds[kind]);
	atl_buf_adds(&out, "\r\n");
	for (size_t i = 0; i < count; i++) {
		atl_usage_csv_text(&out, by == ATL_USAGE_BY_DAY ? lines[i].day : by == ATL_USAGE_BY_MODEL ? lines[i].model : lines[i].user_id);
		if (by == ATL_USAGE_BY_USER) {
			atl_buf_adds(&out, ",");
			atl_usage_csv_text(&out, lines[i].user_name);
		}
		for (int kind = 0; kind < ATL_LEDGER_KIND_COUNT; kind++)
			atl_buf_addf(&out, ",%lld", (long long)lines[i].amounts[kind]);
		atl_buf_adds(&out, "\r\n");
	}
	if (atl_buf_err(&out, &info) != ATL_OK) {
		atl_api_fail(req, info.code, &info);
	} else {
		atl_res_header(req, "Content-Disposition", "attachment; filename=\"usage.csv\"");
		atl_res_body(req, 200, "text/csv; charset=utf-8", out.data, out.length);
	}
	atl_buf_finish(&out);
}

bool atl_usage_wants_csv(struct atl_req *req)
{
	const char *format = atl_req_query(req, "format"), *accept = atl_req_header(req, "Accept");

	return format ? atl_str_eq(format, "csv") : accept && strstr(accept, "text/csv");
}

static void handle_usage(struct atl_req *req)
{
	const char *by_text = atl_req_query(req, "by");
	int by = by_text ? atl_ledger_index(BY, by_text) : ATL_USAGE_BY_DAY;
	int64_t now = atl_now_ms(), from, to;
	struct atl_errinfo info = { 0 };
	struct atl_usage_line *lines;
	size_t count;
	enum atl_err err = by < 0 ? atl_fail_field(&info, ATL_ERR_INVALID, "by", "must be day, model or user") : ATL_OK;

	if (!err)
		err = atl_usage_read_day(req, "to", now, &to, &info);
	if (!err)
		err = atl_usage_read_day(req, "from", to - (HISTORY_DAYS - 1) * DAY_MS, &from, &info);
	if (!err && (from > to || to - from > ATL_USAGE_DAYS_MAX * DAY_MS))
		err = atl_fail_field(&info, ATL_ERR_INVALID, "from", "must be at most %d days before `to`", ATL_USAGE_DAYS_MAX);
	if (!err)
		err = atl_usage_lines(atl_api_app(req), &req->arena, NULL, (enum atl_usage_by)by, from, to, &lines, &count, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else if (atl_usage_wants_csv(req))
		answer_csv(req, (enum atl_usage_by)by, lines, count);
	else
		atl_api_list(req, &line_desc, lines, count, NULL);
}

static const struct atl_query_param usage_params[] = {
	{ "by", ATL_JT_ENUM, 0, 0, BY, "what a line is of; day unless told" },
	{ "from", ATL_JT_STR, 0, 10, NULL, "first day (UTC), 2026-11-21; 30 days to `to` unless told" },
	{ "to", ATL_JT_STR, 0, 10, NULL, "last day; today unless told" },
	{ "format", ATL_JT_ENUM, 0, 0, FORMATS, "csv also by Accept: text/csv" },
	{ 0 },
};

#define TAG "Usage"
const struct atl_route atl_usage_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/usage/me", .permission = "session", .tag = TAG, .handler = handle_mine,
	  .summary = "What you used, your limits and when they begin again", .out = &mine_desc },
	{ .method = ATL_GET, .path = "/api/v1/usage", .permission = "usage.read", .tag = TAG, .handler = handle_usage,
	  .summary = "What everybody used and what it cost, by day, model or user", .out = &line_desc, .out_list = true,
	  .out_type = "application/json|text/csv", .query = usage_params },
	{ 0 },
};
