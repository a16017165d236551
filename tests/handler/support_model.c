/* support_model.c - the scripted model behind core/models/model.h, listening to events, and what many tests create. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "core/chat/prompt.h"
#include "core/models/model.h"
#include "core/server/events.h"
#include "support.h"

/* ---- the model: --wrap puts these in the place of core/models/model.c ---- */

static struct {
	pthread_mutex_t lock; /* guards what follows */
	struct model_script does;
	char wanted[ATL_ID_SIZE * 8];
} model = { .lock = PTHREAD_MUTEX_INITIALIZER };

void model_does(const struct model_script *does)
{
	pthread_mutex_lock(&model.lock);
	model.does = *does;
	pthread_mutex_unlock(&model.lock);
}

void model_says(struct atl_chat_script script)
{
	model_does(&(struct model_script){ .script = script });
}

const char *model_wanted(void)
{
	const char *copy;

	pthread_mutex_lock(&model.lock);
	copy = fmt("%s", model.wanted);
	pthread_mutex_unlock(&model.lock);
	return copy;
}

/* What it does now; wanted is remembered unless it is NULL. */
static struct model_script asked(const char *wanted)
{
	struct model_script does;

	pthread_mutex_lock(&model.lock);
	does = model.does;
	if (wanted)
		atl_str_copy(model.wanted, sizeof(model.wanted), wanted);
	pthread_mutex_unlock(&model.lock);
	return does;
}

static enum atl_err fill(struct atl_app *app, struct atl_arena *arena, const struct atl_chat_script *script, const char *id,
			 struct atl_model_target *ret, struct atl_errinfo *info)
{
	struct atl_chat_script *own = ATL_ARENA_NEW(arena, struct atl_chat_script);

	if (!own)
		return atl_fail(info, ATL_ERR_NOMEM, "script");
	*own = *script;
	*ret = (struct atl_model_target){ .id = id, .name = "scripted", .provider_name = "Scripted", .ready = true,
					  .context_size = 4096 };
	ret->endpoint.preset = atl_chat_preset_find("fake");
	ret->price = atl_price_find(app->prices, id, "", "scripted", NULL);
	ret->endpoint.guard = app->guard;
	ret->endpoint.script = own;
	return ATL_OK;
}

enum atl_err __wrap_atl_models_resolve(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				       const char *wanted, struct atl_model_target *ret, struct atl_errinfo *info);
enum atl_err __wrap_atl_models_resolve(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				       const char *wanted, struct atl_model_target *ret, struct atl_errinfo *info)
{
	struct model_script does = asked(wanted ? wanted : "");

	if (does.resolve_err)
		return atl_fail(info, does.resolve_err, "No model is configured.");
	return fill(app, arena, &does.script, wanted ? wanted : "scripted/first", ret, info);
}

enum atl_err __wrap_atl_models_fallback(struct atl_app *app, struct atl_arena *arena, const char *user_id,
					const char *failed_id, struct atl_model_target *ret, struct atl_errinfo *info);
enum atl_err __wrap_atl_models_fallback(struct atl_app *app, struct atl_arena *arena, const char *user_id,
					const char *failed_id, struct atl_model_target *ret, struct atl_errinfo *info)
{
	struct model_script does = asked(NULL);

	if (!does.has_fallback)
		return atl_fail(info, ATL_ERR_NO_MODEL, "There is no fallback.");
	return fill(app, arena, &does.fallback, "scripted/fallback", ret, info);
}

const char *__wrap_atl_models_effective(struct atl_app *app, struct atl_arena *arena, const char *user_id,
					const char *wanted);
const char *__wrap_atl_models_effective(struct atl_app *app, struct atl_arena *arena, const char *user_id,
					const char *wanted)
{
	return wanted ? wanted : "scripted/first";
}

struct atl_breaker *__wrap_atl_model_breaker(struct atl_app *app, const struct atl_model_target *target,
					     const struct atl_loop *loop);
struct atl_breaker *__wrap_atl_model_breaker(struct atl_app *app, const struct atl_model_target *target,
					     const struct atl_loop *loop)
{
	return NULL;
}

void __wrap_atl_model_outcome(struct atl_app *app, const struct atl_model_target *target, enum atl_err err,
			      const struct atl_errinfo *info);
void __wrap_atl_model_outcome(struct atl_app *app, const struct atl_model_target *target, enum atl_err err,
			      const struct atl_errinfo *info)
{
}

enum atl_err __wrap_atl_models_count_tokens(struct atl_app *app, const struct atl_model_target *target, const char *text,
					    int64_t *ret_tokens, struct atl_errinfo *info);
enum atl_err __wrap_atl_models_count_tokens(struct atl_app *app, const struct atl_model_target *target, const char *text,
					    int64_t *ret_tokens, struct atl_errinfo *info)
{
	*ret_tokens = atl_prompt_estimate(text);
	return ATL_OK;
}

/* ---- the loop ---- */

struct turn {
	void (*fn)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool ended;
};

static void take_turn(void *arg)
{
	struct turn *turn = arg;

	turn->fn(turn->arg);
	pthread_mutex_lock(&turn->lock);
	turn->ended = true;
	pthread_cond_signal(&turn->done);
	pthread_mutex_unlock(&turn->lock);
}

