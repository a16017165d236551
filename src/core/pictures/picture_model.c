/* picture_model.c - see picture_model.h.
 *
 * The built-in entries are parsed once and never change; what providers list and the operator's own entries are read
 * for each call, from memory. A name with a service's id before it is looked for at that service alone.
 */
#include "core/pictures/picture_model.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "core/books/price.h"
#include "core/models/provider.h"
#include "core/pictures/picture_engine.h"
#include "core/pictures/picture_entry.h"
#include "core/pictures/picture_file.h"
#include "core/pictures/picture_suggest.h"
#include "core/pictures/picture_texts.h"
#include "core/pictures/picture_times.h"
#include "core/server/setting.h"
#include "db/db.h"
#include "os/file.h"

#define MODULE "picture models"
#define LOCAL "local"
#define LOCAL_PREFIX "local/"
#define LOCAL_NAME "This computer"
#define UPSCALER "esrgan" /* the family that is complete without parts */
#define PATH_SIZE 4200

struct atl_picture_models {
	struct atl_app *app;
	struct atl_arena arena; /* set at create; read-only afterwards */
	struct atl_picture_entries builtin;
	struct atl_picture_files *files; /* its own lock */
	struct atl_picture_texts *own;	 /* its own lock */
	struct atl_picture_times *times; /* its own lock */
	struct atl_picture_suggest *suggest; /* its own lock */
};

enum atl_err atl_picture_models_create(struct atl_app *app, struct atl_picture_models **ret, struct atl_errinfo *info)
{
	struct atl_picture_models *self = calloc(1, sizeof(*self));
	enum atl_err err;

	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "model registry");
	self->app = app;
	atl_arena_init(&self->arena, 0);
	err = atl_picture_files_create(&self->files, info);
	if (!err)
		err = atl_picture_texts_create(app->db, &self->own, info);
	if (!err)
		err = atl_picture_times_create(app->db, &self->times, info);
	if (!err)
		err = atl_picture_suggest_create(app, &self->suggest, info);
	if (!err)
		err = atl_picture_entries_load(&self->arena, atl_picture_registry_texts, &self->builtin, info);
	if (err) {
		atl_picture_models_destroy(self);
		return err;
	}
	*ret = self;
	return ATL_OK;
}

void atl_picture_models_destroy(struct atl_picture_models *models)
{
	if (!models)
		return;
	atl_picture_suggest_destroy(models->suggest);
	atl_arena_finish(&models->arena);
	atl_picture_files_destroy(models->files);
	atl_picture_texts_destroy(models->own);
	atl_picture_times_destroy(models->times);
	free(models);
}

void atl_picture_models_changed(struct atl_picture_models *models)
{
	atl_picture_texts_forget(models->own);
}

struct atl_picture_times *atl_picture_models_times(struct atl_picture_models *models)
{
	return models->times;
}

/* ---- the list ---- */

struct list {
	struct atl_app *app;
	struct atl_arena *arena;
	const char *only; /* this id alone; NULL: all */
	struct atl_picture_model *items;
	size_t count, capacity;
	bool full; /* out of memory */
	struct atl_picture_entries own; /* the operator's */
};

static bool is_known(const struct list *list, const char *id)
{
	for (size_t i = 0; i < list->count; i++)
		if (atl_str_eq(list->items[i].id, id))
			return true;
	return false;
}

static void add(struct list *list, const struct atl_picture_model *model)
{
	if (list->count == ATL_PICTURE_MODELS_MAX || !model->id || is_known(list, model->id))
		return;
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 4 : list->only ? 1 : 64;
		struct atl_picture_model *more = ATL_ARENA_ARRAY(list->arena, struct atl_picture_model, capacity);

		list->full = list->full || !more;
		if (!more)
			return;
		if (list->count)
			memcpy(more, list->items, list->count * sizeof(*more));
		list->items = more;
		list->capacity = capacity;
	}
	list->items[list->count] = *model;
	(void)atl_price_unit_find(list->app->prices, model->id, &list->items[list->count].price_unit,
				  &list->items[list->count].price_micro_usd);
	list->count++;
}

