/* messages.c - /api/v1/messages: reading, answers again, editing, branches. */
#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/chat/generation.h"
#include "core/chat/message.h"

#define MAX_COST "the reply is refused or stopped where it would cost more, in millionths of a US dollar; 0: no ceiling of its own"

struct again_in {
	const char *model;
	int64_t max_cost_micro_usd;
};
static const struct atl_json_field again_fields[] = {
	F_STR(struct again_in, model, ATL_JF_NULLABLE, 0, 300, "for this reply only"),
	F_INT(struct again_in, max_cost_micro_usd, ATL_JF_NULLABLE, 0, 1e12, MAX_COST),
};
DESC(again_desc, struct again_in, "ReplyInput", again_fields);

struct edit_in {
	const char *content, *model;
	int64_t max_cost_micro_usd;
	bool reply, in_place;
};
static const struct atl_json_field edit_fields[] = {
	F_STR(struct edit_in, content, ATL_JF_REQUIRED, 1, ATL_MESSAGE_BYTES_MAX, NULL),
	F_BOOL(struct edit_in, reply, 0, "write a new answer to the edited message"),
	F_BOOL(struct edit_in, in_place, 0, "replace the text instead of adding a sibling"),
	F_STR(struct edit_in, model, ATL_JF_NULLABLE, 0, 300, "for the reply"),
	F_INT(struct edit_in, max_cost_micro_usd, ATL_JF_NULLABLE, 0, 1e12, MAX_COST),
};
DESC(edit_desc, struct edit_in, "MessageEdit", edit_fields);

struct out {
	const struct atl_message *message, *reply;
};
static const struct atl_json_field one_fields[] = {
	F_OBJ(struct out, message, ATL_JF_REQUIRED, &atl_message_desc, NULL),
};
DESC(one_desc, struct out, "MessageResult", one_fields);
static const struct atl_json_field edited_fields[] = {
	F_OBJ(struct out, message, ATL_JF_REQUIRED, &atl_message_desc, NULL),
	F_OBJ(struct out, reply, ATL_JF_REQUIRED | ATL_JF_NULLABLE, &atl_message_desc, "being written"),
};
DESC(edited_desc, struct out, "MessageEdited", edited_fields);

struct selected_out {
	const struct atl_conversation *conversation;
};
static const struct atl_json_field selected_fields[] = {
	F_OBJ(struct selected_out, conversation, ATL_JF_REQUIRED, &atl_conversation_desc, NULL),
};
DESC(selected_desc, struct selected_out, "MessageSelected", selected_fields);

static void handle_get(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_message message;
	enum atl_err err = atl_message_get(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"),
					   &message, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &atl_message_desc, &message);
}

static void start(struct atl_req *req, enum atl_generation_mode mode)
{
	struct atl_errinfo info = {0};
	struct again_in in = {0};
	struct atl_message message;
	if (!atl_api_idempotent_begin(req))
		return;
	enum atl_err err = req->body_length ? atl_req_json(req, &in, &info) : ATL_OK;
	if (!err)
		err = atl_generation_start(atl_api_app(req), atl_api_identity(req), &req->arena,
					   atl_req_param(req, "id"), mode, in.model, in.max_cost_micro_usd, &message, &info);
	if (err) {
		atl_api_fail(req, err, &info);
	} else {
		struct out out = {.message = &message};
		atl_res_json(req, 202, &one_desc, &out);
	}
	atl_api_idempotent_end(req);
}

static void handle_regenerate(struct atl_req *req)
{
	start(req, ATL_GENERATION_AGAIN);
}

static void handle_continue(struct atl_req *req)
{
	start(req, ATL_GENERATION_CONTINUE);
}

static void handle_edit(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct edit_in in;
	struct atl_message message, reply;
	struct out out = {.message = &message};
	if (!atl_api_idempotent_begin(req))
		return;
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err && in.reply) /* refused as a whole */
		err = atl_generation_room(atl_api_app(req), atl_api_user(req), &info);
	if (!err)
		err = atl_message_edit(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"),
				       in.content, in.in_place, &message, &info);
	if (!err && in.reply && atl_str_eq(message.role, "user")) {
		err = atl_generation_start(atl_api_app(req), atl_api_identity(req), &req->arena, message.id,
					   ATL_GENERATION_REPLY, in.model, in.max_cost_micro_usd, &reply, &info);
		out.reply = &reply;
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &edited_desc, &out);
	atl_api_idempotent_end(req);
}

static void handle_select(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_conversation conversation;
	enum atl_err err = atl_message_select(atl_api_app(req), atl_api_identity(req), &req->arena,
					      atl_req_param(req, "id"), &conversation, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	struct selected_out out = {.conversation = &conversation};
	atl_res_json(req, 200, &selected_desc, &out);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	enum atl_err err =
		atl_message_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void handle_restore(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_message message;
	enum atl_err err = atl_message_restore(atl_api_app(req), atl_api_identity(req), &req->arena,
					       atl_req_param(req, "id"), &message, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &atl_message_desc, &message);
}

static void handle_fork(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_conversation conversation;
	enum atl_err err = atl_message_fork(atl_api_app(req), atl_api_identity(req), &req->arena,
					    atl_req_param(req, "id"), &conversation, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_api_etag(req, conversation.version);
	atl_res_json(req, 201, &atl_conversation_desc, &conversation);
}

static void handle_stop(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	enum atl_err err =
		atl_generation_stop(atl_api_app(req), atl_api_user(req), atl_req_param(req, "id"), &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 202);
}

static void handle_prompt(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	const char *json;
	enum atl_err err = atl_message_prompt(atl_api_app(req), &req->arena, atl_api_user(req),
					      atl_req_param(req, "id"), &json, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json_text(req, 200, json, strlen(json));
}

#define ROUTE(m, p, h, words) .method = m, .path = "/api/v1/messages/{id}" p, .permission = "chat.use", .handler = h, \
	.tag = "Messages", .summary = words

const struct atl_route atl_messages_routes[] = {
	{ROUTE(ATL_GET, "", handle_get, "One message, with what a running reply has so far"), .out = &atl_message_desc},
	{ROUTE(ATL_POST, "/regenerate", handle_regenerate, "A new answer beside this one"), .rate = ATL_CLASS_GENERATE, .in = &again_desc, .out = &one_desc,
	 .status = 202},
	{ROUTE(ATL_POST, "/continue", handle_continue, "Let this answer go on"), .rate = ATL_CLASS_GENERATE, .in = &again_desc, .out = &one_desc,
	 .status = 202},
	{ROUTE(ATL_POST, "/edit", handle_edit, "Change the text: as a sibling, or in place"), .in = &edit_desc,
	 .out = &edited_desc, .body_max = ATL_MESSAGE_BYTES_MAX * 2},
	{ROUTE(ATL_POST, "/select", handle_select, "Swipe: make this branch the active one"), .out = &selected_desc},
	{ROUTE(ATL_DELETE, "", handle_delete, "Delete this message and all below; restore brings them back"), .status = 204},
	{ROUTE(ATL_POST, "/restore", handle_restore, "Undo a deletion"), .out = &atl_message_desc},
	{ROUTE(ATL_POST, "/fork", handle_fork, "A new conversation from the path up to here"), .out = &atl_conversation_desc,
	 .status = 201},
	{ROUTE(ATL_POST, "/stop", handle_stop, "Stop writing; what is there stays"), .status = 202},
	{ROUTE(ATL_GET, "/prompt", handle_prompt, "What was sent to the model, part by part"), .out_type = "application/json"},
	{0},
};
