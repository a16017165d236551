/* openai_scan.c - the one pass over a request body; see openai_scan.h. */
#include "api/openai_scan.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/str.h"

/* The keys that mean something here. */
enum key {
	KEY_OTHER,
	KEY_MODEL,
	KEY_MESSAGES,
	KEY_STREAM,
	KEY_STREAM_OPTIONS,
	KEY_INCLUDE_USAGE,
	KEY_ROLE,
	KEY_TYPE,
	KEY_IMAGE_URL,
	KEY_INPUT_AUDIO,
	KEY_FILE,
	KEY_URL,
	KEY_DATA,
	KEY_FILE_DATA,
	KEY_DETAIL,
	KEY_FORMAT
};
static const struct {
	const char *name;
	size_t length;
} keys[] = {
#define K(text) { text, sizeof(text) - 1 }
	[KEY_MODEL] = K("model"),	      [KEY_MESSAGES] = K("messages"),
	[KEY_STREAM] = K("stream"),	      [KEY_STREAM_OPTIONS] = K("stream_options"),
	[KEY_INCLUDE_USAGE] = K("include_usage"), [KEY_ROLE] = K("role"),
	[KEY_TYPE] = K("type"),		      [KEY_IMAGE_URL] = K("image_url"),
	[KEY_INPUT_AUDIO] = K("input_audio"), [KEY_FILE] = K("file"),
	[KEY_URL] = K("url"),		      [KEY_DATA] = K("data"),
	[KEY_FILE_DATA] = K("file_data"),     [KEY_DETAIL] = K("detail"),
	[KEY_FORMAT] = K("format"),
#undef K
};

static enum key find_key(const char *text, size_t length)
{
	for (enum key key = KEY_MODEL; key < (enum key)ATL_COUNT(keys); key++)
		if (keys[key].length == length && memcmp(keys[key].name, text, length) == 0)
			return key;
	return KEY_OTHER;
}

/* The place of a value, as far as it matters. */
enum where { IN_ROOT_VALUE, IN_ROOT, IN_OPTIONS, IN_PICTURE, IN_OTHER };

struct scan {
	struct atl_arena *arena;
	const char *body, *p, *end;
	unsigned depth;
	enum atl_err err;
	const char *what;
	const char *field; /* for INVALID */
	size_t text_room;
	bool stream_seen;
	struct atl_openai_body out;
};

static bool fail(struct scan *scan, enum atl_err err, const char *what)
{
	scan->err = err;
	scan->what = what;
	return false;
}

static bool invalid(struct scan *scan, const char *field, const char *what)
{
	scan->field = field;
	return fail(scan, ATL_ERR_INVALID, what);
}

static char peek(const struct scan *scan)
{
	return scan->p < scan->end ? *scan->p : '\0';
}

static void skip_space(struct scan *scan)
{
	while (scan->p < scan->end && (*scan->p == ' ' || *scan->p == '\n' || *scan->p == '\r' || *scan->p == '\t'))
		scan->p++;
}