static const char *path_of(struct list *list, const struct atl_picture_model *model, const char *part)
{
	const char *file = atl_json_str(atl_json_get(model->files, part), "file", NULL);

	return file ? atl_arena_printf(list->arena, "%s/%s", list->app->models_dir, file) : NULL;
}

/* A ControlNet of another family would end the engine's process. */
static const char *control_misfit(struct list *list, const struct atl_picture_model *model)
{
	const char *control = model->files ? path_of(list, model, "control_net") : NULL;
	const char *base = control ? path_of(list, model, "diffusion_model") : NULL;

	if (control && !base)
		base = path_of(list, model, "model");
	return base ? atl_picture_file_control_misfit(list->app->picture_models->files, list->arena, base, control) : NULL;
}

/* NULL, or which of its files is missing or no good, in words. */
static const char *misfit(struct list *list, const struct atl_picture_model *model)
{
	char path[PATH_SIZE];
	const char *why = NULL;

	for (const struct atl_json *f = model->files ? model->files->child : NULL; f && !why; f = f->next) {
		const char *file = atl_json_str(f, "file", "");

		snprintf(path, sizeof(path), "%s/%s", list->app->models_dir, file);
		if (access(path, R_OK) != 0)
			why = atl_arena_printf(list->arena, "%s is not in the models folder. Download it in Settings, Models.", file);
		else
			why = atl_picture_file_misfit(list->app->picture_models->files, list->arena, path, f->key);
	}
	return why ? why : control_misfit(list, model);
}

static void add_local(struct list *list, const struct atl_picture_model *entry)
{
	struct atl_picture_model model = *entry;

	model.provider_id = LOCAL;
	model.provider_name = LOCAL_NAME;
	model.why = misfit(list, entry);
	if (!model.why && !list->app->picture_engine)
		model.why = "The local picture engine is not installed. Run script/setup.";
	model.ready = !model.why;
	add(list, &model);
}

/* Values that the service itself suggests for its parameters, as far as they are known. */
static void add_suggestions(struct list *list, struct atl_picture_model *model)
{
	const struct atl_image_ops *ops = atl_image_ops_find(model->provider_kind);
	const struct atl_picture_param *from = model->params.items;
	struct atl_picture_param *params;

	if (list->only || !ops || !ops->suggest || !model->params.count)
		return; /* one model by its id is for making a job: the form reads the list */
	params = ATL_ARENA_ARRAY(list->arena, struct atl_picture_param, model->params.count);
	list->full = list->full || !params;
	if (!params)
		return;
	memcpy(params, from, model->params.count * sizeof(*params));
	for (size_t i = 0; i < model->params.count; i++)
		if (params[i].extra && atl_str_eq(params[i].type, "string") && !params[i].values.count)
			params[i].values = atl_picture_suggest_get(list->app->picture_models->suggest, list->arena,
								   model->provider_id, params[i].name);
	model->params.items = params;
}

static void add_remote(struct list *list, const struct atl_picture_model *entry, const struct atl_provider *p,
		       const char *remote_id, const char *name, const char *tasks)
{
	struct atl_picture_model model = *entry;

	if (list->only && !atl_str_eq(list->only + strlen(p->id) + 1, remote_id))
		return;
	model.id = atl_arena_printf(list->arena, "%s/%s", p->id, remote_id);
	model.remote_id = remote_id;
	model.name = name;
	model.provider_id = p->id;
	model.provider_name = p->name;
	model.ready = true;
	add_suggestions(list, &model);
	if (tasks) { /* what the service says it can */
		char *words = atl_arena_strdup(list->arena, tasks), *save = NULL;
		const char **items = ATL_ARENA_ARRAY(list->arena, const char *, ATL_IMAGE_TASK_COUNT);
		size_t count = 0;
		enum atl_image_task task;

		for (char *word = words && items ? strtok_r(words, " ", &save) : NULL; word; word = strtok_r(NULL, " ", &save))
			if (count < ATL_IMAGE_TASK_COUNT && atl_image_task_find(word, &task))
				items[count++] = word;
		if (count)
			model.tasks = (struct atl_strs){ items, count };
	}
	add(list, &model);
}

