/* sse_parse.c - see sse_parse.h. Lines are taken straight from the input where they are whole in it. */
#include "provider/sse_parse.h"

#include <string.h>

#include "base/str.h"

static const char BOM[] = "\xef\xbb\xbf";

void atl_sse_init(struct atl_sse *sse, size_t max,
		  bool (*on_event)(void *arg, const char *event, const char *data, size_t length), void *arg)
{
	memset(sse, 0, sizeof(*sse));
	atl_buf_init(&sse->line, max);
	atl_buf_init(&sse->data, max);
	sse->on_event = on_event;
	sse->arg = arg;
}

void atl_sse_finish(struct atl_sse *sse)
{
	atl_buf_finish(&sse->line);
	atl_buf_finish(&sse->data);
}

void atl_sse_reset(struct atl_sse *sse)
{
	atl_buf_reset(&sse->line);
	atl_buf_reset(&sse->data);
	sse->event[0] = 0;
	sse->has_data = sse->after_cr = false;
	sse->bom = 0;
	sse->err = ATL_OK;
}

static enum atl_err dispatch(struct atl_sse *sse)
{
	bool go = true;

	if (sse->has_data)
		go = sse->on_event(sse->arg, sse->event, sse->data.length ? sse->data.data : "", sse->data.length);
	atl_buf_reset(&sse->data);
	sse->event[0] = 0;
	sse->has_data = false;
	return go ? ATL_OK : ATL_ERR_CANCELLED;
}

static bool is_field(const char *line, size_t name_length, const char *name)
{
	return strlen(name) == name_length && memcmp(line, name, name_length) == 0;
}

static enum atl_err take_line(struct atl_sse *sse, const char *line, size_t length)
{
	const char *colon, *value;
	size_t name_length, value_length;

	if (!length)
		return dispatch(sse);
	colon = memchr(line, ':', length);
	if (colon == line)
		return ATL_OK; /* a comment */
	name_length = colon ? (size_t)(colon - line) : length;
	value = colon ? colon + 1 : line + length;
	value_length = (size_t)(line + length - value);
	if (value_length && *value == ' ')
		value++, value_length--;
	if (is_field(line, name_length, "data")) {
		if (sse->has_data)
			atl_buf_addc(&sse->data, '\n');
		atl_buf_add(&sse->data, value, value_length);
		sse->has_data = true;
		return sse->data.failed ? ATL_ERR_TOO_LARGE : ATL_OK;
	}
	if (is_field(line, name_length, "event")) {
		size_t cut = value_length < ATL_SSE_NAME_MAX ? value_length : ATL_SSE_NAME_MAX - 1;

		memcpy(sse->event, value, cut);
		sse->event[cut] = 0;
	}
	return ATL_OK;
}

static enum atl_err end_line(struct atl_sse *sse, const char *rest, size_t length)
{
	enum atl_err err;

	if (!sse->line.length && length <= sse->line.max)
		return take_line(sse, rest, length);
	atl_buf_add(&sse->line, rest, length);
	if (sse->line.failed)
		return ATL_ERR_TOO_LARGE;
	err = take_line(sse, sse->line.data, sse->line.length);
	atl_buf_reset(&sse->line);
	return err;
}

/* The mark may be cut too; what looked like its beginning and was not belongs to the first line. */
static void skip_bom(struct atl_sse *sse, const char **at, const char *end)
{
	while (*at < end && sse->bom < 3 && **at == BOM[sse->bom]) {
		sse->bom++;
		(*at)++;
	}
	if (*at < end || sse->bom == 3) {
		if (sse->bom < 3)
			atl_buf_add(&sse->line, BOM, sse->bom);
		sse->bom = 4;
	}
}

enum atl_err atl_sse_feed(struct atl_sse *sse, const char *bytes, size_t length)
{
	const char *at = bytes, *end = bytes + length;

	if (sse->bom < 4)
		skip_bom(sse, &at, end);
	while (at < end && !sse->err) {
		const char *mark = at;

		if (sse->after_cr) {
			sse->after_cr = false;
			if (*at == '\n') {
				at++;
				continue;
			}
		}
		while (mark < end && *mark != '\n' && *mark != '\r')
			mark++;
		if (mark == end) {
			atl_buf_add(&sse->line, at, (size_t)(end - at));
			if (sse->line.failed)
				sse->err = ATL_ERR_TOO_LARGE;
			break;
		}
		sse->after_cr = *mark == '\r';
		sse->err = end_line(sse, at, (size_t)(mark - at));
		at = mark + 1;
	}
	return sse->err;
}

enum atl_err atl_sse_end(struct atl_sse *sse)
{
	if (!sse->err && sse->line.length)
		sse->err = end_line(sse, "", 0);
	if (!sse->err)
		sse->err = dispatch(sse);
	return sse->err;
}
