/* look.h - a character's look: what is added when it is chosen for a picture.
 *
 * Threads: blocking (SQL): pool threads. Ownership: the given arena. Limits: the constants.
 */
#ifndef ATL_CORE_LOOK_H
#define ATL_CORE_LOOK_H

#include "base/json.h"
#include "core/app.h"
#include "db/db.h"

#define ATL_LOOK_TEXT_MAX 2000
#define ATL_LOOK_LORAS_MAX 8
#define ATL_LOOK_REFERENCES_MAX 8

struct atl_look_lora {
	const char *name;
	double weight;
};
struct atl_look { /* the API's Look */
	const char *prompt_prefix, *negative_prompt; /* never NULL */
	const char *model;			     /* NULL: whatever is chosen */
	struct atl_items loras;			     /* struct atl_look_lora */
	struct atl_strs reference_assets;
	int64_t seed;	      /* -1: free */
	const char *seed_policy; /* "free", "fixed", "conversation": one seed for each conversation */
};
extern const struct atl_json_desc atl_look_desc;

enum atl_err atl_look_get(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *character_id,
			  struct atl_look *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* Replaces it. INVALID; NOT_FOUND: the character, or a picture that is not one's own. */
enum atl_err atl_look_set(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *character_id,
			  const struct atl_look *look, struct atl_errinfo *info) ATL_MUST_USE;

#endif
