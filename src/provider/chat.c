/* chat.c - runs one chat completion: send, read the stream or the whole reply, retry while nothing was shown.
 *
 * A failure found inside a callback of the HTTP client is noted and the transfer cancelled; the run ends in on_done of
 * the transfer, the one place where a run ends or is tried again.
 */
#include "provider/chat.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "provider/openai_chat.h"
#include "provider/sse_parse.h"
#include "provider/think.h"
#include "provider/tool_calls.h"

#define FIRST_BYTE_MS 120000
#define IDLE_MS 60000
#define RETRY_BASE_MS 250
#define RETRY_WAIT_MAX_S 5 /* a longer wait is the caller's decision */
#define ERROR_BODY_MAX 65536
#define FINISH_REASON_MAX 64

enum mode { MODE_STREAM, MODE_BODY };

struct run {
	struct atl_chat_run base; /* first */
	/* set at start */
	struct atl_loop *loop;
	struct atl_chat_ops ops;
	void *arg;
	struct atl_arena arena;
	struct atl_fetch_request request;
	struct atl_buf sent;
	const char *who, *key;
	struct atl_breaker *breaker;
	unsigned retry_base_ms;
	/* this attempt */
	struct atl_fetch *fetch;
	struct atl_timer *timer;
	unsigned attempts;
	enum mode mode;
	int status;
	struct atl_sse sse;
	struct atl_buf body;
	struct atl_arena chunk_arena;
	struct atl_think think;
	struct atl_tool_calls calls;
	bool done_seen, in_callback, cancelled;
	enum atl_err err; /* found while reading */
	struct atl_errinfo info;
	/* the result */
	bool shown;
	uint64_t started_us, first_us;
	char finish_reason[FINISH_REASON_MAX];
	struct atl_chat_usage usage;
	double tokens_per_second;
};

static enum atl_err attempt(struct run *run, struct atl_errinfo *info);

static void run_free(struct run *run)
{
	atl_timer_destroy(run->timer);
	atl_sse_finish(&run->sse);
	atl_buf_finish(&run->sent);
	atl_buf_finish(&run->body);
	atl_arena_finish(&run->chunk_arena);
	atl_tool_calls_finish(&run->calls);
	atl_arena_finish(&run->arena);
	free(run);
}

/* ---- reading ---- */
static void show(void *arg, bool reasoning, const char *text, size_t length)
{
	struct run *run = arg;

	if (run->cancelled)
		return;
	run->shown = true;
	if (!run->first_us)
		run->first_us = atl_monotonic_us();
	if (!reasoning)
		run->ops.on_delta(run->arg, text, length);
	else if (run->ops.on_reasoning)
		run->ops.on_reasoning(run->arg, text, length);
}

static void take_chunk(struct run *run, const char *data, size_t length)
{
	struct atl_chat_chunk chunk;

	atl_arena_reset(&run->chunk_arena);
	run->err = atl_chat_chunk_parse(&run->chunk_arena, run->who, data, length, &chunk, &run->info);
	if (run->err)
		return;
	if (chunk.error) {
		run->err = atl_chat_error_member(run->who, run->key, chunk.error, &run->info);
		return;
	}
	if (chunk.reasoning)
		show(run, true, chunk.reasoning, chunk.reasoning_length);
	if (chunk.text && !run->cancelled)
		atl_think_feed(&run->think, chunk.text, chunk.text_length, show, run);
	if (chunk.tool_calls) {
		run->err = atl_tool_calls_add(&run->calls, chunk.tool_calls);
		if (run->err)
			atl_fail(&run->info, run->err, "%s sent tool calls that cannot be read.", run->who);
	}
	if (chunk.finish_reason)
		atl_str_copy(run->finish_reason, sizeof(run->finish_reason), chunk.finish_reason);
	if (chunk.has_usage)
		run->usage = chunk.usage;
	if (chunk.tokens_per_second > 0)
		run->tokens_per_second = chunk.tokens_per_second;
}

