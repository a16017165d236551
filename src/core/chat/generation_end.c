/* generation_end.c - the end of a reply: its status, its row, its event. See generation_int.h. */
#include "core/chat/generation_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/books/ledger.h"
#include "core/books/usage.h"
#include "core/chat/message_int.h"
#include "core/server/publish.h"

#define RETRY_MS 200

static const char *end_status(const struct atl_reply *r)
{
	if (r->interrupt)
		return "interrupted";
	if (r->stop || r->too_dear)
		return "stopped";
	if (r->err == ATL_OK || atl_str_eq(r->finish_reason, "length"))
		return "complete";
	return "failed";
}

/* What failed before its first word is given back. */
static enum atl_err settle(struct atl_conn *conn, struct atl_reply *r, const struct atl_message *m,
			   struct atl_errinfo *info)
{
	int64_t amounts[ATL_LEDGER_KIND_COUNT];
	if (!atl_str_eq(m->status, "complete") && r->pieces == 0)
		return atl_ledger_refund(conn, r->charge_ref, info);
	for (int kind = 0; kind < ATL_LEDGER_KIND_COUNT; kind++)
		amounts[kind] = ATL_LEDGER_NONE;
	amounts[ATL_LEDGER_MESSAGES] = 1;
	amounts[ATL_LEDGER_INPUT_TOKENS] = m->prompt_tokens;
	amounts[ATL_LEDGER_OUTPUT_TOKENS] = m->completion_tokens;
	r->cost = atl_price_cost(&r->target.price, m->prompt_tokens, r->err == ATL_OK ? r->result.usage.cached_tokens : 0,
				 m->completion_tokens);
	if (r->cost || r->money_reserved)
		amounts[ATL_LEDGER_MONEY] = r->cost;
	return atl_ledger_settle(conn, r->charge_ref, r->model_id, amounts, info);
}

static enum atl_err end_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct atl_reply *r = arg;
	struct atl_message_error error = {.slug = atl_err_slug(r->err),
					  .detail = r->info.detail[0] ? r->info.detail : atl_err_sentence(r->err)};
	const struct atl_chat_usage *usage = &r->result.usage;
	bool told = r->err == ATL_OK;
	struct atl_message m = {.id = r->id,
				.content = r->content.data,
				.reasoning = r->reasoning.data,
				.status = r->status,
				.error = atl_str_eq(r->status, "failed") ? &error : NULL,
				.model = r->model_id,
				.finish_reason = r->finish_reason[0] ? r->finish_reason : NULL,
				.prompt_tokens = told && usage->prompt_tokens >= 0 ? usage->prompt_tokens : r->prompt_tokens,
				.completion_tokens =
					told && usage->completion_tokens >= 0 ? usage->completion_tokens : r->pieces,
				.updated_at = atl_now_ms()};
	if (r->first_us)
		m.duration_ms = (int64_t)((atl_monotonic_us() - r->first_us) / 1000);
	enum atl_err err = atl_message_update_in(conn, &m, r->prompt_json, info);
	if (!err)
		err = settle(conn, r, &m, info);
	if (err)
		return err;
	atl_arena_reset(&r->end_arena);
	err = atl_message_get_in(conn, &r->end_arena, r->who.user_id, r->id, &r->end, info);
	if (!err)
		err = atl_message_siblings_in(conn, &r->end_arena, &r->end, info);
	r->end_loaded = err == ATL_OK;
	return err == ATL_ERR_NOT_FOUND ? ATL_OK : err; /* deleted meanwhile */
}

static void enter_usage(const struct atl_reply *r)
{
	bool failed = atl_str_eq(r->status, "failed");
	if (!failed && !r->pieces && r->err)
		return; /* stopped before its first word: nothing was used */
	if (!failed && !r->err)
		atl_price_learned(r->app->prices, r->model_id, r->end.completion_tokens);
	atl_usage_enter(r->app->usage,
			&(struct atl_usage_entry){.who = &r->who,
						  .entry = ATL_ENTRY_MESSAGE,
						  .model = r->model_id,
						  .prompt_tokens = r->end.prompt_tokens,
						  .completion_tokens = r->end.completion_tokens,
						  .cached_tokens = r->err ? 0 : r->result.usage.cached_tokens,
						  .duration_ms = r->started_us ? (int64_t)((atl_monotonic_us() - r->started_us) / 1000) : 0,
						  .first_ms = r->first_us > r->started_us ? (int64_t)((r->first_us - r->started_us) / 1000) : 0,
						  .cost_micro_usd = r->cost,
						  .estimate_micro_usd = r->estimate,
						  .ref = "",
						  .error = failed ? atl_err_slug(r->err) : NULL});
}

static void end_done(void *arg, enum atl_err err)
{
	struct atl_reply *r = arg;
	struct atl_generations *g = r->app->generations;
	if (err)
		atl_error("generation", "the end of reply %s could not be written: %s", r->id, atl_err_name(err));
	else if (r->end_loaded)
		r->end.stream_seq = r->seq;
	/* out of the registry first: who reads after the event gets the row */
	pthread_mutex_lock(&g->lock);
	atl_map_remove(&g->replies, r->id);
	pthread_mutex_unlock(&g->lock);
	if (!err && r->end_loaded) {
		atl_message_publish(r->app, "message.updated", &r->end);
		enter_usage(r);
	}
	atl_reply_free(r);
	pthread_mutex_lock(&g->lock);
	g->alive--;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

/* The database was too busy to take the end. */
static void on_retry(void *arg)
{
	atl_reply_end(arg);
}

void atl_reply_end(struct atl_reply *r)
{
	atl_reply_lock(r);
	r->status = end_status(r);
	atl_reply_unlock(r);
	r->ending = true;
	if (r->timer)
		atl_timer_stop(r->timer);
	/* the timer belongs to the loop: it goes before the reply is handed over, or retries the handing over */
	struct atl_timer *timer = r->timer;
	r->timer = NULL;
	if (atl_db_tx_async(r->app->db, end_fn, r, end_done) == ATL_OK) {
		atl_timer_destroy(timer);
		return;
	}
	r->timer = timer;
	if (r->timer || atl_timer_create(r->loop, on_retry, r, &r->timer) == ATL_OK)
		atl_timer_start(r->timer, RETRY_MS, 0);
}
