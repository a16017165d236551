/* prompt.c - see prompt.h. */
#include "core/chat/prompt.h"

#include <string.h>

#include "base/str.h"
#include "core/chat/macros.h"

#define PARTS_FIXED 16
#define EXAMPLES_MAX 64
#define EXPANDED_MAX ((size_t)4 << 20)

static const char DEFAULT_SYSTEM[] =
	"You are {{char}}. Stay in character and write {{char}}'s next reply to {{user}}. Keep it to the point.";
/* People are told that they talk to an AI. A card cannot change that, so it stands behind whatever the card says, and last. */
static const char HONESTY[] = "If {{user}} sincerely asks whether they are talking to an AI, say truthfully that they are.";
static const char PLAIN_SYSTEM[] = "You are a helpful assistant. Answer clearly and to the point.";

struct build {
	struct atl_arena *arena;
	const struct atl_prompt_input *in;
	struct atl_macros macros;
	struct atl_errinfo *info;
	struct atl_prompt_part *parts;
	size_t count, room;
	int64_t used;
};

int64_t atl_prompt_estimate(const char *text)
{
	int64_t ascii = 0, other = 0;
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p < 0x80)
			ascii++;
		else if ((*p & 0xc0) != 0x80)
			other++;
	}
	return (ascii * 10 + 35) / 36 + other;
}

static enum atl_err no_memory(struct build *b)
{
	return atl_fail(b->info, ATL_ERR_NOMEM, "the prompt");
}

static enum atl_err expand(struct build *b, const char *text, const char **ret)
{
	struct atl_buf out;
	atl_buf_init(&out, EXPANDED_MAX);
	atl_macros_expand(&b->macros, text, &out);
	enum atl_err err = atl_buf_err(&out, b->info);
	if (!err) {
		*ret = atl_arena_strndup(b->arena, out.data, out.length);
		if (!*ret)
			err = no_memory(b);
	}
	atl_buf_finish(&out);
	return err;
}

/* Appends a part with its token count. `included` is decided later for what may be dropped. */
static enum atl_err add_part(struct build *b, const struct atl_prompt_part *part, bool included)
{
	if (b->count == b->room) {
		size_t room = b->room ? b->room * 2 : PARTS_FIXED;
		struct atl_prompt_part *parts = ATL_ARENA_ARRAY(b->arena, struct atl_prompt_part, room);
		if (!parts)
			return no_memory(b);
		if (b->count)
			memcpy(parts, b->parts, b->count * sizeof *parts);
		b->parts = parts;
		b->room = room;
	}
	struct atl_prompt_part copy = *part;
	enum atl_err err = b->in->count(b->in->arg, copy.text, &copy.tokens, b->info);
	if (err)
		return err;
	copy.included = included;
	if (included)
		b->used += copy.tokens;
	b->parts[b->count++] = copy;
	return ATL_OK;
}

static enum atl_err add_system(struct build *b, const char *kind, const char *label, const char *prefix,
			       const char *text)
{
	if (atl_str_empty(text))
		return ATL_OK;
	const char *expanded;
	enum atl_err err = expand(b, text, &expanded);
	if (err || atl_str_empty(expanded))
		return err;
	if (prefix) {
		expanded = atl_arena_printf(b->arena, "%s%s", prefix, expanded);
		if (!expanded)
			return no_memory(b);
	}
	if (b->count && !atl_str_eq(kind, "post_history")) /* that one is a message of its own */
		b->used += ATL_PROMPT_JOIN_OVERHEAD;
	struct atl_prompt_part part = {.kind = kind, .label = label, .role = "system", .text = expanded};
	return add_part(b, &part, true);
}

/* A card's own system prompt may hold {{original}}: the default one. */
static enum atl_err add_system_prompt(struct build *b)
{
	const struct atl_card *card = b->in->card;
	if (!card)
		return add_system(b, "system", "System prompt", NULL, PLAIN_SYSTEM);
	if (atl_str_empty(card->system_prompt))
		return add_system(b, "system", "System prompt", NULL, DEFAULT_SYSTEM);
	const char *at = strstr(card->system_prompt, "{{original}}");
	if (!at)
		return add_system(b, "system", "System prompt", NULL, card->system_prompt);
	char *text = atl_arena_printf(b->arena, "%.*s%s%s", (int)(at - card->system_prompt), card->system_prompt,
				      DEFAULT_SYSTEM, at + strlen("{{original}}"));
	return text ? add_system(b, "system", "System prompt", NULL, text) : no_memory(b);
}

