/* generation.c - replies: their registry, start and stop, the server's end. See generation.h.
 *
 * A reply goes through three places: a pool thread prepares it, a loop thread runs it (both generation_run.c), the
 * database ends it (generation_end.c).
 */
#include "core/chat/generation_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "core/books/cost_ceiling.h"
#include "core/books/quota.h"
#include "core/chat/message_int.h"
#include "core/server/idempotency.h"
#include "core/server/publish.h"
#include "os/pool.h"

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

void atl_reply_lock(struct atl_reply *r)
{
	pthread_mutex_lock(&r->app->generations->lock);
}

void atl_reply_unlock(struct atl_reply *r)
{
	pthread_mutex_unlock(&r->app->generations->lock);
}

void atl_reply_free(struct atl_reply *r)
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
/* ---- start, stop, read (pool threads) ---- */

struct begin {
	struct atl_arena *arena;
	const struct atl_identity *who;
	const char *message_id;
	enum atl_generation_mode mode;
	struct atl_message target, reply;
	const char *from_id;
	const char *model; /* that will answer, for the ledger; NULL: not known */
	char charge_ref[2 * ATL_ID_SIZE];
	struct atl_quota_notices notices;
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

/* A message, and whether any tokens are left; what they were is known at the end. A reply that is continued is one more. */
static enum atl_err reserve(struct atl_conn *conn, struct begin *b, struct atl_errinfo *info)
{
	struct atl_charge charge;
	if (b->mode == ATL_GENERATION_CONTINUE) {
		char run_id[ATL_ID_SIZE];
		atl_id_new("run", run_id);
		snprintf(b->charge_ref, sizeof b->charge_ref, "%s:%s", b->reply.id, run_id);
	} else {
		atl_str_copy(b->charge_ref, sizeof b->charge_ref, b->reply.id);
	}
	atl_charge_init(&charge, b->charge_ref, b->who->user_id, b->who->key_id, b->model);
	charge.amounts[ATL_LEDGER_MESSAGES] = 1;
	charge.amounts[ATL_LEDGER_INPUT_TOKENS] = charge.amounts[ATL_LEDGER_OUTPUT_TOKENS] = 0;
	return atl_ledger_reserve(conn, &charge, &b->notices, info);
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
		if (!err)
			err = reserve(conn, b, info);
		return err ? err : atl_message_siblings_in(conn, b->arena, &b->reply, info);
	}
	bool sibling = b->mode == ATL_GENERATION_AGAIN && answer;
	if (sibling && !b->target.parent_id)
		return atl_fail(info, ATL_ERR_CONFLICT,
				"A greeting cannot be written again. Swipe to another one or edit the character.");
	err = insert_reply(conn, b, sibling ? b->target.parent_id : b->target.id, info);
	return err ? err : reserve(conn, b, info);
}

static void count_of_user(const char *key, void *value, void *arg)
{
	(void)key;
	const struct atl_reply *r = value;
	void **args = arg;
	if (atl_str_eq(r->who.user_id, args[0]))
		++*(size_t *)args[1];
}

/* Before a message is stored that would get no answer; who takes the last one is decided when the reply begins. */
static enum atl_err quota_room(struct atl_app *app, const char *user_id, struct atl_errinfo *info)
{
	struct atl_identity who = {.channel = ATL_CHANNEL_INTERNAL};
	struct atl_quota_states states;
	atl_str_copy(who.user_id, sizeof who.user_id, user_id);
	enum atl_err err = atl_quota_mine(app, &who, &states, info);
	for (size_t i = 0; !err && i < states.count; i++) {
		const struct atl_quota_state *s = &states.items[i];
		bool chat = s->kind == ATL_LEDGER_MESSAGES || s->kind == ATL_LEDGER_INPUT_TOKENS || s->kind == ATL_LEDGER_OUTPUT_TOKENS;
		if (chat && !*s->model && s->used + s->reserved >= s->limit)
			err = atl_quota_refuse(s, info);
	}
	return err;
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
	return atomic_load(&app->limited) ? quota_room(app, user_id, info) : ATL_OK;
}

