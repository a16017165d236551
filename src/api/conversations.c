/* conversations.c - /api/v1/conversations. Messages are messages.c's. */
#include "api/api.h"
#include "api/fields.h"
#include "base/log.h"
#include "base/str.h"
#include "core/chat/conversation.h"
#include "core/chat/generation.h"
#include "core/chat/message.h"

struct conversation_in {
	uint64_t present;
	const char *character_id, *persona_id, *folder_id, *model, *title;
	bool pinned, archived;
	const struct atl_json *sampling;
};
static const struct atl_json_field in_fields[] = {
	F_STR(struct conversation_in, title, 0, 1, ATL_TITLE_MAX, NULL),
	F_STR(struct conversation_in, character_id, ATL_JF_NULLABLE, 0, 40, "null: a plain assistant"),
	F_STR(struct conversation_in, persona_id, ATL_JF_NULLABLE, 0, 40, "null: the default persona"),
	F_STR(struct conversation_in, folder_id, ATL_JF_NULLABLE, 0, 40, NULL),
	F_STR(struct conversation_in, model, ATL_JF_NULLABLE, 0, 300, "null: the character's or the default"),
	F_ANY(struct conversation_in, sampling, 0, "see Sampling; null or {} clears"),
	F_BOOL(struct conversation_in, pinned, 0, NULL),
	F_BOOL(struct conversation_in, archived, 0, NULL),
};
DESC_PATCH(in_desc, struct conversation_in, "ConversationInput", in_fields);

struct page_out {
	struct atl_items items;
	bool more;
};
static const struct atl_json_field page_fields[] = {
	F_LIST(struct page_out, items, ATL_JF_REQUIRED, &atl_message_desc, "oldest first"),
	F_BOOL(struct page_out, more, ATL_JF_REQUIRED, "there are older ones"),
};
DESC(page_desc, struct page_out, "MessagePage", page_fields);

struct add_in {
	uint64_t present;
	const char *content, *parent_id, *model;
	int64_t max_cost_micro_usd;
	bool reply;
};
static const struct atl_json_field add_fields[] = {
	F_STR(struct add_in, content, ATL_JF_REQUIRED, 1, ATL_MESSAGE_BYTES_MAX, NULL),
	F_STR(struct add_in, parent_id, ATL_JF_NULLABLE, 0, 40, "null: the last message of the active path"),
	F_STR(struct add_in, model, ATL_JF_NULLABLE, 0, 300, "for this reply only"),
	F_INT(struct add_in, max_cost_micro_usd, ATL_JF_NULLABLE, 0, 1e12,
	      "the reply is refused or stopped where it would cost more, in millionths of a US dollar; 0: no ceiling of its own"),
	F_BOOL(struct add_in, reply, 0, "false: store the message only"),
};
DESC_PATCH(add_desc, struct add_in, "MessageInput", add_fields);

struct added_out {
	const struct atl_message *message, *reply;
};
static const struct atl_json_field added_fields[] = {
	F_OBJ(struct added_out, message, ATL_JF_REQUIRED, &atl_message_desc, NULL),
	F_OBJ(struct added_out, reply, ATL_JF_REQUIRED | ATL_JF_NULLABLE, &atl_message_desc, "being written"),
};
DESC(added_desc, struct added_out, "MessageAdded", added_fields);

static const struct atl_query_param list_params[] = {
	ATL_API_PAGE_PARAMS,
	{"q", ATL_JT_STR, 0, 200, NULL, "in the title"},
	{"character_id", ATL_JT_STR, 0, 40, NULL, NULL},
	{"folder_id", ATL_JT_STR, 0, 40, NULL, NULL},
	{"archived", ATL_JT_BOOL, 0, 0, NULL, "the archived ones instead"},
	{"pinned", ATL_JT_BOOL, 0, 0, NULL, "only pinned ones"},
	{0},
};
static const struct atl_query_param page_params[] = {
	{"before", ATL_JT_STR, 0, 40, NULL, "messages above this one"},
	{"limit", ATL_JT_INT, 1, ATL_MESSAGE_PAGE_MAX, NULL, "50 unless told"},
	{0},
};

