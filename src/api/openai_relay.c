/* openai_relay.c - see openai_relay.h.
 *
 * The relay is freed when both sides are through: the transfer (on_done) and, for a stream, the client (on_close).
 */
#include "api/openai_relay.h"

#include <stdlib.h>

#include "api/openai_sse.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/access/auth.h"
#include "core/books/cost_ceiling.h"
#include "core/books/usage.h"
#include "net/fetch.h"
#include "provider/openai_chat.h"

#define ERROR_BODY_MAX 65536
#define WHOLE_PATIENCE_MS 600000 /* a whole answer comes at its end; clients wait ten minutes too */
#define FIRST_EVENT_MS 300000	 /* reading a long prompt */
#define BETWEEN_EVENTS_MS 120000
#define WATCH_MS 250 /* how often a stream looks whether its account was ended */
#define SLOW_READER_MS 10 /* how often a slow reader's queue is looked at */

struct relay {
	struct atl_app *app;
	struct atl_loop *loop;
	struct atl_req *req; /* NULL once it is answered, or its stream is closed */
	struct atl_model_route *route;
	struct atl_identity identity;
	char model[ATL_USAGE_MODEL_MAX + 1];
	enum atl_entry_point entry;
	char charge_ref[ATL_ID_SIZE];
	int64_t prompt_estimate, estimate, ceiling;
	uint64_t started_us, first_us;
	struct atl_breaker *breaker;
	struct atl_fetch *fetch; /* NULL: ended */
	struct atl_stream *stream;
	struct atl_timer *slow; /* while the service is held back */
	struct atl_timer *watch; /* of a stream: is whoever asked still let in? */
	uint64_t began_ms;
	bool ended; /* they are not */
	struct atl_openai_sse sse;
	struct atl_buf body;
	int status, retry_after_s;
	bool wants_stream, strip_usage, sse_ready;
	bool stream_open; /* on_close is to come */
	bool gone;	  /* the client hung up */
	bool held_back;
	enum atl_err err; /* found while reading */
};

static void relay_free(struct relay *relay)
{
	if (relay->sse_ready)
		atl_openai_sse_finish(&relay->sse);
	atl_timer_destroy(relay->slow);
	atl_timer_destroy(relay->watch);
	atl_buf_finish(&relay->body);
	atl_model_route_unref(relay->route);
	free(relay);
}

static void free_when_through(struct relay *relay)
{
	if (!relay->fetch && !relay->stream_open)
		relay_free(relay);
}

/* ---- the client's side ---- */

static void client_gone(void *arg)
{
	struct relay *relay = arg;

	relay->gone = true;
	if (relay->fetch)
		atl_fetch_cancel(relay->fetch);
}

static void stream_closed(void *arg)
{
	struct relay *relay = arg;

	relay->stream_open = false;
	relay->stream = NULL;
	relay->req = NULL;
	if (relay->fetch)
		client_gone(relay);
	free_when_through(relay);
}

static void look_at_queue(void *arg)
{
	struct relay *relay = arg;

	if (!relay->held_back || (relay->stream && atl_stream_queued_bytes(relay->stream) > ATL_OPENAI_QUEUE_MAX / 4))
		return;
	relay->held_back = false;
	atl_timer_stop(relay->slow);
	if (relay->fetch)
		atl_fetch_resume(relay->fetch);
}

static void hold_back(struct relay *relay)
{
	if (!relay->slow && atl_timer_create(relay->loop, look_at_queue, relay, &relay->slow) != ATL_OK)
		return;
	relay->held_back = true;
	atl_fetch_pause(relay->fetch);
	atl_timer_start(relay->slow, SLOW_READER_MS, SLOW_READER_MS);
}

/* A suspended person's stream ends, also one that says nothing now. */
static void look_at_account(void *arg)
{
	struct relay *relay = arg;

	if (!atl_auth_ended(relay->app->auth, &relay->identity, relay->began_ms))
		return;
	atl_timer_stop(relay->watch);
	relay->ended = true;
	if (relay->fetch)
		atl_fetch_cancel(relay->fetch);
}

static void send_events(void *arg, const char *data, size_t length)
{
	struct relay *relay = arg;

	if (relay->stream)
		atl_stream_send(relay->stream, data, length);
}

