/* recall.h - the members of struct atl_recall as a table, and helpers that fill them. Used by the readers.
 *
 * Threads: pure functions.
 * Adding one: a member in metadata.h and a row in recall.c; JSON, copying and reading our own files follow.
 */
#ifndef ATL_MEDIA_RECALL_H
#define ATL_MEDIA_RECALL_H

#include "base/json.h"
#include "media/metadata.h"

enum atl_recall_kind { ATL_RECALL_TEXT, ATL_RECALL_INT, ATL_RECALL_NUM };
struct atl_recall_field {
	const char *name; /* in our JSON */
	enum atl_recall_kind kind;
	size_t offset;
	const char *a1111; /* its key in A1111's line; NULL: it is not one of the plain ones */
};
extern const struct atl_recall_field ATL_RECALL_FIELDS[];
extern const size_t ATL_RECALL_FIELD_COUNT;

const struct atl_recall_field *atl_recall_field(const char *name);
/* Set a member from text ("20", "7.5", "Euler a") or from a JSON string or number. What does not fit is left unset. */
void atl_recall_set_text(struct atl_arena *arena, struct atl_recall *recall, const struct atl_recall_field *field,
			 const char *text);
void atl_recall_set_json(struct atl_arena *arena, struct atl_recall *recall, const char *name,
			 const struct atl_json *value);

struct atl_recall_alias {
	const char *from, *name; /* the other tool's member, ours */
};
void atl_recall_set_all(struct atl_arena *arena, struct atl_recall *recall, const struct atl_json *object,
			const struct atl_recall_alias *aliases, size_t count);
const char *atl_model_stem(struct atl_arena *arena, const char *path); /* "SDXL/base_v1.safetensors" -> "base_v1" */
/* A deep copy into another arena; false: no memory. */
bool atl_recall_copy(struct atl_arena *arena, const struct atl_recall *from, struct atl_recall *ret) ATL_MUST_USE;
/* Move `<lora:name:weight>` from the prompt to the list. */
void atl_recall_take_loras(struct atl_arena *arena, struct atl_recall *recall);

/* JSON of other tools: NaN and Infinity become null, what a strict parser refuses inside strings U+FFFD.
 * NULL: no JSON object. *ret_text is the repaired text. */
struct atl_json *atl_json_tolerant(struct atl_arena *arena, const char *text, size_t length, const char **ret_text);

#endif
