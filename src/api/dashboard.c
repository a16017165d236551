/* dashboard.c - /api/v1/usage/summary and /failures: how the server is used and what fails, as JSON or CSV (usage.read). */
#include "api/api.h"
#include "api/fields.h"
#include "api/usage_int.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/books/dashboard.h"
#include "core/books/ledger.h"

#define DAY_MS 86400000LL
#define SPAN_DAYS 30

static const char *const FORMATS[] = { "json", "csv", NULL };

/* Whole days, both included. */
static enum atl_err read_span(struct atl_req *req, int64_t *ret_from, int64_t *ret_to, struct atl_errinfo *info)
{
	int64_t from, to;
	enum atl_err err = atl_usage_read_day(req, "to", atl_window_start(ATL_WINDOW_DAY, atl_now_ms()), &to, info);

	if (!err)
		err = atl_usage_read_day(req, "from", to - (SPAN_DAYS - 1) * DAY_MS, &from, info);
	if (!err && (from > to || to - from > ATL_USAGE_DAYS_MAX * DAY_MS))
		err = atl_fail_field(info, ATL_ERR_INVALID, "from", "must be at most %d days before `to`", ATL_USAGE_DAYS_MAX);
	if (err)
		return err;
	*ret_from = from;
	*ret_to = to + DAY_MS;
	return ATL_OK;
}

static void send_csv(struct atl_req *req, struct atl_buf *out, const char *name)
{
	struct atl_errinfo info = { 0 };

	if (atl_buf_err(out, &info) != ATL_OK) {
		atl_api_fail(req, info.code, &info);
	} else {
		atl_res_header(req, "Content-Disposition", name);
		atl_res_body(req, 200, "text/csv; charset=utf-8", out->data, out->length);
	}
	atl_buf_finish(out);
}

static void summary_csv(struct atl_req *req, const char *by, const struct atl_dashboard_line *lines, size_t count)
{
	struct atl_buf out;

	atl_buf_init(&out, ATL_USAGE_CSV_MAX);
	atl_buf_addf(&out, "%s,name,requests,failed,active_users,pictures,cost_micro_usd,estimated_micro_usd,"
			   "estimated_cost_micro_usd,p50_ms,p95_ms\r\n", by);
	for (size_t i = 0; i < count; i++) {
		const struct atl_dashboard_line *l = &lines[i];
		const int64_t values[] = { l->requests, l->failed, l->active_users, l->pictures, l->cost_micro_usd,
					   l->estimated_micro_usd, l->estimated_cost_micro_usd, l->p50_ms, l->p95_ms };

		atl_usage_csv_text(&out, l->key);
		atl_buf_adds(&out, ",");
		atl_usage_csv_text(&out, l->name);
		for (size_t k = 0; k < ATL_COUNT(values); k++)
			atl_buf_addf(&out, ",%lld", (long long)values[k]);
		atl_buf_adds(&out, "\r\n");
	}
	send_csv(req, &out, "attachment; filename=\"summary.csv\"");
}

