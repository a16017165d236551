/* picture_entry.c - see picture_entry.h. */
#include "core/pictures/picture_entry.h"

#include <math.h>
#include <string.h>

#include "base/str.h"

#define POFF(member) offsetof(struct atl_picture_param, member)
#define OFF(member) offsetof(struct atl_picture_model, member)
#define SAMPLES_MAX 8

static const char *const TYPES[] = { "integer", "number", "boolean", "string", "enum", NULL };
static const char *const KINDS[] = { "picture", "video", NULL };
static const char *const SAFETY[] = { "general", "filtered", "unfiltered", NULL };
static const char *const UNITS[] = { "image", "megapixel", "second", NULL };

static const struct atl_json_field PARAM_FIELDS[] = {
	{ "name", ATL_JT_STR, POFF(name), ATL_JF_REQUIRED, 1, 60, .doc = "of the job's request, or with `extra` the service's own" },
	{ "type", ATL_JT_ENUM, POFF(type), ATL_JF_REQUIRED, .values = TYPES },
	{ "label", ATL_JT_STR, POFF(label), ATL_JF_REQUIRED, 1, 80 },
	{ "min", ATL_JT_NUM, POFF(min), ATL_JF_NULLABLE },
	{ "max", ATL_JT_NUM, POFF(max), ATL_JF_NULLABLE },
	{ "step", ATL_JT_NUM, POFF(step), ATL_JF_NULLABLE },
	{ "default", ATL_JT_ANY, POFF(def), ATL_JF_NULLABLE },
	{ "values", ATL_JT_STRS, POFF(values), ATL_JF_OMIT, 0, 200, .doc = "of an enum: all; of a string: suggestions" },
	{ "extra", ATL_JT_BOOL, POFF(extra), ATL_JF_OMIT },
};
static const struct atl_json_desc PARAM_DESC = { "PictureParam", "A parameter a picture model takes.", PARAM_FIELDS,
	ATL_COUNT(PARAM_FIELDS), sizeof(struct atl_picture_param), ATL_JSON_NO_PRESENT, false };

