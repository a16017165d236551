/* temporary.c - /api/v1/temporary/replies: a reply in a chat of which nothing is stored.
 *
 * The page keeps the messages and sends them all each time. The answer is an event stream: `delta`, then `done` or
 * `error`. Unlike stored replies this one belongs to its connection: hanging up ends it.
 *
 * Threads: prepared in a pool thread, streamed on the request's loop.
 */
#include <stdlib.h>

#include "api/api.h"
#include "api/fields.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/books/cost_ceiling.h"
#include "core/books/usage.h"
#include "core/chat/generation.h"
#include "core/chat/message.h"
#include "core/chat/prepare.h"
#include "core/models/model.h"

#define TURNS_MAX 2000

static const char *const ROLES[] = {"user", "assistant", NULL};

struct turn_in {
	const char *role, *content;
};
static const struct atl_json_field turn_fields[] = {
	F_ENUM(struct turn_in, role, ATL_JF_REQUIRED, ROLES, NULL),
	F_STR(struct turn_in, content, ATL_JF_REQUIRED, 1, ATL_MESSAGE_BYTES_MAX, NULL),
};
DESC(turn_desc, struct turn_in, "TemporaryTurn", turn_fields);

struct reply_in {
	const char *character_id, *persona_id, *model;
	struct atl_items messages;
};
static const struct atl_json_field in_fields[] = {
	F_STR(struct reply_in, character_id, ATL_JF_NULLABLE, 0, 40, NULL),
	F_STR(struct reply_in, persona_id, ATL_JF_NULLABLE, 0, 40, NULL),
	F_STR(struct reply_in, model, ATL_JF_NULLABLE, 0, 300, NULL),
	{.name = "messages", .type = ATL_JT_LIST, .offset = offsetof(struct reply_in, messages), .flags = ATL_JF_REQUIRED,
	 .min = 1, .max = TURNS_MAX, .sub = &turn_desc, .doc = "the whole chat so far, oldest first"},
};
DESC(in_desc, struct reply_in, "TemporaryReplyInput", in_fields);

/* On the heap until the stream has closed and the run has ended. */
struct live {
	struct atl_app *app;
	struct atl_identity who;
	struct atl_prepared prepared;
	uint64_t started_us;
	int64_t pieces, ceiling; /* micro-USD */
	struct atl_stream *stream; /* NULL: closed */
	struct atl_chat_run *run;  /* NULL: ended */
};

static void send_event(struct live *live, const char *event, const struct atl_buf *data)
{
	struct atl_bytes *frame = data->failed ? NULL : atl_sse_frame(0, event, data->data, data->length);
	if (frame && live->stream)
		atl_stream_send_bytes(live->stream, frame);
	atl_bytes_unref(frame);
}

static void send_delta(struct live *live, const char *channel, const char *text, size_t length)
{
	struct atl_buf out;
	struct atl_jw w;
	atl_buf_init(&out, ATL_CHAT_LINE_MAX * 2);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "channel", channel);
	atl_jw_strn(&w, "text", text, length);
	atl_jw_end_object(&w);
	send_event(live, "delta", &out);
	atl_buf_finish(&out);
}

static bool too_dear(const struct live *live)
{
	const struct atl_prepared *p = &live->prepared;
	return live->ceiling != ATL_COST_CEILING_NONE &&
	       atl_price_cost(&p->target.price, p->prompt.total_tokens, 0, live->pieces) > live->ceiling;
}

static void take_piece(struct live *live, const char *channel, const char *text, size_t length)
{
	live->pieces++;
	send_delta(live, channel, text, length);
	if (too_dear(live))
		atl_chat_cancel(live->run);
}

static void on_delta(void *arg, const char *text, size_t length)
{
	take_piece(arg, "content", text, length);
}

static void on_reasoning(void *arg, const char *text, size_t length)
{
	take_piece(arg, "reasoning", text, length);
}

