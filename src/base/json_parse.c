/* json_parse.c - text to tree: strict RFC 8259, one pass.
 *
 * The text is copied into the arena once, or taken as it is; strings are unescaped inside it and end where their closing
 * quote was.
 * Recursion is bounded by ATL_JSON_DEPTH_MAX.
 */
#include "base/json.h"

#include <string.h>

#include "base/str.h"

struct parser {
	struct atl_arena *arena;
	char *start, *p, *end; /* the copy; *end is NUL */
	unsigned depth;
	enum atl_err err;
	const char *what; /* wrong at p */
};

static bool fail(struct parser *parser, enum atl_err err, const char *at, const char *what)
{
	parser->err = err;
	parser->what = what;
	parser->p = parser->start + (at - parser->start);
	return false;
}

static bool wrong(struct parser *parser, const char *what)
{
	return fail(parser, ATL_ERR_JSON, parser->p, what);
}

static void skip_space(struct parser *parser)
{
	while (*parser->p == ' ' || *parser->p == '\n' || *parser->p == '\r' || *parser->p == '\t')
		parser->p++;
}

static int hex4(const char *p)
{
	int value = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i]; /* a NUL ends the copy, and is no digit */

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return value;
}

static char *put_utf8(char *out, unsigned c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xC0 | c >> 6);
		*out++ = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		*out++ = (char)(0xE0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 63));
		*out++ = (char)(0x80 | (c & 63));
	} else {
		*out++ = (char)(0xF0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 63));
		*out++ = (char)(0x80 | (c >> 6 & 63));
		*out++ = (char)(0x80 | (c & 63));
	}
	return out;
}

/* \uXXXX at p (after the u); surrogates must come as a pair. */
static bool unicode_escape(struct parser *parser, char **out)
{
	int c = hex4(parser->p), low;

	if (c < 0)
		return wrong(parser, "\\u needs four hexadecimal digits");
	if (c == 0)
		return wrong(parser, "\\u0000 is not accepted");
	parser->p += 4;
	if (c >= 0xD800 && c <= 0xDFFF) {
		low = c < 0xDC00 && parser->p[0] == '\\' && parser->p[1] == 'u' ? hex4(parser->p + 2) : -1;
		if (low < 0xDC00 || low > 0xDFFF)
			return wrong(parser, "half of a surrogate pair");
		parser->p += 6;
		c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
	}
	*out = put_utf8(*out, (unsigned)c);
	return true;
}

/* p is after the backslash. The result is never longer than its escape. */
static bool escape(struct parser *parser, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = *parser->p ? strchr(from, *parser->p) : NULL;

	if (at) {
		parser->p++;
		*(*out)++ = to[at - from];
		return true;
	}
	if (*parser->p != 'u')
		return wrong(parser, "unknown escape");
	parser->p++;
	return unicode_escape(parser, out);
}

