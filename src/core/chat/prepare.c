/* prepare.c - from a message to the request that a model gets. See prepare.h. */
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "core/chat/character.h"
#include "core/chat/persona.h"
#include "core/chat/prepare.h"
#include "core/chat/sampling.h"
#include "core/people/rights.h"
#include "core/safety/policy.h"

#define HISTORY_BYTES_PER_TOKEN 8 /* more than any tokenizer packs into one on average */

struct history {
	struct atl_arena *arena;
	struct atl_prompt_turn *turns;
	size_t count, at;
	size_t bytes, bytes_max;
	bool failed;
};

struct load {
	struct atl_arena *arena;
	const struct atl_prepare_input *in;
	struct atl_conversation conversation;
	struct atl_card card;
	const char *user_name, *persona;
	struct history history;
};

static bool take_turn(void *arg, struct atl_rows *rows)
{
	struct history *h = arg;
	struct atl_prompt_turn turn = {.message_id = atl_col_text(rows, ATL_WALK_ID, h->arena),
				       .role = atl_col_text(rows, ATL_WALK_ROLE, h->arena),
				       .content = atl_col_text(rows, ATL_WALK_CONTENT, h->arena)};
	if (!turn.message_id || !turn.role || !turn.content) {
		h->failed = true;
		return false;
	}
	if (!*turn.content)
		return true; /* a reply that failed before its first word */
	h->turns[h->count++] = turn;
	h->bytes += strlen(turn.content);
	return h->count < ATL_PROMPT_HISTORY_MAX && h->bytes < h->bytes_max;
}

/* A chat that is not stored has no conversation: what it is about was named. */
static enum atl_err load_unstored(struct atl_conn *conn, struct load *l, struct atl_errinfo *info)
{
	l->conversation = (struct atl_conversation){.id = "", .persona_id = l->in->persona_id, .sampling_json = "{}"};
	if (!l->in->character_id)
		return ATL_OK;
	struct atl_character *character = ATL_ARENA_NEW(l->arena, struct atl_character);
	if (!character)
		return atl_fail(info, ATL_ERR_NOMEM, "character");
	l->conversation.character = character;
	return atl_character_get_in(conn, l->arena, l->in->who->user_id, l->in->character_id, character, info);
}

/* What decides about the model comes first, because the history is read to the model's measure. */
static enum atl_err load_frame(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct load *l = arg;
	const struct atl_prepare_input *in = l->in;
	enum atl_err err = in->conversation_id ? atl_conversation_get_in(conn, l->arena, in->who->user_id,
									 in->conversation_id, &l->conversation, info)
					       : load_unstored(conn, l, info);
	if (err)
		return err;
	struct atl_persona persona;
	err = atl_persona_get_in(conn, l->arena, in->who->user_id, l->conversation.persona_id, &persona, info);
	if (err == ATL_ERR_NOT_FOUND) {
		l->user_name = in->who->user_name;
		l->persona = NULL;
		err = ATL_OK;
	} else if (!err) {
		l->user_name = persona.name;
		l->persona = persona.description;
	}
	if (!err && l->conversation.character)
		err = atl_card_parse(l->arena, l->conversation.character->card_json, &l->card, info);
	return err;
}

static enum atl_err load_history(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct load *l = arg;
	l->history.count = l->history.bytes = 0;
	if (!l->in->from_id)
		return ATL_OK;
	enum atl_err err = atl_message_walk_up_in(conn, l->in->conversation_id, l->in->from_id, ATL_PROMPT_HISTORY_MAX,
						  take_turn, &l->history, info);
	return !err && l->history.failed ? atl_fail(info, ATL_ERR_NOMEM, "history") : err;
}

static void take_given(struct load *l)
{
	struct history *h = &l->history;
	for (size_t i = l->in->turn_count; i-- > 0 && h->count < ATL_PROMPT_HISTORY_MAX;)
		h->turns[h->count++] = l->in->turns[i];
}