static void answer(struct atl_req *req, enum atl_err err, int status, const struct atl_conversation *conversation,
		   const struct atl_errinfo *info)
{
	if (err) {
		atl_api_fail(req, err, info);
		return;
	}
	atl_api_etag(req, conversation->version);
	atl_res_json(req, status, &atl_conversation_desc, conversation);
}

static enum atl_err read_change(struct atl_req *req, struct conversation_in *in,
				struct atl_conversation_change *change, struct atl_errinfo *info)
{
	enum atl_err err = atl_req_json(req, in, info);
	if (err)
		return err;
	*change = (struct atl_conversation_change){
		.title = in->title,
		.sampling = in->sampling,
		.character_id = {atl_json_has(&in_desc, in, "character_id"), in->character_id},
		.persona_id = {atl_json_has(&in_desc, in, "persona_id"), in->persona_id},
		.folder_id = {atl_json_has(&in_desc, in, "folder_id"), in->folder_id},
		.model = {atl_json_has(&in_desc, in, "model"), in->model}};
	if (atl_json_has(&in_desc, in, "pinned"))
		change->pinned = &in->pinned;
	if (atl_json_has(&in_desc, in, "archived"))
		change->archived = &in->archived;
	return ATL_OK;
}

static void handle_list(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_page page;
	struct atl_conversation *items;
	size_t count;
	enum atl_err err = atl_api_page(req, &page, &info);
	if (!err) {
		struct atl_conversation_query query = {
			.text = atl_req_query(req, "q"),
			.character_id = atl_req_query(req, "character_id"),
			.folder_id = atl_req_query(req, "folder_id"),
			.archived = atl_str_eq(atl_req_query(req, "archived"), "true"),
			.pinned_only = atl_str_eq(atl_req_query(req, "pinned"), "true"),
			.after_key = page.after_key,
			.after_id = page.has_after ? page.after_id : NULL,
			.limit = page.limit};
		err = atl_conversation_list(atl_api_app(req), &req->arena, atl_api_user(req), &query, &items, &count,
					    &info);
	}
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	const char *next = NULL;
	if (count > (size_t)page.limit) {
		count = (size_t)page.limit;
		next = atl_api_cursor(req, atl_conversation_sort_key(&items[count - 1]), items[count - 1].id);
	}
	atl_api_list(req, &atl_conversation_desc, items, count, next);
}

static void handle_create(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct conversation_in in;
	struct atl_conversation_change change;
	struct atl_conversation conversation;
	enum atl_err err = read_change(req, &in, &change, &info);
	if (!err)
		err = atl_conversation_create(atl_api_app(req), atl_api_identity(req), &req->arena, &change,
					      &conversation, &info);
	answer(req, err, 201, &conversation, &info);
}

static void handle_get(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_conversation conversation;
	enum atl_err err = atl_conversation_get(atl_api_app(req), &req->arena, atl_api_user(req),
						atl_req_param(req, "id"), &conversation, &info);
	answer(req, err, 200, &conversation, &info);
}

static void handle_patch(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct conversation_in in;
	struct atl_conversation_change change;
	struct atl_conversation conversation;
	enum atl_err err = read_change(req, &in, &change, &info);
	if (!err)
		err = atl_api_wanted_version(req, &change.wanted_version, &info);
	if (!err)
		err = atl_conversation_update(atl_api_app(req), atl_api_identity(req), &req->arena,
					      atl_req_param(req, "id"), &change, &conversation, &info);
	answer(req, err, 200, &conversation, &info);
}

