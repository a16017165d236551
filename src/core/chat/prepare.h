/* prepare.h - what goes to a model: shared by generation.c (stored replies) and api/temporary.c (unstored). */
#ifndef ATL_CORE_PREPARE_H
#define ATL_CORE_PREPARE_H

#include "core/chat/generation.h"
#include "core/chat/prompt.h"
#include "core/models/model.h"

/* Everything atl_chat_start() needs, in one arena. */
struct atl_prepared {
	struct atl_arena arena;
	struct atl_model_target target;
	struct atl_chat_request request;
	struct atl_prompt prompt;
	const char *prompt_json;
};

struct atl_prepare_input {
	const struct atl_identity *who;
	const char *conversation_id; /* NULL: nothing is stored; the next four say what it is about */
	const char *character_id, *persona_id; /* NULL: none, the default */
	const struct atl_prompt_turn *turns;   /* oldest first */
	size_t turn_count;
	const char *from_id;   /* last message that is sent; NULL: none */
	const char *model;     /* wanted by the request; NULL: the conversation's, the character's, the default */
	const char *failed_id; /* resolve the fallback for this model instead; NULL: no */
	bool continue_last;
};

/* Loads conversation, character and persona, resolves the model, assembles the prompt, asks the policy.
 * `out` is initialised here; finish its arena also after an error. Blocks: pool threads. */
enum atl_err atl_generation_prepare(struct atl_app *app, const struct atl_prepare_input *input,
				    struct atl_prepared *out, struct atl_errinfo *info) ATL_MUST_USE;

#endif