static const struct atl_json_field FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), ATL_JF_REQUIRED },
	{ "name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED },
	{ "description", ATL_JT_STR, OFF(description), ATL_JF_REQUIRED },
	{ "provider_id", ATL_JT_STR, OFF(provider_id), ATL_JF_REQUIRED },
	{ "provider_name", ATL_JT_STR, OFF(provider_name), ATL_JF_REQUIRED },
	{ "provider_kind", ATL_JT_STR, OFF(provider_kind), ATL_JF_REQUIRED },
	{ "remote_id", ATL_JT_STR, OFF(remote_id), ATL_JF_REQUIRED },
	{ "kind", ATL_JT_ENUM, OFF(kind), ATL_JF_REQUIRED, .values = KINDS },
	{ "tasks", ATL_JT_STRS, OFF(tasks), ATL_JF_REQUIRED },
	{ "params", ATL_JT_LIST, OFF(params), ATL_JF_REQUIRED, .sub = &PARAM_DESC },
	{ "width", ATL_JT_INT, OFF(width), ATL_JF_REQUIRED, .doc = "unless told" },
	{ "height", ATL_JT_INT, OFF(height), ATL_JF_REQUIRED },
	{ "size_multiple", ATL_JT_INT, OFF(size_multiple), ATL_JF_REQUIRED, .doc = "of a side; 0: any" },
	{ "size_min", ATL_JT_INT, OFF(size_min), ATL_JF_REQUIRED },
	{ "size_max", ATL_JT_INT, OFF(size_max), ATL_JF_REQUIRED },
	{ "sizes", ATL_JT_STRS, OFF(sizes), ATL_JF_REQUIRED, .doc = "when not empty, only these are taken" },
	{ "samples", ATL_JT_STRS, OFF(samples), ATL_JF_REQUIRED, .doc = "prompts that it is good at" },
	{ "references_max", ATL_JT_INT, OFF(references_max), ATL_JF_REQUIRED },
	{ "negative", ATL_JT_BOOL, OFF(negative), ATL_JF_REQUIRED },
	{ "loras", ATL_JT_BOOL, OFF(loras), ATL_JF_REQUIRED },
	{ "masks", ATL_JT_BOOL, OFF(masks), ATL_JF_REQUIRED },
	{ "previews", ATL_JT_BOOL, OFF(previews), ATL_JF_REQUIRED },
	{ "cancel", ATL_JT_BOOL, OFF(cancel), ATL_JF_REQUIRED, .doc = "a running one can be stopped at the service" },
	{ "licence", ATL_JT_STR, OFF(licence), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
	{ "licence_url", ATL_JT_STR, OFF(licence_url), ATL_JF_REQUIRED | ATL_JF_NULLABLE },
	{ "safety", ATL_JT_ENUM, OFF(safety), ATL_JF_REQUIRED, .values = SAFETY },
	{ "price_unit", ATL_JT_STR, OFF(price_unit), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "null: free" },
	{ "price_micro_usd", ATL_JT_INT, OFF(price_micro_usd), ATL_JF_REQUIRED, .doc = "millionths of a US dollar a unit" },
	{ "ready", ATL_JT_BOOL, OFF(ready), ATL_JF_REQUIRED },
	{ "why", ATL_JT_STR, OFF(why), ATL_JF_REQUIRED | ATL_JF_NULLABLE, .doc = "why it is not ready" },
	{ "starter", ATL_JT_BOOL, OFF(starter), ATL_JF_REQUIRED },
	{ "is_default", ATL_JT_BOOL, OFF(is_default), ATL_JF_REQUIRED, .doc = "what you get when you name none" },
	{ "files", ATL_JT_ANY, OFF(files), ATL_JF_NULLABLE, .doc = "of a local model: {part: {file, url, size_bytes, sha256}}" },
};
const struct atl_json_desc atl_picture_model_desc = { "PictureModel", "A picture or video model that can be chosen.", FIELDS,
	ATL_COUNT(FIELDS), sizeof(struct atl_picture_model), ATL_JSON_NO_PRESENT, false };

/* What a file may say of an entry. */
static const struct atl_json_field ENTRY_FIELDS[] = {
	{ "id", ATL_JT_STR, OFF(id), 0, 1, 300 },
	{ "name", ATL_JT_STR, OFF(name), ATL_JF_REQUIRED, 1, 200 },
	{ "description", ATL_JT_STR, OFF(description), ATL_JF_REQUIRED, 0, 1000 },
	{ "provider_kind", ATL_JT_STR, OFF(provider_kind), ATL_JF_REQUIRED, 1, 40 },
	{ "remote_id", ATL_JT_STR, OFF(remote_id), ATL_JF_REQUIRED, 1, 200 },
	{ "kind", ATL_JT_ENUM, OFF(kind), ATL_JF_REQUIRED, .values = KINDS },
	{ "tasks", ATL_JT_STRS, OFF(tasks), ATL_JF_REQUIRED, 1, ATL_IMAGE_TASK_COUNT },
	{ "width", ATL_JT_INT, OFF(width), 0, 8, 16384 },
	{ "height", ATL_JT_INT, OFF(height), 0, 8, 16384 },
	{ "size_multiple", ATL_JT_INT, OFF(size_multiple), 0, 1, 1024 },
	{ "size_min", ATL_JT_INT, OFF(size_min), 0, 8, 16384 },
	{ "size_max", ATL_JT_INT, OFF(size_max), 0, 8, 16384 },
	{ "sizes", ATL_JT_STRS, OFF(sizes), 0, 0, 50 },
	{ "samples", ATL_JT_STRS, OFF(samples), 0, 0, SAMPLES_MAX },
	{ "references_max", ATL_JT_INT, OFF(references_max), 0, 0, ATL_IMAGE_REFERENCES_MAX },
	{ "negative", ATL_JT_BOOL, OFF(negative), 0 },
	{ "loras", ATL_JT_BOOL, OFF(loras), 0 },
	{ "masks", ATL_JT_BOOL, OFF(masks), 0 },
	{ "previews", ATL_JT_BOOL, OFF(previews), 0 },
	{ "cancel", ATL_JT_BOOL, OFF(cancel), 0 },
	{ "licence", ATL_JT_STR, OFF(licence), 0, 0, 200 },
	{ "licence_url", ATL_JT_STR, OFF(licence_url), 0, 0, 500 },
	{ "safety", ATL_JT_ENUM, OFF(safety), ATL_JF_REQUIRED, .values = SAFETY },
	{ "price_unit", ATL_JT_ENUM, OFF(price_unit), 0, .values = UNITS },
	{ "price_micro_usd", ATL_JT_INT, OFF(price_micro_usd), 0, 0, 1e12 },
	{ "starter", ATL_JT_BOOL, OFF(starter), 0 },
	{ "files", ATL_JT_ANY, OFF(files), 0 },
};
static const struct atl_json_desc ENTRY_DESC = { "PictureEntry", "", ENTRY_FIELDS, ATL_COUNT(ENTRY_FIELDS),
	sizeof(struct atl_picture_model), ATL_JSON_NO_PRESENT, true /* params and defaults are read apart */ };

const struct atl_picture_param *atl_picture_param_find(const struct atl_picture_model *model, const char *name)
{
	const struct atl_picture_param *params = model->params.items;

	for (size_t i = 0; i < model->params.count; i++)
		if (atl_str_eq(params[i].name, name))
			return &params[i];
	return NULL;
}

static const struct atl_json *find_group(const struct atl_picture_entries *entries, const char *name)
{
	for (size_t i = 0; entries && i < entries->file_count; i++) {
		const struct atl_json *group = atl_json_get(atl_json_get(entries->files[i], "groups"), name);

		if (group)
			return group;
	}
	return NULL;
}

static enum atl_err add_param(struct atl_arena *arena, const struct atl_json *node, struct atl_picture_model *model,
			      struct atl_errinfo *info)
{
	struct atl_picture_param *params = model->params.items, *param = &params[model->params.count];
	enum atl_err err;

	if (model->params.count == ATL_PICTURE_PARAMS_MAX)
		return atl_fail_field(info, ATL_ERR_INVALID, "params", "has more than %d items", ATL_PICTURE_PARAMS_MAX);
	err = atl_json_decode(arena, node, &PARAM_DESC, param, info);
	if (err)
		return err;
	/* what was not said is NAN, not 0 */
	param->min = atl_json_num(node, "min", NAN);
	param->max = atl_json_num(node, "max", NAN);
	param->step = atl_json_num(node, "step", NAN);
	if (atl_str_eq(param->type, "enum") && !param->values.count)
		return atl_fail_field(info, ATL_ERR_INVALID, "params", "%s: an enum needs values", param->name);
	if (atl_picture_param_find(model, param->name))
		return atl_fail_field(info, ATL_ERR_INVALID, "params", "%s is there twice", param->name);
	model->params.count++;
	return ATL_OK;
}

static enum atl_err read_params(struct atl_arena *arena, const struct atl_picture_entries *entries,
				const struct atl_json *list, struct atl_picture_model *model, struct atl_errinfo *info)
{
	enum atl_err err = ATL_OK;

	model->params.items = ATL_ARENA_ARRAY(arena, struct atl_picture_param, ATL_PICTURE_PARAMS_MAX);
	if (!model->params.items)
		return atl_fail(info, ATL_ERR_NOMEM, "parameters");
	for (const struct atl_json *p = list ? list->child : NULL; p && !err; p = p->next) {
		if (p->kind != ATL_JSON_STRING || p->string[0] != '@') {
			err = add_param(arena, p, model, info);
			continue;
		}
		const struct atl_json *group = find_group(entries, p->string + 1);

		if (!group)
			return atl_fail_field(info, ATL_ERR_INVALID, "params", "there is no group %s", p->string);
		for (const struct atl_json *q = group->child; q && !err; q = q->next)
			err = add_param(arena, q, model, info);
	}
	return err;
}

static enum atl_err apply_defaults(const struct atl_json *defaults, struct atl_picture_model *model,
				   struct atl_errinfo *info)
{
	for (const struct atl_json *d = defaults ? defaults->child : NULL; d; d = d->next) {
		struct atl_picture_param *param = (struct atl_picture_param *)atl_picture_param_find(model, d->key);

		if (!param)
			return atl_fail_field(info, ATL_ERR_INVALID, "defaults", "there is no parameter %s", d->key);
		param->def = d;
	}
	return ATL_OK;
}

enum atl_err atl_picture_entry_read(struct atl_arena *arena, const struct atl_picture_entries *entries,
				    const struct atl_json *entry, struct atl_picture_model *ret, struct atl_errinfo *info)
{
	struct atl_picture_model model;
	enum atl_image_task task;
	enum atl_err err = atl_json_decode(arena, entry, &ENTRY_DESC, &model, info);

	if (!err)
		err = read_params(arena, entries, atl_json_get(entry, "params"), &model, info);
	if (!err)
		err = apply_defaults(atl_json_get(entry, "defaults"), &model, info);
	for (size_t i = 0; !err && i < model.tasks.count; i++)
		if (!atl_image_task_find(model.tasks.items[i], &task))
			err = atl_fail_field(info, ATL_ERR_INVALID, "tasks", "there is no task %s", model.tasks.items[i]);
	if (err)
		return err;
	model.provider_id = model.provider_name = "";
	if (!model.id)
		model.id = "";
	*ret = model;
	return ATL_OK;
}

enum atl_err atl_picture_entries_load(struct atl_arena *arena, const char *const *texts,
				      struct atl_picture_entries *ret, struct atl_errinfo *info)
{
	struct atl_picture_entries e = { 0 };
	enum atl_err err = ATL_OK;
	size_t max = 0;

	for (; texts[e.file_count] && !err; e.file_count++) {
		struct atl_json *tree;

		if (e.file_count == ATL_COUNT(e.files))
			return atl_fail(info, ATL_ERR_INTERNAL, "model registry: too many files");
		err = atl_json_parse(arena, texts[e.file_count], strlen(texts[e.file_count]), &tree, info);
		if (err)
			return atl_fail_context(info, err, "model registry, file %zu", e.file_count);
		e.files[e.file_count] = tree;
		const struct atl_json *models = atl_json_get(tree, "models");
		max += models ? models->count : 0;
	}
	e.models = ATL_ARENA_ARRAY(arena, struct atl_picture_model, max + 1);
	if (!e.models)
		return atl_fail(info, ATL_ERR_NOMEM, "model registry");
	for (size_t i = 0; i < e.file_count; i++) {
		const struct atl_json *models = atl_json_get(e.files[i], "models");

		for (const struct atl_json *m = models ? models->child : NULL; m; m = m->next) {
			err = atl_picture_entry_read(arena, &e, m, &e.models[e.count], info);
			if (err)
				return atl_fail_context(info, err, "model registry, %s",
							atl_json_str(m, "remote_id", "an entry without remote_id"));
			e.count++;
		}
	}
	*ret = e;
	return ATL_OK;
}