static bool next_turn(void *arg, struct atl_prompt_turn *turn)
{
	struct history *h = &((struct load *)((void **)arg)[0])->history;
	if (h->at == h->count)
		return false;
	*turn = h->turns[h->at++];
	return true;
}

static enum atl_err count_tokens(void *arg, const char *text, int64_t *ret_tokens, struct atl_errinfo *info)
{
	void **args = arg;
	return atl_models_count_tokens(args[1], args[2], text, ret_tokens, info);
}

static enum atl_err merge_sampling(struct load *l, struct atl_sampling *out, struct atl_errinfo *info)
{
	struct atl_sampling over;
	enum atl_err err = atl_sampling_parse(
		l->arena, l->conversation.character ? l->conversation.character->sampling_json : "", out, info);
	if (!err)
		err = atl_sampling_parse(l->arena, l->conversation.sampling_json, &over, info);
	if (!err)
		atl_sampling_merge(out, &over);
	return err;
}

static enum atl_err fill_sampling(struct atl_prepared *out, const struct atl_sampling *s, struct atl_errinfo *info)
{
	static const struct {
		enum atl_sampling_field from;
		unsigned to;
	} BITS[] = {
		{ATL_SAMPLING_TEMPERATURE, ATL_CHAT_TEMPERATURE}, {ATL_SAMPLING_TOP_P, ATL_CHAT_TOP_P},
		{ATL_SAMPLING_TOP_K, ATL_CHAT_TOP_K},		  {ATL_SAMPLING_MIN_P, ATL_CHAT_MIN_P},
		{ATL_SAMPLING_REPEAT_PENALTY, ATL_CHAT_REPEAT_PENALTY}, {ATL_SAMPLING_SEED, ATL_CHAT_SEED},
	};
	struct atl_chat_sampling *to = &out->request.sampling;
	for (size_t i = 0; i < ATL_COUNT(BITS); i++)
		if (atl_sampling_has(s, BITS[i].from))
			to->present |= BITS[i].to;
	to->temperature = s->temperature;
	to->top_p = s->top_p;
	to->top_k = s->top_k;
	to->min_p = s->min_p;
	to->repeat_penalty = s->repeat_penalty;
	to->seed = s->seed;
	to->present |= ATL_CHAT_MAX_TOKENS;
	to->max_tokens = out->prompt.max_tokens;
	if (s->stop.count) {
		const char **stop = ATL_ARENA_ARRAY(&out->arena, const char *, s->stop.count + 1);
		if (!stop)
			return atl_fail(info, ATL_ERR_NOMEM, "request");
		memcpy(stop, s->stop.items, s->stop.count * sizeof *stop);
		to->stop = stop;
	}
	return ATL_OK;
}

static enum atl_err fill_messages(struct atl_app *app, const struct atl_prepare_input *in, struct atl_prepared *out,
				  struct atl_errinfo *info)
{
	size_t count = out->prompt.turn_count;
	struct atl_chat_message *messages = ATL_ARENA_ARRAY(&out->arena, struct atl_chat_message, count + 1);
	struct atl_policy_text *texts = ATL_ARENA_ARRAY(&out->arena, struct atl_policy_text, count + 1);
	if (!messages || !texts)
		return atl_fail(info, ATL_ERR_NOMEM, "request");
	for (size_t i = 0; i < count; i++) {
		messages[i].role = out->prompt.turns[i].role;
		messages[i].content = out->prompt.turns[i].content;
		texts[i] = ATL_POLICY_TEXT(messages[i].content);
	}
	out->request.messages = messages;
	out->request.message_count = count;
	return atl_policy_check(app, ATL_ENTRY_PROMPT, in->who, texts, count, info);
}