static void send_end(struct live *live, enum atl_err err, const struct atl_errinfo *info,
		     const struct atl_chat_result *result)
{
	struct atl_buf out;
	struct atl_jw w;
	atl_buf_init(&out, 65536);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	if (err) {
		atl_jw_str(&w, "slug", atl_err_slug(err));
		atl_jw_str(&w, "detail", info->detail[0] ? info->detail : atl_err_sentence(err));
	} else {
		atl_jw_str(&w, "finish_reason", result->finish_reason);
		atl_jw_int(&w, "prompt_tokens", result->usage.prompt_tokens);
		atl_jw_int(&w, "completion_tokens", result->usage.completion_tokens);
		atl_jw_num(&w, "tokens_per_second", result->tokens_per_second);
	}
	atl_jw_end_object(&w);
	send_event(live, err ? "error" : "done", &out);
	atl_buf_finish(&out);
}

/* The request dies when its stream has closed, the run a little later: what both need is freed by the last of them. */
static void release(struct live *live)
{
	if (live->stream || live->run)
		return;
	atl_arena_finish(&live->prepared.arena);
	free(live);
}

/* Nothing is stored of what was said; what it took is booked as everywhere. */
static void enter_usage(const struct live *live, enum atl_err err, const struct atl_chat_result *result)
{
	const struct atl_chat_usage *usage = &result->usage;
	const struct atl_prepared *p = &live->prepared;
	bool told = !err && usage->prompt_tokens >= 0;
	int64_t prompt = told ? usage->prompt_tokens : p->prompt.total_tokens;
	int64_t reply = told && usage->completion_tokens >= 0 ? usage->completion_tokens : live->pieces;
	bool failed = err && err != ATL_ERR_CANCELLED && !live->pieces;
	if (err && !failed && !live->pieces)
		return; /* nobody waited for its first word */
	atl_usage_enter(live->app->usage,
			&(struct atl_usage_entry){.who = &live->who,
						  .entry = ATL_ENTRY_TEMPORARY,
						  .model = p->target.id,
						  .prompt_tokens = failed ? 0 : prompt,
						  .completion_tokens = reply,
						  .cached_tokens = told ? usage->cached_tokens : 0,
						  .duration_ms = (int64_t)((atl_monotonic_us() - live->started_us) / 1000),
						  .cost_micro_usd = failed ? 0 : atl_price_cost(&p->target.price, prompt, told ? usage->cached_tokens : 0, reply),
						  .estimate_micro_usd = -1,
						  .error = failed ? atl_err_slug(err) : NULL});
}

static void on_done(void *arg, enum atl_err err, const struct atl_errinfo *info, const struct atl_chat_result *result)
{
	struct live *live = arg;
	live->run = NULL;
	atl_model_outcome(live->app, &live->prepared.target, err, info);
	enter_usage(live, err, result);
	struct atl_errinfo dear = {0};
	if (err == ATL_ERR_CANCELLED && too_dear(live)) {
		err = atl_fail(&dear, ATL_ERR_COST, "The reply was stopped: its cost reached the ceiling.");
		info = &dear;
	}
	if (!live->stream) {
		release(live);
		return;
	}
	send_end(live, err, info, result);
	atl_stream_end(live->stream);
}

static void on_close(void *arg)
{
	struct live *live = arg;
	live->stream = NULL;
	if (live->run)
		atl_chat_cancel(live->run);
	else
		release(live);
}

static void run(struct atl_req *req)
{
	static const struct atl_chat_ops OPS = {.on_delta = on_delta, .on_reasoning = on_reasoning, .on_done = on_done};
	struct live *live = req->state;
	struct atl_errinfo info = {0};
	struct atl_prepared *p = &live->prepared;
	live->started_us = atl_monotonic_us();
	p->target.endpoint.breaker = atl_model_breaker(live->app, &p->target, req->loop);
	enum atl_err err =
		atl_chat_start(req->loop, &p->target.endpoint, &p->request, &OPS, live, &live->run, &info);
	if (err) {
		live->run = NULL;
		release(live);
		atl_api_fail(req, err, &info);
		atl_res_send(req);
		return;
	}
	atl_res_header(req, "Cache-Control", "no-store");
	live->stream = atl_stream_begin(req, 200, "text/event-stream", on_close, live);
	if (!live->stream)
		atl_chat_cancel(live->run);
}