/* The operator's entries come before ours, and an exact one before "*". */
static const struct atl_picture_model *entry_for(const struct list *list, const char *kind, const char *remote_id)
{
	const struct atl_picture_entries *sets[] = { &list->own, &list->app->picture_models->builtin };
	const char *const wanted[] = { remote_id, "*" };

	for (size_t w = 0; w < ATL_COUNT(wanted); w++)
		for (size_t s = 0; s < ATL_COUNT(sets); s++)
			for (size_t i = 0; i < sets[s]->count; i++)
				if (atl_str_eq(sets[s]->models[i].provider_kind, kind) &&
				    atl_str_eq(sets[s]->models[i].remote_id, wanted[w]))
					return &sets[s]->models[i];
	return NULL;
}

/* ---- files that a person put there ---- */

static bool is_named(const struct list *list, const char *file)
{
	for (size_t i = 0; i < list->count; i++)
		for (const struct atl_json *f = list->items[i].files ? list->items[i].files->child : NULL; f; f = f->next)
			if (atl_str_eq(atl_json_str(f, "file", NULL), file))
				return true;
	return false;
}

/* Which local entry describes it? NULL: it is no picture model by itself. */
static const char *template_of(struct list *list, const char *file)
{
	struct atl_picture_file found;
	char path[PATH_SIZE];

	if (atl_picture_file_is_pickle(file))
		return "*sd1"; /* shown, with the reason why it is not used */
	if (!atl_str_ends(file, ".safetensors") && !atl_str_ends(file, ".gguf"))
		return NULL;
	snprintf(path, sizeof(path), "%s/%s", list->app->models_dir, file);
	if (!atl_picture_file_look(list->app->picture_models->files, path, &found) || !found.family)
		return NULL;
	if (!found.complete && !atl_str_eq(found.family, UPSCALER))
		return NULL;
	return atl_arena_printf(list->arena, "*%s", found.family);
}

static const struct atl_json *files_of(struct list *list, const char *part, const char *file)
{
	struct atl_json *tree = NULL;
	struct atl_buf buf;
	struct atl_jw w;

	atl_buf_init(&buf, 8192);
	atl_jw_init(&w, &buf);
	atl_jw_object(&w, NULL);
	atl_jw_object(&w, part);
	atl_jw_str(&w, "file", file);
	atl_jw_end_object(&w);
	atl_jw_end_object(&w);
	if (atl_buf_err(&buf, NULL) != ATL_OK || atl_json_parse(list->arena, buf.data, buf.length, &tree, NULL) != ATL_OK)
		tree = NULL;
	atl_buf_finish(&buf);
	return tree;
}

static void add_file(struct list *list, const char *file)
{
	const char *remote_id = template_of(list, file), *dot = strrchr(file, '.');
	const struct atl_picture_model *entry = remote_id ? entry_for(list, LOCAL, remote_id) : NULL;
	struct atl_picture_model model;

	if (!entry)
		return;
	model = *entry;
	model.name = model.remote_id = atl_arena_strndup(list->arena, file, (size_t)(dot - file));
	model.id = atl_arena_printf(list->arena, LOCAL_PREFIX "%s", model.name);
	model.files = files_of(list, atl_str_eq(remote_id, "*" UPSCALER) ? "upscaler" : "model", file);
	if (model.files)
		add_local(list, &model);
}

