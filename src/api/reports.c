/* reports.c - /api/v1/reports: reports by anybody, the moderators' queue, decisions and appeals; /api/v1/notices. */
#include "core/safety/report.h"

#include "api/api.h"
#include "api/asset_files.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/people/notice.h"

#define CACHE_NONE "private, no-store"
#define CSV_MAX ((size_t)1 << 20)
#define TYPES "image/webp|image/png|image/jpeg|image/gif|video/mp4|video/webm"

/* ---- reporting ---- */

struct report_in {
	const char *target_kind, *target, *kind, *note, *contact;
};
static const struct atl_json_field report_fields[] = {
	F_ENUM(struct report_in, target_kind, ATL_JF_REQUIRED, atl_report_targets,
	       "without signing in: share, account; the others are one's own"),
	F_STR(struct report_in, target, ATL_JF_REQUIRED, 1, ATL_REPORT_TARGET_MAX,
	      "an id; of a share its link or key; of an account its name or id"),
	F_ENUM(struct report_in, kind, ATL_JF_REQUIRED, atl_report_kinds, NULL),
	F_STR(struct report_in, note, 0, 0, ATL_REPORT_NOTE_MAX, "read by moderators only"),
	F_STR(struct report_in, contact, 0, 0, ATL_REPORT_CONTACT_MAX, "how to ask back; read by moderators only"),
};
DESC(report_desc, struct report_in, "ReportInput", report_fields);

static void handle_report(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_report_receipt receipt;
	struct report_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err) {
		const struct atl_report_new report = { .target_kind = in.target_kind, .target = in.target, .kind = in.kind,
						       .note = in.note, .contact = in.contact };

		err = atl_report_file(atl_api_app(req), atl_api_identity(req), req->remote, &req->arena, &report, &receipt, &info);
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 201, &atl_report_receipt_desc, &receipt);
}

static void handle_status(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_report_status status;
	enum atl_err err = atl_report_status(atl_api_app(req), &req->arena, atl_req_param(req, "key"), &status, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &atl_report_status_desc, &status);
}

/* ---- the queue ---- */

static const struct atl_query_param list_params[] = {
	{ "state", ATL_JT_ENUM, 0, 0, atl_report_states, "none: what waits for somebody, the most urgent first" },
	{ 0 },
};

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_items items = { 0 };
	enum atl_err err = atl_report_list(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_query(req, "state"),
					   &items, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_report_desc, items.items, items.count, NULL);
}

static void answer(struct atl_req *req, enum atl_err err, const struct atl_report *report, const struct atl_errinfo *info)
{
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json(req, 200, &atl_report_desc, report);
}

static void handle_get(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_report report;
	enum atl_err err = atl_report_get(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"), &report,
					  &info);

	answer(req, err, &report, &info);
}

static void handle_content(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_report_content content;
	enum atl_err err = atl_report_look(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"), &content,
					   &info);

	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_res_header(req, "Cache-Control", CACHE_NONE);
	atl_res_json(req, 200, &atl_report_content_desc, &content);
}

static void handle_file(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_asset asset;
	enum atl_err err = atl_report_file_of(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"), &asset,
					      &info);

	if (!err)
		err = atl_api_send_asset(req, &asset, 0, false, false, CACHE_NONE, &info);
	if (err)
		atl_api_fail(req, err, &info);
}

static void handle_counts(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_buf out;
	enum atl_err err;

	atl_buf_init(&out, CSV_MAX);
	err = atl_report_counts(atl_api_app(req), &req->arena, &out, &info);
	if (err) {
		atl_api_fail(req, err, &info);
	} else {
		atl_res_header(req, "Content-Disposition", "attachment; filename=\"reports.csv\"");
		atl_res_header(req, "Cache-Control", CACHE_NONE);
		atl_res_body(req, 200, "text/csv; charset=utf-8", out.data, out.length);
	}
	atl_buf_finish(&out);
}

/* ---- decisions ---- */

struct decision_in {
	const char *decision, *reason, *answer;
};
static const struct atl_json_field decision_fields[] = {
	F_ENUM(struct decision_in, decision, ATL_JF_REQUIRED, atl_report_decisions,
	       "restrict: its owner's alone; suspend: removed, and the account closed until somebody lifts it"),
	F_ENUM(struct decision_in, reason, ATL_JF_REQUIRED, atl_report_reasons, NULL),
	F_STR(struct decision_in, answer, 0, 0, ATL_REPORT_ANSWER_MAX, "the owner reads it"),
};
DESC(decision_desc, struct decision_in, "ReportDecision", decision_fields);

