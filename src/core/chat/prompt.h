/* prompt.h - from a card, a persona and a history to the messages a model gets, within its context.
 *
 * Order: one system message (system prompt, description, personality, persona, scenario, examples), the history, the
 * post-history instructions. Behind a card's own words, in both places, stands that a sincere question whether one talks
 * to an AI is answered truthfully. When it does not fit, example dialogues go first, then the oldest turns. The result also
 * lists every part with its tokens, in or out: the "what was sent" view.
 *
 * Knows no SQL and no network: history and token counts come through functions.
 *
 * Threads:    the caller's; count() may block. Ownership: everything returned lives in the given arena.
 * Limits:     ATL_PROMPT_HISTORY_MAX turns are looked at.
 */
#ifndef ATL_CORE_PROMPT_H
#define ATL_CORE_PROMPT_H

#include "base/json.h"
#include "core/chat/character.h"

#define ATL_PROMPT_HISTORY_MAX 4096
#define ATL_PROMPT_CONTEXT_DEFAULT 8192 /* where a model does not say */
#define ATL_PROMPT_REPLY_DEFAULT 1024	/* tokens kept free for the reply, or a quarter of the context if less */
#define ATL_PROMPT_TURN_OVERHEAD 6	/* tokens a chat template adds to a turn, at most, in the families we know */
#define ATL_PROMPT_JOIN_OVERHEAD 2 /* tokens of the blank line between two system parts, at most */

struct atl_prompt_turn {
	const char *message_id;
	const char *role; /* user | assistant | system */
	const char *content;
};

struct atl_prompt_input {
	const struct atl_card *card; /* NULL: a plain assistant */
	const char *user_name;
	const char *persona; /* description; NULL or "" if none */
	const char *conversation_id;
	const char *model;
	int64_t context_size; /* 0: ATL_PROMPT_CONTEXT_DEFAULT */
	int64_t max_tokens;   /* of the reply; 0: the default reserve */
	int64_t now_ms;
	/* The next older turn, newest first; false when there is none. */
	bool (*next)(void *arg, struct atl_prompt_turn *turn);
	/* Tokens of a text. */
	enum atl_err (*count)(void *arg, const char *text, int64_t *ret_tokens, struct atl_errinfo *info);
	bool exact; /* count() is the model's own tokenizer */
	void *arg;
};

struct atl_prompt_part {
	const char *kind; /* system | persona | scenario | examples | greeting | history | post_history */
	const char *label;
	const char *message_id; /* history; else NULL */
	const char *role;
	const char *text;
	int64_t tokens;
	bool included;
};

struct atl_prompt {
	struct atl_prompt_part *parts;
	size_t part_count;
	struct atl_prompt_turn *turns; /* what to send; message_id NULL but for history */
	size_t turn_count;
	int64_t context_size, max_tokens, total_tokens;
	bool exact;
	const char *model;
};

/* CONTEXT: not even the system message and the last turn fit. NOMEM, or what count() returned. */
enum atl_err atl_prompt_build(struct atl_arena *arena, const struct atl_prompt_input *input, struct atl_prompt *ret,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* The API's "what was sent" object. */
void atl_prompt_write(struct atl_jw *w, const char *key, const struct atl_prompt *prompt);
/* The stated estimate where there is no tokenizer: a token per 3.6 bytes of ASCII, per character elsewhere. */
int64_t atl_prompt_estimate(const char *text);

#endif
