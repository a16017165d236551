/* dynamic_prompt.h - the small language inside prompts, taken apart: {a|b}, __wildcard__, <lora:name:weight>.
 *
 * `{a|b|c}` picks one, `{2$$a|b|c}` two joined by ", ", `{2$$ and $$a|b}` joined by " and ", `{0.7::a|0.3::b}` weighted;
 * they nest. `__name__` picks a line of the wildcard of that name. Choices come from the given seed alone: the same seed
 * gives the same prompt. `\{`, `\}` and `\|` stand for themselves. Attention syntax (word:1.2) is left as it is.
 *
 * Threads: pure functions. Ownership: the arena. Limits: the constants.
 */
#ifndef ATL_CORE_DYNAMIC_PROMPT_H
#define ATL_CORE_DYNAMIC_PROMPT_H

#include "base/arena.h"
#include "base/buf.h"

#define ATL_DYNAMIC_DEPTH_MAX 16
#define ATL_DYNAMIC_OUT_MAX ((size_t)64 << 10)
#define ATL_DYNAMIC_STEPS_MAX 2000 /* choices and wildcards in one prompt */
#define ATL_DYNAMIC_LORAS_MAX 16

/* Lines of a wildcard; NULL: there is none of this name. Empty lines and lines that begin with # are passed over. */
typedef const char *(*atl_wildcard_fn)(void *arg, const char *name);

/* INVALID (field `prompt`) with the place: braces that do not match, an unknown wildcard, too deep, too long. */
enum atl_err atl_dynamic_expand(struct atl_arena *arena, const char *prompt, uint64_t seed, atl_wildcard_fn wildcard,
				void *arg, const char **ret, struct atl_errinfo *info) ATL_MUST_USE;

struct atl_prompt_lora {
	const char *name;
	double weight;
};
/* Takes every <lora:name> and <lora:name:weight> out; what is left is tidied of doubled commas and blanks.
 * INVALID: more than ATL_DYNAMIC_LORAS_MAX, or a weight that is no number within -10..10. */
enum atl_err atl_prompt_take_loras(struct atl_arena *arena, const char *prompt, const char **ret,
				   struct atl_prompt_lora *loras, size_t *count, struct atl_errinfo *info) ATL_MUST_USE;

#endif
