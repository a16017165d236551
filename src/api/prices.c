/* prices.c - /api/v1/prices: what every model costs and who says so; the operator's own prices. The price of a reply before it
 * is asked for. */
#include "api/api.h"
#include "api/fields.h"
#include "base/str.h"
#include "core/books/price.h"
#include "core/chat/conversation.h"
#include "core/chat/message.h"
#include "core/models/model.h"
#include "core/pictures/picture_model.h"

struct price_out {
	const char *model, *name, *service, *kind, *source, *unit;
	int64_t input_micro_usd, output_micro_usd, cached_micro_usd, unit_micro_usd;
};
static const char *const KINDS[] = { "chat", "picture", "video", NULL };
static const struct atl_json_field price_fields[] = {
	F_STR(struct price_out, model, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct price_out, name, ATL_JF_REQUIRED, 0, 0, NULL),
	F_STR(struct price_out, service, ATL_JF_REQUIRED, 0, 0, NULL),
	F_ENUM(struct price_out, kind, ATL_JF_REQUIRED, KINDS, NULL),
	F_ENUM(struct price_out, source, ATL_JF_REQUIRED, atl_price_sources, "unknown: nothing is charged and nothing estimated"),
	F_INT(struct price_out, input_micro_usd, ATL_JF_REQUIRED, 0, 0, "per million tokens of the prompt, in millionths of a US dollar"),
	F_INT(struct price_out, output_micro_usd, ATL_JF_REQUIRED, 0, 0, "of the reply"),
	F_INT(struct price_out, cached_micro_usd, ATL_JF_REQUIRED, 0, 0, "of the prompt, where the service had it already"),
	F_STR(struct price_out, unit, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "of pictures and films; null: free, or not known"),
	F_INT(struct price_out, unit_micro_usd, ATL_JF_REQUIRED, 0, 0, NULL),
};
DESC(price_desc, struct price_out, "Price", price_fields);

struct price_in {
	uint64_t present;
	const char *model, *unit;
	int64_t input_micro_usd, output_micro_usd, cached_micro_usd, unit_micro_usd;
};
#define PRICE_MAX ((double)ATL_PRICE_MICRO_USD_MAX)
static const struct atl_json_field price_in_fields[] = {
	F_STR(struct price_in, model, ATL_JF_REQUIRED, 1, ATL_MODEL_ID_MAX, "id of a chat or picture model"),
	F_INT(struct price_in, input_micro_usd, ATL_JF_NULLABLE, 0, PRICE_MAX, "per million tokens"),
	F_INT(struct price_in, output_micro_usd, ATL_JF_NULLABLE, 0, PRICE_MAX, "per million tokens"),
	F_INT(struct price_in, cached_micro_usd, ATL_JF_NULLABLE, 0, PRICE_MAX, "null: as input_micro_usd"),
	F_ENUM(struct price_in, unit, ATL_JF_NULLABLE, atl_price_units, "of a picture or film"),
	F_INT(struct price_in, unit_micro_usd, ATL_JF_NULLABLE, 0, PRICE_MAX, NULL),
};
DESC_PATCH(price_in_desc, struct price_in, "PriceInput", price_in_fields);

static void add_chat(const struct atl_model *m, struct price_out *out)
{
	*out = (struct price_out){ .model = m->id, .name = m->name, .service = m->provider_name, .kind = KINDS[0],
				   .source = m->price_source, .input_micro_usd = m->input_micro_usd,
				   .output_micro_usd = m->output_micro_usd, .cached_micro_usd = m->cached_micro_usd };
}

static void add_picture(struct atl_prices *prices, const struct atl_picture_model *m, struct price_out *out)
{
	const char *unit;
	int64_t own;
	enum atl_price_source source = m->price_unit ? ATL_PRICE_BUILT_IN : ATL_PRICE_UNKNOWN;

	if (atl_price_unit_find(prices, m->id, &unit, &own))
		source = ATL_PRICE_OPERATOR;
	else if (atl_str_eq(m->provider_id, "local"))
		source = ATL_PRICE_LOCAL;
	*out = (struct price_out){ .model = m->id, .name = m->name, .service = m->provider_name,
				   .kind = atl_str_eq(m->kind, "video") ? KINDS[2] : KINDS[1], .source = atl_price_sources[source],
				   .unit = m->price_unit, .unit_micro_usd = m->price_micro_usd };
}

static void handle_list(struct atl_req *req)
{
	struct atl_app *app = atl_api_app(req);
	struct atl_picture_model *pictures = NULL;
	struct atl_errinfo info = { 0 };
	struct atl_model *models;
	size_t count, picture_count = 0;
	struct price_out *out;
	enum atl_err err = atl_models_list(app, &req->arena, atl_api_user(req), &models, &count, &info);

	if (!err)
		err = atl_picture_model_list(app, &req->arena, &pictures, &picture_count, &info);
	out = err ? NULL : ATL_ARENA_ARRAY(&req->arena, struct price_out, count + picture_count + 1);
	if (!err && !out)
		err = atl_fail(&info, ATL_ERR_NOMEM, "prices");
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	for (size_t i = 0; i < count; i++)
		add_chat(&models[i], &out[i]);
	for (size_t i = 0; i < picture_count; i++)
		add_picture(app->prices, &pictures[i], &out[count + i]);
	atl_api_list(req, &price_desc, out, count + picture_count, NULL);
}