static bool on_event(void *arg, const char *event, const char *data, size_t length)
{
	struct run *run = arg;

	(void)event;
	if (run->done_seen || !length)
		return true;
	if (length >= 6 && memcmp(data, "[DONE]", 6) == 0)
		run->done_seen = true;
	else
		take_chunk(run, data, length);
	return !run->err && !run->cancelled;
}

static void note_too_large(struct run *run, enum atl_err err)
{
	if (err && !run->err && !run->cancelled)
		run->err = atl_fail(&run->info, ATL_ERR_UPSTREAM_FORMAT, "%s sent a line that is too long.", run->who);
}

static void on_head(void *arg, const struct atl_fetch_head *head)
{
	struct run *run = arg;

	run->status = head->status;
	run->mode = MODE_BODY;
	if (head->status == 200 && head->content_type && atl_str_starts(head->content_type, "text/event-stream"))
		run->mode = MODE_STREAM;
	if (head->status != 200)
		run->info.retry_after_s = atl_chat_retry_after(head, atl_now_ms());
}

static void on_data(void *arg, const char *data, size_t length)
{
	struct run *run = arg;

	if (run->err || run->cancelled)
		return;
	if (run->mode == MODE_STREAM) {
		run->in_callback = true;
		note_too_large(run, atl_sse_feed(&run->sse, data, length));
		run->in_callback = false;
	} else if (run->status == 200 || run->body.length + length <= ERROR_BODY_MAX) {
		atl_buf_add(&run->body, data, length);
		if (run->body.failed)
			note_too_large(run, ATL_ERR_TOO_LARGE);
	}
	if (run->err || run->cancelled)
		atl_fetch_cancel(run->fetch);
}

/* A 200 that is not an event stream: a whole reply, a stream with the wrong content type, or something else. */
static void read_whole(struct run *run)
{
	const char *body = run->body.length ? run->body.data : "";

	if (atl_str_starts(body, "data:") || atl_str_starts(body, ":")) {
		note_too_large(run, atl_sse_feed(&run->sse, body, run->body.length));
		return;
	}
	if (body[strspn(body, " \t\r\n")] == '<') {
		run->err = atl_fail(&run->info, ATL_ERR_UPSTREAM_FORMAT,
				    "%s answered with a web page instead of its API. Check the base URL.", run->who);
		return;
	}
	take_chunk(run, body, run->body.length);
	run->done_seen = !run->err;
}

static void read_end(struct run *run)
{
	if (run->status != 200) {
		int retry_after_s = run->info.retry_after_s;

		run->err = atl_chat_error_status(run->who, run->key, run->status, NULL,
						 run->body.length ? run->body.data : "", run->body.length, &run->info);
		run->info.retry_after_s = retry_after_s;
		return;
	}
	if (run->mode == MODE_BODY)
		read_whole(run);
	if (!run->err && !run->done_seen && !run->cancelled)
		note_too_large(run, atl_sse_end(&run->sse));
	if (!run->err && !run->done_seen && !run->finish_reason[0])
		run->err = atl_fail(&run->info, ATL_ERR_UPSTREAM_CUT, "%s ended the reply in the middle.", run->who);
}

/* ---- ending ---- */
static void tell_breaker(struct run *run, enum atl_err err)
{
	if (!run->breaker)
		return;
	if (!err)
		atl_breaker_success(run->breaker);
	else if (atl_breaker_counts(err))
		atl_breaker_failure(run->breaker, atl_loop_now_ms(run->loop));
	else
		atl_breaker_neutral(run->breaker);
}

static void tell_calls(struct run *run)
{
	struct atl_buf json;

	if (!run->calls.count || !run->ops.on_tool_calls || run->cancelled)
		return;
	atl_buf_init(&json, (size_t)ATL_CHAT_REPLY_MAX);
	atl_tool_calls_write(&run->calls, &json);
	if (!json.failed && json.length)
		run->ops.on_tool_calls(run->arg, json.data);
	atl_buf_finish(&json);
}

