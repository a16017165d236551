/* openai_scan.h - reads an OpenAI request body without taking it apart: where `model` and `stream` stand, and which
 * texts it carries. The relay then forwards the client's own bytes, changed only at the places found here.
 *
 * One pass, strict: what atl_json_parse() refuses is refused here too (but for numbers too large for a double), so that
 * no reader behind us sees another document than the one that was judged. A key the relay acts on may stand only once.
 *
 * Texts are all string values but those that never reach a model as text: known role and type words, the model's name,
 * pictures and sounds. Values of unknown keys count as text, so nothing passes the policy by an odd name.
 *
 * Threads:    pure functions. Ownership: spans point into the body, unescaped texts live in the arena.
 * Limits:     ATL_JSON_DEPTH_MAX, ATL_OPENAI_TEXTS_MAX.
 */
#ifndef ATL_API_OPENAI_SCAN_H
#define ATL_API_OPENAI_SCAN_H

#include "base/arena.h"
#include "base/buf.h"
#include "core/safety/policy.h"

#define ATL_OPENAI_TEXTS_MAX 100000

struct atl_span { /* length 0: not there */
	size_t at, length;
};

struct atl_openai_body {
	struct atl_span model;	       /* the value with its quotes */
	const char *model_name;	       /* unescaped; NULL: absent or null */
	struct atl_span messages;      /* the array */
	struct atl_span stream_options; /* the object, or null */
	struct atl_span include_usage; /* the value inside it */
	size_t inside;		       /* the place after the root's opening brace */
	bool stream, wants_usage;
	bool empty_root, empty_options; /* no members */
	struct atl_policy_text *texts;
	size_t text_count;
};

/* Errors: JSON, ENCODING, INVALID (naming the field), TOO_LARGE (texts), NOMEM. */
enum atl_err atl_openai_scan(struct atl_arena *arena, const char *body, size_t length, struct atl_openai_body *ret,
			     struct atl_errinfo *info) ATL_MUST_USE;

/* One change of the body: `span` becomes `text`; an empty span inserts. */
struct atl_openai_edit {
	struct atl_span span;
	const char *text;
	size_t length;
};
/* The body with the edits applied; they may come in any order but must not overlap. NULL: out of memory. */
char *atl_openai_edit(struct atl_arena *arena, const char *body, size_t length, struct atl_openai_edit *edits,
		      size_t count, size_t *ret_length);
/* `text` as JSON string with its quotes, in the arena; NULL: out of memory. */
char *atl_openai_quote(struct atl_arena *arena, const char *text, size_t *ret_length);

#endif