/* p is after the opening quote. */
static bool parse_string(struct parser *parser, const char **ret, size_t *ret_length)
{
	char *text = parser->p, *out = parser->p;

	for (;;) {
		unsigned char c = (unsigned char)*parser->p;

		if (c >= 0x80) {
			size_t size = atl_utf8_char(parser->p, (size_t)(parser->end - parser->p));

			if (!size)
				return fail(parser, ATL_ERR_ENCODING, parser->p, "invalid UTF-8");
			if (out != parser->p)
				memmove(out, parser->p, size);
			out += size;
			parser->p += size;
		} else if (c == '"') {
			parser->p++;
			break;
		} else if (c == '\\') {
			parser->p++;
			if (!escape(parser, &out))
				return false;
		} else if (c < 0x20) {
			return wrong(parser, parser->p == parser->end ? "the text ends inside a string" :
									"a control character must be escaped");
		} else {
			*out++ = (char)c;
			parser->p++;
		}
	}
	*out = '\0';
	*ret = text;
	*ret_length = (size_t)(out - text);
	return true;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* p is at '-' or a digit. Integers are taken from the text, so all of int64 is exact. */
static bool parse_number(struct parser *parser, struct atl_json *node)
{
	char *start = parser->p, *p = start, after;
	bool negative = *p == '-', exact = true, fits = true, ok;
	uint64_t value = 0;

	p += negative;
	if (!digit(*p))
		return fail(parser, ATL_ERR_JSON, p, "a digit is missing");
	if (*p == '0' && digit(p[1]))
		return fail(parser, ATL_ERR_JSON, p, "a number must not start with 0");
	for (; digit(*p); p++)
		fits = fits && !__builtin_mul_overflow(value, 10u, &value) &&
		       !__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
	if (*p == '.') {
		exact = false;
		if (!digit(*++p))
			return fail(parser, ATL_ERR_JSON, p, "a digit is missing");
		while (digit(*p))
			p++;
	}
	if (*p == 'e' || *p == 'E') {
		exact = false;
		p++;
		p += *p == '+' || *p == '-';
		if (!digit(*p))
			return fail(parser, ATL_ERR_JSON, p, "a digit is missing");
		while (digit(*p))
			p++;
	}
	node->kind = ATL_JSON_NUMBER;
	if (exact && fits && value <= (uint64_t)INT64_MAX + negative) {
		node->is_integer = true;
		node->integer = negative ? (int64_t)(0 - value) : (int64_t)value;
		node->number = negative && !value ? -0.0 : (double)node->integer;
		parser->p = p;
		return true;
	}
	after = *p;
	*p = '\0';
	ok = atl_str_double(start, &node->number);
	*p = after;
	if (!ok)
		return wrong(parser, "the number is too large");
	parser->p = p;
	return true;
}

static bool parse_word(struct parser *parser, const char *word, size_t length)
{
	if (strncmp(parser->p, word, length) != 0)
		return wrong(parser, "a value is missing");
	parser->p += length;
	return true;
}

static bool parse_value(struct parser *parser, struct atl_json *node);

static struct atl_json *node_add(struct parser *parser, struct atl_json *parent, struct atl_json **last)
{
	struct atl_json *node = ATL_ARENA_NEW(parser->arena, struct atl_json);

	if (!node) {
		(void)fail(parser, ATL_ERR_NOMEM, parser->p, "there is no memory for so many values");
		return NULL;
	}
	if (*last)
		(*last)->next = node;
	else
		parent->child = node;
	*last = node;
	parent->count++;
	return node;
}

static bool parse_key(struct parser *parser, struct atl_json *node)
{
	size_t length;

	skip_space(parser);
	if (*parser->p != '"')
		return wrong(parser, "a key in quotes is missing");
	parser->p++;
	if (!parse_string(parser, &node->key, &length))
		return false;
	skip_space(parser);
	if (*parser->p != ':')
		return wrong(parser, "a colon is missing");
	parser->p++;
	return true;
}

/* p is after the opening bracket. */
static bool parse_items(struct parser *parser, struct atl_json *parent, char close)
{
	struct atl_json *last = NULL, *node;

	if (++parser->depth > ATL_JSON_DEPTH_MAX)
		return wrong(parser, "it is nested too deeply");
	skip_space(parser);
	if (*parser->p != close) {
		for (;;) {
			node = node_add(parser, parent, &last);
			if (!node || (parent->kind == ATL_JSON_OBJECT && !parse_key(parser, node)) ||
			    !parse_value(parser, node))
				return false;
			skip_space(parser);
			if (*parser->p != ',')
				break;
			parser->p++;
		}
	}
	if (*parser->p != close)
		return wrong(parser, close == '}' ? "a comma or } is missing" : "a comma or ] is missing");
	parser->p++;
	parser->depth--;
	return true;
}

static bool parse_value(struct parser *parser, struct atl_json *node)
{
	skip_space(parser);
	switch (*parser->p) {
	case '{':
		parser->p++;
		node->kind = ATL_JSON_OBJECT;
		return parse_items(parser, node, '}');
	case '[':
		parser->p++;
		node->kind = ATL_JSON_ARRAY;
		return parse_items(parser, node, ']');
	case '"':
		parser->p++;
		node->kind = ATL_JSON_STRING;
		return parse_string(parser, &node->string, &node->string_length);
	case 't':
		node->kind = ATL_JSON_BOOL;
		node->number = 1;
		return parse_word(parser, "true", 4);
	case 'f':
		node->kind = ATL_JSON_BOOL;
		return parse_word(parser, "false", 5);
	case 'n':
		return parse_word(parser, "null", 4);
	default:
		if (*parser->p == '-' || digit(*parser->p))
			return parse_number(parser, node);
		return wrong(parser, parser->p == parser->end ? "the text ends too early" : "a value is missing");
	}
}

/* `text` is the unchanged text for telling lines, or NULL: it was spoiled. */
static enum atl_err parse_all(struct parser *parser, const char *text, struct atl_json **ret, struct atl_errinfo *info)
{
	struct atl_json *root = ATL_ARENA_NEW(parser->arena, struct atl_json);
	size_t line = 1, column = 1, at;

	if (!root)
		return atl_fail(info, ATL_ERR_NOMEM, "There is no memory for JSON.");
	parser->p = parser->start;
	if (parse_value(parser, root)) {
		skip_space(parser);
		if (parser->p == parser->end) {
			*ret = root;
			return ATL_OK;
		}
		(void)wrong(parser, "there is something after the value");
	}
	at = (size_t)(parser->p - parser->start);
	if (!text)
		return atl_fail(info, parser->err, "Byte %zu: %s.", at + 1, parser->what);
	for (size_t i = 0; i < at; i++) {
		column = text[i] == '\n' ? 1 : column + 1;
		line += text[i] == '\n';
	}
	return atl_fail(info, parser->err, "Line %zu, column %zu: %s.", line, column, parser->what);
}

enum atl_err atl_json_parse(struct atl_arena *arena, const char *text, size_t length, struct atl_json **ret,
			    struct atl_errinfo *info)
{
	struct parser parser = { .arena = arena };

	if (!text) {
		text = "";
		length = 0;
	}
	parser.start = atl_arena_strndup(arena, text, length);
	if (!parser.start)
		return atl_fail(info, ATL_ERR_NOMEM, "There is no memory for %zu bytes of JSON.", length);
	parser.end = parser.start + length;
	return parse_all(&parser, text, ret, info);
}

enum atl_err atl_json_parse_in_place(struct atl_arena *arena, char *text, size_t length, struct atl_json **ret,
				     struct atl_errinfo *info)
{
	struct parser parser = { .arena = arena, .start = text, .end = text + length };

	return parse_all(&parser, NULL, ret, info);
}
