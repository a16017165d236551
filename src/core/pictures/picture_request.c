/* picture_request.c - see picture_request.h. One table says how each value is written and read. */
#include "core/pictures/picture_request.h"

#include <math.h>

#include "base/str.h"

#define OFF(member) offsetof(struct atl_picture_ask, member)

enum value { TEXT, INTEGER, NUMBER, TREE, TEXTS };
static const struct {
	const char *name;
	enum value type;
	size_t offset;
} VALUES[] = {
	{ "task", TEXT, OFF(task) },
	{ "model", TEXT, OFF(model) },
	{ "prompt", TEXT, OFF(prompt) },
	{ "negative_prompt", TEXT, OFF(negative_prompt) },
	{ "width", INTEGER, OFF(width) },
	{ "height", INTEGER, OFF(height) },
	{ "steps", INTEGER, OFF(steps) },
	{ "cfg_scale", NUMBER, OFF(cfg_scale) },
	{ "guidance", NUMBER, OFF(guidance) },
	{ "seed", INTEGER, OFF(seed) },
	{ "subseed", INTEGER, OFF(subseed) },
	{ "subseed_strength", NUMBER, OFF(subseed_strength) },
	{ "clip_skip", INTEGER, OFF(clip_skip) },
	{ "count", INTEGER, OFF(count) },
	{ "sampler", TEXT, OFF(sampler) },
	{ "scheduler", TEXT, OFF(scheduler) },
	{ "strength", NUMBER, OFF(strength) },
	{ "init_asset", TEXT, OFF(init_asset) },
	{ "mask_asset", TEXT, OFF(mask_asset) },
	{ "control_asset", TEXT, OFF(control_asset) },
	{ "reference_assets", TEXTS, OFF(reference_assets) },
	{ "control_type", TEXT, OFF(control_type) },
	{ "control_strength", NUMBER, OFF(control_strength) },
	{ "upscale_factor", NUMBER, OFF(upscale_factor) },
	{ "upscaler", TEXT, OFF(upscaler) },
	{ "frames", INTEGER, OFF(frames) },
	{ "fps", INTEGER, OFF(fps) },
	{ "duration_s", INTEGER, OFF(duration_s) },
	{ "format", TEXT, OFF(format) },
	{ "quality", TEXT, OFF(quality) },
	{ "style", TEXT, OFF(style) },
	{ "character_id", TEXT, OFF(character_id) },
	{ "workflow_id", TEXT, OFF(workflow_id) },
	{ "depends_on", TEXT, OFF(depends_on) },
	{ "inputs", TREE, OFF(inputs) },
	{ "extra", TREE, OFF(extra) },
};

void atl_picture_ask_init(struct atl_picture_ask *ask)
{
	*ask = (struct atl_picture_ask){ 0 };
	for (size_t i = 0; i < ATL_COUNT(VALUES); i++) {
		void *at = (char *)ask + VALUES[i].offset;

		if (VALUES[i].type == INTEGER)
			*(int64_t *)at = ATL_IMAGE_UNSET;
		else if (VALUES[i].type == NUMBER)
			*(double *)at = NAN;
	}
}

static void write_texts(struct atl_jw *w, const char *key, const struct atl_strs *texts)
{
	if (!texts->count)
		return;
	atl_jw_array(w, key);
	for (size_t i = 0; i < texts->count; i++)
		atl_jw_str(w, NULL, texts->items[i]);
	atl_jw_end_array(w);
}

