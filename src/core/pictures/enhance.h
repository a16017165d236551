/* enhance.h - prompts for pictures made better, and made from conversations: by the chat model, or by rules without one.
 *
 * Threads: blocking (the model answers): pool threads. Ownership: the given arena.
 * Limits:  ATL_ENHANCE_WAIT_MS for the model, then the rules.
 */
#ifndef ATL_CORE_ENHANCE_H
#define ATL_CORE_ENHANCE_H

#include "core/access/identity.h"
#include "core/app.h"
#include "core/pictures/picture.h"

#define ATL_ENHANCE_WAIT_MS 30000
#define ATL_ENHANCE_TEXT_MAX 600 /* bytes of what comes out */

struct atl_enhanced { /* the API's EnhancedPrompt */
	const char *prompt;
	const char *by; /* "model" or "rules" */
	const char *note; /* NULL; why it was not the model */
};
extern const struct atl_json_desc atl_enhanced_desc;

/* The original is the caller's to keep. `style` NULL: none. `use_model` false: rules only. POLICY as for a picture. */
enum atl_err atl_enhance_prompt(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				const char *prompt, const char *style, bool use_model, struct atl_enhanced *ret,
				struct atl_errinfo *info) ATL_MUST_USE;
/* Pure: quality words of a style that the prompt does not have yet, behind it. */
const char *atl_enhance_by_rules(struct atl_arena *arena, const char *prompt, const char *style);
/* Pure: the visible part of a message: without speech in quotes, stars, markup and names; cut at a sentence. */
const char *atl_enhance_scene_text(struct atl_arena *arena, const char *message);

/* A picture of a conversation: `what` is "scene", "character", "face", "user" or "prompt" (with ask->prompt). Sets
 * prompt, character_id, conversation_id and message_id of `ask` (message_id NULL: the last message). */
enum atl_err atl_enhance_conversation(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
				      const char *conversation_id, const char *what, struct atl_picture_ask *ask,
				      struct atl_errinfo *info) ATL_MUST_USE;

#endif
