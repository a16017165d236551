/* generation.c - the life of a reply: start, deltas, checkpoints, end. See generation.h.
 *
 * A reply goes through three places: a pool thread prepares it, a loop thread runs it, the database ends it. The
 * registry's lock guards the text, because any thread may read it (atl_generation_overlay).
 */
#include "core/generation.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "core/events.h"
#include "core/idempotency.h"
#include "core/prepare.h"
#include "core/message_int.h"
#include "core/publish.h"
#include "core/usage.h"
#include "os/pool.h"

#define RETRY_MS 200
#define EVENT_MAX ((size_t)1 << 20)

struct reply {
	/* set at start */
	struct atl_app *app;
	struct atl_loop *loop;
	struct atl_identity who;
	char id[ATL_ID_SIZE], conversation_id[ATL_ID_SIZE], from_id[ATL_ID_SIZE];
	char *model_wanted; /* NULL */
	bool continues;
	/* guarded by the registry's lock */
	struct atl_buf content, reasoning;
	int64_t seq;
	bool stop, interrupt;
	/* the pool thread that prepares, then the loop thread */
	struct atl_prepared *prepared;
	char *model_id, *prompt_json, *failed_id;
	struct atl_model_target target; /* strings in target_arena */
	struct atl_arena target_arena;
	int64_t prompt_tokens, context_size;
	/* loop thread only */
	struct atl_chat_run *run;
	struct atl_timer *timer;
	bool dirty, shown, ending;
	uint64_t started_us, first_us, progress_ms, checkpoint_ms;
	int64_t pieces;
	/* the end: written on the loop thread, read by the database thread */
	enum atl_err err;
	const char *status;
	struct atl_errinfo info;
	struct atl_chat_result result;
	char finish_reason[32];
	struct atl_arena end_arena;
	struct atl_message end;
	bool end_loaded;
};

struct atl_generations {
	struct atl_app *app;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	struct atl_map replies; /* message id -> struct reply */
	size_t alive;		/* of those, and of those whose end is being told */
	bool closing;
	size_t next_loop;
};

static void run_on_loop(void *arg);
static void end_reply(struct reply *r);

enum atl_err atl_generations_create(struct atl_app *app, struct atl_generations **ret)
{
	struct atl_generations *self = calloc(1, sizeof *self);
	if (!self)
		return ATL_ERR_NOMEM;
	self->app = app;
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->changed, NULL);
	atl_map_init(&self->replies);
	*ret = self;
	return ATL_OK;
}

void atl_generations_destroy(struct atl_generations *generations)
{
	if (!generations)
		return;
	atl_map_finish(&generations->replies);
	pthread_cond_destroy(&generations->changed);
	pthread_mutex_destroy(&generations->lock);
	free(generations);
}

static void lock(struct reply *r)
{
	pthread_mutex_lock(&r->app->generations->lock);
}

static void unlock(struct reply *r)
{
	pthread_mutex_unlock(&r->app->generations->lock);
}

static void free_reply(struct reply *r)
{
	if (r->prepared) {
		atl_arena_finish(&r->prepared->arena);
		free(r->prepared);
	}
	atl_arena_finish(&r->end_arena);
	atl_arena_finish(&r->target_arena);
	atl_buf_finish(&r->content);
	atl_buf_finish(&r->reasoning);
	free(r->model_wanted);
	free(r->model_id);
	free(r->prompt_json);
	free(r->failed_id);
	free(r);
}

/* ---- events ---- */

static void publish_delta(struct reply *r, const char *channel, const char *text, size_t length, int64_t seq)
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

static double speed(const struct reply *r)
{
	uint64_t now_us = atl_monotonic_us();
	if (r->pieces < 2 || now_us <= r->first_us)
		return 0;
	return (double)(r->pieces - 1) * 1e6 / (double)(now_us - r->first_us);
}

static void publish_progress(struct reply *r)
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

static void checkpoint(struct reply *r)
{
	struct checkpoint *c = calloc(1, sizeof *c);
	if (!c)
		return;
	atl_str_copy(c->id, sizeof c->id, r->id);
	c->now_ms = atl_now_ms();
	lock(r);
	c->content = strdup(r->content.data);
	c->reasoning = strdup(r->reasoning.data);
	unlock(r);
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
	struct reply *r = arg;
	if (r->ending)
		end_reply(r); /* the database was too busy to take the end */
	else if (r->run && r->dirty)
		checkpoint(r);
}

