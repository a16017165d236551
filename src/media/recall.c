/* recall.c - see recall.h. */
#include "media/recall.h"

#include <math.h>

#include "base/str.h"

#define NAME_MAX_BYTES 512

#define FIELD(member, kind, a1111)                                                            \
	{                                                                                     \
		#member, ATL_RECALL_##kind, offsetof(struct atl_recall, member), a1111        \
	}
const struct atl_recall_field ATL_RECALL_FIELDS[] = {
	FIELD(source, TEXT, NULL),
	FIELD(prompt, TEXT, NULL),
	FIELD(negative_prompt, TEXT, NULL),
	FIELD(steps, INT, "Steps"),
	FIELD(sampler, TEXT, "Sampler"),
	FIELD(scheduler, TEXT, "Schedule type"),
	FIELD(cfg_scale, NUM, "CFG scale"),
	FIELD(guidance, NUM, "Distilled CFG Scale"),
	FIELD(seed, INT, "Seed"),
	FIELD(width, INT, NULL),
	FIELD(height, INT, NULL),
	FIELD(model_hash, TEXT, "Model hash"),
	FIELD(model, TEXT, "Model"),
	FIELD(vae, TEXT, "VAE"),
	FIELD(strength, NUM, "Denoising strength"),
	FIELD(clip_skip, INT, "Clip skip"),
	FIELD(subseed, INT, "Variation seed"),
	FIELD(subseed_strength, NUM, "Variation seed strength"),
	FIELD(version, TEXT, "Version"),
	FIELD(raw, TEXT, NULL),
	FIELD(workflow, TEXT, NULL),
	FIELD(atelier, TEXT, NULL),
};
const size_t ATL_RECALL_FIELD_COUNT = ATL_COUNT(ATL_RECALL_FIELDS);

void atl_recall_init(struct atl_recall *recall)
{
	*recall = (struct atl_recall){0};
	for (size_t i = 0; i < ATL_RECALL_FIELD_COUNT; i++) {
		char *member = (char *)recall + ATL_RECALL_FIELDS[i].offset;
		if (ATL_RECALL_FIELDS[i].kind == ATL_RECALL_INT)
			*(int64_t *)(void *)member = INT64_MIN;
		else if (ATL_RECALL_FIELDS[i].kind == ATL_RECALL_NUM)
			*(double *)(void *)member = (double)NAN;
	}
}

const struct atl_recall_field *atl_recall_field(const char *name)
{
	for (size_t i = 0; i < ATL_RECALL_FIELD_COUNT; i++)
		if (strcmp(ATL_RECALL_FIELDS[i].name, name) == 0)
			return ATL_RECALL_FIELDS + i;
	return NULL;
}

const char *atl_model_stem(struct atl_arena *arena, const char *path)
{
	static const char *const endings[] = {".safetensors", ".ckpt", ".gguf", ".sft", ".pth", ".pt", ".bin", ".onnx"};
	if (!path)
		return NULL;
	for (const char *p = path; *p; p++)
		if ((*p == '/' || *p == '\\') && p[1])
			path = p + 1;
	size_t length = strlen(path);
	for (size_t i = 0; i < ATL_COUNT(endings); i++) {
		size_t n = strlen(endings[i]);
		if (length > n && atl_str_ieq(path + length - n, endings[i])) {
			length -= n;
			break;
		}
	}
	return atl_arena_strndup(arena, path, length);
}

static bool is_name_of_model(const struct atl_recall_field *field)
{
	return field->offset == offsetof(struct atl_recall, model) || field->offset == offsetof(struct atl_recall, vae);
}

void atl_recall_set_text(struct atl_arena *arena, struct atl_recall *recall, const struct atl_recall_field *field,
			 const char *text)
{
	char *member = (char *)recall + field->offset;
	double number;
	if (atl_str_empty(text))
		return;
	if (field->kind == ATL_RECALL_TEXT) {
		*(const char **)(void *)member =
			is_name_of_model(field) ? atl_model_stem(arena, text) : atl_arena_strdup(arena, text);
	} else if (field->kind == ATL_RECALL_NUM) {
		if (atl_str_double(text, &number))
			*(double *)(void *)member = number;
	} else if (!atl_str_i64(text, INT64_MIN + 1, INT64_MAX, (int64_t *)(void *)member)) {
		/* "20.0" is an integer for writers that know no other numbers */
		if (atl_str_double(text, &number) && number == floor(number) && fabs(number) < 9e15)
			*(int64_t *)(void *)member = (int64_t)number;
	}
}

void atl_recall_set_json(struct atl_arena *arena, struct atl_recall *recall, const char *name,
			 const struct atl_json *value)
{
	const struct atl_recall_field *field = atl_recall_field(name);
	int64_t integer;
	if (!field || !value)
		return;
	char *member = (char *)recall + field->offset;
	if (value->kind == ATL_JSON_STRING)
		atl_recall_set_text(arena, recall, field, value->string);
	else if (value->kind == ATL_JSON_NUMBER && field->kind == ATL_RECALL_NUM)
		*(double *)(void *)member = value->number;
	else if (value->kind == ATL_JSON_NUMBER && field->kind == ATL_RECALL_INT && atl_json_integer(value, &integer) &&
		 integer != INT64_MIN)
		*(int64_t *)(void *)member = integer;
}

void atl_recall_set_all(struct atl_arena *arena, struct atl_recall *recall, const struct atl_json *object,
			const struct atl_recall_alias *aliases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		atl_recall_set_json(arena, recall, aliases[i].name, atl_json_get(object, aliases[i].from));
}

bool atl_recall_add_lora(struct atl_arena *arena, struct atl_recall *recall, const char *name, double weight)
{
	if (recall->lora_count == ATL_METADATA_LORAS_MAX || atl_str_empty(name) || strlen(name) > NAME_MAX_BYTES)
		return false;
	if (!recall->loras)
		recall->loras = ATL_ARENA_ARRAY(arena, struct atl_recall_lora, ATL_METADATA_LORAS_MAX);
	const char *stem = atl_model_stem(arena, name);
	if (!recall->loras || !stem)
		return false;
	for (size_t i = 0; i < recall->lora_count; i++)
		if (strcmp(recall->loras[i].name, stem) == 0)
			return false;
	recall->loras[recall->lora_count++] = (struct atl_recall_lora){stem, isfinite(weight) ? weight : 1};
	return true;
}

bool atl_recall_copy(struct atl_arena *arena, const struct atl_recall *from, struct atl_recall *ret)
{
	struct atl_recall copy = *from;
	for (size_t i = 0; i < ATL_RECALL_FIELD_COUNT; i++) {
		const char **text = (const char **)(void *)((char *)&copy + ATL_RECALL_FIELDS[i].offset);
		if (ATL_RECALL_FIELDS[i].kind == ATL_RECALL_TEXT && *text && !(*text = atl_arena_strdup(arena, *text)))
			return false;
	}
	copy.loras = copy.lora_count ? ATL_ARENA_ARRAY(arena, struct atl_recall_lora, copy.lora_count) : NULL;
	if (copy.lora_count && !copy.loras)
		return false;
	for (size_t i = 0; i < copy.lora_count; i++) {
		copy.loras[i] = (struct atl_recall_lora){atl_arena_strdup(arena, from->loras[i].name), from->loras[i].weight};
		if (!copy.loras[i].name)
			return false;
	}
	*ret = copy;
	return true;
}
