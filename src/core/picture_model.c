/* picture_model.c - see picture_model.h.
 *
 * The built-in entries are parsed once and never change; what providers list and the operator's own entries are read
 * for each call.
 */
#include "core/picture_model.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "core/picture_engine.h"
#include "core/picture_entry.h"
#include "core/provider.h"
#include "core/setting.h"
#include "db/db.h"

#define MODULE "picture models"
#define LOCAL "local"
#define LOCAL_PREFIX "local/"
#define LOCAL_NAME "This computer"
#define PATH_SIZE 4200

struct atl_picture_models {
	struct atl_app *app;
	struct atl_arena arena; /* set at create; read-only afterwards */
	struct atl_picture_entries builtin;
};

enum atl_err atl_picture_models_create(struct atl_app *app, struct atl_picture_models **ret, struct atl_errinfo *info)
{
	struct atl_picture_models *self = calloc(1, sizeof(*self));
	enum atl_err err;

	if (!self)
		return atl_fail(info, ATL_ERR_NOMEM, "model registry");
	self->app = app;
	atl_arena_init(&self->arena, 0);
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
	atl_arena_finish(&models->arena);
	free(models);
}

/* ---- the list ---- */

struct list {
	struct atl_app *app;
	struct atl_arena *arena;
	struct atl_picture_model *items;
	size_t count;
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
	if (list->count < ATL_PICTURE_MODELS_MAX && model->id && !is_known(list, model->id))
		list->items[list->count++] = *model;
}

/* Which of its files are not in the models folder? */
static const char *missing_file(struct list *list, const struct atl_picture_model *model)
{
	char path[PATH_SIZE];

	for (const struct atl_json *f = model->files ? model->files->child : NULL; f; f = f->next) {
		const char *file = atl_json_str(f, "file", "");

		snprintf(path, sizeof(path), "%s/%s", list->app->models_dir, file);
		if (access(path, R_OK) != 0)
			return file;
	}
	return NULL;
}

static void add_local(struct list *list, const struct atl_picture_model *entry)
{
	struct atl_picture_model model = *entry;
	const char *missing = missing_file(list, entry);

	model.provider_id = LOCAL;
	model.provider_name = LOCAL_NAME;
	model.ready = !missing && list->app->picture_engine;
	if (missing)
		model.why = atl_arena_printf(list->arena, "%s is not in the models folder. Download it in Settings, Models.",
					     missing);
	else if (!list->app->picture_engine)
		model.why = "The local picture engine is not installed. Run script/setup.";
	add(list, &model);
}

static void add_remote(struct list *list, const struct atl_picture_model *entry, const struct atl_provider *p,
		       const char *remote_id, const char *name, const char *tasks)
{
	struct atl_picture_model model = *entry;

	model.id = atl_arena_printf(list->arena, "%s/%s", p->id, remote_id);
	model.remote_id = remote_id;
	model.name = name;
	model.provider_id = p->id;
	model.provider_name = p->name;
	model.ready = true;
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

static enum atl_err own_fn(struct atl_conn *conn, void *arg, struct atl_errinfo *info)
{
	struct list *list = arg;
	struct atl_rows *rows;
	enum atl_err err = atl_query(conn, &rows, info, "SELECT id, entry FROM picture_models ORDER BY id LIMIT ?", "i",
				     (int64_t)ATL_PICTURE_MODELS_MAX);

	list->own.count = 0;
	while (!err && atl_rows_next(rows, &err, info)) {
		const char *id = atl_col_text(rows, 0, list->arena), *text = atl_col_text(rows, 1, list->arena);
		struct atl_json *tree;
		struct atl_errinfo why = { 0 };
		struct atl_picture_model *model = &list->own.models[list->own.count];

		if (!id || !text)
			continue;
		if (atl_json_parse(list->arena, text, strlen(text), &tree, &why) != ATL_OK ||
		    atl_picture_entry_read(list->arena, &list->app->picture_models->builtin, tree, model, &why) != ATL_OK) {
			atl_warn(MODULE, "the entry %s cannot be read: %s", id, why.detail);
			continue;
		}
		list->own.count++;
	}
	return err;
}

enum atl_err atl_picture_model_list(struct atl_app *app, struct atl_arena *arena, struct atl_picture_model **ret,
				    size_t *ret_count, struct atl_errinfo *info)
{
	struct list list = { .app = app, .arena = arena };
	const struct atl_picture_entries *sets[] = { &list.own, &app->picture_models->builtin };
	struct atl_provider *providers = NULL;
	size_t provider_count = 0;
	enum atl_err err;

	list.items = ATL_ARENA_ARRAY(arena, struct atl_picture_model, ATL_PICTURE_MODELS_MAX);
	list.own.models = ATL_ARENA_ARRAY(arena, struct atl_picture_model, ATL_PICTURE_MODELS_MAX);
	if (!list.items || !list.own.models)
		return atl_fail(info, ATL_ERR_NOMEM, "model registry");
	err = atl_db_read(app->db, own_fn, &list, info);
	if (!err && app->providers)
		err = atl_provider_list(app, arena, &providers, &provider_count, info);
	if (err)
		return err;
	for (size_t s = 0; s < ATL_COUNT(sets); s++)
		for (size_t i = 0; i < sets[s]->count; i++)
			if (atl_str_eq(sets[s]->models[i].provider_kind, LOCAL))
				add_local(&list, &sets[s]->models[i]);
	for (size_t i = 0; i < provider_count; i++) {
		const struct atl_chat_preset *preset = atl_chat_preset_find(providers[i].preset);

		if (providers[i].enabled && preset && preset->picture_kind && atl_image_ops_find(preset->picture_kind))
			add_provider(&list, &providers[i], preset->picture_kind);
	}
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

enum atl_err atl_picture_model_find(struct atl_app *app, struct atl_arena *arena, const char *id,
				    struct atl_picture_model *ret, struct atl_errinfo *info)
{
	struct atl_picture_model *items;
	const struct atl_picture_model *found = NULL;
	size_t count;
	enum atl_err err = atl_picture_model_list(app, arena, &items, &count, info);

	if (err)
		return err;
	if (!atl_str_empty(id)) {
		found = choose(items, count, id);
		if (!found)
			return atl_fail_field(info, ATL_ERR_UPSTREAM_MODEL, "model",
					      "There is no picture model \"%s\". GET /api/v1/picture-models lists them.", id);
	} else {
		const char *wanted = atl_setting_text(app, ATL_SETTING_DEFAULT_PICTURE_MODEL, arena);

		found = wanted ? choose(items, count, wanted) : NULL;
		for (size_t pass = 0; pass < 2 && (!found || !found->ready); pass++) /* a real one before the starter */
			for (size_t i = 0; i < count && (!found || !found->ready); i++)
				if (items[i].ready && items[i].starter == (pass == 1) && !atl_str_eq(items[i].kind, "video"))
					found = &items[i];
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
	for (const struct atl_json *f = model->files ? model->files->child : NULL; f; f = f->next)
		atl_jw_str(&w, f->key, atl_arena_printf(arena, "%s/%s", app->models_dir, atl_json_str(f, "file", "")));
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
