/* style.h - named prompt recipes: the four built-in ones, and people's own.
 *
 * `prompt` and `negative_prompt` are put around what the person wrote: "{prompt}" inside `prompt` stands for it, else the
 * recipe's text follows it. `params` are values for what the person left open (steps, cfg_scale, sampler, loras...).
 *
 * Threads: blocking: pool threads. Ownership: the given arena. Limits: the constants.
 */
#ifndef ATL_CORE_STYLE_H
#define ATL_CORE_STYLE_H

#include "base/json.h"
#include "core/app.h"
#include "core/identity.h"

#define ATL_STYLES_MAX 500 /* of a user */
#define ATL_STYLE_NAME_MAX 80
#define ATL_STYLE_TEXT_MAX 4000

struct atl_style { /* the API's Style */
	const char *id;	  /* "chatgpt", "lux", "realism", "anime", or sty_... */
	const char *user_id; /* NULL: built in */
	const char *name, *prompt, *negative_prompt;
	const char *model; /* NULL: any */
	const struct atl_json *params; /* object */
	bool shared, builtin;
	int64_t version, created_at, updated_at;
};
extern const struct atl_json_desc atl_style_desc;

/* By id, or by name among one's own and the shared ones. NOT_FOUND. */
enum atl_err atl_style_find(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id_or_name,
			    struct atl_style *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The built-in ones; strings are constants. */
const struct atl_style *atl_style_builtin(size_t index); /* NULL past the end */

#endif
