/* sampling.h - the sampling parameters of a reply, each with its presence, and how layers of them combine.
 *
 * A conversation's values win over its character's, those over the model's defaults. Stored as a JSON object.
 *
 * Threads: pure functions.
 */
#ifndef ATL_CORE_SAMPLING_H
#define ATL_CORE_SAMPLING_H

#include "base/json.h"

#define ATL_SAMPLING_STOP_MAX 8

struct atl_sampling {
	uint64_t present; /* bit i: field i of atl_sampling_desc is set */
	double temperature, top_p, min_p, repeat_penalty;
	int64_t top_k, max_tokens, seed;
	struct atl_strs stop;
};
extern const struct atl_json_desc atl_sampling_desc;

enum atl_sampling_field {
	ATL_SAMPLING_TEMPERATURE,
	ATL_SAMPLING_TOP_P,
	ATL_SAMPLING_TOP_K,
	ATL_SAMPLING_MIN_P,
	ATL_SAMPLING_REPEAT_PENALTY,
	ATL_SAMPLING_MAX_TOKENS,
	ATL_SAMPLING_STOP,
	ATL_SAMPLING_SEED,
	ATL_SAMPLING_FIELDS
};
static inline bool atl_sampling_has(const struct atl_sampling *s, enum atl_sampling_field field)
{
	return s->present >> field & 1;
}

/* `over` wins where it is set. */
void atl_sampling_merge(struct atl_sampling *base, const struct atl_sampling *over);
/* From stored JSON ("" or "{}": nothing set); strings in the arena. */
enum atl_err atl_sampling_parse(struct atl_arena *arena, const char *json, struct atl_sampling *ret,
				struct atl_errinfo *info) ATL_MUST_USE;
/* The same from a parsed value (a request's); NULL and null: nothing set. */
enum atl_err atl_sampling_read(struct atl_arena *arena, const struct atl_json *tree, struct atl_sampling *ret,
			       struct atl_errinfo *info) ATL_MUST_USE;
/* As the text that is stored; NULL: too large or out of memory. */
const char *atl_sampling_text(struct atl_arena *arena, const struct atl_sampling *sampling);
/* Only what is set, as a JSON object. */
void atl_sampling_write(struct atl_jw *w, const char *key, const struct atl_sampling *sampling);

#endif