static struct atl_reply *make_reply(struct atl_app *app, const struct begin *b, const char *model)
{
	struct atl_reply *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->app = app;
	r->who = *b->who;
	r->who.once_key = r->who.once_made = NULL; /* the request's */
	atl_str_copy(r->id, sizeof r->id, b->reply.id);
	atl_str_copy(r->conversation_id, sizeof r->conversation_id, b->reply.conversation_id);
	atl_str_copy(r->charge_ref, sizeof r->charge_ref, b->charge_ref);
	atl_str_copy(r->from_id, sizeof r->from_id, b->from_id ? b->from_id : "");
	r->continues = b->mode == ATL_GENERATION_CONTINUE;
	r->model_wanted = model ? strdup(model) : NULL;
	r->result.usage = ATL_CHAT_USAGE_NOT_TOLD;
	r->estimate = -1;
	r->ceiling = ATL_COST_CEILING_NONE;
	atl_buf_init(&r->content, ATL_MESSAGE_BYTES_MAX);
	atl_buf_init(&r->reasoning, ATL_MESSAGE_BYTES_MAX);
	atl_buf_adds(&r->content, b->reply.content);
	atl_buf_adds(&r->reasoning, b->reply.reasoning);
	atl_arena_init(&r->end_arena, 0);
	atl_arena_init(&r->target_arena, 0);
	return r;
}

/* For the quotas of one model: what would answer now. */
static const char *effective_model(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *message_id)
{
	struct atl_conversation conversation;
	struct atl_message message;
	if (atl_message_get(app, arena, user_id, message_id, &message, NULL) != ATL_OK ||
	    atl_conversation_get(app, arena, user_id, message.conversation_id, &conversation, NULL) != ATL_OK)
		return NULL;
	return conversation.effective_model;
}

enum atl_err atl_generation_start(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				  const char *message_id, enum atl_generation_mode mode, const char *model, int64_t max_cost,
				  struct atl_message *ret, struct atl_errinfo *info)
{
	struct atl_generations *g = app->generations;
	enum atl_err err = atl_generation_room(app, who->user_id, info);
	if (err)
		return err;
	struct begin b = {.arena = arena, .who = who, .message_id = message_id, .mode = mode, .model = model};
	if (!model && atomic_load(&app->limited))
		b.model = effective_model(app, arena, who->user_id, message_id);
	err = atl_db_tx(app->db, begin_fn, &b, info);
	if (err)
		return err;
	if (b.found) {
		*ret = b.reply;
		atl_generation_overlay(app, arena, ret);
		return ATL_OK;
	}
	struct atl_reply *r = make_reply(app, &b, model);
	bool registered = false;
	if (r) {
		r->max_cost = max_cost;
		pthread_mutex_lock(&g->lock);
		r->loop = app->loops[g->next_loop++ % app->loop_count];
		registered = atl_map_put(&g->replies, r->id, r, NULL) == ATL_OK;
		g->alive += registered;
		pthread_mutex_unlock(&g->lock);
	}
	if (!registered) {
		/* the row stays as `streaming` until the next start makes it `interrupted`; say so now instead */
		if (r)
			atl_reply_free(r);
		return atl_fail(info, ATL_ERR_NOMEM, "reply");
	}
	*ret = b.reply;
	atl_quota_tell(app, who->user_id, &b.notices);
	atl_message_publish(app, mode == ATL_GENERATION_CONTINUE ? "message.updated" : "message.created", ret);
	/* from here on the reply may end and be freed at any time */
	if (atl_pool_submit(app->pool, atl_reply_prepare, r) != ATL_OK)
		atl_reply_prepare(r);
	return ATL_OK;
}

static void cancel_on_loop(void *arg)
{
	void **args = arg;
	struct atl_app *app = args[0];
	struct atl_generations *g = app->generations;
	pthread_mutex_lock(&g->lock);
	struct atl_reply *r = atl_map_get(&g->replies, args[1]);
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
	struct atl_reply *r = atl_map_get(&g->replies, message_id);
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
	const struct atl_reply *r = value;
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
	struct atl_reply *r = atl_map_get(&g->replies, message->id);
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
	struct atl_reply *r = value;
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
