/* What people write into prompts and tables of them: choices, wildcards, LoRAs, values of an axis, rows of styles. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/jobs/grid_axis.h"
#include "core/pictures/dynamic_prompt.h"
#include "core/pictures/enhance.h"
#include "core/pictures/style.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every wildcard is the text itself: nothing may turn round in it for good. */
static const char *itself(void *arg, const char *name)
{
	return name[0] == '0' ? NULL : arg;
}

static void expand(struct atl_arena *arena, char *text)
{
	struct atl_errinfo info = { 0 }, again_info = { 0 };
	const char *out = NULL, *again = NULL;
	enum atl_err err = atl_dynamic_expand(arena, text, 7, itself, text, &out, &info);

	if (err != atl_dynamic_expand(arena, text, 7, itself, text, &again, &again_info))
		abort();
	if (err ? !info.detail[0] || strcmp(info.field, "prompt") != 0 : strlen(out) > ATL_DYNAMIC_OUT_MAX || strcmp(out, again) != 0)
		abort();
}

static void loras(struct atl_arena *arena, const char *text)
{
	struct atl_prompt_lora found[ATL_DYNAMIC_LORAS_MAX];
	struct atl_errinfo info = { 0 };
	const char *out = NULL;
	size_t count = 0;

	if (atl_prompt_take_loras(arena, text, &out, found, &count, &info)) {
		if (!info.detail[0])
			abort();
		return;
	}
	if (count > ATL_DYNAMIC_LORAS_MAX || strlen(out) > strlen(text))
		abort();
	for (size_t i = 0; i < count; i++)
		if (!found[i].name[0] || !(fabs(found[i].weight) <= 10))
			abort();
}

static void axes(struct atl_arena *arena, const char *text)
{
	for (const char *const *parameter = atl_grid_parameters; *parameter; parameter++) {
		const struct atl_grid_axis_in in = { .parameter = *parameter, .text = text };
		struct atl_errinfo info = { 0 };
		struct atl_grid_axis axis = { 0 };

		if (atl_grid_axis_read(arena, "x", &in, &axis, &info)) {
			if (!info.detail[0])
				abort();
			continue;
		}
		if (!axis.count || axis.count > ATL_GRID_CELLS_MAX)
			abort();
		for (size_t i = 0; i < axis.count; i++)
			if (!axis.values[i].label || !isfinite(axis.values[i].number))
				abort();
	}
}

static void rows(struct atl_arena *arena, const char *text, size_t size)
{
	const char *at = text, *end = text + size, *fields[3];
	size_t count;

	for (const char *before = at; atl_csv_row(arena, &at, end, fields, 3, &count); before = at)
		if (at <= before || at > end || count > 3)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct atl_arena arena;
	char *text = malloc(size + 1);

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	atl_arena_init(&arena, 0);
	rows(&arena, text, size);
	for (char *part = text; part <= text + size; part += strlen(part) + 1) { /* one text, or several with 0 between */
		expand(&arena, part);
		loras(&arena, part);
		axes(&arena, part);
		if (strlen(atl_enhance_scene_text(&arena, part)) > ATL_ENHANCE_TEXT_MAX)
			abort();
		const char *better = atl_enhance_by_rules(&arena, part, "anime");

		if (strcmp(atl_enhance_by_rules(&arena, better, "anime"), better) != 0)
			abort();
	}
	atl_arena_finish(&arena);
	free(text);
	return 0;
}
