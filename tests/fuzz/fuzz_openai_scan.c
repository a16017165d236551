/* The request scanner of the OpenAI routes against the JSON parser: what the one takes the other takes too, both see
 * the same model, and a replaced model is what the parser then reads. */
#include <stdlib.h>
#include <string.h>

#include "api/openai_scan.h"
#include "api/openai_sse.h"
#include "base/json.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void drop(void *arg, const char *data, size_t length)
{
	size_t *total = arg;

	*total += length;
}

/* The stream filter gives out the same bytes however its input is cut. */
static void check_stream(const char *data, size_t length)
{
	size_t whole = 0, cut = 0;
	struct atl_openai_sse one, two;

	atl_openai_sse_init(&one, true, drop, &whole);
	atl_openai_sse_init(&two, true, drop, &cut);
	must(atl_openai_sse_feed(&one, data, length) == ATL_OK);
	for (size_t i = 0; i < length; i++)
		must(atl_openai_sse_feed(&two, data + i, 1) == ATL_OK);
	atl_openai_sse_end(&one);
	atl_openai_sse_end(&two);
	must(whole == cut && one.done == two.done && one.events == two.events);
	atl_openai_sse_finish(&one);
	atl_openai_sse_finish(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_openai_body body;
	struct atl_openai_edit edit = { .text = "\"other\"", .length = 7 };
	struct atl_json *tree, *edited;
	struct atl_errinfo info = { 0 };
	struct atl_arena arena;
	char *text;
	size_t length;
	enum atl_err scanned, parsed;

	check_stream((const char *)data, size);
	atl_arena_init(&arena, 0);
	scanned = atl_openai_scan(&arena, (const char *)data, size, &body, &info);
	parsed = atl_json_parse(&arena, (const char *)data, size, &tree, &info);
	if (scanned == ATL_OK && parsed != ATL_OK)
		must(strstr(info.detail, "too large") != NULL); /* a number that fits no double */
	if (parsed == ATL_OK && tree->kind == ATL_JSON_OBJECT)
		must(scanned == ATL_OK || scanned == ATL_ERR_INVALID);
	if (scanned == ATL_OK && parsed == ATL_OK) {
		const char *model = atl_json_str(tree, "model", NULL);

		must((model == NULL) == (body.model_name == NULL) && (!model || strcmp(model, body.model_name) == 0));
		must(body.stream == atl_json_bool(tree, "stream", false));
		if (body.model.length) {
			edit.span = body.model;
			text = atl_openai_edit(&arena, (const char *)data, size, &edit, 1, &length);
			must(text && atl_json_parse(&arena, text, length, &edited, &info) == ATL_OK);
			must(strcmp(atl_json_str(edited, "model", ""), "other") == 0 && edited->count == tree->count);
		}
	}
	atl_arena_finish(&arena);
	return 0;
}