void site_on_loop(struct site *site, void (*fn)(void *arg), void *arg)
{
	struct turn turn = { .fn = fn, .arg = arg, .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };

	assert_true(atl_loop_post(site->loop, take_turn, &turn));
	pthread_mutex_lock(&turn.lock);
	while (!turn.ended)
		pthread_cond_wait(&turn.done, &turn.lock);
	pthread_mutex_unlock(&turn.lock);
	pthread_mutex_destroy(&turn.lock);
	pthread_cond_destroy(&turn.done);
}

/* ---- events ---- */

struct ears {
	struct site *site;
	char user_id[ATL_ID_SIZE];
	struct atl_event_sub *sub; /* the loop's */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct atl_buf heard; /* guarded by lock */
};

static void hear(void *arg, struct atl_bytes *frame)
{
	struct ears *ears = arg;

	pthread_mutex_lock(&ears->lock);
	atl_buf_add(&ears->heard, frame->data, frame->length);
	pthread_cond_signal(&ears->more);
	pthread_mutex_unlock(&ears->lock);
}

static void heard_end(void *arg)
{
}

static void subscribe(void *arg)
{
	static const struct atl_event_sub_ops ops = { hear, heard_end };
	struct ears *ears = arg;
	struct atl_errinfo info = { 0 };

	if (atl_events_subscribe(ears->site->app.events, ears->site->loop, ears->user_id, "", ATL_EVENTS_WS, 0, &ops, ears,
				 &ears->sub, &info) != ATL_OK)
		abort();
}

static void unsubscribe(void *arg)
{
	struct ears *ears = arg;

	atl_events_unsubscribe(ears->sub);
}

void ears_open(struct site *site, const char *user_id)
{
	struct ears *ears = calloc(1, sizeof(*ears));

	assert_non_null(ears);
	ears_close(site);
	ears->site = site;
	atl_str_copy(ears->user_id, sizeof(ears->user_id), user_id);
	pthread_mutex_init(&ears->lock, NULL);
	pthread_cond_init(&ears->more, NULL);
	atl_buf_init(&ears->heard, (size_t)16 << 20);
	site_on_loop(site, subscribe, ears);
	site->ears = ears;
}

void ears_close(struct site *site)
{
	struct ears *ears = site->ears;

	if (!ears)
		return;
	site_on_loop(site, unsubscribe, ears);
	atl_buf_finish(&ears->heard);
	pthread_mutex_destroy(&ears->lock);
	pthread_cond_destroy(&ears->more);
	free(ears);
	site->ears = NULL;
}

void ears_clear(struct site *site)
{
	pthread_mutex_lock(&site->ears->lock);
	atl_buf_reset(&site->ears->heard);
	pthread_mutex_unlock(&site->ears->lock);
}

const char *ears_all(struct site *site)
{
	const char *copy;

	pthread_mutex_lock(&site->ears->lock);
	copy = fmt("%s", site->ears->heard.data);
	pthread_mutex_unlock(&site->ears->lock);
	return copy;
}

/* The line of an event that holds the text, or NULL. */
static const char *find_event(const struct atl_buf *heard, const char *event, const char *text)
{
	char head[80];

	snprintf(head, sizeof(head), "\"event\":\"%s\"", event);
	for (const char *line = heard->data; *line;) {
		size_t length = strcspn(line, "\n");
		const char *at = memmem(line, length, head, strlen(head));

		if (at && memmem(line, length, text, strlen(text)))
			return fmt("%.*s", (int)length, line);
		line += length + (line[length] == '\n');
	}
	return NULL;
}

const char *ears_wait(struct site *site, const char *event, const char *text)
{
	struct ears *ears = site->ears;
	const char *found;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_MS / 1000;
	pthread_mutex_lock(&ears->lock);
	while (!(found = find_event(&ears->heard, event, text)) &&
	       pthread_cond_timedwait(&ears->more, &ears->lock, &until) == 0)
		continue;
	pthread_mutex_unlock(&ears->lock);
	if (!found)
		fail_msg("no %s with %s came; heard:\n%s", event, text, ears_all(site));
	return found;
}

/* ---- what many tests create ---- */

const char *make_character(struct site *site, const struct person *who, const char *name)
{
	struct atl_req *req = ask(site, who, "POST /api/v1/characters", fmt("{\"name\":\"%s\"}", name));

	return text_at(expect(req, 201), "id");
}

const char *make_conversation(struct site *site, const struct person *who, const char *character_id)
{
	struct atl_req *req = ask(site, who, "POST /api/v1/conversations",
				  character_id ? fmt("{\"character_id\":\"%s\"}", character_id) : "{}");

	return text_at(expect(req, 201), "id");
}

const char *add_message(struct site *site, const struct person *who, const char *conversation_id, const char *content)
{
	struct atl_req *req = ask(site, who, fmt("POST /api/v1/conversations/%s/messages", conversation_id),
				  fmt("{\"content\":\"%s\",\"reply\":false}", content));

	return text_at(expect(req, 202), "message.id");
}