enum atl_err atl_picture_request_write(struct atl_arena *arena, const struct atl_picture_request *request,
				       const char **ret, struct atl_errinfo *info)
{
	const struct atl_picture_lora_in *loras = request->ask.loras.items;
	struct atl_buf buf;
	struct atl_jw w;
	enum atl_err err;

	atl_buf_init(&buf, ATL_JOB_REQUEST_MAX);
	atl_jw_init(&w, &buf);
	atl_jw_object(&w, NULL);
	for (size_t i = 0; i < ATL_COUNT(VALUES); i++) {
		const void *at = (const char *)&request->ask + VALUES[i].offset;
		const char *name = VALUES[i].name;

		switch (VALUES[i].type) {
		case TEXT:
			if (*(const char *const *)at)
				atl_jw_str(&w, name, *(const char *const *)at);
			break;
		case INTEGER:
			if (*(const int64_t *)at != ATL_IMAGE_UNSET)
				atl_jw_int(&w, name, *(const int64_t *)at);
			break;
		case NUMBER:
			if (!isnan(*(const double *)at))
				atl_jw_num(&w, name, *(const double *)at);
			break;
		case TREE:
			if (*(const struct atl_json *const *)at)
				atl_jw_tree(&w, name, *(const struct atl_json *const *)at);
			break;
		case TEXTS:
			write_texts(&w, name, at);
			break;
		}
	}
	if (request->ask.loras.count) {
		atl_jw_array(&w, "loras");
		for (size_t i = 0; i < request->ask.loras.count; i++) {
			atl_jw_object(&w, NULL);
			atl_jw_str(&w, "name", loras[i].name);
			atl_jw_num(&w, "weight", loras[i].weight);
			atl_jw_end_object(&w);
		}
		atl_jw_end_array(&w);
	}
	if (request->original_prompt)
		atl_jw_str(&w, "original_prompt", request->original_prompt);
	if (request->original_negative_prompt)
		atl_jw_str(&w, "original_negative_prompt", request->original_negative_prompt);
	write_texts(&w, "notes", &request->notes);
	atl_jw_bool(&w, "safe_mode", request->safe_mode);
	if (request->model_name)
		atl_jw_str(&w, "model_name", request->model_name);
	atl_jw_end_object(&w);
	err = atl_buf_err(&buf, info);
	if (!err) {
		*ret = atl_arena_strndup(arena, buf.data, buf.length);
		err = *ret ? ATL_OK : atl_fail(info, ATL_ERR_NOMEM, "request");
	}
	atl_buf_finish(&buf);
	return err;
}

static enum atl_err read_texts(struct atl_arena *arena, const struct atl_json *list, struct atl_strs *ret)
{
	size_t count = list ? list->count : 0;

	ret->items = ATL_ARENA_ARRAY(arena, const char *, count + 1);
	if (!ret->items)
		return ATL_ERR_NOMEM;
	ret->count = 0;
	for (const struct atl_json *item = list ? list->child : NULL; item; item = item->next)
		if (item->kind == ATL_JSON_STRING)
			ret->items[ret->count++] = item->string;
	return ATL_OK;
}

enum atl_err atl_picture_request_read(struct atl_arena *arena, const struct atl_json *json,
				      struct atl_picture_request *ret, struct atl_errinfo *info)
{
	struct atl_picture_request r = { .safe_mode = atl_json_bool(json, "safe_mode", true),
		.original_prompt = atl_json_str(json, "original_prompt", NULL),
		.original_negative_prompt = atl_json_str(json, "original_negative_prompt", NULL),
		.model_name = atl_json_str(json, "model_name", NULL) };
	const struct atl_json *loras = atl_json_get(json, "loras");
	struct atl_picture_lora_in *items = ATL_ARENA_ARRAY(arena, struct atl_picture_lora_in, loras ? loras->count + 1 : 1);
	enum atl_err err = items ? read_texts(arena, atl_json_get(json, "notes"), &r.notes) : ATL_ERR_NOMEM;

	if (err)
		return atl_fail(info, err, "request");
	atl_picture_ask_init(&r.ask);
	for (size_t i = 0; i < ATL_COUNT(VALUES); i++) {
		const struct atl_json *node = atl_json_get(json, VALUES[i].name);
		void *at = (char *)&r.ask + VALUES[i].offset;

		if (!node || node->kind == ATL_JSON_NULL)
			continue;
		switch (VALUES[i].type) {
		case TEXT:
			*(const char **)at = node->kind == ATL_JSON_STRING ? node->string : NULL;
			break;
		case INTEGER:
			if (!atl_json_integer(node, at))
				*(int64_t *)at = ATL_IMAGE_UNSET;
			break;
		case NUMBER:
			*(double *)at = node->kind == ATL_JSON_NUMBER ? node->number : NAN;
			break;
		case TREE:
			*(const struct atl_json **)at = node;
			break;
		case TEXTS:
			if (read_texts(arena, node, at) != ATL_OK)
				return atl_fail(info, ATL_ERR_NOMEM, "request");
			break;
		}
	}
	r.ask.loras.items = items;
	for (const struct atl_json *l = loras ? loras->child : NULL; l; l = l->next)
		items[r.ask.loras.count++] = (struct atl_picture_lora_in){ atl_json_str(l, "name", ""),
									   atl_json_num(l, "weight", 1) };
	*ret = r;
	return ATL_OK;
}