/* ---- the model's events (loop thread) ---- */

static void append(struct reply *r, struct atl_buf *to, const char *channel, const char *text, size_t length)
{
	if (!length)
		return;
	if (!r->first_us)
		r->first_us = atl_monotonic_us();
	r->shown = true;
	r->dirty = true;
	r->pieces++;
	lock(r);
	atl_buf_add(to, text, length);
	bool full = to->failed;
	to->failed = false;
	int64_t seq = full ? r->seq : ++r->seq;
	unlock(r);
	if (full) {
		atl_str_copy(r->finish_reason, sizeof r->finish_reason, "length");
		atl_chat_cancel(r->run);
		return;
	}
	publish_delta(r, channel, text, length, seq);
	uint64_t now_ms = atl_loop_now_ms(r->loop);
	if (now_ms - r->progress_ms >= ATL_GENERATION_PROGRESS_MS) {
		r->progress_ms = now_ms;
		publish_progress(r);
	}
}

static void on_delta(void *arg, const char *text, size_t length)
{
	struct reply *r = arg;
	append(r, &r->content, "content", text, length);
}

static void on_reasoning(void *arg, const char *text, size_t length)
{
	struct reply *r = arg;
	append(r, &r->reasoning, "reasoning", text, length);
}

static void prepare(void *arg);

/* Nothing was shown and the model's service failed: once, the model set as fallback gets the turn. */
static bool try_fallback(struct reply *r, enum atl_err err)
{
	bool eligible = err == ATL_ERR_UPSTREAM || err == ATL_ERR_UPSTREAM_CUT || err == ATL_ERR_UPSTREAM_TIMEOUT ||
			err == ATL_ERR_UPSTREAM_AUTH || err == ATL_ERR_UPSTREAM_QUOTA || err == ATL_ERR_UPSTREAM_RATE ||
			err == ATL_ERR_UPSTREAM_MODEL || err == ATL_ERR_UPSTREAM_FORMAT || err == ATL_ERR_UNAVAILABLE;
	lock(r);
	bool ended = r->stop || r->interrupt;
	unlock(r);
	if (!eligible || r->shown || r->failed_id || ended || !r->model_id)
		return false;
	r->failed_id = strdup(r->model_id);
	return r->failed_id && atl_pool_submit(r->app->pool, prepare, r) == ATL_OK;
}

static void on_done(void *arg, enum atl_err err, const struct atl_errinfo *info, const struct atl_chat_result *result)
{
	struct reply *r = arg;
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
	end_reply(r);
}

/* ---- the end ---- */

static const char *end_status(const struct reply *r)
{
	if (r->interrupt)
		return "interrupted";
	if (r->stop)
		return "stopped";
	if (r->err == ATL_OK || atl_str_eq(r->finish_reason, "length"))
		return "complete";
	return "failed";
}

static enum atl_err end_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct reply *r = arg;
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
	if (err)
		return err;
	atl_arena_reset(&r->end_arena);
	err = atl_message_get_in(conn, &r->end_arena, r->who.user_id, r->id, &r->end, info);
	if (!err)
		err = atl_message_siblings_in(conn, &r->end_arena, &r->end, info);
	r->end_loaded = err == ATL_OK;
	return err == ATL_ERR_NOT_FOUND ? ATL_OK : err; /* deleted meanwhile */
}

static void end_done(void *arg, enum atl_err err)
{
	struct reply *r = arg;
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
		atl_usage_record(r->app->usage, &r->who, ATL_ENTRY_MESSAGE, r->model_id ? r->model_id : "",
				 r->end.prompt_tokens, r->end.completion_tokens, r->end.duration_ms);
	}
	free_reply(r);
	pthread_mutex_lock(&g->lock);
	g->alive--;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static void end_reply(struct reply *r)
{
	lock(r);
	r->status = end_status(r);
	unlock(r);
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
	if (r->timer || atl_timer_create(r->loop, on_timer, r, &r->timer) == ATL_OK)
		atl_timer_start(r->timer, RETRY_MS, 0);
}

static void end_on_loop(void *arg)
{
	end_reply(arg);
}

/* ---- running (loop thread) ---- */

static void run_on_loop(void *arg)
{
	static const struct atl_chat_ops OPS = {.on_delta = on_delta, .on_reasoning = on_reasoning, .on_done = on_done};
	struct reply *r = arg;
	struct atl_prepared *p = r->prepared;
	lock(r);
	bool stop = r->stop || r->interrupt;
	unlock(r);
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
		struct atl_chat_result none = {.finish_reason = "", .usage = {-1, -1, -1, -1}};
		struct atl_errinfo info = r->info;
		on_done(r, err, &info, &none);
	}
}