static void handle_delete(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	enum atl_err err =
		atl_conversation_delete(atl_api_app(req), atl_api_identity(req), atl_req_param(req, "id"), &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

static void handle_restore(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct atl_conversation conversation;
	enum atl_err err = atl_conversation_restore(atl_api_app(req), atl_api_identity(req), &req->arena,
						    atl_req_param(req, "id"), &conversation, &info);
	answer(req, err, 200, &conversation, &info);
}

static void handle_messages(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	const char *text = atl_req_query(req, "limit");
	int64_t limit = ATL_API_PAGE_DEFAULT;
	struct page_out page = {0};
	struct atl_message *items;
	enum atl_err err = ATL_OK;
	if (text && !atl_str_i64(text, 1, ATL_MESSAGE_PAGE_MAX, &limit))
		err = atl_fail_field(&info, ATL_ERR_INVALID, "limit", "must be between 1 and %d", ATL_MESSAGE_PAGE_MAX);
	if (!err)
		err = atl_message_page(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"),
				       atl_req_query(req, "before"), limit, &items, &page.items.count, &page.more, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	page.items.items = items;
	atl_res_json(req, 200, &page_desc, &page);
}

static enum atl_err add_message(struct atl_req *req, const struct add_in *in, struct added_out *out,
				struct atl_errinfo *info)
{
	struct atl_message *message = ATL_ARENA_ARRAY(&req->arena, struct atl_message, 2);
	bool reply = !atl_json_has(&add_desc, in, "reply") || in->reply;
	if (!message)
		return atl_fail(info, ATL_ERR_NOMEM, "message");
	/* refused as a whole: a message that stays behind a refusal would be sent again */
	enum atl_err err = reply ? atl_generation_room(atl_api_app(req), atl_api_user(req), info) : ATL_OK;
	if (!err)
		err = atl_message_add(atl_api_app(req), atl_api_identity(req), &req->arena, atl_req_param(req, "id"),
				      in->parent_id, in->content, message, info);
	if (err)
		return err;
	out->message = message;
	if (!reply)
		return ATL_OK;
	err = atl_generation_start(atl_api_app(req), atl_api_identity(req), &req->arena, message->id,
				   ATL_GENERATION_REPLY, in->model, in->max_cost_micro_usd, message + 1, info);
	if (!err)
		out->reply = message + 1;
	else /* the room was taken meanwhile: the message is there, and the answer says that no reply is */
		atl_warn("api", "no reply to %s was started: %s %s", message->id, atl_err_name(err), info->detail);
	return ATL_OK;
}

static void handle_add(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct add_in in;
	struct added_out out = {0};
	if (!atl_api_idempotent_begin(req))
		return;
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err)
		err = add_message(req, &in, &out, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 202, &added_desc, &out);
	atl_api_idempotent_end(req);
}

#define ROUTE(m, p, h, words) .method = m, .path = "/api/v1/conversations" p, .permission = "chat.use", .handler = h, \
	.tag = "Conversations", .summary = words

const struct atl_route atl_conversations_routes[] = {
	{ROUTE(ATL_GET, "", handle_list, "List conversations: pinned ones, then the latest active"),
	 .out = &atl_conversation_desc, .out_list = true, .query = list_params},
	{ROUTE(ATL_POST, "", handle_create, "Begin a conversation; the character's greeting is its first message"),
	 .in = &in_desc, .out = &atl_conversation_desc, .status = 201},
	{ROUTE(ATL_GET, "/{id}", handle_get, "One conversation"), .out = &atl_conversation_desc},
	{ROUTE(ATL_PATCH, "/{id}", handle_patch, "Rename, pin, archive, file, change model, persona or sampling"),
	 .in = &in_desc, .out = &atl_conversation_desc},
	{ROUTE(ATL_DELETE, "/{id}", handle_delete, "Delete a conversation; restore brings it back"), .status = 204},
	{ROUTE(ATL_POST, "/{id}/restore", handle_restore, "Undo a deletion"), .out = &atl_conversation_desc},
	{ROUTE(ATL_GET, "/{id}/messages", handle_messages, "The active path, from its end upwards"), .out = &page_desc,
	 .query = page_params},
	{ROUTE(ATL_POST, "/{id}/messages", handle_add, "Say something; the reply is written by the server"), .rate = ATL_CLASS_GENERATE, .in = &add_desc,
	 .out = &added_desc, .status = 202, .body_max = ATL_MESSAGE_BYTES_MAX * 2},
	{0},
};
