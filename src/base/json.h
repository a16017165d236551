/* json.h - JSON: a read-only tree, a streaming writer, and descriptor tables that decode into structs.
 *
 * Descriptor tables are the one place that names a request's or answer's fields: handlers decode and encode through
 * them, and the OpenAPI document is generated from them.
 *
 * Life cycle: trees live in the arena they were parsed into. Threads: pure functions.
 * Limits:     ATL_JSON_DEPTH_MAX nested levels; text must be strict UTF-8 without NUL (also as \u0000) and without
 *             byte order mark; numbers must fit a double. The parser is ours (json_parse.c), see
 *             docs/decisions/0002-json.md.
 * Adding one: a descriptor table: docs/base.md.
 */
#ifndef ATL_BASE_JSON_H
#define ATL_BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"

#define ATL_JSON_DEPTH_MAX 64

/* ---- tree ---- */
enum atl_json_kind { ATL_JSON_NULL, ATL_JSON_BOOL, ATL_JSON_NUMBER, ATL_JSON_STRING, ATL_JSON_ARRAY, ATL_JSON_OBJECT };

struct atl_json {
	enum atl_json_kind kind;
	const char *key;	/* inside an object, else NULL */
	const char *string;	/* STRING; NUL-terminated */
	size_t string_length;
	double number;		/* NUMBER; for BOOL 0 or 1 */
	bool is_integer;	/* NUMBER that was written as an integer and fits int64 */
	int64_t integer;
	struct atl_json *child; /* first of ARRAY/OBJECT */
	struct atl_json *next;
	size_t count;		/* children */
};

/* Errors: JSON (detail says where and what), ENCODING (not UTF-8), NOMEM (arena full). `text` is not kept. */
enum atl_err atl_json_parse(struct atl_arena *arena, const char *text, size_t length, struct atl_json **ret,
			    struct atl_errinfo *info) ATL_MUST_USE;
/* As above without a copy, for large texts: the tree's strings lie in `text`, which is spoiled and must outlive them.
 * text[length] must be NUL. What is wrong is told by its byte. */
enum atl_err atl_json_parse_in_place(struct atl_arena *arena, char *text, size_t length, struct atl_json **ret,
				     struct atl_errinfo *info) ATL_MUST_USE;

/* All of these accept NULL and wrong kinds and then return NULL / the fallback. A duplicate key: the last one wins. */
const struct atl_json *atl_json_get(const struct atl_json *object, const char *key);
const struct atl_json *atl_json_at(const struct atl_json *array, size_t index);
const struct atl_json *atl_json_path(const struct atl_json *root, const char *path); /* "choices.0.delta.content" */
const char *atl_json_str(const struct atl_json *object, const char *key, const char *fallback);
bool atl_json_integer(const struct atl_json *node, int64_t *ret) ATL_MUST_USE; /* 5 and 5.0, not 5.5 */
int64_t atl_json_int(const struct atl_json *object, const char *key, int64_t fallback);
double atl_json_num(const struct atl_json *object, const char *key, double fallback);
bool atl_json_bool(const struct atl_json *object, const char *key, bool fallback);

/* ---- writer: straight into a buffer; commas and escapes are its business ---- */
#define ATL_JSON_WRITER_DEPTH 80 /* a parsed tree (ATL_JSON_DEPTH_MAX) inside a document */
struct atl_jw {
	struct atl_buf *out;
	unsigned depth;
	bool comma[ATL_JSON_WRITER_DEPTH];
};

void atl_jw_init(struct atl_jw *w, struct atl_buf *out);
void atl_jw_object(struct atl_jw *w, const char *key); /* key NULL: array item or root */
void atl_jw_end_object(struct atl_jw *w);
void atl_jw_array(struct atl_jw *w, const char *key);
void atl_jw_end_array(struct atl_jw *w);
void atl_jw_str(struct atl_jw *w, const char *key, const char *text); /* NULL text: null. Invalid UTF-8 becomes U+FFFD */
void atl_jw_strn(struct atl_jw *w, const char *key, const char *text, size_t length);
void atl_jw_int(struct atl_jw *w, const char *key, int64_t value);
void atl_jw_num(struct atl_jw *w, const char *key, double value); /* shortest form that reads back; not finite: null */
void atl_jw_bool(struct atl_jw *w, const char *key, bool value);
void atl_jw_null(struct atl_jw *w, const char *key);
void atl_jw_time(struct atl_jw *w, const char *key, int64_t ms); /* RFC 3339; 0: null */
void atl_jw_raw(struct atl_jw *w, const char *key, const char *json); /* trusted JSON text; NULL or "": null */
void atl_jw_tree(struct atl_jw *w, const char *key, const struct atl_json *value);

