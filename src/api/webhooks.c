/* webhooks.c - /api/v1/webhooks: who is told when a job has ended, and the log of what was sent. */
#include "api/api.h"
#include "api/fields.h"
#include "core/jobs/webhook.h"

struct webhook_in {
	uint64_t present;
	const char *url;
	bool enabled;
};
static const struct atl_json_field create_fields[] = {
	F_STR(struct webhook_in, url, ATL_JF_REQUIRED, 1, 2000, "http or https; private addresses only if the operator lists them"),
};
DESC_PATCH(create_desc, struct webhook_in, "WebhookInput", create_fields);
static const struct atl_json_field change_fields[] = {
	F_STR(struct webhook_in, url, 0, 1, 2000, NULL),
	F_BOOL(struct webhook_in, enabled, 0, NULL),
};
DESC_PATCH(change_desc, struct webhook_in, "WebhookChange", change_fields);

static void answer(struct atl_req *req, enum atl_err err, int status, const struct atl_webhook *webhook,
		   const struct atl_errinfo *info)
{
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json(req, status, &atl_webhook_desc, webhook);
}

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_webhook *items;
	size_t count;
	enum atl_err err = atl_webhook_list(atl_api_app(req), &req->arena, atl_api_user(req), &items, &count, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_webhook_desc, items, count, NULL);
}

static void handle_create(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_webhook webhook;
	struct webhook_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_webhook_create(atl_api_app(req), &req->arena, atl_api_user(req), in.url, &webhook, &info);
	answer(req, err, 201, &webhook, &info);
}

static void handle_patch(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_webhook webhook;
	struct webhook_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err)
		err = atl_webhook_update(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), in.url,
					 atl_json_has(&change_desc, &in, "enabled") ? &in.enabled : NULL, &webhook, &info);
	answer(req, err, 200, &webhook, &info);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err = atl_webhook_delete(atl_api_app(req), atl_api_user(req), atl_req_param(req, "id"), &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void handle_deliveries(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_webhook_delivery *items;
	const char *next = NULL;
	struct atl_page page;
	size_t count;
	enum atl_err err = atl_api_page(req, &page, &info);

	if (!err)
		err = atl_webhook_deliveries(atl_api_app(req), &req->arena, atl_api_user(req),
					     page.has_after ? page.after_id : NULL, page.limit, &items, &count, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	if (count > (size_t)page.limit) {
		count = (size_t)page.limit;
		next = atl_api_cursor(req, 0, items[count - 1].id);
	}
	atl_api_list(req, &atl_webhook_delivery_desc, items, count, next);
}

static void handle_redeliver(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_webhook_delivery delivery;
	enum atl_err err = atl_webhook_redeliver(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"),
						 &delivery, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 202, &atl_webhook_delivery_desc, &delivery);
}

#define TAG "Webhooks"
#define USE .permission = "pictures.use", .tag = TAG
const struct atl_route atl_webhooks_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/webhooks", USE, .handler = handle_list, .summary = "List your webhooks",
	  .out = &atl_webhook_desc, .out_list = true },
	{ .method = ATL_POST, .path = "/api/v1/webhooks", USE, .handler = handle_create,
	  .summary = "Be told when a job has ended; the answer alone shows the secret", .in = &create_desc,
	  .feature = "webhooks",
	  .out = &atl_webhook_desc, .status = 201 },
	{ .method = ATL_GET, .path = "/api/v1/webhooks/deliveries", USE, .handler = handle_deliveries,
	  .summary = "What was sent, newest first", .out = &atl_webhook_delivery_desc, .out_list = true,
	  .query = atl_api_page_params },
	{ .method = ATL_POST, .path = "/api/v1/webhooks/deliveries/{id}/redeliver", USE, .handler = handle_redeliver,
	  .summary = "Send it again", .feature = "webhooks", .out = &atl_webhook_delivery_desc, .status = 202 },
	{ .method = ATL_PATCH, .path = "/api/v1/webhooks/{id}", USE, .handler = handle_patch, .summary = "Change a webhook",
	  .feature = "webhooks", .in = &change_desc, .out = &atl_webhook_desc },
	{ .method = ATL_DELETE, .path = "/api/v1/webhooks/{id}", USE, .handler = handle_delete, .summary = "Delete a webhook",
	  .status = 204 },
	{ 0 },
};