static enum atl_err write_prompt(struct atl_prepared *out, struct atl_errinfo *info)
{
	struct atl_buf json;
	struct atl_jw w;
	atl_buf_init(&json, ATL_DB_TEXT_MAX);
	atl_jw_init(&w, &json);
	atl_prompt_write(&w, NULL, &out->prompt);
	out->prompt_json = json.failed ? NULL : atl_arena_strndup(&out->arena, json.data, json.length);
	atl_buf_finish(&json);
	return out->prompt_json ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "prompt");
}

static enum atl_err resolve_fallback(struct atl_app *app, const struct atl_prepare_input *in, struct atl_prepared *out,
				     struct atl_errinfo *info)
{
	enum atl_err err = atl_models_fallback(app, &out->arena, in->who->user_id, in->failed_id, &out->target, info);
	return err ? err : atl_rights_model(in->who, out->target.id, info);
}

static enum atl_err resolve(struct atl_app *app, const struct load *l, struct atl_prepared *out,
			    struct atl_errinfo *info)
{
	const struct atl_prepare_input *in = l->in;
	if (in->failed_id)
		return resolve_fallback(app, in, out, info);
	const char *wanted = in->model;
	if (!wanted)
		wanted = l->conversation.model;
	if (!wanted && l->conversation.character)
		wanted = l->conversation.character->model;
	enum atl_err err = atl_rights_default(app, &out->arena, in->who, &wanted, info);
	if (!err)
		err = atl_models_resolve(app, &out->arena, in->who->user_id, wanted, &out->target, info);
	return err ? err : atl_rights_model(in->who, out->target.id, info);
}

enum atl_err atl_generation_prepare(struct atl_app *app, const struct atl_prepare_input *input,
				    struct atl_prepared *out, struct atl_errinfo *info)
{
	memset(out, 0, sizeof *out);
	atl_arena_init(&out->arena, 0);
	struct load l = {.arena = &out->arena, .in = input};
	enum atl_err err = atl_db_read(app->db, load_frame, &l, info);
	if (!err)
		err = resolve(app, &l, out, info);
	if (err)
		return err;
	int64_t context = out->target.context_size ? out->target.context_size : ATL_PROMPT_CONTEXT_DEFAULT;
	l.history.arena = &out->arena;
	l.history.bytes_max = (size_t)context * HISTORY_BYTES_PER_TOKEN;
	l.history.turns = ATL_ARENA_ARRAY(&out->arena, struct atl_prompt_turn, ATL_PROMPT_HISTORY_MAX);
	if (!l.history.turns)
		return atl_fail(info, ATL_ERR_NOMEM, "history");
	struct atl_sampling sampling;
	if (input->conversation_id)
		err = atl_db_read(app->db, load_history, &l, info);
	else
		take_given(&l);
	if (!err)
		err = merge_sampling(&l, &sampling, info);
	if (err)
		return err;
	void *args[3] = {&l, app, &out->target};
	struct atl_prompt_input in = {
		.card = l.conversation.character ? &l.card : NULL,
		.user_name = l.user_name,
		.persona = l.persona,
		.conversation_id = input->conversation_id ? input->conversation_id : "",
		.model = out->target.id,
		.context_size = out->target.context_size,
		.max_tokens = atl_sampling_has(&sampling, ATL_SAMPLING_MAX_TOKENS) ? sampling.max_tokens : 0,
		.now_ms = atl_now_ms(),
		.next = next_turn,
		.count = count_tokens,
		.exact = out->target.exact_tokens,
		.arg = args};
	err = atl_prompt_build(&out->arena, &in, &out->prompt, info);
	if (!err)
		err = fill_messages(app, input, out, info);
	if (!err)
		err = fill_sampling(out, &sampling, info);
	if (!err)
		err = write_prompt(out, info);
	out->request.model = out->target.name;
	out->request.character_slug = l.card.venice_slug;
	out->request.stream = true;
	/* post-history instructions stand after the partial answer then, so it is no longer the last message */
	out->request.continue_last = input->continue_last && out->request.message_count > 0 &&
				     atl_str_eq(out->request.messages[out->request.message_count - 1].role, "assistant");
	return err;
}
