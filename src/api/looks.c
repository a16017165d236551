/* looks.c - a character's look, and pictures of a conversation. */
#include "api/api.h"
#include "api/fields.h"
#include "core/pictures/enhance.h"
#include "core/pictures/look.h"
#include "core/server/publish.h"

static void handle_get(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct atl_look look;
	enum atl_err err = atl_look_get(atl_api_app(req), &req->arena, atl_api_user(req), atl_req_param(req, "id"), &look, &info);

	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 200, &atl_look_desc, &look);
}

static void handle_put(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_errinfo info = { 0 };
	struct atl_look look;
	enum atl_err err = atl_req_json(req, &look, &info);

	/* a look is text that goes to a generator: the same gate as a card */
	if (!err) {
		struct atl_policy_text texts[] = { ATL_POLICY_TEXT(look.prompt_prefix), ATL_POLICY_TEXT(look.negative_prompt) };

		err = atl_policy_check(app, ATL_ENTRY_CHARACTER, atl_api_identity(req), texts, ATL_COUNT(texts), &info);
	}
	if (!err)
		err = atl_look_set(app, &req->arena, atl_api_user(req), atl_req_param(req, "id"), &look, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	atl_publish_id(app, atl_api_user(req), "look.changed", atl_req_param(req, "id"), NULL, NULL);
	handle_get(req);
}

struct picture_in {
	uint64_t present;
	const char *what, *prompt, *message_id, *model, *style, *negative_prompt;
	int64_t width, height, count, seed;
};
static const char *const WHATS[] = { "scene", "character", "face", "user", "prompt", NULL };
static const struct atl_json_field picture_fields[] = {
	F_ENUM(struct picture_in, what, ATL_JF_REQUIRED, WHATS, "what is seen; prompt: as given"),
	F_STR(struct picture_in, prompt, 0, 0, ATL_PICTURE_PROMPT_MAX, "with what: prompt"),
	F_STR(struct picture_in, negative_prompt, 0, 0, ATL_PICTURE_PROMPT_MAX, NULL),
	F_STR(struct picture_in, message_id, 0, 1, 40, "the message it belongs to; the last answer unless told"),
	F_STR(struct picture_in, model, 0, 1, 300, NULL),
	F_STR(struct picture_in, style, 0, 1, 100, NULL),
	F_INT(struct picture_in, width, 0, 8, 16384, NULL),
	F_INT(struct picture_in, height, 0, 8, 16384, NULL),
	F_INT(struct picture_in, count, 0, 1, ATL_IMAGE_COUNT_MAX, NULL),
	F_INT(struct picture_in, seed, 0, -1, 4294967295.0, NULL),
};
DESC_PATCH(picture_desc, struct picture_in, "ConversationPicture", picture_fields);

static void handle_picture(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	const struct atl_identity *who = atl_api_identity(req);
	struct atl_errinfo info = { 0 };
	struct atl_picture_ask ask;
	struct picture_in in;
	struct atl_job job;
	enum atl_err err;

	if (!atl_api_idempotent_begin(req))
		return;
	err = atl_req_json(req, &in, &info);
	atl_picture_ask_init(&ask);
	if (!err) {
		ask.prompt = in.prompt;
		ask.negative_prompt = in.negative_prompt;
		ask.message_id = in.message_id;
		ask.model = in.model;
		ask.style = in.style;
		if (atl_json_has(&picture_desc, &in, "width"))
			ask.width = in.width;
		if (atl_json_has(&picture_desc, &in, "height"))
			ask.height = in.height;
		if (atl_json_has(&picture_desc, &in, "count"))
			ask.count = in.count;
		if (atl_json_has(&picture_desc, &in, "seed"))
			ask.seed = in.seed;
		err = atl_enhance_conversation(app, who, &req->arena, atl_req_param(req, "id"), in.what, &ask, &info);
	}
	if (!err)
		err = atl_picture_submit(app, who, &req->arena, ATL_ENTRY_PICTURE, "chat", &ask, &job, &info);
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_json(req, 202, &atl_job_desc, &job);
	atl_api_idempotent_end(req);
}

const struct atl_route atl_looks_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/characters/{id}/look", .permission = "characters.use", .handler = handle_get,
	  .tag = "Characters", .summary = "A character's look", .out = &atl_look_desc },
	{ .method = ATL_PUT, .path = "/api/v1/characters/{id}/look", .permission = "characters.use", .handler = handle_put,
	  .tag = "Characters", .summary = "Replace a character's look", .in = &atl_look_desc, .out = &atl_look_desc },
	{ .method = ATL_POST, .path = "/api/v1/conversations/{id}/pictures", .rate = ATL_CLASS_GENERATE, .permission = "pictures.use",
	  .handler = handle_picture, .tag = "Conversations", .summary = "A picture of what is being told", .in = &picture_desc,
	  .out = &atl_job_desc, .status = 202 },
	{ .path = NULL },
};