/* ---- preparing (pool thread) ---- */

static enum atl_err keep_target(struct reply *r, const struct atl_prepared *p)
{
	atl_arena_reset(&r->target_arena);
	r->target = (struct atl_model_target){.local = p->target.local};
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

static void prepare(void *arg)
{
	struct reply *r = arg;
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

/* ---- start, stop, read (pool threads) ---- */

struct begin {
	struct atl_arena *arena;
	const struct atl_identity *who;
	const char *message_id;
	enum atl_generation_mode mode;
	struct atl_message target, reply;
	const char *from_id;
	bool found; /* `reply` was begun by an earlier try of the same request */
};

static enum atl_err insert_reply(struct atl_conn *conn, struct begin *b, const char *parent_id,
				 struct atl_errinfo *info)
{
	char *id = atl_arena_alloc(b->arena, ATL_ID_SIZE);
	if (!id)
		return atl_fail(info, ATL_ERR_NOMEM, "reply");
	atl_id_new("msg", id);
	int64_t now = atl_now_ms();
	b->reply = (struct atl_message){.id = id,
					.conversation_id = b->target.conversation_id,
					.user_id = b->who->user_id,
					.parent_id = parent_id,
					.role = "assistant",
					.content = "",
					.reasoning = "",
					.status = "streaming",
					.created_at = now,
					.updated_at = now};
	b->from_id = parent_id;
	enum atl_err err = atl_message_insert_in(conn, &b->reply, info);
	if (!err)
		err = atl_idempotency_made_in(conn, b->who->user_id, b->who->once_key, id, info);
	return err ? err : atl_message_siblings_in(conn, b->arena, &b->reply, info);
}

/* The request was sent before and cut off: its reply may be there. What it made first is the reply itself, or the
 * message to be answered. */
static enum atl_err find_earlier(struct atl_conn *conn, struct begin *b, struct atl_errinfo *info)
{
	const char *id = b->who->once_made;
	struct atl_rows *rows;
	enum atl_err err = ATL_OK;
	if (atl_str_eq(id, b->message_id)) {
		err = atl_query(conn, &rows, info,
				"SELECT id FROM messages WHERE conversation_id = ? AND parent_id = ? AND deleted_at IS NULL "
				"ORDER BY seq DESC LIMIT 1",
				"ss", b->target.conversation_id, b->message_id);
		if (err)
			return err;
		id = NULL;
		if (atl_rows_next(rows, &err, info)) {
			id = atl_col_text(rows, 0, b->arena);
			atl_rows_close(rows);
		}
	}
	if (err || !id)
		return err;
	b->found = true;
	err = atl_message_get_in(conn, b->arena, b->who->user_id, id, &b->reply, info);
	return err ? err : atl_message_siblings_in(conn, b->arena, &b->reply, info);
}

static enum atl_err begin_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct begin *b = arg;
	enum atl_err err = atl_message_get_in(conn, b->arena, b->who->user_id, b->message_id, &b->target, info);
	if (!err && b->who->once_made)
		err = find_earlier(conn, b, info);
	if (err || b->found)
		return err;
	bool answer = atl_str_eq(b->target.role, "assistant");
	if (b->mode == ATL_GENERATION_CONTINUE) {
		if (!answer)
			return atl_fail(info, ATL_ERR_CONFLICT, "Only an answer can be continued.");
		if (atl_str_eq(b->target.status, "streaming"))
			return atl_fail(info, ATL_ERR_CONFLICT, "This reply is still being written.");
		err = atl_exec(conn, info,
			       "UPDATE messages SET status = 'streaming', error_slug = NULL, error_detail = NULL, "
			       "finish_reason = NULL WHERE id = ?",
			       "s", b->message_id);
		b->reply = b->target;
		b->reply.status = "streaming";
		b->reply.error = NULL;
		b->from_id = b->target.id;
		return err ? err : atl_message_siblings_in(conn, b->arena, &b->reply, info);
	}
	bool sibling = b->mode == ATL_GENERATION_AGAIN && answer;
	if (sibling && !b->target.parent_id)
		return atl_fail(info, ATL_ERR_CONFLICT,
				"A greeting cannot be written again. Swipe to another one or edit the character.");
	return insert_reply(conn, b, sibling ? b->target.parent_id : b->target.id, info);
}

static void count_of_user(const char *key, void *value, void *arg)
{
	(void)key;
	const struct reply *r = value;
	void **args = arg;
	if (atl_str_eq(r->who.user_id, args[0]))
		++*(size_t *)args[1];
}

enum atl_err atl_generation_room(struct atl_app *app, const char *user_id, struct atl_errinfo *info)
{
	struct atl_generations *g = app->generations;
	size_t own = 0;
	void *args[2] = {(void *)user_id, &own};
	pthread_mutex_lock(&g->lock);
	bool closing = g->closing;
	size_t all = g->replies.count;
	atl_map_each(&g->replies, count_of_user, args);
	pthread_mutex_unlock(&g->lock);
	if (closing)
		return atl_fail(info, ATL_ERR_SHUTDOWN, "No new replies are started.");
	if (all >= ATL_GENERATIONS_MAX || own >= ATL_GENERATIONS_USER_MAX)
		return atl_fail(info, ATL_ERR_THROTTLED, "%zu replies are being written. Wait for one, or stop it.",
				own >= ATL_GENERATIONS_USER_MAX ? own : all);
	return ATL_OK;
}

static struct reply *make_reply(struct atl_app *app, const struct begin *b, const char *model)
{
	struct reply *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->app = app;
	r->who = *b->who;
	r->who.once_key = r->who.once_made = NULL; /* the request's */
	atl_str_copy(r->id, sizeof r->id, b->reply.id);
	atl_str_copy(r->conversation_id, sizeof r->conversation_id, b->reply.conversation_id);
	atl_str_copy(r->from_id, sizeof r->from_id, b->from_id ? b->from_id : "");
	r->continues = b->mode == ATL_GENERATION_CONTINUE;
	r->model_wanted = model ? strdup(model) : NULL;
	r->result.usage = (struct atl_chat_usage){-1, -1, -1, -1};
	atl_buf_init(&r->content, ATL_MESSAGE_BYTES_MAX);
	atl_buf_init(&r->reasoning, ATL_MESSAGE_BYTES_MAX);
	atl_buf_adds(&r->content, b->reply.content);
	atl_buf_adds(&r->reasoning, b->reply.reasoning);
	atl_arena_init(&r->end_arena, 0);
	atl_arena_init(&r->target_arena, 0);
	return r;
}

enum atl_err atl_generation_start(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				  const char *message_id, enum atl_generation_mode mode, const char *model,
				  struct atl_message *ret, struct atl_errinfo *info)
{
	struct atl_generations *g = app->generations;
	enum atl_err err = atl_generation_room(app, who->user_id, info);
	if (err)
		return err;
	struct begin b = {.arena = arena, .who = who, .message_id = message_id, .mode = mode};
	err = atl_db_tx(app->db, begin_fn, &b, info);
	if (err)
		return err;
	if (b.found) {
		*ret = b.reply;
		atl_generation_overlay(app, arena, ret);
		return ATL_OK;
	}
	struct reply *r = make_reply(app, &b, model);
	bool registered = false;
	if (r) {
		pthread_mutex_lock(&g->lock);
		r->loop = app->loops[g->next_loop++ % app->loop_count];
		registered = atl_map_put(&g->replies, r->id, r, NULL) == ATL_OK;
		g->alive += registered;
		pthread_mutex_unlock(&g->lock);
	}
	if (!registered) {
		/* the row stays as `streaming` until the next start makes it `interrupted`; say so now instead */
		if (r)
			free_reply(r);
		return atl_fail(info, ATL_ERR_NOMEM, "reply");
	}
	*ret = b.reply;
	atl_message_publish(app, mode == ATL_GENERATION_CONTINUE ? "message.updated" : "message.created", ret);
	/* from here on the reply may end and be freed at any time */
	if (atl_pool_submit(app->pool, prepare, r) != ATL_OK)
		prepare(r);
	return ATL_OK;
}

static void cancel_on_loop(void *arg)
{
	void **args = arg;
	struct atl_app *app = args[0];
	struct atl_generations *g = app->generations;
	pthread_mutex_lock(&g->lock);
	struct reply *r = atl_map_get(&g->replies, args[1]);
	struct atl_chat_run *run = r && atl_loop_is_current(r->loop) ? r->run : NULL;
	pthread_mutex_unlock(&g->lock);
	/* only this thread ends a run, so it is still there */
	if (run)
		atl_chat_cancel(run);
	free(args[1]);
	free(args);
}

static void post_cancel(struct atl_app *app, struct atl_loop *loop, const char *id)
{
	void **args = calloc(2, sizeof *args);
	char *copy = strdup(id);
	if (args && copy) {
		args[0] = app;
		args[1] = copy;
		if (atl_loop_post(loop, cancel_on_loop, args))
			return;
	}
	free(copy);
	free(args);
}

enum atl_err atl_generation_stop(struct atl_app *app, const char *user_id, const char *message_id,
				 struct atl_errinfo *info)
{
	struct atl_generations *g = app->generations;
	pthread_mutex_lock(&g->lock);
	struct reply *r = atl_map_get(&g->replies, message_id);
	struct atl_loop *loop = NULL;
	if (r && atl_str_eq(r->who.user_id, user_id)) {
		r->stop = true;
		loop = r->loop;
	}
	pthread_mutex_unlock(&g->lock);
	if (!loop)
		return atl_fail(info, ATL_ERR_NOT_FOUND, "This reply is not being written.");
	post_cancel(app, loop, message_id);
	return ATL_OK;
}

struct running {
	const char *conversation_id;
	char ids[ATL_GENERATIONS_USER_MAX][ATL_ID_SIZE];
	size_t count;
};

static void running_in(const char *key, void *value, void *arg)
{
	const struct reply *r = value;
	struct running *running = arg;
	if (running->count < ATL_GENERATIONS_USER_MAX && atl_str_eq(r->conversation_id, running->conversation_id))
		atl_str_copy(running->ids[running->count++], ATL_ID_SIZE, key);
}

void atl_generation_stop_deleted(struct atl_app *app, const char *user_id, const char *conversation_id)
{
	struct atl_generations *g = app->generations;
	struct running running = {.conversation_id = conversation_id};
	if (!g)
		return;
	pthread_mutex_lock(&g->lock);
	atl_map_each(&g->replies, running_in, &running);
	pthread_mutex_unlock(&g->lock);
	for (size_t i = 0; i < running.count; i++) {
		struct atl_arena arena;
		struct atl_message message;
		atl_arena_init(&arena, 0);
		/* another one's conversation: nothing of this user's runs there, and stop says so */
		if (atl_message_get(app, &arena, user_id, running.ids[i], &message, NULL) == ATL_ERR_NOT_FOUND &&
		    atl_generation_stop(app, user_id, running.ids[i], NULL) != ATL_OK)
			atl_debug("generation", "%s ended by itself", running.ids[i]);
		atl_arena_finish(&arena);
	}
}

void atl_generation_overlay(struct atl_app *app, struct atl_arena *arena, struct atl_message *message)
{
	struct atl_generations *g = app->generations;
	if (!g || !atl_str_eq(message->status, "streaming"))
		return;
	pthread_mutex_lock(&g->lock);
	struct reply *r = atl_map_get(&g->replies, message->id);
	if (r) {
		char *content = atl_arena_strndup(arena, r->content.data, r->content.length);
		char *reasoning = atl_arena_strndup(arena, r->reasoning.data, r->reasoning.length);
		if (content && reasoning) {
			message->content = content;
			message->reasoning = reasoning;
			message->stream_seq = r->seq;
		}
	}
	pthread_mutex_unlock(&g->lock);
}

size_t atl_generations_running(struct atl_app *app)
{
	pthread_mutex_lock(&app->generations->lock);
	size_t count = app->generations->replies.count;
	pthread_mutex_unlock(&app->generations->lock);
	return count;
}

/* ---- drain ---- */

static void interrupt_one(const char *key, void *value, void *arg)
{
	struct reply *r = value;
	r->interrupt = true;
	post_cancel(arg, r->loop, key);
}

static void wait_until_empty(struct atl_generations *g, unsigned timeout_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (g->alive && pthread_cond_timedwait(&g->changed, &g->lock, &until) == 0)
		continue;
}

void atl_generations_drain(struct atl_generations *generations, unsigned timeout_ms)
{
	struct atl_generations *g = generations;
	pthread_mutex_lock(&g->lock);
	g->closing = true;
	wait_until_empty(g, timeout_ms);
	if (g->alive) {
		atl_map_each(&g->replies, interrupt_one, g->app);
		wait_until_empty(g, 5000);
	}
	if (g->alive)
		atl_warn("generation", "%zu replies end with the server", g->alive);
	pthread_mutex_unlock(&g->lock);
}
