/* search.c - /api/v1/search. */
#include "api/api.h"
#include "base/str.h"
#include "core/chat/search.h"

static const struct atl_query_param params[] = {
	{"q", ATL_JT_STR, 0, 200, NULL, "words; all of them must be there"},
	{"limit", ATL_JT_INT, 1, ATL_SEARCH_RESULTS_MAX, NULL, "30 unless told"},
	{0},
};

static void handle_search(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	const char *text = atl_req_query(req, "q"), *limit_text = atl_req_query(req, "limit");
	struct atl_search_result *items = NULL;
	size_t count = 0;
	int64_t limit = 30;
	enum atl_err err = ATL_OK;
	if (limit_text && !atl_str_i64(limit_text, 1, ATL_SEARCH_RESULTS_MAX, &limit))
		err = atl_fail_field(&info, ATL_ERR_INVALID, "limit", "must be between 1 and %d", ATL_SEARCH_RESULTS_MAX);
	if (!err && !atl_str_empty(text))
		err = atl_search(atl_api_app(req), &req->arena, atl_api_user(req), text, limit, &items, &count, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_search_result_desc, items, count, NULL);
}

const struct atl_route atl_search_routes[] = {
	{.method = ATL_GET, .path = "/api/v1/search", .permission = "chat.use", .handler = handle_search,
	 .tag = "Conversations", .summary = "Find words in titles and messages", .out = &atl_search_result_desc,
	 .out_list = true, .query = params},
	{0},
};