#define GIVEN(in, name, otherwise) (atl_json_has(&price_in_desc, &(in), #name) ? (in).name : (otherwise))

static void handle_put(struct atl_req *req)
{
	struct atl_errinfo info = { 0 };
	struct price_in in;
	enum atl_err err = atl_req_json(req, &in, &info);

	if (!err) {
		struct atl_own_price price = { .model = in.model, .input_micro_usd = GIVEN(in, input_micro_usd, -1),
					       .output_micro_usd = GIVEN(in, output_micro_usd, -1),
					       .cached_micro_usd = GIVEN(in, cached_micro_usd, -1), .unit = in.unit,
					       .unit_micro_usd = in.unit ? GIVEN(in, unit_micro_usd, 0) : 0 };

		err = atl_own_price_set(atl_api_app(req), atl_api_identity(req), req->remote, &price, &info);
	}
	if (err)
		atl_api_fail(req, err, &info);
	else
		atl_res_empty(req, 204);
}

/* ---- before a reply is asked for ---- */

struct estimate_out {
	const char *model, *source;
	int64_t prompt_tokens, reply_tokens, input_micro_usd, output_micro_usd, cost_micro_usd;
};
static const struct atl_json_field estimate_fields[] = {
	F_STR(struct estimate_out, model, ATL_JF_REQUIRED | ATL_JF_NULLABLE, 0, 0, "that would answer; null: none"),
	F_ENUM(struct estimate_out, source, ATL_JF_REQUIRED, atl_price_sources, "unknown: there is no price, and the cost is 0"),
	F_INT(struct estimate_out, prompt_tokens, ATL_JF_REQUIRED, 0, 0, "of the chat so far; what is typed comes on top"),
	F_INT(struct estimate_out, reply_tokens, ATL_JF_REQUIRED, 0, 0, "as long as its replies are"),
	F_INT(struct estimate_out, input_micro_usd, ATL_JF_REQUIRED, 0, 0, "per million tokens"),
	F_INT(struct estimate_out, output_micro_usd, ATL_JF_REQUIRED, 0, 0, "per million tokens"),
	F_INT(struct estimate_out, cost_micro_usd, ATL_JF_REQUIRED, 0, 0, "millionths of a US dollar; 0: free or not known"),
};
DESC(estimate_desc, struct estimate_out, "ReplyEstimate", estimate_fields);

/* What the last reply was sent and what it said is sent again. */
static int64_t tokens_so_far(struct atl_req *req, const char *conversation_id)
{
	struct atl_message *messages;
	size_t count;
	bool more;

	if (atl_message_page(atl_api_app(req), &req->arena, atl_api_user(req), conversation_id, NULL, 10, &messages, &count, &more,
			     NULL) != ATL_OK)
		return 0;
	for (size_t i = count; i-- > 0;)
		if (messages[i].prompt_tokens > 0)
			return messages[i].prompt_tokens + messages[i].completion_tokens;
	return 0;
}

static const struct atl_model *find_model(const struct atl_model *models, size_t count, const char *id)
{
	for (size_t i = 0; id && i < count; i++)
		if (atl_str_eq(models[i].id, id))
			return &models[i];
	return NULL;
}

static void handle_estimate(struct atl_req *req)
{
	struct estimate_out out = { .source = atl_price_sources[ATL_PRICE_UNKNOWN] };
	struct atl_app *app = atl_api_app(req);
	struct atl_conversation conversation;
	struct atl_errinfo info = { 0 };
	const struct atl_model *found;
	struct atl_model *models;
	size_t count;
	enum atl_err err = atl_conversation_get(app, &req->arena, atl_api_user(req), atl_req_param(req, "id"), &conversation, &info);

	if (!err)
		err = atl_models_list(app, &req->arena, atl_api_user(req), &models, &count, &info);
	if (err) {
		atl_api_fail(req, err, &info);
		return;
	}
	out.model = conversation.effective_model;
	found = find_model(models, count, out.model);
	if (found) {
		const struct atl_price price = { ATL_PRICE_SERVICE, found->input_micro_usd, found->output_micro_usd,
						 found->cached_micro_usd };

		out.source = found->price_source;
		out.input_micro_usd = price.input_micro_usd;
		out.output_micro_usd = price.output_micro_usd;
		out.prompt_tokens = tokens_so_far(req, conversation.id);
		out.reply_tokens = atl_price_expected(app->prices, found->id, 0);
		out.cost_micro_usd = atl_price_cost(&price, out.prompt_tokens, 0, out.reply_tokens);
	}
	atl_res_json(req, 200, &estimate_desc, &out);
}

#define TAG "Usage"
const struct atl_route atl_prices_routes[] = {
	{ .method = ATL_GET, .path = "/api/v1/prices", .permission = "quotas.manage", .tag = TAG, .handler = handle_list,
	  .summary = "What every model costs, and who says so", .out = &price_desc, .out_list = true },
	{ .method = ATL_PUT, .path = "/api/v1/prices", .permission = "quotas.manage", .tag = TAG, .handler = handle_put,
	  .summary = "Set the operator's price of a model; without prices it is taken away", .in = &price_in_desc, .status = 204 },
	{ .method = ATL_GET, .path = "/api/v1/conversations/{id}/estimate", .permission = "chat.use", .tag = TAG,
	  .handler = handle_estimate, .summary = "What the next reply will probably cost", .out = &estimate_desc },
	{ 0 },
};