/* An event that official clients raise as an error. */
static void send_error_event(struct relay *relay, enum atl_err err, const struct atl_errinfo *info)
{
	struct atl_buf out;
	struct atl_jw w;

	atl_buf_init(&out, 8192);
	atl_buf_adds(&out, "data: ");
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_object(&w, "error");
	atl_jw_str(&w, "message", *info->detail ? info->detail : atl_err_sentence(err));
	atl_jw_str(&w, "type", "server_error");
	atl_jw_null(&w, "param");
	atl_jw_str(&w, "code", atl_err_slug(err));
	atl_jw_end_object(&w);
	atl_jw_end_object(&w);
	atl_buf_adds(&out, "\n\n");
	if (!out.failed)
		atl_stream_send(relay->stream, out.data, out.length);
	atl_buf_finish(&out);
}

/* ---- the service's side ---- */

static void on_head(void *arg, const struct atl_fetch_head *head)
{
	struct relay *relay = arg;

	relay->status = head->status;
	if (head->status != 200) {
		relay->retry_after_s = atl_chat_retry_after(head, atl_now_ms());
		return;
	}
	if (!relay->wants_stream || relay->gone || !head->content_type ||
	    !atl_str_starts(head->content_type, "text/event-stream"))
		return;
	atl_openai_sse_init(&relay->sse, relay->strip_usage, send_events, relay);
	relay->sse_ready = true;
	relay->stream_open = true;
	atl_req_on_hangup(relay->req, NULL, NULL);
	atl_res_header(relay->req, "X-Accel-Buffering", "no"); /* a proxy in front must not collect the events */
	if (atl_timer_create(relay->loop, look_at_account, relay, &relay->watch) == ATL_OK)
		atl_timer_start(relay->watch, WATCH_MS, WATCH_MS);
	relay->stream = atl_stream_begin(relay->req, 200, "text/event-stream", stream_closed, relay);
}

/* By the events so far, each about a token. */
static bool too_dear(const struct relay *relay)
{
	return relay->ceiling != ATL_COST_CEILING_NONE && !relay->sse.done &&
	       atl_price_cost(&relay->route->target.price, relay->prompt_estimate, 0, (int64_t)relay->sse.events) > relay->ceiling;
}

static void on_data(void *arg, const char *data, size_t length)
{
	struct relay *relay = arg;

	if (relay->gone || relay->err || relay->ended)
		return;
	if (!relay->first_us)
		relay->first_us = atl_monotonic_us();
	if (!relay->sse_ready) {
		if (relay->status == 200 || relay->body.length + length <= ERROR_BODY_MAX)
			atl_buf_add(&relay->body, data, length);
		if (!relay->body.failed)
			return;
		relay->err = ATL_ERR_UPSTREAM_FORMAT;
	} else {
		if (atl_openai_sse_feed(&relay->sse, data, length) != ATL_OK)
			relay->err = ATL_ERR_UPSTREAM_FORMAT;
		else if (relay->sse.error.length)
			relay->err = ATL_ERR_UPSTREAM;
		else if (too_dear(relay))
			relay->err = ATL_ERR_COST;
	}
	if (relay->err)
		atl_fetch_cancel(relay->fetch);
	else if (relay->stream && !relay->held_back &&
		 atl_stream_queued_bytes(relay->stream) > ATL_OPENAI_QUEUE_MAX)
		hold_back(relay);
}

/* What a service's error event says, in our words. */
static enum atl_err read_error_event(struct relay *relay, struct atl_errinfo *info)
{
	struct atl_arena arena;
	struct atl_json *root = NULL;
	const struct atl_json *error;
	enum atl_err err;

	atl_arena_init(&arena, 1 << 20);
	if (atl_json_parse(&arena, relay->sse.error.data, relay->sse.error.length, &root, NULL) != ATL_OK)
		root = NULL;
	error = atl_json_get(root, "error");
	err = atl_chat_error_member(relay->route->who, relay->route->target.endpoint.api_key, error ? error : root, info);
	atl_arena_finish(&arena);
	return err;
}

static enum atl_err read_status(struct relay *relay, struct atl_errinfo *info)
{
	const struct atl_model_route *route = relay->route;
	enum atl_err err = atl_chat_error_status(route->who, route->target.endpoint.api_key, relay->status, NULL,
						 relay->body.length ? relay->body.data : "", relay->body.length, info);

	/* A mistake of the request stays one, so that clients raise the same exception as at the service itself. */
	if (err == ATL_ERR_UNPROCESSABLE && relay->status == 400)
		err = info->code = ATL_ERR_INVALID;
	if (relay->status == 501) /* it never will: nothing is wrong with the service */
		err = info->code = ATL_ERR_UNSUPPORTED;
	info->retry_after_s = relay->retry_after_s;
	return err;
}

