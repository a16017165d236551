/* How a picture was made: files and pasted texts that are hostile. What was understood is written and reads back.
 *
 * The first byte says what the rest is: 'f' a file, 'p' pixels, else a pasted text. A PNG's compressed texts are
 * reached by mutation of the corpus's. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "media/metadata.h"
#include "media/stealth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0\0\0\0\0"
			  "\0\0\0\1IDATx\0\0\0\0\0\0\0\0IEND\0\0\0";

static void check_text(const char *text)
{
	if (text && !atl_utf8_valid(text, strlen(text)))
		abort();
}

/* The JSON is JSON; a file with both texts in it says the same again. */
static void write_and_read(struct atl_arena *arena, const struct atl_recall *r)
{
	struct atl_errinfo info = {0};
	struct atl_json *tree;
	struct atl_recall back;
	struct atl_buf out;
	check_text(r->prompt);
	check_text(r->negative_prompt);
	check_text(r->raw);
	const char *json = atl_metadata_json(arena, r), *parameters = atl_metadata_parameters(arena, r);
	if (!json || !parameters)
		return; /* longer than what may be written */
	if (atl_json_parse(arena, json, strlen(json), &tree, &info) || tree->kind != ATL_JSON_OBJECT)
		abort();
	struct atl_recall bare = *r;
	bare.raw = bare.workflow = bare.atelier = NULL;
	const struct atl_metadata_out m = {.parameters = parameters, .atelier = atl_metadata_json(arena, &bare)};
	atl_buf_init(&out, 16 << 20);
	if (!m.atelier || strlen(m.atelier) > ATL_METADATA_TEXT_MAX)
		return;
	if (atl_metadata_write(png, sizeof png, &m, &out, &info) != ATL_OK ||
	    atl_metadata_read(arena, out.data, out.length, &back, &info) != ATL_OK || !back.ai_marked)
		abort();
	if ((r->prompt || r->model) &&
	    (!atl_str_eq(back.source, "atelier") || back.seed != r->seed || back.steps != r->steps ||
	     (r->prompt && !strstr(r->prompt, "<l") && !atl_str_eq(back.prompt, r->prompt)) ||
	     isnan(back.cfg_scale) != isnan(r->cfg_scale)))
		abort();
	atl_buf_finish(&out);
}

static void rewrite(const uint8_t *data, size_t size)
{
	static const struct atl_metadata_out m = {.parameters = "fox\nSteps: 1, Seed: 2, Sampler: x",
						   .atelier = "{\"prompt\":\"fox\"}"};
	struct atl_errinfo info = {0};
	struct atl_recall r;
	struct atl_arena arena;
	struct atl_buf out;
	atl_arena_init(&arena, 0);
	atl_buf_init(&out, 16 << 20);
	enum atl_err err = atl_metadata_write(data, size, &m, &out, &info);
	if (!err && (atl_metadata_read(&arena, out.data, out.length, &r, &info) || !r.ai_marked || !r.atelier))
		abort();
	if (err && !info.detail[0])
		abort();
	atl_buf_finish(&out);
	atl_arena_finish(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_errinfo info = {0};
	struct atl_recall r;
	struct atl_arena arena;
	enum atl_err err;
	if (!size)
		return 0;
	atl_arena_init(&arena, 0);
	const uint8_t *rest = data + 1;
	size_t length = size - 1;
	if (data[0] == 'f') {
		err = atl_metadata_read(&arena, rest, length, &r, &info);
		rewrite(rest, length);
	} else if (data[0] == 'p') {
		size_t width = length ? 1 + rest[0] % 16 : 0;
		err = atl_stealth_read(&arena, rest, width, width ? length / 4 / width : 0, &r, &info);
	} else {
		err = atl_metadata_read_text(&arena, (const char *)rest, length, &r, &info);
	}
	if (err ? !info.detail[0] : !r.source && !r.ai_marked)
		abort();
	if (!err)
		write_and_read(&arena, &r);
	atl_arena_finish(&arena);
	return 0;
}
