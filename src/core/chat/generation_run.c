/* generation_run.c - a reply is prepared and runs: what the model sends, checkpoints, the fallback. See generation_int.h. */
#include "core/chat/generation_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/books/cost_ceiling.h"
#include "core/books/quota.h"
#include "core/server/events.h"
#include "os/pool.h"

#define EVENT_MAX ((size_t)1 << 20)

/* ---- events ---- */

static void publish_delta(struct atl_reply *r, const char *channel, const char *text, size_t length, int64_t seq)
{
	struct atl_buf out;
	struct atl_jw w;
	atl_buf_init(&out, EVENT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "message_id", r->id);
	atl_jw_str(&w, "conversation_id", r->conversation_id);
	atl_jw_int(&w, "seq", seq);
	atl_jw_str(&w, "channel", channel);
	atl_jw_strn(&w, "text", text, length);
	atl_jw_end_object(&w);
	if (!out.failed)
		atl_events_publish(r->app->events, r->who.user_id, "message.delta", out.data, out.length);
	atl_buf_finish(&out);
}

static double speed(const struct atl_reply *r)
{
	uint64_t now_us = atl_monotonic_us();
	if (r->pieces < 2 || now_us <= r->first_us)
		return 0;
	return (double)(r->pieces - 1) * 1e6 / (double)(now_us - r->first_us);
}

static void publish_progress(struct atl_reply *r)
{
	struct atl_buf out;
	struct atl_jw w;
	atl_buf_init(&out, EVENT_MAX);
	atl_jw_init(&w, &out);
	atl_jw_object(&w, NULL);
	atl_jw_str(&w, "message_id", r->id);
	atl_jw_str(&w, "conversation_id", r->conversation_id);
	atl_jw_int(&w, "prompt_tokens", r->prompt_tokens);
	atl_jw_int(&w, "completion_tokens", r->pieces);
	atl_jw_int(&w, "context_size", r->context_size);
	atl_jw_num(&w, "tokens_per_second", (double)(int64_t)(speed(r) * 10) / 10);
	atl_jw_end_object(&w);
	if (!out.failed)
		atl_events_publish(r->app->events, r->who.user_id, "generation.progress", out.data, out.length);
	atl_buf_finish(&out);
}

/* ---- checkpoints ---- */

struct checkpoint {
	char id[ATL_ID_SIZE];
	char *content, *reasoning;
	int64_t now_ms;
};

static enum atl_err checkpoint_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct checkpoint *c = arg;
	return atl_exec(conn, info,
			"UPDATE messages SET content = ?, reasoning = ?, updated_at = ? WHERE id = ? AND status = 'streaming'",
			"ssis", c->content, c->reasoning, c->now_ms, c->id);
}

static void checkpoint_done(void *arg, enum atl_err err)
{
	struct checkpoint *c = arg;
	if (err)
		atl_warn("generation", "checkpoint of %s: %s", c->id, atl_err_name(err));
	free(c->content);
	free(c->reasoning);
	free(c);
}

static void checkpoint(struct atl_reply *r)
{
	struct checkpoint *c = calloc(1, sizeof *c);
	if (!c)
		return;
	atl_str_copy(c->id, sizeof c->id, r->id);
	c->now_ms = atl_now_ms();
	atl_reply_lock(r);
	c->content = strdup(r->content.data);
	c->reasoning = strdup(r->reasoning.data);
	atl_reply_unlock(r);
	r->dirty = false;
	if (!c->content || !c->reasoning ||
	    atl_db_tx_async(r->app->db, checkpoint_fn, c, checkpoint_done) != ATL_OK) {
		r->dirty = true; /* the next turn of the timer tries again */
		free(c->content);
		free(c->reasoning);
		free(c);
	}
}

static void on_timer(void *arg)
{
	struct atl_reply *r = arg;
	if (r->ending)
		atl_reply_end(r); /* the database was too busy to take the end */
	else if (r->run && r->dirty)
		checkpoint(r);
}

/* ---- the model's events (loop thread) ---- */