static enum atl_err add_post_history(struct build *b)
{
	const char *text = b->in->card->post_history_instructions;

	if (atl_str_empty(text))
		return ATL_OK;
	text = atl_arena_printf(b->arena, "%s\n%s", text, HONESTY);
	return text ? add_system(b, "post_history", "Post-history instructions", NULL, text) : no_memory(b);
}

static enum atl_err add_card(struct build *b)
{
	const struct atl_card *card = b->in->card;
	enum atl_err err = add_system_prompt(b);
	if (!err && card)
		err = add_system(b, "system", "Description", NULL, card->description);
	if (!err && card)
		err = add_system(b, "system", "Personality", "Personality: ", card->personality);
	if (!err && !atl_str_empty(b->in->persona))
		err = add_system(b, "persona", "Your persona",
				 atl_arena_printf(b->arena, "About %s: ", b->in->user_name), b->in->persona);
	if (!err && card)
		err = add_system(b, "scenario", "Scenario", "Scenario: ", card->scenario);
	if (!err && card)
		err = add_system(b, "system", "Honesty", NULL, HONESTY);
	return err;
}

/* mes_example holds dialogues separated by <START>; each is a part of its own, dropped as a whole. */
static enum atl_err add_examples(struct build *b)
{
	const char *text = b->in->card ? b->in->card->mes_example : "";
	unsigned count = 0;
	while (text && *text && count < EXAMPLES_MAX) {
		const char *end = strstr(text, "<START>");
		size_t length = end ? (size_t)(end - text) : strlen(text);
		while (length && strchr(" \r\n\t", *text)) {
			text++;
			length--;
		}
		size_t trimmed = length;
		while (trimmed && strchr(" \r\n\t", text[trimmed - 1]))
			trimmed--;
		if (trimmed) {
			char *raw = atl_arena_strndup(b->arena, text, trimmed);
			const char *expanded;
			if (!raw)
				return no_memory(b);
			enum atl_err err = expand(b, raw, &expanded);
			if (err)
				return err;
			char *whole = atl_arena_printf(b->arena, "Example dialogue:\n%s", expanded);
			if (!whole)
				return no_memory(b);
			struct atl_prompt_part part = {
				.kind = "examples", .label = "Example dialogue", .role = "system", .text = whole};
			err = add_part(b, &part, false);
			if (err)
				return err;
			count++;
		}
		text += length + (end ? strlen("<START>") : 0);
	}
	return ATL_OK;
}

/* Newest first, until the budget is passed by one turn: that one is listed as left out. */
static enum atl_err add_history(struct build *b, int64_t budget, size_t *ret_first)
{
	struct atl_prompt_turn turn;
	size_t first = b->count, seen = 0;
	bool full = false;
	while (!full && seen < ATL_PROMPT_HISTORY_MAX && b->in->next(b->in->arg, &turn)) {
		struct atl_prompt_part part = {.kind = "history",
					       .label = atl_str_eq(turn.role, "user") ? "You" : "Reply",
					       .message_id = turn.message_id,
					       .role = turn.role,
					       .text = turn.content};
		enum atl_err err = add_part(b, &part, false);
		if (err)
			return err;
		struct atl_prompt_part *added = &b->parts[b->count - 1];
		int64_t cost = added->tokens + ATL_PROMPT_TURN_OVERHEAD;
		if (b->used + cost > budget && seen == 0)
			return atl_fail(b->info, ATL_ERR_CONTEXT,
					"The character and your last message need about %lld tokens; the model takes %lld. "
					"Shorten them or choose a model with a larger context.",
					(long long)(b->used + cost), (long long)budget);
		if (b->used + cost > budget) {
			full = true;
		} else {
			added->included = true;
			b->used += cost;
		}
		seen++;
	}
	/* oldest first from here on */
	for (size_t i = first, j = b->count; i + 1 < j; i++) {
		struct atl_prompt_part swap = b->parts[i];
		b->parts[i] = b->parts[--j];
		b->parts[j] = swap;
	}
	*ret_first = first;
	return ATL_OK;
}

/* Examples get what the history left over. */
static void fit_examples(struct build *b, int64_t budget)
{
	for (size_t i = 0; i < b->count; i++) {
		struct atl_prompt_part *part = &b->parts[i];
		if (!atl_str_eq(part->kind, "examples") || b->used + part->tokens > budget)
			continue;
		part->included = true;
		b->used += part->tokens;
	}
}

