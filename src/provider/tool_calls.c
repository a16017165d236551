/* tool_calls.c - see tool_calls.h. */
#include "provider/tool_calls.h"

#include <stdlib.h>

#include "base/str.h"

static enum atl_err add_piece(struct atl_tool_calls *calls, const struct atl_json *piece, int64_t position)
{
	const struct atl_json *function = atl_json_get(piece, "function");
	const struct atl_json *arguments = atl_json_get(function, "arguments");
	int64_t index = atl_json_int(piece, "index", position);
	struct atl_tool_call *call;

	if (!piece || piece->kind != ATL_JSON_OBJECT || index < 0)
		return ATL_ERR_UPSTREAM_FORMAT;
	if (index >= ATL_CHAT_TOOL_CALLS_MAX)
		return ATL_ERR_TOO_LARGE;
	while (calls->count <= (size_t)index) {
		call = calloc(1, sizeof(*call));
		if (!call)
			return ATL_ERR_NOMEM;
		atl_buf_init(&call->arguments, ATL_TOOL_ARGUMENTS_MAX);
		calls->items[calls->count++] = call;
	}
	call = calls->items[index];
	if (atl_json_str(piece, "id", NULL))
		atl_str_copy(call->id, sizeof(call->id), atl_json_str(piece, "id", ""));
	if (!call->name[0])
		atl_str_copy(call->name, sizeof(call->name), atl_json_str(function, "name", ""));
	if (arguments && arguments->kind == ATL_JSON_STRING)
		atl_buf_add(&call->arguments, arguments->string, arguments->string_length);
	return call->arguments.failed ? ATL_ERR_TOO_LARGE : ATL_OK;
}

enum atl_err atl_tool_calls_add(struct atl_tool_calls *calls, const struct atl_json *pieces)
{
	int64_t position = 0;

	for (const struct atl_json *piece = pieces ? pieces->child : NULL; piece; piece = piece->next) {
		enum atl_err err = add_piece(calls, piece, position++);

		if (err)
			return err;
	}
	return ATL_OK;
}

void atl_tool_calls_write(const struct atl_tool_calls *calls, struct atl_buf *out)
{
	struct atl_jw w;

	atl_jw_init(&w, out);
	atl_jw_array(&w, NULL);
	for (size_t i = 0; i < calls->count; i++) {
		const struct atl_tool_call *call = calls->items[i];

		atl_jw_object(&w, NULL);
		atl_jw_str(&w, "id", call->id);
		atl_jw_str(&w, "type", "function");
		atl_jw_object(&w, "function");
		atl_jw_str(&w, "name", call->name);
		atl_jw_strn(&w, "arguments", call->arguments.length ? call->arguments.data : "", call->arguments.length);
		atl_jw_end_object(&w);
		atl_jw_end_object(&w);
	}
	atl_jw_end_array(&w);
}

void atl_tool_calls_finish(struct atl_tool_calls *calls)
{
	for (size_t i = 0; i < calls->count; i++) {
		atl_buf_finish(&calls->items[i]->arguments);
		free(calls->items[i]);
	}
	calls->count = 0;
}