struct appeal_in {
	const char *note;
};
static const struct atl_json_field appeal_fields[] = {
	F_STR(struct appeal_in, note, ATL_JF_REQUIRED, 1, ATL_REPORT_NOTE_MAX, "why the decision is wrong"),
};
DESC(appeal_desc, struct appeal_in, "ReportAppeal", appeal_fields);

struct outcome_in {
	const char *outcome, *answer;
};
static const struct atl_json_field outcome_fields[] = {
	F_ENUM(struct outcome_in, outcome, ATL_JF_REQUIRED, atl_report_outcomes, "overturned: as it was before the report"),
	F_STR(struct outcome_in, answer, 0, 0, ATL_REPORT_ANSWER_MAX, "the owner reads it"),
};
DESC(outcome_desc, struct outcome_in, "AppealDecision", outcome_fields);

static void handle_decide(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_report report;
	struct decision_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err) {
		const struct atl_report_decision decision = { in.decision, in.reason, in.answer };

		err = atl_report_decide(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"), &decision,
					&report, &info);
	}
	answer(req, err, &report, &info);
}

static void handle_appeal(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct appeal_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_report_appeal(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), in.note, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void handle_appeal_decide(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_report report;
	struct outcome_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_report_appeal_decide(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"),
					       in.outcome, in.answer, &report, &info);
	answer(req, err, &report, &info);
}

/* ---- notices ---- */

static void handle_notices(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_items items = { 0 };
	enum atl_err err = atl_notice_list(atl_api_app(req), &req->arena, atl_api_user(req), &items, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_notice_desc, items.items, items.count, NULL);
}

static void handle_notice_read(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_notice_read(atl_api_app(req), atl_api_user(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

#define TAG "Moderation"
#define MODERATE .permission = "moderate", .tag = TAG
const struct atl_route atl_reports_routes[] = {
	{ .method = ATL_POST, .path = "/api/v1/reports", .permission = "public", .tag = TAG, .handler = handle_report,
	  .rate = ATL_CLASS_SIGN_IN,
	  .summary = "Report a link, picture, character, conversation or account", .in = &report_desc,
	  .out = &atl_report_receipt_desc, .status = 201 },
	{ .method = ATL_GET, .path = "/api/v1/reports/status/{key}", .permission = "public", .tag = TAG, .handler = handle_status,
	  .summary = "How a report ended, by the key it was answered with", .out = &atl_report_status_desc },
	{ .method = ATL_GET, .path = "/api/v1/reports", MODERATE, .handler = handle_list, .summary = "Reports",
	  .query = list_params, .out = &atl_report_desc, .out_list = true },
	{ .method = ATL_GET, .path = "/api/v1/reports/counts", MODERATE, .handler = handle_counts,
	  .summary = "Reports by month and kind", .out_type = "text/csv" },
	{ .method = ATL_GET, .path = "/api/v1/reports/{id}", MODERATE, .handler = handle_get,
	  .summary = "One report, with what was said", .out = &atl_report_desc },
	{ .method = ATL_GET, .path = "/api/v1/reports/{id}/content", MODERATE, .handler = handle_content,
	  .summary = "What it is about; the audit log says who looked", .out = &atl_report_content_desc },
	{ .method = ATL_GET, .path = "/api/v1/reports/{id}/file", MODERATE, .handler = handle_file,
	  .summary = "The reported picture; the audit log says who looked", .out_type = TYPES },
	{ .method = ATL_POST, .path = "/api/v1/reports/{id}/decision", MODERATE, .handler = handle_decide, .summary = "Decide",
	  .in = &decision_desc, .out = &atl_report_desc },
	{ .method = ATL_POST, .path = "/api/v1/reports/{id}/appeal", .permission = "session", .tag = TAG, .handler = handle_appeal,
	  .summary = "Say why a decision about something of yours is wrong", .in = &appeal_desc, .status = 204 },
	{ .method = ATL_POST, .path = "/api/v1/reports/{id}/appeal/decision", MODERATE, .handler = handle_appeal_decide,
	  .summary = "Decide about an appeal: somebody else than before", .in = &outcome_desc, .out = &atl_report_desc },
	{ .method = ATL_GET, .path = "/api/v1/notices", .permission = "session", .tag = TAG, .handler = handle_notices,
	  .summary = "What moderators told you, the newest first", .out = &atl_notice_desc, .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/notices/{id}/read", .permission = "session", .tag = TAG,
	  .handler = handle_notice_read, .summary = "You have read it", .status = 204 },
	{ 0 },
};
