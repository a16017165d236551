/* boards.c - /api/v1/boards. What is on a board: /api/v1/assets?board_id=, POST /api/v1/assets/bulk. */
#include "core/pictures/board.h"

#include "api/api.h"
#include "api/fields.h"

struct board_in {
	const char *name;
};
static const struct atl_json_field in_fields[] = {
	F_STR(struct board_in, name, ATL_JF_REQUIRED, 1, ATL_BOARD_NAME_MAX, NULL),
};
DESC(in_desc, struct board_in, "BoardInput", in_fields);

static void answer(struct atl_req *req, enum atl_err err, int status, const struct atl_board *board,
		   const struct atl_errinfo *info)
{
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json(req, status, &atl_board_desc, board);
}

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_items items = {0};
	enum atl_err err = atl_board_list(atl_api_app(req), &req->arena, atl_api_user(req), &items, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_api_list(req, &atl_board_desc, items.items, items.count, NULL);
}

static void handle_create(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct board_in in;
	struct atl_board board;
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err)
		err = atl_board_create(atl_api_app(req), &req->arena, atl_api_user(req), in.name, &board, &info);
	answer(req, err, 201, &board, &info);
}

static void handle_patch(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct board_in in;
	struct atl_board board;
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err)
		err = atl_board_rename(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), in.name,
				       &board, &info);
	answer(req, err, 200, &board, &info);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	enum atl_err err = atl_board_delete(atl_api_app(req), atl_api_user(req), atl_req_param(req, "id"), &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

#define TAG "Library"
const struct atl_route atl_boards_routes[] = {
	{.method = ATL_GET, .path = "/api/v1/boards", .permission = "pictures.use", .handler = handle_list, .tag = TAG,
	 .summary = "Boards, the newest first", .out = &atl_board_desc, .out_list = true},
	{.method = ATL_POST, .path = "/api/v1/boards", .permission = "pictures.use", .handler = handle_create, .tag = TAG,
	 .summary = "Create a board", .in = &in_desc, .out = &atl_board_desc, .status = 201},
	{.method = ATL_PATCH, .path = "/api/v1/boards/{id}", .permission = "pictures.use", .handler = handle_patch,
	 .tag = TAG, .summary = "Rename a board", .in = &in_desc, .out = &atl_board_desc},
	{.method = ATL_DELETE, .path = "/api/v1/boards/{id}", .permission = "pictures.use", .handler = handle_delete,
	 .tag = TAG, .summary = "Delete a board; its assets stay in the library", .status = 204},
	{0},
};