static void append(struct atl_reply *r, struct atl_buf *to, const char *channel, const char *text, size_t length)
{
	if (!length)
		return;
	if (!r->first_us)
		r->first_us = atl_monotonic_us();
	r->shown = true;
	r->dirty = true;
	r->pieces++;
	atl_reply_lock(r);
	atl_buf_add(to, text, length);
	bool full = to->failed;
	to->failed = false;
	int64_t seq = full ? r->seq : ++r->seq;
	atl_reply_unlock(r);
	if (full) {
		atl_str_copy(r->finish_reason, sizeof r->finish_reason, "length");
		atl_chat_cancel(r->run);
		return;
	}
	publish_delta(r, channel, text, length, seq);
	if (r->ceiling != ATL_COST_CEILING_NONE && !r->too_dear &&
	    atl_price_cost(&r->target.price, r->prompt_tokens, 0, r->pieces) > r->ceiling) {
		r->too_dear = true;
		atl_str_copy(r->finish_reason, sizeof r->finish_reason, "cost");
		atl_chat_cancel(r->run);
		return;
	}
	uint64_t now_ms = atl_loop_now_ms(r->loop);
	if (now_ms - r->progress_ms >= ATL_GENERATION_PROGRESS_MS) {
		r->progress_ms = now_ms;
		publish_progress(r);
	}
}

static void on_delta(void *arg, const char *text, size_t length)
{
	struct atl_reply *r = arg;
	append(r, &r->content, "content", text, length);
}

static void on_reasoning(void *arg, const char *text, size_t length)
{
	struct atl_reply *r = arg;
	append(r, &r->reasoning, "reasoning", text, length);
}

/* Nothing was shown and the model's service failed: once, the model set as fallback gets the turn. */
static bool try_fallback(struct atl_reply *r, enum atl_err err)
{
	bool eligible = err == ATL_ERR_UPSTREAM || err == ATL_ERR_UPSTREAM_CUT || err == ATL_ERR_UPSTREAM_TIMEOUT ||
			err == ATL_ERR_UPSTREAM_AUTH || err == ATL_ERR_UPSTREAM_QUOTA || err == ATL_ERR_UPSTREAM_RATE ||
			err == ATL_ERR_UPSTREAM_MODEL || err == ATL_ERR_UPSTREAM_FORMAT || err == ATL_ERR_UNAVAILABLE;
	atl_reply_lock(r);
	bool ended = r->stop || r->interrupt;
	atl_reply_unlock(r);
	if (!eligible || r->shown || r->failed_id || ended || !r->model_id)
		return false;
	r->failed_id = strdup(r->model_id);
	return r->failed_id && atl_pool_submit(r->app->pool, atl_reply_prepare, r) == ATL_OK;
}

static void on_done(void *arg, enum atl_err err, const struct atl_errinfo *info, const struct atl_chat_result *result)
{
	struct atl_reply *r = arg;
	r->run = NULL;
	atl_model_outcome(r->app, &r->target, err, info);
	r->err = err;
	r->info = *info;
	if (err && try_fallback(r, err))
		return;
	if (result) {
		r->result = *result;
		if (!r->finish_reason[0] && result->finish_reason)
			atl_str_copy(r->finish_reason, sizeof r->finish_reason, result->finish_reason);
	}
	atl_reply_end(r);
}

/* ---- running (loop thread) ---- */

static void run_on_loop(void *arg)
{
	static const struct atl_chat_ops OPS = {.on_delta = on_delta, .on_reasoning = on_reasoning, .on_done = on_done};
	struct atl_reply *r = arg;
	struct atl_prepared *p = r->prepared;
	atl_reply_lock(r);
	bool stop = r->stop || r->interrupt;
	atl_reply_unlock(r);
	enum atl_err err = stop ? ATL_ERR_CANCELLED : ATL_OK;
	if (!err && !r->timer) {
		err = atl_timer_create(r->loop, on_timer, r, &r->timer);
		if (!err)
			atl_timer_start(r->timer, ATL_GENERATION_CHECKPOINT_MS, ATL_GENERATION_CHECKPOINT_MS);
	}
	if (!err) {
		p->target.endpoint.breaker = atl_model_breaker(r->app, &p->target, r->loop);
		r->started_us = atl_monotonic_us();
		publish_progress(r);
		err = atl_chat_start(r->loop, &p->target.endpoint, &p->request, &OPS, r, &r->run, &r->info);
	}
	atl_arena_finish(&p->arena);
	free(p);
	r->prepared = NULL;
	if (err) {
		struct atl_chat_result none = {.finish_reason = "", .usage = ATL_CHAT_USAGE_NOT_TOLD};
		struct atl_errinfo info = r->info;
		on_done(r, err, &info, &none);
	}
}