static int hex4(const struct scan *scan, const char *p)
{
	int value = 0;

	if (scan->end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int c = (unsigned char)p[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			value = value * 16 + ((c | 32) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

static char *put_utf8(char *out, unsigned c)
{
	if (c < 0x80) {
		*out++ = (char)c;
		return out;
	}
	if (c < 0x800) {
		*out++ = (char)(0xC0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*out++ = (char)(0xE0 | c >> 12);
		} else {
			*out++ = (char)(0xF0 | c >> 18);
			*out++ = (char)(0x80 | (c >> 12 & 63));
		}
		*out++ = (char)(0x80 | (c >> 6 & 63));
	}
	*out++ = (char)(0x80 | (c & 63));
	return out;
}

/* A string as it stands in the body. */
struct text {
	const char *start; /* after the quote */
	size_t length;	   /* raw */
	bool escaped;
};

/* p is after the backslash. */
static bool check_escape(struct scan *scan)
{
	int c;

	if (scan->p < scan->end && *scan->p != 'u') {
		if (!memchr("\"\\/bfnrt", *scan->p, 8))
			return fail(scan, ATL_ERR_JSON, "unknown escape");
		scan->p++;
		return true;
	}
	c = scan->p < scan->end ? hex4(scan, scan->p + 1) : -1;
	if (c < 0)
		return fail(scan, ATL_ERR_JSON, "\\u needs four hexadecimal digits");
	if (c == 0)
		return fail(scan, ATL_ERR_JSON, "\\u0000 is not accepted");
	scan->p += 5;
	if (c < 0xD800 || c > 0xDFFF)
		return true;
	if (c < 0xDC00 && scan->end - scan->p >= 6 && scan->p[0] == '\\' && scan->p[1] == 'u') {
		c = hex4(scan, scan->p + 2);
		if (c >= 0xDC00 && c <= 0xDFFF) {
			scan->p += 6;
			return true;
		}
	}
	return fail(scan, ATL_ERR_JSON, "half of a surrogate pair");
}

/* p is at the opening quote. */
static bool scan_string(struct scan *scan, struct text *ret)
{
	const char *start = ++scan->p;

	ret->escaped = false;
	for (;;) {
		unsigned char c;
		size_t size;

		if (scan->p == scan->end)
			return fail(scan, ATL_ERR_JSON, "the text ends inside a string");
		c = (unsigned char)*scan->p;
		if (c == '"')
			break;
		if (c == '\\') {
			ret->escaped = true;
			scan->p++;
			if (!check_escape(scan))
				return false;
		} else if (c >= 0x80) {
			size = atl_utf8_char(scan->p, (size_t)(scan->end - scan->p));
			if (!size)
				return fail(scan, ATL_ERR_ENCODING, "invalid UTF-8");
			scan->p += size;
		} else if (c < 0x20) {
			return fail(scan, ATL_ERR_JSON, "a control character must be escaped");
		} else {
			scan->p++;
		}
	}
	ret->start = start;
	ret->length = (size_t)(scan->p - start);
	scan->p++;
	return true;
}

/* The checked raw text without its escapes, into `out` (length + 1 bytes suffice). */
static size_t unescape(const struct scan *scan, const struct text *text, char *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *p = text->start, *end = text->start + text->length;
	char *at = out;

	while (p < end) {
		int c, low;

		if (*p != '\\') {
			*at++ = *p++;
			continue;
		}
		if (p[1] != 'u') {
			*at++ = to[strchr(from, p[1]) - from];
			p += 2;
			continue;
		}
		c = hex4(scan, p + 2);
		p += 6;
		if (c >= 0xD800 && c <= 0xDBFF) {
			low = hex4(scan, p + 2);
			c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
			p += 6;
		}
		at = put_utf8(at, (unsigned)c);
	}
	*at = '\0';
	return (size_t)(at - out);
}

/* ---- what a value means ---- */

static bool is_word(const struct text *text, const char *const *words)
{
	for (; *words; words++)
		if (strlen(*words) == text->length && memcmp(*words, text->start, text->length) == 0)
			return true;
	return false;
}

/* Strings that are the protocol's, not the user's. */
static bool is_protocol(enum key key, enum where where, const struct text *text)
{
	static const char *const roles[] = { "system", "developer", "user", "assistant", "tool", "function", NULL };
	static const char *const types[] = { "text",	  "image_url", "input_audio", "file",	    "function", "object",
					     "string",	  "number",    "integer",     "boolean",    "array",	"null",
					     "json_schema", "json_object", "refusal", NULL };

	if (where == IN_PICTURE)
		return key == KEY_URL || key == KEY_DATA || key == KEY_FILE_DATA ||
		       key == KEY_DETAIL || key == KEY_FORMAT;
	if (key == KEY_ROLE)
		return is_word(text, roles);
	if (key == KEY_TYPE)
		return is_word(text, types);
	if (key == KEY_IMAGE_URL) /* some clients write it without the object around it */
		return text->length > 11 && memcmp(text->start, "data:image/", 11) == 0;
	return false;
}

static bool add_text(struct scan *scan, const struct text *text)
{
	struct atl_openai_body *out = &scan->out;
	struct atl_policy_text piece = { text->start, text->length };

	if (!text->length)
		return true;
	if (text->escaped) {
		char *plain = atl_arena_alloc(scan->arena, text->length + 1);

		if (!plain)
			return fail(scan, ATL_ERR_NOMEM, "there is no memory for so much text");
		piece.text = plain;
		piece.length = unescape(scan, text, plain);
	}
	if (out->text_count == scan->text_room) {
		size_t room = scan->text_room ? scan->text_room * 2 : 16;
		struct atl_policy_text *more;

		if (out->text_count >= ATL_OPENAI_TEXTS_MAX)
			return fail(scan, ATL_ERR_TOO_LARGE, "it has too many texts");
		more = ATL_ARENA_ARRAY(scan->arena, struct atl_policy_text, room);
		if (!more)
			return fail(scan, ATL_ERR_NOMEM, "there is no memory for so many texts");
		if (out->text_count)
			memcpy(more, out->texts, out->text_count * sizeof(*more));
		out->texts = more;
		scan->text_room = room;
	}
	out->texts[out->text_count++] = piece;
	return true;
}

static bool take_string(struct scan *scan, enum key key, enum where where)
{
	size_t at = (size_t)(scan->p - scan->body);
	struct text text;
	char *name;

	if (!scan_string(scan, &text))
		return false;
	if (where == IN_ROOT && key == KEY_MODEL) {
		name = atl_arena_alloc(scan->arena, text.length + 1);
		if (!name)
			return fail(scan, ATL_ERR_NOMEM, "there is no memory for the model's name");
		unescape(scan, &text, name);
		scan->out.model = (struct atl_span){ at, text.length + 2 };
		scan->out.model_name = name;
		return true;
	}
	return is_protocol(key, where, &text) || add_text(scan, &text);
}

static bool take_number(struct scan *scan)
{
	if (peek(scan) == '-')
		scan->p++;
	if (peek(scan) < '0' || peek(scan) > '9')
		return fail(scan, ATL_ERR_JSON, "a digit is missing");
	if (*scan->p == '0' && scan->end - scan->p > 1 && scan->p[1] >= '0' && scan->p[1] <= '9')
		return fail(scan, ATL_ERR_JSON, "a number must not start with 0");
	while (peek(scan) >= '0' && peek(scan) <= '9')
		scan->p++;
	if (peek(scan) == '.') {
		scan->p++;
		if (peek(scan) < '0' || peek(scan) > '9')
			return fail(scan, ATL_ERR_JSON, "a digit is missing");
		while (peek(scan) >= '0' && peek(scan) <= '9')
			scan->p++;
	}
	if ((peek(scan) | 32) == 'e') {
		scan->p++;
		if (peek(scan) == '+' || peek(scan) == '-')
			scan->p++;
		if (peek(scan) < '0' || peek(scan) > '9')
			return fail(scan, ATL_ERR_JSON, "a digit is missing");
		while (peek(scan) >= '0' && peek(scan) <= '9')
			scan->p++;
	}
	return true;
}

static bool take_word(struct scan *scan, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(scan->end - scan->p) < length || memcmp(scan->p, word, length) != 0)
		return fail(scan, ATL_ERR_JSON, "a value is missing");
	scan->p += length;
	return true;
}

static bool take_value(struct scan *scan, enum key key, enum where where);

/* Where the members of the value at `key` are. */
static enum where below(enum key key, enum where where)
{
	if (where == IN_ROOT_VALUE)
		return IN_ROOT;
	if (where == IN_ROOT && key == KEY_STREAM_OPTIONS)
		return IN_OPTIONS;
	if (key == KEY_IMAGE_URL || key == KEY_INPUT_AUDIO || key == KEY_FILE)
		return IN_PICTURE;
	return IN_OTHER;
}

/* Before a member of the root or of stream_options: the keys the relay acts on stand once and are of the right kind. */
static bool check_member(struct scan *scan, enum key key, enum where where)
{
	struct atl_openai_body *out = &scan->out;
	char c = peek(scan);
	struct atl_span *span = NULL;

	if (scan->p == scan->end || (where != IN_ROOT && where != IN_OPTIONS))
		return true; /* a missing value is told of as such */
	if (where == IN_ROOT && key == KEY_MODEL) {
		if (out->model.length)
			return invalid(scan, "model", "The key stands twice.");
		if (c != '"')
			return invalid(scan, "model", "The model is named by a text.");
		return true;
	}
	if (where == IN_ROOT && key == KEY_MESSAGES) {
		span = &out->messages;
		if (c != '[')
			return invalid(scan, "messages", "The messages are a list.");
	} else if (where == IN_ROOT && key == KEY_STREAM_OPTIONS) {
		span = &out->stream_options;
		if (c != '{' && c != 'n')
			return invalid(scan, "stream_options", "The options are an object.");
	} else if (where == IN_OPTIONS && key == KEY_INCLUDE_USAGE) {
		span = &out->include_usage;
		if (c != 't' && c != 'f' && c != 'n')
			return invalid(scan, "stream_options.include_usage", "This is true or false.");
		out->wants_usage = c == 't';
	} else if (where == IN_ROOT && key == KEY_STREAM) {
		if (c != 't' && c != 'f' && c != 'n')
			return invalid(scan, "stream", "This is true or false.");
		if (scan->stream_seen)
			return invalid(scan, "stream", "The key stands twice.");
		scan->stream_seen = true;
		out->stream = c == 't';
	}
	if (span && span->length)
		return invalid(scan, keys[key].name, "The key stands twice.");
	if (span)
		*span = (struct atl_span){ (size_t)(scan->p - scan->body), 1 }; /* its length comes after the value */
	return true;
}

static struct atl_span *span_of(struct scan *scan, enum key key, enum where where)
{
	if (where == IN_ROOT && key == KEY_MESSAGES)
		return &scan->out.messages;
	if (where == IN_ROOT && key == KEY_STREAM_OPTIONS)
		return &scan->out.stream_options;
	return where == IN_OPTIONS && key == KEY_INCLUDE_USAGE ? &scan->out.include_usage : NULL;
}

static bool take_key(struct scan *scan, enum key *ret)
{
	struct text text;

	skip_space(scan);
	if (peek(scan) != '"')
		return fail(scan, ATL_ERR_JSON, "a key in quotes is missing");
	if (!scan_string(scan, &text))
		return false;
	if (text.escaped) {
		char *plain = atl_arena_alloc(scan->arena, text.length + 1);

		if (!plain)
			return fail(scan, ATL_ERR_NOMEM, "there is no memory for a key");
		*ret = find_key(plain, unescape(scan, &text, plain));
	} else {
		*ret = find_key(text.start, text.length);
	}
	skip_space(scan);
	if (peek(scan) != ':')
		return fail(scan, ATL_ERR_JSON, "a colon is missing");
	scan->p++;
	skip_space(scan);
	return true;
}

static bool take_member(struct scan *scan, enum where where)
{
	enum key key = KEY_OTHER;
	struct atl_span *span;

	if (!take_key(scan, &key) || !check_member(scan, key, where) || !take_value(scan, key, where))
		return false;
	span = span_of(scan, key, where);
	if (span)
		span->length = (size_t)(scan->p - scan->body) - span->at;
	return true;
}

/* p is at the opening bracket. Items of a list stand where the list stands: parts of a message keep their key. */
static bool take_items(struct scan *scan, enum key key, enum where where)
{
	bool object = *scan->p == '{';
	char close = object ? '}' : ']';
	enum where inner = object ? below(key, where) : where == IN_ROOT ? IN_OTHER : where;

	if (++scan->depth > ATL_JSON_DEPTH_MAX)
		return fail(scan, ATL_ERR_JSON, "it is nested too deeply");
	scan->p++;
	skip_space(scan);
	if (peek(scan) == close) {
		scan->out.empty_root |= object && where == IN_ROOT_VALUE;
		scan->out.empty_options |= object && inner == IN_OPTIONS;
	} else {
		for (;;) {
			skip_space(scan);
			if (object ? !take_member(scan, inner) : !take_value(scan, key, inner))
				return false;
			skip_space(scan);
			if (peek(scan) != ',')
				break;
			scan->p++;
		}
	}
	if (peek(scan) != close || scan->p == scan->end)
		return fail(scan, ATL_ERR_JSON, object ? "a comma or } is missing" : "a comma or ] is missing");
	scan->p++;
	scan->depth--;
	return true;
}

static bool take_value(struct scan *scan, enum key key, enum where where)
{
	skip_space(scan);
	switch (peek(scan)) {
	case '{':
	case '[':
		return take_items(scan, key, where);
	case '"':
		return take_string(scan, key, where);
	case 't':
		return take_word(scan, "true");
	case 'f':
		return take_word(scan, "false");
	case 'n':
		return take_word(scan, "null");
	default:
		if (peek(scan) == '-' || (peek(scan) >= '0' && peek(scan) <= '9'))
			return take_number(scan);
		return fail(scan, ATL_ERR_JSON, scan->p == scan->end ? "the text ends too early" : "a value is missing");
	}
}

enum atl_err atl_openai_scan(struct atl_arena *arena, const char *body, size_t length, struct atl_openai_body *ret,
			     struct atl_errinfo *info)
{
	struct scan scan = { .arena = arena, .body = body, .p = body, .end = body + length };
	bool ok = true;

	skip_space(&scan);
	if (peek(&scan) != '{')
		return atl_fail(info, ATL_ERR_JSON, "The body is a JSON object.");
	scan.out.inside = (size_t)(scan.p - body) + 1;
	ok = take_value(&scan, KEY_OTHER, IN_ROOT_VALUE);
	skip_space(&scan);
	if (ok && scan.p != scan.end)
		ok = fail(&scan, ATL_ERR_JSON, "there is something after the value");
	if (ok) {
		*ret = scan.out;
		return ATL_OK;
	}
	if (scan.err == ATL_ERR_INVALID)
		return atl_fail_field(info, ATL_ERR_INVALID, scan.field, "%s", scan.what);
	return atl_fail(info, scan.err, "Byte %zu of the body: %s.", (size_t)(scan.p - body), scan.what);
}

/* ---- changing it ---- */

static int by_place(const void *a, const void *b)
{
	const struct atl_openai_edit *left = a, *right = b;

	return (left->span.at > right->span.at) - (left->span.at < right->span.at);
}

char *atl_openai_edit(struct atl_arena *arena, const char *body, size_t length, struct atl_openai_edit *edits,
		      size_t count, size_t *ret_length)
{
	size_t total = length, from = 0;
	char *out, *at;

	qsort(edits, count, sizeof(*edits), by_place);
	for (size_t i = 0; i < count; i++)
		total += edits[i].length;
	at = out = atl_arena_alloc(arena, total + 1);
	if (!out)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		memcpy(at, body + from, edits[i].span.at - from);
		at += edits[i].span.at - from;
		memcpy(at, edits[i].text, edits[i].length);
		at += edits[i].length;
		from = edits[i].span.at + edits[i].span.length;
	}
	memcpy(at, body + from, length - from);
	at += length - from;
	*ret_length = (size_t)(at - out);
	return out;
}

char *atl_openai_quote(struct atl_arena *arena, const char *text, size_t *ret_length)
{
	struct atl_buf out;
	struct atl_jw w;
	char *copy = NULL;

	atl_buf_init(&out, 1 << 16);
	atl_jw_init(&w, &out);
	atl_jw_str(&w, NULL, text);
	if (!out.failed) {
		copy = atl_arena_strndup(arena, out.data, out.length);
		*ret_length = out.length;
	}
	atl_buf_finish(&out);
	return copy;
}
