/* models.c - /api/v1/models: what can be chosen, of the local engine and of all providers. */
#include "api/api.h"
#include "core/models/model.h"
#include "core/people/rights.h"

static void model_list(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_model *items;
	size_t count;
	enum atl_err err = atl_rights_models(atl_api_app(req), &req->arena, atl_api_identity(req), &items, &count, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_model_desc, items, count, NULL);
}

const struct atl_route atl_models_routes[] = {
	{ATL_GET, "/api/v1/models", "models.read", 0, model_list, "models", "List models that can be chosen",
	 .out = &atl_model_desc, .out_list = true},
	{0},
};
