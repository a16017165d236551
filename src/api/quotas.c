/* quotas.c - /api/v1/quotas: who may use how much; /api/v1/quota-requests: asking for more, and the answer. */
#include "api/api.h"
#include "api/fields.h"
#include "core/books/quota.h"

/* ---- quotas ---- */

struct quota_in {
	uint64_t present;
	const char *scope, *subject, *kind, *span, *model;
	int64_t amount;
};
static const struct atl_json_field quota_fields[] = {
	F_ENUM(struct quota_in, scope, ATL_JF_REQUIRED, atl_quota_scopes, "group, role and everyone: for each of these people"),
	F_STR(struct quota_in, subject, 0, 0, 64, "id of the user, group or key, name or id of the role; none for everyone and server"),
	F_ENUM(struct quota_in, kind, ATL_JF_REQUIRED, atl_ledger_kinds, NULL),
	F_ENUM(struct quota_in, span, ATL_JF_REQUIRED, atl_windows, "in UTC"),
	F_STR(struct quota_in, model, 0, 0, ATL_QUOTA_MODEL_MAX, "id of the one model it is for; none: every model"),
	F_INT(struct quota_in, amount, ATL_JF_REQUIRED, 0, (double)ATL_QUOTA_AMOUNT_MAX, "0: nothing at all"),
};
DESC_PATCH(quota_in_desc, struct quota_in, "QuotaInput", quota_fields);

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_quota *items;
	size_t count;
	enum atl_err err = atl_quota_list(atl_api_app(req), &req->arena, &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_quota_desc, items, count, NULL);
}

static void handle_put(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_quota quota, result;
	struct quota_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err) {
		quota = (struct atl_quota){ .scope = in.scope, .subject = in.subject ? in.subject : "", .kind = in.kind,
					    .span = in.span, .model = in.model ? in.model : "", .amount = in.amount };
		err = atl_quota_set(atl_api_app(req), atl_api_identity(req), req->remote, &req->arena, &quota, &result, &info);
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &atl_quota_desc, &result);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_quota_delete(atl_api_app(req), atl_api_identity(req), req->remote, atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

/* ---- asking for more ---- */

struct ask_in {
	uint64_t present;
	const char *quota_id, *note;
	int64_t amount;
};
static const struct atl_json_field ask_fields[] = {
	F_STR(struct ask_in, quota_id, ATL_JF_REQUIRED, 1, 40, "of /api/v1/usage/me"),
	F_INT(struct ask_in, amount, ATL_JF_REQUIRED, 1, (double)ATL_QUOTA_AMOUNT_MAX, "wanted on top of the limit"),
	F_STR(struct ask_in, note, 0, 0, ATL_QUOTA_NOTE_MAX, "what for; read by those who decide"),
};
DESC_PATCH(ask_desc, struct ask_in, "QuotaRequestInput", ask_fields);

struct decide_in {
	uint64_t present;
	int64_t amount;
	const char *answer;
};
static const struct atl_json_field decide_fields[] = {
	F_INT(struct decide_in, amount, ATL_JF_REQUIRED, 0, (double)ATL_QUOTA_AMOUNT_MAX,
	      "on top of the limit until the quota's window is over; 0 refuses"),
	F_STR(struct decide_in, answer, 0, 0, ATL_QUOTA_NOTE_MAX, "for the person who asked"),
};
DESC_PATCH(decide_desc, struct decide_in, "QuotaDecision", decide_fields);

static void answer(struct atl_req *req, enum atl_err err, int status, const struct atl_quota_request *request,
		   const struct atl_errinfo *info)
{
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json(req, status, &atl_quota_request_desc, request);
}

static void handle_ask(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_quota_request request;
	struct ask_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_quota_ask(atl_api_app(req), atl_api_identity(req), &req->arena, in.quota_id, in.amount, in.note, &request,
				    &info);
	answer(req, err, 201, &request, &info);
}

static void handle_requests(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_quota_request *items;
	size_t count;
	enum atl_err err = atl_quota_requests(atl_api_app(req), &req->arena, NULL, &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_quota_request_desc, items, count, NULL);
}

static void handle_decide(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_quota_request request;
	struct decide_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_quota_decide(atl_api_app(req), atl_api_identity(req), req->remote, &req->arena, atl_req_param(req, "id"),
				       in.amount, in.answer, &request, &info);
	answer(req, err, 200, &request, &info);
}

#define TAG "Usage"
#define MANAGE .permission = "quotas.manage", .tag = TAG
const struct atl_route atl_quotas_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/quotas", MANAGE, .handler = handle_list, .summary = "List the quotas",
	  .out = &atl_quota_desc, .out_list = true },
	{ .method = ATL_PUT, .path = "/api/v1/quotas", MANAGE, .handler = handle_put,
	  .summary = "Set the quota of a scope, subject, kind, span and model", .in = &quota_in_desc, .out = &atl_quota_desc },
	{ .method = ATL_DELETE, .path = "/api/v1/quotas/{id}", MANAGE, .handler = handle_delete, .summary = "Delete a quota",
	  .status = 204 },
	{ .method = ATL_POST, .path = "/api/v1/quota-requests", .permission = "session", .tag = TAG, .handler = handle_ask,
	  .summary = "Ask for more than a quota allows", .in = &ask_desc, .out = &atl_quota_request_desc, .status = 201 },
	{ .method = ATL_GET, .path = "/api/v1/quota-requests", MANAGE, .handler = handle_requests,
	  .summary = "Who asks for more; open ones first", .out = &atl_quota_request_desc, .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/quota-requests/{id}/decision", MANAGE, .handler = handle_decide,
	  .summary = "Grant more, or refuse", .in = &decide_desc, .out = &atl_quota_request_desc },
	{ 0 },
};