static enum atl_err make_turns(struct build *b, size_t history, size_t history_end, struct atl_prompt *out)
{
	struct atl_buf system;
	atl_buf_init(&system, EXPANDED_MAX);
	for (size_t i = 0; i < history; i++) {
		if (!b->parts[i].included)
			continue;
		if (system.length)
			atl_buf_adds(&system, "\n\n");
		atl_buf_adds(&system, b->parts[i].text);
	}
	enum atl_err err = atl_buf_err(&system, b->info);
	char *text = err ? NULL : atl_arena_strndup(b->arena, system.data, system.length);
	atl_buf_finish(&system);
	if (err)
		return err;
	out->turns = ATL_ARENA_ARRAY(b->arena, struct atl_prompt_turn, b->count + 1);
	if (!text || !out->turns)
		return no_memory(b);
	if (*text)
		out->turns[out->turn_count++] = (struct atl_prompt_turn){.role = "system", .content = text};
	for (size_t i = history; i < b->count; i++)
		if (b->parts[i].included)
			out->turns[out->turn_count++] = (struct atl_prompt_turn){
				.message_id = i < history_end ? b->parts[i].message_id : NULL,
				.role = b->parts[i].role,
				.content = b->parts[i].text};
	return ATL_OK;
}

enum atl_err atl_prompt_build(struct atl_arena *arena, const struct atl_prompt_input *input, struct atl_prompt *ret,
			      struct atl_errinfo *info)
{
	struct build b = {.arena = arena, .in = input, .info = info};
	const struct atl_card *card = input->card;
	b.macros = (struct atl_macros){
		.char_name = !card ? "Assistant" : atl_str_empty(card->nickname) ? card->name : card->nickname,
		.user_name = input->user_name,
		.seed = input->conversation_id,
		.now_ms = input->now_ms};
	struct atl_prompt out = {.model = input->model, .exact = input->exact};
	out.context_size = input->context_size ? input->context_size : ATL_PROMPT_CONTEXT_DEFAULT;
	out.max_tokens = input->max_tokens;
	if (!out.max_tokens)
		out.max_tokens = out.context_size / 4 < ATL_PROMPT_REPLY_DEFAULT ? out.context_size / 4
										  : ATL_PROMPT_REPLY_DEFAULT;
	if (out.max_tokens > out.context_size / 2)
		out.max_tokens = out.context_size / 2;
	int64_t budget = out.context_size - out.max_tokens - ATL_PROMPT_TURN_OVERHEAD;

	enum atl_err err = add_card(&b);
	size_t before_post = b.count;
	if (!err && card)
		err = add_post_history(&b);
	bool has_post = !err && b.count > before_post;
	struct atl_prompt_part post = has_post ? b.parts[--b.count] : (struct atl_prompt_part){0};
	b.used += has_post ? ATL_PROMPT_TURN_OVERHEAD : 0;
	if (!err)
		err = add_examples(&b);
	size_t history = b.count;
	if (!err)
		err = add_history(&b, budget, &history);
	if (err)
		return err;
	fit_examples(&b, budget);
	size_t history_end = b.count;
	if (has_post) {
		int64_t tokens = post.tokens;
		err = add_part(&b, &post, true);
		if (err)
			return err;
		b.used -= tokens; /* it was counted when it was first added */
	}
	err = make_turns(&b, history, history_end, &out);
	if (err)
		return err;
	out.parts = b.parts;
	out.part_count = b.count;
	out.total_tokens = b.used + ATL_PROMPT_TURN_OVERHEAD;
	*ret = out;
	return ATL_OK;
}

void atl_prompt_write(struct atl_jw *w, const char *key, const struct atl_prompt *prompt)
{
	atl_jw_object(w, key);
	atl_jw_str(w, "model", prompt->model);
	atl_jw_int(w, "context_size", prompt->context_size);
	atl_jw_int(w, "max_tokens", prompt->max_tokens);
	atl_jw_int(w, "total_tokens", prompt->total_tokens);
	atl_jw_bool(w, "exact", prompt->exact);
	atl_jw_array(w, "parts");
	for (size_t i = 0; i < prompt->part_count; i++) {
		const struct atl_prompt_part *part = &prompt->parts[i];
		atl_jw_object(w, NULL);
		atl_jw_str(w, "kind", part->kind);
		atl_jw_str(w, "label", part->label);
		atl_jw_str(w, "message_id", part->message_id);
		atl_jw_str(w, "text", part->text);
		atl_jw_int(w, "tokens", part->tokens);
		atl_jw_bool(w, "included", part->included);
		atl_jw_end_object(w);
	}
	atl_jw_end_array(w);
	atl_jw_end_object(w);
}
