/* image_comfyui_event.c - ComfyUI's messages: text ones are JSON, binary ones carry previews. Pure. */
#include <string.h>

#include "base/str.h"
#include "provider/image_comfyui.h"

static const struct {
	const char *type;
	enum comfy_event_kind kind;
} KINDS[] = {
	{ "status", COMFY_QUEUE },
	{ "execution_start", COMFY_STARTED },
	{ "executing", COMFY_NODE },
	{ "progress", COMFY_PROGRESS },
	{ "execution_success", COMFY_DONE },
	{ "execution_error", COMFY_FAILED },
	{ "execution_interrupted", COMFY_INTERRUPTED },
};

struct comfy_event comfy_event_text(struct atl_arena *arena, const char *text, size_t length)
{
	struct comfy_event event = { .kind = COMFY_OTHER };
	const struct atl_json *data;
	struct atl_json *root;
	const char *type;

	if (atl_json_parse(arena, text, length, &root, NULL))
		return event;
	type = atl_json_str(root, "type", "");
	data = atl_json_get(root, "data");
	for (size_t i = 0; i < ATL_COUNT(KINDS); i++)
		if (atl_str_eq(KINDS[i].type, type))
			event.kind = KINDS[i].kind;
	event.prompt_id = atl_json_str(data, "prompt_id", NULL);
	event.node = atl_json_str(data, "node", NULL);
	event.value = atl_json_int(data, "value", 0);
	event.max = atl_json_int(data, "max", 0);
	event.node_type = atl_json_str(data, "node_type", "");
	event.message = atl_json_str(data, "exception_message", "");
	event.exception = atl_json_str(data, "exception_type", "");
	if (event.kind == COMFY_NODE && !event.node)
		event.kind = COMFY_DONE;
	return event;
}

static uint32_t big_endian(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* 1: image type, then the picture. 4: length of a JSON with its details, the JSON, then the picture. */
struct comfy_event comfy_event_binary(struct atl_arena *arena, const void *data, size_t length)
{
	static const char *const types[] = { "image/jpeg", "image/png", "image/webp" };
	struct comfy_event event = { .kind = COMFY_OTHER };
	const unsigned char *at = data;
	uint32_t kind, word;
	struct atl_json *details;

	if (length < 8)
		return event;
	kind = big_endian(at);
	word = big_endian(at + 4);
	at += 8;
	length -= 8;
	if (kind == 1 && (word == 1 || word == 2)) {
		event.media_type = types[word - 1];
	} else if (kind == 4 && word <= length && !atl_json_parse(arena, (const char *)at, word, &details, NULL)) {
		const char *type = atl_json_str(details, "image_type", "");

		event.prompt_id = atl_json_str(details, "prompt_id", NULL);
		event.node = atl_json_str(details, "node_id", NULL);
		at += word;
		length -= word;
		for (size_t i = 0; i < ATL_COUNT(types); i++)
			if (atl_str_eq(types[i], type))
				event.media_type = types[i];
	}
	if (event.media_type && length) {
		event.kind = COMFY_PREVIEW;
		event.data = at;
		event.length = length;
	}
	return event;
}
