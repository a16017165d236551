/* transfers.c - /api/v1/engine/catalogue and /api/v1/engine/transfers: recommended models and their downloads. */
#include "api/api.h"
#include "api/fields.h"
#include "core/models/catalogue.h"
#include "core/models/local_model.h"
#include "core/models/transfer.h"
#include "core/people/audit.h"

struct start_in {
	const char *catalogue_id, *url, *file, *sha256;
	int64_t size_bytes;
};
static const struct atl_json_field start_fields[] = {
	F_STR(struct start_in, catalogue_id, 0, 1, 100, "a model of the catalogue; nothing else is needed then"),
	F_STR(struct start_in, url, 0, 1, ATL_TRANSFER_URL_MAX, "of a GGUF file"),
	F_STR(struct start_in, file, ATL_JF_NULLABLE, 1, ATL_LOCAL_MODEL_FILE_MAX, "the last part of the address unless told"),
	F_STR(struct start_in, sha256, ATL_JF_NULLABLE, 64, 64, "checked at the end"),
	F_INT(struct start_in, size_bytes, ATL_JF_NULLABLE, 1, (double)ATL_LOCAL_MODEL_BYTES_MAX, "exact; another size is an error"),
};
DESC(start_desc, struct start_in, "TransferStart", start_fields);

static void catalogue_list(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_catalogue_item *items;
	size_t count;
	enum atl_err err = atl_catalogue(atl_api_app(req), &req->arena, &items, &count, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_catalogue_item_desc, items, count, NULL);
}

static void transfer_list(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_transfer *items;
	size_t count;
	enum atl_err err = atl_transfer_list(atl_api_app(req), &req->arena, &items, &count, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_transfer_desc, items, count, NULL);
}

static void answer_accepted(struct atl_req *req, enum atl_err err, const struct atl_transfer *transfer,
			    const struct atl_errinfo *info)
{
	if (err) {
		atl_api_fail(req, err, info);
		return;
	}
	const char *location = atl_arena_printf(&req->arena, "/api/v1/engine/transfers/%s", transfer->id);
	if (location)
		atl_res_header(req, "Location", location);
	atl_res_json(req, 202, &atl_transfer_desc, transfer);
}

/* What to fetch: an item of the catalogue, or an address. */
static enum atl_err wish_of(struct atl_req *req, const struct start_in *in, struct atl_transfer_wish *ret,
			    struct atl_errinfo *info)
{
	struct atl_catalogue_item item;
	if (!in->catalogue_id == !in->url)
		return atl_fail_field(info, ATL_ERR_INVALID, "url", "Give either catalogue_id or url.");
	if (!in->catalogue_id) {
		*ret = (struct atl_transfer_wish){.url = in->url, .file = in->file, .sha256 = in->sha256, .size_bytes = in->size_bytes};
		return ATL_OK;
	}
	enum atl_err err = atl_catalogue_get(&req->arena, in->catalogue_id, &item, info);
	if (err)
		return err == ATL_ERR_NOT_FOUND ? atl_fail_field(info, ATL_ERR_INVALID, "catalogue_id", "There is no such model in the catalogue.") : err;
	*ret = (struct atl_transfer_wish){.url = item.url, .file = item.file, .sha256 = item.sha256, .size_about = item.size_bytes,
					  .size_bytes = item.size_exact ? item.size_bytes : 0};
	return ATL_OK;
}

static void transfer_start(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_transfer transfer;
	struct atl_transfer_wish wish;
	struct start_in in;
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err)
		err = wish_of(req, &in, &wish, &info);
	if (!err)
		err = atl_transfer_start(atl_api_app(req), atl_api_user(req), &req->arena, &wish, &transfer, &info);
	if (!err)
		atl_audit_now(atl_api_app(req), &(struct atl_audit){.who = atl_api_identity(req), .action = "model.download",
								    .target_kind = "model", .target_id = transfer.file});
	answer_accepted(req, err, &transfer, &info);
}

static void transfer_get(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_transfer transfer;
	enum atl_err err = atl_transfer_get(atl_api_app(req), &req->arena, atl_req_param(req, "id"), &transfer, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &atl_transfer_desc, &transfer);
}

static void transfer_cancel(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	enum atl_err err = atl_transfer_cancel(atl_api_app(req), atl_req_param(req, "id"), &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void transfer_resume(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_transfer transfer;
	enum atl_err err = atl_transfer_resume(atl_api_app(req), &req->arena, atl_req_param(req, "id"), &transfer, &info);
	answer_accepted(req, err, &transfer, &info);
}

const struct atl_route atl_transfers_routes[] = {
	{ATL_GET, "/api/v1/engine/catalogue", "engine.manage", 0, catalogue_list, "engine", "Recommended models",
	 .out = &atl_catalogue_item_desc, .out_list = true},
	{ATL_GET, "/api/v1/engine/transfers", "engine.manage", 0, transfer_list, "engine", "List downloads, newest first",
	 .out = &atl_transfer_desc, .out_list = true},
	{ATL_POST, "/api/v1/engine/transfers", "engine.manage", 0, transfer_start, "engine", "Download a model file",
	 .in = &start_desc, .out = &atl_transfer_desc, .status = 202},
	{ATL_GET, "/api/v1/engine/transfers/{id}", "engine.manage", 0, transfer_get, "engine", "Get a download",
	 .out = &atl_transfer_desc},
	{ATL_DELETE, "/api/v1/engine/transfers/{id}", "engine.manage", 0, transfer_cancel, "engine",
	 "Cancel a download, or take an ended one off the list", .status = 204},
	{ATL_POST, "/api/v1/engine/transfers/{id}/resume", "engine.manage", 0, transfer_resume, "engine",
	 "Go on with a paused or failed download", .out = &atl_transfer_desc, .status = 202},
	{0},
};
