/* prompt_history.h - the prompts a person has used, newest first; each text once.
 *
 * Threads: blocking (SQL): pool threads. Ownership: the arena.
 * Limits:  ATL_PROMPT_HISTORY_MAX of a user are kept.
 */
#ifndef ATL_CORE_PROMPT_HISTORY_H
#define ATL_CORE_PROMPT_HISTORY_H

#include "base/json.h"
#include "core/app.h"

#define ATL_PROMPT_HISTORY_MAX 1000

struct atl_past_prompt { /* the API's PastPrompt */
	const char *prompt, *negative_prompt;
	int64_t uses, used_at;
};
extern const struct atl_json_desc atl_past_prompt_desc;

/* Queued, and written with the next commit; a failure is logged. */
void atl_prompt_history_add(struct atl_app *app, const char *user_id, const char *prompt, const char *negative_prompt);
/* `words`: a part of the prompt, without case; NULL or "": all. */
enum atl_err atl_prompt_history_list(struct atl_app *app, struct atl_arena *arena, const char *user_id,
				     const char *words, int64_t limit, struct atl_past_prompt **ret, size_t *ret_count,
				     struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_prompt_history_clear(struct atl_app *app, const char *user_id, struct atl_errinfo *info) ATL_MUST_USE;

#endif