/* How the exchange went, once it is over. */
static enum atl_err judge(struct relay *relay, enum atl_err err, const struct atl_errinfo *why,
			  struct atl_errinfo *info)
{
	const char *who = relay->route->who, *body;

	if (relay->gone)
		return atl_fail(info, ATL_ERR_CANCELLED, "The client hung up.");
	if (relay->ended)
		return atl_fail(info, ATL_ERR_CANCELLED, "The account, session or key that asked for this was ended.");
	if (relay->sse_ready && relay->sse.error.length)
		return read_error_event(relay, info);
	if (relay->err == ATL_ERR_COST)
		return atl_fail(info, relay->err, "The reply was stopped: its cost reached the ceiling.");
	if (relay->err)
		return atl_fail(info, relay->err, "%s sent more than can be taken.", who);
	if (err && relay->sse_ready && relay->sse.done)
		return ATL_OK; /* all that counts had arrived */
	if (err)
		return atl_fail(info, err, "%s: %s", who, why->detail);
	if (relay->status != 200)
		return read_status(relay, info);
	if (relay->sse_ready)
		return relay->sse.done || relay->sse.finished ?
			       ATL_OK :
			       atl_fail(info, ATL_ERR_UPSTREAM_CUT, "%s ended the reply in the middle.", who);
	body = relay->body.length ? relay->body.data : "";
	if (body[strspn(body, " \t\r\n")] != '{')
		return atl_fail(info, ATL_ERR_UPSTREAM_FORMAT,
				"%s answered with something that is not its API. Check the base URL.", who);
	return ATL_OK;
}

/* Does this outcome say anything about the service? */
static bool tells(enum atl_err err)
{
	return err != ATL_ERR_CANCELLED && err != ATL_ERR_INVALID && err != ATL_ERR_UNPROCESSABLE &&
	       err != ATL_ERR_UNSUPPORTED && err != ATL_ERR_COST;
}

static void tell_breaker(struct relay *relay, enum atl_err err)
{
	if (!relay->breaker)
		return;
	if (!err)
		atl_breaker_success(relay->breaker);
	else if (atl_breaker_counts(err))
		atl_breaker_failure(relay->breaker, atl_loop_now_ms(relay->loop));
	else
		atl_breaker_neutral(relay->breaker);
}

/* Answered, or begun to be: that was used, also when the client left in the middle. */
static void record(struct relay *relay, enum atl_err err)
{
	struct atl_openai_usage usage = { -1, -1, -1 };
	struct atl_usage_entry entry = { .who = &relay->identity, .entry = relay->entry, .model = relay->model,
					 .estimate_micro_usd = relay->estimate, .ref = *relay->charge_ref ? relay->charge_ref : NULL };
	int64_t completion = 0;

	entry.duration_ms = (int64_t)((atl_monotonic_us() - relay->started_us) / 1000);
	if (relay->first_us)
		entry.first_ms = (int64_t)((relay->first_us - relay->started_us) / 1000);

	if (relay->sse_ready) {
		usage = relay->sse.usage;
		completion = (int64_t)relay->sse.events;
	} else if (!err) {
		(void)atl_openai_find_usage(relay->body.data, relay->body.length, &usage);
	} else {
		if (err == ATL_ERR_CANCELLED) {
			atl_usage_refund(relay->app->usage, relay->charge_ref);
			return;
		}
		entry.error = atl_err_slug(err);
		atl_usage_enter(relay->app->usage, &entry);
		return;
	}
	if (usage.prompt_tokens < 0)
		usage.prompt_tokens = relay->prompt_estimate;
	if (usage.completion_tokens < 0)
		usage.completion_tokens = completion;
	entry.prompt_tokens = usage.prompt_tokens;
	entry.completion_tokens = usage.completion_tokens;
	entry.cached_tokens = usage.cached_tokens;
	entry.cost_micro_usd = atl_price_cost(&relay->route->target.price, usage.prompt_tokens, usage.cached_tokens,
					      usage.completion_tokens);
	if (!err && entry.cost_micro_usd)
		atl_price_learned(relay->app->prices, relay->route->target.id, usage.completion_tokens);
	atl_usage_enter(relay->app->usage, &entry);
}

static void answer_whole(struct relay *relay, enum atl_err err, const struct atl_errinfo *info)
{
	struct atl_req *req = relay->req;

	atl_req_on_hangup(req, NULL, NULL);
	if (err)
		atl_api_fail(req, err, info);
	else
		atl_res_json_text(req, 200, relay->body.data, relay->body.length);
	relay->req = NULL;
	atl_res_send(req);
}