static void add_files(struct list *list)
{
	const char **names;
	size_t count;

	if (atl_dir_list(list->arena, list->app->models_dir, &names, &count, NULL) != ATL_OK)
		return; /* no folder, no files */
	for (size_t i = 0; i < count; i++)
		if (names[i][0] != '.' && atl_utf8_valid(names[i], strlen(names[i])) && !is_named(list, names[i]))
			add_file(list, names[i]);
}

static void add_provider(struct list *list, const struct atl_provider *p, const char *kind)
{
	const struct atl_picture_entries *sets[] = { &list->own, &list->app->picture_models->builtin };
	const struct atl_provider_model *models = p->models.items;

	for (size_t i = 0; i < p->models.count; i++) {
		const struct atl_picture_model *entry = models[i].kind ? entry_for(list, kind, models[i].id) : NULL;

		if (entry)
			add_remote(list, entry, p, models[i].id, models[i].name, models[i].tasks);
	}
	for (size_t s = 0; s < ATL_COUNT(sets); s++)
		for (size_t i = 0; i < sets[s]->count; i++) {
			const struct atl_picture_model *entry = &sets[s]->models[i];

			if (atl_str_eq(entry->provider_kind, kind) && !atl_str_eq(entry->remote_id, "*"))
				add_remote(list, entry, p, entry->remote_id, entry->name, NULL);
		}
}

/* The operator's entries. */
static enum atl_err read_own(struct list *list, struct atl_errinfo *info)
{
	struct atl_picture_text *texts;
	size_t count;
	enum atl_err err = atl_picture_texts_get(list->app->picture_models->own, list->arena, &texts, &count, info);

	if (err || !count)
		return err;
	list->own.models = ATL_ARENA_ARRAY(list->arena, struct atl_picture_model, count);
	if (!list->own.models)
		return atl_fail(info, ATL_ERR_NOMEM, "model registry");
	for (size_t i = 0; i < count; i++) {
		struct atl_errinfo why = { 0 };
		struct atl_json *tree;

		if (atl_json_parse(list->arena, texts[i].text, strlen(texts[i].text), &tree, &why) != ATL_OK ||
		    atl_picture_entry_read(list->arena, &list->app->picture_models->builtin, tree,
					   &list->own.models[list->own.count], &why) != ATL_OK)
			atl_warn(MODULE, "the entry %s cannot be read: %s", texts[i].id, why.detail);
		else
			list->own.count++;
	}
	return ATL_OK;
}

/* What a service makes, if it is on and makes pictures. */
static void add_service(struct list *list, const struct atl_provider *p)
{
	const struct atl_chat_preset *preset = atl_chat_preset_find(p->preset);

	if (p->enabled && preset && preset->picture_kind && atl_image_ops_find(preset->picture_kind))
		add_provider(list, p, preset->picture_kind);
}

enum atl_err atl_picture_model_list(struct atl_app *app, struct atl_arena *arena, struct atl_picture_model **ret,
				    size_t *ret_count, struct atl_errinfo *info)
{
	struct list list = { .app = app, .arena = arena };
	const struct atl_picture_entries *sets[] = { &list.own, &app->picture_models->builtin };
	struct atl_provider *providers = NULL;
	size_t provider_count = 0;
	enum atl_err err;

	err = read_own(&list, info);
	if (!err && app->providers)
		err = atl_provider_list(app, arena, &providers, &provider_count, info);
	if (err)
		return err;
	for (size_t s = 0; s < ATL_COUNT(sets); s++)
		for (size_t i = 0; i < sets[s]->count; i++)
			if (atl_str_eq(sets[s]->models[i].provider_kind, LOCAL) && sets[s]->models[i].remote_id[0] != '*')
				add_local(&list, &sets[s]->models[i]);
	add_files(&list);
	for (size_t i = 0; i < provider_count; i++)
		add_service(&list, &providers[i]);
	if (list.full)
		return atl_fail(info, ATL_ERR_NOMEM, "model registry");
	*ret = list.items;
	*ret_count = list.count;
	return ATL_OK;
}

