/* fuzz_chat_chunk.c - one chunk of a chat stream, its tool calls, and the same bytes as an error body. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "provider/openai_chat.h"
#include "provider/think.h"
#include "provider/tool_calls.h"

#define KEY "sk-secret-key"

static void whole_text(void *arg, bool reasoning, const char *text, size_t length)
{
	(void)arg, (void)reasoning;
	if (!length || !atl_utf8_valid(text, length))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_chat_chunk chunk;
	struct atl_errinfo info = {0};
	struct atl_tool_calls calls = {0};
	struct atl_think think = {0};
	struct atl_arena arena;

	atl_arena_init(&arena, 0);
	if (atl_chat_chunk_parse(&arena, "Fuzz", (const char *)data, size, &chunk, &info) == ATL_OK) {
		if (chunk.error && atl_chat_error_member("Fuzz", KEY, chunk.error, &info) == ATL_OK)
			abort();
		if (chunk.text) {
			atl_think_feed(&think, chunk.text, chunk.text_length, whole_text, NULL);
			atl_think_end(&think, whole_text, NULL);
		}
		if (chunk.tool_calls && atl_tool_calls_add(&calls, chunk.tool_calls) == ATL_OK) {
			struct atl_buf out;

			atl_buf_init(&out, 1 << 22);
			atl_tool_calls_write(&calls, &out);
			atl_buf_finish(&out);
		}
	}
	for (int status = 400; status <= 429; status++)
		if (atl_chat_error_status("Fuzz", KEY, status, NULL, (const char *)data, size, &info) == ATL_OK ||
		    strstr(info.detail, KEY) || !atl_utf8_valid(info.detail, strlen(info.detail)))
			abort();
	atl_tool_calls_finish(&calls);
	atl_arena_finish(&arena);
	return 0;
}
