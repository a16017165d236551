/* openai.c - the OpenAI-compatible API: its routes, and the way of a request up to the relay. */
#include "api/openai_int.h"

#include "base/str.h"
#include "core/books/cost_ceiling.h"
#include "core/books/quota.h"
#include "core/books/usage.h"
#include "core/people/rights.h"

#define BYTES_PER_TOKEN 4 /* where nobody tells the prompt's tokens */

static void fail(struct atl_req *req, struct atl_openai_job *job, enum atl_err err, const struct atl_errinfo *info)
{
	if (job)
		atl_usage_refund(atl_api_app(req)->usage, job->charge_ref);
	if (job && job->route) {
		atl_model_route_unref(job->route);
		job->route = NULL;
	}
	atl_api_fail(req, err, info);
	if (!job || !job->in_pool)
		atl_res_send(req);
}

/* ---- reading ---- */

static enum atl_err check_type(const struct atl_req *req, struct atl_errinfo *info)
{
	const char *type = atl_req_header(req, "Content-Type");
	char base[32];

	if (!type)
		return ATL_OK;
	atl_str_copy(base, sizeof(base), type);
	base[strcspn(base, "; ")] = '\0';
	if (!atl_str_ieq(base, "application/json"))
		return atl_fail(info, ATL_ERR_MEDIA_TYPE, "Send the body as application/json.");
	return ATL_OK;
}

static enum atl_err read_body(struct atl_req *req, struct atl_openai_job *job, struct atl_errinfo *info)
{
	struct atl_openai_body *body = &job->body;
	enum atl_err err = check_type(req, info);
	size_t bytes = 0;

	if (!err)
		err = atl_openai_scan(&req->arena, req->body, req->body_length, body, info);
	if (err)
		return err;
	if (job->path == ATL_MODEL_CHAT && !body->messages.length)
		return atl_fail_field(info, ATL_ERR_INVALID, "messages", "A chat needs messages.");
	err = atl_policy_check(atl_api_app(req), job->entry, atl_api_identity(req), body->texts, body->text_count, info);
	if (err)
		return err;
	for (size_t i = 0; i < body->text_count; i++)
		bytes += body->texts[i].length;
	job->prompt_estimate = (int64_t)(bytes / BYTES_PER_TOKEN) + 1;
	job->wanted = body->model_name;
	if (atl_str_empty(job->wanted) || strcmp(job->wanted, ATL_OPENAI_DEFAULT) == 0)
		job->wanted = NULL;
	job->read = true;
	return ATL_OK;
}

/* ---- writing the changes ---- */

static void add_edit(struct atl_openai_job *job, struct atl_span span, const char *text)
{
	if (job->edit_count < ATL_OPENAI_EDITS_MAX)
		job->edits[job->edit_count++] = (struct atl_openai_edit){ span, text, strlen(text) };
}

static void name_model(struct atl_openai_job *job, struct atl_arena *arena)
{
	const struct atl_openai_body *body = &job->body;
	const char *text;

	if (body->model.length) {
		if (strcmp(body->model_name, job->route->target.name) != 0)
			add_edit(job, body->model, job->route->quoted_name);
		return;
	}
	text = atl_arena_printf(arena, "\"model\":%s%s", job->route->quoted_name, body->empty_root ? "" : ",");
	if (text)
		add_edit(job, (struct atl_span){ body->inside, 0 }, text);
}

/* Have the service tell the usage of a stream, whose client did not ask; the relay takes that chunk out again. */
static bool ask_usage(struct atl_openai_job *job, const char *text)
{
	const struct atl_openai_body *body = &job->body;

	if (!body->stream || body->wants_usage || !job->route->target.endpoint.preset->stream_options)
		return false;
	if (!body->stream_options.length)
		add_edit(job, (struct atl_span){ body->inside, 0 }, "\"stream_options\":{\"include_usage\":true},");
	else if (text[body->stream_options.at] != '{')
		add_edit(job, body->stream_options, "{\"include_usage\":true}");
	else if (body->include_usage.length)
		add_edit(job, body->include_usage, "true");
	else
		add_edit(job, (struct atl_span){ body->stream_options.at + 1, 0 },
			 body->empty_options ? "\"include_usage\":true" : "\"include_usage\":true,");
	return true;
}