static enum atl_err read_turns(struct atl_req *req, const struct reply_in *in, struct atl_prompt_turn **ret,
			       struct atl_errinfo *info)
{
	size_t count = in->messages.count;
	const struct turn_in *from = in->messages.items;
	struct atl_prompt_turn *turns = ATL_ARENA_ARRAY(&req->arena, struct atl_prompt_turn, count);
	struct atl_policy_text *texts = ATL_ARENA_ARRAY(&req->arena, struct atl_policy_text, count);
	if (!turns || !texts)
		return atl_fail(info, ATL_ERR_NOMEM, "messages");
	for (size_t i = 0; i < count; i++) {
		turns[i] = (struct atl_prompt_turn){.role = from[i].role, .content = from[i].content};
		texts[i] = ATL_POLICY_TEXT(from[i].content);
	}
	*ret = turns;
	return atl_policy_check(atl_api_app(req), ATL_ENTRY_TEMPORARY, atl_api_identity(req), texts, count, info);
}

/* Before anything is sent; what it takes is booked at its end. */
static enum atl_err look_at_cost(struct live *live, struct atl_errinfo *info)
{
	const struct atl_prepared *p = &live->prepared;
	const struct atl_price *price = &p->target.price;
	int64_t reply = atl_price_expected(live->app->prices, p->target.id, p->prompt.max_tokens);
	live->ceiling = ATL_COST_CEILING_NONE;
	if (!atl_price_costs(price))
		return ATL_OK;
	return atl_cost_ceiling(live->app, &live->who, p->target.id, atl_price_cost(price, p->prompt.total_tokens, 0, reply), 0,
				&live->ceiling, info);
}

static void handle_reply(struct atl_req *req)
{
	struct atl_errinfo info = {0};
	struct reply_in in;
	struct atl_prompt_turn *turns = NULL;
	enum atl_err err = atl_req_json(req, &in, &info);
	if (!err)
		err = atl_generation_room(atl_api_app(req), atl_api_user(req), &info);
	if (!err)
		err = read_turns(req, &in, &turns, &info);
	struct live *live = err ? NULL : calloc(1, sizeof *live);
	if (!err && !live)
		err = atl_fail(&info, ATL_ERR_NOMEM, "reply");
	if (!err) {
		struct atl_prepare_input input = {.who = atl_api_identity(req),
						  .character_id = in.character_id,
						  .persona_id = in.persona_id,
						  .model = in.model,
						  .turns = turns,
						  .turn_count = in.messages.count};
		live->app = atl_api_app(req);
		live->who = *atl_api_identity(req);
		live->who.once_key = live->who.once_made = NULL; /* the request's */
		err = atl_generation_prepare(live->app, &input, &live->prepared, &info);
		if (!err)
			err = look_at_cost(live, &info);
	}
	if (err) {
		if (live)
			release(live);
		atl_api_fail(req, err, &info);
		return;
	}
	req->state = live;
	atl_res_continue(req, run);
}

const struct atl_route atl_temporary_routes[] = {
	{.method = ATL_POST, .path = "/api/v1/temporary/replies", .rate = ATL_CLASS_GENERATE, .permission = "chat.use", .handler = handle_reply,
	 .tag = "Conversations", .summary = "A reply in a chat of which nothing is stored", .in = &in_desc,
	 .feature = "temporary_chats", .out_type = "text/event-stream", .body_max = (size_t)4 << 20},
	{0},
};