/* ---- descriptor tables ---- */
enum atl_jt {
	ATL_JT_STR,	/* const char *      min/max: code points */
	ATL_JT_INT,	/* int64_t           min/max: value; NULLABLE: 0 is null */
	ATL_JT_NUM,	/* double            min/max: value */
	ATL_JT_BOOL,	/* bool */
	ATL_JT_TIME,	/* int64_t ms        RFC 3339 in JSON; 0 is null */
	ATL_JT_ENUM,	/* const char *      one of `values` */
	ATL_JT_STRS,	/* struct atl_strs   min/max: count; item length <= item_max */
	ATL_JT_ANY,	/* const struct atl_json *   any JSON value, kept as a tree; encoded by atl_jw_tree */
	ATL_JT_RAW,	/* const char *      any JSON value as compact text */
	ATL_JT_OBJ,	/* const void *      pointer to sub's struct, NULL is null */
	ATL_JT_LIST	/* struct atl_items  array of sub's structs; min/max: count */
};
enum {
	ATL_JF_REQUIRED = 1,	/* must be there when decoding; always there when encoding */
	ATL_JF_NULLABLE = 2,	/* null is accepted (and counts as present, with a zero value) */
	ATL_JF_OMIT = 4,	/* encoding: leave out when zero */
	ATL_JF_SECRET = 8	/* write-only: never encoded, masked in documents */
};

struct atl_strs {
	const char **items;
	size_t count;
};
struct atl_items {
	void *items; /* array of structs, sub->size each */
	size_t count;
};

struct atl_json_desc;
struct atl_json_field {
	const char *name;
	enum atl_jt type;
	size_t offset;
	unsigned flags;
	double min, max; /* both 0: no bound (strings: ATL_JSON_STR_MAX); max < min: no upper bound */
	const struct atl_json_desc *sub;
	const char *const *values; /* ENUM: NULL-terminated */
	const char *doc;
	unsigned item_max; /* STRS: code points of one item, 0: ATL_JSON_STR_MAX */
};
struct atl_json_desc {
	const char *name; /* schema name in the OpenAPI document: "CharacterInput" */
	const char *doc;
	const struct atl_json_field *fields;
	size_t field_count; /* at most ATL_JSON_FIELDS_MAX */
	size_t size;	       /* of the struct */
	size_t present_offset; /* of a uint64_t bit mask (bit i: field i was there), or ATL_JSON_NO_PRESENT */
	bool open;	       /* unknown keys are accepted and ignored; otherwise they are an error that names them */
};
#define ATL_JSON_NO_PRESENT ((size_t)-1)
#define ATL_JSON_FIELDS_MAX 64
#define ATL_JSON_STR_MAX 1000000

/* Decode `value` into `out` (desc->size bytes, zeroed here first; on error its content means nothing).
 * Strings and trees stay those of `value`. Errors: INVALID, naming the field's path ("messages.0.content"); NOMEM. */
enum atl_err atl_json_decode(struct atl_arena *arena, const struct atl_json *value, const struct atl_json_desc *desc,
			     void *out, struct atl_errinfo *info) ATL_MUST_USE;
/* Was field `name` in the decoded document? (PATCH) */
bool atl_json_has(const struct atl_json_desc *desc, const void *decoded, const char *name);
void atl_json_encode(struct atl_jw *w, const char *key, const struct atl_json_desc *desc, const void *value);
/* Write the JSON Schema (2020-12) of a descriptor; nested descriptors as "#/components/schemas/NAME" references. */
void atl_json_schema(struct atl_jw *w, const char *key, const struct atl_json_desc *desc);

#endif