/* ---- preparing (pool thread) ---- */

static enum atl_err keep_target(struct atl_reply *r, const struct atl_prepared *p)
{
	atl_arena_reset(&r->target_arena);
	r->target = (struct atl_model_target){.local = p->target.local, .price = p->target.price};
	r->target.id = atl_arena_strdup(&r->target_arena, p->target.id);
	r->target.name = atl_arena_strdup(&r->target_arena, p->target.name);
	r->target.provider_id = atl_arena_strdup(&r->target_arena, p->target.provider_id);
	r->target.provider_name = atl_arena_strdup(&r->target_arena, p->target.provider_name);
	free(r->model_id);
	free(r->prompt_json);
	r->model_id = strdup(p->target.id);
	r->prompt_json = strdup(p->prompt_json);
	r->prompt_tokens = p->prompt.total_tokens;
	r->context_size = p->prompt.context_size;
	return r->model_id && r->prompt_json && r->target.id ? ATL_OK : ATL_ERR_NOMEM;
}

/* What it will cost, by the model's price and how long its replies are: refused before anything is sent where that is
 * more than a ceiling or an allowance leaves. */
static enum atl_err expect_cost(struct atl_reply *r, const struct atl_prepared *p, struct atl_errinfo *info)
{
	const struct atl_price *price = &p->target.price;
	struct atl_charge charge;
	enum atl_err err;
	if (!atl_price_costs(price))
		return ATL_OK;
	r->estimate = atl_price_cost(price, p->prompt.total_tokens, 0,
				     atl_price_expected(r->app->prices, p->target.id, p->prompt.max_tokens));
	err = atl_cost_ceiling(r->app, &r->who, p->target.id, r->estimate, r->max_cost, &r->ceiling, info);
	if (err || r->money_reserved || !(atomic_load(&r->app->limited) || r->who.key_budget))
		return err;
	atl_charge_init(&charge, r->charge_ref, r->who.user_id, r->who.key_id, p->target.id);
	charge.amounts[ATL_LEDGER_MONEY] = r->estimate;
	err = atl_quota_reserve(r->app, &charge, info);
	r->money_reserved = err == ATL_OK;
	return err;
}

static void end_on_loop(void *arg)
{
	atl_reply_end(arg);
}

void atl_reply_prepare(void *arg)
{
	struct atl_reply *r = arg;
	struct atl_prepared *p = calloc(1, sizeof *p);
	struct atl_prepare_input in = {.who = &r->who,
				       .conversation_id = r->conversation_id,
				       .from_id = r->from_id[0] ? r->from_id : NULL,
				       .model = r->model_wanted,
				       .failed_id = r->failed_id,
				       .continue_last = r->continues};
	enum atl_err err = p ? ATL_OK : ATL_ERR_NOMEM;
	struct atl_errinfo info = {0};
	if (!err) {
		err = atl_generation_prepare(r->app, &in, p, &info);
		if (!err)
			err = keep_target(r, p);
		if (!err)
			err = expect_cost(r, p, &info);
	}
	if (!err) {
		r->prepared = p;
		if (atl_loop_post(r->loop, run_on_loop, r))
			return;
		err = ATL_ERR_SHUTDOWN;
		r->prepared = NULL;
	}
	if (p) {
		atl_arena_finish(&p->arena);
		free(p);
	}
	/* with a fallback that cannot be had, the first failure is the one to tell */
	if (!r->failed_id || !r->err) {
		r->err = err;
		r->info = info;
	}
	if (!atl_loop_post(r->loop, end_on_loop, r))
		atl_error("generation", "reply %s ends with the server", r->id);
}
