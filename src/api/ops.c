/* ops.c - for those who run the server: /livez, /readyz, /metrics (OpenMetrics), and the pages that explain errors. */
#include <stdio.h>
#include <unistd.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/server/events.h"
#include "core/server/metrics.h"
#include "core/server/peers.h"
#include "db/db.h"

#define OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

static void handle_livez(struct atl_req *req)
{
	atl_res_body(req, 200, "text/plain; charset=utf-8", "ok\n", 3);
	atl_res_send(req);
}

static void handle_readyz(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_errinfo info = { 0 };
	enum atl_err err = ATL_OK;

	if (atomic_load(&app->stopping))
		err = atl_fail(&info, ATL_ERR_SHUTDOWN, "The server is shutting down.");
	if (!err)
		err = atl_db_ping(app->db, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_body(req, 200, "text/plain; charset=utf-8", "ready\n", 6);
}

static void family(struct atl_buf *out, const char *name, const char *type, const char *help)
{
	atl_buf_addf(out, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

static void number(struct atl_buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	family(out, name, type, help);
	atl_buf_addf(out, "%s%s %llu\n", name, atl_str_eq(type, "counter") ? "_total" : "", (unsigned long long)value);
}

static void request_metrics(struct atl_buf *out, const struct atl_metrics *metrics)
{
	uint64_t total = 0;

	family(out, "atelier_http_requests", "counter", "Answered requests by status class.");
	for (int i = 1; i < 6; i++)
		atl_buf_addf(out, "atelier_http_requests_total{class=\"%dxx\"} %llu\n", i,
			     (unsigned long long)atomic_load(&metrics->requests[i]));
	family(out, "atelier_http_request_duration_seconds", "histogram", "Time from a request's head to its answer.");
	for (size_t i = 0; i < ATL_METRICS_BUCKETS; i++) {
		total += atomic_load(&metrics->buckets[i]);
		if (i + 1 < ATL_METRICS_BUCKETS)
			atl_buf_addf(out, "atelier_http_request_duration_seconds_bucket{le=\"%g\"} %llu\n",
				     (double)atl_metrics_bounds_us[i] / 1e6, (unsigned long long)total);
		else
			atl_buf_addf(out, "atelier_http_request_duration_seconds_bucket{le=\"+Inf\"} %llu\n",
				     (unsigned long long)total);
	}
	atl_buf_addf(out, "atelier_http_request_duration_seconds_sum %.6f\natelier_http_request_duration_seconds_count %llu\n",
		     (double)atomic_load(&metrics->duration_us) / 1e6, (unsigned long long)total);
}

static void policy_metrics(struct atl_buf *out)
{
	struct atl_policy_stats stats;

	atl_policy_stats(&stats);
	family(out, "atelier_policy_checks", "counter", "Texts judged, by entry point.");
	for (size_t i = 0; i < ATL_ENTRY_COUNT; i++)
		atl_buf_addf(out, "atelier_policy_checks_total{entry=\"%s\"} %llu\n", atl_entry_name((enum atl_entry_point)i),
			     (unsigned long long)stats.checked[i]);
	family(out, "atelier_policy_refusals", "counter", "Texts refused, by entry point.");
	for (size_t i = 0; i < ATL_ENTRY_COUNT; i++)
		atl_buf_addf(out, "atelier_policy_refusals_total{entry=\"%s\"} %llu\n",
			     atl_entry_name((enum atl_entry_point)i), (unsigned long long)stats.refused[i]);
}

static void peers_metrics(struct atl_buf *out, struct atl_peers *peers)
{
	struct atl_peers_stats stats;

	atl_peers_stats(peers, &stats);
	family(out, "atelier_peers_news", "counter", "What other servers of this database told, by the way it came.");
	atl_buf_addf(out, "atelier_peers_news_total{by=\"database\"} %llu\natelier_peers_news_total{by=\"redis\"} %llu\n",
		     (unsigned long long)stats.heard_database, (unsigned long long)stats.heard_redis);
	if (!stats.redis)
		return;
	number(out, "atelier_redis_up", "gauge", "Whether Redis answers.", stats.redis_up);
	number(out, "atelier_rates_settled", "counter", "Rates exchanged with other servers.", stats.settled);
}

static void handle_metrics(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_server_stats server = { 0 };
	struct atl_events_stats events = { 0 };
	struct atl_buf out;

	atl_buf_init(&out, 1 << 20);
	if (app->server)
		atl_server_stats(app->server, &server);
	if (app->events)
		atl_events_stats(app->events, &events);
	request_metrics(&out, app->metrics);
	number(&out, "atelier_connections_open", "gauge", "Open client connections.", server.connections_open);
	number(&out, "atelier_streams_open", "gauge", "Open event streams, WebSockets and streamed answers.",
	       server.streams_open);
	number(&out, "atelier_sent_bytes", "counter", "Bytes sent to clients.", server.bytes_out);
	number(&out, "atelier_events_published", "counter", "Live events published.", events.published);
	number(&out, "atelier_events_delivered", "counter", "Live events handed to listeners.", events.delivered);
	number(&out, "atelier_event_listeners", "gauge", "Listeners to live events.", events.subscribers);
	number(&out, "atelier_database_queue", "gauge", "Writes waiting for the database.", atl_db_queue_depth(app->db));
	number(&out, "atelier_pool_queue", "gauge", "Requests waiting for a pool thread.",
	       app->pool ? atl_pool_queue_depth(app->pool) : 0);
	number(&out, "atelier_pool_busy", "gauge", "Pool threads at work.", app->pool ? atl_pool_busy(app->pool) : 0);
	policy_metrics(&out);
	peers_metrics(&out, app->peers);
	if (app->metrics_more)
		app->metrics_more(app, &out);
	family(&out, "atelier_start_time_seconds", "gauge", "When the server started.");
	atl_buf_addf(&out, "atelier_start_time_seconds %.3f\n# EOF\n", (double)app->started_ms / 1000.0);
	if (out.failed)
		atl_api_fail(req, ATL_ERR_NOMEM, NULL);
	else
		atl_res_body(req, 200, OPENMETRICS, out.data, out.length);
	atl_buf_finish(&out);
}

/* The `type` of a problem document leads here. */
static void handle_problem(struct atl_req *req)
{
	const char *slug = atl_req_param(req, "slug");
	struct atl_errinfo info = { 0 };
	char page[1024];
	int length;

	for (int err = 1; err < ATL_ERR_COUNT; err++) {
		if (!atl_str_eq(atl_err_slug((enum atl_err)err), slug))
			continue;
		length = snprintf(page, sizeof(page),
				  "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>%s</title><h1>%s</h1>"
				  "<p>Slug <code>%s</code>, status %d. %s</p></html>\n",
				  slug, atl_err_sentence((enum atl_err)err), slug, atl_err_status((enum atl_err)err),
				  atl_err_retryable((enum atl_err)err) ? "The same request may succeed later."
								       : "Sending the same request again will not help.");
		atl_res_body(req, 200, "text/html; charset=utf-8", page, (size_t)length);
		return;
	}
	atl_fail(&info, ATL_ERR_NOT_FOUND, "There is no such kind of problem.");
	atl_api_fail(req, ATL_ERR_NOT_FOUND, &info);
}

#define R(path_, perm_, rate_, flags_, handler_, summary_, type_) \
	{ .method = ATL_GET, .path = (path_), .permission = (perm_), .flags = (flags_), .handler = (handler_), \
	  .tag = "Operation", .summary = (summary_), .out_type = (type_), .rate = (rate_) }

const struct atl_route atl_ops_routes[] = {
	R("/livez", "public", ATL_CLASS_FREE, ATL_ROUTE_LOOP, handle_livez, "The process runs", "text/plain"),
	R("/readyz", "public", ATL_CLASS_FREE, 0, handle_readyz, "The server can do its work", "text/plain"),
	R("/metrics", "admin", ATL_CLASS_FREE, 0, handle_metrics, "Counters in OpenMetrics form", "application/openmetrics-text"),
	R("/problems/{slug}", "public", ATL_CLASS_BY_METHOD, 0, handle_problem, "What a kind of problem means", "text/html"),
	{ .path = NULL },
};
