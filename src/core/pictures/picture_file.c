/* picture_file.c - see picture_file.h. */
#include "core/pictures/picture_file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "core/models/gguf.h"
#include "core/models/tensor_file.h"

#define PICTURE_FILES_KEPT 256
#define ENCODER "lora controlnet esrgan taesd vae"
#define TRANSFORMERS "sd3 flux ovis wan" /* the engine's ControlNets are of UNets */

static const char *const PICKLES[] = { ".ckpt", ".pt", ".pth", ".bin" };

/* Families that a part cannot be; `only` turns it round: what it must be, unless the family is not known. */
static const struct {
	const char *part, *families;
	bool only;
} PARTS[] = {
	{ "model", "lora controlnet esrgan taesd vae", false },
	{ "diffusion_model", "lora controlnet esrgan taesd vae", false },
	{ "vae", "vae", true },
	{ "taesd", "taesd", true },
	{ "control_net", "controlnet", true },
	{ "upscaler", "esrgan", true },
	{ "lora", "lora", true },
	{ "clip_l", ENCODER, false },
	{ "clip_g", ENCODER, false },
	{ "clip_vision", ENCODER, false },
	{ "t5xxl", ENCODER, false },
	{ "llm", ENCODER, false },
	{ "llm_vision", ENCODER, false },
};

/* By the width of the text a network attends to. */
static const struct {
	int64_t context;
	const char *name;
} UNETS[] = { { 768, "Stable Diffusion 1" }, { 1024, "Stable Diffusion 2" }, { 2048, "Stable Diffusion XL" } };

/* What a person calls it. */
static const struct {
	const char *name, *words;
} WORDS[] = {
	{ "lora", "a LoRA" },		{ "controlnet", "a ControlNet" },   { "control_net", "a ControlNet" },
	{ "esrgan", "an upscaler" },	{ "upscaler", "an upscaler" },	    { "taesd", "a small autoencoder" },
	{ "vae", "an autoencoder" },	{ "model", "a picture model" },	    { "diffusion_model", "a picture model" },
	{ "sd1", "a picture model" },	{ "sd2", "a picture model" },	    { "sdxl", "a picture model" },
	{ "sd3", "a picture model" },	{ "flux", "a picture model" },	    { "ovis", "a picture model" },
	{ "wan", "a film model" },
};

struct kept {
	char *path;
	int64_t size, time_s, time_ns;
	struct atl_picture_file file;
};
struct atl_picture_files {
	pthread_mutex_t lock;
	/* guarded by lock */
	struct kept kept[PICTURE_FILES_KEPT];
	size_t next; /* the place that is overwritten next */
};

enum atl_err atl_picture_files_create(struct atl_picture_files **ret, struct atl_errinfo *info)
{
	struct atl_picture_files *files = calloc(1, sizeof(*files));

	if (!files)
		return atl_fail(info, ATL_ERR_NOMEM, "model files");
	pthread_mutex_init(&files->lock, NULL);
	*ret = files;
	return ATL_OK;
}

void atl_picture_files_destroy(struct atl_picture_files *files)
{
	if (!files)
		return;
	for (size_t i = 0; i < PICTURE_FILES_KEPT; i++)
		free(files->kept[i].path);
	pthread_mutex_destroy(&files->lock);
	free(files);
}

bool atl_picture_file_is_pickle(const char *name)
{
	for (size_t i = 0; i < ATL_COUNT(PICKLES); i++)
		if (atl_str_ends(name, PICKLES[i]))
			return true;
	return false;
}

static void note(void *arg, const char *name)
{
	atl_tensor_traits_note(arg, name);
}

static void inspect(const char *path, struct atl_picture_file *ret)
{
	struct atl_errinfo info = { 0 };
	enum atl_err err;

	*ret = (struct atl_picture_file){ 0 };
	if (atl_str_ends(path, ".gguf")) {
		struct atl_tensor_traits traits = { 0 };
		struct atl_gguf gguf;

		err = atl_gguf_names(path, note, &traits, &gguf, &info);
		if (!err) {
			ret->family = atl_str_eq(gguf.type, "adapter") ? "lora" : atl_tensor_family(&traits);
			ret->complete = atl_tensor_complete(&traits);
		}
	} else {
		struct atl_tensor_file file;
		struct atl_arena arena;

		atl_arena_init(&arena, 0);
		err = atl_tensor_read(&arena, path, &file, &info);
		if (!err) {
			ret->family = file.family;
			ret->complete = file.complete;
			ret->context = file.context;
		}
		atl_arena_finish(&arena);
	}
	if (err)
		atl_str_copy(ret->why, sizeof(ret->why), info.detail);
}