/* ---- choosing ---- */

static const struct atl_picture_model *choose(const struct atl_picture_model *items, size_t count, const char *id)
{
	for (size_t i = 0; i < count; i++)
		if (atl_str_eq(items[i].id, id))
			return &items[i];
	for (size_t i = 0; i < count; i++) /* a bare name, as OpenAI clients say it */
		if (atl_str_eq(items[i].remote_id, id) || atl_str_ieq(items[i].name, id))
			return &items[i];
	return NULL;
}

const struct atl_picture_model *atl_picture_model_default(struct atl_app *app, struct atl_arena *arena,
							  const struct atl_picture_model *items, size_t count)
{
	const char *wanted = atl_setting_text(app, ATL_SETTING_DEFAULT_PICTURE_MODEL, arena);
	const struct atl_picture_model *found = wanted ? choose(items, count, wanted) : NULL;

	for (size_t pass = 0; pass < 2 && (!found || !found->ready); pass++) /* a real one before the starter */
		for (size_t i = 0; i < count && (!found || !found->ready); i++)
			if (items[i].ready && items[i].starter == (pass == 1) && !atl_str_eq(items[i].kind, "video"))
				found = &items[i];
	return found;
}

/* "service/name": without a look at all the others. False: look at all. */
static bool find_at_service(struct atl_app *app, struct atl_arena *arena, const char *id, struct atl_picture_model *ret)
{
	struct list list = { .app = app, .arena = arena, .only = id };
	const char *slash = id ? strchr(id, '/') : NULL;
	struct atl_provider provider;
	const char *name;

	if (!slash || !app->providers || atl_str_starts(id, LOCAL_PREFIX))
		return false;
	name = atl_arena_strndup(arena, id, (size_t)(slash - id));
	if (!name || atl_provider_get(app, arena, name, &provider, NULL) != ATL_OK || read_own(&list, NULL) != ATL_OK)
		return false;
	add_service(&list, &provider);
	if (list.count)
		*ret = list.items[0];
	return list.count > 0;
}

enum atl_err atl_picture_model_find(struct atl_app *app, struct atl_arena *arena, const char *id,
				    struct atl_picture_model *ret, struct atl_errinfo *info)
{
	struct atl_picture_model *items;
	const struct atl_picture_model *found = NULL;
	size_t count;
	enum atl_err err;

	if (find_at_service(app, arena, id, ret))
		return ATL_OK;
	err = atl_picture_model_list(app, arena, &items, &count, info);
	if (err)
		return err;
	if (!atl_str_empty(id)) {
		found = choose(items, count, id);
		if (!found)
			return atl_fail_field(info, ATL_ERR_UPSTREAM_MODEL, "model",
					      "There is no picture model \"%s\". GET /api/v1/picture-models lists them.", id);
	} else {
		found = atl_picture_model_default(app, arena, items, count);
	}
	if (!found)
		return atl_fail(info, ATL_ERR_NO_MODEL, "No picture model is ready. Get one in Settings, Models, or connect a "
							"service in Settings, Providers.");
	*ret = *found;
	return ATL_OK;
}

/* {"part": "/absolute/path", ...}, as the engine takes it */
static const char *local_paths(struct atl_app *app, struct atl_arena *arena, const struct atl_picture_model *model)
{
	struct atl_buf buf;
	struct atl_jw w;
	const char *text = NULL;

	atl_buf_init(&buf, 65536);
	atl_jw_init(&w, &buf);
	atl_jw_object(&w, NULL);
	for (const struct atl_json *f = model->files ? model->files->child : NULL; f; f = f->next) {
		atl_jw_str(&w, f->key, atl_arena_printf(arena, "%s/%s", app->models_dir, atl_json_str(f, "file", "")));
		if (atl_json_num(f, "preview_contrast", 0) > 0)
			atl_jw_num(&w, "preview_contrast", atl_json_num(f, "preview_contrast", 0));
	}
	atl_jw_end_object(&w);
	if (atl_buf_err(&buf, NULL) == ATL_OK)
		text = atl_arena_strdup(arena, buf.data);
	atl_buf_finish(&buf);
	return text;
}

