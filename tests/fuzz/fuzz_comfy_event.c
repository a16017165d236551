/* fuzz_comfy_event.c - what a ComfyUI server sends over its socket: frames in any cut give the same messages, and every
 * message is read without harm. */
#include <stdlib.h>
#include <string.h>

#include "net/ws_client.h"
#include "provider/image_comfyui.h"

#define CAP 512

static void take(const struct atl_ws_message *m, struct atl_buf *out)
{
	struct atl_arena arena;
	struct comfy_event event;

	if (m->length > CAP)
		abort();
	atl_arena_init(&arena, 0);
	event = m->binary ? comfy_event_binary(&arena, m->data, m->length) : comfy_event_text(&arena, m->data, m->length);
	atl_buf_addf(out, "[%d %d %zu %zu]", m->binary, (int)event.kind, m->length, event.length);
	if (event.kind == COMFY_PREVIEW && ((const char *)event.data < m->data ||
					     (const char *)event.data + event.length != m->data + m->length))
		abort();
	atl_arena_finish(&arena);
}

static void decode(const uint8_t *data, size_t size, size_t piece, struct atl_buf *out)
{
	struct atl_ws_reader *reader = atl_ws_reader_create(CAP);
	enum atl_ws_event event = ATL_WS_NOTHING;

	for (size_t at = 0; at < size && event == ATL_WS_NOTHING; at += piece) {
		struct atl_ws_message m;

		atl_ws_reader_feed(reader, data + at, size - at < piece ? size - at : piece);
		while ((event = atl_ws_reader_next(reader, &m)) == ATL_WS_MESSAGE || event == ATL_WS_PING)
			if (event == ATL_WS_MESSAGE)
				take(&m, out);
			else if (m.length > 125)
				abort();
	}
	atl_buf_addf(out, "%d", (int)event);
	atl_ws_reader_destroy(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_buf whole, cut;

	atl_buf_init(&whole, 1 << 22);
	atl_buf_init(&cut, 1 << 22);
	if (size) {
		decode(data, size, size, &whole);
		decode(data, size, data[0] % 7 + 1, &cut);
		if (whole.length != cut.length || memcmp(whole.data, cut.data, whole.length) != 0)
			abort();
	}
	atl_buf_finish(&whole);
	atl_buf_finish(&cut);
	return 0;
}