/* The last step, on the loop. */
static void send_on(struct atl_req *req)
{
	struct atl_openai_job *job = req->state;
	struct atl_openai_call call = {
		.route = job->route,
		.path = job->path,
		.entry = job->entry,
		.charge_ref = job->charge_ref,
		.model = job->wanted ? job->wanted : job->route->target.id,
		.body = req->body,
		.body_length = req->body_length,
		.stream = job->body.stream && job->path != ATL_MODEL_EMBEDDINGS,
		.prompt_estimate = job->prompt_estimate,
		.estimate = job->estimate,
		.ceiling = job->ceiling,
	};

	job->in_pool = false;
	name_model(job, &req->arena);
	call.strip_usage = call.stream && ask_usage(job, req->body);
	if (job->edit_count)
		call.body = atl_openai_edit(&req->arena, req->body, req->body_length, job->edits, job->edit_count,
					    &call.body_length);
	if (!call.body) {
		fail(req, job, ATL_ERR_NOMEM, NULL);
		return;
	}
	job->route = NULL;
	atl_openai_relay(req, &call);
}

/* ---- finding the model ---- */

static bool wants_character(const struct atl_openai_job *job)
{
	return job->wanted && atl_str_starts(job->wanted, ATL_OPENAI_CHARACTER);
}

/* The model that answers where none is asked for, and whether the chosen one is open to whoever asks. */
static enum atl_err resolve(struct atl_req *req, struct atl_openai_job *job, struct atl_errinfo *info)
{
	struct atl_app *app = atl_api_app(req);
	enum atl_err err = atl_rights_default(app, &req->arena, atl_api_identity(req), &job->wanted, info);

	if (!err)
		err = atl_model_route_resolve(app, atl_api_user(req), job->wanted, &job->route, info);
	return err ? err : atl_rights_model(atl_api_identity(req), job->route->target.id, info);
}

/* ---- what it takes ---- */

/* Are there quotas, or has the key a budget? */
static bool counted(struct atl_req *req)
{
	return atomic_load(&atl_api_app(req)->limited) || atl_api_identity(req)->key_budget;
}

/* A message, and whether any tokens are left; only where there are quotas at all, since it waits for the database. What
 * costs nothing is taken from a block that serves many requests. */
static enum atl_err reserve(struct atl_req *req, struct atl_openai_job *job, struct atl_errinfo *info)
{
	const struct atl_identity *who = atl_api_identity(req);
	struct atl_charge charge;
	char ref[ATL_ID_SIZE];
	enum atl_err err;

	if (job->estimate < 0)
		return atl_usage_allow(atl_api_app(req)->usage, who, job->route->target.id, job->charge_ref, info);
	atl_id_new("usg", ref);
	atl_charge_init(&charge, ref, who->user_id, who->key_id, job->route->target.id);
	charge.amounts[ATL_LEDGER_MESSAGES] = 1;
	charge.amounts[ATL_LEDGER_INPUT_TOKENS] = charge.amounts[ATL_LEDGER_OUTPUT_TOKENS] = 0;
	charge.amounts[ATL_LEDGER_MONEY] = job->estimate;
	err = atl_quota_reserve(atl_api_app(req), &charge, info);
	if (!err)
		atl_str_copy(job->charge_ref, sizeof(job->charge_ref), ref);
	return err;
}

/* What it will cost: refused before it is sent where that is more than a ceiling. Embeddings have no reply. */
static enum atl_err expect_cost(struct atl_req *req, struct atl_openai_job *job, struct atl_errinfo *info)
{
	const char *text = atl_req_header(req, ATL_COST_CEILING_HEADER);
	const struct atl_model_target *target = &job->route->target;
	struct atl_app *app = atl_api_app(req);
	int64_t wanted = 0, reply = 0;

	if (text && !atl_str_i64(text, 0, INT64_MAX, &wanted))
		return atl_fail(info, ATL_ERR_INVALID, "%s is a whole number of millionths of a US dollar.", ATL_COST_CEILING_HEADER);
	if (!atl_price_costs(&target->price))
		return ATL_OK;
	if (job->path != ATL_MODEL_EMBEDDINGS)
		reply = atl_price_expected(app->prices, target->id, 0);
	job->estimate = atl_price_cost(&target->price, job->prompt_estimate, 0, reply);
	return atl_cost_ceiling(app, atl_api_identity(req), target->id, job->estimate, wanted, &job->ceiling, info);
}