static bool recall(struct atl_picture_files *files, const char *path, const struct stat *st, struct atl_picture_file *ret)
{
	bool found = false;

	pthread_mutex_lock(&files->lock);
	for (size_t i = 0; i < PICTURE_FILES_KEPT && !found; i++) {
		const struct kept *k = &files->kept[i];

		found = k->path && strcmp(k->path, path) == 0 && k->size == st->st_size && k->time_s == st->st_mtim.tv_sec &&
			k->time_ns == st->st_mtim.tv_nsec;
		if (found)
			*ret = k->file;
	}
	pthread_mutex_unlock(&files->lock);
	return found;
}

static void keep(struct atl_picture_files *files, const char *path, const struct stat *st, const struct atl_picture_file *file)
{
	char *copy = strdup(path);
	size_t place;

	if (!copy)
		return; /* it is only read again */
	pthread_mutex_lock(&files->lock);
	for (place = 0; place < PICTURE_FILES_KEPT; place++)
		if (files->kept[place].path && strcmp(files->kept[place].path, path) == 0)
			break;
	if (place == PICTURE_FILES_KEPT) {
		place = files->next;
		files->next = (files->next + 1) % PICTURE_FILES_KEPT;
	}
	free(files->kept[place].path);
	files->kept[place] = (struct kept){ copy, st->st_size, st->st_mtim.tv_sec, st->st_mtim.tv_nsec, *file };
	pthread_mutex_unlock(&files->lock);
}

bool atl_picture_file_look(struct atl_picture_files *files, const char *path, struct atl_picture_file *ret)
{
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	if (!recall(files, path, &st, ret)) {
		inspect(path, ret);
		keep(files, path, &st, ret);
	}
	return true;
}

static const char *words_for(const char *name)
{
	for (size_t i = 0; i < ATL_COUNT(WORDS); i++)
		if (atl_str_eq(WORDS[i].name, name))
			return WORDS[i].words;
	return "what is needed here";
}

static bool is_among(const char *words, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = strstr(words, word); at; at = strstr(at + 1, word))
		if ((at == words || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
			return true;
	return false;
}

const char *atl_picture_file_misfit(struct atl_picture_files *files, struct atl_arena *arena, const char *path,
				    const char *part)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	struct atl_picture_file file;

	if (atl_picture_file_is_pickle(name))
		return atl_arena_printf(arena, "%s is a pickle file, which may run programs when it is opened. Convert it to "
					       "safetensors.", name);
	if (!atl_picture_file_look(files, path, &file))
		return atl_arena_printf(arena, "%s is not a file.", name);
	if (!file.family)
		return atl_arena_printf(arena, "%s cannot be used: %s", name, file.why);
	for (size_t i = 0; i < ATL_COUNT(PARTS); i++) {
		if (!atl_str_eq(PARTS[i].part, part) || atl_str_eq(file.family, "unknown") ||
		    is_among(PARTS[i].families, file.family) == PARTS[i].only)
			continue;
		return atl_arena_printf(arena, "%s is %s, not %s.", name, words_for(file.family), words_for(part));
	}
	return NULL;
}

static const char *unet_name(int64_t context)
{
	for (size_t i = 0; i < ATL_COUNT(UNETS); i++)
		if (UNETS[i].context == context)
			return UNETS[i].name;
	return "another family";
}

const char *atl_picture_file_control_misfit(struct atl_picture_files *files, struct atl_arena *arena, const char *model_path,
					    const char *control_path)
{
	const char *slash = strrchr(control_path, '/'), *name = slash ? slash + 1 : control_path;
	struct atl_picture_file model, control;

	if (!atl_picture_file_look(files, model_path, &model) || !atl_picture_file_look(files, control_path, &control) ||
	    !model.family)
		return NULL; /* told where the parts are looked at */
	if (is_among(TRANSFORMERS, model.family))
		return atl_arena_printf(arena, "%s is a ControlNet, and the local engine has them for Stable Diffusion 1, 2 and XL alone.",
					name);
	if (!model.context || !control.context || model.context == control.context)
		return NULL;
	return atl_arena_printf(arena, "%s is a ControlNet for %s, and the model is of %s.", name, unet_name(control.context),
				unet_name(model.context));
}