static void run_end(struct run *run, enum atl_err err)
{
	struct atl_chat_result result = {.finish_reason = run->finish_reason, .usage = run->usage};
	uint64_t now = atl_monotonic_us();

	if (!run->cancelled)
		atl_think_end(&run->think, show, run);
	if (!err)
		tell_calls(run);
	if (run->cancelled)
		err = atl_fail(&run->info, ATL_ERR_CANCELLED, "It was stopped.");
	tell_breaker(run, err);
	if (run->first_us)
		result.first_ms = (run->first_us - run->started_us) / 1000 + 1;
	result.tokens_per_second = run->tokens_per_second;
	if (result.tokens_per_second <= 0 && run->usage.completion_tokens > 1 && now > run->first_us && run->first_us)
		result.tokens_per_second = (double)(run->usage.completion_tokens - 1) * 1e6 / (double)(now - run->first_us);
	run->ops.on_done(run->arg, err, &run->info, &result);
	run_free(run);
}

static bool may_retry(const struct run *run, enum atl_err err)
{
	if (run->shown || run->calls.count || run->cancelled || run->attempts > ATL_CHAT_RETRIES_MAX)
		return false;
	if (err == ATL_ERR_UPSTREAM_RATE && !run->info.retry_after_s)
		return false; /* hammering makes it worse */
	return (err == ATL_ERR_UPSTREAM || err == ATL_ERR_UPSTREAM_CUT || err == ATL_ERR_UPSTREAM_RATE) &&
	       run->info.retry_after_s <= RETRY_WAIT_MAX_S;
}

static void on_retry(void *arg)
{
	struct run *run = arg;
	enum atl_err err;

	if (run->cancelled) {
		run_end(run, ATL_ERR_CANCELLED);
		return;
	}
	err = attempt(run, &run->info);
	if (err)
		run_end(run, err);
}

static void on_done(void *arg, enum atl_err err, const struct atl_errinfo *info)
{
	struct run *run = arg;
	uint64_t wait_ms;

	run->fetch = NULL;
	if (!run->err && !run->cancelled) {
		if (!err)
			read_end(run);
		else if (!run->done_seen) {
			run->err = err;
			atl_fail(&run->info, err, "%s: %s", run->who, info->detail);
		}
	}
	if (!run->err || !may_retry(run, run->err)) {
		run_end(run, run->err);
		return;
	}
	wait_ms = run->info.retry_after_s ? (uint64_t)run->info.retry_after_s * 1000
					  : (uint64_t)run->retry_base_ms << (2 * (run->attempts - 1));
	atl_timer_start(run->timer, wait_ms, 0);
}

static enum atl_err attempt(struct run *run, struct atl_errinfo *info)
{
	static const struct atl_fetch_ops OPS = {on_head, on_data, on_done};

	run->attempts++;
	run->err = ATL_OK;
	run->info = (struct atl_errinfo){0};
	run->status = 0;
	run->done_seen = false;
	run->finish_reason[0] = 0;
	run->think = (struct atl_think){0};
	atl_buf_reset(&run->body);
	atl_sse_reset(&run->sse);
	return atl_fetch_start(run->loop, &run->request, &OPS, run, &run->fetch, info);
}

static void run_cancel(struct atl_chat_run *base)
{
	struct run *run = (struct run *)base;

	if (run->cancelled)
		return;
	run->cancelled = true;
	if (!run->fetch)
		atl_timer_start(run->timer, 0, 0); /* waiting for a retry */
	else if (!run->in_callback)
		atl_fetch_cancel(run->fetch);
}

