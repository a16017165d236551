/* openai_sse.c - see openai_sse.h. Looks for marks in the text instead of parsing each chunk: in JSON a quote inside a
 * string is always escaped, so `"usage"` with a colon behind it is a key. */
#include "api/openai_sse.h"

#include <string.h>

#include "base/json.h"

#define USAGE_BYTES_MAX 16384

void atl_openai_sse_init(struct atl_openai_sse *sse, bool strip_usage,
			 void (*send)(void *arg, const char *data, size_t length), void *arg)
{
	memset(sse, 0, sizeof(*sse));
	sse->send = send;
	sse->arg = arg;
	sse->strip_usage = strip_usage;
	sse->usage = (struct atl_openai_usage){ -1, -1, -1 };
	atl_buf_init(&sse->held, ATL_OPENAI_EVENT_MAX);
	atl_buf_init(&sse->error, 1 << 16);
}

void atl_openai_sse_finish(struct atl_openai_sse *sse)
{
	atl_buf_finish(&sse->held);
	atl_buf_finish(&sse->error);
}

/* ---- looking into JSON text ---- */

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/* The value behind the next `"key":` at or after p; NULL: none. */
static const char *find_value(const char *p, const char *end, const char *quoted_key)
{
	size_t length = strlen(quoted_key);

	while ((p = memmem(p, (size_t)(end - p), quoted_key, length)) != NULL) {
		const char *value = skip_space(p + length, end);

		/* A quote that opens the key is never behind a backslash: that one belongs to a string. */
		if (value < end && *value == ':' && p[-1] != '\\')
			return skip_space(value + 1, end);
		p += length;
	}
	return NULL;
}

/* The end of the object at p; NULL: it does not end within the bound. */
static const char *object_end(const char *p, const char *end)
{
	bool quoted = false;
	int depth = 0;

	if (end - p > USAGE_BYTES_MAX)
		end = p + USAGE_BYTES_MAX;
	for (; p < end; p++) {
		if (quoted) {
			if (*p == '\\')
				p++;
			else if (*p == '"')
				quoted = false;
		} else if (*p == '"') {
			quoted = true;
		} else if (*p == '{') {
			depth++;
		} else if (*p == '}' && --depth == 0) {
			return p + 1;
		}
	}
	return NULL;
}

static bool read_usage(const char *text, size_t length, struct atl_openai_usage *ret)
{
	struct atl_arena arena;
	struct atl_json *root;
	bool ok;

	atl_arena_init(&arena, 1 << 20);
	ok = atl_json_parse(&arena, text, length, &root, NULL) == ATL_OK;
	if (ok) {
		ret->prompt_tokens = atl_json_int(root, "prompt_tokens", -1);
		ret->completion_tokens = atl_json_int(root, "completion_tokens", -1);
		ret->cached_tokens = atl_json_int(atl_json_get(root, "prompt_tokens_details"), "cached_tokens", -1);
		ok = ret->prompt_tokens >= 0 || ret->completion_tokens >= 0;
	}
	atl_arena_finish(&arena);
	return ok;
}

bool atl_openai_find_usage(const char *json, size_t length, struct atl_openai_usage *ret)
{
	const char *end = json + length, *p = length ? json + 1 : json, *stop;
	bool found = false;

	while (p < end && (p = find_value(p, end, "\"usage\"")) != NULL) {
		struct atl_openai_usage usage;

		if (p == end || *p != '{')
			continue;
		stop = object_end(p, end);
		if (!stop)
			break;
		if (read_usage(p, (size_t)(stop - p), &usage)) {
			*ret = usage;
			found = true;
		}
		p = stop;
	}
	return found;
}

/* ---- events ---- */

/* "choices" is an empty list: nothing for the reader but the usage. */
static bool only_usage(const char *data, size_t length)
{
	const char *end = data + length, *value = find_value(data + 1, end, "\"choices\"");

	if (!value || value == end || *value != '[')
		return false;
	value = skip_space(value + 1, end);
	return value < end && *value == ']';
}

/* The event's JSON begins with an error, or is one. */
static bool is_error(const char *data, size_t length)
{
	const char *end = data + length, *p = skip_space(data, end);

	if (p == end || *p != '{')
		return false;
	p = skip_space(p + 1, end);
	if (end - p < 8 || memcmp(p, "\"error\"", 7) != 0)
		return false;
	p = skip_space(p + 7, end);
	p = p < end && *p == ':' ? skip_space(p + 1, end) : end;
	return p < end && *p != 'n'; /* null is no error */
}