enum atl_err atl_picture_model_endpoint(struct atl_app *app, struct atl_arena *arena,
					const struct atl_picture_model *model, struct atl_image_endpoint *ret,
					struct atl_errinfo *info)
{
	if (!atl_str_eq(model->provider_id, LOCAL))
		return atl_provider_image_endpoint(app, arena, model->provider_id, ret, info);
	if (!model->ready)
		return atl_fail(info, ATL_ERR_NO_MODEL, "%s", model->why ? model->why : "The model is not ready.");
	return atl_picture_engine_endpoint(app->picture_engine, arena, ret, info);
}

const char *atl_picture_model_remote(struct atl_app *app, struct atl_arena *arena, const struct atl_picture_model *model)
{
	return atl_str_eq(model->provider_id, LOCAL) ? local_paths(app, arena, model) : model->remote_id;
}

int64_t atl_picture_model_price(const struct atl_picture_model *model, int64_t width, int64_t height, int64_t count,
				int64_t seconds)
{
	double units = (double)count;

	if (!model->price_unit)
		return 0;
	if (atl_str_eq(model->price_unit, "megapixel"))
		units *= (double)width * (double)height / 1e6;
	else if (atl_str_eq(model->price_unit, "second"))
		units *= (double)(seconds > 0 ? seconds : 5);
	return (int64_t)((double)model->price_micro_usd * units + 0.5);
}

/* ---- LoRA ---- */

#define LORAS_MAX 2000
#define LORA_END ".safetensors"

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum atl_err atl_picture_lora_list(struct atl_app *app, struct atl_arena *arena, struct atl_strs *ret,
				   struct atl_errinfo *info)
{
	const char **items = ATL_ARENA_ARRAY(arena, const char *, LORAS_MAX);
	char path[PATH_SIZE];
	struct dirent *entry;
	size_t count = 0;
	DIR *dir;

	if (!items)
		return atl_fail(info, ATL_ERR_NOMEM, "list LoRA");
	snprintf(path, sizeof(path), "%s/loras", app->models_dir);
	dir = opendir(path);
	while (dir && count < LORAS_MAX && (entry = readdir(dir)) != NULL) {
		size_t length = strlen(entry->d_name);

		if (entry->d_name[0] == '.' || !atl_str_ends(entry->d_name, LORA_END) || !atl_utf8_valid(entry->d_name, length))
			continue;
		items[count] = atl_arena_strndup(arena, entry->d_name, length - strlen(LORA_END));
		if (items[count])
			count++;
	}
	if (dir)
		closedir(dir);
	qsort(items, count, sizeof(*items), by_name);
	*ret = (struct atl_strs){ items, count };
	return ATL_OK;
}

const char *atl_picture_lora_misfit(struct atl_app *app, struct atl_arena *arena, const char *name)
{
	static const char *const OTHERS[] = { ".ckpt", ".pt", ".pth", ".bin" };
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/loras/%s" LORA_END, app->models_dir, name);
	for (size_t i = 0; i < ATL_COUNT(OTHERS) && access(path, R_OK) != 0; i++)
		snprintf(path, sizeof(path), "%s/loras/%s%s", app->models_dir, name, OTHERS[i]);
	if (access(path, R_OK) != 0)
		return atl_arena_printf(arena, "There is no LoRA %s. Put %s" LORA_END " into the folder loras of the models folder.",
					name, name);
	return atl_picture_file_misfit(app->picture_models->files, arena, path, "lora");
}