static void work_in_pool(struct atl_req *req)
{
	struct atl_openai_job *job = req->state;
	struct atl_errinfo info = { 0 };
	enum atl_err err = ATL_OK;

	job->in_pool = true;
	if (!job->read)
		err = read_body(req, job, &info);
	if (!err && wants_character(job))
		err = atl_openai_character(req, job, &info);
	else if (!err)
		err = resolve(req, job, &info);
	if (!err)
		err = expect_cost(req, job, &info);
	if (!err && counted(req))
		err = reserve(req, job, &info);
	if (err)
		fail(req, job, err, &info);
	else
		atl_res_continue(req, send_on);
}

/* May it go on at once, without the database? Ceilings are there, and allowances that are not at hand. */
static bool may_send_on(struct atl_req *req, struct atl_openai_job *job)
{
	struct atl_app *app = atl_api_app(req);

	if (atl_price_costs(&job->route->target.price))
		return false;
	return !counted(req) ||
	       atl_usage_allowed(app->usage, atl_api_identity(req), job->route->target.id, job->charge_ref);
}

static void begin(struct atl_req *req, enum atl_model_path path, enum atl_entry_point entry)
{
	struct atl_openai_job *job = ATL_ARENA_NEW(&req->arena, struct atl_openai_job);
	struct atl_errinfo info = { 0 };
	enum atl_err err;

	if (!job) {
		fail(req, NULL, ATL_ERR_NOMEM, NULL);
		return;
	}
	req->state = job;
	job->path = path;
	job->entry = entry;
	job->estimate = -1;
	job->ceiling = ATL_COST_CEILING_NONE;
	if (req->body_length > ATL_OPENAI_LOOP_BODY_MAX) {
		atl_req_to_pool(req, work_in_pool);
		return;
	}
	err = read_body(req, job, &info);
	if (err) {
		fail(req, job, err, &info);
		return;
	}
	if (!wants_character(job) && (job->wanted || !atl_rights_limited(atl_api_identity(req))))
		job->route = atl_model_route_cached(atl_api_app(req)->routes, job->wanted);
	err = job->route ? atl_rights_model(atl_api_identity(req), job->route->target.id, &info) : ATL_OK;
	if (!err && job->route && !may_send_on(req, job)) {
		atl_model_route_unref(job->route);
		job->route = NULL;
	}
	if (err)
		fail(req, job, err, &info);
	else if (job->route)
		send_on(req);
	else
		atl_req_to_pool(req, work_in_pool);
}

static void handle_chat(struct atl_req *req)
{
	begin(req, ATL_MODEL_CHAT, ATL_ENTRY_OPENAI_CHAT);
}

static void handle_completion(struct atl_req *req)
{
	begin(req, ATL_MODEL_COMPLETIONS, ATL_ENTRY_OPENAI_COMPLETION);
}

static void handle_embedding(struct atl_req *req)
{
	begin(req, ATL_MODEL_EMBEDDINGS, ATL_ENTRY_OPENAI_EMBEDDING);
}

#define PASSED (ATL_ROUTE_LOOP | ATL_ROUTE_PROBLEM_OPENAI)

const struct atl_route atl_openai_routes[] = {
	{ ATL_POST, "/v1/chat/completions", "chat.use", PASSED, handle_chat, "openai",
	  "Chat completion by any configured model or character, in OpenAI's form", .rate = ATL_CLASS_GENERATE, .body_max = ATL_OPENAI_BODY_MAX },
	{ ATL_POST, "/v1/completions", "chat.use", PASSED, handle_completion, "openai",
	  "Text completion by any configured model, in OpenAI's form", .rate = ATL_CLASS_GENERATE, .body_max = ATL_OPENAI_BODY_MAX },
	{ ATL_POST, "/v1/embeddings", "chat.use", PASSED, handle_embedding, "openai",
	  "Embeddings by any configured model, in OpenAI's form", .rate = ATL_CLASS_GENERATE, .body_max = ATL_OPENAI_BODY_MAX },
	{ ATL_GET, "/v1/models", "models.read", ATL_ROUTE_PROBLEM_OPENAI, atl_openai_models_list, "openai",
	  "All models and characters, in OpenAI's form", .status = 200 },
	{ ATL_GET, "/v1/models/{id*}", "models.read", ATL_ROUTE_PROBLEM_OPENAI, atl_openai_models_get, "openai",
	  "One model or character, in OpenAI's form", .status = 200 },
	{ .path = NULL },
};
