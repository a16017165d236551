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
#include "core/access/identity.h"
#include "core/app.h"

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

/* The built-in ones first, then one's own by name, then others' shared ones. */
enum atl_err atl_style_list(struct atl_app *app, struct atl_arena *arena, const char *user_id, struct atl_style **ret,
			    size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* NULL members stay as they are (create: name is needed). */
struct atl_style_change {
	const char *name, *prompt, *negative_prompt, *model /* "": any */;
	const struct atl_json *params;
	const bool *shared;
};
/* id NULL: a new one. Errors: INVALID, POLICY, NOT_FOUND (built-in ones cannot be changed), CONFLICT (too many).
 * Publishes style.changed. */
enum atl_err atl_style_save(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena, const char *id,
			    const struct atl_style_change *change, struct atl_style *ret,
			    struct atl_errinfo *info) ATL_MUST_USE;
enum atl_err atl_style_delete(struct atl_app *app, const struct atl_identity *who, const char *id,
			      struct atl_errinfo *info) ATL_MUST_USE;
/* A1111's styles.csv (name, prompt, negative_prompt): a style of the same name is replaced. *ret_count: how many. */
enum atl_err atl_style_import(struct atl_app *app, const struct atl_identity *who, struct atl_arena *arena,
			      const char *csv, size_t length, size_t *ret_count, struct atl_errinfo *info) ATL_MUST_USE;
/* Pure (RFC 4180, also with bare LF): the next row's fields; false at the end. At most `max` fields are kept. */
bool atl_csv_row(struct atl_arena *arena, const char **text, const char *end, const char **fields, size_t max,
		 size_t *ret_count);

/* By id, or by name among one's own and the shared ones. NOT_FOUND. */
enum atl_err atl_style_find(struct atl_app *app, struct atl_arena *arena, const char *user_id, const char *id_or_name,
			    struct atl_style *ret, struct atl_errinfo *info) ATL_MUST_USE;
/* The built-in ones; strings are constants. */
const struct atl_style *atl_style_builtin(size_t index); /* NULL past the end */

#endif
