/* json_write.c - the streaming writer. */
#include "base/json.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"

void atl_jw_init(struct atl_jw *w, struct atl_buf *out)
{
	w->out = out;
	w->depth = 0;
	w->comma[0] = false;
}

/* What needs escaping inside a string; UTF-8 is looked at apart. */
static bool plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void put_special(struct atl_buf *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char text[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	switch (c) {
	case '"':
	case '\\':
		text[1] = (char)c;
		break;
	case '\b':
		text[1] = 'b';
		break;
	case '\f':
		text[1] = 'f';
		break;
	case '\n':
		text[1] = 'n';
		break;
	case '\r':
		text[1] = 'r';
		break;
	case '\t':
		text[1] = 't';
		break;
	default:
		atl_buf_add(out, text, 6);
		return;
	}
	atl_buf_add(out, text, 2);
}

/* Runs of bytes that need nothing are added at once. NUL becomes U+FFFD too, as the parser refuses it. */
static void put_string(struct atl_buf *out, const char *text, size_t length)
{
	size_t start = 0, i = 0;

	atl_buf_addc(out, '"');
	while (i < length) {
		unsigned char c = (unsigned char)text[i];
		size_t size;

		if (plain(c)) {
			i++;
			continue;
		}
		size = c ? atl_utf8_char(text + i, length - i) : 0;
		if (size > 1) {
			i += size;
			continue;
		}
		if (i > start)
			atl_buf_add(out, text + start, i - start);
		if (size)
			put_special(out, c);
		else
			atl_buf_adds(out, "\xEF\xBF\xBD");
		start = ++i;
	}
	if (length > start)
		atl_buf_add(out, text + start, length - start);
	atl_buf_addc(out, '"');
}

static void put_int(struct atl_buf *out, int64_t value)
{
	char text[24], *p = text + sizeof(text);
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	if (value < 0)
		*--p = '-';
	atl_buf_add(out, p, (size_t)(text + sizeof(text) - p));
}

static void put_num(struct atl_buf *out, double value)
{
	locale_t c_locale, before;
	char text[40];

	if (!isfinite(value)) {
		atl_buf_adds(out, "null");
		return;
	}
	if (fabs(value) < 1e15 && value == (double)(int64_t)value && !(value == 0 && signbit(value))) {
		put_int(out, (int64_t)value);
		return;
	}
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* a constant of libc: nothing is allocated */
	before = c_locale ? uselocale(c_locale) : (locale_t)0;
	for (int precision = 15; precision <= 17; precision++) {
		double back;

		snprintf(text, sizeof(text), "%.*g", precision, value);
		if (atl_str_double(text, &back) && back == value)
			break;
	}
	if (c_locale) {
		uselocale(before);
		freelocale(c_locale);
	}
	atl_buf_adds(out, text);
}

static void start(struct atl_jw *w, const char *key)
{
	if (w->depth < ATL_JSON_WRITER_DEPTH) {
		if (w->comma[w->depth])
			atl_buf_addc(w->out, ',');
		w->comma[w->depth] = true;
	}
	if (key) {
		put_string(w->out, key, strlen(key));
		atl_buf_addc(w->out, ':');
	}
}

static void begin(struct atl_jw *w, const char *key, char bracket)
{
	start(w, key);
	atl_buf_addc(w->out, bracket);
	if (++w->depth < ATL_JSON_WRITER_DEPTH)
		w->comma[w->depth] = false;
	else
		w->out->failed = true;
}

static void end(struct atl_jw *w, char bracket)
{
	if (w->depth)
		w->depth--;
	else
		w->out->failed = true;
	atl_buf_addc(w->out, bracket);
}

void atl_jw_object(struct atl_jw *w, const char *key)
{
	begin(w, key, '{');
}

void atl_jw_end_object(struct atl_jw *w)
{
	end(w, '}');
}

void atl_jw_array(struct atl_jw *w, const char *key)
{
	begin(w, key, '[');
}

void atl_jw_end_array(struct atl_jw *w)
{
	end(w, ']');
}

void atl_jw_strn(struct atl_jw *w, const char *key, const char *text, size_t length)
{
	start(w, key);
	if (text)
		put_string(w->out, text, length);
	else
		atl_buf_adds(w->out, "null");
}

void atl_jw_str(struct atl_jw *w, const char *key, const char *text)
{
	atl_jw_strn(w, key, text, text ? strlen(text) : 0);
}

void atl_jw_int(struct atl_jw *w, const char *key, int64_t value)
{
	start(w, key);
	put_int(w->out, value);
}

void atl_jw_num(struct atl_jw *w, const char *key, double value)
{
	start(w, key);
	put_num(w->out, value);
}

void atl_jw_bool(struct atl_jw *w, const char *key, bool value)
{
	start(w, key);
	atl_buf_adds(w->out, value ? "true" : "false");
}

void atl_jw_null(struct atl_jw *w, const char *key)
{
	start(w, key);
	atl_buf_adds(w->out, "null");
}

void atl_jw_time(struct atl_jw *w, const char *key, int64_t ms)
{
	char text[ATL_RFC3339_SIZE];

	if (!ms) {
		atl_jw_null(w, key);
		return;
	}
	atl_rfc3339_format(ms, text);
	atl_jw_str(w, key, text);
}

void atl_jw_raw(struct atl_jw *w, const char *key, const char *json)
{
	start(w, key);
	atl_buf_adds(w->out, atl_str_empty(json) ? "null" : json);
}

/* Recursion is bounded: parsed trees are at most ATL_JSON_DEPTH_MAX deep. */
static void put_tree(struct atl_buf *out, const struct atl_json *value)
{
	bool object = value->kind == ATL_JSON_OBJECT;

	switch (value->kind) {
	case ATL_JSON_BOOL:
		atl_buf_adds(out, value->number != 0 ? "true" : "false");
		return;
	case ATL_JSON_NUMBER:
		if (value->is_integer && (value->integer || !signbit(value->number))) /* -0 keeps its sign */
			put_int(out, value->integer);
		else
			put_num(out, value->number);
		return;
	case ATL_JSON_STRING:
		put_string(out, value->string, value->string_length);
		return;
	case ATL_JSON_ARRAY:
	case ATL_JSON_OBJECT:
		break;
	case ATL_JSON_NULL:
	default:
		atl_buf_adds(out, "null");
		return;
	}
	atl_buf_addc(out, object ? '{' : '[');
	for (const struct atl_json *node = value->child; node; node = node->next) {
		if (node != value->child)
			atl_buf_addc(out, ',');
		if (object) {
			put_string(out, node->key, strlen(node->key));
			atl_buf_addc(out, ':');
		}
		put_tree(out, node);
	}
	atl_buf_addc(out, object ? '}' : ']');
}

void atl_jw_tree(struct atl_jw *w, const char *key, const struct atl_json *value)
{
	start(w, key);
	if (value)
		put_tree(w->out, value);
	else
		atl_buf_adds(w->out, "null");
}