static bool starts(const char *text, size_t length, const char *with)
{
	size_t want = strlen(with);

	return length >= want && memcmp(text, with, want) == 0;
}

/* Note what one data line tells; true: the event goes on. */
static bool take_data(struct atl_openai_sse *sse, const char *data, size_t length)
{
	const char *end = data + length, *value;
	struct atl_openai_usage usage;

	if (starts(data, length, "[DONE]")) {
		sse->done = true;
		return true;
	}
	if (length < 2)
		return true;
	if (is_error(data, length)) {
		atl_buf_add(&sse->error, data, length);
		if (sse->error.failed)
			atl_buf_adds(&sse->error, "{}");
		return false;
	}
	value = find_value(data + 1, end, "\"usage\"");
	if (value && value < end && *value == '{' && atl_openai_find_usage(data, length, &usage)) {
		sse->usage = usage;
		if (only_usage(data, length))
			return !sse->strip_usage;
	}
	value = find_value(data + 1, end, "\"finish_reason\"");
	if (value && value < end && *value == '"')
		sse->finished = true;
	else
		sse->events++;
	return true;
}

/* One event with its empty line. */
static bool take_event(struct atl_openai_sse *sse, const char *text, size_t length)
{
	const char *end = text + length;
	bool pass = true;

	while (text < end && pass && !sse->error.length) {
		const char *line = text, *stop = memchr(text, '\n', (size_t)(end - text));
		size_t size = (size_t)((stop ? stop : end) - text);

		text = stop ? stop + 1 : end;
		if (size && line[size - 1] == '\r')
			size--;
		if (starts(line, size, "data:"))
			pass = take_data(sse, line + 5 + (size > 5 && line[5] == ' '), size - 5 - (size > 5 && line[5] == ' '));
		else if (starts(line, size, "error:")) /* llama.cpp of old */
			pass = take_data(sse, line + 6, size - 6);
	}
	return pass;
}

/* The place behind the next empty line at or after `from`; 0: none. */
static size_t event_end(const char *text, size_t length, size_t from)
{
	const char *p = text + from, *end = text + length;

	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		p++;
		if (p < end && *p == '\n')
			return (size_t)(p + 1 - text);
		if (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
			return (size_t)(p + 2 - text);
	}
	return 0;
}

/* Whole events of the text; neighbours go on in one piece. Answers how much was taken. */
static size_t take_events(struct atl_openai_sse *sse, const char *text, size_t length, size_t searched)
{
	size_t sent = 0, at = 0, next;

	while (!sse->error.length && (next = event_end(text, length, at > searched ? at : searched)) != 0) {
		bool pass = take_event(sse, text + at, next - at);

		if (!pass) {
			if (at > sent)
				sse->send(sse->arg, text + sent, at - sent);
			sent = next;
		}
		at = next;
	}
	if (at > sent)
		sse->send(sse->arg, text + sent, at - sent);
	return at;
}

enum atl_err atl_openai_sse_feed(struct atl_openai_sse *sse, const char *data, size_t length)
{
	size_t taken;

	if (sse->error.length)
		return ATL_OK;
	if (sse->held.length) {
		atl_buf_add(&sse->held, data, length);
		if (sse->held.failed)
			return ATL_ERR_TOO_LARGE;
		taken = take_events(sse, sse->held.data, sse->held.length, sse->searched);
		atl_buf_consume(&sse->held, taken);
	} else {
		taken = take_events(sse, data, length, 0);
		atl_buf_add(&sse->held, data + taken, length - taken);
		if (sse->held.failed)
			return ATL_ERR_TOO_LARGE;
	}
	/* An empty line may be cut: look again from the last few bytes. */
	sse->searched = sse->held.length > 3 ? sse->held.length - 3 : 0;
	return ATL_OK;
}

void atl_openai_sse_end(struct atl_openai_sse *sse)
{
	if (!sse->held.length || sse->error.length)
		return;
	if (take_event(sse, sse->held.data, sse->held.length))
		sse->send(sse->arg, sse->held.data, sse->held.length);
	atl_buf_reset(&sse->held);
}