/* ---- start ---- */
static enum atl_err prepare(struct run *run, const struct atl_chat_endpoint *endpoint,
			    const struct atl_chat_request *request, struct atl_errinfo *info)
{
	enum atl_err err = atl_chat_body_write(endpoint->preset, request, &run->sent, info);
	struct atl_fetch_request *r = &run->request;

	if (err)
		return err;
	run->who = atl_arena_strdup(&run->arena, atl_chat_who(endpoint));
	run->key = atl_arena_strdup(&run->arena, endpoint->api_key);
	r->url = atl_chat_url(&run->arena, endpoint, "/chat/completions", false);
	r->unix_path = atl_arena_strdup(&run->arena, endpoint->unix_path);
	r->headers = atl_chat_headers(&run->arena, endpoint, true);
	if (!run->who || !r->url || !r->headers || (endpoint->unix_path && !r->unix_path))
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for a request.");
	for (size_t i = 0; endpoint->extra_headers && endpoint->extra_headers[i]; i++) {
		size_t at = 0;

		while (r->headers[at] != endpoint->extra_headers[i])
			at++;
		((const char **)r->headers)[at] = atl_arena_strdup(&run->arena, endpoint->extra_headers[i]);
		if (!r->headers[at])
			return atl_fail(info, ATL_ERR_NOMEM, "No memory for a request.");
	}
	r->method = "POST";
	r->body = run->sent.data;
	r->body_length = run->sent.length;
	r->body_borrowed = true;
	r->guard = endpoint->guard;
	r->plain = atl_chat_is_plain(endpoint, r->url);
	r->first_byte_ms = endpoint->first_byte_ms ? endpoint->first_byte_ms : FIRST_BYTE_MS;
	r->idle_ms = endpoint->idle_ms ? endpoint->idle_ms : IDLE_MS;
	r->total_ms = endpoint->total_ms;
	r->max_response_bytes = ATL_CHAT_REPLY_MAX;
	run->breaker = endpoint->breaker;
	run->retry_base_ms = endpoint->retry_base_ms ? endpoint->retry_base_ms : RETRY_BASE_MS;
	return atl_timer_create(run->loop, on_retry, run, &run->timer);
}

enum atl_err atl_chat_start(struct atl_loop *loop, const struct atl_chat_endpoint *endpoint,
			    const struct atl_chat_request *request, const struct atl_chat_ops *ops, void *arg,
			    struct atl_chat_run **ret, struct atl_errinfo *info)
{
	struct run *run;
	uint64_t wait_ms = 0;
	enum atl_err err;

	if (endpoint->script)
		return atl_chat_fake_start(loop, endpoint, ops, arg, ret, info);
	if (endpoint->preset->needs_key && atl_str_empty(endpoint->api_key))
		return atl_fail(info, ATL_ERR_UPSTREAM_AUTH, "%s needs a key. Add it in Settings, Providers.",
				atl_chat_who(endpoint));
	run = calloc(1, sizeof(*run));
	if (!run)
		return atl_fail(info, ATL_ERR_NOMEM, "No memory for a request.");
	run->base.cancel = run_cancel;
	run->loop = loop;
	run->ops = *ops;
	run->arg = arg;
	run->started_us = atl_monotonic_us();
	run->usage = ATL_CHAT_USAGE_NOT_TOLD;
	atl_arena_init(&run->arena, 0);
	atl_arena_init(&run->chunk_arena, 0);
	atl_buf_init(&run->sent, ATL_CHAT_BODY_MAX);
	atl_buf_init(&run->body, (size_t)ATL_CHAT_REPLY_MAX);
	atl_sse_init(&run->sse, ATL_CHAT_LINE_MAX, on_event, run);
	err = prepare(run, endpoint, request, info);
	if (!err && run->breaker && !atl_breaker_allow(run->breaker, atl_loop_now_ms(loop), &wait_ms)) {
		err = atl_fail(info, ATL_ERR_UNAVAILABLE, "%s failed several times in a row and is left alone for a moment.",
			       run->who);
		if (info)
			info->retry_after_s = (int)((wait_ms + 999) / 1000);
	} else if (!err) {
		err = attempt(run, info);
		if (err)
			tell_breaker(run, err);
	}
	if (err) {
		run_free(run);
		return err;
	}
	*ret = &run->base;
	return ATL_OK;
}

void atl_chat_cancel(struct atl_chat_run *run)
{
	run->cancel(run);
}