static void handle_summary(struct atl_req *req)
{
	const char *by_text = atl_req_query(req, "by");
	int by = by_text ? atl_ledger_index(atl_dashboard_bys, by_text) : ATL_DASHBOARD_TOTAL;
	struct atl_dashboard_line *lines;
	struct atl_errinfo info = { 0 };
	int64_t from, to;
	size_t count;
	enum atl_err err = by < 0 ? atl_fail_field(&info, ATL_ERR_INVALID, "by", "must be total, day, model, provider or user") :
				    read_span(req, &from, &to, &info);

	if (!err)
		err = atl_dashboard(atl_api_app(req), &req->arena, (enum atl_dashboard_by)by, from, to, &lines, &count, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else if (atl_usage_wants_csv(req))
		summary_csv(req, atl_dashboard_bys[by], lines, count);
	else
		atl_api_list(req, &atl_dashboard_desc, lines, count, NULL);
}

static void failures_csv(struct atl_req *req, const struct atl_dashboard_failure *items, size_t count)
{
	struct atl_buf out;

	atl_buf_init(&out, ATL_USAGE_CSV_MAX);
	atl_buf_adds(&out, "error,model,count,users,last_at\r\n");
	for (size_t i = 0; i < count; i++) {
		char at[ATL_RFC3339_SIZE];

		atl_rfc3339_format(items[i].last_at, at);
		atl_usage_csv_text(&out, items[i].error);
		atl_buf_adds(&out, ",");
		atl_usage_csv_text(&out, items[i].model);
		atl_buf_addf(&out, ",%lld,%lld,%s\r\n", (long long)items[i].count, (long long)items[i].users, at);
	}
	send_csv(req, &out, "attachment; filename=\"failures.csv\"");
}

static void handle_failures(struct atl_req *req)
{
	struct atl_dashboard_failure *items;
	struct atl_errinfo info = { 0 };
	int64_t from, to;
	size_t count;
	enum atl_err err = read_span(req, &from, &to, &info);

	if (!err)
		err = atl_dashboard_failures(atl_api_app(req), &req->arena, from, to, &items, &count, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else if (atl_usage_wants_csv(req))
		failures_csv(req, items, count);
	else
		atl_api_list(req, &atl_dashboard_failure_desc, items, count, NULL);
}

static void handle_storage(struct atl_req *req)
{
	struct atl_dashboard_storage *items;
	struct atl_errinfo info = { 0 };
	struct atl_buf out;
	size_t count;
	enum atl_err err = atl_dashboard_storage(atl_api_app(req), &req->arena, NULL, &items, &count, &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	if (!atl_usage_wants_csv(req)) {
		atl_api_list(req, &atl_dashboard_storage_desc, items, count, NULL);
		return;
	}
	atl_buf_init(&out, ATL_USAGE_CSV_MAX);
	atl_buf_adds(&out, "user_id,user_name,files,bytes\r\n");
	for (size_t i = 0; i < count; i++) {
		atl_usage_csv_text(&out, items[i].user_id);
		atl_buf_adds(&out, ",");
		atl_usage_csv_text(&out, items[i].user_name);
		atl_buf_addf(&out, ",%lld,%lld\r\n", (long long)items[i].files, (long long)items[i].bytes);
	}
	send_csv(req, &out, "attachment; filename=\"storage.csv\"");
}

#define FORMAT { "format", ATL_JT_ENUM, 0, 0, FORMATS, "csv also by Accept: text/csv" }
#define SPAN { "from", ATL_JT_STR, 0, 10, NULL, "first day (UTC), 2026-11-21; 30 days to `to` unless told" },                 \
	     { "to", ATL_JT_STR, 0, 10, NULL, "last day; today unless told" },                                                \
	     FORMAT
static const struct atl_query_param summary_params[] = {
	{ "by", ATL_JT_ENUM, 0, 0, atl_dashboard_bys, "what a line is of; total unless told" }, SPAN, { 0 },
};
static const struct atl_query_param failure_params[] = { SPAN, { 0 } };
static const struct atl_query_param storage_params[] = { FORMAT, { 0 } };

#define R(path_, handler_, summary_) \
	.method = ATL_GET, .path = "/api/v1/usage/" path_, .permission = "usage.read", .handler = (handler_), .tag = "Usage", \
	.summary = (summary_), .out_list = true, .out_type = "application/json|text/csv"
const struct atl_route atl_dashboard_routes[] = {
	{ R("summary", handle_summary, "Requests, failures, cost, estimates and latency, in all or by day, model, provider or user"),
	  .out = &atl_dashboard_desc, .query = summary_params },
	{ R("failures", handle_failures, "What failed and why, the most frequent causes first"), .out = &atl_dashboard_failure_desc,
	  .query = failure_params },
	{ R("storage", handle_storage, "What everybody's files take now, the most first"), .out = &atl_dashboard_storage_desc,
	  .query = storage_params },
	{ 0 },
};