static void on_done(void *arg, enum atl_err err, const struct atl_errinfo *why)
{
	struct relay *relay = arg;
	struct atl_errinfo info = { 0 };

	relay->fetch = NULL;
	if (relay->sse_ready && !relay->gone && !relay->err && !err)
		atl_openai_sse_end(&relay->sse);
	err = judge(relay, err, why, &info);
	tell_breaker(relay, err);
	if (tells(err))
		atl_model_outcome(relay->app, &relay->route->target, err, &info);
	record(relay, err);
	if (!relay->sse_ready) {
		answer_whole(relay, err, &info);
	} else if (relay->stream) {
		if (err) {
			atl_warn("api", "a stream of %s broke: %s: %s", relay->route->who, atl_err_name(err), info.detail);
			send_error_event(relay, err, &info);
		}
		atl_stream_end(relay->stream);
	}
	free_when_through(relay);
}

/* ---- start ---- */

static enum atl_err start(struct relay *relay, const struct atl_openai_call *call, struct atl_errinfo *info)
{
	static const struct atl_fetch_ops ops = { on_head, on_data, on_done };
	const struct atl_model_route *route = relay->route;
	struct atl_fetch_request request = {
		.method = "POST",
		.url = route->urls[call->path],
		.unix_path = route->target.endpoint.unix_path,
		.headers = route->headers,
		.body = call->body,
		.body_length = call->body_length,
		.body_borrowed = !call->stream, /* a stream's request may be gone before the transfer */
		.guard = route->target.endpoint.guard,
		.plain = route->plain[call->path],
		.first_byte_ms = call->stream ? FIRST_EVENT_MS : WHOLE_PATIENCE_MS,
		.idle_ms = call->stream ? BETWEEN_EVENTS_MS : WHOLE_PATIENCE_MS,
		.max_response_bytes = call->stream ? UINT64_MAX : ATL_OPENAI_REPLY_MAX,
	};
	uint64_t wait_ms = 0;
	enum atl_err err;

	if (route->target.endpoint.preset->needs_key && atl_str_empty(route->target.endpoint.api_key))
		return atl_fail(info, ATL_ERR_UPSTREAM_AUTH, "%s needs a key. Add it in Settings, Providers.", route->who);
	relay->breaker = atl_model_breaker(relay->app, &route->target, relay->loop);
	if (relay->breaker && !atl_breaker_allow(relay->breaker, atl_loop_now_ms(relay->loop), &wait_ms)) {
		info->retry_after_s = (int)(wait_ms / 1000) + 1;
		return atl_fail(info, ATL_ERR_UNAVAILABLE,
				"%s failed several times in a row and is left alone for a moment.", route->who);
	}
	err = atl_fetch_start(relay->loop, &request, &ops, relay, &relay->fetch, info);
	if (err)
		tell_breaker(relay, err);
	return err;
}

void atl_openai_relay(struct atl_req *req, const struct atl_openai_call *call)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	struct atl_errinfo info = { 0 };
	enum atl_err err;

	if (!relay) {
		atl_usage_refund(atl_api_app(req)->usage, call->charge_ref);
		atl_model_route_unref(call->route);
		atl_api_fail(req, ATL_ERR_NOMEM, NULL);
		atl_res_send(req);
		return;
	}
	relay->app = atl_api_app(req);
	relay->loop = req->loop;
	relay->req = req;
	relay->route = call->route;
	relay->identity = *atl_api_identity(req);
	atl_str_copy(relay->model, sizeof(relay->model), call->model);
	relay->entry = call->entry;
	atl_str_copy(relay->charge_ref, sizeof(relay->charge_ref), call->charge_ref);
	relay->prompt_estimate = call->prompt_estimate;
	relay->estimate = call->estimate;
	relay->ceiling = call->ceiling;
	relay->started_us = atl_monotonic_us();
	relay->began_ms = relay->started_us / 1000;
	relay->wants_stream = call->stream;
	relay->strip_usage = call->strip_usage;
	atl_buf_init(&relay->body, ATL_OPENAI_REPLY_MAX);
	err = start(relay, call, &info);
	if (err) {
		atl_usage_refund(relay->app->usage, relay->charge_ref);
		relay_free(relay);
		atl_api_fail(req, err, &info);
		atl_res_send(req);
		return;
	}
	atl_req_on_hangup(req, client_gone, relay);
}
